//! Behind the plane memory: the array's controls, and the choice between the array and the drain.

use super::{chunks::Plane, position_bits};
use crate::builder::{Module, Net};
use bitweft_isa::{
    architecture::Architecture,
    timing::{
        ACCUMULATOR_UPDATE_LATENCY, GRANT_LATENCY, accumulator_delay, dot_latency, plane_latency,
    },
};

/// Controls of a filter's last plane.
struct Update {
    /// There is one.
    write: Net,
    clear: Net,
    /// In the block's last chunk.
    last_chunk: Net,
    address: Net,
}

/// Drives the array's ports, the drain's and `position_finalized`. `word` and `flag` come from the plane memory.
pub(super) fn controls(
    m: &Module,
    architecture: &Architecture,
    plane: &Plane,
    word: &Net,
    flag: &Net,
) {
    let cycles = plane_latency(architecture) - 1;
    let active = m.delayed_reset("active_at", &plane.active, cycles);
    let labels = m.concat(&[
        &plane.all_ones,
        &plane.bank,
        &plane.half,
        &plane.first_chunk,
        &plane.last_chunk,
    ]);
    let labels = m.bits(&m.delayed("labels_at", &labels, cycles));
    let [all_ones, bank, half, first_chunk, last_chunk] = &labels[..] else {
        unreachable!("five labels")
    };
    let chosen = m.gate(word, &m.not(all_ones));
    let plane_word = m.registered("word", &chosen);
    m.output("plane_word", &plane_word);
    m.output("plane_bank", &m.registered("bank_out", bank));

    let last = m.or(flag, all_ones);
    let was_last = m.register("was_last", 1);
    m.clocked_enable(&was_last, &last, &active);
    let first = m.registered("first", &m.or(&was_last, all_ones));
    let horner = m.concat(&[&first, &m.sign(&plane_word)]);
    let horner = m.delayed("horner", &horner, dot_latency(architecture));
    m.output("horner_first", &m.bit(&horner, 0));
    m.output("horner_sign", &m.bit(&horner, 1));

    let bits = position_bits(architecture);
    let next_position = m.register("next_position", bits);
    let position = m.gate(&next_position, &m.not(all_ones));
    let ends = m.and(&active, &last);
    m.clocked_enable(&next_position, &m.increment(&position), &ends);
    let label = m.concat(&[first_chunk, last_chunk, &position, half]);
    // From here to the arbitration, one cycle before the read-address stage.
    let cycles = 1 + accumulator_delay(architecture) - GRANT_LATENCY;
    let write = m.delayed_reset("update_at", &ends, cycles);
    let label = m.delayed("update_label_at", &label, cycles);
    let update = Update {
        write,
        clear: m.bit(&label, 0),
        last_chunk: m.bit(&label, 1),
        address: m.slice(&label, 2, bits + 1),
    };
    arbitrate(m, &update);
}

/// The accumulators' read port goes to the array where it needs it, else to the drain.
fn arbitrate(m: &Module, update: &Update) {
    let request = m.input("drain_request", 1);
    let position = m.input("drain_position", update.address.width() - 1);
    let half = m.input("drain_half", 1);
    let reads = m.and(&update.write, &m.not(&update.clear));
    let grant = m.and(&request, &m.not(&reads));
    m.output("drain_grant", &grant);

    let drain_address = m.concat(&[&position, &half]);
    let read_address = m.mux(&grant, &drain_address, &update.address);
    let read_address = m.registered("read_address", &read_address);
    m.output("accumulator_read_address", &read_address);
    m.output("accumulator_drain", &m.registered_reset("drain", &grant));
    m.output(
        "accumulator_address",
        &m.registered("address", &update.address),
    );
    m.output(
        "accumulator_write",
        &m.registered_reset("write", &update.write),
    );
    m.output("accumulator_clear", &m.registered("clear", &update.clear));
    let last = m.and(&update.write, &update.last_chunk);
    let finalized = m.delayed_reset("final_at", &last, ACCUMULATOR_UPDATE_LATENCY);
    m.output("position_finalized", &finalized);
}
