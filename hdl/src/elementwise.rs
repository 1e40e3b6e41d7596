//! Elementwise: the residual addition, word after word of every column through the posts of way 0.
//!
//! For every byte: `a = (u << 20) + bias` scaled by record `record_base`, b likewise by the next one, and the sum of the
//! two scaled values by the one after. Three slots of four bytes a word; the sum's comes a word later, when the addends have
//! come back from the posts. Input words are read before the output word that may replace them is written.
//!
//! | port | bits | |
//! |---|--:|---|
//! | `start` | 1 | acts if `opcode` is Add; fields `in_base` (a), `row_stride` (b), `strip_count` (words, at least 1) |
//! | `elementwise_select`, `elementwise_address` | 1, , out | read port of the activation memory, all banks |
//! | `read_data` | 32 x columns | [`activation_read_latency`] after the address |
//! | `add_slot`, `add_slot_skip`, `add_slot_last` | 1, out | to the drain unit; skip: nothing is written |
//! | `add_value` | 32 x columns, out | to the posts: byte i in the cycle `add_slot + slot_to_value + i`; 0 unless under way |
//! | `scaled`, `scaled_round` | 32, 1 x columns | from the posts, [`post_scaled_latency`] after the value |
//!
//! Timing: `timing::add_timing`, `timing::add_cycles`. Reset ends everything; `add_value` is 0 from 4 cycles later on.
//!
//! ```text
//! not compact
//! cycle of the word   0   1   2   3   4   5   6   7   8   9  10  11
//! add_slot            a               b               sum (of the word before)
//! elementwise_address     a               b
//! read_data                       a               b
//! add_value               s0  s1  s2  s3  a0  a1  a2  a3  b0  b1  b2 (b3 in cycle 0)
//! scaled                          a0  a1  a2  a3  b0  b1  b2  b3     (of the word before)
//! ```

use crate::{
    activation_memory::address_bits,
    builder::{Module, Net},
    count::low_bits,
    post::ADD_VALUE_BITS,
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    descriptor::Opcode,
    timing::{
        ADD_START, AddTiming, activation_read_latency, add_timing, post_scaled_latency,
        slot_to_value,
    },
};

/// Left shift of an addend before it is scaled (TFLite int8 ADD).
const ADDEND_SHIFT: usize = 20;

/// Cycles from the start of a slot.
struct Latencies {
    /// To its first value at the posts.
    value: usize,
    /// To its word in `read_data`: a cycle before that.
    data: usize,
    /// To its address.
    address: usize,
    /// To its first scaled value.
    scaled: usize,
}

impl Latencies {
    fn new(architecture: &Architecture) -> Self {
        let value = slot_to_value(architecture);
        let scaled = value + post_scaled_latency(architecture);
        // A word's sums leave after its last addend came back, and the next word's first one comes back after they began to leave.
        let AddTiming { b, sum, word } = add_timing(architecture);
        assert!(scaled + b + QUAD <= sum + value && scaled + word >= sum + value);
        Self {
            value,
            data: value - 1,
            address: value - 1 - activation_read_latency(architecture),
            scaled,
        }
    }
}

/// Phases of a word: cycles modulo `timing.word`.
struct Phases<'a> {
    m: &'a Module,
    timing: AddTiming,
    phase: Net,
    active: Net,
}

impl Phases<'_> {
    /// Whether the cycle is the given one of a word, while words are under way.
    fn at(&self, cycle: usize) -> Net {
        let phase = self
            .m
            .equals(&self.phase, (cycle % self.timing.word) as u64);
        self.m.and(&self.active, &phase)
    }

    /// A register that is set `delay` cycles after `event` and the three cycles after that.
    fn window(&self, name: &str, event: &Net, delay: usize) -> Net {
        let m = self.m;
        let mut last = m.delayed_reset(&format!("{name}_begin"), event, delay - 1);
        let mut parts = vec![last.clone()];
        for part in 1..QUAD {
            last = m.registered_reset(&format!("{name}_part_{part}"), &last);
            parts.push(last.clone());
        }
        let any = m.any(&parts.iter().collect::<Vec<_>>());
        m.registered_reset(name, &any)
    }
}

