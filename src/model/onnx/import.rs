//! Lowers the operators of a file to the layers of a float network, noting quantization parameters on the way.

mod convolution;
mod elementwise;
mod pool;
mod qonnx;
mod quantize;
mod shape;
mod view;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::Error;
use super::constant::{Constant, elements};
use super::fold::{self, fold, is_foldable};
use super::graph::Node;
use super::schema::{GraphProto, ModelProto, ValueInfoProto};
use super::value::{Activation, Axis, Value, View};
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, FloatTensor, InputTransform,
    Padding, Shape, TensorId, Window,
};
use crate::model::unsupported::UnsupportedReport;

/// Elements of one activation, at most.
const ACTIVATION_ELEMENTS_MAX: usize = 1 << 27;
/// Weights that the reader makes itself (selections, identities), at most, over the whole file.
const SYNTHETIC_WEIGHTS_MAX: usize = 1 << 25;
/// Images in a declared batch, at most.
const BATCH_MAX: usize = 1 << 16;

/// Step and zero point that the file gives an activation, as bytes 0..=255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ActivationQuantization {
    /// Real value of one step.
    pub(super) scale: f32,
    /// Byte of 0.0.
    pub(super) zero_point: i32,
}

/// Steps that the file gives a layer's weights, and its bias in integers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WeightQuantization {
    /// Real value of one step, a filter.
    pub(super) scale: Vec<f32>,
    /// The bias, with the real value of one step where the file states it, a filter.
    pub(super) bias: Option<(Vec<i64>, Option<Vec<f32>>)>,
}

/// A file as layers.
#[derive(Debug)]
pub(super) struct Imported {
    /// The network; its `input` and `output` are the first ones.
    pub(super) network: FloatNetwork,
    /// Inputs in file order.
    pub(super) inputs: Vec<Activation>,
    /// Whether the first input is of bytes.
    pub(super) takes_bytes: bool,
    /// Output.
    pub(super) output: Activation,
    /// A tensor's quantization, where the file gives one.
    pub(super) activations: Vec<Option<ActivationQuantization>>,
    /// A layer's quantized weights, by its name.
    pub(super) weights: HashMap<String, WeightQuantization>,
}

/// Lowers a file's graph.
pub(super) fn import(model: &ModelProto, name: &str) -> Result<Imported, Error> {
    let graph = model.graph.as_ref().ok_or(Error::NoGraph)?;
    let mut importer = Importer::new(model, graph);
    let inputs = importer.read_inputs()?;
    for (index, proto) in graph.node.iter().enumerate() {
        importer.read_node(&Node { index, proto });
    }
    if !importer.report.is_empty() {
        return Err(Error::Unsupported(importer.report));
    }
    importer.finish(name, inputs)
}

/// Computes the output of a file that depends on no data: on constants and on sizes alone.
pub(super) fn constant_output(model: &ModelProto) -> Result<Rc<Constant>, Error> {
    let graph = model.graph.as_ref().ok_or(Error::NoGraph)?;
    let mut importer = Importer::new(model, graph);
    importer.read_inputs()?;
    for (index, proto) in graph.node.iter().enumerate() {
        importer.read_node(&Node { index, proto });
    }
    if !importer.report.is_empty() {
        return Err(Error::Unsupported(importer.report));
    }
    let [info] = graph.output.as_slice() else {
        return Err(Error::Outputs {
            count: graph.output.len(),
        });
    };
    match importer.values.get(info.name.as_str()) {
        Some(Value::Constant(constant)) => Ok(constant.clone()),
        _ => Err(Error::Port {
            name: info.name.clone(),
            reason: "is no constant".to_owned(),
        }),
    }
}

/// Operators that [`Importer::lower`] knows for activations.
const LOWERED: [&str; 36] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Slice",
    "Softmax",
    "Squeeze",
    "Sub",
    "Sum",
    "Transpose",
    "Unsqueeze",
];

/// Operators of ONNX Runtime's own domain.
const LOWERED_MICROSOFT: [&str; 6] = [
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
    "QuantizeLinear",
    "DequantizeLinear",
];

