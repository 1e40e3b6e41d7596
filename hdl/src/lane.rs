//! Lane: one output pixel. Captures activations, computes a dot product a plane, folds planes most significant first
//! (Horner), and adds each filter's result to its accumulator.
//!
//! | port | bits | cycle | |
//! |---|---|---|---|
//! | `x_word` | 32 x `access_words` | c | the word or words to take (table lanes) |
//! | `capture` | 1, or 4 | c | to take them; with `fill_words` = 4 strobe i takes word i of [`crate::dot`]'s `captured`, the even ones from `x_bus`, the odd ones from `x_bus_odd` |
//! | `x_word` | 32 | c + 1 | the word, in the cycle of `fill_select` (plain lanes) |
//! | fill controls | | from c + 1 | [`crate::dot`], aligned |
//! | plane controls | | from p | [`crate::dot`], aligned |
//! | `horner_first`, `horner_sign` | 1 | p + D | `h <= (first ? 0 : 2h) + (sum ^ sign)` |
//! | `accumulator_read_address` | | p + D - 1 | accumulator to add to, or to drain |
//! | `accumulator` | bits, out | p + D + 1 | what was read |
//! | `accumulator_write_enable`, `_write_address` | | p + D + 1 | write the sum of h and ... |
//! | `accumulator_keep` | 1 | p + D + 1 | ... what was read, or 0 |
//!
//! p: a filter's last plane, D: `timing::dot_latency`. The sum is written at the end of the cycle of
//! `accumulator_write_enable`: a read address `timing::ACCUMULATOR_UPDATE_LATENCY` cycles after that of an addition reads
//! the sum, one cycle earlier an undefined value, before that the old one. A first chunk reads nothing, so that the drain
//! may read in its place. No reset: the strobes have one.
//!
//! ```text
//! clock                     _/~\_/~\_/~\_/~\_/~\_/~\_
//! sum (last plane)                  X t X
//! accumulator_read_address      X a X       X a X       (the second reads A + h)
//! h                                     X h X
//! accumulator                           X A X
//! accumulator_write_enable  ____________/~~~\________
//! ```

use crate::{
    builder::{Module, Net},
    dot,
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    FILTER_BITS_MAX,
    architecture::{Architecture, LaneKind},
    timing::fill_turns,
};

/// Inputs that a lane has besides its dot unit's.
pub(crate) const ACCUMULATOR_INPUTS: [&str; 6] = [
    "horner_first",
    "horner_sign",
    "accumulator_read_address",
    "accumulator_keep",
    "accumulator_write_enable",
    "accumulator_write_address",
];

/// Bits of an accumulator's address.
#[must_use]
pub fn address_bits(architecture: &Architecture) -> usize {
    architecture.accumulator_depth.trailing_zeros() as usize
}

/// The lane; `dot_inputs` are the dot unit's controls with their widths.
pub(crate) fn build(architecture: &Architecture, dot_inputs: &[(&str, usize)]) -> Module {
    let module = Module::new("lane");
    module.attribute("keep_hierarchy");
    let word = module.input("x_word", 32 * architecture.access_words());
    let captured = match architecture.lane {
        LaneKind::Table => captured(&module, architecture, &word),
        LaneKind::Plain => word,
    };

    let controls: Vec<(&str, Net)> = dot_inputs
        .iter()
        .map(|&(name, width)| (name, module.input(name, width)))
        .collect();
    let mut ports = vec![("captured", &captured)];
    ports.extend(controls.iter().map(|(name, net)| (*name, net)));
    let unit = module.instance("dot", &dot::unit(architecture), &ports);
    let horner = horner(&module, architecture, unit.get("sum"));
    module.output("accumulator", &accumulate(&module, architecture, &horner));
    module
}

/// The words that a table lane has taken.
fn captured(module: &Module, architecture: &Architecture, word: &Net) -> Net {
    if fill_turns(architecture) == 1 {
        let captured = module.register("captured", word.width());
        module.clocked_enable(&captured, word, &module.input("capture", 1));
        return captured;
    }
    let strobes = module.input("capture", architecture.fill_words);
    let words: Vec<Net> = (0..architecture.fill_words)
        .map(|at| {
            let captured = module.register(&format!("captured_{at}"), 32);
            let word = module.slice(word, at % architecture.access_words() * 32, 32);
            module.clocked_enable(&captured, &word, &module.bit(&strobes, at));
            captured
        })
        .collect();
    module.concat(&words.iter().collect::<Vec<_>>())
}

fn horner(module: &Module, architecture: &Architecture, sum: &Net) -> Net {
    let first = module.input(ACCUMULATOR_INPUTS[0], 1);
    let sign = module.input(ACCUMULATOR_INPUTS[1], 1);
    let bits = (sum.width() + usize::from(FILTER_BITS_MAX)).min(architecture.accumulator_bits);
    let horner = module.register("horner", bits);
    let doubled = module.shift_left(&horner, 1);
    let sum = module.sign_extend(sum, bits);
    let next = match architecture.lane {
        LaneKind::Table if !architecture.compact => {
            let doubled = module.gate(&doubled, &module.not(&first));
            module.add_complement(&doubled, &sum, &sign)
        }
        // Without gates in carry cells the choice behind the adder is free, and one in front of it is not.
        _ => {
            let sum = module.xor(&sum, &module.repeat(&sign, bits));
            module.mux(&first, &sum, &module.add(&doubled, &sum))
        }
    };
    module.clocked(&horner, &next);
    horner
}

fn accumulate(module: &Module, architecture: &Architecture, horner: &Net) -> Net {
    let bits = architecture.accumulator_bits;
    let read_address = module.input(ACCUMULATOR_INPUTS[2], address_bits(architecture));
    let keep = module.input(ACCUMULATOR_INPUTS[3], 1);
    let write_enable = module.input(ACCUMULATOR_INPUTS[4], 1);
    let write_address = module.input(ACCUMULATOR_INPUTS[5], address_bits(architecture));
    let sum = module.wire("accumulator_sum", bits);
    let memory = Memory {
        storage: architecture.accumulator_storage,
        width: bits,
        depth: architecture.accumulator_depth,
        latency: 2,
    };
    let held = memory.instance(
        module,
        "accumulators",
        &MemoryPorts {
            write_enable: &write_enable,
            write_address: &write_address,
            write_data: &sum,
            read_address: &read_address,
        },
    );
    let horner = module.sign_extend(horner, bits);
    module.drive(&sum, &module.add_gated(&horner, &held, &keep));
    held
}
