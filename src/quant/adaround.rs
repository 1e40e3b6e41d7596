//! Up or down for all weights of a filter together, by gradient descent on the error of its output.
//!
//! q = base + span h(v), with base the level below the real weight (in steps), span the distance to the level above
//! it and h a sigmoid stretched to -0.1..1.1 and clipped to 0..1: between two levels, and flat at each. The loss is the quadratic
//! form of the rounding error with the inputs' covariance, in units of what independent rounding to nearest would
//! cost, and a regulariser sum 1 - |2 h - 1|^beta that comes in with growing weight and falling beta, until
//! every h is 0 or 1. No images are needed: the form holds all of them.
//!
//! Source: Nagel et al., AdaRound (ICML 2020), equations 21 to 24; Adam as by Kingma and Ba (2015).

use ndarray::{Array1, Array2, Zip};

use super::filter::{Metric, RoundedFilter, StepSearch, exact, levels};

const UPDATES: usize = 500;
/// Updates without regulariser.
const WARM_UP: usize = 100;
const RATE: f32 = 0.03;
/// Weight of the regulariser, a weight of the filter.
const REGULARISER: f32 = 2.0;
/// Exponent of the regulariser, at first and last.
const BETA: (f32, f32) = (20.0, 2.0);
/// The sigmoid before it is clipped.
const STRETCH: (f32, f32) = (-0.1, 1.1);

/// Rounds the filters `target` (`[filter, input]`) anew at the steps that `rounded` has, and fits the steps to the
/// new levels unless they are the widest. Leaves alone what has 0 bits or is exact, and all where the metric has
/// no covariance.
pub(crate) fn reconstruct(
    metric: &Metric,
    target: &Array2<f64>,
    bits: &[u8],
    step: StepSearch,
    rounded: &mut [RoundedFilter],
) {
    let Some(form) = metric.form() else { return };
    let open: Vec<usize> = (0..bits.len())
        .filter(|&filter| {
            let row = target.row(filter).to_vec();
            bits[filter] > 0 && rounded[filter].step > 0.0 && exact(&row, bits[filter]).is_none()
        })
        .collect();
    if open.is_empty() || form.nrows() == 0 {
        return;
    }
    let problem = Problem::new(form, target, bits, &open, rounded);
    let up = problem.solve();
    for (row, &filter) in open.iter().enumerate() {
        let chosen: Vec<i8> = (0..form.nrows())
            .map(|input| {
                let level = problem.base[[row, input]]
                    + if up[[row, input]] {
                        problem.span[[row, input]]
                    } else {
                        0.0
                    };
                // One of the width's levels, all of them within i8.
                #[allow(clippy::cast_possible_truncation)]
                let level = level as i8;
                level
            })
            .collect();
        let weights = target.row(filter).to_vec();
        let mut step_size = rounded[filter].step;
        if step == StepSearch::Output {
            step_size = fitted_step(form, &weights, &chosen).unwrap_or(step_size);
        }
        rounded[filter] = metric.finish(&weights, chosen, step_size);
    }
}

/// The step with the least error of given levels: q^T H w / q^T H q.
fn fitted_step(form: &Array2<f64>, weights: &[f64], levels: &[i8]) -> Option<f64> {
    let q: Array1<f64> = levels.iter().map(|q| f64::from(*q)).collect();
    let product = form.dot(&q);
    let cross: f64 = product.iter().zip(weights).map(|(p, w)| p * w).sum();
    let square = product.dot(&q);
    (cross > 0.0 && square > 0.0).then(|| cross / square)
}

/// Filters in units of their steps.
struct Problem {
    /// Covariance, its mean diagonal being 12: independent rounding errors cost 1 a weight.
    form: Array2<f32>,
    /// The weights.
    wanted: Array2<f32>,
    base: Array2<f32>,
    span: Array2<f32>,
}

impl Problem {
    fn new(
        form: &Array2<f64>,
        target: &Array2<f64>,
        bits: &[u8],
        open: &[usize],
        rounded: &[RoundedFilter],
    ) -> Self {
        let scale = 12.0 * form.nrows() as f64 / form.diag().sum();
        let shape = (open.len(), form.nrows());
        // Single precision is ample for a choice between neighbours.
        #[allow(clippy::cast_possible_truncation)]
        let single = |value: f64| value as f32;
        let wanted = Array2::from_shape_fn(shape, |(row, input)| {
            single(target[[open[row], input]] / rounded[open[row]].step)
        });
        let ends = |row: usize| {
            let (low, high) = levels(bits[open[row]]);
            (f32::from(low), f32::from(high))
        };
        let span = Array2::from_shape_fn(
            shape,
            |(row, _)| if bits[open[row]] == 1 { 2.0 } else { 1.0 },
        );
        let base = Array2::from_shape_fn(shape, |(row, input)| {
            let (low, high) = ends(row);
            wanted[[row, input]]
                .floor()
                .clamp(low, high - span[[row, input]])
        });
        Self {
            form: form.mapv(|value| single(value * scale)),
            wanted,
            base,
            span,
        }
    }

