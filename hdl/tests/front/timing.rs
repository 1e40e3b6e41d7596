//! Fetch and issue together: the rules that the compiler predicts with, cycle for cycle.

use crate::{
    schedule::{Schedule, Work},
    shape::Shape,
    support::{Random, Unit, architecture, compacted, rows},
};
use bitweft_hdl::{
    builder::{Module, Net},
    fetch::{self, fetch},
    issue::{self, issue, plane_address_bits, position_bits},
};
use bitweft_isa::{
    architecture::Architecture,
    timing::{fetch_latency, fill_cycles, release_lead, word_cycles},
};

/// Fetch and issue with their handshake; no memory behind fetch, planes of zeros.
fn wired(architecture: &Architecture) -> Module {
    let m = Module::of(architecture, "front");
    let released = m.wire("chunk_released", 1);
    let start = m.input("start", 1);
    let fields: Vec<(&str, Net)> = fetch::DESCRIPTOR_FIELDS
        .into_iter()
        .chain(["planes_per_chunk", "plane_base"])
        .map(|name| (name, m.field(name)))
        .collect();
    let of = |names: &[&'static str]| {
        let picked = fields.iter().filter(|(name, _)| names.contains(name));
        picked.map(|(name, net)| (*name, net)).collect::<Vec<_>>()
    };
    let data = m.repeat(&m.literal(0, 32), architecture.columns);
    let mut ports = of(&fetch::DESCRIPTOR_FIELDS);
    ports.extend([("start", &start), ("chunk_released", &released)]);
    let words = [("read_data", &data), ("read_odd", &data)];
    ports.extend(&words[..architecture.access_words()]);
    let fetched = m.instance("fetch_unit", &fetch(architecture), &ports);

    let drained = m.input("block_drained", 1);
    let zero = m.literal(0, 1);
    let position = m.literal(0, position_bits(architecture));
    let address = m.literal(0, plane_address_bits(architecture));
    let plane = m.repeat(&zero, architecture.inputs() + 1);
    let mut ports = of(&issue::DESCRIPTOR_FIELDS);
    ports.extend([
        ("start", &start),
        ("chunk_filled", fetched.get("chunk_filled")),
        ("block_drained", &drained),
        ("drain_request", &zero),
        ("drain_position", &position),
        ("drain_half", &zero),
        ("plane_write_enable", &zero),
        ("plane_write_address", &address),
        ("plane_write_data", &plane),
    ]);
    let issued = m.instance("issue_unit", &issue(architecture), &ports);
    m.drive(&released, issued.get("chunk_released"));
    m.output("capture", fetched.get("capture"));
    for name in ["busy", "fill_stall", "drain_stall"] {
        m.output(name, issued.get(name));
    }
    m
}

/// Runs one convolution; returns its counts of busy and stalled cycles.
fn check(unit: &mut Unit, architecture: &Architecture, random: &mut Random) -> [usize; 3] {
    let shape = Shape::convolution(random, architecture);
    let (chunks, blocks) = (shape.chunks(architecture), shape.blocks(architecture));
    let mut fields = shape.descriptor(architecture);
    let fills: Vec<usize> = (0..chunks * blocks)
        .map(|chunk| fill_cycles(architecture, &fields, chunk % chunks))
        .collect();
    let fill = fills[0];
    let lead = release_lead(architecture) + 1;
    let most = [3, lead, fill - 1, fill, 3 * fill][random.between(0, 4)];
    let planes = random.between(most.saturating_sub(3), most + 1);
    let slow = random.between(0, 1) * 20 * fill;
    let drains: Vec<usize> = (0..blocks).map(|_| random.between(1, 9 + slow)).collect();
    let work = Work {
        chunks_per_block: chunks,
        planes_per_chunk: planes,
        fill_cycles: &fills,
        drain_cycles: &drains,
    };
    let schedule = Schedule::new(architecture, &work);
    let end = schedule.end();
    let mut busy = vec![false; end + planes];
    let mut capture = vec![false; end + planes];
    let starts = schedule.start.iter().zip(&schedule.fill_start);
    for ((start, first_access), fill) in starts.zip(&fills) {
        busy[*start..=start + planes].fill(true);
        for group in (0..*fill).step_by(word_cycles(architecture)) {
            capture[first_access + fetch_latency(architecture) + group] = true;
        }
    }
    fields.planes_per_chunk = i64::try_from(planes).expect("small");
    unit.set_fields(&fields);
    unit.cycle = 0;
    while unit.cycle < end {
        let cycle = unit.cycle;
        unit.set("start", u64::from(cycle == 0));
        unit.set(
            "block_drained",
            u64::from(schedule.drained.contains(&cycle)),
        );
        unit.eval();
        let found = ["capture", "busy", "fill_stall", "drain_stall"].map(|name| unit.is(name));
        let expected = [
            capture[cycle],
            busy[cycle],
            schedule.fill_stalls.contains(&cycle),
            schedule.drain_stalls.contains(&cycle),
        ];
        assert_eq!(found, expected, "cycle {cycle}, {planes} planes, {shape:?}");
        unit.tick();
    }
    let busy = busy.iter().filter(|busy| **busy).count();
    [
        busy,
        schedule.fill_stalls.len(),
        schedule.drain_stalls.len(),
    ]
}

#[test]
fn fetch_and_issue_keep_the_rules_of_timing() {
    for (columns, quads, fill_words, compact, seed) in [
        (1, 2, 1, false, 40),
        (2, 4, 1, false, 41),
        (3, 16, 1, false, 42),
        (8, 18, 1, false, 43),
        (2, 2, 2, false, 44),
        (8, 18, 2, false, 45),
        (1, 2, 1, true, 46),
        (2, 4, 4, false, 47),
        (8, 36, 4, false, 48),
    ] {
        println!("columns {columns}, quads {quads}, fill words {fill_words}, seed {seed}");
        let architecture = Architecture {
            lane_rows: rows(fill_words),
            fill_words,
            // Enough for the planes that take as long as a fill.
            accumulator_depth: 256,
            ..compacted(&architecture(columns, quads), compact)
        };
        let mut random = Random(seed);
        let mut unit = Unit::unlinted(&wired(&architecture), seed);
        let mut seen = [0; 3];
        for _ in 0..30 {
            let counts = check(&mut unit, &architecture, &mut random);
            seen = std::array::from_fn(|at| seen[at] + counts[at]);
        }
        assert!(seen.iter().all(|count| *count > 500), "too tame: {seen:?}");
    }
}