struct Importer<'m> {
    graph: &'m GraphProto,
    /// Version of ONNX's own operators.
    version: i64,
    values: HashMap<&'m str, Value>,
    readers: HashMap<&'m str, Vec<&'m str>>,
    tensors: Vec<FloatTensor>,
    layers: Vec<FloatLayer>,
    names: HashSet<String>,
    activations: Vec<Option<ActivationQuantization>>,
    weights: HashMap<String, WeightQuantization>,
    report: UnsupportedReport,
    batch: usize,
    takes_bytes: bool,
    weights_left: usize,
    folded_left: usize,
}

impl<'m> Importer<'m> {
    fn new(model: &'m ModelProto, graph: &'m GraphProto) -> Self {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let mut readers: HashMap<&str, Vec<&str>> = HashMap::new();
        for node in &graph.node {
            for input in &node.input {
                readers.entry(input).or_default().push(&node.op_type);
            }
        }
        Self {
            graph,
            version: model
                .opset_import
                .iter()
                .find(|set| own(&set.domain))
                .map_or(1, |set| set.version),
            values: HashMap::new(),
            readers,
            tensors: vec![],
            layers: vec![],
            names: HashSet::new(),
            activations: vec![],
            weights: HashMap::new(),
            report: UnsupportedReport::default(),
            batch: 1,
            takes_bytes: false,
            weights_left: SYNTHETIC_WEIGHTS_MAX,
            folded_left: SYNTHETIC_WEIGHTS_MAX,
        }
    }

    /// Decodes constants and makes a tensor of every input that is none.
    fn read_inputs(&mut self) -> Result<Vec<Activation>, Error> {
        for tensor in &self.graph.initializer {
            let constant = Constant::decode(tensor).map_err(Error::Constant)?;
            self.values
                .insert(&tensor.name, Value::Constant(Rc::new(constant)));
        }
        let mut inputs = Vec::new();
        for info in &self.graph.input {
            if self.values.contains_key(info.name.as_str()) {
                continue;
            }
            let input = self.input(info).map_err(|reason| Error::Port {
                name: info.name.clone(),
                reason,
            })?;
            self.values
                .insert(&info.name, Value::Activation(input.clone()));
            inputs.push(input);
        }
        Ok(inputs)
    }

    fn input(&mut self, info: &'m ValueInfoProto) -> Result<Activation, String> {
        use super::schema::dimension_proto::Value as Size;
        let shape = info
            .r#type
            .as_ref()
            .and_then(|kind| kind.tensor_type.as_ref())
            .and_then(|t| t.shape.as_ref());
        let dims = &shape.ok_or("has no shape")?.dim;
        let mut sizes = Vec::with_capacity(dims.len());
        for (index, dim) in dims.iter().enumerate() {
            sizes.push(match dim.value {
                Some(Size::DimValue(size)) if size > 0 => {
                    usize::try_from(size).map_err(|_| "is too large")?
                }
                _ if index == 0 && dims.len() > 1 => 1,
                _ => {
                    return Err(format!(
                        "has no fixed size along dimension {index}; fix it when exporting"
                    ));
                }
            });
        }
        let feeds_transpose = self.readers.get(info.name.as_str()).is_some_and(|readers| {
            !readers.is_empty() && readers.iter().all(|operator| *operator == "Transpose")
        });
        let axes: &[&[Axis]] = match sizes.len() {
            1 => &[&[Axis::Channel]],
            2 => &[&[Axis::Batch], &[Axis::Channel]],
            3 => &[&[Axis::Batch], &[Axis::Channel], &[Axis::Column]],
            4 if feeds_transpose => &[
                &[Axis::Batch],
                &[Axis::Row],
                &[Axis::Column],
                &[Axis::Channel],
            ],
            4 => &super::value::IMAGE,
            rank => return Err(format!("has {rank} dimensions, expected 1 to 4")),
        };
        let size = |axis| {
            axes.iter()
                .position(|group| *group == [axis])
                .map_or(1, |index| sizes[index])
        };
        let batch = size(Axis::Batch);
        if batch > BATCH_MAX {
            return Err(format!("is a batch of {batch}"));
        }
        if self.tensors.is_empty() {
            self.batch = batch;
            let element = info
                .r#type
                .as_ref()
                .and_then(|kind| kind.tensor_type.as_ref())
                .map(|t| t.elem_type);
            self.takes_bytes = matches!(element, Some(2 | 3));
        } else if self.batch != batch {
            return Err("has another batch size than the first input".to_owned());
        }
        let shape = Shape {
            height: size(Axis::Row),
            width: size(Axis::Column),
            channels: size(Axis::Channel),
        };
        let tensor = self.tensor(&info.name, shape)?;
        Ok(Activation::new(tensor, shape, batch, axes))
    }

