//! Everything emitted passes `verilator -Wall` without a warning.

use crate::support::{architecture, rows};
use bitweft_hdl::{array, builder::Module, dot};
use bitweft_isa::architecture::{Architecture, LaneKind, Storage};

fn clean(module: &Module) {
    let text = module.verilog().expect("complete");
    let file = format!("{}.v", module.name());
    bitweft_sim::lint(module.name(), &[(file, text)]).expect("no warnings");
}

#[test]
fn shipped_architectures_are_clean() {
    for text in [
        include_str!("../../../constraints/tiny.toml"),
        include_str!("../../../constraints/icebreaker.toml"),
        include_str!("../../../constraints/colorlight-i5.toml"),
        include_str!("../../../constraints/ulx3s-85f.toml"),
    ] {
        let architecture = Architecture::from_toml(text).expect("valid");
        clean(&array::build(&architecture));
        clean(&dot::build(&architecture));
    }
}

#[test]
fn corner_architectures_are_clean() {
    for lane in [LaneKind::Table, LaneKind::Plain] {
        for (columns, quads) in [(1, 2), (3, 3), (16, 7), (1, 32), (1, 64)] {
            let fill_words = match lane {
                LaneKind::Table if quads == 64 => 4,
                LaneKind::Table if quads % 2 == 0 => 2,
                _ => 1,
            };
            for (storage, bits) in [(Storage::Block, 20), (Storage::Distributed, 32)] {
                clean(&array::build(&Architecture {
                    accumulator_bits: bits,
                    accumulator_storage: storage,
                    lane_rows: rows(fill_words),
                    drain_ways: if fill_words == 4 { 1 } else { 2 },
                    fill_words,
                    ..architecture(lane, columns, quads)
                }));
            }
        }
    }
}
