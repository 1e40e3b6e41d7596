//! Activation memory: `columns` banks of four byte lanes, with the choice among readers and writers.
//!
//! # Contract
//! Addresses have [`address_bits`] bits. Every cycle, every bank reads one word: all banks at `host_address` with
//! `host_select`, else all at `elementwise_address` with `elementwise_select`, else bank b at bits b of
//! `fetch_address`. The words (bank b in bits 32 b .. 32 b + 32, byte 0 lowest) are on `read_data`
//! `timing::activation_read_latency` cycles later.
//!
//! `host_write_enable` writes `host_write_data`, a word for every bank, at `host_address`. [`WRITER`] has, for
//! byte lane i of 4, `_write_enable[i]` and its own address (`_write_address`), the same for all banks, and the
//! banks' bytes in `_write_data`, laid out as words. With one drain way all lanes must have the same address, enabled or not
//! (a bank is then one memory with byte enables, which takes fewer block RAMs). The host and the writer do not write in the same
//! cycle; what lanes not enabled hold on address (with two ways) and data does not matter. An address presented [`write_to_read`] cycles after
//! the enable, or later, reads the new byte; one presented in the very cycle of the enable an undefined byte.
//! Words beyond `activation_words` do not exist: what they read is undefined.
//!
//! With `fill_words` > 1 a bank is two halves, of even words and of odd ones, so that a cycle reads an aligned pair: with `paired`
//! (a descriptor field; addresses are then even) `read_odd` is the word after that of `read_data`, without it the same word.
//!
//! One read and one write a bank and cycle; nothing stalls; there is no reset.
//!
//! ```text
//! clock                 _/~\_/~\_/~\_/~\_/~\_/~\_/~\_
//! wb_write_enable[i]    /~~~\____________________
//! wb_write_address      X 5 X
//! fetch_address             X 5 X                  (one cycle after the write: sees it)
//! read_data                                 X new X    (latency 4)
//! ```

use crate::{
    apart,
    builder::{Module, Net},
    memory::{ByteMemory, Memory, MemoryPorts},
};
use bitweft_isa::{
    QUAD,
    architecture::{Architecture, Storage},
};

/// The unit that writes bytes.
pub const WRITER: &str = "write_back";

/// Input of the unit with `activation_storage` = `single_port`: a clock twice as fast, rising with `clock`. Only cells read it.
pub const MEMORY_CLOCK: &str = "memory_clock";

/// Cycles from a write enable to the first address that reads what was written; on a large die every bank has a register for
/// its writes.
#[must_use]
pub fn write_to_read(architecture: &Architecture) -> usize {
    1 + usize::from(architecture.is_wide())
}

/// Of block memories; before them is the register behind the choice of address, behind them (unless `compact`) that behind the choice
/// of halves, on the way to the middle of the die.
const MEMORY_LATENCY: usize = 2;

/// Bits of an address.
#[must_use]
pub fn address_bits(architecture: &Architecture) -> usize {
    byte_memory(architecture.activation_words).address_bits()
}

/// One byte lane of `words` words.
fn byte_memory(words: usize) -> Memory {
    Memory {
        storage: Storage::Block,
        width: 8,
        depth: words,
        latency: MEMORY_LATENCY,
    }
}

/// Parts of a bank: even and odd words, or all words in one.
fn halves(architecture: &Architecture) -> usize {
    architecture.access_words()
}

/// What one byte lane writes in the next cycle.
struct LaneWrite {
    /// One a half.
    enables: Vec<Net>,
    /// Within a half.
    address: Net,
    data: Vec<Net>,
}

