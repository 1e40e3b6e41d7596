//! The processor, emitted as Verilog.

pub mod activation_memory;
pub mod array;
pub mod builder;
mod count;
mod crc32;
pub mod dot;
mod dot_plain;
mod dot_table;
pub mod drain;
pub mod elementwise;
pub mod fetch;
pub mod issue;
pub mod lane;
pub mod memory;
pub mod pool;
pub mod port;
pub mod post;
pub mod requantizer;
mod row;
pub mod sequencer;
pub mod top;
pub mod write_back;

pub use top::{TOP, verilog};
