//! Plane memory: the words, and the flags of last planes in a memory of their own, so that block RAM widths are used up.
//!
//! Both lie in segments no deeper than a block RAM: the choice among several blocks must not come in the cycle of
//! a block's slow output. A single-port RAM holds both side by side.

use crate::{
    builder::{Module, Net},
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    architecture::{Architecture, Storage},
    timing::PLANE_LATENCY,
};

/// Cycles from an address to its word; one more is the register behind the choice of the all-ones plane.
const READ_LATENCY: usize = PLANE_LATENCY - 1;
/// Words of a segment of flags.
const FLAG_SEGMENT: usize = 1 << 14;

/// Bits of an address.
pub(super) fn address_bits(architecture: &Architecture) -> usize {
    architecture
        .plane_words
        .next_power_of_two()
        .trailing_zeros() as usize
}

/// Planes of a segment. Deep memories take a deep shape of block RAM (fewer segments, and wires, to choose from), others one
/// that leaves less of the last segment unused.
fn word_segment(architecture: &Architecture) -> usize {
    const DEEP: usize = 8192;
    if architecture.plane_words < DEEP {
        1024
    } else {
        DEEP
    }
}

/// Word and flag, `READ_LATENCY` cycles after the address; declares the write port.
pub(super) fn read(m: &Module, architecture: &Architecture, address: &Net) -> (Net, Net) {
    let inputs = architecture.inputs();
    let depth = architecture.plane_words;
    let data = m.input("plane_write_data", inputs + 1);
    if architecture.plane_storage == Storage::SinglePort {
        let memory = Memory {
            storage: Storage::SinglePort,
            width: inputs + 1,
            depth,
            latency: READ_LATENCY,
        };
        let ports = MemoryPorts {
            write_enable: &m.input("plane_write_enable", 1),
            write_address: &m.input("plane_write_address", address.width()),
            write_data: &data,
            read_address: address,
        };
        let found = memory.instance(m, "plane_memory", &ports);
        return (m.truncate(&found, inputs), m.bit(&found, inputs));
    }
    // The blocks are far from the host port: each segment's strobe is registered, and this with it.
    let data = m.registered("plane_data_held", &data);
    let words = MemoryPorts {
        write_enable: &m.input("plane_write_enable", 1),
        write_address: &m.input("plane_write_address", address.width()),
        write_data: &m.truncate(&data, inputs),
        read_address: address,
    };
    let flags = MemoryPorts {
        write_data: &m.bit(&data, inputs),
        ..words
    };
    let word = segmented(m, "plane_memory", depth, word_segment(architecture), &words);
    let flag = segmented(m, "flag_memory", depth, FLAG_SEGMENT, &flags);
    (word, flag)
}

/// A memory of `depth` words in segments of `step` (a power of two; the last one has what is left). `write_data` is a cycle after
/// the strobe and the address.
fn segmented(m: &Module, name: &str, depth: usize, step: usize, ports: &MemoryPorts<'_>) -> Net {
    let bits = ports.read_address.width();
    let low = (step.trailing_zeros() as usize).min(bits);
    let write_address = m.truncate(ports.write_address, low);
    let write_address = m.registered(&format!("{name}_write_address"), &write_address);
    let segments: Vec<Net> = (0..depth.div_ceil(step))
        .map(|index| {
            let memory = Memory {
                storage: Storage::Block,
                width: ports.write_data.width(),
                depth: (depth - index * step).clamp(2, step),
                latency: READ_LATENCY,
            };
            let write_enable = if bits > low {
                let segment = m.slice(ports.write_address, low, bits - low);
                m.and(ports.write_enable, &m.equals(&segment, index as u64))
            } else {
                ports.write_enable.clone()
            };
            let write_enable = m.registered_reset(&format!("{name}_write_{index}"), &write_enable);
            let narrow = |address: &Net| m.truncate(address, memory.address_bits());
            let ports = MemoryPorts {
                write_enable: &write_enable,
                write_address: &narrow(&write_address),
                write_data: ports.write_data,
                read_address: &narrow(ports.read_address),
            };
            memory.instance(m, &format!("{name}_{index}"), &ports)
        })
        .collect();
    if bits == low {
        return segments[0].clone();
    }
    let index = m.slice(ports.read_address, low, bits - low);
    let index = m.delayed(&format!("{name}_segment"), &index, READ_LATENCY);
    m.select(&index, &segments)
}
