//! Sequencer: runs descriptors one after the other and keeps their counters. Holds the program memory and the
//! counter memory.
//!
//! # Contract
//! `run_start` (while not `running`) begins with descriptor `run_first`; the run ends after `run_count` descriptors, after an
//! End, after a descriptor of unknown opcode (`run_state` 2 until the next run), or at the end of the descriptor in progress after `stop`
//! (a pulse, not in the cycle of `run_start`).
//! For each descriptor: its words are read into the field outputs (stable until the next descriptor is read), `start`
//! pulses, and `done` is awaited; then four words go to the counter memory: cycles, busy, fill stall, drain
//! stall (cycles in which `busy`, `fill_stall`, `drain_stall` are high). Cycles count from the first word's address to the first counter's write, both included:
//! `timing::SEQUENCER_CYCLES` more than from start to done.
//!
//! ```text
//! clock         _/~\_/~\_/~\_ ... _/~\_/~\_/~\_ ... _/~\_/~\_/~\_/~\_/~\_/~\_
//! state         X load        ... X begin X wait        X count (4)     X next
//! start         ________________  /~~~\______________________________________
//! done          ____________________________________ /~~~\___________________
//! ```
//!
//! Reset: idle, nothing running.

use crate::{
    builder::{Module, Net},
    memory::{Memory, MemoryPorts},
    port::{ADDRESS_BITS, DESCRIPTOR_BITS},
};
use bitweft_isa::{
    COUNTERS,
    architecture::{Architecture, Storage},
    descriptor::{FIELDS, Opcode, WORDS},
    port::State,
};

/// Read latency of the program and counter memories.
const MEMORY_LATENCY: usize = 2;
const COUNTER_BITS: usize = 32;
/// Descriptors, at most, of a program that shares 256 words with its counters.
const SHARED_DESCRIPTORS: usize = 12;

const IDLE: u64 = 0;
const LOAD: u64 = 1;
const BEGIN: u64 = 2;
const WAIT: u64 = 3;
const COUNT: u64 = 4;
const NEXT: u64 = 5;

/// The unit as a module.
#[must_use]
pub fn sequencer(architecture: &Architecture) -> Module {
    let m = Module::new("sequencer");
    let state = m.register("state", 3);
    let is = |value: u64| m.equals(&state, value);
    let [idle, load, begin, wait, count, next] = [IDLE, LOAD, BEGIN, WAIT, COUNT, NEXT].map(is);
    let run_start = m.input("run_start", 1);
    let step = m.register("step", 5);
    let index = m.register("index", DESCRIPTOR_BITS);
    let from_idle = m.and(&idle, &run_start);
    let index_next = m.mux(
        &idle,
        &m.input("run_first", DESCRIPTOR_BITS),
        &m.increment(&index),
    );
    m.clocked_enable(&index, &index_next, &m.or(&from_idle, &next));

    let load_end = m.and(&load, &m.equals(&step, (WORDS + MEMORY_LATENCY - 1) as u64));
    let count_end = m.and(&count, &m.equals(&step, COUNTERS as u64 - 1));
    let counting = m.or(&load, &count);
    let ended = m.or(&load_end, &count_end);
    let step_next = m.gate(&m.increment(&step), &m.and(&counting, &m.not(&ended)));
    m.clocked_reset(&step, &step_next, 0);
    let row_address = m.input("row_address", ADDRESS_BITS);
    m.unused(&row_address);
    let word = m.wire("program_word", 32);
    let opcode = fields(&m, architecture, &word, [&step, &load]);

    let operations = [
        Opcode::Convolution,
        Opcode::MaxPool,
        Opcode::AveragePool,
        Opcode::Add,
    ];
    let known = operations.map(|operation| m.equals(&opcode, operation as u64));
    let known = m.any(&known.each_ref());
    m.output("start", &m.and(&begin, &known));
    let done = m.and(&wait, &m.input("done", 1));
    let end = m.equals(&opcode, Opcode::End as u64);
    let left = m.register("left", 16);
    let fewer = m.subtract(&left, &m.literal(1, 16));
    let left_next = m.mux(&idle, &m.input("run_count", 16), &fewer);
    m.clocked_enable(&left, &left_next, &m.or(&from_idle, &next));
    let finished = m.counter("finished", 16, &from_idle, &next);
    m.output("run_finished", &finished);
    let stopping = m.register("stopping", 1);
    let stop = m.input("stop", 1);
    // One that comes while idle is forgotten before a run can start.
    m.clocked_enable_reset(&stopping, &stop, &m.or(&stop, &idle), 0);
    let leave = m.and(&next, &m.or(&m.equals(&left, 1), &stopping));
    let bad = m.and(&begin, &m.not(&m.or(&known, &end)));
    let failed = m.register("failed", 1);
    m.clocked_enable_reset(&failed, &bad, &m.or(&from_idle, &bad), 0);

    let mut following = state.clone();
    for (when, to) in [
        (from_idle, LOAD),
        (load_end, BEGIN),
        (begin.clone(), WAIT),
        (m.and(&begin, &m.not(&known)), IDLE),
        (done, COUNT),
        (count_end, NEXT),
        (next.clone(), LOAD),
        (leave, IDLE),
    ] {
        following = m.mux(&when, &m.literal(to, 3), &following);
    }
    m.clocked_reset(&state, &following, IDLE);
    m.output("running", &m.not(&idle));
    // isa::port::State: Idle is 0, Running 1.
    let running = m.zero_extend(&m.not(&idle), 8);
    let stopped = m.literal(State::Stopped as u64, 8);
    m.output(
        "run_state",
        &m.mux(&m.and(&idle, &failed), &stopped, &running),
    );
    let first = m.and(&load, &m.equals(&step, 0));
    let cycles = m.register("cycles", COUNTER_BITS);
    // The cycle of the first write itself counts.
    let grown = m.mux(&first, &m.literal(2, COUNTER_BITS), &m.increment(&cycles));
    m.clocked_enable(&cycles, &grown, &m.any(&[&load, &begin, &wait]));
    let strobes = ["busy", "fill_stall", "drain_stall"];
    let [busy, fill_stall, drain_stall] = strobes.map(|name| {
        m.counter(
            &format!("{name}_cycles"),
            COUNTER_BITS,
            &begin,
            &m.input(name, 1),
        )
    });
    let words = [cycles, busy, fill_stall, drain_stall];
    let at = m.slice(&step, 0, 2);
    let counter = Counter {
        write: count,
        value: m.select(&at, &words),
        at,
    };
    let ports = Rows {
        index: &index,
        step: &step,
        load: &load,
        host: &row_address,
        counter: &counter,
    };
    let read_counter = if architecture.descriptor_count <= SHARED_DESCRIPTORS {
        shared_memory(&m, &ports, &word)
    } else {
        memories(&m, architecture, &ports, &word)
    };
    m.output("read_counter", &read_counter);
    m
}

