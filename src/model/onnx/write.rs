//! Writes integer networks as quantized ONNX files: float operators between `DequantizeLinear` and
//! `QuantizeLinear`, which stock runtimes run on int8.

mod message;
mod qonnx;

use std::collections::HashSet;

use prost::Message as _;

use self::message::{bytes, int, integers, ints, port, reals, signed, window_attributes};
use super::schema::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};
use super::{Error, read_integer, record};
use crate::model::float::{ConvolutionKind, Shape, TensorId};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor,
};

/// Version of ONNX's operators that the file is written in: the first with steps for every filter.
const OPERATORS_VERSION: i64 = 13;
/// Version of the file format that goes with it.
const FORMAT_VERSION: i64 = 7;

/// Why a network cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A step is not positive.
    #[error("'{name}' has a step of {scale}: it has to be positive")]
    Scale {
        /// Layer or tensor.
        name: String,
        /// The step.
        scale: f32,
    },
    /// The network does not hang together.
    #[error("layer '{layer}': {reason}")]
    Layer {
        /// Layer.
        layer: String,
        /// What is wrong.
        reason: String,
    },
    /// A record could not be written.
    #[error("metadata: {0}")]
    Record(#[from] serde_json::Error),
    /// What was written cannot be read.
    #[error("the file that was written cannot be read back: {0}")]
    ReadBack(#[from] Error),
}

/// Writes a network. Activations are int8 (`q = u - 128`) and weights int8 with a step for every filter, so a
/// filter of fewer bits uses fewer values; widths, rounding and input transform are in `metadata_props`
/// (`bitweft.bits`, `bitweft.network`, and `bitweft.multipliers` where multipliers do not follow from the steps).
///
/// The file's input is `[N, channels, rows, columns]` in real numbers, behind the network's input transform;
/// vectors are `[N, channels]`. [`super::read_integer`] recovers the network, but for layers that change
/// nothing (a `Reshape` to the same shape).
///
/// # Errors
/// A step is not positive, or the network's layers do not fit together.
pub fn write(network: &IntegerNetwork) -> Result<Vec<u8>, WriteError> {
    encode(network, Dialect::Qdq)
}

/// Writes a network as QONNX: as [`write()`], with `Quant` nodes (domain `qonnx.custom_op.general`, version 1) in
/// place of the pairs around activations and on weights, whose widths are a tensor of one value a filter.
///
/// QONNX has no width of 0 and no levels {-1, +1} among others: pruned filters are zeros of 1 bit and binary ones
/// have 2 bits in `Quant`; `bitweft.bits` has their widths. Biases are int32 with a step, as in [`write()`].
///
/// # Errors
/// As [`write()`].
pub fn write_qonnx(network: &IntegerNetwork) -> Result<Vec<u8>, WriteError> {
    encode(network, Dialect::Quant)
}

/// How a file says that a value is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// `QuantizeLinear` and `DequantizeLinear`.
    Qdq,
    /// QONNX's `Quant`.
    Quant,
}

fn encode(network: &IntegerNetwork, dialect: Dialect) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer::new(network, dialect)?;
    for layer in &network.layers {
        writer.layer(layer)?;
    }
    let mut model = writer.finish()?;
    let derived = read_integer(&model.encode_to_vec(), &network.name)?;
    if let Some(entry) = record::differing_multipliers(network, &derived)? {
        model.metadata_props.push(entry);
    }
    Ok(model.encode_to_vec())
}

/// A tensor as a value of the file.
#[derive(Clone)]
struct Written {
    /// Name of the dequantized value.
    name: String,
    /// Whether it is `[N, channels]`, not `[N, channels, rows, columns]`.
    flat: bool,
}

struct Writer<'n> {
    network: &'n IntegerNetwork,
    dialect: Dialect,
    graph: GraphProto,
    names: HashSet<String>,
    written: Vec<Option<Written>>,
}

impl<'n> Writer<'n> {
    fn new(network: &'n IntegerNetwork, dialect: Dialect) -> Result<Self, WriteError> {
        let mut writer = Self {
            network,
            dialect,
            graph: GraphProto {
                name: network.name.clone(),
                ..Default::default()
            },
            names: HashSet::new(),
            written: vec![None; network.tensors.len()],
        };
        let input = writer.tensor("input", network.input)?;
        let flat = is_vector(input.shape);
        let name = writer.fresh(&input.name);
        let info = port(&name, input.shape, flat);
        writer.graph.input.push(info);
        writer.quantized(network.input, &name, &name, flat)?;
        Ok(writer)
    }