/// The unit as a module.
#[must_use]
pub fn activation_memory(architecture: &Architecture) -> Module {
    let columns = architecture.columns;
    let module = Module::of(architecture, "activation_memory");
    let bits = address_bits(architecture);
    let host_address = module.input("host_address", bits);
    let reads = read_addresses(&module, columns, &host_address);
    let lanes = writes(&module, architecture, &host_address);
    let memory_clock = (architecture.activation_storage == Storage::SinglePort)
        .then(|| module.input(MEMORY_CLOCK, 1));
    let bank = |column: usize, half: usize, address: &Net| {
        if architecture.drain_ways == 1 {
            let clock = memory_clock.as_ref();
            shared_bank(
                &module,
                architecture,
                (column, half),
                &lanes,
                address,
                clock,
            )
        } else {
            split_bank(&module, architecture, (column, half), &lanes, address)
        }
    };
    let numbered = reads.iter().enumerate();
    if halves(architecture) == 1 {
        let words: Vec<Net> = numbered.map(|(column, at)| bank(column, 0, at)).collect();
        output(&module, architecture, "read_data", &words);
        return module;
    }
    let paired = module.field("paired");
    let (words, odd_words): (Vec<Net>, Vec<Net>) = numbered
        .map(|(column, address)| {
            let within = module.slice(address, 1, bits - 1);
            let (even, odd) = (bank(column, 0, &within), bank(column, 1, &within));
            let name = format!("is_odd_{column}");
            let is_odd = module.delayed(&name, &module.bit(address, 0), MEMORY_LATENCY);
            // It is steady.
            let name = format!("paired_{column}");
            let [paired] = apart::near(&module, architecture, &name, [&paired]);
            let second = module.or(&paired, &is_odd);
            (
                module.mux(&is_odd, &odd, &even),
                module.mux(&second, &odd, &even),
            )
        })
        .unzip();
    output(&module, architecture, "read_data", &words);
    output(&module, architecture, "read_odd", &odd_words);
    module
}

/// The banks' words, registered unless `compact`.
fn output(module: &Module, architecture: &Architecture, name: &str, words: &[Net]) {
    let words = module.concat(&words.iter().collect::<Vec<_>>());
    if architecture.compact {
        module.output(name, &words);
    } else {
        module.output(name, &module.registered(&format!("{name}_out"), &words));
    }
}

/// Names of the blocks that hold the activations of each bank on ECP5, half by half, below the unit in a flattened netlist; none
/// with single-port RAM, or where yosys chooses the cells.
#[must_use]
pub fn blocks(architecture: &Architecture) -> Vec<Vec<Vec<String>>> {
    if architecture.activation_storage != Storage::Block {
        return Vec::new();
    }
    let (blocks, lanes) = match architecture.drain_ways {
        1 => (shared_memory(architecture).blocks(), vec![String::new()]),
        _ => (
            split_memory(architecture).blocks(),
            (0..QUAD).map(|byte| format!("_{byte}")).collect(),
        ),
    };
    let half = |column: usize, half: usize| {
        let bank = bank_name(architecture, (column, half));
        let lanes = lanes.iter().flat_map(|lane| {
            let name = format!("{bank}{lane}");
            blocks.iter().map(move |block| format!("{name}.{block}"))
        });
        lanes.collect()
    };
    let bank = |column| (0..halves(architecture)).map(|h| half(column, h)).collect();
    (0..architecture.columns).map(bank).collect()
}

/// A bank, or half of it, with one address for all byte lanes.
fn shared_memory(architecture: &Architecture) -> ByteMemory {
    ByteMemory {
        storage: architecture.activation_storage,
        bytes: QUAD,
        depth: architecture.activation_words.div_ceil(halves(architecture)),
    }
}

/// A byte lane of a bank, or of half of it, with an address of its own.
fn split_memory(architecture: &Architecture) -> Memory {
    byte_memory(architecture.activation_words.div_ceil(halves(architecture)))
}

/// What instances of a half's memories are called.
fn bank_name(architecture: &Architecture, (column, half): (usize, usize)) -> String {
    match halves(architecture) {
        1 => format!("bank_{column}"),
        _ => format!("bank_{column}_{}", ["even", "odd"][half]),
    }
}

/// A bank, or half of it, whose byte lanes have addresses of their own.
fn split_bank(
    module: &Module,
    architecture: &Architecture,
    (column, half): (usize, usize),
    lanes: &[LaneWrite],
    read_address: &Net,
) -> Net {
    let memory = split_memory(architecture);
    let name = bank_name(architecture, (column, half));
    let bank = |(byte, lane): (usize, &LaneWrite)| {
        let name = format!("{name}_{byte}");
        let write = [&lane.enables[half], &lane.address, &lane.data[column]];
        let [write_enable, write_address, write_data] =
            &apart::near(module, architecture, &format!("{name}_write"), write);
        let ports = MemoryPorts {
            write_enable,
            write_address,
            write_data,
            read_address,
        };
        memory.instance(module, &name, &ports)
    };
    let bytes: Vec<Net> = lanes.iter().enumerate().map(bank).collect();
    module.concat(&bytes.iter().collect::<Vec<_>>())
}

