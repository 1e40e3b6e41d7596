//! Sequencer: runs descriptors one after the other and keeps their counters. Holds the program memory and the
//! counter memory.
//!
//! # Contract
//! `run_start` (while not `running`) begins with descriptor `run_first`; the run ends after `run_count` descriptors, after an
//! End, after a descriptor of unknown opcode (`run_state` 2 until the next run), or at the end of the descriptor in progress after `stop`.
//! For each descriptor: its words are read into the field outputs (stable until the next descriptor is read), `start_<unit>`
//! pulses, and `done_<unit>` is awaited; then four words go to the counter memory: cycles, busy, fill stall, drain
//! stall. Cycles count from the first word's address to the first counter's write, both included:
//! `timing::SEQUENCER_CYCLES` more than from start to done.
//!
//! ```text
//! clock         _/~\_/~\_/~\_ ... _/~\_/~\_/~\_ ... _/~\_/~\_/~\_/~\_/~\_/~\_
//! state         X load        ... X begin X wait        X count (4)     X next
//! start_pool    ________________  /~~~\______________________________________
//! done_pool     ____________________________________ /~~~\___________________
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
};

/// Read latency of the program and counter memories.
const MEMORY_LATENCY: usize = 2;
const COUNTER_BITS: usize = 32;

/// Units that the sequencer starts, and the operations that need them.
pub const UNITS: [(&str, &[Opcode]); 3] = [
    ("convolution", &[Opcode::Convolution]),
    ("pool", &[Opcode::MaxPool, Opcode::AveragePool]),
    ("elementwise", &[Opcode::Add]),
];

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

    let mut dones = Vec::new();
    let mut known = m.literal(0, 1);
    for (name, opcodes) in UNITS {
        let matches: Vec<Net> = opcodes
            .iter()
            .map(|&opcode_of| m.equals(&opcode, opcode_of as u64))
            .collect();
        let chosen = m.any(&matches.iter().collect::<Vec<_>>());
        m.output(&format!("start_{name}"), &m.and(&begin, &chosen));
        dones.push(m.and(&chosen, &m.input(&format!("done_{name}"), 1)));
        known = m.or(&known, &chosen);
    }
    let done = m.and(&wait, &m.any(&dones.iter().collect::<Vec<_>>()));
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
    let running = m.zero_extend(&m.not(&idle), 8);
    m.output(
        "run_state",
        &m.mux(&m.and(&idle, &failed), &m.literal(2, 8), &running),
    );
    let is_convolution = m.equals(&opcode, Opcode::Convolution as u64);
    let first = m.and(&load, &m.equals(&step, 0));
    let cycles = m.register("cycles", COUNTER_BITS);
    let grown = m.mux(&first, &m.literal(1, COUNTER_BITS), &m.increment(&cycles));
    m.clocked_enable(&cycles, &grown, &m.any(&[&load, &begin, &wait]));
    let issue = |name: &str| m.gate(&m.input(name, COUNTER_BITS), &is_convolution);
    // The cycle of the first write itself counts.
    let words = [
        m.increment(&cycles),
        issue("busy_cycles"),
        issue("fill_stall_cycles"),
        issue("drain_stall_cycles"),
    ];
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
        write_address: &m.truncate(&m.concat(&[&at, &index]), bits),
        write_data: &m.select(&at, &words),
        read_address: &m.truncate(&row_address, bits),
    };
    m.output("read_counter", &memory.instance(&m, "counter", &ports));
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
    let address = m.truncate(&m.concat(&[&m.slice(step, 0, 4), index]), bits);
    let word = memory.instance(
        m,
        "program",
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
