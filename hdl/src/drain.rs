//! Drain: decides when which filter leaves the array, and accompanies its values through the posts with its record.
//!
//! A *slot* (rules in `timing`) is X or a filter of a block, or four bytes of a word from the pool or elementwise unit. The unit
//! starts the slots of a convolution itself, in the order of the records; the other units start theirs, at
//! least `SLOT_CYCLES_MIN` apart. Every slot but X takes the next record: from `record_base` on, `filter_count` of them
//! for every block, three for every word of an Add, always the same one for AveragePool, and for MaxPool none (v becomes the byte).
//!
//! | port | bits | |
//! |---|--:|---|
//! | `start` | 1 | with the descriptor fields named as such; `filter_count`, `block_count` at least 1 |
//! | `position_finalized` | 1 | one more position of the convolution can be read, in order |
//! | `drain_request`, `drain_position`, `drain_half` | 1, , 1, out | asks for the accumulators of a position |
//! | `drain_grant` | 1 | in the same cycle: the slot starts, values follow `slot_to_value` later |
//! | `block_drained` | 1, out | the half of the block is free |
//! | `pool_slot`, `pool_slot_last` | 1 | the pool unit starts a slot; the descriptor's last one |
//! | `add_slot`, `add_slot_skip`, `add_slot_last` | 1 | the same of the elementwise unit; of a slot that writes nothing |
//! | `record_write_enable`, `record_address`, `record_write_data` | 1, , 80 | the host writes a record |
//! | `record_host`, `record_read_data` | 1, 80 out | the host reads: data 2 cycles after `record_address` with `record_host` |
//! | `x_store`, `x_clear`, `halve`; `row` or `next_row`; `bias`; `mantissa`, `left`, `right` | 1; ; 34; 31, 4, 6 a way, out | to the posts, way 0 lowest, each in the cycle in which `post.rs` takes it |
//! | `zero_point` | 8, out | to the posts' `out_zero` (0 for MaxPool) |
//! | `write_slot`, `write_skip`, `write_last` | 1, out | the slot's first byte leaves the posts of way 0 in the next cycle; it writes nothing; it is the last |
//!
//! Reset ends everything. No slot may be under way at `start`. The host may not access records from `start` to `done`.
//!
//! ```text
//! clock               _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_   rows_per_way 4, filter 1 of width 0
//! position_finalized  /~~~\_/~~\____________________________  (X, filter 0)
//! drain_request       ____/~~~~~~~\_______/~~~\_____________
//! drain_grant         ________/~~~\_______/~~~\_____________
//! slot (inside)       ________/ X \_______/ f0\_______/ f1\_
//! block_drained       _________________________________________/~  (filter 1 is the last)
//! ```

mod stages;

use crate::{
    builder::{Module, Net},
    count::low_bits,
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    architecture::{Architecture, Storage},
    descriptor::Opcode,
    record,
    timing::{
        ADD_START, DRAIN_START, SLOT_CYCLES_MIN, SLOT_TO_BLOCK_DRAINED, record_changes, slot_cycles,
    },
};

/// Cycles from a record's address to the record.
const RECORD_LATENCY: usize = 2;
/// From the start of a slot that takes a record to the next record, if its address follows at once.
const RECORD_CHANGES: usize = 2 + RECORD_LATENCY;
/// Bits of a record.
const RECORD_BITS: usize = 8 * record::BYTES;

/// Bits of a record address.
#[must_use]
pub fn record_address_bits(architecture: &Architecture) -> usize {
    record_memory(architecture).address_bits()
}

/// Bits of a position.
#[must_use]
pub fn position_bits(architecture: &Architecture) -> usize {
    architecture.positions_max().trailing_zeros() as usize
}

fn record_memory(architecture: &Architecture) -> Memory {
    Memory {
        storage: Storage::Block,
        width: RECORD_BITS,
        depth: architecture.record_count,
        latency: RECORD_LATENCY,
    }
}

/// What the descriptor is.
struct Kind {
    convolution: Net,
    maximum: Net,
    add: Net,
}

/// A slot: it is decided in one cycle and accounted for in the next, so that the grant reaches few registers.
struct Slot {
    /// It starts in this cycle.
    start: Net,
    /// It started in the cycle before and takes the next record.
    advance: Net,
    /// Valid a cycle after the start: the slot of X; one that writes nothing; the descriptor's last.
    is_x: Net,
    skip: Net,
    last: Net,
}