/// A bank, or half of it, with one address for all byte lanes.
fn shared_bank(
    module: &Module,
    architecture: &Architecture,
    (column, half): (usize, usize),
    lanes: &[LaneWrite],
    read_address: &Net,
    memory_clock: Option<&Net>,
) -> Net {
    let memory = shared_memory(architecture);
    let side_by_side = |nets: Vec<&Net>| module.concat(&nets);
    let enable = side_by_side(lanes.iter().map(|lane| &lane.enables[half]).collect());
    let data = side_by_side(lanes.iter().map(|lane| &lane.data[column]).collect());
    let name = bank_name(architecture, (column, half));
    let write = [&enable, &lanes[0].address, &data];
    let [enable, address, data] =
        apart::near(module, architecture, &format!("{name}_write"), write);
    let mut ports = vec![
        ("write_enable", &enable),
        ("write_address", &address),
        ("write_data", &data),
        ("read_address", read_address),
    ];
    ports.extend(memory_clock.map(|clock| ("memory_clock", clock)));
    let outputs = module.instance(&name, &memory.build(), &ports);
    outputs.get("read_data").clone()
}

/// Every bank's read address, registered.
fn read_addresses(module: &Module, columns: usize, host_address: &Net) -> Vec<Net> {
    let bits = host_address.width();
    let host_select = module.input("host_select", 1);
    let elementwise_select = module.input("elementwise_select", 1);
    let elementwise_address = module.input("elementwise_address", bits);
    let fetch_address = module.input("fetch_address", bits * columns);
    let shared = module.mux(&host_select, host_address, &elementwise_address);
    let shared_select = module.or(&host_select, &elementwise_select);
    (0..columns)
        .map(|column| {
            let fetch = module.slice(&fetch_address, column * bits, bits);
            let chosen = module.mux(&shared_select, &shared, &fetch);
            module.registered(&format!("read_address_{column}"), &chosen)
        })
        .collect()
}

/// Every byte lane's write, registered: with one drain way all have the first one's address.
fn writes(module: &Module, architecture: &Architecture, host_address: &Net) -> Vec<LaneWrite> {
    let columns = architecture.columns;
    let bits = host_address.width();
    let host_enable = module.input("host_write_enable", 1);
    let host_data = module.input("host_write_data", 32 * columns);
    let enables = module.input(&format!("{WRITER}_write_enable"), QUAD);
    let addresses = module.input(&format!("{WRITER}_write_address"), QUAD * bits);
    let data = module.input(&format!("{WRITER}_write_data"), 32 * columns);
    let enables = module.or(&enables, &module.repeat(&host_enable, QUAD));
    let data = module.mux(&host_enable, &host_data, &data);
    let data = module.registered("write_data", &data);
    let halves = halves(architecture);
    // Unregistered, and registered within a half.
    let address_of = |byte: usize| {
        let address = module.slice(&addresses, byte * bits, bits);
        let address = module.mux(&host_enable, host_address, &address);
        let within = module.slice(&address, halves - 1, bits + 1 - halves);
        let within = module.registered(&format!("write_address_{byte}"), &within);
        (address, within)
    };
    let addresses_of = match architecture.drain_ways {
        1 => {
            module.unused(&module.slice(&addresses, bits, (QUAD - 1) * bits));
            vec![address_of(0); QUAD]
        }
        _ => (0..QUAD).map(address_of).collect(),
    };
    let lanes = addresses_of.into_iter().enumerate();
    lanes
        .map(|(byte, (address, within))| {
            let enable = module.bit(&enables, byte);
            let registered =
                |name: &str, net: &Net| module.registered(&format!("{name}_{byte}"), net);
            let enables = match halves {
                1 => vec![registered("write_enable", &enable)],
                _ => {
                    let is_odd = module.bit(&address, 0);
                    let even = module.and(&enable, &module.not(&is_odd));
                    let odd = module.and(&enable, &is_odd);
                    vec![
                        registered("write_even", &even),
                        registered("write_odd", &odd),
                    ]
                }
            };
            let column = |column: usize| module.slice(&data, 32 * column + 8 * byte, 8);
            LaneWrite {
                enables,
                address: within,
                data: (0..columns).map(column).collect(),
            }
        })
        .collect()
}
