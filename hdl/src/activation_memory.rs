//! Activation memory: `columns` banks of four byte lanes, with the choice among readers and writers.
//!
//! # Contract
//! Addresses have [`address_bits`] bits. Every cycle, every bank reads one word: all banks at `host_address` with
//! `host_select`, else all at `elementwise_address` with `elementwise_select`, else bank b at bits b of
//! `fetch_address`. The words (bank b in bits 32 b .. 32 b + 32, byte 0 lowest) are on `read_data`
//! `timing::ACTIVATION_READ_LATENCY` cycles later.
//!
//! `host_write_enable` writes `host_write_data`, a word for every bank, at `host_address`. Each of [`WRITERS`] has, for
//! byte lane i of 4, `_write_enable[i]` and its own address (`_write_address`), the same for all banks, and the
//! banks' bytes in `_write_data`, laid out as words. With one drain way the lanes that are enabled in a cycle must have the same
//! address (a bank is then one memory with byte enables, which takes fewer block RAMs). At most one of the writers writes in a
//! cycle; what the others, and lanes not enabled, hold on address and data does not matter. An address presented [`WRITE_TO_READ`] cycles after
//! the enable, or later, reads the new byte; one presented in the very cycle of the enable an undefined byte.
//! Words beyond `activation_words` do not exist: what they read is undefined.
//!
//! One read and one write a bank and cycle; nothing stalls; there is no reset.
//!
//! ```text
//! clock                 _/~\_/~\_/~\_/~\_/~\_/~\_
//! wb_write_enable[i]    /~~~\____________________
//! wb_write_address      X 5 X
//! fetch_address             X 5 X                  (one cycle after the write: sees it)
//! read_data                             X new X    (latency 3)
//! ```

use crate::{
    builder::{Module, Net},
    memory::{ByteMemory, Memory, MemoryPorts},
};
use bitweft_isa::{
    QUAD,
    architecture::{Architecture, Storage},
    timing::ACTIVATION_READ_LATENCY,
};

/// Units that write bytes.
pub const WRITERS: [&str; 1] = ["write_back"];

/// Cycles from a write enable to the first address that reads what was written.
pub const WRITE_TO_READ: usize = 1;

/// Bits of an address.
#[must_use]
pub fn address_bits(architecture: &Architecture) -> usize {
    byte_memory(architecture).address_bits()
}

fn byte_memory(architecture: &Architecture) -> Memory {
    Memory {
        storage: Storage::Block,
        width: 8,
        depth: architecture.activation_words,
        // One cycle is the register behind the choice of address.
        latency: ACTIVATION_READ_LATENCY - 1,
    }
}

/// What one byte lane writes in the next cycle.
struct LaneWrite {
    enable: Net,
    address: Net,
    data: Vec<Net>,
}

/// The unit as a module.
#[must_use]
pub fn activation_memory(architecture: &Architecture) -> Module {
    let columns = architecture.columns;
    let module = Module::new("activation_memory");
    let bits = address_bits(architecture);
    let host_address = module.input("host_address", bits);
    let reads = read_addresses(&module, columns, &host_address);
    let lanes = writes(&module, columns, &host_address);
    let mut words = Vec::with_capacity(QUAD * columns);
    for (column, read_address) in reads.iter().enumerate() {
        if architecture.drain_ways == 1 {
            words.push(shared_bank(
                &module,
                architecture,
                column,
                &lanes,
                read_address,
            ));
        } else {
            words.extend(split_bank(
                &module,
                architecture,
                column,
                &lanes,
                read_address,
            ));
        }
    }
    let words: Vec<&Net> = words.iter().collect();
    module.output("read_data", &module.concat(&words));
    module
}

/// A bank whose byte lanes have addresses of their own.
fn split_bank(
    module: &Module,
    architecture: &Architecture,
    column: usize,
    lanes: &[LaneWrite],
    read_address: &Net,
) -> Vec<Net> {
    let memory = byte_memory(architecture);
    let bank = |(byte, lane): (usize, &LaneWrite)| {
        let ports = MemoryPorts {
            write_enable: &lane.enable,
            write_address: &lane.address,
            write_data: &lane.data[column],
            read_address,
        };
        memory.instance(module, &format!("bank_{column}_{byte}"), &ports)
    };
    lanes.iter().enumerate().map(bank).collect()
}

/// A bank with one address for all byte lanes: with one drain way a cycle writes one word, and the lanes that do not
/// write have address 0.
fn shared_bank(
    module: &Module,
    architecture: &Architecture,
    column: usize,
    lanes: &[LaneWrite],
    read_address: &Net,
) -> Net {
    let memory = ByteMemory {
        bytes: QUAD,
        depth: architecture.activation_words,
    };
    let side_by_side = |nets: Vec<&Net>| module.concat(&nets);
    let address = module.any(&lanes.iter().map(|lane| &lane.address).collect::<Vec<_>>());
    let outputs = module.instance(
        &format!("bank_{column}"),
        &memory.build(),
        &[
            (
                "write_enable",
                &side_by_side(lanes.iter().map(|lane| &lane.enable).collect()),
            ),
            ("write_address", &address),
            (
                "write_data",
                &side_by_side(lanes.iter().map(|lane| &lane.data[column]).collect()),
            ),
            ("read_address", read_address),
        ],
    );
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

/// Every byte lane's write, registered: the or of all writers, each gated by its enable.
fn writes(module: &Module, columns: usize, host_address: &Net) -> Vec<LaneWrite> {
    let bits = host_address.width();
    let host_enable = module.input("host_write_enable", 1);
    let host_data = module.input("host_write_data", 32 * columns);
    let mut sources = vec![(
        module.repeat(&host_enable, QUAD),
        module.concat(&[host_address; QUAD]),
        host_data,
    )];
    for writer in WRITERS {
        sources.push((
            module.input(&format!("{writer}_write_enable"), QUAD),
            module.input(&format!("{writer}_write_address"), QUAD * bits),
            module.input(&format!("{writer}_write_data"), 32 * columns),
        ));
    }
    let any = |nets: Vec<Net>| module.any(&nets.iter().collect::<Vec<_>>());
    (0..QUAD)
        .map(|byte| {
            let gated = |pick: &dyn Fn(&(Net, Net, Net)) -> Net| {
                let gate = |source| module.gate(&pick(source), &module.bit(&source.0, byte));
                any(sources.iter().map(gate).collect())
            };
            let enable = any(sources.iter().map(|s| module.bit(&s.0, byte)).collect());
            let address = gated(&|source| module.slice(&source.1, byte * bits, bits));
            let data = (0..columns).map(|column| {
                let data = gated(&|source| module.slice(&source.2, 32 * column + 8 * byte, 8));
                module.registered(&format!("write_data_{column}_{byte}"), &data)
            });
            LaneWrite {
                enable: module.registered(&format!("write_enable_{byte}"), &enable),
                address: module.registered(&format!("write_address_{byte}"), &address),
                data: data.collect(),
            }
        })
        .collect()
}
