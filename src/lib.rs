//! bitweft: from a trained CNN to a bit-serial FPGA processor.

pub mod compiler;
pub mod driver;
pub mod flow;
pub mod golden;
pub mod model;
pub mod quant;
#[cfg(feature = "train")]
pub mod train;
