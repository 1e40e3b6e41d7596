//! Dot unit for FPGAs without LUTRAM: activations in two banks of flip-flops, and registered adders from the pairs of
//! activations up. The same function, bit for bit, as [`crate::dot_table`], one cycle later.
//!
//! A quad's word enters its bank with `fill_entry` 0. Ports, timing and waveform: [`crate::dot`].

use crate::{
    builder::{Module, Net},
    dot::{Control, DotInputs, aligned_signs, pair_and_quad_bits, tree},
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
        Control::data(
            "plane_sign_quads",
            module.registered("plane_sign_quads", &relative(&[2])),
        ),
        Control::data("plane_bank", inputs.plane_bank.clone()),
        Control::data("plane_signs", aligned_signs(module, &inputs.plane_word, 2)),
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
                let sum = module.registered(&format!("pair_{quad}_{at}"), &sum);
                module.sign_extend(&sum, quad_bits)
            };
            let sum = module.add_complement(&pair(0), &pair(1), &module.bit(&sign_quads, quad));
            module.registered(&format!("quad_{quad}"), &sum)
        })
        .collect();
    module.output("sum", &tree(&module, sums, &signs));
    module
}
