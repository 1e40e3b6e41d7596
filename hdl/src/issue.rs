//! Issue: streams the plane words of every chunk to the array, with the controls of its accumulators, and lets the drain
//! read these when the array does not.
//!
//! # Contract
//! After `start` (opcode Convolution; nothing happens for others) the unit runs through `block_count` x `chunk_count` chunks. A
//! chunk starts when `chunk_filled` has come for it and, for a block's first one, a half of the accumulators is free (2 at
//! `start`; `block_drained` gives one back). It issues the all-ones plane (the zero word), then `planes_per_chunk` planes from
//! `plane_base` on (over all chunks of a block; every block starts again), one a cycle, and lasts `timing::chunk_cycles`. The exact
//! rules are 3 to 6 of `timing`. With a plane issued in cycle t, P = t + `timing::plane_latency`:
//! - t + 1: `chunk_released`, if it is the chunk's last, or `timing::release_lead` before it;
//! - P: `plane_word`, `plane_bank`;
//! - P + `dot_latency`: `horner_first` (the filter's first plane), `horner_sign` (bit K - 1 of the word);
//! - P + `accumulator_delay`, if it is the last plane of its filter (its flag is set, or it is the all-ones plane):
//!   `accumulator_write`, with `accumulator_address` (half, then position: 0 for the all-ones plane, then one more a
//!   filter) and `accumulator_clear` (in the block's first chunk);
//! - t + `plane_to_drain`, if moreover the chunk is its block's last: `position_finalized`.
//!
//! `drain_grant` answers `drain_request` in the same cycle; `GRANT_LATENCY` later `accumulator_drain` goes with
//! `accumulator_read_address` = (`drain_half`, `drain_position`); in other cycles that is `accumulator_address`. The
//! unit does not check that what is requested is final.
//!
//! `busy`, `fill_stall` and `drain_stall` are high, one at most, in every cycle that counts as such.
//!
//! Plane memory: `plane_write_enable` writes `plane_write_data` (K bits, the flag above) at `plane_write_address`; not
//! during a run. One plane a cycle. `reset` ends everything; it need not come between descriptors.
//!
//! ```text
//! clock               _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_   dot_latency 2, filters of 2 and 1 bits, not the first chunk
//! cycle               t   +1  +2  +3  +4  +5  +6  +7
//! plane_word                      X 0 XaH XaL X b X        aH, aL: filter a's planes
//! horner_first        ____________________/~~~~~~~\___/~~~   (at +5 for 0, at +6 for aH, at +8 for b)
//! accumulator_write   ________________/~~~\___/~~~~~~~\___   (at +4 for 0, at +6 for aL, at +7 for b)
//! accumulator_address                 X 0 X   X 1 X 2 X
//! drain_grant         ~~~~~~~~~~~~\___/~~~\_______/~~~~~~~   (with drain_request high)
//! accumulator_drain   ~~~~~~~~~~~~~~~~\___/~~~\_______/~~~
//! ```

mod chunks;
mod controls;
mod memory;

use crate::builder::Module;
use bitweft_isa::architecture::Architecture;

/// Descriptor fields that are inputs of the unit.
pub const DESCRIPTOR_FIELDS: [&str; 5] = [
    "opcode",
    "chunk_count",
    "block_count",
    "planes_per_chunk",
    "plane_base",
];

/// Bits of an accumulator position (of one half).
#[must_use]
pub fn position_bits(architecture: &Architecture) -> usize {
    architecture.positions_max().trailing_zeros() as usize
}

/// Bits of a plane address.
#[must_use]
pub fn plane_address_bits(architecture: &Architecture) -> usize {
    memory::address_bits(architecture)
}

/// The unit as a module.
#[must_use]
pub fn issue(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "issue");
    let plane = chunks::planes(&module, architecture);
    let (word, flag) = memory::read(&module, architecture, &plane.address);
    controls::controls(&module, architecture, &plane, &word, &flag);
    module
}
