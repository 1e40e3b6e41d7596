//! Fixed-point factors as TFLite's kernels derive them from the file's scales. Where a kernel multiplies or
//! divides in single precision before it widens, so do we: the low bits of a mantissa depend on it.

use super::operators::Activation;
use crate::model::float::ConvolutionKind;
use crate::model::integer::Multiplier;

/// Bits that ADD shifts its inputs up by.
const ADD_LEFT_SHIFT: u32 = 20;

/// Multipliers of a (depthwise) convolution or a fully connected layer, one a filter. A fully connected
/// layer with a single weight scale multiplies the input and the weight scale in single precision.
pub(super) fn convolution(
    kind: ConvolutionKind,
    input: f32,
    weights: &[f32],
    per_channel: bool,
    output: f32,
) -> Vec<Multiplier> {
    let single = kind == ConvolutionKind::FullyConnected && !per_channel;
    weights
        .iter()
        .map(|weight| {
            let product = if single {
                f64::from(input * weight)
            } else {
                f64::from(input) * f64::from(*weight)
            };
            Multiplier::from_real(product / f64::from(output))
        })
        .collect()
}

/// Multipliers of ADD's inputs and of their sum; `None` if the sum's is not below 1, which TFLite refuses.
pub(in crate::model) fn add(
    inputs: [f32; 2],
    output: f32,
) -> Option<([Multiplier; 2], Multiplier)> {
    let twice_largest = 2.0 * f64::from(inputs[0].max(inputs[1]));
    let sum = twice_largest / (f64::from(1_u32 << ADD_LEFT_SHIFT) * f64::from(output));
    let input = inputs.map(|scale| Multiplier::from_real(f64::from(scale) / twice_largest));
    let sum = (sum < 1.0)
        .then(|| Multiplier::from_real(sum))
        .filter(|sum| sum.shift <= 0)?;
    Some((input, sum))
}

/// Multiplier of MEAN over `count` pixels. TFLite divides the mantissa of s_in / s_out by the count, so
/// the mantissa may lie below 2^30.
pub(crate) fn mean(input: f32, output: f32, count: usize) -> Multiplier {
    let factor = rescale(input, output);
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    let count_bits = i32::try_from(count.ilog2()).unwrap_or(32);
    let shift = count_bits.min(32).min(31 + factor.shift).max(0);
    let mantissa = (i64::from(factor.mantissa) << shift) / i64::try_from(count).unwrap_or(i64::MAX);
    Multiplier {
        mantissa: i32::try_from(mantissa).unwrap_or(i32::MAX),
        shift: factor.shift - shift,
    }
}

/// Multiplier of QUANTIZE between two quantized tensors.
pub(super) fn rescale(input: f32, output: f32) -> Multiplier {
    Multiplier::from_real(f64::from(input) / f64::from(output))
}

/// Multiplier of a RELU, RELU6 or RELU_N1_TO_1 that stands alone.
pub(super) fn standalone_activation(input: f32, output: f32) -> Multiplier {
    Multiplier::from_real(f64::from(input / output))
}

/// Lowest and highest output byte under an activation.
pub(super) fn clamp(activation: Activation, scale: f32, zero_point: i32) -> (u8, u8) {
    let byte = |real: f32, unbounded: u8| {
        if real.is_infinite() {
            return unbounded;
        }
        let steps = (real / scale).round().clamp(-1024.0, 1024.0);
        // Within -1024..=1024 by the clamp.
        #[allow(clippy::cast_possible_truncation)]
        let steps = steps as i32;
        u8::try_from((zero_point + steps).clamp(0, 255)).unwrap_or(unbounded)
    };
    let (low, high) = activation.bounds();
    (byte(low, 0), byte(high, 255))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_input_of_add_is_halved() {
        let ([first, second], sum) = add([0.5, 0.25], 0.5).expect("in range");
        assert_eq!(
            first,
            Multiplier {
                mantissa: 1 << 30,
                shift: 0
            }
        );
        assert_eq!(
            second,
            Multiplier {
                mantissa: 1 << 30,
                shift: -1
            }
        );
        assert_eq!(
            sum,
            Multiplier {
                mantissa: 1 << 30,
                shift: -18
            }
        );
        assert_eq!(add([1.0, 1.0], 1e-9), None);
    }

    #[test]
    fn mean_divides_the_mantissa_by_the_count() {
        // Equal scales: 1.0 = 2^30 * 2^(1 - 31). Over 9 pixels: 2^30 * 8 / 9.
        let multiplier = mean(0.1, 0.1, 9);
        assert_eq!(
            multiplier,
            Multiplier {
                mantissa: 954_437_176,
                shift: -2
            }
        );
        assert_eq!(
            mean(0.1, 0.1, 16),
            Multiplier {
                mantissa: 1 << 30,
                shift: -3
            }
        );
    }

    #[test]
    fn a_single_weight_scale_of_a_fully_connected_layer_is_applied_in_single_precision() {
        let (input, weight, output) = (0.127_069_15_f32, 0.030_554_39_f32, 0.171_853_5_f32);
        let of = |kind, per_channel| convolution(kind, input, &[weight], per_channel, output)[0];
        let double = of(ConvolutionKind::Dense, false);
        assert_eq!(double, of(ConvolutionKind::FullyConnected, true));
        let single = of(ConvolutionKind::FullyConnected, false);
        assert_eq!(single.to_real(), {
            Multiplier::from_real(f64::from(input * weight) / f64::from(output)).to_real()
        });
        assert_ne!(single, double);
    }

    #[test]
    fn activations_clamp_at_their_bytes() {
        assert_eq!(clamp(Activation::None, 0.1, 7), (0, 255));
        assert_eq!(clamp(Activation::Relu, 0.1, 7), (7, 255));
        assert_eq!(clamp(Activation::Relu6, 0.1, 7), (7, 67));
        assert_eq!(clamp(Activation::ReluN1To1, 0.1, 128), (118, 138));
        assert_eq!(clamp(Activation::Relu6, 1e-30, 0), (0, 255));
    }
}
