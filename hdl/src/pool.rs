//! Pool: maximum or sum of every byte over a window, for every column.
//!
//! Takes the words that fetch puts on `x_bus` for MaxPool and AveragePool (any other opcode: no `pool_valid` comes).
//! When a window's last word is there a slot starts in the drain unit, and byte by byte the results go to the posts
//! of way 0.
//!
//! | port | bits | |
//! |---|--:|---|
//! | `opcode`, `two_passes` | 4, 1 | descriptor fields |
//! | `x_bus` | 32 x columns | words, column 0 lowest |
//! | `pool_valid`, `pool_pass` | 1 | a word; column c takes it in pass `two_passes ? floor(2c / columns) : 0` |
//! | `pool_first` | 1 | the window's first tap |
//! | `pool_last`, `pool_end` | 1 | the window's last tap (all passes), the descriptor's last word; where there is a `timing::pool_slot_lead`, early by it, and `pool_last` only for the window's very last word |
//! | `pool_slot`, `pool_slot_last` | 1, out | `pool_slot_lead` before the window's last word |
//! | `pool_value` | 18 x columns, out | byte i of a window in the cycle `pool_slot + slot_to_value + i`, else 0 |
//!
//! A word a cycle; windows (first word to first word) at least 4 cycles apart and of at most 1024 taps. Reset ends the
//! slots, and the values are 0 from 8 cycles later on; `pool_valid` is fetch's.
//!
//! ```text
//! clock        _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_   four taps, no lead
//! x_bus        X 0 X 1 X 2 X 3 X
//! pool_first   /~~~\____________
//! pool_slot    ____________/~~~\____________________
//! pool_value   0                       X b0X b1X b2X b3X 0     (pool_slot + 5)
//! ```

use crate::{
    apart,
    builder::{Module, Net},
    post::POOL_VALUE_BITS,
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    descriptor::Opcode,
    timing::{POOL_RESULT_LATENCY, POOL_WINDOW_CYCLES_MIN, pool_slot_lead, slot_to_value},
};

/// From the last word to the results in the register that sends them; on a large die every column takes word and controls through
/// registers of its own.
fn result_latency(architecture: &Architecture) -> usize {
    POOL_RESULT_LATENCY + usize::from(architecture.is_wide())
}

/// What every byte lane of a column needs to know.
struct Controls {
    maximum: Net,
    /// The word is the column's.
    take: Net,
    first: Net,
}

/// The unit as a module.
#[must_use]
pub fn pool(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "pool");
    let m = &module;
    let opcode = m.field("opcode");
    let maximum = m.equals(&opcode, Opcode::MaxPool as u64);
    let maximum = m.registered("maximum", &maximum);
    let two_passes = m.registered("two_passes_held", &m.field("two_passes"));
    let x_bus = m.input("x_bus", 8 * QUAD * architecture.columns);
    let valid = m.input("pool_valid", 1);
    let pass = m.input("pool_pass", 1);
    let first = m.input("pool_first", 1);
    let last_pass = m.equal(&pass, &two_passes);
    let last = m.input("pool_last", 1);
    let lead = pool_slot_lead(architecture);
    let slot = if lead > 0 {
        if architecture.columns == 1 {
            m.unused(&last_pass);
        }
        last
    } else {
        m.all(&[&valid, &last, &last_pass])
    };
    m.output("pool_slot", &slot);
    m.output("pool_slot_last", &m.input("pool_end", 1));
    let load = m.delayed_reset("load", &slot, 1 + lead);

    let early = m.not(&pass);
    let values: Vec<Net> = (0..architecture.columns)
        .map(|column| {
            // The second half of the columns waits for the second pass.
            let late = 2 * column / architecture.columns == 1;
            let own = if late { &last_pass } else { &early };
            let nets = [
                &m.slice(&x_bus, 8 * QUAD * column, 8 * QUAD),
                &maximum,
                &m.and(&valid, own),
                &first,
                &load,
            ];
            let name = format!("column_{column}");
            let [word, maximum, take, first, load] = apart::near(m, architecture, &name, nets);
            let controls = Controls {
                maximum,
                take,
                first,
            };
            let lanes: Vec<Net> = (0..QUAD)
                .map(|lane| {
                    let byte = m.slice(&word, 8 * lane, 8);
                    accumulate(m, &format!("result_{column}_{lane}"), &controls, &byte)
                })
                .collect();
            send(m, architecture, column, &load, &lanes)
        })
        .collect();
    m.output("pool_value", &m.concat(&values.iter().collect::<Vec<_>>()));
    module
}

/// Maximum or sum of the bytes since the first one.
fn accumulate(m: &Module, name: &str, controls: &Controls, byte: &Net) -> Net {
    let result = m.register(name, POOL_VALUE_BITS);
    let byte = m.zero_extend(byte, POOL_VALUE_BITS);
    // result + byte, or result - byte - 1, which is negative if the byte is no smaller.
    let sum = m.add_complement(&result, &byte, &controls.maximum);
    let replace = m.and(&controls.maximum, &m.sign(&sum));
    let replace = m.or(&controls.first, &replace);
    let keep = m.and(&controls.maximum, &m.not(&replace));
    let next = m.mux(&m.or(&controls.first, &controls.maximum), &byte, &sum);
    m.clocked_enable(&result, &next, &m.and(&controls.take, &m.not(&keep)));
    result
}

/// Sends a column's results one after another, zeros after them.
fn send(m: &Module, architecture: &Architecture, column: usize, load: &Net, lanes: &[Net]) -> Net {
    let all = m.concat(&lanes.iter().collect::<Vec<_>>());
    let held = m.register(&format!("held_{column}"), all.width());
    let next = m.mux(load, &all, &m.shift_right(&held, POOL_VALUE_BITS));
    m.clocked(&held, &next);
    let value = m.truncate(&held, POOL_VALUE_BITS);
    m.delayed(
        &format!("value_{column}"),
        &value,
        slot_to_value(architecture) - result_latency(architecture) - pool_slot_lead(architecture),
    )
}

const _: () = assert!(POOL_WINDOW_CYCLES_MIN >= QUAD);
