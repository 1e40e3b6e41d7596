//! Sequencer: runs descriptors one after the other and keeps their counters. Holds the program memory and the
//! counter memory.
//!
//! # Contract
//! `run_start` (while not `running`) begins with descriptor `run_first`; the run ends after `run_count` descriptors, after an
//! End, after a descriptor of unknown opcode (`run_state` 2 until the next run), or at the end of the descriptor in progress after `stop`
//! (a pulse, not in the cycle of `run_start`).
//! For each descriptor: its words are read into the field outputs (stable until the next descriptor is read), `start`
//! pulses, and `done` is awaited (two cycles later or more); then four words go to the counter memory: cycles, busy, fill stall, drain
//! stall (cycles in which `busy`, `fill_stall`, `drain_stall` are high). Cycles count from the first word's address to the first counter's write (a cycle before it on a
//! large die), both included: `timing::SEQUENCER_CYCLES` more than from start to done.
//!
//! ```text
//! clock         _/~\_/~\_/~\_ ... _/~\_/~\_/~\_ ... _/~\_/~\_/~\_/~\_/~\_/~\_
//! state         X load        ... X begin X wait        X count (4)     X next
//! start         ________________  /~~~\______________________________________
//! done          ____________________________________ /~~~\___________________
//! ```
//!
//! Few descriptors share a memory with their counters, which grow there and are written all the time from `start` on: they are final when
//! the run has ended, as are all that the host can read.
//!
//! Reset: idle, nothing running.

use crate::{
    apart,
    builder::{Module, Net},
    count::low_bits,
    memory::{Memory, MemoryPorts},
    port::{ADDRESS_BITS, DESCRIPTOR_BITS},
};
use bitweft_isa::{
    COUNTERS,
    architecture::{Architecture, Storage},
    descriptor::{FIELDS, Opcode, WORDS},
    port::State,
    timing::SEQUENCER_CYCLES,
};

/// Read latency of the program and counter memories.
const MEMORY_LATENCY: usize = 2;
const COUNTER_BITS: usize = 32;
/// Bits of a number of descriptors of a run.
const RUN_BITS: usize = 16;
/// What the counters but the first one count.
const STROBES: [&str; 3] = ["busy", "fill_stall", "drain_stall"];
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
    let bits = run_bits(architecture);
    let left = m.register("left", bits);
    let fewer = m.subtract(&left, &m.literal(1, bits));
    let run_count = low_bits(&m, &m.input("run_count", RUN_BITS), bits);
    let left_next = m.mux(&idle, &run_count, &fewer);
    m.clocked_enable(&left, &left_next, &m.or(&from_idle, &next));
    let finished = m.counter("finished", bits, &from_idle, &next);
    m.output("run_finished", &m.zero_extend(&finished, RUN_BITS));
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
    let at = At {
        index: &index,
        step: &step,
        load: &load,
        begin: &begin,
        wait: &wait,
        count: &count,
        host: &row_address,
    };
    let read_counter = if architecture.descriptor_count <= SHARED_DESCRIPTORS {
        shared_memory(&m, &at, &word)
    } else {
        memories(&m, architecture, &at, &word)
    };
    m.output("read_counter", &read_counter);
    m
}

/// Bits of the descriptors of a run: the port takes no more than there are.
fn run_bits(architecture: &Architecture) -> usize {
    if architecture.compact {
        architecture.descriptor_count.ilog2() as usize + 1
    } else {
        RUN_BITS
    }
}

/// Where the sequencer is.
struct At<'a> {
    /// The descriptor in progress.
    index: &'a Net,
    /// Its word that is read while `load`; its counter that is written while `count`.
    step: &'a Net,
    load: &'a Net,
    begin: &'a Net,
    wait: &'a Net,
    count: &'a Net,
    /// Row of either space, while no run is in progress.
    host: &'a Net,
}

/// The descriptor's counters in registers; the one whose turn it is to be written.
fn counter(m: &Module, at: &At<'_>) -> (Net, Net) {
    let first = m.and(at.load, &m.equals(at.step, 0));
    let cycles = m.register("cycles", COUNTER_BITS);
    // The cycle of the first write itself counts.
    let grown = m.mux(&first, &m.literal(2, COUNTER_BITS), &m.increment(&cycles));
    m.clocked_enable(&cycles, &grown, &m.any(&[at.load, at.begin, at.wait]));
    let [busy, fill_stall, drain_stall] = STROBES.map(|name| {
        m.counter(
            &format!("{name}_cycles"),
            COUNTER_BITS,
            at.begin,
            &m.input(name, 1),
        )
    });
    let words = [cycles, busy, fill_stall, drain_stall];
    let number = m.slice(at.step, 0, 2);
    let value = m.select(&number, &words);
    (number, value)
}

