//! Sequencer: runs descriptors one after the other and keeps their counters. Holds the program memory and the
//! counter memory.
//!
//! # Contract
//! `run_start` (while not `running`) begins with descriptor `run_first`; the run ends after `run_count` descriptors, after an
//! End, after a descriptor of unknown opcode (`run_state` 2 until the next run), or at the end of the descriptor in progress after `stop`.
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
    let index = m.register("index", 12);
    let from_idle = m.and(&idle, &run_start);
    let index_next = m.mux(&idle, &m.input("run_first", 12), &m.increment(&index));
    m.clocked_enable(&index, &index_next, &m.or(&from_idle, &next));

    let load_end = m.and(&load, &m.equals(&step, (WORDS + MEMORY_LATENCY - 1) as u64));
    let count_end = m.and(&count, &m.equals(&step, COUNTERS as u64 - 1));
    let counting = m.or(&load, &count);
    let ended = m.or(&load_end, &count_end);
    let step_next = m.gate(&m.increment(&step), &m.and(&counting, &m.not(&ended)));
    m.clocked_reset(&step, &step_next, 0);
    let row_address = m.input("row_address", crate::port::ADDRESS_BITS);
    m.unused(&row_address);
    let opcode = fields(&m, architecture, &index, &step, &load, &row_address);

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
    m.clocked_enable_reset(
        &stopping,
        &m.and(&stop, &m.not(&idle)),
        &m.or(&stop, &idle),
        0,
    );
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
    let memory = Memory {
        storage: Storage::Block,
        width: COUNTER_BITS,
        depth: (architecture.descriptor_count * COUNTERS).next_power_of_two(),
        latency: MEMORY_LATENCY,
    };
    let bits = memory.address_bits();
    let ports = MemoryPorts {
        write_enable: &count,
        write_address: &m.concat(&[&at, &m.slice(&index, 0, bits - 2)]),
        write_data: &m.select(&at, &words),
        read_address: &m.truncate(&row_address, bits),
    };
    m.output(
        "read_counter",
        &memory.instance(&m, "counter_memory", &ports),
    );
    m
}

/// Program memory, and the field registers as its words pass by; gives the opcode.
fn fields(
    m: &Module,
    architecture: &Architecture,
    index: &Net,
    step: &Net,
    load: &Net,
    row_address: &Net,
) -> Net {
    let memory = Memory {
        storage: Storage::Block,
        width: 32,
        depth: architecture.program_words(),
        latency: MEMORY_LATENCY,
    };
    let bits = memory.address_bits();
    let address = m.concat(&[&m.slice(step, 0, 4), &m.slice(index, 0, bits - 4)]);
    let word = memory.instance(
        m,
        "program_memory",
        &MemoryPorts {
            write_enable: &m.input("write_program", 1),
            write_address: &m.truncate(row_address, bits),
            write_data: &m.input("row_program", 32),
            read_address: &address,
        },
    );
    let mut opcode = m.literal(0, 4);
    let used = FIELDS.iter().map(|field| field.word).max().unwrap_or(0);
    for at in 0..=used {
        let arrived = m.and(load, &m.equals(step, (at + MEMORY_LATENCY) as u64));
        for field in FIELDS.iter().filter(|field| field.word == at) {
            let register = m.register(&format!("{}_q", field.name), field.bits);
            m.clocked_enable(&register, &m.slice(&word, field.low, field.bits), &arrived);
            m.output(field.name, &register);
            if field.name == "opcode" {
                opcode = register;
            }
        }
    }
    opcode
}
