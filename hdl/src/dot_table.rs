//! Dot unit by distributed arithmetic: a quad's eight sums x0 +- x1 +- x2 +- x3 in a memory of 16 words (two banks; LUTRAM where there is some), a
//! registered read, and a registered tree of adders that add or subtract.
//!
//! A plane takes one read a quad where an adder tree takes three additions. The fill computes the sums on their way
//! in, one entry a cycle: pairs in the cycle after `fill_entry`, their sum in the next, the write at the end
//! of the third. With `fill_words` = 2 there are two of these generators, one for the tables of even quads and one for those of
//! odd quads. Ports, timing and waveform: [`crate::dot`].

use crate::{
    builder::{Module, Net},
    dot::{Control, DotInputs, QUAD_BITS, aligned_signs, pair_and_quad_bits, tree},
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::architecture::Architecture;

pub(crate) fn controls(
    module: &Module,
    architecture: &Architecture,
    inputs: &DotInputs,
) -> Vec<Control> {
    let quads = architecture.quads;
    let select: Vec<Net> = selected(module, architecture, inputs)
        .iter()
        .map(|quad| module.and(quad, &inputs.fill_enable))
        .collect();
    let select = module.concat(&select.iter().collect::<Vec<_>>());
    let entry = &inputs.fill_entry;
    let address = module.concat(&[entry, &inputs.fill_bank]);
    vec![
        Control::data("fill_sign_pairs", module.truncate(entry, 2)),
        Control::data(
            "fill_sign_quad",
            module.registered("fill_sign_quad", &module.bit(entry, 2)),
        ),
        Control::data("fill_address", module.delayed("fill_address", &address, 2)),
        Control::strobe(
            "fill_select",
            module.delayed_reset("fill_select", &select, 2),
        ),
        Control::data(
            "plane_address",
            module.truncate(&inputs.plane_word, 3 * quads),
        ),
        Control::data("plane_bank", inputs.plane_bank.clone()),
        Control::data("plane_signs", aligned_signs(module, &inputs.plane_word, 1)),
    ]
}

/// For every quad: it is the one that is filled, or one of the pair.
fn selected(module: &Module, architecture: &Architecture, inputs: &DotInputs) -> Vec<Net> {
    let quads = architecture.quads;
    if architecture.fill_words == 1 {
        return module.decode(&inputs.fill_quad, quads);
    }
    let odd = module.bit(&inputs.fill_quad, 0);
    let halves = [module.not(&odd), odd].map(|half| module.or(&inputs.paired, &half));
    let above = module.slice(&inputs.fill_quad, 1, QUAD_BITS - 1);
    let pairs = module.decode(&above, quads / 2);
    (0..quads)
        .map(|quad| module.and(&pairs[quad / 2], &halves[quad % 2]))
        .collect()
}

pub(crate) fn unit(architecture: &Architecture) -> Module {
    let quads = architecture.quads;
    let module = Module::new("dot_table");
    let captured = module.input("captured", 32 * architecture.fill_words);
    let sign_pairs = module.input("fill_sign_pairs", 2);
    let sign_quad = module.input("fill_sign_quad", 1);
    let fill_address = module.input("fill_address", 4);
    let fill_select = module.input("fill_select", quads);
    let plane_address = module.input("plane_address", 3 * quads);
    let plane_bank = module.input("plane_bank", 1);
    let signs = module.input("plane_signs", quads - 1);

    let entries: Vec<Net> = ["", "_odd"][..architecture.fill_words]
        .iter()
        .enumerate()
        .map(|(index, suffix)| {
            let word = module.slice(&captured, 32 * index, 32);
            entry(&module, suffix, &word, &sign_pairs, &sign_quad)
        })
        .collect();

    let table = Memory {
        storage: architecture.small_storage,
        width: pair_and_quad_bits().1,
        depth: 16,
        latency: 1,
    };
    let sums = (0..quads)
        .map(|quad| {
            let ports = MemoryPorts {
                write_enable: &module.bit(&fill_select, quad),
                write_address: &fill_address,
                write_data: &entries[quad % entries.len()],
                read_address: &module
                    .concat(&[&module.slice(&plane_address, 3 * quad, 3), &plane_bank]),
            };
            table.instance(&module, &format!("table_{quad}"), &ports)
        })
        .collect();
    module.output("sum", &tree(&module, sums, &signs));
    module
}

/// One entry a cycle of a word's table, two cycles after its signs' first.
fn entry(module: &Module, suffix: &str, word: &Net, sign_pairs: &Net, sign_quad: &Net) -> Net {
    let (pair_bits, quad_bits) = pair_and_quad_bits();
    let pair = |at: usize| {
        let first = module.sign_extend(&module.slice(word, 16 * at, 8), pair_bits);
        let second = module.sign_extend(&module.slice(word, 16 * at + 8, 8), pair_bits);
        let sum = module.add_complement(&first, &second, &module.bit(sign_pairs, at));
        let sum = module.registered(&format!("fill_pair_{at}{suffix}"), &sum);
        module.sign_extend(&sum, quad_bits)
    };
    let sum = module.add_complement(&pair(0), &pair(1), sign_quad);
    module.registered(&format!("fill_data{suffix}"), &sum)
}