/// The unit as a module.
#[must_use]
pub fn elementwise(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "elementwise");
    let m = &module;
    let start = m.input("start", 1);
    let begin = m.and(&start, &m.equals(&m.field("opcode"), Opcode::Add as u64));
    let phases = slots(m, architecture, &begin);
    addresses(m, &begin, &phases, architecture);
    values(m, architecture, &phases);
    module
}

/// Counts words and their cycles; starts the slots. One more word than there are brings out the last sum.
fn slots<'a>(m: &'a Module, architecture: &Architecture, begin: &Net) -> Phases<'a> {
    let timing = add_timing(architecture);
    let active = m.register("active", 1);
    let bits = (timing.word - 1).ilog2() as usize + 1;
    let phase = m.register("phase", bits);
    let phases = Phases {
        m,
        timing,
        phase: phase.clone(),
        active: active.clone(),
    };
    let wraps = m.equals(&phase, timing.word as u64 - 1);
    let restart = m.or(begin, &wraps);
    let next = m.mux(&restart, &m.literal(0, bits), &m.increment(&phase));
    m.clocked(&phase, &next);

    let words = m.field("strip_count");
    let left = m.register("words_left", words.width());
    let last = m.equals(&left, 0);
    let decrement = m.subtract(&left, &m.literal(1, words.width()));
    let word_end = m.named("word_end", &phases.at(timing.word - 1));
    let next = m.mux(begin, &words, &decrement);
    m.clocked_enable(&left, &next, &m.or(begin, &word_end));
    let first = m.register("first_word", 1);
    m.clocked_enable(&first, begin, &m.or(begin, &word_end));

    let sum_slot = m.named("sum_slot", &phases.at(timing.sum));
    let end = m.and(&sum_slot, &last);
    let goes_on = m.and(&active, &m.not(&end));
    m.clocked_reset(&active, &m.or(begin, &goes_on), 0);
    let addends = m.or(&phases.at(0), &phases.at(timing.b));
    m.output("add_slot", &m.or(&addends, &sum_slot));
    m.output("add_slot_skip", &m.or(&addends, &first));
    m.output("add_slot_last", &end);
    phases
}

/// Addresses of a and b in turn.
fn addresses(m: &Module, begin: &Net, phases: &Phases<'_>, architecture: &Architecture) {
    let bits = address_bits(architecture);
    let [base_a, base_b] = ["in_base", "row_stride"].map(|base| low_bits(m, &m.field(base), bits));
    let read = Latencies::new(architecture).address;
    if architecture.compact {
        let take = m.or(&phases.at(read), &phases.at(read + phases.timing.b));
        let changes = m.or(begin, &take);
        let [this, other] = ["word", "other_word"].map(|name| m.register(name, bits));
        m.clocked_enable(&this, &m.mux(begin, &base_a, &other), &changes);
        m.clocked_enable(
            &other,
            &m.mux(begin, &base_b, &m.increment(&this)),
            &changes,
        );
        m.output("elementwise_address", &this);
        m.output("elementwise_select", &phases.active);
        return;
    }
    let address = m.register("address", bits);
    let take_a = phases.at(read - 1);
    let take_b = phases.at(read - 1 + phases.timing.b);
    let word = |name: &str, base: &Net, take: &Net| {
        let word = m.register(name, bits);
        let next = m.mux(begin, base, &m.increment(&word));
        m.clocked_enable(&word, &next, &m.or(begin, take));
        word
    };
    let a = word("word_a", &base_a, &take_a);
    let b = word("word_b", &base_b, &take_b);
    m.clocked_enable(&address, &m.mux(&take_a, &a, &b), &m.or(&take_a, &take_b));
    m.output("elementwise_address", &address);
    m.output("elementwise_select", &phases.active);
}

