//! Dot unit for FPGAs without LUTRAM: activations in two banks of flip-flops, and registered adders from the pairs of
//! activations up. The same function, bit for bit, as [`crate::dot_table`], one cycle later.
//!
//! A quad's word enters its bank with `fill_entry` 0. Ports, timing and waveform: [`crate::dot`].
//!
//! An operand is complemented behind the adder that it comes from, hence a cycle before it is added: there the look-up table of a carry
//! cell has an input to spare, in front of the next adder it takes one more.

use crate::{
    builder::{Module, Net},
    dot::{Control, DotInputs, Range, aligned_signs, pair_and_quad_bits},
};
use bitweft_isa::architecture::Architecture;

const BANKS: usize = 2;

pub(crate) fn controls(
    module: &Module,
    architecture: &Architecture,
    inputs: &DotInputs,
) -> Vec<Control> {
    let quads = architecture.quads;
    let now = module.and(&inputs.fill_enable, &module.equals(&inputs.fill_entry, 0));
    let decoded = module.decode(&inputs.fill_quad, quads);
    let banks = [module.not(&inputs.fill_bank), inputs.fill_bank.clone()];
    let select: Vec<Net> = banks
        .iter()
        .flat_map(|bank| decoded.iter().map(move |quad| (bank, quad)))
        .map(|(bank, quad)| module.all(&[&now, bank, quad]))
        .collect();
    let select = module.concat(&select.iter().collect::<Vec<_>>());
    let relative = |offsets: &[usize]| {
        let bits: Vec<Net> = (0..quads)
            .flat_map(|quad| offsets.iter().map(move |offset| 3 * quad + offset))
            .map(|at| module.bit(&inputs.plane_word, at))
            .collect();
        module.concat(&bits.iter().collect::<Vec<_>>())
    };
    vec![
        Control::strobe("fill_select", select),
        Control::data("plane_sign_pairs", relative(&[0, 1])),
        Control::data("plane_sign_quads", relative(&[2])),
        Control::data("plane_bank", inputs.plane_bank.clone()),
        Control::data("plane_signs", aligned_signs(module, &inputs.plane_word, 1)),
    ]
}

pub(crate) fn unit(architecture: &Architecture) -> Module {
    let quads = architecture.quads;
    let module = Module::new("dot_plain");
    let captured = module.input("captured", 32);
    let fill_select = module.input("fill_select", BANKS * quads);
    let sign_pairs = module.input("plane_sign_pairs", 2 * quads);
    let sign_quads = module.input("plane_sign_quads", quads);
    let plane_bank = module.input("plane_bank", 1);
    let signs = module.input("plane_signs", quads - 1);

    let (pair_bits, quad_bits) = pair_and_quad_bits();
    let sums = (0..quads)
        .map(|quad| {
            let held: Vec<Net> = (0..BANKS)
                .map(|bank| {
                    let word = module.register(&format!("held_{bank}_{quad}"), 32);
                    let select = module.bit(&fill_select, bank * quads + quad);
                    module.clocked_enable(&word, &captured, &select);
                    word
                })
                .collect();
            let active = module.mux(&plane_bank, &held[1], &held[0]);
            let pair = |at: usize| {
                let first = module.sign_extend(&module.slice(&active, 16 * at, 8), pair_bits);
                let second = module.sign_extend(&module.slice(&active, 16 * at + 8, 8), pair_bits);
                let sign = module.bit(&sign_pairs, 2 * quad + at);
                let sum = module.add_complement(&first, &second, &sign);
                (format!("pair_{quad}_{at}"), sum)
            };
            let sign = module.bit(&sign_quads, quad);
            let sum = sum(&module, pair(0), pair(1), &sign, quad_bits);
            (format!("quad_{quad}"), sum, Range::quad())
        })
        .collect();
    module.output("sum", &tree(&module, sums, &signs));
    module
}

/// `left + (right ^ sign)` of two named sums of the cycle before; `sign` is of that cycle.
fn sum(m: &Module, left: (String, Net), right: (String, Net), sign: &Net, bits: usize) -> Net {
    let complemented = m.xor(&right.1, &m.repeat(sign, right.1.width()));
    let left = m.registered(&left.0, &left.1);
    let right = m.registered(&right.0, &complemented);
    m.add(&m.sign_extend(&left, bits), &m.sign_extend(&right, bits))
}

/// The registered tree over the quads' sums; `signs` as from [`aligned_signs`], a cycle before they are added.
fn tree(m: &Module, mut level: Vec<(String, Net, Range)>, signs: &Net) -> Net {
    let mut sign = 0;
    let mut depth = 0;
    while level.len() > 1 {
        depth += 1;
        let mut next = Vec::with_capacity(level.len().div_ceil(2));
        let mut nodes = level.into_iter().enumerate();
        while let Some((index, (name, left, left_range))) = nodes.next() {
            let parent = format!("sum_{depth}_{}", index / 2);
            let Some((_, (right_name, right, right_range))) = nodes.next() else {
                next.push((parent, m.registered(&name, &left), left_range));
                break;
            };
            let range = Range::sum(left_range, right_range);
            let flag = m.bit(signs, sign);
            sign += 1;
            let total = sum(m, (name, left), (right_name, right), &flag, range.bits());
            next.push((parent, total, range));
        }
        level = next;
    }
    let (name, root, _) = level.swap_remove(0);
    m.registered(&name, &root)
}
