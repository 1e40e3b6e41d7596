//! Fetch with the activation memory: what the array captures in a convolution, and when.

use crate::{
    shape::Shape,
    support::{Random, Unit, architecture, compacted},
};
use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    timing::{
        FETCH_START, PLANE_TO_FILL, TABLE_ENTRIES, fetch_latency, fill_cycles, fill_to_plane,
        fill_turns, word_cycles,
    },
};

/// One quad and pass of a chunk: what the array is told and given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    cycle: usize,
    pass: u64,
    bank: u64,
    quad: u64,
    /// For each bus, row by row, the words of the columns that take theirs in this pass.
    words: Vec<Vec<Vec<Option<u32>>>>,
}

/// When `chunk_released` comes for a chunk: that many cycles after `chunk_filled` or the release of the one before.
fn release_delays(random: &mut Random, chunks: usize) -> Vec<usize> {
    let slow = random.between(0, 2) * 150;
    (0..chunks).map(|_| random.between(1, 2 + slow)).collect()
}

/// The groups of a whole convolution, and the cycles of `chunk_filled` and `chunk_released`; `start` is cycle 0.
fn expected(
    architecture: &Architecture,
    shape: &Shape,
    memory: &[Vec<u8>],
    delays: &[usize],
) -> (Vec<Group>, Vec<usize>, Vec<usize>) {
    let passes = 1 + usize::from(shape.two_passes(architecture));
    let mut groups = Vec::new();
    let mut filled: Vec<usize> = Vec::new();
    let mut released: Vec<usize> = Vec::new();
    let mut next = FETCH_START;
    let chunks = shape.chunks(architecture);
    let fields = shape.descriptor(architecture);
    for chunk in 0..chunks * shape.blocks(architecture) {
        if chunk >= 2 {
            next = next.max(released[chunk - 2] + PLANE_TO_FILL - 1);
        }
        let step = if shape.paired { 2 } else { 1 };
        let fill = fill_cycles(architecture, &fields, chunk % chunks);
        let steps = fill / word_cycles(architecture) / passes;
        for (group, quad) in (0..architecture.quads)
            .step_by(step)
            .enumerate()
            .take(steps)
        {
            for pass in 0..passes {
                let tap = chunk % chunks * architecture.quads + quad;
                let rows = |tap: usize| {
                    let count = architecture.lane_rows;
                    let strips = (0..count).map(|row| chunk / chunks * count + row);
                    strips
                        .map(|strip| shape.words(architecture, memory, strip, tap, pass))
                        .collect()
                };
                let taps = [tap, tap + usize::from(shape.paired)];
                groups.push(Group {
                    cycle: next
                        + fetch_latency(architecture)
                        + (group * passes + pass) * word_cycles(architecture),
                    pass: pass as u64,
                    bank: (chunk % 2) as u64,
                    quad: quad as u64,
                    words: taps[..architecture.access_words()]
                        .iter()
                        .map(|tap| rows(*tap))
                        .collect(),
                });
            }
        }
        next += fill;
        filled.push(next - 1 + fill_to_plane(architecture) - 1);
        let before = released.last().copied().unwrap_or(0);
        released.push(filled[chunk].max(before) + delays[chunk]);
    }
    (groups, filled, released)
}