/// The values of all columns.
fn values(m: &Module, architecture: &Architecture, phases: &Phases<'_>) {
    let columns = architecture.columns;
    let after = Latencies::new(architecture);
    let AddTiming { b, sum, .. } = phases.timing;
    let read_data = m.input("read_data", 8 * QUAD * columns);
    let scaled = m.input("scaled", ADD_VALUE_BITS * columns);
    let rounds = m.input("scaled_round", columns);
    // All of them a cycle early: each column has its own register.
    let loads = [after.data - 2, after.data - 2 + b].map(|cycle| phases.at(cycle));
    let load = m.registered_reset("load", &m.or(&loads[0], &loads[1]));
    let sums_leave = phases.window("sums_leave", &phases.at(sum), after.value - 1);
    let a_returns = phases.window("a_returns", &phases.at(0), after.scaled - 1);
    let b_returns = phases.window("b_returns", &phases.at(b), after.scaled - 1);
    let moves = m.any(&[&sums_leave, &a_returns, &b_returns]);
    let unit = column();
    let values: Vec<Net> = (0..columns)
        .map(|column| {
            let ports = [
                ("load", &load),
                ("sums_leave", &sums_leave),
                ("b_returns", &b_returns),
                ("moves", &moves),
                ("read", &m.slice(&read_data, 8 * QUAD * column, 8 * QUAD)),
                (
                    "scaled",
                    &m.slice(&scaled, ADD_VALUE_BITS * column, ADD_VALUE_BITS),
                ),
                ("round", &m.bit(&rounds, column)),
            ];
            let outputs = m.instance(&format!("column_{column}"), &unit, &ports);
            outputs.get("value").clone()
        })
        .collect();
    m.output("add_value", &m.concat(&values.iter().collect::<Vec<_>>()));
}

/// A column: the word whose bytes are scaled, and the ring of scaled addends. `load`, `sums_leave`, `b_returns` and `moves` come
/// a cycle before they count; the module keeps its hierarchy so that synthesis does not merge their registers.
fn column() -> Module {
    let module = Module::new("elementwise_column");
    module.attribute("keep_hierarchy");
    let m = &module;
    let held = |name: &str| m.registered_reset(&format!("{name}_held"), &m.input(name, 1));
    let [load, sums_leave, b_returns, moves] =
        ["load", "sums_leave", "b_returns", "moves"].map(held);
    let word = m.register("word", 8 * QUAD);
    let next = m.mux(&load, &m.input("read", 8 * QUAD), &m.shift_right(&word, 8));
    // Zeros follow.
    m.clocked(&word, &next);

    let ring = m.register("ring", ADD_VALUE_BITS * QUAD);
    let oldest = m.truncate(&ring, ADD_VALUE_BITS);
    let scaled = m.input("scaled", ADD_VALUE_BITS);
    let sum = round_up(
        m,
        &scaled,
        &m.gate(&oldest, &b_returns),
        &m.input("round", 1),
    );
    let younger = m.slice(&ring, ADD_VALUE_BITS, ADD_VALUE_BITS * (QUAD - 1));
    m.clocked_enable(&ring, &m.concat(&[&younger, &sum]), &moves);

    let byte = m.truncate(&word, 8);
    let above = m.literal(0, ADD_VALUE_BITS - ADDEND_SHIFT - 8);
    let addend = m.concat(&[&m.literal(0, ADDEND_SHIFT), &byte, &above]);
    m.output("value", &m.or(&addend, &m.gate(&oldest, &sums_leave)));
    module
}

/// `a + b + carry`.
fn round_up(m: &Module, a: &Net, b: &Net, carry: &Net) -> Net {
    let sum = m.add(&m.concat(&[&m.literal(1, 1), a]), &m.concat(&[carry, b]));
    m.unused(&m.bit(&sum, 0));
    m.slice(&sum, 1, ADD_VALUE_BITS)
}

const _: () = assert!(ADD_START == 1);
