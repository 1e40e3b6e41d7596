//! Memories against an array of words: the behaviour, and the ECP5 blocks on a model of that cell.

use crate::support::Random;
use bitweft_hdl::memory::Memory;
use bitweft_isa::architecture::Storage::{self, Block, Distributed};
use bitweft_sim::{Build, Profile};
use std::collections::HashMap;

fn check(memory: &Memory, blocks: bool) {
    println!("{memory:?}, ECP5 blocks: {blocks}");
    let module = memory.build();
    let text = module.verilog().expect("complete");
    let file = format!("{}.v", module.name());
    bitweft_sim::lint(module.name(), &[(file.clone(), text.clone())]).expect("no warnings");
    let mut files = vec![(file, text)];
    if blocks {
        files.push(("dp16kd.v".into(), include_str!("dp16kd.v").into()));
    }
    let mut build = Build::new(module.name(), files, Profile::Check);
    if blocks {
        build = build.argument("-DECP5_CELLS").argument("-Wno-fatal");
    }
    let mut model = build
        .build()
        .expect("builds")
        .instantiate(7)
        .expect("loads");
    let port = |name: &str| model.signal(name).expect(name);
    let (enable, write_at, data) = (
        port("write_enable"),
        port("write_address"),
        port("write_data"),
    );
    let (read_at, found) = (port("read_address"), port("read_data"));

    let mut random = Random::new(memory.depth as u64);
    let mask: Vec<u32> = (0..memory.width.div_ceil(32))
        .map(|word| u32::MAX >> 32_usize.saturating_sub(memory.width - 32 * word).min(31))
        .collect();
    let mut words = HashMap::new();
    let mut expected: Vec<Option<Vec<u32>>> = vec![None; memory.latency];
    let mut checked = 0;
    for cycle in 0..4000 {
        // Few addresses, spread over all of them, so that reads find what was written.
        let address = |random: &mut Random| random.below(32) * (memory.depth - 1) / 31;
        let (to, from) = (address(&mut random), address(&mut random));
        let write = random.flag();
        let value: Vec<u32> = mask.iter().map(|mask| random.word() & mask).collect();
        model.set(enable, u64::from(write));
        model.set(write_at, to as u64);
        model.set_words(data, &value);
        model.set(read_at, from as u64);
        model.tick(1).expect("runs");
        let collision = write && to == from;
        expected.push(words.get(&from).filter(|_| !collision).cloned());
        if write {
            words.insert(to, value);
        }
        if let Some(word) = &expected[expected.len() - memory.latency] {
            assert_eq!(model.get_words(found), *word, "cycle {cycle}");
            checked += 1;
        }
    }
    assert!(checked > 2000, "{checked} reads checked");
}

fn memory(storage: Storage, width: usize, depth: usize, latency: usize) -> Memory {
    Memory {
        storage,
        width,
        depth,
        latency,
    }
}

#[test]
fn memories_hold_what_is_written() {
    check(&memory(Block, 30, 100, 1), false);
    check(&memory(Block, 77, 300, 2), false);
    check(&memory(Distributed, 11, 16, 1), false);
    check(&memory(Distributed, 32, 48, 2), false);
}

#[test]
fn ecp5_blocks_equal_the_behaviour() {
    for (width, depth) in [
        (30, 256),
        (77, 512),
        (18, 1024),
        (8, 2048),
        (8, 3500),
        (2, 8192),
        (1, 16384),
    ] {
        check(&memory(Block, width, depth, 2), true);
    }
}
