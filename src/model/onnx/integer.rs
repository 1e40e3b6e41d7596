//! From the layers of a quantized file to an integer network.

use std::collections::HashMap;

use ndarray::{Array1, Array4};

use super::Error;
use super::import::{ActivationQuantization, Imported, WeightQuantization};
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatOp, InputTransform, Padding, Shape, Window,
};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Multiplier,
    Rounding, filter_width,
};
use crate::model::tflite::scaling;
use crate::model::unsupported::UnsupportedReport;

/// Softmax has this step wherever it runs, and zero point 0.
const SOFTMAX: ActivationQuantization = ActivationQuantization {
    scale: 1.0 / 256.0,
    zero_point: 0,
};

/// Whether the file quantizes any activation.
pub(super) fn is_quantized(imported: &Imported) -> bool {
    imported.activations.iter().any(Option::is_some)
}

/// Makes integers of a file that quantizes all its activations and weights.
pub(super) fn convert(mut imported: Imported) -> Result<IntegerNetwork, Error> {
    spread(&mut imported);
    let mut report = UnsupportedReport::default();
    let mut layers = Vec::with_capacity(imported.network.layers.len());
    for (index, layer) in imported.network.layers.iter().enumerate() {
        match Converter::of(&imported, layer).and_then(|converter| converter.op(layer)) {
            Ok(op) => layers.push(IntegerLayer {
                name: layer.name.clone(),
                op,
                inputs: layer.inputs.clone(),
                output: layer.output,
            }),
            Err(reason) => report.push(operator(&layer.op), index, layer.name.clone(), reason),
        }
    }
    if !report.is_empty() {
        return Err(Error::Unsupported(report));
    }
    let network = imported.network;
    let mut tensors = Vec::with_capacity(network.tensors.len());
    for (tensor, quantization) in network.tensors.into_iter().zip(&imported.activations) {
        let name = tensor.name;
        let quantization = quantization.ok_or_else(|| Error::Port {
            name: name.clone(),
            reason: "is not quantized".to_owned(),
        })?;
        let ActivationQuantization { scale, zero_point } = quantization;
        tensors.push(IntegerTensor {
            name,
            shape: tensor.shape,
            scale,
            zero_point,
        });
    }
    let mut input_transform = network.input_transform;
    if imported.takes_bytes {
        // The file's input are the bytes themselves.
        let IntegerTensor {
            scale, zero_point, ..
        } = tensors[network.input];
        #[allow(clippy::cast_precision_loss)]
        let bytes = InputTransform {
            mean: vec![zero_point as f32],
            factor: vec![scale],
        };
        input_transform = bytes.then(&input_transform);
    }
    Ok(IntegerNetwork {
        name: network.name,
        rounding: Rounding::Single,
        tensors,
        layers,
        input: network.input,
        output: network.output,
        input_transform,
    })
}

/// The operator that a refusal names.
fn operator(op: &FloatOp) -> &'static str {
    match op {
        FloatOp::Convolution {
            kind: ConvolutionKind::FullyConnected,
            ..
        } => "Gemm",
        FloatOp::Convolution { .. } => "Conv",
        FloatOp::Add { .. } => "Add",
        FloatOp::AveragePool { .. } => "AveragePool",
        FloatOp::MaxPool { .. } => "MaxPool",
        FloatOp::GlobalAverage => "GlobalAveragePool",
        FloatOp::Reshape => "Reshape",
        FloatOp::Softmax => "Softmax",
    }
}

/// Layers that change no step hand their quantization on, first forwards, then backwards.
fn spread(imported: &mut Imported) {
    let known = &mut imported.activations;
    for layer in &imported.network.layers {
        match &layer.op {
            FloatOp::Softmax => known[layer.output] = Some(SOFTMAX),
            op if keeps_steps(op) => {
                known[layer.output] = known[layer.output].or(known[layer.inputs[0]])
            }
            _ => {}
        }
    }
    for layer in imported.network.layers.iter().rev() {
        if matches!(layer.op, FloatOp::MaxPool { .. } | FloatOp::Reshape) {
            known[layer.inputs[0]] = known[layer.inputs[0]].or(known[layer.output]);
        }
    }
}

fn keeps_steps(op: &FloatOp) -> bool {
    match op {
        FloatOp::MaxPool { .. } | FloatOp::AveragePool { .. } | FloatOp::Reshape => true,
        FloatOp::Convolution {
            kind: ConvolutionKind::Depthwise,
            window,
            weights,
            bias,
            ..
        } => {
            let one = window.kernel_height == 1 && window.kernel_width == 1;
            one && weights.iter().all(|weight| *weight == 1.0)
                && bias.iter().all(|bias| *bias == 0.0)
        }
        _ => false,
    }
}

/// What the conversion of one layer needs to know.
struct Converter<'a> {
    inputs: Vec<ActivationQuantization>,
    output: ActivationQuantization,
    input_shape: Shape,
    weights: Option<&'a WeightQuantization>,
}