    /// Which weights go up.
    fn solve(&self) -> Array2<bool> {
        let (low, high) = STRETCH;
        let width = high - low;
        let mut v = Zip::from(&self.wanted)
            .and(&self.base)
            .and(&self.span)
            .map_collect(|wanted, base, span| {
                let part = ((wanted - base) / span).clamp(0.01, 0.99);
                let sigmoid = (part - low) / width;
                (sigmoid / (1.0 - sigmoid)).ln()
            });
        let (mut mean, mut square) = (Array2::zeros(v.raw_dim()), Array2::zeros(v.raw_dim()));
        for update in 0..UPDATES {
            let sigmoid = v.mapv(|v: f32| 1.0 / (1.0 + (-v).exp()));
            let h = sigmoid.mapv(|s| (low + width * s).clamp(0.0, 1.0));
            let error = &self.base + &(&self.span * &h) - &self.wanted;
            let mut gradient = 2.0 * error.dot(&self.form) * &self.span;
            if update >= WARM_UP {
                let part = (update - WARM_UP) as f32 / (UPDATES - WARM_UP) as f32;
                let beta = BETA.0 + (BETA.1 - BETA.0) * part;
                gradient.zip_mut_with(&h, |g, h| {
                    let from_middle = 2.0 * h - 1.0;
                    let pull = beta * from_middle.abs().powf(beta - 1.0);
                    *g -= REGULARISER * 2.0 * pull * from_middle.signum();
                });
            }
            // Through h; a clipped h moves on by a little, lest it stay there for good.
            Zip::from(&mut gradient).and(&sigmoid).for_each(|g, s| {
                *g *= width * s * (1.0 - s);
            });
            adam(&mut v, &gradient, &mut mean, &mut square, update);
        }
        v.mapv(|v| v >= 0.0)
    }
}

fn adam(
    v: &mut Array2<f32>,
    gradient: &Array2<f32>,
    mean: &mut Array2<f32>,
    square: &mut Array2<f32>,
    update: usize,
) {
    let (keep_mean, keep_square) = (0.9_f32, 0.999_f32);
    // Updates are few.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    let count = update as i32 + 1;
    let mean_part = 1.0 - keep_mean.powi(count);
    let square_part = 1.0 - keep_square.powi(count);
    Zip::from(v)
        .and(gradient)
        .and(mean)
        .and(square)
        .for_each(|v, g, mean, square| {
            *mean = keep_mean * *mean + (1.0 - keep_mean) * g;
            *square = keep_square * *square + (1.0 - keep_square) * g * g;
            *v -= RATE * (*mean / mean_part) / ((*square / square_part).sqrt() + 1e-8);
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::filter::FilterMethod;

    fn weights(count: usize, filter: usize) -> Vec<f64> {
        (0..count)
            .map(|i| (((i + 31 * filter) * 37 % 101) as f64 - 50.0) / 40.0)
            .collect()
    }

    /// Learned rounding is far better than rounding to nearest, and near the best of 2^8 by enumeration.
    #[test]
    fn learned_rounding_is_near_the_best() {
        let count = 8;
        let form = Array2::from_shape_fn((count, count), |(i, j)| {
            1.0 + if i == j {
                0.3 + (i % 3) as f64 * 0.2
            } else {
                0.0
            }
        });
        let metric = Metric::full(form.view());
        let target = Array2::from_shape_fn((3, count), |(f, i)| weights(count, f)[i]);
        let bits = [3, 4, 2];
        let nearest = |filter: usize| {
            let row = target.row(filter).to_vec();
            metric.round(&row, bits[filter], FilterMethod::NEAREST)
        };
        let before: Vec<RoundedFilter> = (0..3).map(nearest).collect();
        let mut after = before.clone();
        reconstruct(&metric, &target, &bits, StepSearch::Nearest, &mut after);
        for filter in 0..3 {
            let (row, step) = (target.row(filter).to_vec(), before[filter].step);
            let (low, high) = levels(bits[filter]);
            let best = (0..1 << count)
                .map(|up: i32| {
                    let level = |i: usize| {
                        let base = (row[i] / step)
                            .floor()
                            .clamp(f64::from(low), f64::from(high) - 1.0);
                        base as i8 + (up >> i & 1) as i8
                    };
                    metric
                        .finish(&row, (0..count).map(level).collect(), step)
                        .error
                })
                .fold(f64::INFINITY, f64::min);
            let found = &after[filter];
            assert!(found.levels.iter().all(|q| (low..=high).contains(q)));
            assert!(
                found.error <= 1.5 * best,
                "{filter}: {} against {best}",
                found.error
            );
        }
        let sum = |filters: &[RoundedFilter]| filters.iter().map(|f| f.error).sum::<f64>();
        assert!(
            sum(&after) < 0.5 * sum(&before),
            "{after:?} from {before:?}"
        );
    }

    #[test]
    fn exact_and_pruned_filters_stay() {
        let form = Array2::<f64>::eye(4);
        let metric = Metric::full(form.view());
        let target = ndarray::array![[0.0, 1.0, 0.0, -1.0], [0.3, 0.2, 0.1, 0.4]];
        let bits = [2, 0];
        let before: Vec<RoundedFilter> = (0..2)
            .map(|f| metric.round(&target.row(f).to_vec(), bits[f], FilterMethod::FEEDBACK))
            .collect();
        let mut after = before.clone();
        reconstruct(&metric, &target, &bits, StepSearch::Output, &mut after);
        assert_eq!(before, after);
    }
}
