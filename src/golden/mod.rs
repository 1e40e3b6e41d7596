//! The golden model: what the hardware must answer, bit for bit.
mod add;
mod check;
mod convolution;
pub mod devices;
mod error;
pub mod float;
pub mod machine;
pub mod network;
mod pool;
pub mod requantize;
mod softmax;
