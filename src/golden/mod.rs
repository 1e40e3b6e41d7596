//! The golden model: what the hardware must answer, bit for bit.
pub mod float;
