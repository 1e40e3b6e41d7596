//! Fetch with the activation memory: what the pool unit gets, and when.

use crate::{
    shape::{Shape, fetch_with_memory},
    support::{Random, Unit, architecture, compacted},
};
use bitweft_isa::{
    architecture::Architecture,
    timing::{FETCH_START, POOL_WINDOW_CYCLES_MIN, fetch_latency, pool_slot_lead},
};

/// What is on the pool unit's ports in one cycle.
struct Expected {
    cycle: usize,
    pass: u64,
    first: bool,
    last: bool,
    end: bool,
    words: Vec<Option<u32>>,
}

/// All words of a pooling; `start` is cycle 0.
fn expected(architecture: &Architecture, shape: &Shape, memory: &[Vec<u8>]) -> Vec<Expected> {
    let passes = 1 + usize::from(shape.two_passes(architecture));
    let taps = shape.taps();
    let window_cycles = (taps * passes).max(POOL_WINDOW_CYCLES_MIN);
    let strips = shape.strips(architecture);
    let mut all = Vec::new();
    let mut start = FETCH_START + fetch_latency(architecture);
    for strip in 0..strips {
        for quad in 0..shape.quads {
            for access in 0..taps * passes {
                let (tap, pass) = (access / passes, access % passes);
                let flat = tap * shape.quads + quad;
                all.push(Expected {
                    cycle: start + access,
                    pass: pass as u64,
                    first: tap == 0,
                    last: tap + 1 == taps,
                    end: false,
                    words: shape.words(architecture, memory, strip, flat, pass),
                });
            }
            start += window_cycles;
        }
    }
    all.last_mut().expect("some").end = true;
    all
}

/// Runs one pooling and compares every cycle.
fn check(unit: &mut Unit, architecture: &Architecture, shape: &Shape, memory: &[Vec<u8>]) {
    let all = expected(architecture, shape, memory);
    let end = all.last().expect("some").cycle + 40;
    let lead = pool_slot_lead(architecture);
    let passes = u64::from(shape.two_passes(architecture));
    let mut slots = all
        .iter()
        .filter(|word| word.last && word.pass == passes)
        .peekable();
    let mut next = all.iter().peekable();
    unit.set_fields(&shape.descriptor(architecture));
    unit.set("chunk_released", 0);
    unit.cycle = 0;
    while unit.cycle < end {
        unit.set("start", u64::from(unit.cycle == 0));
        unit.eval();
        let cycle = unit.cycle;
        let now = next.next_if(|expected| expected.cycle == cycle);
        assert_eq!(
            unit.is("pool_valid"),
            now.is_some(),
            "cycle {cycle} of {shape:?}"
        );
        assert!(!unit.is("capture") && !unit.is("fill_enable") && !unit.is("chunk_filled"));
        if lead > 0 {
            let slot = slots.next_if(|word| word.cycle - lead == cycle);
            assert_eq!(
                [unit.is("pool_last"), unit.is("pool_end")],
                slot.map_or([false; 2], |word| [true, word.end]),
                "cycle {cycle} of {shape:?}"
            );
        }
        if let Some(now) = now {
            let flags = ["pool_first", "pool_last", "pool_end"].map(|name| unit.is(name));
            let count = if lead > 0 { 1 } else { 3 };
            assert_eq!(
                flags[..count],
                [now.first, now.last, now.end][..count],
                "cycle {cycle} of {shape:?}"
            );
            assert_eq!(
                unit.get("pool_pass"),
                now.pass,
                "cycle {cycle} of {shape:?}"
            );
            let bus = unit.words("x_bus");
            for (column, word) in now.words.iter().enumerate() {
                if let Some(word) = word {
                    assert_eq!(
                        bus[column], *word,
                        "column {column}, cycle {cycle} of {shape:?}"
                    );
                }
            }
        }
        unit.tick();
    }
}

#[test]
fn windows_reach_the_pool_unit_in_time() {
    for (columns, fill_words, compact, seed) in [
        (1, 1, false, 20),
        (2, 1, false, 21),
        (3, 1, false, 22),
        (8, 1, false, 23),
        (3, 2, false, 25),
        (5, 1, false, 26),
        (1, 1, true, 27),
        (4, 1, true, 28),
        (3, 2, true, 29),
    ] {
        println!("columns {columns}, fill words {fill_words}, compact {compact}, seed {seed}");
        let architecture = Architecture {
            fill_words,
            ..compacted(&architecture(columns, 4), compact)
        };
        let mut random = Random(seed);
        let (mut unit, memory) = fetch_with_memory(&architecture, &mut random);
        for _ in 0..25 {
            let shape = Shape::pooling(&mut random, &architecture);
            check(&mut unit, &architecture, &shape, &memory);
        }
    }
}

#[test]
fn other_operations_leave_fetch_idle() {
    let architecture = architecture(2, 4);
    let mut random = Random(24);
    let (mut unit, _) = fetch_with_memory(&architecture, &mut random);
    for opcode in [0, 4, 5, 15] {
        let mut descriptor = Shape::pooling(&mut random, &architecture).descriptor(&architecture);
        descriptor.opcode = opcode;
        unit.set_fields(&descriptor);
        for cycle in 0..100 {
            unit.set("start", u64::from(cycle == 0));
            unit.eval();
            assert!(
                !unit.is("capture") && !unit.is("pool_valid"),
                "opcode {opcode}"
            );
            unit.tick();
        }
    }
}
