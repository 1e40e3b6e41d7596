//! An integer network as an int8 TensorFlow Lite file.

mod convolution;

use super::operators::{Activation, code, element};
use super::record::{self, BITS_RECORD, LAYERS_RECORD, NETWORK_RECORD, NetworkRecord};
use super::scaling;
use super::schema::tflite as fb;
use crate::model::float::{ConvolutionKind, Padding, Shape, Window};
use crate::model::integer::{IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, TensorId};

/// Why a network cannot be written as a TensorFlow Lite file.
#[derive(Debug, thiserror::Error)]
pub enum TfliteWriteError {
    /// The format's kernels would not compute the layer as the network says.
    #[error("layer `{layer}`: {reason}")]
    Layer {
        /// The layer.
        layer: String,
        /// What the format cannot say.
        reason: String,
    },
    /// A number beyond the format's 31 bits.
    #[error("{what} does not fit the format's 31 bits")]
    Size {
        /// What.
        what: String,
    },
    /// A record of ours cannot be written as JSON.
    #[error("record: {0}")]
    Record(#[from] serde_json::Error),
}

const IDENTIFIER: [u8; 4] = *b"TFL3";

type Written<T> = Result<T, TfliteWriteError>;

fn refuse<T>(layer: &IntegerLayer, reason: impl Into<String>) -> Written<T> {
    Err(TfliteWriteError::Layer {
        layer: layer.name.clone(),
        reason: reason.into(),
    })
}

fn int(what: &str, value: usize) -> Written<i32> {
    i32::try_from(value).map_err(|_| TfliteWriteError::Size {
        what: format!("{what} {value}"),
    })
}

#[derive(Default)]
struct Writer {
    tensors: Vec<fb::Tensor>,
    buffers: Vec<fb::Buffer>,
    operators: Vec<fb::Operator>,
    codes: Vec<(i32, i32)>,
    /// File tensors of the network's, and whether each has two dimensions instead of four.
    ids: Vec<i32>,
    flat: Vec<bool>,
}

/// Writes a network; see [`super::write`].
pub(super) fn write(network: &IntegerNetwork) -> Written<Vec<u8>> {
    let mut writer = Writer {
        buffers: vec![fb::Buffer { data: None }],
        ..Writer::default()
    };
    writer.flat = flat_tensors(network);
    for (tensor, flat) in network.tensors.iter().zip(writer.flat.clone()) {
        let dims = dims(tensor.shape, flat)?;
        let id = writer.activation(tensor, &tensor.name, dims)?;
        writer.ids.push(id);
    }
    for layer in &network.layers {
        writer.layer(network, layer)?;
    }
    writer.finish(network)
}

fn dims(shape: Shape, flat: bool) -> Written<Vec<i32>> {
    let channels = int("extent", shape.channels)?;
    if flat {
        return Ok(vec![1, channels]);
    }
    Ok(vec![
        1,
        int("extent", shape.height)?,
        int("extent", shape.width)?,
        channels,
    ])
}

/// Which vectors have two dimensions in the file: those of fully connected layers, and what precedes and
/// follows them without a layer that slides over an image.
fn flat_tensors(network: &IntegerNetwork) -> Vec<bool> {
    let mut flat = vec![false; network.tensors.len()];
    let slides = |layer: &&IntegerLayer| match &layer.op {
        IntegerOp::Convolution(c) => c.kind != ConvolutionKind::FullyConnected,
        IntegerOp::AveragePool { .. }
        | IntegerOp::MaxPool { .. }
        | IntegerOp::GlobalAverage { .. } => true,
        IntegerOp::Add { .. } | IntegerOp::Reshape | IntegerOp::Softmax => false,
    };
    let vector = |tensor: TensorId| {
        let shape = network.tensors[tensor].shape;
        let slid_over = network
            .layers
            .iter()
            .filter(slides)
            .any(|layer| layer.inputs.contains(&tensor));
        (shape.height, shape.width) == (1, 1) && !slid_over
    };
    flat[network.input] = vector(network.input);
    for layer in &network.layers {
        flat[layer.output] = match &layer.op {
            IntegerOp::Convolution(c) => c.kind == ConvolutionKind::FullyConnected,
            IntegerOp::Reshape => vector(layer.output),
            IntegerOp::Add { .. } | IntegerOp::Softmax => {
                layer.inputs.iter().all(|input| flat[*input])
            }
            _ => false,
        };
    }
    flat
}

/// The fused activation whose bounds at this output are these.
fn activation(layer: &IntegerLayer, output: &IntegerTensor, low: u8, high: u8) -> Written<i8> {
    let all = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::ReluN1To1,
    ];
    let found = all
        .into_iter()
        .find(|a| scaling::clamp(*a, output.scale, output.zero_point) == (low, high));
    match found {
        Some(activation) => Ok(activation.code()),
        None => refuse(
            layer,
            format!("no activation of the format clamps to {low}..={high}"),
        ),
    }
}

