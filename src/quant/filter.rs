//! One filter at one width: its step and its integers.
//!
//! The error of integers `q` at step `d` against real weights `w` is the quadratic form
//! `(w - d q)^T H (w - d q)`, with `H` the covariance of the filter's inputs over the calibration
//! images: the variance that the rounding adds to the filter's output (the mean goes into the bias).
//!
//! `feedback` rounds under the whole form; here are widths, steps and rounding by the form's diagonal.

use ndarray::{Array2, ArrayView2};

use super::feedback::Full;

/// Lowest and highest integer of a width.
#[must_use]
pub fn levels(bits: u8) -> (i8, i8) {
    match bits {
        0 => (0, 0),
        1 => (-1, 1),
        2..=7 => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (i8::MIN, i8::MAX),
    }
}

/// The level of width `bits` nearest to `value` (in steps); ties away from zero, and to +1 at one bit.
#[must_use]
pub fn nearest_level(value: f64, bits: u8) -> i8 {
    if bits == 1 {
        return if value >= 0.0 { 1 } else { -1 };
    }
    let (low, high) = levels(bits);
    // The value is clamped into i8 before the cast; NaN becomes 0.
    #[allow(clippy::cast_possible_truncation)]
    let level = value.round().clamp(f64::from(low), f64::from(high)) as i8;
    level
}

/// How real weights become integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightRounding {
    /// Each weight by itself; the step minimises the error weighted by each input's variance.
    Nearest,
    /// Each weight's rounding error is compensated in the weights after it, then single weights move
    /// as long as the output error falls.
    ErrorFeedback,
    /// Up or down is learned for all weights together, from where error feedback ends (`adaround`).
    /// Losses of widths are those of error feedback.
    AdaRound,
}

/// How a filter's step is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSearch {
    /// The largest weight is the largest level.
    Widest,
    /// The least error of nearest rounding, weighted by each input's variance.
    Nearest,
    /// From there, the least error of the output after the real rounding.
    Output,
}

/// How one filter is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterMethod {
    /// Rounding at a step.
    pub rounding: WeightRounding,
    /// The step.
    pub step: StepSearch,
}

impl FilterMethod {
    /// Each weight by itself, at its best step.
    pub const NEAREST: Self = Self {
        rounding: WeightRounding::Nearest,
        step: StepSearch::Output,
    };
    /// With error feedback, at its best step.
    pub const FEEDBACK: Self = Self {
        rounding: WeightRounding::ErrorFeedback,
        step: StepSearch::Output,
    };
}

/// A filter's integers.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundedFilter {
    /// One integer a weight, within `levels` of the width.
    pub levels: Vec<i8>,
    /// Real value of one step; 0 only at width 0.
    pub step: f64,
    /// Output variance that the rounding adds.
    pub error: f64,
}

/// Input statistics that measure the error of a filter over `K` inputs.
#[derive(Debug, Clone)]
pub struct Metric {
    variance: Vec<f64>,
    full: Option<Full>,
}

/// Added to the diagonal of H, as a part of its mean: keeps the factors finite where inputs are
/// constant or dependent, and the rounding from trusting the calibration sample too far.
const DAMPING: f64 = 0.01;

impl Metric {
    /// Inputs that vary independently, with the given variances.
    #[must_use]
    pub fn diagonal(variance: &[f64]) -> Self {
        let mean = variance.iter().sum::<f64>() / variance.len().max(1) as f64;
        let floor = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        Self {
            variance: variance.iter().map(|v| v.max(0.0) + floor).collect(),
            full: None,
        }
    }

    /// Inputs with the covariance `form` (`[K, K]`). Falls back to its diagonal when it has no factor.
    #[must_use]
    pub fn full(form: ArrayView2<f64>) -> Self {
        let mut metric = Self::diagonal(&form.diag().to_vec());
        metric.full = Full::new(form, &metric.variance);
        metric
    }

