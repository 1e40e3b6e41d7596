//! Add: words read from a modelled activation memory, in place or not, and every byte written.

use crate::{
    assembly::{Side, Write},
    support::{Random, architectures, scaled},
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    record::Record,
    timing::{ADD_START, activation_read_latency, add_cycles, add_timing, slot_to_write},
};
use std::collections::VecDeque;

/// Words of all columns, a byte an element.
pub(crate) type Memory = Vec<Vec<i64>>;

fn record(random: &mut Random, bias: i64, left: u8) -> Record {
    Record {
        bias,
        mantissa: random.range(1 << 29, (1 << 31) - 1) as u32,
        left,
        right: random.range(0, 4) as u8,
        ..Record::default()
    }
}

fn case(random: &mut Random, words: i64) -> (Descriptor, [Record; 3]) {
    let left = random.range(0, 1) as u8;
    let zero = |random: &mut Random| -(random.range(0, 255) << 20);
    let (za, zb) = (zero(random), zero(random));
    let bias = random.range(-1000, 1000);
    let mut sum = record(random, bias, 1 - left);
    sum.right = random.range(16, 26) as u8;
    let records = [record(random, za, left), record(random, zb, left), sum];
    let (a, b) = (random.range(0, 900), random.range(1000, 1900));
    let descriptor = Descriptor {
        opcode: Opcode::Add as i64,
        rounding_double: random.range(0, 1),
        out_zero: random.range(0, 255),
        clamp_low: random.range(0, 60),
        clamp_high: random.range(100, 255),
        record_base: random.range(0, 90),
        in_base: a,
        row_stride: b,
        out_base: [a, b, random.range(2000, 2900)][random.range(0, 2) as usize],
        strip_count: words,
        // Of no meaning to an Add.
        out_stride: random.range(0, 9),
        filter_count: random.range(1, 9),
        block_count: random.range(1, 9),
        two_passes: random.range(0, 1),
        ..Descriptor::default()
    };
    (descriptor, records)
}

pub(crate) fn run(side: &mut Side, random: &mut Random, memory: &mut Memory, words: i64) {
    let (d, records) = case(random, words);
    side.write_records(d.record_base as usize, &records);
    let double = d.rounding_double == 1;
    for word in 0..words {
        let timing = add_timing(&side.a);
        let slot = ADD_START + timing.word * word as usize + timing.sum;
        for byte in 0..QUAD {
            let bytes = (0..side.a.columns).map(|column| {
                let at = QUAD * column + byte;
                let input = |base: i64, record: &Record| {
                    let u = memory[(base + word) as usize][at];
                    scaled(record, double, (u << 20) + record.bias)
                };
                let v = input(d.in_base, &records[0]) + input(d.row_stride, &records[1]);
                let y = scaled(&records[2], double, v + records[2].bias);
                (d.out_zero + y).clamp(d.clamp_low, d.clamp_high)
            });
            let write = Write {
                address: (d.out_base + word) as u64,
                bytes: bytes.collect(),
            };
            side.expect_write(
                (slot + slot_to_write(&side.a) + byte) as u64,
                byte as u64,
                write,
            );
        }
    }
    side.expect_done(add_cycles(&side.a, words as usize) as u64);
    side.start(&d);
    // Addresses of the last cycles; what is not an Add's read is noise.
    let mut addresses: VecDeque<Option<usize>> =
        VecDeque::from(vec![None; activation_read_latency(&side.a)]);
    while !side.is_done() {
        let address = addresses.pop_front().flatten();
        let word = address.map_or_else(
            || {
                (0..QUAD * side.a.columns)
                    .map(|_| random.range(0, 255))
                    .collect()
            },
            |address| memory[address].clone(),
        );
        side.bench.set_elements("read_data", 8, &word);
        side.bench.eval();
        let selected = side.bench.get("elementwise_select") == 1;
        let address = side.bench.get("elementwise_address") as usize;
        addresses.push_back(selected.then_some(address));
        for (lane, write) in side.step() {
            for (column, &byte) in write.bytes.iter().enumerate() {
                memory[write.address as usize][QUAD * column + lane] = byte;
            }
        }
    }
    side.finish();
}

/// A memory full of random bytes.
pub(crate) fn memory(random: &mut Random, a: &Architecture) -> Memory {
    let mut word = || {
        (0..QUAD * a.columns)
            .map(|_| random.range(0, 255))
            .collect()
    };
    (0..a.activation_words).map(|_| word()).collect()
}

#[test]
fn sums_become_bytes() {
    for (seed, a) in (31..).zip(architectures()) {
        let mut random = Random::new(seed);
        let mut side = Side::new(&a, seed);
        let mut memory = memory(&mut random, &a);
        for _ in 0..40 {
            let words = random.range(1, 40);
            run(&mut side, &mut random, &mut memory, words);
        }
        println!("{} bytes a column", side.written);
        assert!(side.written > 1000);
    }
}