/// Runs one convolution and compares every cycle; whether it is paired.
fn check(
    unit: &mut Unit,
    architecture: &Architecture,
    random: &mut Random,
    memory: &[Vec<u8>],
) -> bool {
    let shape = Shape::convolution(random, architecture);
    let chunks = shape.chunks(architecture) * shape.blocks(architecture);
    let delays = release_delays(random, chunks);
    let (groups, filled, released) = expected(architecture, &shape, memory, &delays);
    unit.set_fields(&shape.descriptor(architecture));
    unit.cycle = 0;
    let end = released.iter().max().expect("chunks") + 40;
    let mut at = 0;
    let last_pass = u64::from(shape.two_passes(architecture));
    let turns = fill_turns(architecture);
    let entries = TABLE_ENTRIES / turns;
    // Group and row of the words on the buses; group and entry that a table is filled from.
    let mut rows: Option<(usize, usize)> = None;
    let mut fills: Option<(usize, usize)> = None;
    while unit.cycle < end {
        unit.set("start", u64::from(unit.cycle == 0));
        unit.set("chunk_released", u64::from(released.contains(&unit.cycle)));
        unit.eval();
        let cycle = unit.cycle;
        assert_eq!(
            unit.is("chunk_filled"),
            filled.contains(&cycle),
            "chunk_filled in cycle {cycle} of {shape:?}"
        );
        assert!(!unit.is("pool_valid"));
        assert_eq!(
            unit.is("fill_enable"),
            fills.is_some(),
            "cycle {cycle} of {shape:?}"
        );
        if let Some((group, entry)) = fills {
            let group = &groups[group];
            let fill = ["fill_bank", "fill_quad", "fill_entry"].map(|name| unit.get(name));
            assert_eq!(
                fill,
                [group.bank, group.quad, entry as u64],
                "cycle {cycle} of {shape:?}"
            );
        }
        let next = |(group, at), end| (at + 1 < end).then_some((group, at + 1));
        rows = rows.and_then(|at| next(at, architecture.lane_rows));
        fills = fills.and_then(|at| next(at, entries));
        let due = groups.get(at).is_some_and(|group| group.cycle == cycle);
        assert_eq!(
            unit.is("capture"),
            due,
            "capture in cycle {cycle} of {shape:?}"
        );
        if due {
            assert_eq!(unit.get("capture_pass"), groups[at].pass);
            rows = Some((at, 0));
            if turns > 1 {
                assert_eq!(unit.get("capture_quad"), groups[at].quad % 4);
            }
            if turns == 1 || groups[at].pass == last_pass {
                fills = Some((at, 0));
            }
            at += 1;
        }
        if let Some((group, row)) = rows {
            for (name, words) in ["x_bus", "x_bus_odd"].iter().zip(&groups[group].words) {
                let bus = unit.words(name);
                for (column, word) in words.get(row).into_iter().flatten().enumerate() {
                    if let Some(word) = word {
                        assert_eq!(
                            bus[column], *word,
                            "{name}, group {group}, row {row}, column {column} in cycle {cycle} of {shape:?}"
                        );
                    }
                }
            }
        }
        unit.tick();
    }
    assert_eq!(at, groups.len(), "{shape:?}");
    shape.paired
}

/// Random convolutions; how many of them were paired.
fn convolutions(architecture: &Architecture, seed: u64, count: usize) -> usize {
    println!("{architecture:?}, seed {seed}");
    let mut random = Random(seed);
    let (mut unit, memory) = crate::shape::fetch_with_memory(architecture, &mut random);
    (0..count)
        .map(|_| usize::from(check(&mut unit, architecture, &mut random, &memory)))
        .sum()
}

#[test]
fn windows_reach_their_columns_in_time() {
    for (columns, quads, seed) in [
        (1, 2, 10),
        (2, 4, 11),
        (3, 5, 12),
        (4, 2, 13),
        (8, 18, 14),
        (5, 3, 18),
        (9, 2, 19),
        (15, 2, 20),
    ] {
        convolutions(&architecture(columns, quads), seed, 25);
    }
}

#[test]
fn fewer_rows_take_their_turns() {
    for (lane_rows, columns, lane, compact, seed) in [
        (2, 1, LaneKind::Table, true, 40),
        (2, 1, LaneKind::Plain, true, 41),
        (4, 2, LaneKind::Table, false, 42),
        (4, 2, LaneKind::Table, true, 43),
        (2, 3, LaneKind::Plain, true, 44),
    ] {
        let architecture = Architecture {
            lane_rows,
            lane,
            small_storage: Storage::Block,
            ..compacted(&architecture(columns, 4), compact)
        };
        convolutions(&architecture, seed, 25);
    }
}

#[test]
fn four_rows_take_a_word_as_soon_as_a_table_is_half_filled() {
    for (columns, quads, compact, seed) in [
        (2, 4, false, 50),
        (3, 8, false, 51),
        (8, 36, false, 52),
        (1, 12, true, 53),
    ] {
        let architecture = Architecture {
            lane: LaneKind::Table,
            lane_rows: 4,
            fill_words: 4,
            ..compacted(&architecture(columns, quads), compact)
        };
        let paired = convolutions(&architecture, seed, 40);
        assert!((10..=30).contains(&paired), "{paired} of 40 are paired");
    }
}

#[test]
fn pairs_of_words_reach_their_columns_in_time() {
    for (columns, quads, drain_ways, seed) in [(2, 2, 1, 15), (3, 4, 2, 16), (8, 18, 2, 17)] {
        let architecture = Architecture {
            fill_words: 2,
            drain_ways,
            activation_words: 701,
            ..architecture(columns, quads)
        };
        let paired = convolutions(&architecture, seed, 40);
        assert!((10..=30).contains(&paired), "{paired} of 40 are paired");
    }
}
