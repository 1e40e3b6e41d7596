//! A network as JSON header and binary blobs.

use ndarray::{Array1, Array4};
use serde::{Deserialize, Serialize};

use super::BwError;
use crate::model::integer::{
    ConvolutionKind, InputTransform, IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp,
    IntegerTensor, Multiplier, Rounding, Window, width_holds,
};

/// Most elements of a tensor.
const ELEMENTS_MAX: usize = 1 << 28;
/// Largest kernel, stride or padding, in pixels.
const WINDOW_PIXELS_MAX: usize = 1 << 16;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    rounding: Rounding,
    input: usize,
    output: usize,
    input_transform: InputTransform,
    tensors: Vec<IntegerTensor>,
    layers: Vec<Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    name: String,
    inputs: Vec<usize>,
    output: usize,
    operation: Operation,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Operation {
    Convolution {
        kind: ConvolutionKind,
        window: Window,
        /// `[out, row, column, in]`.
        weights: [usize; 4],
        clamp: [u8; 2],
    },
    Add {
        input: [Multiplier; 2],
        output: Multiplier,
        clamp: [u8; 2],
    },
    AveragePool {
        window: Window,
        clamp: [u8; 2],
    },
    MaxPool {
        window: Window,
        clamp: [u8; 2],
    },
    GlobalAverage {
        multiplier: Multiplier,
    },
    Reshape,
    Softmax,
}

/// The header's JSON and the blobs of a network.
pub(super) fn split(network: &IntegerNetwork) -> Result<(Vec<u8>, Vec<u8>), BwError> {
    check_network(network)?;
    let mut blobs = Vec::new();
    let layers = network.layers.iter().map(|layer| Layer {
        name: layer.name.clone(),
        inputs: layer.inputs.clone(),
        output: layer.output,
        operation: operation(&layer.op, &mut blobs),
    });
    let header = Header {
        name: network.name.clone(),
        rounding: network.rounding,
        input: network.input,
        output: network.output,
        input_transform: network.input_transform.clone(),
        tensors: network.tensors.clone(),
        layers: layers.collect(),
    };
    let json = serde_json::to_vec(&header).map_err(|e| BwError::field("header", e.to_string()))?;
    Ok((json, blobs))
}

fn operation(op: &IntegerOp, blobs: &mut Vec<u8>) -> Operation {
    match *op {
        IntegerOp::Convolution(ref convolution) => {
            let (out, rows, columns, inputs) = convolution.weights.dim();
            blobs.extend(
                convolution
                    .weights
                    .iter()
                    .map(|weight| weight.cast_unsigned()),
            );
            blobs.extend(&convolution.bits);
            blobs.extend(
                convolution
                    .weight_scale
                    .iter()
                    .flat_map(|scale| scale.to_le_bytes()),
            );
            blobs.extend(convolution.bias.iter().flat_map(|bias| bias.to_le_bytes()));
            blobs.extend(
                convolution
                    .multiplier
                    .iter()
                    .flat_map(|m| m.mantissa.to_le_bytes()),
            );
            blobs.extend(
                convolution
                    .multiplier
                    .iter()
                    .flat_map(|m| m.shift.to_le_bytes()),
            );
            Operation::Convolution {
                kind: convolution.kind,
                window: convolution.window,
                weights: [out, rows, columns, inputs],
                clamp: [convolution.clamp_low, convolution.clamp_high],
            }
        }
        IntegerOp::Add {
            input,
            output,
            clamp_low,
            clamp_high,
        } => Operation::Add {
            input,
            output,
            clamp: [clamp_low, clamp_high],
        },
        IntegerOp::AveragePool {
            window,
            clamp_low,
            clamp_high,
        } => Operation::AveragePool {
            window,
            clamp: [clamp_low, clamp_high],
        },
        IntegerOp::MaxPool {
            window,
            clamp_low,
            clamp_high,
        } => Operation::MaxPool {
            window,
            clamp: [clamp_low, clamp_high],
        },
        IntegerOp::GlobalAverage { multiplier } => Operation::GlobalAverage { multiplier },
        IntegerOp::Reshape => Operation::Reshape,
        IntegerOp::Softmax => Operation::Softmax,
    }
}

/// Takes values off the front of the blobs.
struct Blobs<'a> {
    rest: &'a [u8],
}

