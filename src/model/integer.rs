//! The integer network: the one intermediate representation. Left of it everything is about
//! accuracy; right of it everything is exact.
//!
//! Activations are bytes `u` in 0..=255 with `real = scale * (u - zero_point)`. TFLite's int8 `q` is
//! stored as `u = q + 128`; its zero point moves with it.

use ndarray::{Array1, Array4};
use serde::{Deserialize, Serialize};

pub use super::float::{ConvolutionKind, InputTransform, Shape, TensorId, Window};

/// Rounding family of every requantization in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// Saturating rounding doubling high multiply, then rounding divide by a power of two with ties
    /// away from zero (gemmlowp; TFLite reference kernels, CMSIS-NN).
    Double,
    /// One rounding of the 64-bit product, ties upwards.
    Single,
}

/// A positive real factor `mantissa * 2^(shift - 31)`, as TFLite has it: `mantissa` is 0 or in
/// `2^30..2^31`; `shift > 0` multiplies by `2^shift` before, `shift < 0` divides after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiplier {
    /// 31-bit mantissa.
    pub mantissa: i32,
    /// Exponent.
    pub shift: i32,
}

impl Multiplier {
    /// The nearest multiplier to a real factor (TFLite's `QuantizeMultiplier`). Factors below
    /// 2^-32 become zero.
    #[must_use]
    pub fn from_real(factor: f64) -> Self {
        if factor <= 0.0 || !factor.is_finite() {
            return Self {
                mantissa: 0,
                shift: 0,
            };
        }
        let mut shift = 0_i32;
        let mut fraction = factor;
        while fraction >= 1.0 {
            fraction /= 2.0;
            shift += 1;
        }
        while fraction < 0.5 {
            fraction *= 2.0;
            shift -= 1;
        }
        let mut mantissa = (fraction * 2f64.powi(31)).round();
        if mantissa >= 2f64.powi(31) {
            mantissa /= 2.0;
            shift += 1;
        }
        if shift < -31 {
            return Self {
                mantissa: 0,
                shift: 0,
            };
        }
        // In 2^30..2^31 by construction.
        #[allow(clippy::cast_possible_truncation)]
        Self {
            mantissa: mantissa as i32,
            shift,
        }
    }

    /// The real factor.
    #[must_use]
    pub fn to_real(self) -> f64 {
        f64::from(self.mantissa) * 2f64.powi(self.shift - 31)
    }
}

/// An activation of an integer network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegerTensor {
    /// Name from the source file.
    pub name: String,
    /// Shape of one image.
    pub shape: Shape,
    /// Real value of one step.
    pub scale: f32,
    /// The byte that stands for 0.0; in 0..=255.
    pub zero_point: i32,
}

/// Convolution, depthwise convolution or fully connected layer on integers:
/// `u_out = clamp(z_out + requantize(sum (u_in - z_in) * w + bias))`, padding filled with `z_in`.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerConvolution {
    /// Connection pattern.
    pub kind: ConvolutionKind,
    /// Window.
    pub window: Window,
    /// `[out, row, column, in]` (`in` = 1 for depthwise). Filter `f`'s values lie in the two's
    /// complement range of `bits[f]`; with `bits[f]` = 0 all are 0; with 1 each is -1 or +1.
    pub weights: Array4<i8>,
    /// Width of each filter, 0..=8.
    pub bits: Vec<u8>,
    /// Real value of one weight step, a filter.
    pub weight_scale: Vec<f32>,
    /// Bias in accumulator units, a filter.
    pub bias: Array1<i32>,
    /// Accumulator to output steps, a filter.
    pub multiplier: Vec<Multiplier>,
    /// Lowest output byte (fused activation).
    pub clamp_low: u8,
    /// Highest output byte.
    pub clamp_high: u8,
}

/// What a layer computes, on bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum IntegerOp {
    /// Convolution, depthwise convolution, fully connected.
    Convolution(Box<IntegerConvolution>),
    /// TFLite int8 ADD: each input is `(u - z) << 20`, scaled by its multiplier (shift <= 0), the sum
    /// scaled by the output's.
    Add {
        /// Multipliers of the two inputs.
        input: [Multiplier; 2],
        /// Multiplier of the sum.
        output: Multiplier,
        /// Lowest output byte.
        clamp_low: u8,
        /// Highest output byte.
        clamp_high: u8,
    },
    /// TFLite int8 AVERAGE_POOL_2D: sum of `u - 128` over the pixels inside the image, divided by
    /// their count, rounded to nearest with ties away from zero. Input and output share scale and zero point.
    AveragePool {
        /// Window.
        window: Window,
        /// Lowest output byte.
        clamp_low: u8,
        /// Highest output byte.
        clamp_high: u8,
    },
    /// Maximum over the pixels inside the image. Input and output share scale and zero point.
    MaxPool {
        /// Window.
        window: Window,
        /// Lowest output byte.
        clamp_low: u8,
        /// Highest output byte.
        clamp_high: u8,
    },
    /// Mean over rows and columns with rescaling (TFLite int8 MEAN):
    /// `u_out = clamp(z_out + requantize(sum (u_in - z_in)))`, `multiplier` = s_in / (s_out * count).
    GlobalAverage {
        /// Sum to output steps.
        multiplier: Multiplier,
    },
    /// The same bytes under another shape (row-major `[h, w, c]`).
    Reshape,
    /// Softmax over channels, on the host; output scale 1/256, zero point 0 (int8: -128).
    Softmax,
}

