//! Networks: float (as trained), integer (the one intermediate representation), and their files.
//!
//! Every activation is an image of shape `[height, width, channels]` (NHWC without the batch); a
//! vector is `[1, 1, channels]`. Weights are `[out, row, column, in]`.

pub mod bwfile;
pub mod data;
pub mod embedded;
pub mod float;
pub mod input;
pub mod integer;
pub mod load;
pub mod onnx;
pub mod output;
pub mod tflite;
pub mod unsupported;

#[cfg(test)]
pub(crate) mod testing;
