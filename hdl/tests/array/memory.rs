//! Memories against an array of words: the behaviour, and the cells of ECP5 and iCE40 on models of them.

use crate::support::Random;
use bitweft_hdl::memory::{ByteMemory, Memory};
use bitweft_isa::architecture::Storage::{self, Block, Distributed, SinglePort};
use bitweft_sim::{Build, Profile};
use std::collections::HashMap;

/// What a simulation holds in the place of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    Behaviour,
    Ecp5,
    Ice40,
}

impl Cells {
    /// A build of `top`, with the models of the cells.
    fn build(self, top: &str, mut files: Vec<(String, String)>) -> Build {
        let (model, text, argument) = match self {
            Self::Behaviour => return Build::new(top, files, Profile::Check),
            Self::Ecp5 => (
                "dp16kd.v",
                include_str!("../../vendor/models/dp16kd.v"),
                "-DECP5_CELLS",
            ),
            Self::Ice40 => (
                "spram.v",
                include_str!("../../vendor/models/spram.v"),
                "-DICE40_CELLS",
            ),
        };
        files.push((model.into(), text.into()));
        Build::new(top, files, Profile::Check)
            .argument(argument)
            .argument("-Wno-fatal")
    }
}

fn check(memory: &Memory, cells: Cells) {
    println!("{memory:?}, {cells:?}");
    let module = memory.build();
    let text = module.verilog().expect("complete");
    let file = format!("{}.v", module.name());
    bitweft_sim::lint(module.name(), &[(file.clone(), text.clone())]).expect("no warnings");
    let mut model = cells
        .build(module.name(), vec![(file, text)])
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
    let mut last_from = None;
    for cycle in 0..4000 {
        // Few addresses, spread over all of them, so that reads find what was written.
        let address = |random: &mut Random| random.below(32) * (memory.depth - 1) / 31;
        let (to, from) = (address(&mut random), address(&mut random));
        let single_port = memory.storage == SinglePort;
        let write = random.flag() && (!single_port || random.flag());
        let value: Vec<u32> = mask.iter().map(|mask| random.word() & mask).collect();
        model.set(enable, u64::from(write));
        model.set(write_at, to as u64);
        model.set_words(data, &value);
        model.set(read_at, from as u64);
        model.tick(1).expect("runs");
        let collision = write && (to == from || single_port);
        if cells == Cells::Ice40 && write && (last_from == Some(to) || single_port) {
            // The address register is in front: the read is of this cycle.
            expected.pop();
            expected.push(None);
        }
        last_from = Some(from);
        expected.push(words.get(&from).filter(|_| !collision).cloned());
        if write {
            words.insert(to, value);
        }
        if let Some(word) = &expected[expected.len() - memory.latency] {
            assert_eq!(model.get_words(found), *word, "cycle {cycle}");
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked} reads checked");
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
    check(&memory(Block, 30, 100, 1), Cells::Behaviour);
    check(&memory(Block, 77, 300, 2), Cells::Behaviour);
    check(&memory(Distributed, 11, 16, 1), Cells::Behaviour);
    check(&memory(Distributed, 32, 48, 2), Cells::Behaviour);
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
        check(&memory(Block, width, depth, 2), Cells::Ecp5);
    }
}

#[test]
fn ice40_blocks_have_their_register_in_front() {
    check(&memory(Block, 28, 256, 2), Cells::Ice40);
    check(&memory(Block, 77, 300, 2), Cells::Ice40);
}

#[test]
fn ice40_single_port_rams_equal_the_behaviour() {
    for (width, depth) in [(9, 16384), (17, 5000)] {
        check(&memory(SinglePort, width, depth, 2), Cells::Behaviour);
        check(&memory(SinglePort, width, depth, 2), Cells::Ice40);
    }
}

/// A memory of two clocks behind one, the faster.
fn double_rate_bench(memory: &str, bits: usize) -> (String, String) {
    let top = bits - 1;
    let text = format!(
        "module bench (input clock, input [3:0] write_enable, input [{top}:0] write_address, input [31:0] write_data,
    input [{top}:0] read_address, output [31:0] read_data);
    reg slow;
    initial slow = 1'b0;
    always @(posedge clock) slow <= !slow;
    {memory} unit (.clock(slow), .memory_clock(clock), .write_enable(write_enable), .write_address(write_address),
        .write_data(write_data), .read_address(read_address), .read_data(read_data));
endmodule"
    );
    ("bench.v".into(), text)
}

fn check_bytes(memory: &ByteMemory, cells: Cells) {
    println!("{memory:?}, {cells:?}");
    let module = memory.build();
    let text = module.verilog().expect("complete");
    let mut files = vec![(format!("{}.v", module.name()), text)];
    bitweft_sim::lint(module.name(), &files).expect("no warnings");
    let mut top = module.name().to_owned();
    let ticks = if cells == Cells::Ice40 { 2 } else { 1 };
    if cells == Cells::Ice40 {
        let bits = memory.depth.next_power_of_two().trailing_zeros() as usize;
        files.push(double_rate_bench(&top, bits));
        top = "bench".into();
    }
    let mut model = cells
        .build(&top, files)
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
    // Inputs change where the slower clock rises.
    model.tick(ticks - 1).expect("runs");
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
        model.tick(ticks).expect("runs");
        for byte in (0..memory.bytes).filter(|&byte| enables[byte]) {
            words.insert((to, byte), value[byte]);
        }
        for (byte, known) in expected[expected.len() - memory.latency()]
            .iter()
            .enumerate()
        {
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
            storage: Block,
            bytes: 4,
            depth: 300,
        },
        Cells::Behaviour,
    );
    for depth in [300, 512, 900, 3072, 5000] {
        check_bytes(
            &ByteMemory {
                storage: Block,
                bytes: 4,
                depth,
            },
            Cells::Ecp5,
        );
    }
    check_bytes(
        &ByteMemory {
            storage: Block,
            bytes: 3,
            depth: 2600,
        },
        Cells::Ecp5,
    );
}

#[test]
fn ice40_double_rate_memories_equal_the_behaviour() {
    for depth in [900, 16384] {
        let memory = ByteMemory {
            storage: SinglePort,
            bytes: 4,
            depth,
        };
        check_bytes(&memory, Cells::Behaviour);
        check_bytes(&memory, Cells::Ice40);
    }
}
