//! The whole processor in Verilator, through its host port, against the golden model: every case, layer and byte, and
//! every descriptor's counters against the compiler's prediction.

#[path = "../cases/mod.rs"]
mod cases;

use bitweft::{
    compiler::compile,
    driver::{DriverError, Session, Simulated},
};
use bitweft_isa::architecture::{Architecture, LaneKind, SINGLE_PORT_WORDS, Storage};
use bitweft_sim::{Build, Library, Profile};

/// The cases' processor with other lanes; plain ones keep their accumulators in LUTRAM.
fn architecture(columns: usize, quads: usize, lane: LaneKind, drain_ways: usize) -> Architecture {
    let mut architecture = cases::architecture(columns, quads);
    architecture.lane = lane;
    architecture.drain_ways = drain_ways;
    if lane == LaneKind::Plain {
        architecture.accumulator_storage = Storage::Distributed;
    }
    architecture
}

fn library(architecture: &Architecture) -> Library {
    let verilog = bitweft_hdl::verilog(architecture).expect("emits");
    Build::from_text(bitweft_hdl::TOP, verilog, Profile::Check)
        .build()
        .expect("builds")
}

/// Runs every case on a processor whose memories start random.
fn check(architecture: &Architecture, seed: u64) {
    check_named(architecture, seed, "");
}

/// Runs the cases whose name begins so.
fn check_named(architecture: &Architecture, seed: u64, prefix: &str) {
    let cases: Vec<cases::Case> = cases::cases()
        .into_iter()
        .filter(|case| case.network.name.starts_with(prefix))
        .collect();
    let equal = cases::check::run(&library(architecture), architecture, &cases, seed, None)
        .unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(equal.inputs, cases.len());
}

#[test]
fn two_columns_of_table_lanes() {
    check(&architecture(2, 4, LaneKind::Table, 1), 1);
}

#[test]
fn one_column_of_plain_lanes() {
    check(&architecture(1, 2, LaneKind::Plain, 1), 2);
}

/// As `icebreaker`, with fewer inputs and with as many.
#[test]
fn two_compact_rows_with_the_memories_of_an_ice40() {
    for (quads, seed) in [(2, 9), (8, 11)] {
        let mut ice40 = architecture(1, quads, LaneKind::Table, 1);
        ice40.lane_rows = 2;
        ice40.compact = true;
        ice40.image_side_max = 31;
        ice40.accumulator_storage = Storage::Block;
        ice40.small_storage = Storage::Block;
        ice40.activation_storage = Storage::SinglePort;
        ice40.plane_storage = Storage::SinglePort;
        ice40.activation_words = SINGLE_PORT_WORDS;
        ice40.plane_words = SINGLE_PORT_WORDS;
        ice40.descriptor_count = 12;
        check(&ice40, seed);
    }
}

#[test]
fn a_compact_column_drained_two_ways() {
    let mut compact = architecture(1, 4, LaneKind::Table, 2);
    compact.compact = true;
    check(&compact, 14);
}

#[test]
fn four_columns_spread_over_a_large_die() {
    for (drain_ways, seed) in [(1, 12), (2, 13)] {
        let mut wide = architecture(4, 4, LaneKind::Table, drain_ways);
        wide.control_groups = 2;
        wide.fill_words = 2;
        check(&wide, seed);
    }
}

/// Tables filled in halves, in a small processor and in one spread over a large die.
#[test]
fn four_rows_filled_in_halves() {
    for (columns, quads, control_groups, seed) in [(2, 4, 1, 15), (4, 12, 2, 16)] {
        let mut four = architecture(columns, quads, LaneKind::Table, 1);
        four.lane_rows = 4;
        four.fill_words = 4;
        four.control_groups = control_groups;
        check(&four, seed);
    }
}

#[test]
fn three_columns_and_an_odd_tree() {
    check(&architecture(3, 5, LaneKind::Table, 1), 3);
}

#[test]
fn four_columns_drained_two_ways() {
    check(&architecture(4, 3, LaneKind::Table, 2), 4);
}

#[test]
fn two_columns_filled_in_pairs() {
    let mut pairs = architecture(2, 4, LaneKind::Table, 1);
    pairs.fill_words = 2;
    check(&pairs, 7);
}

#[test]
fn three_columns_filled_in_pairs_and_drained_two_ways() {
    let mut pairs = architecture(3, 6, LaneKind::Table, 2);
    pairs.fill_words = 2;
    check(&pairs, 8);
}

#[test]
fn the_processor_refuses_another_architectures_program() {
    let right = architecture(2, 4, LaneKind::Table, 1);
    let mut wrong = right.clone();
    wrong.record_count = 64;
    let open = |architecture: &Architecture| {
        let simulated = Simulated::new(&library(&right), 5).expect("instantiates");
        Session::open(simulated, architecture)
    };
    assert!(matches!(
        open(&wrong).err(),
        Some(DriverError::Stranger { .. })
    ));
    let case = &cases::cases()[0];
    let compiled = compile(&case.network, &wrong).expect("compiles");
    let bytes: Vec<u8> = case.inputs[0].iter().copied().collect();
    let error = open(&right)
        .expect("opens")
        .run_layers(&compiled.image, &bytes, |_| true)
        .expect_err("refused");
    assert!(matches!(error, DriverError::Image(_)), "{error}");
}

#[test]
fn a_residual_branch_kept_by_the_host() {
    let mut small = architecture(2, 4, LaneKind::Table, 1);
    small.activation_words = 300;
    check_named(&small, 6, "residual");
}