impl<'a> Converter<'a> {
    fn of(imported: &'a Imported, layer: &FloatLayer) -> Result<Self, String> {
        let of = |tensor: usize, what: &str| {
            let name = &imported.network.tensors[tensor].name;
            imported.activations[tensor]
                .ok_or_else(|| format!("its {what} '{name}' is not quantized"))
        };
        let inputs = layer
            .inputs
            .iter()
            .map(|tensor| of(*tensor, "input"))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            inputs,
            output: of(layer.output, "output")?,
            input_shape: imported.network.tensors[layer.inputs[0]].shape,
            weights: imported.weights.get(&layer.name),
        })
    }

    fn op(&self, layer: &FloatLayer) -> Result<IntegerOp, String> {
        let input = self.inputs[0];
        let same = || {
            if input == self.output {
                Ok(())
            } else {
                Err("its input and output are quantized differently".to_owned())
            }
        };
        Ok(match &layer.op {
            FloatOp::Convolution {
                kind,
                window,
                weights,
                bias,
                clamp,
            } => self.convolution(*kind, *window, weights, bias, *clamp)?,
            FloatOp::Add { clamp } => {
                let (clamp_low, clamp_high) = self.clamp(*clamp);
                let scales = [self.inputs[0].scale, self.inputs[1].scale];
                let (input, output) = scaling::add(scales, self.output.scale)
                    .ok_or("its output's step is too small for its inputs'")?;
                IntegerOp::Add {
                    input,
                    output,
                    clamp_low,
                    clamp_high,
                }
            }
            FloatOp::AveragePool { window } if input != self.output => {
                self.scaled_average(*window)?
            }
            FloatOp::AveragePool { window } => IntegerOp::AveragePool {
                window: *window,
                clamp_low: 0,
                clamp_high: 255,
            },
            FloatOp::MaxPool { window } => {
                same()?;
                IntegerOp::MaxPool {
                    window: *window,
                    clamp_low: 0,
                    clamp_high: 255,
                }
            }
            FloatOp::GlobalAverage => {
                let count = self.input_shape.height * self.input_shape.width;
                IntegerOp::GlobalAverage {
                    multiplier: scaling::mean(input.scale, self.output.scale, count),
                }
            }
            FloatOp::Reshape => {
                same()?;
                IntegerOp::Reshape
            }
            FloatOp::Softmax => IntegerOp::Softmax,
        })
    }

    fn convolution(
        &self,
        kind: ConvolutionKind,
        window: Window,
        weights: &Array4<f32>,
        bias: &Array1<f32>,
        clamp: Clamp,
    ) -> Result<IntegerOp, String> {
        let input = self.inputs[0].scale;
        let weight_scale = match self.weights {
            Some(known) => known.scale.clone(),
            None => self.exact_scales(weights)?,
        };
        if weight_scale.len() != weights.dim().0 {
            return Err("its weights' steps do not run over filters".to_owned());
        }
        let integers = round_weights(weights, &weight_scale)?;
        let accumulator: Vec<f64> = weight_scale
            .iter()
            .map(|scale| f64::from(input) * f64::from(*scale))
            .collect();
        let bias = self.bias(bias, &accumulator)?;
        let output = f64::from(self.output.scale);
        let multiplier = accumulator
            .iter()
            .map(|scale| Multiplier::from_real(scale / output))
            .collect();
        let bits = integers
            .outer_iter()
            .map(|filter| filter_width(filter.iter().copied()))
            .collect();
        let (clamp_low, clamp_high) = self.clamp(clamp);
        Ok(IntegerOp::Convolution(Box::new(IntegerConvolution {
            kind,
            window,
            weights: integers,
            bits,
            weight_scale,
            bias,
            multiplier,
            clamp_low,
            clamp_high,
        })))
    }

    /// Steps of weights that the file does not quantize: possible where all the weights of a filter that are
    /// not 0 have one magnitude, as those have that the reader makes itself.
    fn exact_scales(&self, weights: &Array4<f32>) -> Result<Vec<f32>, String> {
        let scale = |filter: ndarray::ArrayView3<'_, f32>| {
            let magnitude = filter
                .iter()
                .fold(0.0, |most: f32, weight| most.max(weight.abs()));
            if !filter
                .iter()
                .all(|weight| *weight == 0.0 || weight.abs() == magnitude)
            {
                return Err("its weights are not quantized".to_owned());
            }
            // A filter of zeros only adds its bias: one step of the accumulator is one of the output.
            Ok(if magnitude > 0.0 {
                magnitude
            } else {
                self.output.scale / self.inputs[0].scale
            })
        };
        weights.outer_iter().map(scale).collect()
    }

    /// The file's own integers where their step is the accumulator's, else the nearest ones.
    fn bias(&self, real: &Array1<f32>, accumulator: &[f64]) -> Result<Array1<i32>, String> {
        let stated =
            self.weights
                .and_then(|known| known.bias.as_ref())
                .filter(|(values, scale)| {
                    let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() <= 1e-5 * b;
                    values.len() == real.len()
                        && scale
                            .as_ref()
                            .is_none_or(|scale| scale.iter().zip(accumulator).all(close))
                });
        let too_large = || "its bias exceeds 32 bits".to_owned();
        if let Some((values, _)) = stated {
            let values: Result<Vec<i32>, _> =
                values.iter().map(|value| i32::try_from(*value)).collect();
            return values.map(Array1::from_vec).map_err(|_| too_large());
        }
        let integer = |(real, scale): (&f32, &f64)| {
            let value = (f64::from(*real) / scale).round();
            let fits = value.abs() < f64::from(i32::MAX);
            #[allow(clippy::cast_possible_truncation)]
            if fits {
                Ok(value as i32)
            } else {
                Err(too_large())
            }
        };
        real.iter()
            .zip(accumulator)
            .map(integer)
            .collect::<Result<Vec<_>, _>>()
            .map(Array1::from_vec)
    }

    /// A mean that also changes the step: a depthwise convolution with weights of 1.
    fn scaled_average(&self, window: Window) -> Result<IntegerOp, String> {
        if window.padding != Padding::default() {
            return Err(
                "its input and output are quantized differently, and it has padding".to_owned(),
            );
        }
        let (rows, columns) = (window.kernel_height, window.kernel_width);
        #[allow(clippy::cast_precision_loss)]
        let share = 1.0 / (rows * columns) as f32;
        let channels = self.input_shape.channels;
        let weights = Array4::from_elem((channels, rows, columns, 1), share);
        self.convolution(
            ConvolutionKind::Depthwise,
            window,
            &weights,
            &Array1::zeros(channels),
            Clamp::NONE,
        )
    }

    /// Output bytes of the bounds of a clamp.
    fn clamp(&self, clamp: Clamp) -> (u8, u8) {
        let byte = |real: f32, unbounded: u8| {
            if real.is_infinite() {
                return unbounded;
            }
            let steps = (real / self.output.scale).round().clamp(-1024.0, 1024.0);
            #[allow(clippy::cast_possible_truncation)]
            let byte = (self.output.zero_point + steps as i32).clamp(0, 255);
            u8::try_from(byte).unwrap_or(unbounded)
        };
        (byte(clamp.low, 0), byte(clamp.high, 255))
    }
}

