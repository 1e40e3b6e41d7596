//! The processor, emitted as Verilog.
