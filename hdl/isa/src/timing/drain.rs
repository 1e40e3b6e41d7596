//! Timing of the drain side: drain, post, requantizer, write-back, pool, elementwise.
//!
//! # The rules
//!
//! A *slot* is a run of consecutive values through the posts that share a record: in a convolution the
//! rows of every way for one filter (or for the sum of inputs X), in pooling and Add four bytes of a word. T is the cycle in
//! which a slot starts. All bounds are exact: a slot starts in the first cycle that satisfies every rule.
//!
//! 1. Convolution: the slots of a block are X, then every filter, those of width 0 included; blocks follow each other. The first
//!    slot starts in `start + DRAIN_START` or later, each other one [`slot_cycles`] or more after the one before.
//! 2. The slot of X or of a filter of non-zero width starts in a cycle in which the drain read is granted, and
//!    [`FINALIZED_TO_SLOT`] or more after the pulse that finalized its position. A slot of a filter of width 0 waits for neither.
//! 3. `block_drained` pulses [`SLOT_TO_BLOCK_DRAINED`] after the block's last slot.
//! 4. Value i (0 ..) of a slot of way w is at its posts in `T + slot_to_value + w * rows_per_way + i`, its byte is written
//!    (write enable at the activation memory) [`post_latency`]` + 1` later: from `T + slot_to_write` on.
//! 5. Pooling: the slot of a window starts [`pool_slot_lead`] before its last word is on `x_bus`.
//! 6. Add: see [`add_cycles`].
//! 7. `done` pulses [`slot_to_done`] after the start of the descriptor's last slot, whatever the descriptor: for a convolution
//!    of an array of [`ROWS_MAX`] rows the cycle after the last write.

use super::{GRANT_LATENCY, drain_latency};
use crate::{ROWS_MAX, architecture::Architecture};

/// Slots start at least so many cycles apart.
pub const SLOT_CYCLES_MIN: usize = 4;

/// From the start of a slot to the cycle in which the next slot's record takes the place of its own: slots with different records
/// start at least so far apart. With `compact` a cycle more, which spares registers that hold what the posts take late.
#[must_use]
pub fn record_changes(architecture: &Architecture) -> usize {
    SLOT_CYCLES_MIN + usize::from(architecture.compact)
}

/// A convolution's slots start at least so many cycles apart.
#[must_use]
pub fn slot_cycles(architecture: &Architecture) -> usize {
    architecture
        .rows_per_way()
        .max(record_changes(architecture))
}

/// From `start` to the first cycle in which a convolution's first slot could start.
pub const DRAIN_START: usize = 2;

/// From `position_finalized` to the first cycle in which the position's slot can start.
pub const FINALIZED_TO_SLOT: usize = 1;

/// From the start of a block's last slot to `block_drained`.
pub const SLOT_TO_BLOCK_DRAINED: usize = 1;

/// From the start of a slot to its first value at the posts of way 0.
#[must_use]
pub fn slot_to_value(architecture: &Architecture) -> usize {
    GRANT_LATENCY + drain_latency(architecture)
}

/// From a value at a post to the cycle in which the post takes the bias.
pub const POST_BIAS: usize = 2;

/// From a value at a post to the cycle in which the post takes the choice of halving and the left shift.
pub const POST_HALVE: usize = 3;

/// From a value at a post to the cycle in which the post takes mantissa and right shift.
pub const POST_SCALE: usize = POST_HALVE + 1;

/// From a requantizer's `value` to the scaled value before zero point and clamp.
pub const SCALED_LATENCY: usize = 7;

/// From a requantizer's `value` to its byte.
pub const REQUANTIZER_LATENCY: usize = SCALED_LATENCY + 2;

/// The register in which a post takes each of its inputs, so that they may come from afar; none if `compact`.
fn post_input(architecture: &Architecture) -> usize {
    usize::from(!architecture.compact)
}

/// From a value at a post to its byte.
#[must_use]
pub fn post_latency(architecture: &Architecture) -> usize {
    post_input(architecture) + POST_HALVE + REQUANTIZER_LATENCY
}

/// From a value at a post to its scaled value.
#[must_use]
pub fn post_scaled_latency(architecture: &Architecture) -> usize {
    post_input(architecture) + POST_HALVE + SCALED_LATENCY
}

/// From the start of a slot to the write of its first byte.
#[must_use]
pub fn slot_to_write(architecture: &Architecture) -> usize {
    slot_to_value(architecture) + post_latency(architecture) + 1
}

/// From the start of a descriptor's last slot to `done`.
#[must_use]
pub fn slot_to_done(architecture: &Architecture) -> usize {
    slot_to_write(architecture) + ROWS_MAX
}

/// From a pooling window's last word on `x_bus` to the register that sends its results.
pub const POOL_RESULT_LATENCY: usize = 2;

/// From the slot of a pooling window to its last word on `x_bus`: with `compact` so early that the results need not wait for the posts.
#[must_use]
pub fn pool_slot_lead(architecture: &Architecture) -> usize {
    if architecture.compact {
        slot_to_value(architecture) - POOL_RESULT_LATENCY
    } else {
        0
    }
}

/// From `start` of an Add to its first slot.
pub const ADD_START: usize = 1;

/// When the three slots of a word of an Add (a, b, their sum) start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddTiming {
    /// From the slot of a to that of b.
    pub b: usize,
    /// From the slot of a to that of the sum, the last one of the next word.
    pub sum: usize,
    /// From a word to the next.
    pub word: usize,
}

/// Timing of an Add's words.
#[must_use]
pub fn add_timing(architecture: &Architecture) -> AddTiming {
    let b = record_changes(architecture);
    AddTiming {
        b,
        sum: 5 * b,
        word: 3 * b,
    }
}

/// From `start` to `done` of an Add of `words` words a column. Word n's slot of a starts at `start + ADD_START + n * word`.
#[must_use]
pub fn add_cycles(architecture: &Architecture, words: usize) -> usize {
    let timing = add_timing(architecture);
    ADD_START + timing.word * words + timing.sum - timing.word + slot_to_done(architecture)
}