    /// Adds a tensor.
    fn tensor(&mut self, name: &str, shape: Shape) -> Result<TensorId, String> {
        match elements(&[shape.height, shape.width, shape.channels]) {
            Some(1..=ACTIVATION_ELEMENTS_MAX) => {}
            _ => {
                return Err(format!(
                    "an activation of {} x {} x {}",
                    shape.height, shape.width, shape.channels
                ));
            }
        }
        self.tensors.push(FloatTensor {
            name: name.to_owned(),
            shape,
        });
        self.activations.push(None);
        Ok(self.tensors.len() - 1)
    }

    fn read_node(&mut self, node: &Node<'m>) {
        let result = match self.lower(node) {
            Ok(value) => value,
            Err(reason) => {
                self.report
                    .push(node.operator(), node.index, node.label(), reason);
                Value::Unknown
            }
        };
        for name in node.proto.output.iter().skip(1) {
            self.values.insert(name, Value::Unknown);
        }
        if let Some(name) = node.proto.output.first() {
            self.values.insert(name, result);
        }
    }

    /// The first output of an operator.
    fn lower(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let operator = node.proto.op_type.as_str();
        let known = match node.proto.domain.as_str() {
            "" | "ai.onnx" => LOWERED.contains(&operator) || is_foldable(operator),
            "com.microsoft" => LOWERED_MICROSOFT.contains(&operator),
            domain if qonnx::DOMAINS.contains(&domain) => qonnx::LOWERED.contains(&operator),
            _ => false,
        };
        if !known {
            return Err("has no counterpart in the processor".to_owned());
        }
        if node
            .proto
            .output
            .iter()
            .skip(1)
            .any(|name| self.readers.contains_key(name.as_str()))
        {
            return Err("only the first output can be used".to_owned());
        }
        let mut constants = Vec::with_capacity(node.proto.input.len());
        let mut all_constant = true;
        for index in 0..node.proto.input.len() {
            constants.push(match self.optional(node, index)? {
                None => None,
                Some(Value::Constant(constant)) => Some(constant.clone()),
                // Reported where it arose.
                Some(Value::Unknown) => return Ok(Value::Unknown),
                Some(Value::Activation(_)) => {
                    all_constant = false;
                    None
                }
            });
        }
        let constants: Vec<Option<&Constant>> = constants.iter().map(Option::as_deref).collect();
        if all_constant && is_foldable(operator) {
            let constant = fold(node, &constants)?;
            self.folded_left = self
                .folded_left
                .checked_sub(constant.len())
                .ok_or("the computed constants are too large")?;
            return Ok(Value::Constant(Rc::new(constant)));
        }
        self.dispatch(node, &constants)
    }

