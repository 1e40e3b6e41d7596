//! Convolutions: slots under random finalization and grants, and every byte written, when and where.

use crate::{
    assembly::{Side, Write},
    support::{Random, architectures, scaled},
};
use bitweft_isa::{
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    record::Record,
    timing::{
        DRAIN_START, FINALIZED_TO_SLOT, SLOT_TO_BLOCK_DRAINED, slot_cycles, slot_to_done,
        slot_to_value, slot_to_write,
    },
};
use std::collections::{BTreeMap, VecDeque};

/// A filter's share of slots whose cycle is still to come, or X's.
#[derive(Debug, Clone, Copy)]
struct Slot {
    block: i64,
    /// None: X.
    filter: Option<usize>,
    /// Accumulator, for slots that read one.
    position: Option<i64>,
    last_of_block: bool,
}

pub(crate) struct Case {
    descriptor: Descriptor,
    records: Vec<Record>,
    /// Chances (one in ...) of a finalization and of a refusal in a cycle.
    finalize: u64,
    refuse: u64,
    seed: u64,
}

impl Case {
    pub(crate) fn new(random: &mut Random, a: &Architecture) -> Self {
        let filters = random.range(1, 9) as usize;
        let zeros = random.range(1, 4) as u64;
        let records: Vec<Record> = (0..filters)
            .map(|_| {
                let zero = random.once_in(zeros);
                Record {
                    bias: random.range(-(1 << 22), 1 << 22),
                    mantissa: random.range(1 << 30, (1 << 31) - 1) as u32,
                    left: random.range(0, 3) as u8,
                    right: random.range(8, 20) as u8,
                    binary: !zero && random.once_in(3),
                    zero,
                }
            })
            .collect();
        let block_count = random.range(1, 4);
        let lane_rows = a.lane_rows as i64;
        let descriptor = Descriptor {
            opcode: Opcode::Convolution as i64,
            rounding_double: random.range(0, 1),
            out_zero: random.range(0, 255),
            clamp_low: random.range(0, 60),
            clamp_high: random.range(100, 255),
            record_base: random.range(0, (a.record_count - filters) as i64),
            filter_count: filters as i64,
            block_count,
            strip_count: (block_count - 1) * lane_rows + random.range(1, lane_rows),
            out_base: random.range(0, 1000),
            out_stride: random.range(3, 60),
            ..Descriptor::default()
        };
        Self {
            descriptor,
            records,
            finalize: [1, 1, 2, 5, 20][random.range(0, 4) as usize],
            refuse: [1 << 31, 8, 2][random.range(0, 2) as usize],
            seed: random.bits(),
        }
    }

    fn slots(&self) -> VecDeque<Slot> {
        let mut slots = VecDeque::new();
        for block in 0..self.descriptor.block_count {
            let x = Slot {
                block,
                filter: None,
                position: Some(0),
                last_of_block: false,
            };
            slots.push_back(x);
            let mut position = 0;
            for (filter, record) in self.records.iter().enumerate() {
                position += i64::from(!record.zero);
                slots.push_back(Slot {
                    block,
                    filter: Some(filter),
                    position: (!record.zero).then_some(position),
                    last_of_block: filter + 1 == self.records.len(),
                });
            }
        }
        slots
    }

    /// The accumulator of a lane.
    fn accumulator(&self, block: i64, position: i64, row: usize, column: usize) -> i64 {
        let place = (block * 64 + position) as u64 * 1024 + (row * 32 + column) as u64;
        let mut hash = (place ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
        hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (hash.cast_signed() >> 32) % (1 << 22)
    }

    fn byte(&self, slot: &Slot, filter: usize, row: usize, column: usize) -> i64 {
        let record = &self.records[filter];
        let read = |position| self.accumulator(slot.block, position, row, column);
        let v = match slot.position {
            None => record.bias,
            Some(position) if record.binary => read(position) + record.bias,
            Some(position) => (read(position) - read(0) + record.bias) >> 1,
        };
        let d = &self.descriptor;
        let y = scaled(record, d.rounding_double == 1, v);
        (d.out_zero + y).clamp(d.clamp_low, d.clamp_high)
    }

    /// What a slot that starts in `cycle` leads to.
    fn expect(&self, side: &mut Side, slot: &Slot, cycle: u64) {
        let d = &self.descriptor;
        let columns = side.a.columns;
        if slot.last_of_block {
            side.expect_drained(cycle + SLOT_TO_BLOCK_DRAINED as u64);
            if slot.block + 1 == d.block_count {
                side.expect_done(cycle + slot_to_done(&side.a) as u64);
            }
        }
        let Some(filter) = slot.filter else { return };
        let lane_rows = side.a.lane_rows;
        for row in 0..lane_rows {
            let strip = slot.block * lane_rows as i64 + row as i64;
            if strip >= d.strip_count {
                continue;
            }
            let address = d.out_base + strip * d.out_stride + filter as i64 / 4;
            let bytes = (0..columns).map(|column| self.byte(slot, filter, row, column));
            let write = Write {
                address: address as u64 % side.a.activation_words as u64,
                bytes: bytes.collect(),
            };
            side.expect_write(
                cycle + (slot_to_write(&side.a) + row) as u64,
                filter as u64 % 4,
                write,
            );
        }
    }
}

/// The array and issue as the drain unit sees them.
#[derive(Default)]
struct Array {
    /// Values on `drain_data` by cycle and (way, column).
    values: BTreeMap<u64, BTreeMap<usize, i64>>,
    /// Positions finalized in each block.
    finalized: Vec<i64>,
    /// Cycles from which the finalized positions can start a slot.
    ready: VecDeque<u64>,
    drained_blocks: usize,
}

impl Array {
    /// Perhaps finalizes a position: in order, at most two blocks ahead of the drain.
    fn finalize(&mut self, random: &mut Random, case: &Case, cycle: u64) -> bool {
        let positions = 1 + case.records.iter().filter(|record| !record.zero).count() as i64;
        let block = self
            .finalized
            .iter()
            .take_while(|&&count| count == positions)
            .count();
        let allowed = block < self.finalized.len() && block < self.drained_blocks + 2;
        let happens = cycle > 0 && allowed && random.once_in(case.finalize);
        if happens {
            self.finalized[block] += 1;
            self.ready.push_back(cycle + FINALIZED_TO_SLOT as u64);
        }
        happens
    }

