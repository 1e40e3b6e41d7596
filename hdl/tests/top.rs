//! The whole processor of every shipped architecture is free of lint.

use bitweft_hdl::{TOP, verilog};
use bitweft_isa::architecture::Architecture;

#[test]
fn lint_is_clean_on_every_shipped_architecture() {
    for text in [
        include_str!("../../constraints/tiny.toml"),
        include_str!("../../constraints/icebreaker.toml"),
        include_str!("../../constraints/colorlight-i5.toml"),
        include_str!("../../constraints/ulx3s-85f.toml"),
    ] {
        let architecture = Architecture::from_toml(text).expect("valid");
        let verilog = verilog(&architecture).expect("emits");
        bitweft_sim::lint(TOP, &[("bitweft.v".into(), verilog)]).expect("clean");
    }
}