/// Two memories: drives the program's `word`, gives the counter that the host reads.
fn memories(m: &Module, architecture: &Architecture, at: &At<'_>, word: &Net) -> Net {
    let (number, value) = counter(m, at);
    let memory = |depth| Memory {
        storage: Storage::Block,
        width: COUNTER_BITS,
        depth,
        latency: MEMORY_LATENCY,
    };
    let program = memory(architecture.program_words());
    let bits = program.address_bits();
    let address = m.concat(&[&m.slice(at.step, 0, 4), &m.slice(at.index, 0, bits - 4)]);
    let ports = MemoryPorts {
        write_enable: &m.input("write_program", 1),
        write_address: &m.truncate(at.host, bits),
        write_data: &m.input("row_program", 32),
        read_address: &address,
    };
    m.drive(word, &program.instance(m, "program_memory", &ports));
    let counters = memory((architecture.descriptor_count * COUNTERS).next_power_of_two());
    let bits = counters.address_bits();
    let address = m.concat(&[&number, &m.slice(at.index, 0, bits - 2)]);
    let write = [at.count, &address, &value];
    let [write_enable, write_address, write_data] =
        &apart::near(m, architecture, "counter_write", write);
    let ports = MemoryPorts {
        write_enable,
        write_address,
        write_data,
        read_address: &m.truncate(at.host, bits),
    };
    counters.instance(m, "counter_memory", &ports)
}

/// One memory of as many words as the narrowest block RAM of that width has: the program, and in its last quarter the counters,
/// which grow there: they take turns at being read and, two cycles later, written with what came since their last turn.
///
/// ```text
/// clock         _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_
/// state         X begin X wait ...
/// turn                  X 0 X 1 X 2 X 3 X 0 X 1 X     (the counter that is read)
/// writes        ________________/~~~~~~~~~~~~~~       (counters 0, 1, 2, 3, 0, 1; the first of each begins anew)
/// ```
fn shared_memory(m: &Module, at: &At<'_>, word: &Net) -> Net {
    let memory = Memory {
        storage: Storage::Block,
        width: COUNTER_BITS,
        depth: 256,
        latency: MEMORY_LATENCY,
    };
    let counting = m.or(at.wait, at.count);
    let turn = m.register("turn", 2);
    m.clocked(&turn, &m.gate(&m.increment(&turn), &counting));
    let written = m.concat(&[&m.bit(&turn, 0), &m.not(&m.bit(&turn, 1))]);
    let last = m.equals(&turn, 1);
    let begun = m.register("counters_begun", 1);
    m.clocked(&begun, &m.and(&counting, &m.or(&begun, &last)));
    let writes = m.named("counter_write", &m.and(&begun, &counting));
    let anew = m.register("counters_anew", 1);
    let goes_on = m.and(&writes, &last);
    let stays = m.and(&anew, &m.not(&goes_on));
    m.clocked(&anew, &m.or(&m.not(&counting), &stays));

    let wait = [at.wait.clone()].into_iter();
    let strobes = wait.chain(STROBES.map(|name| m.input(name, 1)));
    let recent: Vec<Net> = strobes
        .enumerate()
        .map(|(number, strobe)| {
            let taken = m.and(&writes, &m.equals(&written, number as u64));
            recent_cycles(m, &format!("recent_{number}"), &strobe, &taken)
        })
        .collect();
    let recent = m.zero_extend(&m.select(&written, &recent), COUNTER_BITS);
    // The cycles from start to done come on top.
    let already = m.literal(SEQUENCER_CYCLES as u64, COUNTER_BITS);
    let is_first = m.and(&anew, &m.equals(&written, 0));
    let so_far = m.or(&m.gate(word, &m.not(&anew)), &m.gate(&already, &is_first));

    let quarter = m.literal(3, 2);
    let index = m.slice(at.index, 0, 4);
    let write_program = m.input("write_program", 1);
    // Nothing is recent while no run is in progress.
    let base = m.mux(&writes, &so_far, &m.input("row_program", 32));
    let program = m.concat(&[&m.slice(at.step, 0, 4), &index]);
    let host = m.concat(&[&m.slice(at.host, 0, 6), &quarter]);
    let reads = m.mux(&counting, &m.concat(&[&turn, &index, &quarter]), &host);
    let ports = MemoryPorts {
        write_enable: &m.or(&write_program, &writes),
        write_address: &m.mux(
            &writes,
            &m.concat(&[&written, &index, &quarter]),
            &m.truncate(at.host, 8),
        ),
        write_data: &m.add(&base, &recent),
        read_address: &m.mux(at.load, &program, &reads),
    };
    let found = memory.instance(m, "program_memory", &ports);
    m.drive(word, &found);
    found
}

/// A count of the cycles of `strobe`, up to 7, that begins anew with the cycle in which it is taken.
fn recent_cycles(m: &Module, name: &str, strobe: &Net, taken: &Net) -> Net {
    let count = m.register(name, 3);
    let mut carry = strobe.clone();
    let bits = m.bits(&m.gate(&count, &m.not(taken)));
    let next: Vec<Net> = bits
        .iter()
        .map(|bit| {
            let sum = m.xor(bit, &carry);
            carry = m.and(bit, &carry);
            sum
        })
        .collect();
    m.unused(&carry);
    m.clocked_reset(&count, &m.concat(&next.iter().collect::<Vec<_>>()), 0);
    count
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