/// The unit as a module.
#[must_use]
pub fn drain(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "drain");
    let m = &module;
    let opcode = m.field("opcode");
    let is = |name: &str, code: Opcode| m.registered(name, &m.equals(&opcode, code as u64));
    let kind = Kind {
        convolution: is("convolution", Opcode::Convolution),
        maximum: is("maximum", Opcode::MaxPool),
        add: is("addition", Opcode::Add),
    };
    // The kind is known a cycle after the descriptor.
    let begin = m.input("start", 1);
    let start = m.registered_reset("started", &begin);
    let read = m.wire("read", 1);
    let available = available(m, architecture, &begin, &read);
    let advance = m.wire("advance", 1);
    let group_last = m.wire("group_last", 1);
    let record = records(m, architecture, &start, &advance, &group_last);
    let inputs = SlotInputs {
        start: &start,
        record: &record,
        group_last: &group_last,
        available: &available,
        read: &read,
    };
    let slot = slots(m, architecture, &kind, &inputs);
    m.drive(&advance, &slot.advance);
    m.drive(
        &group_last,
        &group(m, architecture, &kind, &start, &advance),
    );
    let zero_point = m.mux(&kind.maximum, &m.literal(0, 8), &m.field("out_zero"));
    m.output("zero_point", &m.registered("zero_point_held", &zero_point));
    stages::stages(m, architecture, &kind, &slot, &record);
    module
}

/// The record of the next slot that takes one. It changes `timing::record_changes` cycles after such a slot starts.
fn records(
    m: &Module,
    architecture: &Architecture,
    start: &Net,
    advance: &Net,
    group_last: &Net,
) -> Net {
    let memory = record_memory(architecture);
    let bits = memory.address_bits();
    let base = low_bits(m, &m.field("record_base"), bits);
    let next = m.register("next_record", bits);
    let later = record_changes(architecture) - RECORD_CHANGES;
    let group_last = m.delayed("group_last_later", group_last, later);
    let advance = m.delayed_reset("advance_later", advance, later);
    let again = m.or(start, &group_last);
    let following = m.mux(&again, &base, &m.increment(&next));
    m.clocked_enable(&next, &following, &m.or(start, &advance));
    let host_address = m.input("record_address", bits);
    let address = m.mux(&m.input("record_host", 1), &host_address, &next);
    let ports = MemoryPorts {
        write_enable: &m.input("record_write_enable", 1),
        write_address: &host_address,
        write_data: &m.input("record_write_data", RECORD_BITS),
        read_address: &address,
    };
    let record = memory.instance(m, "records", &ports);
    m.output("record_read_data", &record);
    record
}

/// Whether the record is the last one before `record_base` comes again.
fn group(m: &Module, architecture: &Architecture, kind: &Kind, start: &Net, advance: &Net) -> Net {
    let bits = architecture.record_count.ilog2() as usize + 1;
    let filters = low_bits(m, &m.field("filter_count"), bits);
    let values = m.mux(&kind.add, &m.literal(3, bits), &m.literal(1, bits));
    let size = m.mux(&kind.convolution, &filters, &values);
    let left = m.register("group_left", bits);
    let last = m.equals(&left, 1);
    let decrement = m.subtract(&left, &m.literal(1, bits));
    let next = m.mux(&m.or(start, &last), &size, &decrement);
    m.clocked_enable(&left, &next, &m.or(start, advance));
    last
}

/// What decides about slots.
struct SlotInputs<'a> {
    start: &'a Net,
    record: &'a Net,
    /// The record is the last one before `record_base` comes again.
    group_last: &'a Net,
    /// A position can be read.
    available: &'a Net,
    /// To be driven: one was, in the cycle before.
    read: &'a Net,
}

