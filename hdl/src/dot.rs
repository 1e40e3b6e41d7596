//! What both dot units share: their inputs, the tree of registered adders, and the controls that a row of lanes
//! uses together.
//!
//! A dot unit holds two banks of K = 4 x `quads` activations and computes `plane::dot` of a plane word and a bank, one
//! plane a cycle. Activations are signed bytes (`plane::input`). [`build`] makes a unit with controls of its own:
//!
//! | port | bits | |
//! |---|---|---|
//! | `captured` | 32 x `fill_words` | four bytes of activations, lowest first; with W = `fill_words` > 1 that of quad g is word g mod W |
//! | `paired` | 1 | `fill_words` > 1: quads `fill_quad` (even) and the one after it are filled; else `fill_quad` alone (with two words, which are then equal) |
//! | `fill_enable` | 1 | fill in progress: 8 cycles a quad, its word of `captured` stable |
//! | `fill_quad` | 5, 6 above 32 quads | quad that is filled |
//! | `fill_entry` | 3 | 0 to 7 in these 8 cycles |
//! | `fill_bank` | 1 | bank filled |
//! | `plane_word` | K | `isa::plane` |
//! | `plane_bank` | 1 | bank read |
//! | `sum` | | `dot` without the root's sign, `timing::dot_latency` cycles after `plane_word` |
//!
//! With `fill_words` = 4 `fill_enable` is there for entries 0 to 3 only. Entries 4 to 7 follow by themselves, four cycles later,
//! with the same `fill_bank`, while `fill_enable` may be there for a quad of another word of `captured`.
//!
//! A plane may read a bank `timing::TABLE_WRITE_LATENCY` cycles after its last entry, and the next fill may start in the
//! cycle of the last plane that reads it. No reset but on the write strobes.
//!
//! ```text
//! clock        _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_
//! captured     X four activations of quad g    X
//! fill_enable  /~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\_________________
//! fill_entry   X 0 X 1 X 2 X 3 X 4 X 5 X 6 X 7 X
//! plane_word   (quad g = the last)                     X a X b X
//! sum          (quads = 2, table: two cycles later)            X dot a X dot b
//! ```

use crate::{
    builder::{Module, Net},
    dot_plain, dot_table,
};
use bitweft_isa::{
    architecture::{Architecture, LaneKind},
    timing::TABLE_ENTRIES,
};

/// Bits of a table entry's number.
pub(crate) const ENTRY_BITS: usize = TABLE_ENTRIES.trailing_zeros() as usize;

/// Bits of a quad's number.
#[must_use]
pub fn quad_bits(architecture: &Architecture) -> usize {
    if architecture.quads > 32 { 6 } else { 5 }
}

/// A control that a row's lanes share, aligned with its use.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) name: &'static str,
    pub(crate) net: Net,
    /// Cleared by reset.
    pub(crate) reset: bool,
}

impl Control {
    pub(crate) fn data(name: &'static str, net: Net) -> Self {
        Self {
            name,
            net,
            reset: false,
        }
    }

    pub(crate) fn strobe(name: &'static str, net: Net) -> Self {
        Self {
            name,
            net,
            reset: true,
        }
    }
}

/// The control inputs of a dot unit, before alignment.
pub(crate) struct DotInputs {
    pub(crate) fill_enable: Net,
    pub(crate) paired: Net,
    pub(crate) fill_quad: Net,
    pub(crate) fill_entry: Net,
    pub(crate) fill_bank: Net,
    pub(crate) plane_word: Net,
    pub(crate) plane_bank: Net,
}

impl DotInputs {
    /// Declares them as inputs.
    pub(crate) fn declare(module: &Module, architecture: &Architecture) -> Self {
        Self {
            fill_enable: module.input("fill_enable", 1),
            paired: module.field("paired"),
            fill_quad: module.input("fill_quad", quad_bits(architecture)),
            fill_entry: module.input("fill_entry", ENTRY_BITS),
            fill_bank: module.input("fill_bank", 1),
            plane_word: module.input("plane_word", architecture.inputs()),
            plane_bank: module.input("plane_bank", 1),
        }
    }
}

/// Delays and decodes the inputs of the dot units of a row once for all of them. The word's top bit, the root's sign, is
/// left to the Horner step.
pub(crate) fn controls(
    module: &Module,
    architecture: &Architecture,
    inputs: &DotInputs,
) -> Vec<Control> {
    module.unused(&module.sign(&inputs.plane_word));
    if architecture.fill_words == 1 {
        module.unused(&inputs.paired);
    }
    match architecture.lane {
        LaneKind::Table => dot_table::controls(module, architecture, inputs),
        LaneKind::Plain => dot_plain::controls(module, architecture, inputs),
    }
}

