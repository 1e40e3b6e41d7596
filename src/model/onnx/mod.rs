//! ONNX files: float networks, quantized networks (Q/DQ and QLinear operators), and a writer of the latter.
//!
//! The messages of the format are generated from `src/model/schema/onnx.proto` (`scripts/onnx-schema`).
//!
//! Taken: Conv (dense and depthwise), BatchNormalization, Gemm and MatMul with constant weights, Relu, Clip,
//! LeakyRelu and PRelu with slopes in (0, 1], Add, Sub and Sum of activations, arithmetic with one constant a
//! channel, MaxPool, AveragePool, their global forms, ReduceMean over rows and columns, Softmax over a vector,
//! Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Pad with zeros, Slice of every n-th pixel or of channels,
//! Concat with zeros, Identity, Dropout, Cast, QuantizeLinear, DequantizeLinear, QLinearConv, QLinearMatMul, and
//! ONNX Runtime's QGemm, QLinearAdd, QLinearAveragePool and QLinearGlobalAveragePool; QONNX's Quant (weights of 1
//! to 8 bits with one step and width or one a filter, zero point 0; activations of 8 bits; rounding ROUND, as
//! Brevitas exports them); arithmetic on constants and shapes is computed while reading. Everything else is refused by name, all of it at once.

mod constant;
mod fold;
mod graph;
mod import;
mod integer;
mod record;
#[allow(missing_docs, unreachable_pub, clippy::pedantic)]
#[rustfmt::skip]
mod schema;
mod simplify;
mod sizes;
#[cfg(test)]
mod tests;
mod value;
mod write;

use prost::Message as _;

use super::float::FloatNetwork;
use super::integer::IntegerNetwork;
use super::load::Model;
use super::unsupported::UnsupportedReport;

pub use value::Axis;
pub use write::{WriteError, write, write_qonnx};

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no ONNX file, or is cut off or damaged.
    #[error("not an ONNX file, or a damaged one: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The file holds no network.
    #[error("the ONNX file has no graph")]
    NoGraph,
    /// A stored constant cannot be used.
    #[error("{0}")]
    Constant(String),
    /// An input or the output cannot be used.
    #[error("'{name}' {reason}")]
    Port {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A network of no or several inputs.
    #[error("the network has {count} inputs, expected 1")]
    Inputs {
        /// Inputs that are no constants.
        count: usize,
    },
    /// A network of no or several outputs.
    #[error("the network has {count} outputs, expected 1; remove the others when exporting")]
    Outputs {
        /// Outputs.
        count: usize,
    },
    /// One of bitweft's own records is damaged.
    #[error("metadata entry '{key}': {reason}")]
    Record {
        /// Its key.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// Operators that are not supported, all of them.
    #[error(transparent)]
    Unsupported(UnsupportedReport),
}

/// An input or the output of a network as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Index in the network's `tensors`.
    pub tensor: super::float::TensorId,
    /// For each of the file's dimensions, the axes it runs over, outermost first; those of size 1 are left out.
    pub dims: Vec<Vec<Axis>>,
    /// The file's sizes.
    pub sizes: Vec<usize>,
}

/// A float network and how its ports lie in the file: what comparing with another runtime needs.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatImport {
    /// The network. Its `input` is the first of `inputs`.
    pub network: FloatNetwork,
    /// Every input of the file.
    pub inputs: Vec<Port>,
    /// The output.
    pub output: Port,
}

/// Reads a file as what it is: integer if it quantizes any activation, else float.
///
/// # Errors
/// As [`read_float`] and [`read_integer`].
pub fn read(bytes: &[u8], name: &str) -> Result<Model, Error> {
    let model = schema::ModelProto::decode(bytes)?;
    let imported = imported(&model, name)?;
    if imported.inputs.len() != 1 {
        return Err(Error::Inputs {
            count: imported.inputs.len(),
        });
    }
    if integer::is_quantized(&imported) {
        to_integers(&model, imported).map(Model::Integer)
    } else {
        Ok(Model::Float(imported.network))
    }
}

