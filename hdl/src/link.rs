//! Serial link: the line on one side, the host port's channels on the other; the rate, and its way back.
//!
//! # Contract
//! `receive_*` and `transmit_*` are the host port's channels, the names as the port sees them. What arrives while the
//! port answers waits in a queue of `isa::port::BACKLOG` bytes; beyond that it is lost, which a CRC notices.
//!
//! `rate_set` with `rate` (index into `isa::port::RATES`) takes effect when the line has been idle after it. Rate 0 returns
//! after a break, and after 2^`hold_bits` cycles without `frame_valid`. `error` is high from a framing error or a lost byte
//! until the next `frame_valid`.
//!
//! ```text
//! clock          _/~\_/~\_/~\_ ... _/~\_/~\_/~\_
//! rate_set       /~~~\_____________________________
//! sending        ~~~~~~~~~~~~ ... ~~~~\____________   (last byte of the response)
//! rate_in_force  X 0                      X rate
//! ```

use crate::{
    builder::Module,
    fifo::fifo,
    uart::{PHASE_BITS, increment, receiver, transmitter},
};
use bitweft_isa::{
    architecture::Storage,
    port::{BACKLOG, RATES},
};

/// The unit as a module, for a clock and a kind of memory for its queue.
///
/// # Panics
/// A clock too slow for the fastest rate.
#[must_use]
pub fn link(clock_hertz: u32, storage: Storage, hold_bits: usize) -> Module {
    let m = Module::new("link");
    let rate_bits = RATES.len().trailing_zeros() as usize;
    let rate = m.register("rate_in_force", rate_bits);
    let increments = RATES.map(|rate| m.literal(increment(clock_hertz, rate), PHASE_BITS));
    let increment = m.registered("increment", &m.select(&rate, &increments));

    let line = m.input("uart_receive", 1);
    let received = m.instance(
        "receiver",
        &receiver(),
        &[("line", &line), ("increment", &increment)],
    );
    let port_ready = m.input("receive_ready", 1);
    let queue = m.instance(
        "queue",
        &fifo(BACKLOG, storage),
        &[
            ("put", received.get("received_valid")),
            ("put_data", received.get("received")),
            ("take_ready", &port_ready),
        ],
    );
    m.output("receive_valid", queue.get("take_valid"));
    m.output("receive_data", queue.get("take_data"));
    let valid = m.input("transmit_valid", 1);
    let data = m.input("transmit_data", 8);
    let sent = m.instance(
        "transmitter",
        &transmitter(),
        &[
            ("transmit_valid", &valid),
            ("transmit_data", &data),
            ("increment", &increment),
        ],
    );
    m.output("uart_transmit", sent.get("line"));
    m.output("transmit_ready", sent.get("transmit_ready"));

    // A rate waits until the response to its request has left.
    let set = m.input("rate_set", 1);
    let asked = m.register("rate_asked", rate_bits);
    m.clocked_enable(&asked, &m.input("rate", rate_bits), &set);
    let pending = m.register("pending", 1);
    let due = m.and(&pending, &m.not(sent.get("sending")));
    let waits = m.and(&pending, &m.not(&due));
    m.clocked_reset(&pending, &m.or(&set, &waits), 0);

    let frame_valid = m.input("frame_valid", 1);
    let first = m.equals(&rate, 0);
    let quiet = m.counter(
        "quiet",
        hold_bits,
        &m.any(&[&frame_valid, &first, &due]),
        &m.not(&first),
    );
    let fall_back = m.or(&m.reduce_and(&quiet), received.get("line_break"));
    let next = m.gate(&asked, &m.not(&fall_back));
    m.clocked_enable_reset(&rate, &next, &m.or(&due, &fall_back), 0);
    m.output("rate_now", &rate);

    let trouble = m.or(received.get("framing_error"), queue.get("overrun"));
    let error = m.register("error_held", 1);
    m.clocked_enable_reset(&error, &trouble, &m.or(&trouble, &frame_valid), 0);
    m.output("error", &error);
    m
}