/// The padding code, where the format can say this padding.
fn padding_code(input: Shape, output: Shape, window: Window) -> Option<i8> {
    if window.padding == Padding::default() {
        return Some(1);
    }
    let split = |input: usize, output: usize, kernel: usize, stride: usize| {
        let total = (output.saturating_sub(1) * stride + kernel).saturating_sub(input);
        (output == input.div_ceil(stride)).then_some((total / 2, total - total / 2))
    };
    let rows = split(
        input.height,
        output.height,
        window.kernel_height,
        window.stride_height,
    );
    let columns = split(
        input.width,
        output.width,
        window.kernel_width,
        window.stride_width,
    );
    let Padding {
        top,
        bottom,
        left,
        right,
    } = window.padding;
    (rows == Some((top, bottom)) && columns == Some((left, right))).then_some(0)
}

impl Writer {
    fn layer(&mut self, network: &IntegerNetwork, layer: &IntegerLayer) -> Written<()> {
        let input = &network.tensors[layer.inputs[0]];
        let output = &network.tensors[layer.output];
        let scales = (input.scale, output.scale);
        let (code, options) = match &layer.op {
            IntegerOp::Convolution(convolution) => {
                return self.convolution(network, layer, convolution);
            }
            IntegerOp::Add {
                input: factors,
                output: sum,
                clamp_low,
                clamp_high,
            } => {
                let second = network.tensors[layer.inputs[1]].scale;
                if scaling::add([input.scale, second], output.scale) != Some((*factors, *sum)) {
                    return refuse(
                        layer,
                        "its multipliers do not follow from the scales of its tensors",
                    );
                }
                let fused_activation_function = activation(layer, output, *clamp_low, *clamp_high)?;
                (
                    code::ADD,
                    Some(options(
                        fb::AddOptions {
                            fused_activation_function,
                        },
                        fb::BuiltinOptions::AddOptions,
                    )),
                )
            }
            IntegerOp::AveragePool {
                window,
                clamp_low,
                clamp_high,
            } => {
                let pool = pool(layer, (input, output), *window, (*clamp_low, *clamp_high))?;
                (code::AVERAGE_POOL_2D, Some(pool))
            }
            IntegerOp::MaxPool {
                window,
                clamp_low,
                clamp_high,
            } => {
                let pool = pool(layer, (input, output), *window, (*clamp_low, *clamp_high))?;
                (code::MAX_POOL_2D, Some(pool))
            }
            IntegerOp::GlobalAverage { multiplier } => {
                if scaling::mean(scales.0, scales.1, input.shape.height * input.shape.width)
                    != *multiplier
                {
                    return refuse(
                        layer,
                        "its multiplier does not follow from the scales of its tensors",
                    );
                }
                let axes = self.integers("axes", &[1, 2])?;
                let options = options(
                    fb::ReducerOptions { keep_dims: true },
                    fb::BuiltinOptions::ReducerOptions,
                );
                return self.operator(
                    layer,
                    code::MEAN,
                    vec![self.ids[layer.inputs[0]], axes],
                    Some(options),
                );
            }
            IntegerOp::Reshape => {
                let new_shape = dims(output.shape, self.flat[layer.output])?;
                let shape = self.integers("shape", &new_shape)?;
                let new_shape = fb::ReshapeOptions {
                    new_shape: Some(new_shape),
                };
                let options = options(new_shape, fb::BuiltinOptions::ReshapeOptions);
                return self.operator(
                    layer,
                    code::RESHAPE,
                    vec![self.ids[layer.inputs[0]], shape],
                    Some(options),
                );
            }
            IntegerOp::Softmax => (
                code::SOFTMAX,
                Some(options(
                    fb::SoftmaxOptions { beta: 1.0 },
                    fb::BuiltinOptions::SoftmaxOptions,
                )),
            ),
        };
        let inputs = layer.inputs.iter().map(|input| self.ids[*input]).collect();
        self.operator(layer, code, inputs, options)
    }

    fn activation(&mut self, tensor: &IntegerTensor, name: &str, dims: Vec<i32>) -> Written<i32> {
        let zero_point = i64::from(tensor.zero_point) - 128;
        self.tensors.push(fb::Tensor {
            shape: Some(dims),
            type_: element::INT8,
            name: Some(name.to_owned()),
            quantization: Some(Box::new(quantization(vec![tensor.scale], zero_point, 0))),
            ..fb::Tensor::default()
        });
        int("tensor", self.tensors.len() - 1)
    }

    fn integers(&mut self, name: &str, values: &[i32]) -> Written<i32> {
        self.constant(
            name,
            vec![int("values", values.len())?],
            element::INT32,
            &le_bytes(values),
            None,
        )
    }

    fn constant(
        &mut self,
        name: &str,
        dims: Vec<i32>,
        type_: i8,
        bytes: &[u8],
        quantization: Option<fb::QuantizationParameters>,
    ) -> Written<i32> {
        let buffer = self.buffer(bytes)?;
        self.tensors.push(fb::Tensor {
            shape: Some(dims),
            type_,
            buffer,
            name: Some(name.to_owned()),
            quantization: quantization.map(Box::new),
            ..fb::Tensor::default()
        });
        int("tensor", self.tensors.len() - 1)
    }

