//! Memories against an array of words: the behaviour, and the ECP5 blocks on a model of that cell.

use crate::support::Random;
use bitweft_hdl::memory::{ByteMemory, Memory};
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
        files.push((
            "dp16kd.v".into(),
            include_str!("../../vendor/models/dp16kd.v").into(),
        ));
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

fn check_bytes(memory: &ByteMemory, blocks: bool) {
    println!("{memory:?}, ECP5 blocks: {blocks}");
    let module = memory.build();
    let text = module.verilog().expect("complete");
    let mut files = vec![(format!("{}.v", module.name()), text)];
    bitweft_sim::lint(module.name(), &files).expect("no warnings");
    if blocks {
        files.push((
            "dp16kd.v".into(),
            include_str!("../../vendor/models/dp16kd.v").into(),
        ));
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
    let mut words: HashMap<(usize, usize), u8> = HashMap::new();
    let mut expected = vec![vec![None; memory.bytes]];
    let mut checked = 0;
    for cycle in 0..6000 {
        let address = |random: &mut Random| random.below(32) * (memory.depth - 1) / 31;
        let (to, from) = (address(&mut random), address(&mut random));
        let value = random.word().to_le_bytes();
        let enables = random.flags(memory.bytes);
        let read =
            (0..memory.bytes).map(|byte| words.get(&(from, byte)).copied().filter(|_| to != from));
        expected.push(read.collect());
        let set = |(byte, on): (usize, &bool)| u64::from(*on) << byte;
        model.set(enable, enables.iter().enumerate().map(set).sum());
        model.set(write_at, to as u64);
        let mask = (1_u64 << (8 * memory.bytes)) - 1;
        model.set(data, u64::from(u32::from_le_bytes(value)) & mask);
        model.set(read_at, from as u64);
        model.tick(1).expect("runs");
        for byte in (0..memory.bytes).filter(|&byte| enables[byte]) {
            words.insert((to, byte), value[byte]);
        }
        for (byte, known) in expected[expected.len() - 2].iter().enumerate() {
            if let Some(known) = known {
                let got = model.get(found) >> (8 * byte) & 255;
                assert_eq!(got, u64::from(*known), "cycle {cycle}, byte {byte}");
                checked += 1;
            }
        }
    }
    assert!(checked > 4000, "{checked} bytes checked");
}

#[test]
fn byte_memories_hold_what_is_written() {
    check_bytes(
        &ByteMemory {
            bytes: 4,
            depth: 300,
        },
        false,
    );
    for depth in [300, 512, 900, 3072, 5000] {
        check_bytes(&ByteMemory { bytes: 4, depth }, true);
    }
    check_bytes(
        &ByteMemory {
            bytes: 3,
            depth: 2600,
        },
        true,
    );
}
