//! The processor, emitted as Verilog.

pub mod array;
pub mod builder;
pub mod dot;
mod dot_plain;
mod dot_table;
pub mod lane;
pub mod memory;
pub mod requantizer;
mod row;
