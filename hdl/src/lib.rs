//! The processor, emitted as Verilog.

pub mod activation_memory;
pub mod array;
pub mod builder;
mod count;
pub mod dot;
mod dot_plain;
mod dot_table;
pub mod fetch;
pub mod issue;
pub mod lane;
pub mod memory;
pub mod requantizer;
mod row;
