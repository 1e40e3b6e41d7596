//! Timing constants of the processor, in cycles. The RTL is built from them and the compiler
//! predicts with them.
//!
//! # The rules of fetch and issue
//!
//! `start` is the cycle of the start pulse; an access or plane is *issued* in the cycle in which its unit's
//! first stage holds it. All bounds are exact: the event happens in the first cycle that satisfies every rule.
//!
//! 1. The first access of a descriptor is issued in `start + FETCH_START` (convolution and pooling).
//! 2. A chunk's accesses are issued in [`fill_cycles`] consecutive cycles (where a table takes longer than all rows, in some of
//!    which there is none). With more than one of [`fill_turns`] a block's last chunk leaves out what is beyond
//!    the last tap (but for whole turns): weights of 0 there add what the tables hold as often as the sum of inputs takes it off. The first one follows
//!    the last one of the chunk before by 1 or more, and the plane that is [`release_lead`] before the last one of the
//!    chunk *two* before, or its first plane (of the same descriptor, blocks run on), by [`PLANE_TO_FILL`] or more.
//! 3. A chunk's first plane (all ones) is issued [`fill_to_plane`] or more after its last access,
//!    [`chunk_cycles`] or more after the first plane of the chunk before, for the descriptor's first chunk
//!    in `start + ISSUE_START` or later, and for the first chunk of a block, from the third block on, [`DRAINED_TO_PLANE`] or more
//!    after the `block_drained` of the block two before. Its other planes follow one a cycle.
//! 4. Counters: busy cycles are those in which a plane is issued (all-ones planes included). With e the first cycle that
//!    rule 3 allows without the accesses and without `block_drained`, f the first one without `block_drained`, and s the
//!    actual one, the chunk adds f - e cycles of fill stall and s - f of drain stall.
//! 5. A position whose last plane (of the block's last chunk) is issued in t is finalized in t + [`plane_to_drain`]:
//!    `position_finalized` pulses, and a `drain_request` in that cycle or later may be granted.
//! 6. A `drain_request` in cycle g is refused if and only if the last plane of a filter (or an all-ones plane), of a
//!    chunk that is not its block's first, was issued in g - [`plane_to_grant`].
//! 7. Pooling: the accesses of a window (taps x passes) are issued in consecutive cycles; a window follows the
//!    one before by max(taps x passes, [`POOL_WINDOW_CYCLES_MIN`]) cycles, and reaches `x_bus` [`fetch_latency`] later.

use crate::{
    architecture::{Architecture, LaneKind, Storage},
    descriptor::Descriptor,
};

mod drain;

pub use drain::*;

/// Levels of registered adders above the quads.
#[must_use]
pub fn tree_levels(quads: usize) -> usize {
    quads.next_power_of_two().trailing_zeros() as usize
}

/// Shortest time from a chunk's first plane to the next chunk's: an accumulator is written before it
/// is read again.
pub const CHUNK_CYCLES_MIN: usize = 8;

/// Entries of a lane's table, which takes one a cycle.
pub const TABLE_ENTRIES: usize = 8;

/// Words, or pairs of words, that a lane's tables are filled from at a time, one half of the entries behind the other.
#[must_use]
pub fn fill_turns(architecture: &Architecture) -> usize {
    architecture.fill_words / architecture.access_words()
}

/// Cycles from a word for a lane to the next: its table takes one entry a cycle, and rows take turns.
#[must_use]
pub fn word_cycles(architecture: &Architecture) -> usize {
    match architecture.lane {
        LaneKind::Table => TABLE_ENTRIES / fill_turns(architecture),
        LaneKind::Plain => architecture.lane_rows,
    }
}

/// Cycles that filling the tables for a block's chunk number `chunk` takes.
#[must_use]
pub fn fill_cycles(architecture: &Architecture, d: &Descriptor, chunk: usize) -> usize {
    let size = |count: i64| usize::try_from(count).unwrap_or(0);
    let unit = 1 + size(d.paired);
    let all = architecture.quads / unit;
    let turns = fill_turns(architecture);
    let words = if turns > 1 {
        let taps = size(d.kernel_height * d.kernel_width * d.quads_per_tap) / unit;
        let left = taps.saturating_sub(chunk * all);
        all.min(left.next_multiple_of(turns))
    } else {
        all
    };
    word_cycles(architecture) * words * (1 + size(d.two_passes))
}

/// From a plane word at the dot unit's input to its registered sum.
#[must_use]
pub fn dot_latency(architecture: &Architecture) -> usize {
    let quad = match architecture.lane {
        LaneKind::Table => 1,
        LaneKind::Plain => 2,
    };
    quad + tree_levels(architecture.quads)
}

/// From the last plane word of a filter at row 0 to the accumulator's read address at row 0.
#[must_use]
pub fn accumulator_delay(architecture: &Architecture) -> usize {
    dot_latency(architecture) - 1
}

/// From `start` to the first access of fetch.
pub const FETCH_START: usize = 3;

/// From `start` to the first cycle in which a plane could be issued; cycles before count as neither busy nor stalled.
pub const ISSUE_START: usize = 3;

