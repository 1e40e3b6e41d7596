//! Writes the processor's Verilog: `emit ARCHITECTURE.toml OUT.v`.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[1]).expect("readable");
    let architecture = bitweft_isa::architecture::Architecture::from_toml(&text).expect("valid");
    std::fs::write(
        &arguments[2],
        bitweft_hdl::verilog(&architecture).expect("emits"),
    )
    .expect("writable");
}
