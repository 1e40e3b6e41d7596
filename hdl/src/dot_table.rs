//! Dot unit by distributed arithmetic: a quad's eight sums x0 +- x1 +- x2 +- x3 in a LUTRAM of 16 words (two banks), a
//! registered read, and a registered tree of adders that add or subtract.
//!
//! A plane takes one read a quad where an adder tree takes three additions. The fill computes the sums on their way
//! in, one entry a cycle: pairs in the cycle after `fill_entry`, their sum in the next, the write at the end
//! of the third. Ports, timing and waveform: [`crate::dot`].

use crate::{
    builder::{Module, Net},
    dot::{Control, DotInputs, aligned_signs, pair_and_quad_bits, tree},
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::architecture::{Architecture, Storage};

pub(crate) fn controls(
    module: &Module,
    architecture: &Architecture,
    inputs: &DotInputs,
) -> Vec<Control> {
    let quads = architecture.quads;
    let select: Vec<Net> = module
        .decode(&inputs.fill_quad, quads)
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

pub(crate) fn unit(architecture: &Architecture) -> Module {
    let quads = architecture.quads;
    let module = Module::new("dot_table");
    let captured = module.input("captured", 32);
    let sign_pairs = module.input("fill_sign_pairs", 2);
    let sign_quad = module.input("fill_sign_quad", 1);
    let fill_address = module.input("fill_address", 4);
    let fill_select = module.input("fill_select", quads);
    let plane_address = module.input("plane_address", 3 * quads);
    let plane_bank = module.input("plane_bank", 1);
    let signs = module.input("plane_signs", quads - 1);

    let (pair_bits, quad_bits) = pair_and_quad_bits();
    let pair = |name: &str, at: usize| {
        let first = module.sign_extend(&module.slice(&captured, 16 * at, 8), pair_bits);
        let second = module.sign_extend(&module.slice(&captured, 16 * at + 8, 8), pair_bits);
        let sum = module.add_complement(&first, &second, &module.bit(&sign_pairs, at));
        module.sign_extend(&module.registered(name, &sum), quad_bits)
    };
    let (low, high) = (pair("fill_pair_0", 0), pair("fill_pair_1", 1));
    let entry = module.registered("fill_data", &module.add_complement(&low, &high, &sign_quad));

    let table = Memory {
        storage: Storage::Distributed,
        width: quad_bits,
        depth: 16,
        latency: 1,
    };
    let sums = (0..quads)
        .map(|quad| {
            let ports = MemoryPorts {
                write_enable: &module.bit(&fill_select, quad),
                write_address: &fill_address,
                write_data: &entry,
                read_address: &module
                    .concat(&[&module.slice(&plane_address, 3 * quad, 3), &plane_bank]),
            };
            table.instance(&module, &format!("table_{quad}"), &ports)
        })
        .collect();
    module.output("sum", &tree(&module, sums, &signs));
    module
}