    /// `H x`.
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        match &self.full {
            None => self.variance.iter().zip(x).map(|(v, x)| v * x).collect(),
            Some(full) => full.apply(x),
        }
    }

    /// `x^T H x`.
    #[must_use]
    pub fn energy(&self, x: &[f64]) -> f64 {
        self.apply(x).iter().zip(x).map(|(a, b)| a * b).sum()
    }

    /// The covariance, where it is known and has a factor.
    pub(crate) fn form(&self) -> Option<&Array2<f64>> {
        self.full.as_ref().map(Full::form)
    }

    /// Rounds one filter to `bits`. Weights that are whole numbers within the width's levels are kept
    /// exactly, with step 1; so is a single weight.
    #[must_use]
    pub fn round(&self, weights: &[f64], bits: u8, method: FilterMethod) -> RoundedFilter {
        if bits == 0 {
            return RoundedFilter {
                levels: vec![0; weights.len()],
                step: 0.0,
                error: self.energy(weights),
            };
        }
        if let Some(exact) = exact(weights, bits) {
            return exact;
        }
        let step = match method.step {
            StepSearch::Widest => widest(weights, bits),
            _ => self.search_step(weights, bits),
        };
        if step <= 0.0 {
            // All weights are zero: any step is exact, save at one bit, which has no zero.
            return self.finish(weights, vec![nearest_level(0.0, bits); weights.len()], 1e-6);
        }
        let nearest = weights
            .iter()
            .map(|w| nearest_level(w / step, bits))
            .collect();
        let nearest = self.finish(weights, nearest, step);
        match (&self.full, method.rounding) {
            (Some(full), WeightRounding::ErrorFeedback | WeightRounding::AdaRound) => {
                let target = self.apply(weights);
                let search = method.step == StepSearch::Output;
                let factors: &[f64] = if search && bits <= 4 {
                    &[0.85, 1.0, 1.15]
                } else {
                    &[1.0]
                };
                factors
                    .iter()
                    .map(|factor| full.round(weights, &target, bits, step * factor, search))
                    .map(|(levels, step)| self.finish(weights, levels, step))
                    .fold(
                        nearest,
                        |best, next| if next.error < best.error { next } else { best },
                    )
            }
            _ => nearest,
        }
    }

    /// The filter that `levels` at `step` make of `weights`.
    pub(crate) fn finish(&self, weights: &[f64], levels: Vec<i8>, step: f64) -> RoundedFilter {
        let difference: Vec<f64> = weights
            .iter()
            .zip(&levels)
            .map(|(w, q)| w - step * f64::from(*q))
            .collect();
        RoundedFilter {
            error: self.energy(&difference),
            levels,
            step,
        }
    }

    /// The step of nearest rounding with the least variance-weighted error, over a geometric grid below
    /// the step that clips nothing, refined by one least-squares fit. 0 when all weights are.
    fn search_step(&self, weights: &[f64], bits: u8) -> f64 {
        let widest = widest(weights, bits);
        if widest <= 0.0 {
            return 0.0;
        }
        let mut best = (f64::INFINITY, widest);
        for index in 0..32 {
            let mut step = widest * 1.05 * 0.94_f64.powi(index);
            for _fit in 0..2 {
                let (mut error, mut cross, mut square) = (0.0, 0.0, 0.0);
                for (w, v) in weights.iter().zip(&self.variance) {
                    let q = f64::from(nearest_level(w / step, bits));
                    error += v * (w - step * q).powi(2);
                    cross += v * w * q;
                    square += v * q * q;
                }
                if error < best.0 {
                    best = (error, step);
                }
                if cross > 0.0 && square > 0.0 {
                    step = cross / square;
                }
            }
        }
        best.1
    }
}

/// The smallest step at which no weight is beyond the levels of a width.
fn widest(weights: &[f64], bits: u8) -> f64 {
    let (low, high) = levels(bits);
    weights.iter().fold(0.0_f64, |step, w| {
        step.max(if *w < 0.0 {
            w / f64::from(low)
        } else {
            w / f64::from(high)
        })
    })
}

