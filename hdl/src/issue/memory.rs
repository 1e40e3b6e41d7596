//! Plane memory: the words, and the flags of last planes in a memory of their own, so that block RAM widths are used up.
//!
//! Both lie in segments no deeper than a block RAM: the choice among several blocks must not come in the cycle of
//! a block's slow output. Single-port RAMs hold both side by side, unless words fill them. On a large die a word is held in
//! slices, whose blocks take their addresses, strobes and data from registers near them.

use crate::{
    apart,
    builder::{Module, Net},
    memory::{Memory, MemoryPorts, SINGLE_PORT_BITS},
};
use bitweft_isa::{
    architecture::{Architecture, Storage},
    timing::PLANE_READ_LATENCY,
};

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

/// Word and flag, `timing::plane_latency` less 1 after the address; declares the write port.
pub(super) fn read(m: &Module, architecture: &Architecture, address: &Net) -> (Net, Net) {
    let inputs = architecture.inputs();
    let depth = architecture.plane_words;
    let data = m.input("plane_write_data", inputs + 1);
    if architecture.plane_storage == Storage::SinglePort {
        let ports = MemoryPorts {
            write_enable: &m.input("plane_write_enable", 1),
            write_address: &m.input("plane_write_address", address.width()),
            write_data: &data,
            read_address: address,
        };
        let read = |name: &str, storage, low, width| {
            let memory = Memory {
                storage,
                width,
                depth,
                latency: PLANE_READ_LATENCY,
            };
            let write_data = &m.slice(&data, low, width);
            memory.instance(
                m,
                name,
                &MemoryPorts {
                    write_data,
                    ..ports
                },
            )
        };
        if inputs.is_multiple_of(SINGLE_PORT_BITS) {
            let word = read("plane_memory", Storage::SinglePort, 0, inputs);
            return (word, read("flag_memory", Storage::Block, inputs, 1));
        }
        let found = read("plane_memory", Storage::SinglePort, 0, inputs + 1);
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
    let step = word_segment(architecture);
    let word = Segmented::new(m, "plane_memory", depth, step, &words);
    let flag = Segmented::new(m, "flag_memory", depth, FLAG_SEGMENT, &flags);
    if !architecture.is_wide() {
        return (word.read(m), flag.read(m));
    }
    let count = architecture.control_groups.min(inputs);
    let slices: Vec<Net> = (0..count)
        .map(|index| word.slice(m, index, count).read(m))
        .collect();
    (
        m.concat(&slices.iter().collect::<Vec<_>>()),
        flag.slice(m, 0, 1).read(m),
    )
}

/// A memory of `depth` words in segments of `step` (a power of two; the last one has what is left).
struct Segmented {
    name: String,
    depth: usize,
    step: usize,
    read_address: Net,
    /// A cycle after the strobe and the address that the host gives, as these are.
    write_data: Net,
    /// Within a segment.
    write_address: Net,
    /// One a segment.
    write_enables: Net,
}

impl Segmented {
    /// `write_data` is a cycle after the strobe and the address.
    fn new(m: &Module, name: &str, depth: usize, step: usize, ports: &MemoryPorts<'_>) -> Self {
        let bits = ports.read_address.width();
        let low = (step.trailing_zeros() as usize).min(bits);
        let write_address = m.truncate(ports.write_address, low);
        let write_enables: Vec<Net> = (0..depth.div_ceil(step))
            .map(|index| {
                let write_enable = if bits > low {
                    let segment = m.slice(ports.write_address, low, bits - low);
                    m.and(ports.write_enable, &m.equals(&segment, index as u64))
                } else {
                    ports.write_enable.clone()
                };
                m.registered_reset(&format!("{name}_write_{index}"), &write_enable)
            })
            .collect();
        Self {
            name: name.into(),
            depth,
            step,
            read_address: ports.read_address.clone(),
            write_data: ports.write_data.clone(),
            write_address: m.registered(&format!("{name}_write_address"), &write_address),
            write_enables: m.concat(&write_enables.iter().collect::<Vec<_>>()),
        }
    }

    /// One of `slices` slices of the words, whose ports have registers of their own.
    fn slice(&self, m: &Module, index: usize, slices: usize) -> Self {
        let width = self.write_data.width();
        let low = width * index / slices;
        let write_data = m.slice(&self.write_data, low, width * (index + 1) / slices - low);
        let name = format!("{}_{index}", self.name);
        let [read_address, write_address, write_enables, write_data] = apart::registered(
            m,
            &format!("{name}_ports"),
            [
                &self.read_address,
                &self.write_address,
                &self.write_enables,
                &write_data,
            ],
        );
        Self {
            name,
            read_address,
            write_address,
            write_enables,
            write_data,
            ..*self
        }
    }

    /// The word, `PLANE_READ_LATENCY` after the address.
    fn read(&self, m: &Module) -> Net {
        let segments: Vec<Net> = (0..self.write_enables.width())
            .map(|index| {
                let memory = Memory {
                    storage: Storage::Block,
                    width: self.write_data.width(),
                    depth: (self.depth - index * self.step).clamp(2, self.step),
                    latency: PLANE_READ_LATENCY,
                };
                let narrow = |address: &Net| m.truncate(address, memory.address_bits());
                let ports = MemoryPorts {
                    write_enable: &m.bit(&self.write_enables, index),
                    write_address: &narrow(&self.write_address),
                    write_data: &self.write_data,
                    read_address: &narrow(&self.read_address),
                };
                memory.instance(m, &format!("{}_{index}", self.name), &ports)
            })
            .collect();
        let low = self.write_address.width();
        let bits = self.read_address.width() - low;
        if bits == 0 {
            return segments[0].clone();
        }
        let index = m.slice(&self.read_address, low, bits);
        let index = m.delayed(
            &format!("{}_segment", self.name),
            &index,
            PLANE_READ_LATENCY,
        );
        m.select(&index, &segments)
    }
}
