//! Data-free widths: the step of every filter is one global factor times the standard deviation of its
//! weights, and its width what the step needs to reach the largest weight.
//!
//! step_f = k std(w_f); b_f = ceil(log2(max|w_f| / step_f + 1)) + 1; k is the smallest that meets the
//! budget. Source: distribution-based filter-wise quantization (COOL Chips 2019), reconstructed.

use super::Options;
use super::sensitivity::LayerLoss;

/// Spread of one filter's weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    deviation: f64,
    largest: f64,
    /// All weights are 0 or 1 and some are 1: two bits are exact.
    selection: bool,
}

impl Spread {
    /// Of a filter's weights.
    pub(crate) fn of<'a>(weights: impl Iterator<Item = &'a f64> + Clone) -> Self {
        let count = weights.clone().count().max(1) as f64;
        let mean = weights.clone().sum::<f64>() / count;
        let variance = weights.clone().map(|w| (w - mean).powi(2)).sum::<f64>() / count;
        Self {
            deviation: variance.sqrt(),
            largest: weights
                .clone()
                .fold(0.0, |largest, w| f64::max(largest, w.abs())),
            selection: weights.clone().all(|w| *w == 0.0 || *w == 1.0),
        }
    }

    /// Width at the global factor `k`, within `low..=high`; a filter of zeros gets `low`.
    fn bits(self, k: f64, low: u8, high: u8) -> u8 {
        if self.largest == 0.0 {
            return low;
        }
        if self.selection {
            return 2.clamp(low, high);
        }
        // Weights that are all alike have no deviation: their size stands for it.
        let step = k * if self.deviation > 0.0 {
            self.deviation
        } else {
            self.largest
        };
        let bits = (self.largest / step + 1.0).log2().ceil() + 1.0;
        // Clamped into 0..=8 before the cast.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bits = bits.clamp(f64::from(low), f64::from(high)) as u8;
        bits
    }
}

/// Widths `[layer][filter]` whose `cost` is at most `limit`.
///
/// # Errors
/// What the smallest widths that the formula has cost, where that is more; `None` where that has no cost.
pub(crate) fn widths(
    losses: &[Option<LayerLoss>],
    limit: u64,
    options: &Options,
    cost: &dyn Fn(&[Vec<u8>]) -> Option<u64>,
) -> Result<Vec<Vec<u8>>, Option<u64>> {
    let at = |k: f64| -> Vec<Vec<u8>> {
        let bits = |loss: &LayerLoss| {
            loss.spread
                .iter()
                .map(|spread| spread.bits(k, options.bits_min, options.bits_max))
                .collect()
        };
        let layers = losses.iter();
        layers
            .map(|loss| loss.as_ref().map_or_else(Vec::new, bits))
            .collect()
    };
    // In powers of two; widths fall as k grows. 2^-20 gives every filter the largest width, 2^20 the
    // smallest that the formula has.
    let (mut low, mut high) = (-20.0_f64, 20.0_f64);
    let mut best = at(high.exp2());
    match cost(&best) {
        Some(cost) if cost <= limit => {}
        lowest => return Err(lowest),
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        let bits = at(middle.exp2());
        if bits == best {
            high = middle;
        } else if cost(&bits).is_some_and(|cost| cost <= limit) {
            (high, best) = (middle, bits);
        } else {
            low = middle;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_follows_the_formula() {
        let weights = [3.0, -1.0, 1.0, -3.0];
        let spread = Spread::of(weights.iter());
        assert!((spread.deviation - 5.0_f64.sqrt()).abs() < 1e-12);
        // step = 1: log2(3 / 1 + 1) = 2, and a sign.
        assert_eq!(spread.bits(1.0 / 5.0_f64.sqrt() * 1.000_001, 0, 8), 3);
        assert_eq!(spread.bits(1.0 / 5.0_f64.sqrt() * 0.999, 0, 8), 4);
        assert_eq!(spread.bits(1e-6, 0, 8), 8);
        assert_eq!(spread.bits(1e6, 0, 8), 2);
        assert_eq!(Spread::of([0.0, 0.0].iter()).bits(1.0, 0, 8), 0);
        assert_eq!(Spread::of([0.0, 1.0].iter()).bits(1e-6, 0, 8), 2);
        assert_eq!(Spread::of([0.5, 0.5].iter()).bits(1.0, 0, 8), 2);
    }
}