/// From a read address at the activation memory to the word on `read_data`: register behind the choice of
/// address, RAM output, fabric register (one cycle both with single-port RAM), and unless `compact` a register behind the choice of halves.
#[must_use]
pub fn activation_read_latency(architecture: &Architecture) -> usize {
    1 + bank_latency(architecture.activation_storage) + usize::from(!architecture.compact)
}

/// From an address at a bank of the activation memory to its word.
#[must_use]
pub fn bank_latency(storage: Storage) -> usize {
    match storage {
        Storage::SinglePort => 1,
        _ => 2,
    }
}

/// From the issue of an access to its bank addresses (registered) at the activation memory.
pub const FETCH_ADDRESS_LATENCY: usize = 4;

/// Registered stages of the window rotation (two binary levels each).
#[must_use]
pub fn rotation_stages(architecture: &Architecture) -> usize {
    tree_levels(architecture.columns).div_ceil(2)
}

/// From the issue of an access to its word on `x_bus`; the last stage selects columns and fills in padding.
#[must_use]
pub fn fetch_latency(architecture: &Architecture) -> usize {
    FETCH_ADDRESS_LATENCY
        + activation_read_latency(architecture)
        + rotation_stages(architecture)
        + 1
}

/// From `fill_enable` of a table entry to the first cycle in which `plane_word` (at the same row) reads it.
pub const TABLE_WRITE_LATENCY: usize = 3;

/// From a plane's address at its block RAM to its word: RAM output, fabric register.
pub const PLANE_READ_LATENCY: usize = 2;

/// From the issue of a plane to `plane_word` at row 0: where block RAMs lie all over a large die, a register of the address near some of
/// them; the read; the register behind the choice of the all-ones plane.
#[must_use]
pub fn plane_latency(architecture: &Architecture) -> usize {
    usize::from(architecture.is_wide()) + PLANE_READ_LATENCY + 1
}

/// From the issue of a chunk's last access to the first cycle in which the chunk's first plane can be issued.
#[must_use]
pub fn fill_to_plane(architecture: &Architecture) -> usize {
    let entries_left = match architecture.lane {
        LaneKind::Table => TABLE_ENTRIES - word_cycles(architecture),
        LaneKind::Plain => 0,
    };
    fetch_latency(architecture) + 1 + TABLE_WRITE_LATENCY + entries_left
        - plane_latency(architecture)
}

/// From the issue of the plane with which a chunk gives its table bank back to the first cycle in which an access that refills it
/// can be issued.
pub const PLANE_TO_FILL: usize = 2;

/// Planes that follow the one with which a chunk gives its bank back (its first one, if it has fewer). With more than one of [`fill_turns`]
/// so many that the last one is at the dot units in the first cycle of the next fill, else none.
#[must_use]
pub fn release_lead(architecture: &Architecture) -> usize {
    if fill_turns(architecture) == 1 {
        return 0;
    }
    PLANE_TO_FILL + fetch_latency(architecture) + 1 - plane_latency(architecture)
}

/// Cycles of a chunk in issue, at least.
#[must_use]
pub fn chunk_cycles(planes_per_chunk: usize) -> usize {
    (1 + planes_per_chunk).max(CHUNK_CYCLES_MIN)
}

/// From `drain_grant` to `accumulator_drain` at row 0.
pub const GRANT_LATENCY: usize = 1;

/// From `accumulator_write` at a row to the first cycle in which a read address there sees the new value.
pub const ACCUMULATOR_UPDATE_LATENCY: usize = 3;

const _: () = assert!(CHUNK_CYCLES_MIN >= ACCUMULATOR_UPDATE_LATENCY);

/// From the issue of a filter's last plane to the cycle in which no drain read can be granted because the array reads
/// the filter's accumulator itself.
#[must_use]
pub fn plane_to_grant(architecture: &Architecture) -> usize {
    plane_latency(architecture) + accumulator_delay(architecture) - GRANT_LATENCY
}

/// From the issue of a filter's last plane to the first cycle in which a drain read of its accumulator can be granted.
#[must_use]
pub fn plane_to_drain(architecture: &Architecture) -> usize {
    plane_to_grant(architecture) + ACCUMULATOR_UPDATE_LATENCY
}

/// From `block_drained` to the first cycle in which the block that takes its half can issue a plane.
pub const DRAINED_TO_PLANE: usize = 2;

/// Cycles from a pooling window to the next, at least: the bytes of a word are requantized one by one.
pub const POOL_WINDOW_CYCLES_MIN: usize = 4;

/// From `accumulator_drain` at the array to row 0's value on the drain bus; row r's follows r cycles later. The rows' values are
/// or-ed in two cycles, in one if `compact`, where row 0 has no register of its controls either.
#[must_use]
pub fn drain_latency(architecture: &Architecture) -> usize {
    if architecture.compact { 3 } else { 5 }
}

/// Cycles of a descriptor besides those from its unit's `start` to the unit's `done` (both cycles counted as one
/// difference): reading its words, and the first counter's write.
pub const SEQUENCER_CYCLES: usize = crate::descriptor::WORDS + 4;