impl<'a> Blobs<'a> {
    fn bytes(&mut self, count: usize, field: &str) -> Result<&'a [u8], BwError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| {
            BwError::field(
                field,
                format!("{count} bytes, but the blobs have {} left", self.rest.len()),
            )
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Values of four bytes.
    fn words<T>(
        &mut self,
        count: usize,
        field: &str,
        of: fn([u8; 4]) -> T,
    ) -> Result<Vec<T>, BwError> {
        let bytes = count
            .checked_mul(4)
            .ok_or_else(|| BwError::field(field, "too many"))?;
        let words = self.bytes(bytes, field)?.chunks_exact(4);
        Ok(words.map(|b| of([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// The network of a header and its blobs.
pub(super) fn join(header: &[u8], blobs: &[u8]) -> Result<IntegerNetwork, BwError> {
    let header: Header =
        serde_json::from_slice(header).map_err(|e| BwError::field("header", e.to_string()))?;
    let mut blobs = Blobs { rest: blobs };
    let mut layers = Vec::with_capacity(header.layers.len());
    for layer in header.layers {
        let op = restore(&layer.name, layer.operation, &mut blobs)?;
        layers.push(IntegerLayer {
            name: layer.name,
            op,
            inputs: layer.inputs,
            output: layer.output,
        });
    }
    if !blobs.rest.is_empty() {
        let reason = format!("{} bytes belong to no layer", blobs.rest.len());
        return Err(BwError::field("blob_bytes", reason));
    }
    let network = IntegerNetwork {
        name: header.name,
        rounding: header.rounding,
        tensors: header.tensors,
        layers,
        input: header.input,
        output: header.output,
        input_transform: header.input_transform,
    };
    check_network(&network)?;
    Ok(network)
}

fn restore(name: &str, operation: Operation, blobs: &mut Blobs<'_>) -> Result<IntegerOp, BwError> {
    Ok(match operation {
        Operation::Convolution {
            kind,
            window,
            weights: shape,
            clamp,
        } => {
            let field = |part: &str| format!("layers.{name}.{part}");
            let elements = shape
                .iter()
                .try_fold(1_usize, |n, extent| n.checked_mul(*extent));
            let Some(elements) = elements.filter(|n| (1..=ELEMENTS_MAX).contains(n)) else {
                return Err(BwError::field(field("weights"), format!("shape {shape:?}")));
            };
            let out = shape[0];
            let weights = blobs.bytes(elements, &field("weights"))?;
            let weights = weights.iter().map(|byte| byte.cast_signed()).collect();
            let weights = Array4::from_shape_vec(shape, weights)
                .map_err(|error| BwError::field(field("weights"), error.to_string()))?;
            let bits = blobs.bytes(out, &field("bits"))?.to_vec();
            let weight_scale = blobs.words(out, &field("weight_scale"), f32::from_le_bytes)?;
            let bias = Array1::from_vec(blobs.words(out, &field("bias"), i32::from_le_bytes)?);
            let mantissas = blobs.words(out, &field("mantissa"), i32::from_le_bytes)?;
            let shifts = blobs.words(out, &field("shift"), i32::from_le_bytes)?;
            let multiplier = mantissas.into_iter().zip(shifts);
            let multiplier = multiplier
                .map(|(mantissa, shift)| Multiplier { mantissa, shift })
                .collect();
            IntegerOp::Convolution(Box::new(IntegerConvolution {
                kind,
                window,
                weights,
                bits,
                weight_scale,
                bias,
                multiplier,
                clamp_low: clamp[0],
                clamp_high: clamp[1],
            }))
        }
        Operation::Add {
            input,
            output,
            clamp: [clamp_low, clamp_high],
        } => IntegerOp::Add {
            input,
            output,
            clamp_low,
            clamp_high,
        },
        Operation::AveragePool {
            window,
            clamp: [clamp_low, clamp_high],
        } => IntegerOp::AveragePool {
            window,
            clamp_low,
            clamp_high,
        },
        Operation::MaxPool {
            window,
            clamp: [clamp_low, clamp_high],
        } => IntegerOp::MaxPool {
            window,
            clamp_low,
            clamp_high,
        },
        Operation::GlobalAverage { multiplier } => IntegerOp::GlobalAverage { multiplier },
        Operation::Reshape => IntegerOp::Reshape,
        Operation::Softmax => IntegerOp::Softmax,
    })
}

/// Ranges that every network keeps; whether its shapes fit together is for those who execute it.
fn check_network(network: &IntegerNetwork) -> Result<(), BwError> {
    let known = |field: String, tensor: usize| {
        let count = network.tensors.len();
        if tensor < count {
            return Ok(());
        }
        Err(BwError::field(field, format!("tensor {tensor} of {count}")))
    };
    known("input".into(), network.input)?;
    known("output".into(), network.output)?;
    let transform = &network.input_transform;
    for (part, values) in [("mean", &transform.mean), ("factor", &transform.factor)] {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(BwError::field(
                format!("input_transform.{part}"),
                format!("{values:?}"),
            ));
        }
    }
    for tensor in &network.tensors {
        let field = |part: &str| format!("tensors.{}.{part}", tensor.name);
        let shape = tensor.shape;
        let elements = shape
            .height
            .checked_mul(shape.width)
            .and_then(|n| n.checked_mul(shape.channels));
        if elements.is_none_or(|n| !(1..=ELEMENTS_MAX).contains(&n)) {
            return Err(BwError::field(field("shape"), format!("{shape:?}")));
        }
        if !(tensor.scale.is_finite() && tensor.scale > 0.0) {
            return Err(BwError::field(field("scale"), tensor.scale.to_string()));
        }
        if !(0..=255).contains(&tensor.zero_point) {
            return Err(BwError::field(
                field("zero_point"),
                tensor.zero_point.to_string(),
            ));
        }
    }
    for layer in &network.layers {
        known(format!("layers.{}.output", layer.name), layer.output)?;
        for input in &layer.inputs {
            known(format!("layers.{}.inputs", layer.name), *input)?;
        }
        check_layer(layer)?;
    }
    Ok(())
}

fn check_layer(layer: &IntegerLayer) -> Result<(), BwError> {
    let field = |part: &str| format!("layers.{}.{part}", layer.name);
    let expected = if matches!(layer.op, IntegerOp::Add { .. }) {
        2
    } else {
        1
    };
    if layer.inputs.len() != expected {
        let reason = format!("{} of them instead of {expected}", layer.inputs.len());
        return Err(BwError::field(field("inputs"), reason));
    }
    let factor = |part: &str, multiplier: Multiplier| {
        if multiplier.mantissa >= 0 && (-31..=30).contains(&multiplier.shift) {
            return Ok(());
        }
        Err(BwError::field(field(part), format!("{multiplier:?}")))
    };
    let window = |window: Window| {
        let padding = window.padding;
        let extents = [
            window.kernel_height,
            window.kernel_width,
            window.stride_height,
            window.stride_width,
        ];
        let paddings = [padding.top, padding.bottom, padding.left, padding.right];
        let fits = extents.iter().all(|n| (1..=WINDOW_PIXELS_MAX).contains(n))
            && paddings.iter().all(|n| *n <= WINDOW_PIXELS_MAX);
        if fits {
            Ok(())
        } else {
            Err(BwError::field(field("window"), format!("{window:?}")))
        }
    };
    match &layer.op {
        IntegerOp::Convolution(convolution) => {
            window(convolution.window)?;
            convolution
                .multiplier
                .iter()
                .try_for_each(|m| factor("multiplier", *m))?;
            check_convolution(layer, convolution)
        }
        IntegerOp::Add { input, output, .. } => {
            input.iter().try_for_each(|m| factor("input", *m))?;
            factor("output", *output)
        }
        IntegerOp::AveragePool { window: own, .. } | IntegerOp::MaxPool { window: own, .. } => {
            window(*own)
        }
        IntegerOp::GlobalAverage { multiplier } => factor("multiplier", *multiplier),
        IntegerOp::Reshape | IntegerOp::Softmax => Ok(()),
    }
}

fn check_convolution(
    layer: &IntegerLayer,
    convolution: &IntegerConvolution,
) -> Result<(), BwError> {
    let field = |part: &str| format!("layers.{}.{part}", layer.name);
    let (out, rows, columns, _) = convolution.weights.dim();
    if (rows, columns)
        != (
            convolution.window.kernel_height,
            convolution.window.kernel_width,
        )
    {
        return Err(BwError::field(
            field("weights"),
            format!("kernel {rows} x {columns} under another window"),
        ));
    }
    let lengths = [
        ("bits", convolution.bits.len()),
        ("weight_scale", convolution.weight_scale.len()),
        ("bias", convolution.bias.len()),
        ("multiplier", convolution.multiplier.len()),
    ];
    for (part, found) in lengths {
        if found != out {
            return Err(BwError::field(
                field(part),
                format!("{found} values for {out} filters"),
            ));
        }
    }
    if convolution
        .weight_scale
        .iter()
        .any(|scale| !scale.is_finite())
    {
        return Err(BwError::field(field("weight_scale"), "not a number"));
    }
    for (filter, (weights, bits)) in convolution
        .weights
        .outer_iter()
        .zip(&convolution.bits)
        .enumerate()
    {
        if !width_holds(*bits, weights.iter().copied()) {
            return Err(BwError::field(
                field("bits"),
                format!("{bits} do not hold filter {filter}"),
            ));
        }
    }
    Ok(())
}