/// The weights themselves, where a width holds them: whole numbers among its levels (at step 1), or one weight.
pub(crate) fn exact(weights: &[f64], bits: u8) -> Option<RoundedFilter> {
    let (low, high) = levels(bits);
    let (levels, step) = match weights {
        [weight] if bits > 0 && *weight != 0.0 => {
            let level = if *weight > 0.0 { high } else { low };
            (vec![level], weight / f64::from(level))
        }
        _ => {
            let nearest = weights.iter().map(|w| nearest_level(*w, bits));
            (nearest.collect(), 1.0)
        }
    };
    let whole = |(w, q): (&f64, &i8)| *w == f64::from(*q);
    let exact = bits > 0 && (step != 1.0 || weights.iter().zip(&levels).all(whole));
    exact.then_some(RoundedFilter {
        levels,
        step,
        error: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(count: usize) -> Vec<f64> {
        (0..count)
            .map(|i| ((i * 37 % 101) as f64 - 50.0) / 40.0 * ((i % 3) as f64 + 0.5))
            .collect()
    }

    /// Inputs that share two common causes.
    fn correlated(count: usize) -> Array2<f64> {
        Array2::from_shape_fn((count, count), |(i, j)| {
            let shared = ((i % 5) as f64 - 2.0) * ((j % 5) as f64 - 2.0) + 1.5;
            shared + if i == j { 1.0 + (i % 4) as f64 } else { 0.0 }
        })
    }

    #[test]
    fn levels_of_all_widths() {
        assert_eq!(
            [0, 1, 2, 4, 8].map(levels),
            [(0, 0), (-1, 1), (-2, 1), (-8, 7), (-128, 127)]
        );
        assert_eq!(nearest_level(0.0, 1), 1);
        assert_eq!(nearest_level(-0.1, 1), -1);
        assert_eq!(nearest_level(-9.0, 3), -4);
        assert_eq!(nearest_level(9.0, 3), 3);
        assert_eq!(nearest_level(200.0, 8), 127);
        assert_eq!(nearest_level(f64::NAN, 8), 0);
    }

    #[test]
    fn nearest_finds_the_best_step() {
        let weights = weights(24);
        let metric = Metric::diagonal(&weights.iter().map(|w| 1.0 + w * w).collect::<Vec<_>>());
        for bits in 1..=4 {
            let found = metric.round(&weights, bits, FilterMethod::NEAREST);
            let best = (1..4000)
                .map(|i| f64::from(i) * 0.0005)
                .map(|step| {
                    let rounded = |w: &f64| w - step * f64::from(nearest_level(w / step, bits));
                    let difference: Vec<f64> = weights.iter().map(rounded).collect();
                    metric.energy(&difference)
                })
                .fold(f64::INFINITY, f64::min);
            assert!(
                found.error <= best * 1.1 + 1e-6,
                "{bits}: {} against {best}",
                found.error
            );
        }
    }

    #[test]
    fn error_is_that_of_the_levels_and_falls_with_width() {
        let (weights, form) = (weights(40), correlated(40));
        let metric = Metric::full(form.view());
        let mut last = metric.energy(&weights);
        for bits in 1..=8 {
            let found = metric.round(&weights, bits, FilterMethod::FEEDBACK);
            let (low, high) = levels(bits);
            assert!(found.levels.iter().all(|q| (low..=high).contains(q)));
            let difference: Vec<f64> = weights
                .iter()
                .zip(&found.levels)
                .map(|(w, q)| w - found.step * f64::from(*q))
                .collect();
            assert!((metric.energy(&difference) - found.error).abs() < 1e-9);
            assert!(
                found.error < last,
                "{bits} bits: {} after {last}",
                found.error
            );
            last = found.error;
        }
    }

    #[test]
    fn feedback_beats_nearest_on_dependent_inputs() {
        let (weights, form) = (weights(40), correlated(40));
        let metric = Metric::full(form.view());
        for bits in 2..=6 {
            let nearest = metric.round(&weights, bits, FilterMethod::NEAREST).error;
            let feedback = metric.round(&weights, bits, FilterMethod::FEEDBACK).error;
            assert!(
                feedback < 0.7 * nearest,
                "{bits} bits: {feedback} against {nearest}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_kept() {
        let metric = Metric::diagonal(&[1.0; 4]);
        let found = metric.round(&[0.0, 1.0, 0.0, 0.0], 2, FilterMethod::FEEDBACK);
        assert_eq!(
            found,
            RoundedFilter {
                levels: vec![0, 1, 0, 0],
                step: 1.0,
                error: 0.0
            }
        );
        assert!(
            metric
                .round(&[0.0, 1.0, 0.0, 0.0], 1, FilterMethod::NEAREST)
                .error
                > 0.0
        );
    }

    #[test]
    fn a_single_weight_is_kept() {
        let metric = Metric::diagonal(&[2.0]);
        for weight in [0.9, -0.3, 1.0, -1.0, 5.0] {
            for bits in 1..=8 {
                let found = metric.round(&[weight], bits, FilterMethod::FEEDBACK);
                let value = f64::from(found.levels[0]) * found.step;
                assert!(found.step > 0.0 && (value - weight).abs() < 1e-12, "{bits}");
                assert_eq!(found.error, 0.0);
            }
            let pruned = metric.round(&[weight], 0, FilterMethod::FEEDBACK);
            assert!(pruned.levels == [0] && pruned.error > 0.0);
        }
    }

    /// A step that is searched for under the output's error is no worse than others.
    #[test]
    fn searched_steps_are_better() {
        let (weights, form) = (weights(40), correlated(40));
        let metric = Metric::full(form.view());
        for bits in 2..=4 {
            let [widest, nearest, output] =
                [StepSearch::Widest, StepSearch::Nearest, StepSearch::Output].map(|step| {
                    let rounding = WeightRounding::ErrorFeedback;
                    metric
                        .round(&weights, bits, FilterMethod { rounding, step })
                        .error
                });
            assert!(output <= nearest && output < widest, "{bits}: {output}");
        }
    }

    #[test]
    fn a_filter_of_zeros_needs_no_bits() {
        let metric = Metric::diagonal(&[1.0; 4]);
        for bits in [0, 2, 8] {
            let found = metric.round(&[0.0; 4], bits, FilterMethod::FEEDBACK);
            assert_eq!((found.levels, found.error), (vec![0; 4], 0.0));
        }
    }
}
