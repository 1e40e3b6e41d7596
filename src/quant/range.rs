//! Activation ranges: what was observed, and the scale and zero point chosen from it.

use ndarray::Array3;

/// How the range that 256 levels span is chosen from the observed activations.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeMethod {
    /// Smallest to largest observed value.
    MinMax,
    /// Cuts off this part of the values at each end that is not 0 (such as 1e-4).
    Percentile(f64),
    /// The range with the least mean squared error, rounding and clipping together.
    Mse,
}

/// Scale and zero point of an activation: `real = scale * (byte - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Real value of one step; positive.
    pub scale: f32,
    /// Byte of 0.0, in 0..=255.
    pub zero_point: i32,
}

impl Affine {
    /// 256 levels over `low..=high`, widened to hold 0, which gets a byte of its own. An empty range
    /// gets scale 1.
    #[must_use]
    pub fn from_range(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low) / 255.0;
        // Below the smallest normal f32 the scale cannot be stored.
        if scale < f64::from(f32::MIN_POSITIVE) {
            return Self {
                scale: 1.0,
                zero_point: 0,
            };
        }
        // The quotient is within 0..=255.
        #[allow(clippy::cast_possible_truncation)]
        let (scale, zero_point) = (
            scale as f32,
            (-low / scale).round().clamp(0.0, 255.0) as i32,
        );
        Self { scale, zero_point }
    }

    /// The representable value nearest to `real`.
    #[must_use]
    pub fn snap(self, real: f32) -> f32 {
        let zero = self.zero_point as f32;
        let level = (real / self.scale).round() + zero;
        self.scale * (level.clamp(0.0, 255.0) - zero)
    }
}

/// Bins on either side of 0.
const BINS: usize = 8192;

/// What one activation took as values. Bins are a power of two wide and begin at 0, so that the histograms of
/// several images add up to that of all, in whatever order.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Smallest value.
    pub low: f32,
    /// Largest value.
    pub high: f32,
    /// The width of a bin is 2 to this.
    exponent: i32,
    /// Occurrences in bins from -`BINS` to `BINS`.
    counts: Vec<u64>,
}

impl Histogram {
    /// Of all elements of an image. `None` when one is not finite, or there are none.
    #[must_use]
    pub fn observe(image: &Array3<f32>) -> Option<Self> {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for value in image {
            // min and max drop NaN.
            if !value.is_finite() {
                return None;
            }
            (low, high) = (low.min(*value), high.max(*value));
        }
        if low > high {
            return None;
        }
        // The largest magnitude is below 2 to the exponent that its f32 has, and one.
        let magnitude = high.max(-low).max(f32::MIN_POSITIVE);
        let exponent = i32::from((magnitude.to_bits() >> 23) as u8) - 127 + 1 - BINS.ilog2() as i32;
        let per_bin = 2.0_f64.powi(-exponent);
        let mut counts = vec![0; 2 * BINS];
        for value in image {
            // -BINS <= bin < BINS.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bin = ((f64::from(*value) * per_bin).floor() + BINS as f64) as usize;
            counts[bin.min(2 * BINS - 1)] += 1;
        }
        Some(Self {
            low,
            high,
            exponent,
            counts,
        })
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        let exponent = self.exponent.max(other.exponent);
        let mut counts = vec![0; 2 * BINS];
        for from in [&*self, other] {
            let halvings = (exponent - from.exponent).unsigned_abs().min(31);
            for (bin, count) in from.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                // Bins are few: far inside i32, and back inside 0..2 BINS.
                #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
                let bin = ((bin as i32 - BINS as i32) >> halvings) + BINS as i32;
                counts[bin.unsigned_abs() as usize] += count;
            }
        }
        *self = Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            exponent,
            counts,
        };
    }

    fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let width = 2.0_f64.powi(self.exponent);
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(move |(bin, count)| {
                let centre = (bin as f64 - BINS as f64 + 0.5) * width;
                (centre.clamp(low, high), *count)
            })
    }

    /// Sum of squared differences to the nearest representable value.
    fn error(&self, affine: Affine) -> f64 {
        let (scale, zero) = (f64::from(affine.scale), f64::from(affine.zero_point));
        self.bins()
            .map(|(value, count)| {
                let level = ((value / scale).round() + zero).clamp(0.0, 255.0);
                (value - scale * (level - zero)).powi(2) * count as f64
            })
            .sum()
    }

    fn percentile(&self, part: f64) -> (f64, f64) {
        let total: u64 = self.counts.iter().sum();
        let cut = part.clamp(0.0, 0.5) * total as f64;
        let from = |bins: &mut dyn Iterator<Item = (f64, u64)>, end: f64| {
            let mut seen = 0.0;
            for (value, count) in bins {
                seen += count as f64;
                if seen > cut {
                    return value;
                }
            }
            end
        };
        let mut bins: Vec<(f64, u64)> = self.bins().collect();
        let low = from(&mut bins.clone().into_iter(), f64::from(self.low));
        bins.reverse();
        (low, from(&mut bins.into_iter(), f64::from(self.high)))
    }
}

