//! The whole array against the naive model, on random runs.

use crate::{
    script::Script,
    support::{architecture, pack},
};
use bitweft_hdl::array;
use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    timing::{ACCUMULATOR_UPDATE_LATENCY, fill_turns},
};
use bitweft_sim::{Build, Library, Profile, SimError};

fn text(architecture: &Architecture) -> String {
    array::build(architecture).verilog().expect("complete")
}

fn build(text: String) -> Library {
    Build::from_text("array", text, Profile::Check)
        .build()
        .expect("builds")
}

/// Bit `at` of a port's words.
fn bit(words: &[u32], at: usize) -> bool {
    words[at / 32] >> (at % 32) & 1 == 1
}

/// Plays a script; compares `drain_data` in every cycle and describes the first difference.
fn play(
    library: &Library,
    architecture: &Architecture,
    seed: u64,
    update_latency: usize,
) -> Result<Option<String>, SimError> {
    let script = Script::new(architecture, seed, update_latency);
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
    let odd_bus = (architecture.access_words() == 2).then(|| port("x_bus_odd"));
    let capture_quad = (fill_turns(architecture) > 1).then(|| port("capture_quad"));
    let paired = port("paired");
    let (reset, drain_data) = (port("reset"), port("drain_data"));
    model.set(reset, 1);
    model.tick(4)?;
    model.set(reset, 0);
    model.set(two_passes, u64::from(script.two_passes));
    model.set(paired, u64::from(script.paired));
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
        if let Some(bus) = odd_bus {
            model.set_words(bus, &inputs.x_odd);
        }
        if let Some(quad) = capture_quad {
            model.set(quad, inputs.capture_quad as u64);
        }
        model.set_words(plane, &pack(&inputs.plane));
        model.tick(1)?;
        let found = model.get_words(drain_data);
        for way in 0..architecture.drain_ways {
            let expected = script.drained.get(&(cycle + 1, way));
            for column in 0..architecture.columns {
                let value = expected.map_or(0, |values| values[column]);
                let low = (way * architecture.columns + column) * bits;
                let wrong = (0..bits).find(|at| bit(&found, low + at) != (value >> at & 1 == 1));
                if let Some(at) = wrong {
                    return Ok(Some(format!(
                        "cycle {}, way {way}, column {column}: bit {at} of {value}",
                        cycle + 1
                    )));
                }
            }
        }
    }
    Ok(None)
}

fn check(architecture: &Architecture) {
    let library = build(text(architecture));
    for seed in 1..=6 {
        println!("{architecture:?}, seed {seed}");
        let difference =
            play(&library, architecture, seed, ACCUMULATOR_UPDATE_LATENCY).expect("runs");
        assert_eq!(difference, None, "seed {seed}");
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
fn two_columns_table_filled_in_pairs() {
    check(&Architecture {
        fill_words: 2,
        ..architecture(LaneKind::Table, 2, 2)
    });
}

#[test]
fn three_columns_table_filled_in_pairs() {
    check(&Architecture {
        fill_words: 2,
        drain_ways: 2,
        ..architecture(LaneKind::Table, 3, 6)
    });
}

#[test]
fn four_rows_table_filled_in_halves() {
    for (columns, quads, control_groups) in [(2, 4, 1), (3, 8, 1), (4, 36, 2)] {
        check(&Architecture {
            lane_rows: 4,
            fill_words: 4,
            control_groups,
            ..architecture(LaneKind::Table, columns, quads)
        });
    }
}

#[test]
fn eight_columns_table_three_control_groups() {
    check(&Architecture {
        drain_ways: 2,
        control_groups: 3,
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

#[test]
fn two_rows_table_in_block_memory() {
    check(&Architecture {
        lane_rows: 2,
        compact: true,
        small_storage: Storage::Block,
        ..architecture(LaneKind::Table, 1, 8)
    });
}

#[test]
fn four_rows_plain() {
    check(&Architecture {
        lane_rows: 4,
        ..architecture(LaneKind::Plain, 2, 2)
    });
}

/// Every change of a control, a sign or a delay must be seen by some run.
#[test]
fn sabotage_is_noticed() {
    let architecture = architecture(LaneKind::Table, 4, 2);
    let text = text(&architecture);
    for (from, to) in [
        (".complement(plane_signs)", ".complement(1'h0)"),
        (".complement(horner_sign)", ".complement(1'h0)"),
        (".gate(accumulator_keep)", ".gate(1'h1)"),
        (
            ".plane_bank(row_2_0_next_plane_bank)",
            ".plane_bank(row_1_0_next_plane_bank)",
        ),
        (".drain(row_6_0_next_drain)", ".drain(row_5_0_next_drain)"),
        (
            ".write_address(fill_address)",
            ".write_address({fill_address[3], fill_address[2:0] ^ 3'h1})",
        ),
        ("capture_pass == two_passes", "capture_pass != two_passes"),
        (
            "write_address_2 <= write_address_1;",
            "write_address_2 <= accumulator_address;",
        ),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from} is not in the text");
        let library = build(changed);
        let noticed = (1..=6).any(|seed| {
            play(&library, &architecture, seed, ACCUMULATOR_UPDATE_LATENCY)
                .expect("runs")
                .is_some()
        });
        assert!(noticed, "{from} -> {to}");
    }
}

#[test]
fn a_drain_too_early_reads_an_old_sum() {
    let architecture = architecture(LaneKind::Table, 3, 2);
    let library = build(text(&architecture));
    let wrong = (1..=6).any(|seed| {
        play(
            &library,
            &architecture,
            seed,
            ACCUMULATOR_UPDATE_LATENCY - 1,
        )
        .expect("runs")
        .is_some()
    });
    assert!(wrong);
}