/// Starts a convolution's slots, and takes those of the other units.
fn slots(m: &Module, architecture: &Architecture, kind: &Kind, inputs: &SlotInputs<'_>) -> Slot {
    let start = inputs.start;
    let pool = m.input("pool_slot", 1);
    let add = m.input("add_slot", 1);
    let own = m.wire("own_slot", 1);
    let slot_start = m.named("slot_start", &m.any(&[&own, &pool, &add]));
    let began = m.registered_reset("began", &own);

    let at_x = m.register("at_x", 1);
    let takes_record = m.named("takes_record", &m.and(&began, &m.not(&at_x)));
    let block_end = m.named("block_end", &m.and(&takes_record, inputs.group_last));
    m.output("block_drained", &block_end);
    let x_follows = m.mux(start, &kind.convolution, &block_end);
    m.clocked_enable_reset(&at_x, &x_follows, &m.or(start, &began), 0);
    let (active, end) = blocks(m, kind, start, &block_end);

    let needs_read = m.or(&at_x, &m.not(&m.bit(inputs.record, record::ZERO_BIT)));
    let may_start = m.and(&active, &spaced(m, architecture, &slot_start));
    let read = m.registered_reset("read_before", &m.and(&own, &needs_read));
    m.drive(inputs.read, &read);
    let request = m.all(&[&may_start, &needs_read, inputs.available]);
    let request = m.named("request", &request);
    m.output("drain_request", &request);
    let granted = m.and(&request, &m.input("drain_grant", 1));
    let unread = m.and(&may_start, &m.not(&needs_read));
    m.drive(&own, &m.or(&granted, &unread));
    position(m, architecture, start, &read, &block_end);

    let flag = |name: &str, slot: &Net| {
        let flag = m.and(slot, &m.input(name, 1));
        m.registered_reset(&format!("{name}_held"), &flag)
    };
    let ends = m.or(&flag("pool_slot_last", &pool), &flag("add_slot_last", &add));
    let other = m.registered_reset("other_began", &m.or(&pool, &add));
    Slot {
        start: slot_start,
        advance: m.or(&takes_record, &other),
        skip: m.or(&at_x, &flag("add_slot_skip", &add)),
        is_x: at_x,
        last: m.or(&end, &ends),
    }
}

/// Whether a convolution is under way, and whether `block_end` ends it.
fn blocks(m: &Module, kind: &Kind, start: &Net, block_end: &Net) -> (Net, Net) {
    let count = m.field("block_count");
    let left = m.register("blocks_left", count.width());
    let decrement = m.subtract(&left, &m.literal(1, count.width()));
    let next = m.mux(start, &count, &decrement);
    m.clocked_enable(&left, &next, &m.or(start, block_end));
    let end = m.and(block_end, &m.equals(&left, 1));
    let active = m.register("active", 1);
    let begin = m.and(start, &kind.convolution);
    let goes_on = m.and(&active, &m.not(&end));
    m.clocked_reset(&active, &m.or(&begin, &goes_on), 0);
    (active, end)
}

/// Whether the last slot is `timing::slot_cycles` or more ago.
fn spaced(m: &Module, architecture: &Architecture, slot_start: &Net) -> Net {
    let mut recent = vec![slot_start.clone()];
    for cycle in 1..slot_cycles(architecture) - 1 {
        let last = &recent[cycle - 1];
        recent.push(m.registered_reset(&format!("spacing_{cycle}"), last));
    }
    let recent = m.any(&recent.iter().collect::<Vec<_>>());
    m.registered_reset("spaced", &m.not(&recent))
}

/// Whether a position is final and not yet read (`read`: one was, in the cycle before). Both halves may be.
fn available(m: &Module, architecture: &Architecture, start: &Net, read: &Net) -> Net {
    let finalized = m.input("position_finalized", 1);
    let bits = position_bits(architecture) + 2;
    let count = m.register("finalized_positions", bits);
    // One more, or one less.
    let step = m.concat(&[&m.literal(1, 1), &m.repeat(read, bits - 1)]);
    let next = m.add(&count, &step);
    let next = m.mux(start, &m.literal(0, bits), &next);
    let changes = m.or(start, &m.xor(&finalized, read));
    m.clocked_enable_reset(&count, &next, &changes, 0);
    let several = m.reduce_or(&m.slice(&count, 1, bits - 1));
    let one_left = m.and(&m.bit(&count, 0), &m.not(read));
    let any = m.any(&[&several, &one_left, &finalized]);
    m.registered_reset("available", &m.and(&any, &m.not(start)))
}

/// The position and half that the next read is of.
fn position(m: &Module, architecture: &Architecture, start: &Net, read: &Net, block_end: &Net) {
    let bits = position_bits(architecture);
    let restart = m.or(start, block_end);
    let position = m.register("position", bits);
    let next = m.mux(&restart, &m.literal(0, bits), &m.increment(&position));
    m.clocked_enable(&position, &next, &m.or(&restart, read));
    m.output("drain_position", &position);
    let half = m.register("half", 1);
    let other = m.and(&m.not(&half), &m.not(start));
    m.clocked_enable(&half, &other, &restart);
    m.output("drain_half", &half);
}

const _: () = assert!(DRAIN_START == 2 && SLOT_TO_BLOCK_DRAINED == 1);
// The first record of an Add is there when its first slot's register takes it.
const _: () = assert!(DRAIN_START + RECORD_LATENCY < ADD_START + RECORD_CHANGES);
const _: () = assert!(RECORD_CHANGES <= SLOT_CYCLES_MIN);
