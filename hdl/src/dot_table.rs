//! Dot unit by distributed arithmetic: a quad's eight sums x0 +- x1 +- x2 +- x3 in a memory of 16 words (two banks; LUTRAM where there is some), a
//! registered read, and a registered tree of adders that add or subtract.
//!
//! A plane takes one read a quad where an adder tree takes three additions. The fill computes the sums on their way
//! in, one entry a cycle: pairs in the cycle after `fill_entry`, their sum in the next, the write at the end
//! of the third. With W = `fill_words` > 1 there are W of these generators; number g mod W is for quad g of the chunk, whose place in the
//! plane word is `plane::quad_at`'s. Ports, timing and waveform: [`crate::dot`].

use crate::{
    builder::{Module, Net},
    dot::{Control, DotInputs, ENTRY_BITS, aligned_signs, pair_and_quad_bits, quad_bits, tree},
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    architecture::Architecture,
    plane,
    timing::{fill_turns, word_cycles},
};

/// Bits of an address of a table: entry and bank.
const ADDRESS_BITS: usize = ENTRY_BITS + 1;

pub(crate) fn controls(
    module: &Module,
    architecture: &Architecture,
    inputs: &DotInputs,
) -> Vec<Control> {
    let fills = Fills::new(module, architecture, inputs);
    let side_by_side = |part: &dyn Fn(&Fill) -> Net| {
        let parts: Vec<Net> = fills.generators.iter().map(part).collect();
        module.concat(&parts.iter().collect::<Vec<_>>())
    };
    let sign_pairs = side_by_side(&|fill| module.truncate(&fill.entry, 2));
    let sign_quad = side_by_side(&|fill| module.bit(&fill.entry, 2));
    let address = side_by_side(&|fill| module.concat(&[&fill.entry, &fill.bank]));
    vec![
        Control::data("fill_sign_pairs", sign_pairs),
        Control::data(
            "fill_sign_quad",
            module.registered("fill_sign_quad", &sign_quad),
        ),
        Control::data("fill_address", module.delayed("fill_address", &address, 2)),
        Control::strobe(
            "fill_select",
            module.delayed_reset("fill_select", &fills.select, fills.select_cycles),
        ),
        Control::data(
            "plane_address",
            module.truncate(&inputs.plane_word, 3 * architecture.quads),
        ),
        Control::data("plane_bank", inputs.plane_bank.clone()),
        Control::data("plane_signs", aligned_signs(module, &inputs.plane_word, 1)),
    ]
}

/// What a generator fills.
struct Fill {
    entry: Net,
    bank: Net,
}

struct Fills {
    /// One for all generators, or one each.
    generators: Vec<Fill>,
    /// The tables' write strobes, ...
    select: Net,
    /// ... so many cycles before they go with the addresses of two cycles ago.
    select_cycles: usize,
}

impl Fills {
    fn new(m: &Module, architecture: &Architecture, inputs: &DotInputs) -> Self {
        let (quad, paired, enable) = (&inputs.fill_quad, &inputs.paired, &inputs.fill_enable);
        let (entry, bank) = (&inputs.fill_entry, &inputs.fill_bank);
        let select = selected(m, architecture, [quad, paired, enable]);
        if fill_turns(architecture) == 1 {
            let fill = Fill {
                entry: entry.clone(),
                bank: bank.clone(),
            };
            return Self {
                generators: vec![fill],
                select,
                select_cycles: 2,
            };
        }
        // The upper half of a table, while other generators are at the lower half of the next one.
        let cycles = word_cycles(architecture);
        let enable_upper = m.delayed_reset("fill_enable_upper", enable, cycles);
        let lower = m.concat(&[&m.truncate(entry, 2), bank, quad]);
        let upper = m.delayed("fill_upper", &lower, cycles);
        let quad_upper = m.slice(&upper, 3, quad.width());
        let select_upper = selected(m, architecture, [&quad_upper, paired, &enable_upper]);
        let fill = |takes: &Net| {
            let is_lower = m.and(takes, enable);
            let held = m.mux(&is_lower, &m.truncate(&lower, 3), &m.truncate(&upper, 3));
            Fill {
                entry: m.concat(&[&m.truncate(&held, 2), &m.not(&is_lower)]),
                bank: m.bit(&held, 2),
            }
        };
        m.unused(&m.bit(entry, 2));
        let select = m.registered_reset("fill_select_lower", &select);
        let select_upper = m.registered_reset("fill_select_upper", &select_upper);
        Self {
            generators: generators(m, quad, paired).iter().map(fill).collect(),
            select: m.or(&select, &select_upper),
            select_cycles: 1,
        }
    }
}

