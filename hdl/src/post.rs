//! Post: from the drained values of one way and column to output bytes.
//!
//! v is formed as [`bitweft_isa::record`] says and requantized (`requantizer.rs`). In the slot of the sum of inputs every row's X is
//! stored; in the slot of a filter it is subtracted again. A post of way 0 also takes the values of the pool and elementwise units:
//! at most one of `drain_data`, `pool_value` and `add_value` is not zero.
//!
//! A value is at the post in cycle t. Inputs that belong to it are taken later:
//!
//! | port | bits | cycle | |
//! |---|--:|---|---|
//! | `drain_data` | `accumulator_bits` | t | accumulator of row `row`, two's complement |
//! | `pool_value`, `add_value` | 18, 32 | t | way 0 only: unsigned, two's complement |
//! | `x_store` | 1 | t | `drain_data` is X of `row`: store it |
//! | `x_clear` | 1 | t | subtract 0, not the row's X |
//! | `row` | log2 `rows_per_way` | t | unless `compact`: row in the way |
//! | `next_row` | 1 | t | if `compact`, instead: a value of the row after that of the last such value, the way's first after its last |
//! | `bias` | 34 | t + [`POST_BIAS`] | |
//! | `halve`, `left` | 1, 4 | t + [`POST_HALVE`] | halve: v is half of the biased difference |
//! | `mantissa`, `right` | 31, 6 | t + [`POST_SCALE`] | |
//! | `rounding_double`, `out_zero`, `clamp_low`, `clamp_high` | 1, 8, 8, 8 | steady | |
//! | `scaled`, `scaled_round` | 32, 1, out | t + `timing::post_scaled_latency` | way 0 only: y = scaled + scaled_round |
//! | `output_byte` | 8, out | t + `timing::post_latency` | |
//!
//! One value a cycle, nothing waits; no reset (no control). X read less than a cycle after it was stored is undefined.
//!
//! ```text
//! clock        _/~\_/~\_/~\_/~\_/~\_ ... _/~\_/~\_
//! drain_data   X H X
//! row          X r X
//! bias                 X b X
//! halve, left              X h X
//! mantissa                     X m X
//! scaled                                 X y X        t + 11
//! output_byte                                    X y X   t + 13
//! ```

use crate::{
    builder::{Module, Net},
    memory::{Memory, MemoryPorts},
    requantizer::requantizer,
};
use bitweft_isa::{
    architecture::Architecture,
    record::BIAS_BITS,
    timing::{POST_BIAS, POST_HALVE, POST_SCALE, REQUANTIZER_LATENCY, SCALED_LATENCY},
};

/// Bits of `pool_value`: the sum of 1024 bytes.
pub const POOL_VALUE_BITS: usize = 18;
/// Bits of `add_value`.
pub const ADD_VALUE_BITS: usize = 32;
/// Bits of the difference that the bias is added to.
const DIFFERENCE_BITS: usize = 33;

/// What the drain unit sends along with the values of a way.
#[must_use]
pub fn per_way(architecture: &Architecture) -> [&'static str; 8] {
    let row = if architecture.compact {
        "next_row"
    } else {
        "row"
    };
    [
        "x_store", "x_clear", "halve", row, "bias", "mantissa", "left", "right",
    ]
}

/// Bits of a row number in a way.
#[must_use]
pub fn row_bits(architecture: &Architecture) -> usize {
    architecture.rows_per_way().trailing_zeros() as usize
}

