//! Queue of bytes in front of a channel that takes them slowly.
//!
//! # Contract
//! A byte is put in the cycle of `put` (with `put_data`) and comes out of the channel `take_*` at the earliest 3 cycles later, in
//! order. A byte that is put into a full queue is dropped, and `overrun` pulses. Room: `depth` bytes besides the one that is
//! offered. At most one byte leaves in 3 cycles.
//!
//! ```text
//! clock        _/~\_/~\_/~\_/~\_/~\_/~\_
//! put          /~~~\____________________
//! take_valid   ________________/~~~\____   (with take_ready)
//! ```

use crate::{
    builder::Module,
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::architecture::Storage;

/// The unit as a module; `depth` is a power of two from 2 to 256.
///
/// # Panics
/// Another depth.
#[must_use]
pub fn fifo(depth: usize, storage: Storage) -> Module {
    assert!(
        depth.is_power_of_two() && (2..=256).contains(&depth),
        "{depth} bytes"
    );
    let bits = depth.trailing_zeros() as usize;
    let m = Module::new("fifo");
    let put = m.input("put", 1);
    let data = m.input("put_data", 8);
    let ready = m.input("take_ready", 1);
    let never = m.literal(0, 1);
    let (full, fetch) = (m.wire("full", 1), m.wire("fetch", 1));
    let accepted = m.and(&put, &m.not(&full));
    m.output("overrun", &m.and(&put, &full));
    // One bit more than an address: all places taken differs from none.
    let put_at = m.counter("put_at", bits + 1, &never, &accepted);
    let take_at = m.counter("take_at", bits + 1, &never, &fetch);
    let stored = m.subtract(&put_at, &take_at);
    m.drive(&full, &m.bit(&stored, bits));
    let memory = Memory {
        storage,
        width: 8,
        depth,
        latency: 1,
    };
    let word = memory.instance(
        &m,
        "bytes",
        &MemoryPorts {
            write_enable: &accepted,
            write_address: &m.truncate(&put_at, bits),
            write_data: &data,
            read_address: &m.truncate(&take_at, bits),
        },
    );
    let fetched = m.registered_reset("fetched", &fetch);
    let offered = m.register("offered", 1);
    let kept = m.and(&offered, &m.not(&ready));
    m.clocked_reset(&offered, &m.or(&fetched, &kept), 0);
    let free = m.not(&m.any(&[&offered, &fetched]));
    m.drive(&fetch, &m.and(&free, &m.reduce_or(&stored)));
    let front = m.register("front", 8);
    m.clocked_enable(&front, &word, &fetched);
    m.output("take_valid", &offered);
    m.output("take_data", &front);
    m
}
