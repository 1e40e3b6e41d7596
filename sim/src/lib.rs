//! Verilog text in, a running Verilated model out.
