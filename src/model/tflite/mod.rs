//! TensorFlow Lite files: int8 ones become an [`IntegerNetwork`], float ones a [`FloatNetwork`].
//!
//! The FlatBuffer is read with code generated from our own minimal schema (`src/model/schema/tflite.fbs`;
//! `scripts/schema` regenerates it).
//!
//! Taken: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN over rows and
//! columns, RESHAPE, SQUEEZE, EXPAND_DIMS, SOFTMAX over a vector, PAD before convolutions, RELU, RELU6 and
//! RELU_N1_TO_1 (fused or alone), QUANTIZE and DEQUANTIZE; in float networks also ADD and MUL of a constant
//! behind a convolution. Everything else is refused by name, all of it at once.

mod error;
mod file;
mod float;
mod geometry;
mod integer;
mod operators;
mod plan;
pub(in crate::model) mod record;
mod refusal;
pub(in crate::model) mod scaling;
// Generated code: its style is not ours, and planus writes tables through raw pointers.
#[allow(unsafe_code, missing_docs, unreachable_pub, dead_code, clippy::all, clippy::unwrap_used)]
#[rustfmt::skip]
#[path = "../schema/tflite.rs"]
mod schema;
mod write;

pub use error::TfliteError;
pub use write::TfliteWriteError;

use super::float::FloatNetwork;
use super::integer::IntegerNetwork;
use super::load::Model;
use super::unsupported::UnsupportedReport;

/// Reads a file as what it is: integer if any of its activations is quantized, else float.
///
/// # Errors
/// [`TfliteError`]: a damaged file, or the report of all operators that are not taken.
pub fn read(bytes: &[u8], name: &str) -> Result<Model, TfliteError> {
    let file = file::File::parse(bytes)?;
    let mut report = UnsupportedReport::default();
    let steps = plan::plan(&file, &mut report)?;
    if plan::is_quantized(&file) {
        integer::lower(&file, &steps, name, &mut report).map(Model::Integer)
    } else {
        float::lower(&file, &steps, name, &mut report).map(Model::Float)
    }
}

/// Reads a float file. Clamps behind convolutions and additions, and constant factors and summands behind
/// convolutions, are folded into them.
///
/// # Errors
/// [`TfliteError`]: a damaged file, or the report of all operators that are not taken.
pub fn read_float(bytes: &[u8], name: &str) -> Result<FloatNetwork, TfliteError> {
    let file = file::File::parse(bytes)?;
    let mut report = UnsupportedReport::default();
    let steps = plan::plan(&file, &mut report)?;
    float::lower(&file, &steps, name, &mut report)
}

/// Reads a quantized file. Activations' bytes are `u = q + 128`; multipliers are those that TFLite's kernels
/// derive; rounding is `double` unless a record of ours says otherwise; a filter's width is the smallest
/// that holds its weights unless a record of ours says otherwise.
///
/// # Errors
/// [`TfliteError`]: a damaged file, or the report of all operators that are not taken.
pub fn read_integer(bytes: &[u8], name: &str) -> Result<IntegerNetwork, TfliteError> {
    let file = file::File::parse(bytes)?;
    let mut report = UnsupportedReport::default();
    let steps = plan::plan(&file, &mut report)?;
    integer::lower(&file, &steps, name, &mut report)
}

/// Writes a network as an int8 file. If the network rounds `double`, kernels that do so too (TFLite Micro's and
/// LiteRT's reference kernels, but for LiteRT's fully connected ones) compute exactly its bytes; runtimes
/// that round otherwise answer some bytes one step off. Filter widths, rounding,
/// input transform and layer names are kept in metadata records, so that reading gives the network again.
///
/// # Errors
/// [`TfliteWriteError`] where the format's kernels would not compute a layer as the network says: multipliers
/// that do not follow from the scales, clamps that are no activation, paddings of pools other than
/// SAME and VALID.
pub fn write(network: &IntegerNetwork) -> Result<Vec<u8>, TfliteWriteError> {
    write::write(network)
}

/// Multiplier of TFLite's MEAN over `count` pixels.
#[cfg(test)]
pub(crate) use scaling::mean as mean_multiplier;

#[cfg(test)]
mod tests;
