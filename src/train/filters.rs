//! The fake quantizers of a filter: real weights to the integers that are emitted, and the gradients that
//! are propagated through the rounding.
//!
//! With step d, and weights in steps u = w / d:
//!
//! - a filter of fixed width rounds to its levels l..=h ([`crate::quant::filter::levels`]). Within
//!   l - 1/2 <= u <= h + 1/2: dQ/dw = 1, dQ/dd = (Q - w) / d; outside: dQ/dw = 0, dQ/dd = l or h
//!   (Esser et al., LSQ, ICLR 2020). At one bit Q = +d or -d: dQ/dd = Q / d, and dQ/dw = 1 for |u| <= 1.
//! - a filter of learned width rounds to -M..=M with M = round(m / d) and the learned range m. Within
//!   |w| <= d M: dQ/dw = 1, dQ/dd = (Q - w) / d; outside: dQ/dm = sign(w) (Uhlich et al., ICLR 2020). Its width is
//!   b = ceil(log2(m / d + 1)) + 1, and 0 where M = 0; db/dm = 1 / (ln 2 (m + d)), db/dd = -(m / d) of that,
//!   straight through the ceiling.

use crate::quant::filter::{levels, nearest_level};

/// Levels of a filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grid {
    /// All levels of a width, 0..=8.
    Fixed(u8),
    /// As many as the learned range (real, positive) holds.
    Learned {
        /// Real value of the largest level, before it is rounded to a whole number of steps.
        range: f32,
    },
}

/// Largest range of a learned filter, in steps: eight bits.
pub const RANGE_STEPS_MAX: f32 = 127.0;

/// Gradient of a loss with respect to what a filter learns.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepGradient {
    /// By the step.
    pub step: f64,
    /// By the range; 0 for a fixed width.
    pub range: f64,
}

impl Grid {
    /// Lowest and highest level at this step.
    #[must_use]
    pub fn ends(self, step: f32) -> (i8, i8) {
        match self {
            Self::Fixed(bits) => levels(bits),
            Self::Learned { range } => {
                // Within i8 by the clamp; NaN becomes 0.
                #[allow(clippy::cast_possible_truncation)]
                let most = (range / step).round().clamp(0.0, RANGE_STEPS_MAX) as i8;
                (-most, most)
            }
        }
    }

    /// The filter's width.
    #[must_use]
    pub fn bits(self, step: f32) -> u8 {
        match self {
            Self::Fixed(bits) => bits,
            Self::Learned { .. } if self.ends(step).1 == 0 => 0,
            Self::Learned { range } => {
                let steps = (range / step).min(RANGE_STEPS_MAX);
                // 2..=8: the range has at least half a step.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let bits = ((steps + 1.0).log2().ceil() + 1.0).clamp(2.0, 8.0) as u8;
                bits
            }
        }
    }

    /// The integer of one weight.
    #[must_use]
    pub fn level(self, weight: f32, step: f32) -> i8 {
        let steps = f64::from(weight) / f64::from(step);
        match self {
            Self::Fixed(bits) => nearest_level(steps, bits),
            Self::Learned { .. } => {
                let (low, high) = self.ends(step);
                nearest_level(steps, 8).clamp(low, high)
            }
        }
    }

    /// Turns the gradients by the rounded weights into gradients by the weights, in place, and returns
    /// those by step and range.
    #[must_use]
    pub fn backward(self, weights: &[f32], step: f32, gradients: &mut [f32]) -> StepGradient {
        let mut total = StepGradient::default();
        let (low, high) = self.ends(step);
        let (low, high) = (f32::from(low), f32::from(high));
        for (weight, gradient) in weights.iter().zip(gradients) {
            let steps = weight / step;
            let level = f32::from(self.level(*weight, step));
            let given = f64::from(*gradient);
            match self {
                Self::Fixed(0) => *gradient = 0.0,
                Self::Fixed(1) => {
                    total.step += given * f64::from(level);
                    if steps.abs() > 1.0 {
                        *gradient = 0.0;
                    }
                }
                Self::Fixed(_) if steps < low - 0.5 || steps > high + 0.5 => {
                    total.step += given * f64::from(level);
                    *gradient = 0.0;
                }
                Self::Learned { .. } if steps < low || steps > high => {
                    total.range += given * f64::from(weight.signum());
                    *gradient = 0.0;
                }
                _ => total.step += given * f64::from(level - steps),
            }
        }
        total
    }

    /// Gradient of the width, straight through its ceiling; 0 for a fixed one.
    #[must_use]
    pub fn bits_gradient(self, step: f32) -> StepGradient {
        match self {
            Self::Fixed(_) => StepGradient::default(),
            Self::Learned { range } => {
                let (range, step) = (f64::from(range), f64::from(step));
                let by_range = 1.0 / (std::f64::consts::LN_2 * (range + step));
                StepGradient {
                    step: -by_range * range / step,
                    range: by_range,
                }
            }
        }
    }
}

/// A real weight that rounds to `level`, on the side of `weight`: training starts from integers that were not
/// found by rounding to nearest, and that a little noise must not undo. Half the way to `weight`, and at
/// least a quarter of a step from where the rounding changes.
#[must_use]
pub fn weight_behind(weight: f32, level: i8, step: f32, bits: u8) -> f32 {
    let level = f32::from(level);
    if bits == 1 {
        return level * (weight * level).clamp(0.25 * step, step);
    }
    let distance = weight / step - level;
    step * (level + (0.5 * distance).clamp(-0.25, 0.25))
}