/// Reads a quantized network: `QuantizeLinear` and `DequantizeLinear` around float operators, or the `QLinear`
/// operators, with int8 or uint8 activations and symmetric int8 weights (a constant zero point is subtracted).
/// Rounding is [`super::integer::Rounding::Single`] and widths are those of the integers, unless bitweft's own
/// records in the file say otherwise.
///
/// # Errors
/// As [`read_float`]; and activations or weights that are not quantized, listed by layer.
pub fn read_integer(bytes: &[u8], name: &str) -> Result<IntegerNetwork, Error> {
    let model = schema::ModelProto::decode(bytes)?;
    let imported = imported(&model, name)?;
    if imported.inputs.len() != 1 {
        return Err(Error::Inputs {
            count: imported.inputs.len(),
        });
    }
    to_integers(&model, imported)
}

fn imported(model: &schema::ModelProto, name: &str) -> Result<import::Imported, Error> {
    let mut imported = import::import(model, name)?;
    simplify::simplify(&mut imported);
    Ok(imported)
}

fn to_integers(
    model: &schema::ModelProto,
    imported: import::Imported,
) -> Result<IntegerNetwork, Error> {
    let mut network = integer::convert(imported)?;
    record::apply(model, &mut network)?;
    Ok(network)
}

/// Reads a float network. `BatchNormalization`, activations and arithmetic with constants are folded into the
/// layers around them, exactly but for rounding; what the file itself does to its input first is returned in
/// `input_transform`, so that a transform that the user states goes before it (`InputTransform::then`).
///
/// Images are turned from ONNX's `[channels, rows, columns]`, and so are weights behind a Flatten. A quantized
/// file is read as the real numbers it stands for.
///
/// # Errors
/// The file is damaged, has not one input and one output of known shape, or has operators that are not
/// supported (all are listed).
pub fn read_float(bytes: &[u8], name: &str) -> Result<FloatNetwork, Error> {
    let import = import_float(bytes, name)?;
    match import.inputs.len() {
        1 => Ok(import.network),
        count => Err(Error::Inputs { count }),
    }
}

/// As [`read_float`], for any number of inputs and with the layout of the file's ports.
///
/// # Errors
/// As [`read_float`].
pub fn import_float(bytes: &[u8], name: &str) -> Result<FloatImport, Error> {
    let model = schema::ModelProto::decode(bytes)?;
    let imported = imported(&model, name)?;
    let port = |activation: &value::Activation| Port {
        tensor: activation.tensor,
        dims: activation.dims.clone(),
        sizes: activation.sizes(),
    };
    let inputs = imported.inputs.iter().map(port).collect();
    Ok(FloatImport {
        inputs,
        output: port(&imported.output),
        network: imported.network,
    })
}

/// Computes the output of a file that depends on no data: on constants and on sizes alone. This is how shapes
/// that exporters leave in a file as arithmetic are resolved.
///
/// # Errors
/// The file is damaged, or its output depends on data or on an operator that is not supported.
pub fn constant_output(bytes: &[u8]) -> Result<ndarray::ArrayD<f32>, Error> {
    let model = schema::ModelProto::decode(bytes)?;
    to_array(&*import::constant_output(&model)?)
}

/// Decodes a stored tensor (the format of ONNX's test data) as real numbers.
///
/// # Errors
/// The bytes are no tensor, or one of strings or other strange elements.
pub fn read_tensor(bytes: &[u8]) -> Result<ndarray::ArrayD<f32>, Error> {
    let tensor = schema::TensorProto::decode(bytes)?;
    to_array(&constant::Constant::decode(&tensor).map_err(Error::Constant)?)
}

fn to_array(constant: &constant::Constant) -> Result<ndarray::ArrayD<f32>, Error> {
    ndarray::ArrayD::from_shape_vec(constant.dims.clone(), constant.to_reals())
        .map_err(|error| Error::Constant(error.to_string()))
}

/// The name that a stored tensor carries.
///
/// # Errors
/// The bytes are no tensor.
pub fn tensor_name(bytes: &[u8]) -> Result<String, Error> {
    Ok(schema::TensorProto::decode(bytes)?.name)
}