    fn drain_data(&mut self, a: &Architecture, cycle: u64) -> Vec<i64> {
        let values = self.values.remove(&cycle).unwrap_or_default();
        let lanes = a.drain_ways * a.columns;
        (0..lanes)
            .map(|lane| values.get(&lane).copied().unwrap_or(0))
            .collect()
    }

    fn read(&mut self, a: &Architecture, case: &Case, slot: &Slot, position: i64, cycle: u64) {
        for row in 0..a.lane_rows {
            let values = self
                .values
                .entry(cycle + (slot_to_value(a) + row) as u64)
                .or_default();
            for column in 0..a.columns {
                let lane = row / a.rows_per_way() * a.columns + column;
                values.insert(lane, case.accumulator(slot.block, position, row, column));
            }
        }
    }
}

pub(crate) fn run(side: &mut Side, random: &mut Random, case: &Case) {
    let a = side.a.clone();
    let base = case.descriptor.record_base as usize;
    side.write_records(base, &case.records);
    side.bench.set("drain_grant", 0);
    side.start(&case.descriptor);
    let mut slots = case.slots();
    let mut array = Array {
        finalized: vec![0; case.descriptor.block_count as usize],
        ..Array::default()
    };
    let mut earliest = DRAIN_START as u64;
    while !side.is_done() {
        let cycle = side.cycle;
        assert!(cycle < 20_000, "no end");
        let finalized = array.finalize(random, case, cycle);
        side.bench.set("position_finalized", i64::from(finalized));
        let data = array.drain_data(&a, cycle);
        side.bench
            .set_elements("drain_data", a.accumulator_bits, &data);
        let grant = !random.once_in(case.refuse);
        side.bench.set("drain_grant", i64::from(grant));
        side.bench.eval();

        let slot = slots.front().copied().filter(|_| cycle >= earliest);
        let reads = slot.and_then(|slot| slot.position);
        let may_read = reads.filter(|_| array.ready.front().is_some_and(|&ready| ready <= cycle));
        let request = side.bench.get("drain_request") == 1;
        assert_eq!(
            request,
            may_read.is_some(),
            "request, cycle {cycle} {slot:?}"
        );
        if let (Some(position), Some(slot)) = (may_read, slot) {
            assert_eq!(
                side.bench.get("drain_position") as i64,
                position,
                "cycle {cycle}"
            );
            assert_eq!(
                side.bench.get("drain_half") as i64,
                slot.block % 2,
                "cycle {cycle}"
            );
        }
        let starts = slot.filter(|_| reads.is_none() || (may_read.is_some() && grant));
        if let Some(slot) = starts {
            slots.pop_front();
            earliest = cycle + slot_cycles(&a) as u64;
            if let Some(position) = slot.position {
                array.ready.pop_front();
                array.read(&a, case, &slot, position, cycle);
            }
            array.drained_blocks += usize::from(slot.last_of_block);
            case.expect(side, &slot, cycle);
        }
        side.step();
    }
    assert!(slots.is_empty());
    side.finish();
}

#[test]
fn every_byte_is_written_where_and_when_it_must() {
    for (seed, a) in (11..).zip(architectures()) {
        let mut random = Random::new(seed);
        let mut side = Side::new(&a, seed);
        for _ in 0..120 {
            let case = Case::new(&mut random, &a);
            run(&mut side, &mut random, &case);
        }
        println!("{} bytes a column", side.written);
        assert!(side.written > 625 * a.lane_rows);
    }
}
