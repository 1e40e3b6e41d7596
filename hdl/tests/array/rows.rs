//! The whole array against the naive model, on random runs.

use crate::{
    script::Script,
    support::{architecture, pack},
};
use bitweft_hdl::array;
use bitweft_isa::architecture::{Architecture, LaneKind, Storage};
use bitweft_sim::{Build, Library, Profile, SimError};

const BLOCKS: usize = 4;

fn build(architecture: &Architecture) -> Library {
    let text = array::build(architecture).verilog().expect("complete");
    Build::from_text("array", text, Profile::Check)
        .build()
        .expect("builds")
}

/// Bit `at` of a port's words.
fn bit(words: &[u32], at: usize) -> bool {
    words[at / 32] >> (at % 32) & 1 == 1
}

/// Plays a script; checks `drain_data` in every cycle.
fn play(library: &Library, architecture: &Architecture, seed: u64) -> Result<(), SimError> {
    let script = Script::new(architecture, seed, BLOCKS);
    let mut model = library.instantiate(seed)?;
    let port = |name: &str| model.signal(name).expect(name);
    let numbers = [
        "capture",
        "capture_pass",
        "fill_enable",
        "fill_quad",
        "fill_entry",
        "fill_bank",
        "plane_bank",
        "horner_first",
        "horner_sign",
        "accumulator_address",
        "accumulator_read_address",
        "accumulator_write",
        "accumulator_clear",
        "accumulator_drain",
    ]
    .map(port);
    let (bus, plane, two_passes) = (port("x_bus"), port("plane_word"), port("two_passes"));
    let (reset, drain_data) = (port("reset"), port("drain_data"));
    model.set(reset, 1);
    model.tick(4)?;
    model.set(reset, 0);
    model.set(two_passes, u64::from(script.two_passes));
    let bits = architecture.accumulator_bits;
    for (cycle, inputs) in script.cycles.iter().enumerate() {
        let values = [
            u64::from(inputs.capture),
            u64::from(inputs.capture_pass),
            u64::from(inputs.fill_enable),
            inputs.fill_quad as u64,
            inputs.fill_entry as u64,
            u64::from(inputs.fill_bank),
            u64::from(inputs.plane_bank),
            u64::from(inputs.first),
            u64::from(inputs.sign),
            inputs.address as u64,
            inputs.read_address as u64,
            u64::from(inputs.write),
            u64::from(inputs.clear),
            u64::from(inputs.drain),
        ];
        for (signal, value) in numbers.iter().zip(values) {
            model.set(*signal, value);
        }
        model.set_words(bus, &inputs.x);
        model.set_words(plane, &pack(&inputs.plane));
        model.tick(1)?;
        let found = model.get_words(drain_data);
        for way in 0..architecture.drain_ways {
            let expected = script.drained.get(&(cycle + 1, way));
            for column in 0..architecture.columns {
                let value = expected.map_or(0, |values| values[column]);
                let low = (way * architecture.columns + column) * bits;
                for at in 0..bits {
                    assert_eq!(
                        bit(&found, low + at),
                        value >> at & 1 == 1,
                        "cycle {}, way {way}, column {column}, bit {at} of {value}",
                        cycle + 1
                    );
                }
            }
        }
    }
    Ok(())
}

fn check(architecture: &Architecture) {
    let library = build(architecture);
    for seed in 1..=6 {
        println!("{architecture:?}, seed {seed}");
        play(&library, architecture, seed).expect("runs");
    }
}

#[test]
fn one_column_plain() {
    check(&architecture(LaneKind::Plain, 1, 2));
}

#[test]
fn two_columns_table_two_ways() {
    check(&Architecture {
        drain_ways: 2,
        ..architecture(LaneKind::Table, 2, 4)
    });
}

#[test]
fn three_columns_table_in_distributed_memory() {
    check(&Architecture {
        accumulator_storage: Storage::Distributed,
        accumulator_depth: 16,
        ..architecture(LaneKind::Table, 3, 5)
    });
}

#[test]
fn three_columns_plain_narrow_accumulators() {
    check(&Architecture {
        accumulator_bits: 20,
        drain_ways: 2,
        ..architecture(LaneKind::Plain, 3, 3)
    });
}

#[test]
fn eight_columns_table() {
    check(&Architecture {
        drain_ways: 2,
        ..architecture(LaneKind::Table, 8, 3)
    });
}

#[test]
fn eight_columns_plain_in_distributed_memory() {
    check(&Architecture {
        accumulator_storage: Storage::Distributed,
        ..architecture(LaneKind::Plain, 8, 2)
    });
}