/// For every quad: it is filled, alone or in a pair.
fn selected(m: &Module, architecture: &Architecture, [quad, paired, enable]: [&Net; 3]) -> Net {
    let quads = architecture.quads;
    let selected: Vec<Net> = if architecture.fill_words == 1 {
        m.decode(quad, quads)
    } else {
        let halves = halves(m, quad, paired);
        let above = m.slice(quad, 1, quad_bits(architecture) - 1);
        let pairs = m.decode(&above, quads / 2);
        let of = |quad| m.and(&pairs[quad / 2], &halves[quad % 2]);
        (0..quads).map(of).collect()
    };
    let enabled: Vec<Net> = selected.iter().map(|quad| m.and(quad, enable)).collect();
    m.concat(&enabled.iter().collect::<Vec<_>>())
}

/// Of `quad`, or the pair from it on: there is an even one, there is an odd one.
fn halves(m: &Module, quad: &Net, paired: &Net) -> [Net; 2] {
    let odd = m.bit(quad, 0);
    [m.not(&odd), odd].map(|half| m.or(paired, &half))
}

/// With four generators: which of them `quad`, or the pair from it on, is for.
pub(crate) fn generators(m: &Module, quad: &Net, paired: &Net) -> Vec<Net> {
    let halves = halves(m, quad, paired);
    let later = m.bit(quad, 1);
    let turns = [m.not(&later), later];
    let of = |turn| halves.iter().map(move |half| m.and(turn, half));
    turns.iter().flat_map(of).collect()
}

pub(crate) fn unit(architecture: &Architecture) -> Module {
    let quads = architecture.quads;
    let module = Module::new("dot_table");
    let captured = module.input("captured", 32 * architecture.fill_words);
    let addresses = match fill_turns(architecture) {
        1 => 1,
        _ => architecture.fill_words,
    };
    let sign_pairs = module.input("fill_sign_pairs", 2 * addresses);
    let sign_quad = module.input("fill_sign_quad", addresses);
    let fill_address = module.input("fill_address", ADDRESS_BITS * addresses);
    let fill_select = module.input("fill_select", quads);
    let plane_address = module.input("plane_address", 3 * quads);
    let plane_bank = module.input("plane_bank", 1);
    let signs = module.input("plane_signs", quads - 1);

    // A net's part for a generator.
    let of = |net: &Net, generator: usize| {
        let bits = net.width() / addresses;
        module.slice(net, generator % addresses * bits, bits)
    };
    let entries: Vec<Net> = ["", "_odd", "_later", "_later_odd"][..architecture.fill_words]
        .iter()
        .enumerate()
        .map(|(index, suffix)| {
            let word = module.slice(&captured, 32 * index, 32);
            let [pairs, quad] = [&sign_pairs, &sign_quad].map(|signs| of(signs, index));
            entry(&module, suffix, &word, &pairs, &quad)
        })
        .collect();

    let table = Memory {
        storage: architecture.small_storage,
        width: pair_and_quad_bits().1,
        depth: 16,
        latency: 1,
    };
    let sums = (0..quads)
        .map(|place| {
            let quad = plane::quad_at(architecture, place);
            let ports = MemoryPorts {
                write_enable: &module.bit(&fill_select, quad),
                write_address: &of(&fill_address, quad % entries.len()),
                write_data: &entries[quad % entries.len()],
                read_address: &module
                    .concat(&[&module.slice(&plane_address, 3 * place, 3), &plane_bank]),
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