/// Weights in steps; they have to be whole and fit into int8.
fn round_weights(weights: &Array4<f32>, scale: &[f32]) -> Result<Array4<i8>, String> {
    let mut integers = Array4::zeros(weights.dim());
    for ((from, mut to), scale) in weights
        .outer_iter()
        .zip(integers.outer_iter_mut())
        .zip(scale)
    {
        for (from, to) in from.iter().zip(to.iter_mut()) {
            let steps = from / scale;
            if (steps - steps.round()).abs() > 1e-3 {
                return Err("its weights are no whole steps".to_owned());
            }
            if !(-128.0..=127.0).contains(&steps.round()) {
                return Err(
                    "its weights less their zero point exceed int8: quantize them symmetrically"
                        .to_owned(),
                );
            }
            #[allow(clippy::cast_possible_truncation)]
            {
                *to = steps.round() as i8;
            }
        }
    }
    Ok(integers)
}

/// Multipliers of the layers by name, where a file records them.
pub(super) type Multipliers = HashMap<String, Vec<Multiplier>>;

/// All multipliers of an operator.
pub(super) fn multipliers(op: &IntegerOp) -> Vec<Multiplier> {
    match op {
        IntegerOp::Convolution(convolution) => convolution.multiplier.clone(),
        IntegerOp::Add {
            input: [first, second],
            output,
            ..
        } => vec![*first, *second, *output],
        IntegerOp::GlobalAverage { multiplier } => vec![*multiplier],
        _ => vec![],
    }
}

/// Puts recorded multipliers in place of those that follow from the file's steps.
pub(super) fn set_multipliers(op: &mut IntegerOp, values: &[Multiplier]) -> Result<(), String> {
    let valid = |value: &Multiplier| value.mantissa >= 0 && (-62..=31).contains(&value.shift);
    match (op, values) {
        _ if !values.iter().all(valid) => return Err("a multiplier is out of range".to_owned()),
        (IntegerOp::Convolution(convolution), values) if values.len() == convolution.filters() => {
            convolution.multiplier = values.to_vec();
        }
        (IntegerOp::Add { input, output, .. }, [first, second, sum]) => {
            *input = [*first, *second];
            *output = *sum;
        }
        (IntegerOp::GlobalAverage { multiplier }, [value]) => *multiplier = *value,
        _ => return Err("the multipliers do not fit the layer".to_owned()),
    }
    Ok(())
}
