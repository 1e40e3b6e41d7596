//! The controls and record fields of slots, each at the cycle in which the posts of a way take it.
//!
//! A register that is to hold a field of a slot from offset o (cycles after the slot's start) on is enabled by the slot's start
//! delayed by o - 1; it holds until the next slot comes by, `SLOT_CYCLES_MIN` later or more (`timing::record_changes` if its record is
//! another), and in that time the next register of the chain takes the field over.

use super::{Kind, Slot};
use crate::{
    builder::{Module, Net},
    post::row_bits,
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    record,
    timing::{
        POST_BIAS, POST_HALVE, POST_SCALE, SLOT_CYCLES_MIN, post_latency, record_changes,
        slot_to_value,
    },
};

/// From the start of a slot to the cycle in which its flags are valid.
const FLAG_VALID: usize = 1;

/// A mantissa and left shift that leave a value as it is.
const IDENTITY_MANTISSA: u64 = 1 << 30;
const IDENTITY_LEFT: u64 = 1;

/// Starts of slots, delayed.
struct Pulses<'a> {
    m: &'a Module,
    /// Start of a slot 0, 1, ... cycles ago.
    start: Vec<Net>,
    ways: usize,
    rows_per_way: usize,
    /// `timing::slot_to_value`.
    to_value: usize,
    /// `timing::record_changes`.
    record_changes: usize,
    compact: bool,
}

/// Builds everything behind the slot engine.
pub(super) fn stages(
    m: &Module,
    architecture: &Architecture,
    kind: &Kind,
    slot: &Slot,
    record: &Net,
) {
    let last_way = (architecture.drain_ways - 1) * architecture.rows_per_way();
    let to_value = slot_to_value(architecture);
    let to_write_slot = to_value + post_latency(architecture) - 1;
    let depth = to_value + POST_SCALE + last_way - 1;
    let mut start = vec![slot.start.clone()];
    for cycle in 1..=depth.max(to_write_slot) {
        let last = &start[cycle - 1];
        start.push(m.registered_reset(&format!("slot_{cycle}"), last));
    }
    let pulses = Pulses {
        m,
        start,
        ways: architecture.drain_ways,
        rows_per_way: architecture.rows_per_way(),
        to_value,
        record_changes: record_changes(architecture),
        compact: architecture.compact,
    };
    pulses.rows(slot, row_bits(architecture));
    pulses.fields(kind, record);

    m.output("write_slot", &pulses.start[to_write_slot]);
    for (name, flag) in [("write_skip", &slot.skip), ("write_last", &slot.last)] {
        let held = pulses.held(name, flag, FLAG_VALID, SLOT_CYCLES_MIN, &[to_write_slot]);
        m.output(name, &held[0]);
    }
}

impl Pulses<'_> {
    /// `source` of a slot, which is there up to `until` cycles after its start, in registers that hold it from the given
    /// offsets on for `hold` cycles: slots with other sources are so far apart.
    fn held(
        &self,
        name: &str,
        source: &Net,
        mut until: usize,
        hold: usize,
        offsets: &[usize],
    ) -> Vec<Net> {
        let mut net = source.clone();
        let take = |offset: usize, net: &Net| {
            let q = self.m.register(&format!("{name}_at_{offset}"), net.width());
            self.m.clocked_enable(&q, net, &self.start[offset - 1]);
            (q, offset + hold - 1)
        };
        let mut results = Vec::with_capacity(offsets.len());
        for &offset in offsets {
            while until + 1 < offset {
                (net, until) = take(until + 1, &net);
            }
            (net, until) = take(offset, &net);
            results.push(net.clone());
        }
        results
    }

    /// A field of the record at `offset` of way 0 and the same cycles later of each other way, side by side in an output.
    fn way_outputs(&self, name: &str, source: &Net, offset: usize) {
        let hold = self.record_changes;
        // What is taken when the record ends and still there for the last value needs no other register.
        let values = self.rows_per_way.max(QUAD);
        let from = |offset: usize| {
            if offset + values <= 2 * hold {
                offset.min(hold)
            } else {
                offset
            }
        };
        let offsets: Vec<usize> = (0..self.ways)
            .map(|way| from(offset + way * self.rows_per_way))
            .collect();
        let held = self.held(name, source, hold - 1, hold, &offsets);
        let parts: Vec<&Net> = held.iter().collect();
        self.m.output(name, &self.m.concat(&parts));
    }

    /// Fields of the record, and flags that follow from it.
    fn fields(&self, kind: &Kind, record: &Net) {
        let m = self.m;
        let special = m.or(
            &m.bit(record, record::BINARY_BIT),
            &m.bit(record, record::ZERO_BIT),
        );
        let ordinary = m.and(&kind.convolution, &m.not(&special));
        self.way_outputs("x_clear", &m.not(&ordinary), self.to_value);
        self.way_outputs("halve", &ordinary, self.to_value + POST_HALVE);

        let field = |low: usize, bits: usize, identity: u64| {
            let field = m.slice(record, low, bits);
            m.mux(&kind.maximum, &m.literal(identity, bits), &field)
        };
        let bias = field(0, record::BIAS_BITS, 0);
        self.way_outputs("bias", &bias, self.to_value + POST_BIAS);
        let left = field(record::LEFT_LOW, record::LEFT_BITS, IDENTITY_LEFT);
        self.way_outputs("left", &left, self.to_value + POST_HALVE);
        for (name, low, bits, identity) in [
            (
                "mantissa",
                record::MANTISSA_LOW,
                record::MANTISSA_BITS,
                IDENTITY_MANTISSA,
            ),
            ("right", record::RIGHT_LOW, record::RIGHT_BITS, 0),
        ] {
            let field = field(low, bits, identity);
            self.way_outputs(name, &field, self.to_value + POST_SCALE);
        }
        let used = record::ZERO_BIT + 1;
        m.unused(&m.slice(record, used, record.width() - used));
    }

    /// Rows of the values, and which of them are X.
    fn rows(&self, slot: &Slot, bits: usize) {
        let m = self.m;
        let offsets: Vec<usize> = (0..self.ways)
            .map(|way| self.to_value + way * self.rows_per_way)
            .collect();
        let is_x = self.held("is_x", &slot.is_x, FLAG_VALID, SLOT_CYCLES_MIN, &offsets);
        let (mut rows, mut stores) = (Vec::new(), Vec::new());
        for (way, (offset, is_x)) in offsets.iter().zip(&is_x).enumerate() {
            // The top bit stops the count behind the last row.
            let row = m.register(&format!("row_of_{way}"), bits + 1);
            let begin = &self.start[offset - 1];
            let next = m.mux(begin, &m.literal(0, bits + 1), &m.increment(&row));
            let over = m.sign(&row);
            m.clocked_enable(&row, &next, &m.or(begin, &m.not(&over)));
            stores.push(m.and(is_x, &m.not(&over)));
            rows.push(if self.compact {
                m.not(&over)
            } else {
                m.truncate(&row, bits)
            });
        }
        let side_by_side = |nets: &[Net]| m.concat(&nets.iter().collect::<Vec<_>>());
        let name = if self.compact { "next_row" } else { "row" };
        m.output(name, &side_by_side(&rows));
        m.output("x_store", &side_by_side(&stores));
    }
}