/// The dot unit behind aligned controls: inputs `captured` and one a control, output `sum`.
pub(crate) fn unit(architecture: &Architecture) -> Module {
    match architecture.lane {
        LaneKind::Table => dot_table::unit(architecture),
        LaneKind::Plain => dot_plain::unit(architecture),
    }
}

/// Bits of `sum`.
#[must_use]
pub fn sum_bits(architecture: &Architecture) -> usize {
    let mut level = vec![Range::quad(); architecture.quads];
    while level.len() > 1 {
        level = level.chunks(2).map(Range::of_pair).collect();
    }
    level[0].bits()
}

/// Words of activation bytes as inputs of the array (`plane::input`).
pub(crate) fn signed(module: &Module, word: &Net) -> Net {
    let parts: Vec<Net> = (0..word.width() / 8)
        .flat_map(|byte| {
            let sign = module.not(&module.bit(word, 8 * byte + 7));
            [module.slice(word, 8 * byte, 7), sign]
        })
        .collect();
    module.concat(&parts.iter().collect::<Vec<_>>())
}

/// A dot unit with controls of its own.
#[must_use]
pub fn build(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "dot");
    let captured = module.input("captured", 32 * architecture.fill_words);
    let captured = signed(&module, &captured);
    let inputs = DotInputs::declare(&module, architecture);
    let controls = controls(&module, architecture, &inputs);
    let mut ports = vec![("captured", &captured)];
    ports.extend(controls.iter().map(|control| (control.name, &control.net)));
    let outputs = module.instance("unit", &unit(architecture), &ports);
    module.output("sum", outputs.get("sum"));
    module
}

/// Values that a signed net can take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    low: i64,
    high: i64,
}

impl Range {
    fn byte() -> Self {
        Self {
            low: i64::from(i8::MIN),
            high: i64::from(i8::MAX),
        }
    }

    /// `left + (right ^ sign)`.
    pub(crate) fn sum(left: Self, right: Self) -> Self {
        Self {
            low: left.low + right.low.min(-right.high - 1),
            high: left.high + right.high.max(-right.low - 1),
        }
    }

    fn pair() -> Self {
        Self::sum(Self::byte(), Self::byte())
    }

    pub(crate) fn quad() -> Self {
        Self::sum(Self::pair(), Self::pair())
    }

    fn of_pair(nodes: &[Self]) -> Self {
        match nodes {
            [left, right] => Self::sum(*left, *right),
            rest => rest[0],
        }
    }

    pub(crate) fn bits(self) -> usize {
        (1..64)
            .find(|bits| self.high < 1 << (bits - 1) && self.low >= -(1_i64 << (bits - 1)))
            .unwrap_or(64)
    }
}

/// Bits of a sum of two activations, and of four.
pub(crate) fn pair_and_quad_bits() -> (usize, usize) {
    (Range::pair().bits(), Range::quad().bits())
}

/// The registered tree over the quads' sums; `signs` as from [`aligned_signs`].
pub(crate) fn tree(module: &Module, quads: Vec<Net>, signs: &Net) -> Net {
    let mut level: Vec<(Net, Range)> = quads.into_iter().map(|q| (q, Range::quad())).collect();
    let mut sign = 0;
    let mut depth = 0;
    while level.len() > 1 {
        depth += 1;
        let mut next = Vec::with_capacity(level.len().div_ceil(2));
        for (index, pair) in level.chunks(2).enumerate() {
            let name = format!("sum_{depth}_{index}");
            let node = if let [(left, left_range), (right, right_range)] = pair {
                let range = Range::sum(*left_range, *right_range);
                let left = module.sign_extend(left, range.bits());
                let right = module.sign_extend(right, range.bits());
                let sum = module.add_complement(&left, &right, &module.bit(signs, sign));
                sign += 1;
                (module.registered(&name, &sum), range)
            } else {
                (module.registered(&name, &pair[0].0), pair[0].1)
            };
            next.push(node);
        }
        level = next;
    }
    level.swap_remove(0).0
}

/// The tree's relative signs of a plane word, those of level l (from 1) delayed by `leaf_latency + l - 1` cycles.
pub(crate) fn aligned_signs(module: &Module, plane_word: &Net, leaf_latency: usize) -> Net {
    let quads = plane_word.width() / 4;
    let mut pending = module.slice(plane_word, 3 * quads, quads - 1);
    pending = module.delayed("plane_sign_leaf", &pending, leaf_latency - 1);
    let mut ready = Vec::new();
    let mut nodes = quads;
    let mut level = 0;
    while nodes > 1 {
        level += 1;
        pending = module.registered(&format!("plane_sign_{level}"), &pending);
        let pairs = nodes / 2;
        ready.push(module.truncate(&pending, pairs));
        if pending.width() > pairs {
            pending = module.slice(&pending, pairs, pending.width() - pairs);
        }
        nodes = nodes.div_ceil(2);
    }
    module.concat(&ready.iter().collect::<Vec<_>>())
}
