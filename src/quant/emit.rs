//! The integer network, from rounded filters and activation scales.

use ndarray::{Array1, Array4};

use super::range::Affine;
use crate::model::float::{Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, Window};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Multiplier,
    Rounding,
};

/// The integers of one convolution, before its requantization is known.
#[derive(Debug, Clone)]
pub(crate) struct RoundedConvolution {
    pub(crate) weights: Array4<i8>,
    pub(crate) bits: Vec<u8>,
    /// Real value of one weight step, a filter.
    pub(crate) step: Vec<f32>,
    /// In accumulator units.
    pub(crate) bias: Array1<i32>,
}

/// Largest magnitude of a bias: leaves the accumulator room for the products.
const BIAS_MAX: f64 = (1_u32 << 30) as f64;

/// `bias / unit` rounded to the nearest accumulator unit, at most 2^30 in magnitude.
#[must_use]
pub(crate) fn round_bias(bias: f64, unit: f64) -> i32 {
    // Clamped into i32 before the cast.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = (bias / unit).round().clamp(-BIAS_MAX, BIAS_MAX) as i32;
    rounded
}

/// The step of a filter of zeros: its bias is kept to 1/256 of an output step.
#[must_use]
pub(crate) fn step_of_zeros(input: Affine, output: Affine) -> f32 {
    output.scale / (input.scale * 256.0)
}

/// The smallest step at which a filter with this bias fits the accumulator.
#[must_use]
pub(crate) fn smallest_step(bias: f64, input: Affine) -> f64 {
    bias.abs() / (BIAS_MAX * f64::from(input.scale))
}

/// Puts the network together; `rounded` holds the integers of each convolution layer.
pub(crate) fn network(
    source: &FloatNetwork,
    affine: &[Affine],
    rounded: &[Option<RoundedConvolution>],
    rounding: Rounding,
) -> IntegerNetwork {
    let tensors = source
        .tensors
        .iter()
        .zip(affine)
        .map(|(tensor, affine)| IntegerTensor {
            name: tensor.name.clone(),
            shape: tensor.shape,
            scale: affine.scale,
            zero_point: affine.zero_point,
        })
        .collect();
    let layers = source
        .layers
        .iter()
        .zip(rounded)
        .map(|(layer, rounded)| IntegerLayer {
            name: layer.name.clone(),
            op: operation(source, layer, affine, rounded.as_ref()),
            inputs: layer.inputs.clone(),
            output: layer.output,
        })
        .collect();
    IntegerNetwork {
        name: source.name.clone(),
        rounding,
        tensors,
        layers,
        input: source.input,
        output: source.output,
        input_transform: source.input_transform.clone(),
    }
}

fn operation(
    network: &FloatNetwork,
    layer: &FloatLayer,
    affine: &[Affine],
    rounded: Option<&RoundedConvolution>,
) -> IntegerOp {
    let output = affine[layer.output];
    let input = affine[layer.inputs[0]];
    let (clamp_low, clamp_high) = clamp_bytes(Clamp::NONE, output);
    match &layer.op {
        FloatOp::Convolution {
            kind,
            window,
            weights,
            clamp,
            ..
        } => {
            // Every convolution has been rounded; an empty filter bank stands for none.
            let empty = RoundedConvolution {
                weights: Array4::zeros(weights.dim()),
                bits: vec![0; weights.dim().0],
                step: vec![step_of_zeros(input, output); weights.dim().0],
                bias: Array1::zeros(weights.dim().0),
            };
            let rounded = rounded.unwrap_or(&empty);
            IntegerOp::Convolution(Box::new(convolution(
                *kind, *window, *clamp, rounded, input, output,
            )))
        }
        FloatOp::Add { clamp } => add(*clamp, [input, affine[layer.inputs[1]]], output),
        FloatOp::AveragePool { window } => IntegerOp::AveragePool {
            window: *window,
            clamp_low,
            clamp_high,
        },
        FloatOp::MaxPool { window } => IntegerOp::MaxPool {
            window: *window,
            clamp_low,
            clamp_high,
        },
        FloatOp::GlobalAverage => {
            let shape = network.tensors[layer.inputs[0]].shape;
            let count = (shape.height * shape.width) as f64;
            let factor = f64::from(input.scale) / (f64::from(output.scale) * count);
            IntegerOp::GlobalAverage {
                multiplier: Multiplier::from_real(factor),
            }
        }
        FloatOp::Reshape => IntegerOp::Reshape,
        FloatOp::Softmax => IntegerOp::Softmax,
    }
}

fn convolution(
    kind: ConvolutionKind,
    window: Window,
    clamp: Clamp,
    rounded: &RoundedConvolution,
    input: Affine,
    output: Affine,
) -> IntegerConvolution {
    let factor = |step: &f32| {
        Multiplier::from_real(f64::from(input.scale) * f64::from(*step) / f64::from(output.scale))
    };
    let (clamp_low, clamp_high) = clamp_bytes(clamp, output);
    IntegerConvolution {
        kind,
        window,
        weights: rounded.weights.clone(),
        bits: rounded.bits.clone(),
        weight_scale: rounded.step.clone(),
        bias: rounded.bias.clone(),
        multiplier: rounded.step.iter().map(factor).collect(),
        clamp_low,
        clamp_high,
    }
}

/// TFLite's factors of an int8 ADD: both inputs on twice the larger scale, 20 bits up.
fn add(clamp: Clamp, inputs: [Affine; 2], output: Affine) -> IntegerOp {
    let scales = inputs.map(|input| f64::from(input.scale));
    let common = 2.0 * scales[0].max(scales[1]);
    let (clamp_low, clamp_high) = clamp_bytes(clamp, output);
    let sum = common / (f64::from(1_u32 << 20) * f64::from(output.scale));
    IntegerOp::Add {
        input: scales.map(|scale| Multiplier::from_real(scale / common)),
        output: Multiplier::from_real(sum),
        clamp_low,
        clamp_high,
    }
}

/// A real clamp on the bytes of an activation.
fn clamp_bytes(clamp: Clamp, output: Affine) -> (u8, u8) {
    let byte = |real: f32| {
        let level = (real / output.scale).round() + output.zero_point as f32;
        // Clamped into 0..=255 before the cast.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let byte = level.clamp(0.0, 255.0) as u8;
        byte
    };
    (byte(clamp.low), byte(clamp.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamps_become_bytes() {
        let output = Affine {
            scale: 0.05,
            zero_point: 100,
        };
        assert_eq!(clamp_bytes(Clamp::NONE, output), (0, 255));
        assert_eq!(clamp_bytes(Clamp::RELU, output), (100, 255));
        assert_eq!(clamp_bytes(Clamp::RELU6, output), (100, 220));
    }

    #[test]
    fn add_factors_are_those_of_tflite() {
        let affine = |scale| Affine {
            scale,
            zero_point: 0,
        };
        let IntegerOp::Add { input, output, .. } =
            add(Clamp::NONE, [affine(0.5), affine(0.125)], affine(1.0))
        else {
            panic!("an addition");
        };
        assert_eq!(input[0].to_real(), 0.5);
        assert_eq!(input[1].to_real(), 0.125);
        assert_eq!(output.to_real(), 2f64.powi(-20));
    }
}
