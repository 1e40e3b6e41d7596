//! Timing constants of the processor, in cycles. The RTL is built from them and the compiler
//! predicts with them.

use crate::architecture::{Architecture, LaneKind};

/// Levels of registered adders above the quads.
#[must_use]
pub fn tree_levels(quads: usize) -> usize {
    quads.next_power_of_two().trailing_zeros() as usize
}

/// Shortest time from a chunk's first plane to the next chunk's: an accumulator is written before it
/// is read again.
pub const CHUNK_CYCLES_MIN: usize = 8;

/// Cycles that filling the tables for one chunk takes.
#[must_use]
pub fn fill_cycles(architecture: &Architecture, two_passes: bool) -> usize {
    crate::ROWS * architecture.quads * if two_passes { 2 } else { 1 }
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
