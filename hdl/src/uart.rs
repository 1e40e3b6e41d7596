//! Serial line, 8 data bits, no parity, one stop bit, lowest bit first, high while idle: a receiver and a transmitter.
//!
//! # Contract
//! `increment` is the fraction of a bit that a clock cycle lasts, in 2^-[`PHASE_BITS`] ([`increment`]); a bit must last
//! at least [`CYCLES_MIN`] cycles. It may change at any time; a byte under way is then spoilt.
//!
//! **Receiver.** `line` may be asynchronous. A byte begins with a falling edge; every bit is the majority of the line at 3/8, 4/8
//! and 5/8 of its time, counted from that edge, so that glitches of less than an eighth of a bit do no harm and the
//! other side's clock may differ by 4 %. A start bit that is high by majority is none. `received_valid` pulses with `received`
//! when the stop bit has been seen high. If it is low, `framing_error` pulses, with `line_break` if all bits were low, and
//! nothing is received until the line is high.
//!
//! **Transmitter.** `transmit_*` is a channel; ready while no byte is under way. `sending` until the stop bit has ended.
//!
//! Reset: the receiver waits for a falling edge, the line that is driven is high.
//!
//! ```text
//! line          ~~~~\_______/~~~~~~~\___ ... _/~~~~~~~~~~~~
//!                   | start | bit 0 | bit 1   | stop  |
//! received_valid ______________________________________/\___   (at 5/8 of the stop bit)
//! ```

use crate::builder::{Module, Net};

/// Bits of the phase within a bit's time.
pub const PHASE_BITS: usize = 20;
/// Least cycles of a bit.
pub const CYCLES_MIN: u32 = 8;

const DATA_BITS: u64 = 8;
const STOP: u64 = DATA_BITS + 1;

/// The phase increment of a rate, to the nearest.
///
/// # Panics
/// A bit would last less than [`CYCLES_MIN`] cycles.
#[must_use]
pub fn increment(clock_hertz: u32, bits_per_second: u32) -> u64 {
    assert!(
        u64::from(bits_per_second) * u64::from(CYCLES_MIN) <= u64::from(clock_hertz),
        "{bits_per_second} bits a second at {clock_hertz} Hz"
    );
    let clock = u64::from(clock_hertz);
    ((u64::from(bits_per_second) << PHASE_BITS) + clock / 2) / clock
}

/// The phase within a bit and what it passes.
struct Phase {
    /// The next eighth begins.
    step: Net,
    /// Which one.
    eighth: Net,
    /// The bit ends.
    wrap: Net,
}

/// A phase that is 0 while `restart`, else advances.
fn phase(m: &Module, restart: &Net) -> Phase {
    let increment = m.input("increment", PHASE_BITS);
    let phase = m.register("phase", PHASE_BITS);
    let sum = m.add(
        &m.zero_extend(&phase, PHASE_BITS + 1),
        &m.zero_extend(&increment, PHASE_BITS + 1),
    );
    let next = m.gate(&m.truncate(&sum, PHASE_BITS), &m.not(restart));
    m.clocked_reset(&phase, &next, 0);
    let top = |net: &Net| m.slice(net, PHASE_BITS - 3, 3);
    Phase {
        step: m.not_equal(&top(&sum), &top(&phase)),
        eighth: top(&sum),
        wrap: m.bit(&sum, PHASE_BITS),
    }
}

/// The receiver as a module.
#[must_use]
pub fn receiver() -> Module {
    let m = Module::new("uart_receiver");
    let input = m.input("line", 1);
    let one = |name: &str, d: &Net| {
        let q = m.register(name, 1);
        m.clocked_reset(&q, d, 1);
        q
    };
    let line = one("line_2", &one("line_1", &input));
    let was_high = m.registered_reset("was_high", &line);
    let busy = m.register("busy", 1);
    let idle = m.not(&busy);
    let begin = m.all(&[&idle, &was_high, &m.not(&line)]);
    let phase = phase(&m, &idle);

    // The line at two earlier eighths, the bit decided at the third.
    let at = |eighth: u64| {
        let reached = m.and(&phase.step, &m.equals(&phase.eighth, eighth));
        m.and(&busy, &reached)
    };
    let [first, second, third] = [3, 4, 5].map(at);
    let sample = |name: &str, when: &Net| {
        let q = m.register(name, 1);
        m.clocked_enable(&q, &line, when);
        q
    };
    let early = sample("sample_early", &first);
    let middle = sample("sample_middle", &second);
    let bit = m.any(&[
        &m.and(&early, &middle),
        &m.and(&early, &line),
        &m.and(&middle, &line),
    ]);

    let index = m.counter("bit_index", 4, &begin, &m.and(&busy, &phase.wrap));
    let is_start = m.equals(&index, 0);
    let is_stop = m.equals(&index, STOP);
    let false_start = m.all(&[&third, &is_start, &bit]);
    let end = m.and(&third, &is_stop);
    let stays = m.all(&[&busy, &m.not(&end), &m.not(&false_start)]);
    m.clocked_reset(&busy, &m.or(&begin, &stays), 0);

    let data = m.register("data", 8);
    let shifted = m.concat(&[&m.slice(&data, 1, 7), &bit]);
    m.clocked_enable(&data, &shifted, &m.and(&third, &m.not(&is_stop)));
    m.output("received", &data);
    m.output(
        "received_valid",
        &m.registered_reset("good", &m.and(&end, &bit)),
    );
    let bad = m.and(&end, &m.not(&bit));
    m.output("framing_error", &m.registered_reset("bad", &bad));
    let low = m.and(&bad, &m.equals(&data, 0));
    m.output("line_break", &m.registered_reset("low", &low));
    m
}

/// The transmitter as a module.
#[must_use]
pub fn transmitter() -> Module {
    let m = Module::new("uart_transmitter");
    let valid = m.input("transmit_valid", 1);
    let byte = m.input("transmit_data", 8);
    let busy = m.register("busy", 1);
    let idle = m.not(&busy);
    let begin = m.and(&idle, &valid);
    let phase = phase(&m, &idle);
    m.unused(&phase.step);
    m.unused(&phase.eighth);
    let index = m.counter("bit_index", 4, &begin, &m.and(&busy, &phase.wrap));
    let end = m.and(&phase.wrap, &m.equals(&index, STOP));
    let stays = m.and(&busy, &m.not(&end));
    m.clocked_reset(&busy, &m.or(&begin, &stays), 0);

    // The start bit lowest, ones behind the data.
    let bits = m.register("bits", 9);
    let loaded = m.concat(&[&m.literal(0, 1), &byte]);
    let shifted = m.concat(&[&m.slice(&bits, 1, 8), &m.literal(1, 1)]);
    let changes = m.or(&begin, &m.and(&busy, &phase.wrap));
    m.clocked_enable_reset(&bits, &m.mux(&begin, &loaded, &shifted), &changes, 0x1ff);
    m.output("line", &m.bit(&bits, 0));
    m.output("transmit_ready", &idle);
    m.output("sending", &busy);
    m
}
