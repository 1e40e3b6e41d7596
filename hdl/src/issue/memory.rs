//! Plane memory: the words, and the flags of last planes in a memory of their own, so that block RAM widths are used up.
//!
//! The words lie in segments of the depth of one block RAM, each with a register at its output: block RAM is slow,
//! and the choice among several must not come in the same cycle.

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

/// The memory of the flags, one for all words.
pub(super) fn flags(architecture: &Architecture) -> Memory {
    Memory {
        storage: Storage::Block,
        width: 1,
        depth: architecture.plane_words,
        latency: READ_LATENCY,
    }
}

/// Words of a segment. Deep memories take the deepest block RAM (fewer segments to choose from), others one that
/// leaves less of the last segment unused.
fn segment_words(architecture: &Architecture) -> usize {
    if architecture.plane_words < 8192 {
        1024
    } else {
        2048
    }
}

/// Word and flag, `READ_LATENCY` cycles after the address; declares the write port.
pub(super) fn read(m: &Module, architecture: &Architecture, address: &Net) -> (Net, Net) {
    let inputs = architecture.inputs();
    let data = m.input("plane_write_data", inputs + 1);
    let write_enable = m.input("plane_write_enable", 1);
    let write_address = m.input("plane_write_address", address.width());
    let flag = MemoryPorts {
        write_enable: &write_enable,
        write_address: &write_address,
        write_data: &m.bit(&data, inputs),
        read_address: address,
    };
    let flag = flags(architecture).instance(m, "flag_memory", &flag);
    let words = MemoryPorts {
        write_data: &m.truncate(&data, inputs),
        write_enable: &write_enable,
        write_address: &write_address,
        read_address: address,
    };
    (read_word(m, architecture, &words), flag)
}

fn read_word(m: &Module, architecture: &Architecture, ports: &MemoryPorts<'_>) -> Net {
    let (depth, step) = (architecture.plane_words, segment_words(architecture));
    let bits = ports.read_address.width();
    let low = (step.trailing_zeros() as usize).min(bits);
    let segments: Vec<Net> = (0..depth.div_ceil(step))
        .map(|index| {
            let memory = Memory {
                storage: Storage::Block,
                width: architecture.inputs(),
                depth: (depth - index * step).clamp(2, step),
                latency: 1,
            };
            let write_enable = if bits > low {
                let segment = m.slice(ports.write_address, low, bits - low);
                m.and(ports.write_enable, &m.equals(&segment, index as u64))
            } else {
                ports.write_enable.clone()
            };
            let narrow = |address: &Net| m.truncate(address, memory.address_bits());
            let ports = MemoryPorts {
                write_enable: &write_enable,
                write_address: &narrow(ports.write_address),
                write_data: ports.write_data,
                read_address: &narrow(ports.read_address),
            };
            let word = memory.instance(m, &format!("plane_memory_{index}"), &ports);
            m.delayed(&format!("segment_{index}"), &word, READ_LATENCY - 1)
        })
        .collect();
    if bits == low {
        return segments[0].clone();
    }
    let index = m.slice(ports.read_address, low, bits - low);
    m.select(&m.delayed("segment_index", &index, READ_LATENCY), &segments)
}