    fn dispatch(
        &mut self,
        node: &Node<'m>,
        constants: &[Option<&Constant>],
    ) -> Result<Value, String> {
        match node.proto.op_type.as_str() {
            "Conv" => self.convolution(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matrix_product(node),
            "QLinearConv" => self.quantized_convolution(node),
            "QLinearMatMul" => self.quantized_matrix_product(node),
            "QGemm" => self.quantized_gemm(node),
            "QLinearAdd" => self.quantized_add(node),
            "QLinearAveragePool" | "QLinearGlobalAveragePool" => self.quantized_pool(node),
            "Quant" => self.quant(node),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => self.arithmetic(node),
            "Neg" => self.negative(node),
            "Relu" | "Clip" => self.clamp(node),
            "LeakyRelu" | "PRelu" => self.leaky(node),
            "Softmax" => self.softmax(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalMaxPool" | "GlobalAveragePool" => self.global_pool(node),
            "ReduceMean" => self.reduce_mean(node, constants),
            "Identity" | "Dropout" | "Cast" => Ok(Value::Activation(self.activation(node, 0)?)),
            "Shape" => self.shape(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node, constants),
            "Transpose" => self.transpose(node),
            "Slice" => self.slice(node, constants),
            "Pad" => self.pad(node, constants),
            "Concat" => self.concat(node),
            _ => Err("is supported on constants only".to_owned()),
        }
    }

    /// The value of an input; `None` where it is left out.
    fn optional(&self, node: &Node<'m>, index: usize) -> Result<Option<&Value>, String> {
        let Some(name) = node.input(index) else {
            return Ok(None);
        };
        self.values
            .get(name)
            .map(Some)
            .ok_or_else(|| format!("reads '{name}', which nothing has written before"))
    }

    /// An input that has to be an activation.
    fn activation(&self, node: &Node<'m>, index: usize) -> Result<Activation, String> {
        match self.optional(node, index)? {
            Some(Value::Activation(activation)) => Ok(activation.clone()),
            Some(_) => Err(format!(
                "input {index} is a constant, expected an activation"
            )),
            None => Err(format!("input {index} is missing")),
        }
    }

    /// An input that has to be constant; `None` where it is left out.
    fn optional_constant(
        &self,
        node: &Node<'m>,
        index: usize,
    ) -> Result<Option<Rc<Constant>>, String> {
        match self.optional(node, index)? {
            Some(Value::Constant(constant)) => Ok(Some(constant.clone())),
            Some(_) => Err(format!("input {index} is computed, expected a constant")),
            None => Ok(None),
        }
    }

    fn constant(&self, node: &Node<'m>, index: usize) -> Result<Rc<Constant>, String> {
        self.optional_constant(node, index)?
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// Adds a layer and its output; `suffix` tells several layers of one operator apart.
    fn emit(
        &mut self,
        label: &str,
        suffix: &str,
        op: FloatOp,
        inputs: &[TensorId],
        shape: Shape,
    ) -> Result<TensorId, String> {
        let name = self.unique(&format!("{label}{suffix}"));
        self.emit_named(name, suffix, label, op, inputs, shape)
    }

    fn emit_named(
        &mut self,
        name: String,
        suffix: &str,
        tensor: &str,
        op: FloatOp,
        inputs: &[TensorId],
        shape: Shape,
    ) -> Result<TensorId, String> {
        let output = self.tensor(&format!("{tensor}{suffix}"), shape)?;
        self.layers.push(FloatLayer {
            name,
            op,
            inputs: inputs.to_vec(),
            output,
        });
        Ok(output)
    }

    /// A layer named after the operator and a tensor named after its first output.
    fn emit_node(
        &mut self,
        node: &Node<'m>,
        op: FloatOp,
        inputs: &[TensorId],
        shape: Shape,
    ) -> Result<TensorId, String> {
        let name = self.unique(node.label());
        self.emit_named(name, "", node.output(), op, inputs, shape)
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    /// Takes weights that the reader makes itself from the file's allowance.
    fn allow_weights(&mut self, dims: &[usize]) -> Result<(), String> {
        let count = elements(dims).ok_or("too many weights")?;
        self.weights_left = self
            .weights_left
            .checked_sub(count)
            .ok_or("too many weights")?;
        Ok(())
    }

    /// An input that has to be an activation, as a whole tensor.
    fn whole(&mut self, node: &Node<'m>, index: usize) -> Result<Activation, String> {
        self.activation(node, index)?;
        self.materialize(node.input(index).unwrap_or_default())
    }

    fn finish(mut self, name: &str, inputs: Vec<Activation>) -> Result<Imported, Error> {
        let [info] = self.graph.output.as_slice() else {
            return Err(Error::Outputs {
                count: self.graph.output.len(),
            });
        };
        let port = |reason: String| Error::Port {
            name: info.name.clone(),
            reason,
        };
        let output = match self.values.get(info.name.as_str()) {
            Some(Value::Activation(_)) => self.materialize(&info.name).map_err(port)?,
            Some(_) => return Err(port("is a constant".to_owned())),
            None => return Err(port("is written by no operator".to_owned())),
        };
        let input = inputs.first().ok_or(Error::Inputs { count: 0 })?.tensor;
        let network = FloatNetwork {
            name: name.to_owned(),
            tensors: self.tensors,
            layers: self.layers,
            input,
            output: output.tensor,
            input_transform: InputTransform::default(),
            input_steps: None,
        };
        Ok(Imported {
            network,
            inputs,
            takes_bytes: self.takes_bytes,
            output,
            activations: self.activations,
            weights: self.weights,
        })
    }
}

/// Window of one pixel.
fn pointwise(stride_height: usize, stride_width: usize) -> Window {
    Window {
        kernel_height: 1,
        kernel_width: 1,
        stride_height,
        stride_width,
        padding: Padding::default(),
    }
}