/// A counter that is written.
struct Counter {
    write: Net,
    /// Which of the descriptor's.
    at: Net,
    value: Net,
}

/// What addresses program and counters.
struct Rows<'a> {
    /// The descriptor in progress.
    index: &'a Net,
    /// Its word that is read while `load`.
    step: &'a Net,
    load: &'a Net,
    /// Row of either space, while no run is in progress.
    host: &'a Net,
    counter: &'a Counter,
}

/// Two memories: drives the program's `word`, gives the counter that the host reads.
fn memories(m: &Module, architecture: &Architecture, rows: &Rows<'_>, word: &Net) -> Net {
    let memory = |depth| Memory {
        storage: Storage::Block,
        width: COUNTER_BITS,
        depth,
        latency: MEMORY_LATENCY,
    };
    let program = memory(architecture.program_words());
    let bits = program.address_bits();
    let address = m.concat(&[&m.slice(rows.step, 0, 4), &m.slice(rows.index, 0, bits - 4)]);
    let ports = MemoryPorts {
        write_enable: &m.input("write_program", 1),
        write_address: &m.truncate(rows.host, bits),
        write_data: &m.input("row_program", 32),
        read_address: &address,
    };
    m.drive(word, &program.instance(m, "program_memory", &ports));
    let counters = memory((architecture.descriptor_count * COUNTERS).next_power_of_two());
    let bits = counters.address_bits();
    let ports = MemoryPorts {
        write_enable: &rows.counter.write,
        write_address: &m.concat(&[&rows.counter.at, &m.slice(rows.index, 0, bits - 2)]),
        write_data: &rows.counter.value,
        read_address: &m.truncate(rows.host, bits),
    };
    counters.instance(m, "counter_memory", &ports)
}

/// One memory of as many words as the narrowest block RAM of that width has: the program, and in its last quarter the counters.
fn shared_memory(m: &Module, rows: &Rows<'_>, word: &Net) -> Net {
    let memory = Memory {
        storage: Storage::Block,
        width: COUNTER_BITS,
        depth: 256,
        latency: MEMORY_LATENCY,
    };
    let quarter = m.literal(3, 2);
    let write_program = m.input("write_program", 1);
    let counter = m.concat(&[&rows.counter.at, &m.slice(rows.index, 0, 4), &quarter]);
    let is_counter = &rows.counter.write;
    let program = m.concat(&[&m.slice(rows.step, 0, 4), &m.slice(rows.index, 0, 4)]);
    let host = m.concat(&[&m.slice(rows.host, 0, 6), &quarter]);
    let ports = MemoryPorts {
        write_enable: &m.or(&write_program, is_counter),
        write_address: &m.mux(is_counter, &counter, &m.truncate(rows.host, 8)),
        write_data: &m.mux(is_counter, &rows.counter.value, &m.input("row_program", 32)),
        read_address: &m.mux(rows.load, &program, &host),
    };
    let found = memory.instance(m, "program_memory", &ports);
    m.drive(word, &found);
    found
}

/// The field registers, as the program's words pass by; gives the opcode.
fn fields(m: &Module, architecture: &Architecture, word: &Net, [step, load]: [&Net; 2]) -> Net {
    let mut opcode = m.literal(0, 4);
    let used = FIELDS.iter().map(|field| field.word).max().unwrap_or(0);
    for at in 0..=used {
        let arrived = m.and(load, &m.equals(step, (at + MEMORY_LATENCY) as u64));
        for field in FIELDS.iter().filter(|field| field.word == at) {
            let bits = architecture.field_bits(field);
            let register = m.register(&format!("{}_q", field.name), bits);
            m.clocked_enable(&register, &m.slice(word, field.low, bits), &arrived);
            m.output(field.name, &register);
            if field.name == "opcode" {
                opcode = register;
            }
        }
    }
    opcode
}
