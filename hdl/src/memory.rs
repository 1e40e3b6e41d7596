//! Simple dual-port memory: one write port, one read port, one clock.

use crate::builder::{Module, Net};
use bitweft_isa::architecture::Storage;

/// Parameters of a memory.
///
/// Ports: `write_enable` [1], `write_address`, `write_data`, `read_address` in; `read_data` out. Addresses have
/// [`Memory::address_bits`] bits. A word is written at the edge that ends the cycle of `write_enable`, and read
/// `latency` cycles after its address. What a read yields is undefined when its address is written in
/// the very same cycle (`no_rw_check`: the tools add no bypass), beyond `depth`, or never written. There is no reset.
///
/// ```text
/// clock          _/~\_/~\_/~\_/~\_
/// write_enable   /~~~\____________
/// write_address  X 5 X
/// read_address       X 5 X          (one cycle after the write: sees it)
/// read_data              X new X    (latency 1; a cycle later for latency 2)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Block RAM or LUTRAM.
    pub storage: Storage,
    /// Bits of a word.
    pub width: usize,
    /// Words; at least 2, any number.
    pub depth: usize,
    /// Cycles from address to data: 1, or 2 with a register behind the read port.
    pub latency: usize,
}

impl Memory {
    /// Bits of an address.
    #[must_use]
    pub fn address_bits(&self) -> usize {
        self.depth.next_power_of_two().trailing_zeros() as usize
    }

    /// The memory as a module.
    ///
    /// # Panics
    /// `depth` below 2 or `latency` other than 1 or 2.
    #[must_use]
    pub fn build(&self) -> Module {
        assert!(
            self.depth >= 2 && matches!(self.latency, 1 | 2),
            "{self:?}: depth at least 2, latency 1 or 2"
        );
        let style = match self.storage {
            Storage::Block => "block",
            Storage::Distributed => "distributed",
        };
        let (width, depth) = (self.width, self.depth);
        let module = Module::new(format!("memory_{style}_{width}x{depth}_{}", self.latency));
        let clock = module.clock();
        let enable = module.input("write_enable", 1);
        let write_address = module.input("write_address", self.address_bits());
        let write_data = module.input("write_data", width);
        let read_address = module.input("read_address", self.address_bits());
        module.raw(&format!(
            "(* no_rw_check, ram_style = \"{style}\" *) reg [{}:0] words [0:{}];",
            width - 1,
            depth - 1
        ));
        module.raw(&format!(
            "always @(posedge {clock}) if ({enable}) words[{write_address}] <= {write_data};"
        ));
        let fetched = module.register("fetched", width);
        module.clocked_text(&fetched, &format!("words[{read_address}]"));
        let data = module.delayed("fetched", &fetched, self.latency - 1);
        module.output("read_data", &data);
        module
    }

    /// Places the memory in `module` as instance `name`; returns `read_data`.
    pub fn instance(&self, module: &Module, name: &str, ports: &MemoryPorts<'_>) -> Net {
        let outputs = module.instance(
            name,
            &self.build(),
            &[
                ("write_enable", ports.write_enable),
                ("write_address", ports.write_address),
                ("write_data", ports.write_data),
                ("read_address", ports.read_address),
            ],
        );
        outputs.get("read_data").clone()
    }
}

/// Inputs of a [`Memory`].
#[derive(Debug, Clone, Copy)]
pub struct MemoryPorts<'a> {
    /// Writes in this cycle (1 bit).
    pub write_enable: &'a Net,
    /// Where to.
    pub write_address: &'a Net,
    /// What.
    pub write_data: &'a Net,
    /// Word to read.
    pub read_address: &'a Net,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_style_and_depth() {
        let memory = Memory {
            storage: Storage::Distributed,
            width: 11,
            depth: 12,
            latency: 2,
        };
        assert_eq!(memory.address_bits(), 4);
        let text = memory.build().verilog().expect("complete");
        assert!(
            text.contains("ram_style = \"distributed\" *) reg [10:0] words [0:11];"),
            "{text}"
        );
    }
}