    fn tensor(&self, layer: &str, tensor: TensorId) -> Result<&'n IntegerTensor, WriteError> {
        self.network
            .tensors
            .get(tensor)
            .ok_or_else(|| WriteError::Layer {
                layer: layer.to_owned(),
                reason: format!("refers to tensor {tensor}, which does not exist"),
            })
    }

    /// A name that nothing has yet.
    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while name.is_empty() || !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes,
            domain: qonnx::domain(operator).to_owned(),
        });
    }

    /// An operator that computes one more value, named after `base`.
    fn value(
        &mut self,
        operator: &str,
        inputs: &[&str],
        base: &str,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh(base);
        self.node(operator, "", inputs, &output, attributes);
        output
    }

    fn constant(&mut self, base: &str, tensor: TensorProto) -> String {
        let name = self.fresh(base);
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            ..tensor
        });
        name
    }

    /// Quantizes and dequantizes the real value `value` of a tensor, whose operator named it `name`.
    fn quantized(
        &mut self,
        tensor: TensorId,
        value: &str,
        name: &str,
        flat: bool,
    ) -> Result<(), WriteError> {
        let IntegerTensor {
            scale, zero_point, ..
        } = *self.tensor(name, tensor)?;
        let scale = positive(name, scale)?;
        let zero = u8::try_from(zero_point).map_err(|_| WriteError::Layer {
            layer: name.to_owned(),
            reason: format!("zero point {zero_point} is no byte"),
        })?;
        if self.dialect == Dialect::Quant {
            let real = self.quant_activation(value, name, scale, zero);
            self.written[tensor] = Some(Written { name: real, flat });
            return Ok(());
        }
        let scale = self.constant(&format!("{name}/scale"), reals(&[], &[scale]));
        let zero = self.constant(&format!("{name}/zero"), bytes(&[], &[zero ^ 0x80]));
        let integer = self.value(
            "QuantizeLinear",
            &[value, &scale, &zero],
            &format!("{name}/quantized"),
            vec![],
        );
        let real = self.value(
            "DequantizeLinear",
            &[&integer, &scale, &zero],
            &format!("{name}/real"),
            vec![],
        );
        self.written[tensor] = Some(Written { name: real, flat });
        Ok(())
    }

    /// An input of a layer in the wanted form.
    fn input(
        &mut self,
        layer: &IntegerLayer,
        index: usize,
        flat: bool,
    ) -> Result<String, WriteError> {
        let written = self.any_input(layer, index)?;
        if written.flat == flat {
            return Ok(written.name);
        }
        let base = format!("{}/input", layer.name);
        if flat {
            return Ok(self.value("Flatten", &[&written.name], &base, vec![int("axis", 1)]));
        }
        let axes = self.constant(&format!("{}/axes", layer.name), integers(&[2, 3]));
        Ok(self.value("Unsqueeze", &[&written.name, &axes], &base, vec![]))
    }

    fn any_input(&self, layer: &IntegerLayer, index: usize) -> Result<Written, WriteError> {
        let written = layer
            .inputs
            .get(index)
            .and_then(|tensor| self.written.get(*tensor))
            .cloned()
            .flatten();
        written.ok_or_else(|| WriteError::Layer {
            layer: layer.name.clone(),
            reason: format!("input {index} is not computed before"),
        })
    }

    fn layer(&mut self, layer: &IntegerLayer) -> Result<(), WriteError> {
        let output = self.tensor(&layer.name, layer.output)?;
        let input_shape = match layer.inputs.first() {
            Some(tensor) => self.tensor(&layer.name, *tensor)?.shape,
            None => {
                return Err(WriteError::Layer {
                    layer: layer.name.clone(),
                    reason: "has no input".to_owned(),
                });
            }
        };
        let name = self.fresh(&output.name);
        let node = layer.name.as_str();
        match &layer.op {
            IntegerOp::Convolution(convolution) => self.convolution(layer, convolution, &name),
            IntegerOp::Add {
                clamp_low,
                clamp_high,
                ..
            } => {
                let flat = self.any_input(layer, 0)?.flat;
                let inputs = [self.input(layer, 0, flat)?, self.input(layer, 1, flat)?];
                let clamp = (*clamp_low, *clamp_high);
                self.clamped(
                    layer,
                    ("Add", vec![]),
                    &[&inputs[0], &inputs[1]],
                    (&name, flat),
                    clamp,
                )
            }
            IntegerOp::AveragePool {
                window,
                clamp_low,
                clamp_high,
            }
            | IntegerOp::MaxPool {
                window,
                clamp_low,
                clamp_high,
            } => {
                let operator = if matches!(layer.op, IntegerOp::MaxPool { .. }) {
                    "MaxPool"
                } else {
                    "AveragePool"
                };
                let input = self.input(layer, 0, false)?;
                let clamp = (*clamp_low, *clamp_high);
                self.clamped(
                    layer,
                    (operator, window_attributes(window)),
                    &[&input],
                    (&name, false),
                    clamp,
                )
            }
            IntegerOp::GlobalAverage { .. } => {
                let input = self.input(layer, 0, false)?;
                self.node("GlobalAveragePool", node, &[&input], &name, vec![]);
                self.quantized(layer.output, &name, &name, false)
            }
            IntegerOp::Softmax => {
                let Written { name: input, flat } = self.any_input(layer, 0)?;
                self.node("Softmax", node, &[&input], &name, vec![int("axis", 1)]);
                self.quantized(layer.output, &name, &name, flat)
            }
            IntegerOp::Reshape if input_shape == output.shape => {
                self.written[layer.output] = Some(self.any_input(layer, 0)?);
                Ok(())
            }
            IntegerOp::Reshape => self.reshape(layer, input_shape, output.shape, &name),
        }
    }

    /// Rows, columns and channels of an image follow each other in this order, ONNX's are in another.
    fn reshape(
        &mut self,
        layer: &IntegerLayer,
        from: Shape,
        to: Shape,
        name: &str,
    ) -> Result<(), WriteError> {
        let input = if is_vector(from) {
            self.input(layer, 0, true)?
        } else {
            let image = self.input(layer, 0, false)?;
            self.value(
                "Transpose",
                &[&image],
                &format!("{name}/by_rows"),
                vec![ints("perm", &[0, 2, 3, 1])],
            )
        };
        let flat = is_vector(to);
        let sizes = if flat {
            vec![0, to.channels]
        } else {
            vec![0, to.height, to.width, to.channels]
        };
        let shape = self.constant(&format!("{name}/shape"), integers(&signed(&sizes)));
        self.node("Reshape", &layer.name, &[&input, &shape], name, vec![]);
        if flat {
            return self.quantized(layer.output, name, name, true);
        }
        let perm = vec![ints("perm", &[0, 3, 1, 2])];
        let image = self.value("Transpose", &[name], &format!("{name}/image"), perm);
        self.quantized(layer.output, &image, name, false)
    }

    /// An operator, its clamp where the byte range does not do it, and the quantization of the result.
    fn clamped(
        &mut self,
        layer: &IntegerLayer,
        (operator, attributes): (&str, Vec<AttributeProto>),
        inputs: &[&str],
        (name, flat): (&str, bool),
        (low, high): (u8, u8),
    ) -> Result<(), WriteError> {
        let IntegerTensor {
            scale, zero_point, ..
        } = *self.tensor(&layer.name, layer.output)?;
        if (low, high) == (0, 255) {
            self.node(operator, &layer.name, inputs, name, attributes);
            return self.quantized(layer.output, name, name, flat);
        }
        let before = self.fresh(&format!("{name}/unclamped"));
        self.node(operator, &layer.name, inputs, &before, attributes);
        let label = self.fresh(&format!("{}/clamp", layer.name));
        if i32::from(low) == zero_point && high == 255 {
            self.node("Relu", &label, &[&before], name, vec![]);
        } else {
            let bound = |byte: u8| {
                #[allow(clippy::cast_precision_loss)]
                let steps = (i32::from(byte) - zero_point) as f32;
                reals(&[], &[steps * scale])
            };
            let low_name = if low > 0 {
                self.constant(&format!("{name}/low"), bound(low))
            } else {
                String::new()
            };
            let high_name = if high < 255 {
                self.constant(&format!("{name}/high"), bound(high))
            } else {
                String::new()
            };
            let inputs = [before.as_str(), &low_name, &high_name];
            let count = if high < 255 { 3 } else { 2 };
            self.node("Clip", &label, &inputs[..count], name, vec![]);
        }
        self.quantized(layer.output, name, name, flat)
    }

    fn convolution(
        &mut self,
        layer: &IntegerLayer,
        convolution: &IntegerConvolution,
        name: &str,
    ) -> Result<(), WriteError> {
        let connected = convolution.kind == ConvolutionKind::FullyConnected;
        let input = self.input(layer, 0, connected)?;
        let [weights, bias] = self.parameters(layer, convolution)?;
        let (operator, attributes) = if connected {
            ("Gemm", vec![int("transB", 1)])
        } else {
            let group = if convolution.kind == ConvolutionKind::Depthwise {
                self.tensor(&layer.name, layer.inputs[0])?.shape.channels
            } else {
                1
            };
            let mut attributes = window_attributes(&convolution.window);
            attributes.push(int("group", signed(&[group])[0]));
            ("Conv", attributes)
        };
        let clamp = (convolution.clamp_low, convolution.clamp_high);
        self.clamped(
            layer,
            (operator, attributes),
            &[&input, &weights, &bias],
            (name, connected),
            clamp,
        )
    }

    /// Names of a convolution's dequantized weights and bias.
    fn parameters(
        &mut self,
        layer: &IntegerLayer,
        convolution: &IntegerConvolution,
    ) -> Result<[String; 2], WriteError> {
        let connected = convolution.kind == ConvolutionKind::FullyConnected;
        let input_scale = self.tensor(&layer.name, layer.inputs[0])?.scale;
        let (filters, rows, columns, inputs) = convolution.weights.dim();
        let by_channel = convolution.weights.view().permuted_axes([0, 3, 1, 2]);
        let values: Vec<u8> = by_channel
            .iter()
            .map(|weight| weight.cast_unsigned())
            .collect();
        let dims = if connected {
            vec![filters, inputs * rows * columns]
        } else {
            vec![filters, inputs, rows, columns]
        };
        let weight_scale = &convolution.weight_scale;
        if weight_scale.len() != filters || convolution.bias.len() != filters {
            let reason = "its steps and biases are not one a filter".to_owned();
            return Err(WriteError::Layer {
                layer: layer.name.clone(),
                reason,
            });
        }
        for scale in weight_scale {
            positive(&layer.name, *scale)?;
        }
        let bias_scale: Vec<f32> = weight_scale
            .iter()
            .map(|scale| input_scale * scale)
            .collect();
        let base = format!("{}/weights", layer.name);
        let weights = match self.dialect {
            Dialect::Qdq => {
                let weights = self.constant(&base, bytes(&dims, &values));
                self.dequantized(&weights, &base, weight_scale, Some(filters))
            }
            Dialect::Quant => self.quant_weights(convolution, &base, &dims, &values),
        };
        let values: Vec<u8> = convolution
            .bias
            .iter()
            .flat_map(|bias| bias.to_le_bytes())
            .collect();
        let bias = TensorProto {
            data_type: 6,
            dims: signed(&[filters]),
            raw_data: values,
            ..Default::default()
        };
        let bias = self.constant(&format!("{}/bias", layer.name), bias);
        let bias = self.dequantized(&bias, &format!("{}/bias", layer.name), &bias_scale, None);
        Ok([weights, bias])
    }

    /// A constant of integers times its steps, one a filter; with int8 zero points where `zeros` says how many.
    fn dequantized(
        &mut self,
        name: &str,
        base: &str,
        scale: &[f32],
        zeros: Option<usize>,
    ) -> String {
        let scale = self.constant(&format!("{base}/scale"), reals(&[scale.len()], scale));
        let zero = zeros
            .map(|count| self.constant(&format!("{base}/zero"), bytes(&[count], &vec![0; count])));
        let inputs: Vec<&str> = [name, &scale].into_iter().chain(zero.as_deref()).collect();
        self.value(
            "DequantizeLinear",
            &inputs,
            &format!("{base}/real"),
            vec![int("axis", 0)],
        )
    }

    fn finish(mut self) -> Result<ModelProto, WriteError> {
        let output = self.tensor("output", self.network.output)?;
        let written =
            self.written[self.network.output]
                .clone()
                .ok_or_else(|| WriteError::Layer {
                    layer: "output".to_owned(),
                    reason: "is not computed".to_owned(),
                })?;
        self.graph
            .output
            .push(port(&written.name, output.shape, written.flat));
        let onnx = OperatorSetIdProto {
            domain: String::new(),
            version: OPERATORS_VERSION,
        };
        Ok(ModelProto {
            ir_version: FORMAT_VERSION,
            producer_name: "bitweft".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            opset_import: match self.dialect {
                Dialect::Qdq => vec![onnx],
                Dialect::Quant => vec![onnx, qonnx::operators()],
            },
            metadata_props: record::widths_and_network(self.network)?,
        })
    }
}

fn is_vector(shape: Shape) -> bool {
    shape.height == 1 && shape.width == 1
}

fn positive(name: &str, scale: f32) -> Result<f32, WriteError> {
    if scale.is_finite() && scale > 0.0 {
        Ok(scale)
    } else {
        Err(WriteError::Scale {
            name: name.to_owned(),
            scale,
        })
    }
}