/// One layer of an integer network.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerLayer {
    /// Unique name.
    pub name: String,
    /// What it computes.
    pub op: IntegerOp,
    /// Inputs in order.
    pub inputs: Vec<TensorId>,
    /// Output.
    pub output: TensorId,
}

/// A network on integers, with a bit width for every filter; layers in execution order.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerNetwork {
    /// Name (file stem).
    pub name: String,
    /// Rounding of every requantization.
    pub rounding: Rounding,
    /// Activations.
    pub tensors: Vec<IntegerTensor>,
    /// Layers in execution order.
    pub layers: Vec<IntegerLayer>,
    /// The input activation.
    pub input: TensorId,
    /// The output activation.
    pub output: TensorId,
    /// Dataset bytes to the network's real input.
    pub input_transform: InputTransform,
}

impl IntegerNetwork {
    /// Multiply-accumulates of one layer for one image, those on padding included; 0 for layers that are
    /// not convolutions.
    #[must_use]
    pub fn layer_macs(&self, layer: &IntegerLayer) -> u64 {
        let IntegerOp::Convolution(convolution) = &layer.op else {
            return 0;
        };
        let output = self.tensors[layer.output].shape;
        let macs = output.height * output.width * convolution.weights.len();
        u64::try_from(macs).unwrap_or(u64::MAX)
    }

    /// Multiply-accumulates of all layers for one image.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| self.layer_macs(layer)).sum()
    }
}

impl IntegerConvolution {
    /// Number of filters (output channels).
    #[must_use]
    pub fn filters(&self) -> usize {
        self.weights.dim().0
    }

    /// Weights of one filter.
    #[must_use]
    pub fn weights_per_filter(&self) -> usize {
        let (_, rows, columns, inputs) = self.weights.dim();
        rows * columns * inputs
    }
}

/// The smallest width that holds every weight of a filter: 0 if all are zero, 1 if each is -1 or +1,
/// else the smallest `b` in 2..=8 with every value in `-2^(b-1)..2^(b-1)`.
#[must_use]
pub fn filter_width(weights: impl IntoIterator<Item = i8>) -> u8 {
    let (mut low, mut high, mut zero) = (0_i8, 0_i8, false);
    for weight in weights {
        low = low.min(weight);
        high = high.max(weight);
        zero |= weight == 0;
    }
    if low == 0 && high == 0 {
        return 0;
    }
    if !zero && low >= -1 && high <= 1 {
        return 1;
    }
    // `!low` = -low - 1: both ends need this many magnitude bits under the sign.
    let magnitude = high.max(if low < 0 { !low } else { 0 });
    let bits = 8 - magnitude.leading_zeros() + 1;
    u8::try_from(bits.max(2)).unwrap_or(8)
}

/// Whether a filter of this width can have these weights: none but 0 at width 0, -1 and +1 at width 1, the
/// two's complement range at 2..=8. A wider filter than [`filter_width`] is allowed.
#[must_use]
pub fn width_holds(bits: u8, weights: impl IntoIterator<Item = i8>) -> bool {
    match bits {
        1 => weights
            .into_iter()
            .all(|weight| weight == 1 || weight == -1),
        0..=8 => filter_width(weights) <= bits,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_the_smallest_width_that_holds_it() {
        let cases: [(&[i8], u8); 11] = [
            (&[], 0),
            (&[0, 0], 0),
            (&[1, -1], 1),
            (&[1, 1], 1),
            (&[1, 0], 2),
            (&[1, -2], 2),
            (&[2, 0], 3),
            (&[-4, 3], 3),
            (&[-5, 3], 4),
            (&[64], 8),
            (&[-128], 8),
        ];
        for (weights, width) in cases {
            assert_eq!(filter_width(weights.iter().copied()), width, "{weights:?}");
            assert!(width_holds(width, weights.iter().copied()));
        }
    }
}