    fn buffer(&mut self, bytes: &[u8]) -> Written<u32> {
        self.buffers.push(fb::Buffer {
            data: Some(bytes.to_vec()),
        });
        int("buffer", self.buffers.len() - 1).map(i32::cast_unsigned)
    }

    fn operator(
        &mut self,
        layer: &IntegerLayer,
        code: i32,
        inputs: Vec<i32>,
        options: Option<fb::BuiltinOptions>,
    ) -> Written<()> {
        self.push_operator(code, inputs, self.ids[layer.output], options)
    }

    fn push_operator(
        &mut self,
        code: i32,
        inputs: Vec<i32>,
        output: i32,
        builtin_options: Option<fb::BuiltinOptions>,
    ) -> Written<()> {
        // The versions in which the format's kernels took int8 per-channel arithmetic up.
        let version = match code {
            code::CONV_2D | code::DEPTHWISE_CONV_2D => 3,
            code::FULLY_CONNECTED => 4,
            code::RESHAPE => 1,
            _ => 2,
        };
        let known = self
            .codes
            .iter()
            .position(|entry| *entry == (code, version));
        let index = known.unwrap_or_else(|| {
            self.codes.push((code, version));
            self.codes.len() - 1
        });
        self.operators.push(fb::Operator {
            opcode_index: int("operator code", index)?.cast_unsigned(),
            inputs: Some(inputs),
            outputs: Some(vec![output]),
            builtin_options,
        });
        Ok(())
    }

    fn finish(mut self, network: &IntegerNetwork) -> Written<Vec<u8>> {
        let bits = record::widths_json(network)?;
        let other = serde_json::to_vec(&NetworkRecord::of(network))?;
        let mut metadata = Vec::new();
        let layers = record::layers_json(network)?;
        for (name, json) in [
            (BITS_RECORD, bits),
            (NETWORK_RECORD, other),
            (LAYERS_RECORD, layers),
        ] {
            let buffer = self.buffer(&json)?;
            metadata.push(fb::Metadata {
                name: Some(name.to_owned()),
                buffer,
            });
        }
        let operator_codes = self.codes.iter().map(|(code, version)| fb::OperatorCode {
            // The one-byte field is what old readers know.
            deprecated_builtin_code: i8::try_from(*code).unwrap_or(i8::MAX),
            custom_code: None,
            version: *version,
            builtin_code: *code,
        });
        let graph = fb::SubGraph {
            inputs: Some(vec![self.ids[network.input]]),
            outputs: Some(vec![self.ids[network.output]]),
            tensors: Some(self.tensors),
            operators: Some(self.operators),
            name: Some("main".to_owned()),
        };
        let model = fb::Model {
            version: 3,
            operator_codes: Some(operator_codes.collect()),
            subgraphs: Some(vec![graph]),
            description: Some("Written by bitweft.".to_owned()),
            buffers: Some(self.buffers),
            metadata_buffer: None,
            metadata: Some(metadata),
        };
        Ok(file_bytes(&model))
    }
}

/// A model's FlatBuffer. It begins with the root table's offset, counted from byte 0, and the identifier;
/// planus 1.3 puts the identifier first and counts the offset from byte 4.
pub(super) fn file_bytes(model: &fb::Model) -> Vec<u8> {
    let mut builder = planus::Builder::new();
    let mut bytes = builder.finish(model, Some(IDENTIFIER)).to_vec();
    if let Some((first, rest)) = bytes.split_first_chunk_mut::<4>()
        && let Some(second) = rest.first_chunk_mut::<4>()
        && *first == IDENTIFIER
    {
        *first = (u32::from_le_bytes(*second) + 4).to_le_bytes();
        *second = IDENTIFIER;
    }
    bytes
}

fn options<T>(options: T, union: fn(Box<T>) -> fb::BuiltinOptions) -> fb::BuiltinOptions {
    union(Box::new(options))
}

fn le_bytes(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn quantization(
    scale: Vec<f32>,
    zero_point: i64,
    quantized_dimension: i32,
) -> fb::QuantizationParameters {
    fb::QuantizationParameters {
        zero_point: Some(vec![zero_point; scale.len()]),
        scale: Some(scale),
        quantized_dimension,
        ..fb::QuantizationParameters::default()
    }
}

fn pool(
    layer: &IntegerLayer,
    (input, output): (&IntegerTensor, &IntegerTensor),
    window: Window,
    (low, high): (u8, u8),
) -> Written<fb::BuiltinOptions> {
    let Some(padding) = padding_code(input.shape, output.shape, window) else {
        return refuse(
            layer,
            format!("the format's pooling cannot pad as {:?}", window.padding),
        );
    };
    let pool = fb::Pool2DOptions {
        padding,
        stride_w: int("stride", window.stride_width)?,
        stride_h: int("stride", window.stride_height)?,
        filter_width: int("kernel", window.kernel_width)?,
        filter_height: int("kernel", window.kernel_height)?,
        fused_activation_function: activation(layer, output, low, high)?,
    };
    Ok(options(pool, fb::BuiltinOptions::Pool2DOptions))
}
