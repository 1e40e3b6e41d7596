//! MaxPool and AveragePool: windows on `x_bus` with random gaps, and every byte written.

use crate::{
    assembly::{Side, Write},
    support::{Random, architectures, scaled},
};
use bitweft_isa::{
    QUAD,
    descriptor::{Descriptor, Opcode},
    record::Record,
    timing::{POOL_WINDOW_CYCLES_MIN, pool_slot_lead, slot_to_done, slot_to_write},
};
use std::collections::VecDeque;

/// One random pooling: number of taps, gaps between windows once in `gap` windows.
fn descriptor(random: &mut Random, taps: i64, columns: usize) -> Descriptor {
    let maximum = random.once_in(2);
    let opcode = if maximum {
        Opcode::MaxPool
    } else {
        Opcode::AveragePool
    };
    Descriptor {
        opcode: opcode as i64,
        two_passes: i64::from(columns > 1 && random.once_in(2)),
        rounding_double: random.range(0, 1),
        out_zero: random.range(0, 255),
        clamp_low: random.range(0, 60),
        clamp_high: random.range(100, 255),
        record_base: random.range(0, 90),
        strip_count: if taps > 100 { 1 } else { random.range(1, 5) },
        quads_per_tap: random.range(1, 4),
        out_base: random.range(0, 1000),
        // Of no meaning to a pooling.
        out_stride: random.range(4, 60),
        filter_count: random.range(1, 9),
        block_count: random.range(1, 9),
        ..Descriptor::default()
    }
}

/// Results of a window so far, by column and byte.
struct Window {
    maximum: bool,
    results: Vec<[i64; QUAD]>,
}

impl Window {
    fn take(&mut self, column: usize, bytes: &[i64]) {
        for (result, &byte) in self.results[column].iter_mut().zip(bytes) {
            *result = if self.maximum {
                (*result).max(byte)
            } else {
                *result + byte
            };
        }
    }

    fn byte(&self, d: &Descriptor, record: &Record, column: usize, byte: usize) -> i64 {
        let value = self.results[column][byte];
        let y = if self.maximum {
            value
        } else {
            d.out_zero + scaled(record, d.rounding_double == 1, value + record.bias)
        };
        y.clamp(d.clamp_low, d.clamp_high)
    }
}

/// Random bytes, many of them extreme.
fn word(random: &mut Random, columns: usize) -> Vec<i64> {
    (0..QUAD * columns)
        .map(|_| match random.range(0, 5) {
            0 => 255,
            1 => 0,
            _ => random.range(0, 255),
        })
        .collect()
}

/// What fetch sends in a cycle: words, and the flags of slots `timing::pool_slot_lead` before the words that they belong to.
struct Bus {
    lead: usize,
    /// Word, `pool_valid`, `pool_pass`, `pool_first` of the cycles to come.
    ahead: VecDeque<(Vec<i64>, [i64; 3])>,
}

impl Bus {
    fn new(side: &Side, random: &mut Random) -> Self {
        let lead = pool_slot_lead(&side.a);
        let idle = |_| (word(random, side.a.columns), [0; 3]);
        Self {
            lead,
            ahead: (0..lead).map(idle).collect(),
        }
    }

    fn put(&mut self, side: &mut Side, word: Vec<i64>, flags: [i64; 3], [last, end]: [i64; 2]) {
        self.ahead.push_back((word, flags));
        let (word, flags) = self.ahead.pop_front().expect("just put");
        side.bench.set_elements("x_bus", 8, &word);
        for (name, flag) in ["pool_valid", "pool_pass", "pool_first"].iter().zip(flags) {
            side.bench.set(name, flag);
        }
        side.bench.set("pool_last", last);
        side.bench.set("pool_end", end);
    }

    fn idle(&mut self, side: &mut Side, random: &mut Random) {
        let mut flag = || random.range(0, 1);
        let flags = [0, flag(), flag()];
        let slot = [if self.lead > 0 { 0 } else { flag() }, flag()];
        let word = word(random, side.a.columns);
        self.put(side, word, flags, slot);
        side.step();
    }
}

/// Puts a window on the bus; returns its results and the cycle of its slot.
fn window(
    bus: &mut Bus,
    side: &mut Side,
    random: &mut Random,
    d: &Descriptor,
    taps: i64,
    end: bool,
) -> (Window, u64) {
    let columns = side.a.columns;
    let mut window = Window {
        maximum: d.opcode == Opcode::MaxPool as i64,
        results: vec![[0; QUAD]; columns],
    };
    let mut last = 0;
    for tap in 0..taps {
        for pass in 0..=d.two_passes {
            let bytes = word(random, columns);
            for column in 0..columns {
                let own = if d.two_passes == 1 {
                    (2 * column / columns) as i64
                } else {
                    0
                };
                if own == pass {
                    window.take(column, &bytes[QUAD * column..QUAD * (column + 1)]);
                }
            }
            let last_tap = tap + 1 == taps;
            let very_last = last_tap && pass == d.two_passes;
            let slot = if bus.lead > 0 { very_last } else { last_tap };
            let flags = [1, pass, i64::from(tap == 0)];
            let slot = [i64::from(slot), i64::from(end && very_last)];
            bus.put(side, bytes, flags, slot);
            last = side.cycle;
            if very_last {
                break;
            }
            side.step();
        }
    }
    (window, last)
}

pub(crate) fn run(side: &mut Side, random: &mut Random, taps: i64) {
    let columns = side.a.columns;
    let d = descriptor(random, taps, columns);
    let record = Record {
        bias: random.range(-128, 0) * taps,
        mantissa: ((1_i64 << 30) + random.range(0, 1 << 29)) as u32,
        left: random.range(0, 2) as u8,
        right: (taps.ilog2() + random.range(0, 2) as u32) as u8,
        ..Record::default()
    };
    side.write_records(d.record_base as usize, &[record]);
    let mut bus = Bus::new(side, random);
    side.start(&d);
    for _ in 0..random.range(3, 10) {
        bus.idle(side, random);
    }
    let gap = if random.once_in(2) { 1 << 31 } else { 3 };
    let windows = d.strip_count * d.quads_per_tap;
    for index in 0..windows {
        let begin = side.cycle;
        let end = index + 1 == windows;
        let (window, last) = window(&mut bus, side, random, &d, taps, end);
        for byte in 0..QUAD {
            let bytes = (0..columns).map(|column| window.byte(&d, &record, column, byte));
            let write = Write {
                address: (d.out_base + index) as u64,
                bytes: bytes.collect(),
            };
            side.expect_write(
                last + (slot_to_write(&side.a) + byte) as u64,
                byte as u64,
                write,
            );
        }
        if end {
            side.expect_done(last + slot_to_done(&side.a) as u64);
        }
        side.step();
        let pause = if random.once_in(gap) {
            random.range(1, 9) as u64
        } else {
            0
        };
        let next = (begin + POOL_WINDOW_CYCLES_MIN as u64).max(side.cycle) + pause;
        while side.cycle < next {
            bus.idle(side, random);
        }
    }
    while !side.is_done() {
        bus.idle(side, random);
    }
    side.finish();
}

#[test]
fn windows_become_bytes() {
    for (seed, a) in (21..).zip(architectures()) {
        let mut random = Random::new(seed);
        let mut side = Side::new(&a, seed);
        for case in 0..80 {
            let taps = match case {
                0 => 1024,
                1..20 => random.range(1, 4),
                _ => random.range(1, 64),
            };
            run(&mut side, &mut random, taps);
        }
        println!("{} bytes a column", side.written);
        assert!(side.written > 1000);
    }
}