/// The post of way `way` as a module.
#[must_use]
pub fn post(architecture: &Architecture, way: usize) -> Module {
    let direct = way == 0;
    let module = Module::new(if direct { "post" } else { "post_drain" });
    let m = &module;
    m.attribute("keep_hierarchy");
    let data = taken(m, architecture, "drain_data", architecture.accumulator_bits);
    let value = value(m, architecture, &data, direct);
    let difference = if architecture.compact {
        difference_of_turns(m, architecture, &data, &value)
    } else {
        let sum_of_inputs = sum_of_inputs(m, architecture, &data);
        m.subtract(
            &m.sign_extend(&value, DIFFERENCE_BITS),
            &m.sign_extend(&sum_of_inputs, DIFFERENCE_BITS),
        )
    };
    let difference = m.registered("difference", &difference);
    let bias = taken(m, architecture, "bias", BIAS_BITS);
    let biased = m.add(&m.sign_extend(&difference, BIAS_BITS), &bias);
    let biased = m.registered("biased", &biased);
    let halve = taken(m, architecture, "halve", 1);
    let v = m.mux(&halve, &m.slice(&biased, 1, 32), &m.truncate(&biased, 32));
    m.unused(&m.sign(&biased));

    let names = [
        ("mantissa", 31),
        ("left", 4),
        ("right", 6),
        ("rounding_double", 1),
        ("out_zero", 8),
        ("clamp_low", 8),
        ("clamp_high", 8),
    ];
    let inputs: Vec<(&str, Net)> = names
        .iter()
        .map(|&(name, bits)| (name, taken(m, architecture, name, bits)))
        .collect();
    let mut ports: Vec<(&str, &Net)> = inputs.iter().map(|(name, net)| (*name, net)).collect();
    ports.push(("value", &v));
    let scaled = m.instance("requantize", &requantizer(architecture.compact), &ports);
    for name in ["scaled", "scaled_round"] {
        if direct {
            m.output(name, scaled.get(name));
        } else {
            m.unused(scaled.get(name));
        }
    }
    m.output("output_byte", scaled.get("output_byte"));
    module
}

/// An input, registered unless `compact`: it comes from the middle of the die, for all posts at once. The module keeps its hierarchy so that
/// synthesis does not merge the registers of several posts.
fn taken(m: &Module, architecture: &Architecture, name: &str, bits: usize) -> Net {
    let input = m.input(name, bits);
    if architecture.compact {
        return input;
    }
    m.registered(&format!("{name}_in"), &input)
}

/// The value, a cycle later, sign-extended.
fn value(m: &Module, architecture: &Architecture, data: &Net, direct: bool) -> Net {
    if !direct {
        return m.registered("value", data);
    }
    let pool = m.zero_extend(
        &taken(m, architecture, "pool_value", POOL_VALUE_BITS),
        ADD_VALUE_BITS,
    );
    let add = taken(m, architecture, "add_value", ADD_VALUE_BITS);
    let data = m.sign_extend(data, ADD_VALUE_BITS);
    m.registered("value", &m.any(&[&data, &pool, &add]))
}

/// What to subtract, a cycle later.
fn sum_of_inputs(m: &Module, architecture: &Architecture, data: &Net) -> Net {
    let store = taken(m, architecture, "x_store", 1);
    let row = taken(m, architecture, "row", row_bits(architecture));
    let memory = Memory {
        storage: architecture.small_storage,
        width: data.width(),
        depth: architecture.rows_per_way(),
        latency: 1,
    };
    let ports = MemoryPorts {
        write_enable: &store,
        write_address: &row,
        write_data: data,
        read_address: &row,
    };
    let x = memory.instance(m, "sums", &ports);
    let clear = m.registered("cleared", &taken(m, architecture, "x_clear", 1));
    m.gate(&x, &m.not(&clear))
}

/// The value less what is to be subtracted, of the value's cycle. The rows take turns: their X go round in a ring of registers, complemented.
fn difference_of_turns(m: &Module, architecture: &Architecture, data: &Net, value: &Net) -> Net {
    let store = m.input("x_store", 1);
    let next_row = m.input("next_row", 1);
    let rows = architecture.rows_per_way();
    let ring: Vec<Net> = (0..rows)
        .map(|turn| m.register(&format!("complement_{turn}"), data.width()))
        .collect();
    let newest = m.mux(&store, &m.not(data), &ring[rows - 1]);
    for (turn, register) in ring.iter().enumerate() {
        let last = if turn == 0 { &newest } else { &ring[turn - 1] };
        m.clocked_enable(register, last, &next_row);
    }
    let clear = m.registered("cleared", &m.input("x_clear", 1));
    // The lowest bit of both operands makes the carry of the subtraction.
    let operand = |net: &Net| {
        let net = m.sign_extend(net, DIFFERENCE_BITS);
        m.concat(&[&m.literal(1, 1), &net])
    };
    let sum = m.add_gated(&operand(value), &operand(&ring[0]), &m.not(&clear));
    m.unused(&m.bit(&sum, 0));
    m.slice(&sum, 1, DIFFERENCE_BITS)
}

const _: () = assert!(POST_BIAS == 2 && POST_HALVE == 3 && POST_SCALE == 4);
const _: () = assert!(SCALED_LATENCY < REQUANTIZER_LATENCY);
