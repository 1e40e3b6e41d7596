//! The serial link in Verilator: against a naive model of the line, and the whole board top through its pins.

mod board;
mod line;
mod rates;
mod uart;