/// The one scale and zero point for activations that share them (one histogram each).
#[must_use]
pub fn choose(observed: &[&Histogram], method: RangeMethod) -> Affine {
    let (low, high) = observed
        .iter()
        .fold((0.0_f64, 0.0_f64), |(low, high), histogram| {
            let (l, h) = match method {
                RangeMethod::Percentile(part) => histogram.percentile(part),
                _ => (f64::from(histogram.low), f64::from(histogram.high)),
            };
            (low.min(l), high.max(h))
        });
    let widest = Affine::from_range(low, high);
    if method != RangeMethod::Mse {
        return widest;
    }
    let error = |affine| {
        observed
            .iter()
            .map(|histogram| histogram.error(affine))
            .sum::<f64>()
    };
    let mut best = (error(widest), (low, high));
    // Both ends together, then each end by itself.
    for end in 0..3 {
        let (low, high) = best.1;
        for percent in 30..100 {
            let part = f64::from(percent) / 100.0;
            let range = match end {
                0 => (low * part, high * part),
                1 => (low * part, high),
                _ => (low, high * part),
            };
            let next = error(Affine::from_range(range.0, range.1));
            if next < best.0 {
                best = (next, range);
            }
        }
    }
    Affine::from_range(best.1.0, best.1.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(values: Vec<f32>) -> Array3<f32> {
        let channels = values.len();
        Array3::from_shape_vec((1, 1, channels), values).expect("one pixel")
    }

    #[test]
    fn zero_is_a_byte() {
        for (low, high) in [
            (0.0, 255.0),
            (-1.0, 3.0),
            (-2.0, -1.0),
            (0.5, 7.0),
            (-1e-3, 1e6),
        ] {
            let affine = Affine::from_range(low, high);
            assert!((0..=255).contains(&affine.zero_point));
            assert_eq!(affine.snap(0.0), 0.0);
        }
        assert_eq!(
            Affine::from_range(0.0, 255.0),
            Affine {
                scale: 1.0,
                zero_point: 0
            }
        );
        assert_eq!(Affine::from_range(0.5, 7.0).zero_point, 0);
        assert_eq!(Affine::from_range(-2.0, -1.0).zero_point, 255);
        assert_eq!(
            Affine::from_range(0.0, 0.0),
            Affine {
                scale: 1.0,
                zero_point: 0
            }
        );
    }

    #[test]
    fn an_outlier_is_clipped_when_that_pays() {
        let mut values: Vec<f32> = (0..600_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        values.push(3.0);
        let histogram = Histogram::observe(&image(values)).expect("finite");
        assert!((choose(&[&histogram], RangeMethod::MinMax).scale - 3.0 / 255.0).abs() < 1e-6);
        let mse = choose(&[&histogram], RangeMethod::Mse).scale * 255.0;
        assert!((0.99..2.0).contains(&mse), "{mse}");
        let percentile = choose(&[&histogram], RangeMethod::Percentile(1e-3)).scale * 255.0;
        assert!((0.98..1.01).contains(&percentile), "{percentile}");
    }

    #[test]
    fn not_finite_is_seen() {
        assert!(Histogram::observe(&image(vec![0.0, f32::NAN, 1.0])).is_none());
        assert!(Histogram::observe(&image(vec![f32::INFINITY])).is_none());
        assert!(Histogram::observe(&image(vec![])).is_none());
    }

    /// In any order, and with bins that hold all values.
    #[test]
    fn histograms_add_up() {
        let parts = [
            vec![0.0, -0.0, 1e-30],
            vec![-3.0, 2.5, 0.75],
            vec![1023.9, 1024.0, -7.0],
        ];
        let merged = |order: [usize; 3]| {
            let mut each = order.map(|part| Histogram::observe(&image(parts[part].clone())));
            let mut sum = each[0].take().expect("finite");
            each.iter().flatten().for_each(|next| sum.merge(next));
            sum
        };
        let all = Histogram::observe(&image(parts.concat())).expect("finite");
        assert_eq!((all.low, all.high), (-7.0, 1024.0));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            assert_eq!(merged(order), all);
        }
        let mut sorted = parts.concat();
        sorted.sort_by(f32::total_cmp);
        let width = 2.0_f64.powi(all.exponent);
        let seen: Vec<(f64, u64)> = all.bins().collect();
        let near = |value: f32| {
            let value = f64::from(value);
            seen.iter().any(|(bin, _)| (bin - value).abs() <= width)
        };
        assert!(sorted.into_iter().all(near) && width < 0.3);
        assert_eq!(seen.iter().map(|(_, count)| count).sum::<u64>(), 9);
    }
}
