//! The processor, emitted as Verilog.

pub mod activation_memory;
mod apart;
pub mod array;
pub mod board;
pub mod builder;
mod count;
mod crc32;
pub mod dot;
mod dot_plain;
mod dot_table;
pub mod drain;
pub mod elementwise;
pub mod fetch;
pub mod fifo;
pub mod issue;
pub mod lane;
pub mod link;
pub mod memory;
pub mod pll;
pub mod pool;
pub mod port;
pub mod post;
pub mod requantizer;
mod row;
pub mod sequencer;
pub mod top;
pub mod uart;
pub mod write_back;

/// yosys technology map of adders to ECP5 carry cells: `techmap -map` before `synth_ecp5` maps gates.
pub const ECP5_ALU: &str = include_str!("../vendor/ecp5_alu.v");

pub use board::{BOARD_CLOCK, BOARD_TOP, PROCESSOR};
pub use top::{ACTIVATIONS, ARRAY, TOP, verilog};
