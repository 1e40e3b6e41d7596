//! The golden model: what the hardware must answer, bit for bit.
mod add;
mod check;
mod convolution;
mod error;
pub mod float;
pub mod machine;
pub mod network;
mod pool;
pub mod requantize;
mod softmax;
