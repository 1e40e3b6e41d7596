//! The processor, emitted as Verilog.

pub mod builder;
pub mod memory;
