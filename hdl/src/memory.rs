//! Simple dual-port memory: one write port, one read port, one clock.

use crate::builder::{Module, Net};
use bitweft_isa::{
    architecture::{SINGLE_PORT_WORDS, Storage},
    timing::bank_latency,
};

const ECP5_BLOCK_MEMORY: &str = include_str!("../vendor/ecp5_block_memory.v");
const ICE40_SPRAM: &str = include_str!("../vendor/ice40_spram.v");
/// Bits of a single-port RAM's word.
pub(crate) const SINGLE_PORT_BITS: usize = 16;
const ICE40_SPRAM_ADDRESS_BITS: usize = SINGLE_PORT_WORDS.trailing_zeros() as usize;
const ECP5_ADDRESS_BITS: usize = 14;
const ECP5_BLOCK_BITS: usize = 18 << 10;

/// Parameters of a memory.
///
/// Ports: `write_enable` (1 bit), `write_address`, `write_data`, `read_address` in; `read_data` out. Addresses have
/// [`Memory::address_bits`] bits. A word is written at the edge that ends the cycle of `write_enable`, and read
/// `latency` cycles after its address. What a read yields is undefined when its address is written in
/// the very same cycle (`no_rw_check`: the tools add no bypass), beyond `depth`, or never written; with block RAM of latency 2 also when
/// it is written in the next cycle (on iCE40), with [`Storage::SinglePort`] (latency 2) when any word is written in the same or the next. There is
/// no reset.
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
    /// What it is made of.
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
    /// `depth` below 2 or `latency` other than 1 or 2, or what a single-port RAM is not.
    #[must_use]
    pub fn build(&self) -> Module {
        assert!(
            self.depth >= 2 && matches!(self.latency, 1 | 2),
            "{self:?}: depth at least 2, latency 1 or 2"
        );
        let style = match self.storage {
            Storage::Block => "block",
            Storage::Distributed => "distributed",
            Storage::SinglePort => "single_port",
        };
        let (width, depth) = (self.width, self.depth);
        let module = Module::new(format!("memory_{style}_{width}x{depth}_{}", self.latency));
        module.clock();
        module.input("write_enable", 1);
        module.input("write_address", self.address_bits());
        module.input("write_data", width);
        module.input("read_address", self.address_bits());
        let read = module.driven_wire("read", width);
        match self.ecp5_tile() {
            _ if self.storage == Storage::SinglePort => {
                assert!(
                    self.depth <= SINGLE_PORT_WORDS && self.latency == 2,
                    "{self:?}: at most {SINGLE_PORT_WORDS} words, latency 2"
                );
                module.vendor("ice40_spram", ICE40_SPRAM);
                self.single_port(&module);
            }
            Some(tile) => {
                module.vendor("ecp5_block_memory", ECP5_BLOCK_MEMORY);
                module.raw("`ifdef ECP5_CELLS");
                self.tiles(&module, tile);
                module.raw("`else");
                self.inferred(&module, style);
                module.raw("`endif");
            }
            None => self.inferred(&module, style),
        }
        module.output("read_data", &read);
        module
    }

    /// Behaviour, from which the tools choose memory cells. The register of latency 2 is narrower in front of iCE40's blocks than
    /// behind them.
    fn inferred(&self, module: &Module, style: &str) {
        // Two words take fewer flip-flops than bits of a block.
        let style = match (self.storage, self.depth) {
            (Storage::Block, 2) => "logic",
            _ => style,
        };
        let (width, depth) = (self.width - 1, self.depth - 1);
        module.raw(&format!(
            "(* no_rw_check, ram_style = \"{style}\" *) reg [{width}:0] words [0:{depth}];
reg [{width}:0] read_0;
always @(posedge clock) if (write_enable) words[write_address] <= write_data;"
        ));
        let behind = format!(
            "reg [{width}:0] read_1;
assign read = read_1;
always @(posedge clock) begin
    read_0 <= words[read_address];
    read_1 <= read_0;
end"
        );
        let in_front = format!(
            "reg [{}:0] held;
assign read = read_0;
always @(posedge clock) begin
    held <= read_address;
    read_0 <= words[held];
end",
            self.address_bits() - 1
        );
        match (self.latency, self.storage) {
            (1, _) => module.raw(
                "assign read = read_0;\nalways @(posedge clock) read_0 <= words[read_address];",
            ),
            (_, Storage::Block) => module.raw(&format!(
                "`ifdef ICE40_CELLS\n{in_front}\n`else\n{behind}\n`endif"
            )),
            _ => module.raw(&behind),
        }
    }

    /// One address: a write's, if there is one. The register of latency 2 is in front of iCE40's RAM, where it is narrower.
    fn single_port(&self, module: &Module) {
        let (width, depth) = (self.width, self.depth - 1);
        let (top, bits) = (width - 1, self.address_bits());
        let high = bits - 1;
        let rams = width.div_ceil(SINGLE_PORT_BITS);
        let all = rams * SINGLE_PORT_BITS;
        module.raw(&format!(
            "`ifdef ICE40_CELLS
reg [{high}:0] held;
always @(posedge clock) held <= read_address;
wire [{high}:0] address = write_enable ? write_address : held;
wire [{}:0] from, to;
assign to = {};
assign read = from[{top}:0];
ice40_single_port_memory rams [{}:0] (
    .clock(clock), .write_enable(write_enable), .address({}), .write_data(to), .read_data(from)
);
`else
reg [{top}:0] words [0:{depth}];
reg [{top}:0] read_0, read_1;
assign read = read_1;
always @(posedge clock) begin
    if (write_enable) words[write_address] <= write_data;
    else read_0 <= words[read_address];
    read_1 <= read_0;
end
`endif",
            all - 1,
            zero_extended("write_data", width, all),
            rams - 1,
            zero_extended("address", bits, ICE40_SPRAM_ADDRESS_BITS),
        ));
    }

    /// The widest shape of an ECP5 block that is deep enough, as (log2 of the distance of words in bits, bits): for reads with
    /// a register, if that takes at most a quarter more blocks than the bits need.
    fn ecp5_tile(&self) -> Option<(usize, usize)> {
        if self.storage != Storage::Block || self.latency != 2 {
            return None;
        }
        let shapes = [(5, 36), (4, 18), (3, 9), (2, 4), (1, 2), (0, 1)];
        let tile = shapes
            .into_iter()
            .find(|(distance, _)| self.address_bits() + distance <= ECP5_ADDRESS_BITS)?;
        let blocks = self.width.div_ceil(tile.1);
        let least = (self.width * self.depth).div_ceil(ECP5_BLOCK_BITS);
        (4 * blocks <= 5 * least + 3).then_some(tile)
    }

    /// Names of the blocks on ECP5, below the memory in a flattened netlist; none of a memory that yosys chooses the cells of.
    pub(crate) fn blocks(&self) -> Vec<String> {
        let Some((_, bits)) = self.ecp5_tile() else {
            return Vec::new();
        };
        let lows = (0..self.width).step_by(bits);
        lows.map(|low| format!("block_{low}.block")).collect()
    }

    /// ECP5 blocks side by side, with their output registers: clock to output is 5.8 ns without them.
    fn tiles(&self, module: &Module, (distance, bits): (usize, usize)) {
        let above = ECP5_ADDRESS_BITS - self.address_bits() - distance;
        let address = |name: &str| {
            let parts = [
                (above > 0).then(|| format!("{above}'d0")),
                Some(name.to_owned()),
                (distance > 0).then(|| format!("{distance}'d0")),
            ];
            format!(
                "{{{}}}",
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            )
        };
        for low in (0..self.width).step_by(bits) {
            let used = bits.min(self.width - low);
            let part = format!("[{}:{low}]", low + used - 1);
            let part = if self.width == 1 { "" } else { &part };
            let data = match bits - used {
                0 => format!("write_data{part}"),
                spare => format!("{{{spare}'d0, write_data{part}}}"),
            };
            module.raw(&format!(
                "wire [{}:0] block_{low}_read;
assign read{part} = block_{low}_read[{}:0];
ecp5_block_memory #(.WIDTH({bits})) block_{low} (
    .clock(clock), .write_enable(write_enable), .write_bytes(4'hf), .write_address({}),
    .write_data({data}), .read_address({}), .read_data(block_{low}_read)
);",
                bits - 1,
                used - 1,
                address("write_address"),
                address("read_address"),
            ));
        }
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

/// Verilog of a net of `from` bits with zeros above, `to` bits.
fn zero_extended(name: &str, from: usize, to: usize) -> String {
    match to - from {
        0 => name.to_owned(),
        more => format!("{{{more}'d0, {name}}}"),
    }
}

/// A memory of words whose bytes have write enables of their own and one address: one block RAM holds parts of
/// several bytes, which byte-wide memories would waste.
///
/// Ports as [`Memory`] in block RAM of latency 2, but for `write_enable` (one bit a byte). On ECP5 the registers are those of
/// blocks no deeper than 2048 words, and the choice among them comes behind. In single-port RAM (four bytes, at most 16384 words)
/// the latency is 1, and there is an input `memory_clock`, twice as fast as `clock` and rising with it, which only the cells of iCE40 read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteMemory {
    /// [`Storage::Block`] or [`Storage::SinglePort`].
    pub storage: Storage,
    /// Bytes of a word.
    pub bytes: usize,
    /// Words; at least 2, any number.
    pub depth: usize,
}

impl ByteMemory {
    /// Cycles from address to data.
    #[must_use]
    pub fn latency(&self) -> usize {
        bank_latency(self.storage)
    }

    /// The memory as a module.
    ///
    /// # Panics
    /// What a single-port RAM is not.
    #[must_use]
    pub fn build(&self) -> Module {
        let (bytes, depth) = (self.bytes, self.depth);
        let single_port = self.storage == Storage::SinglePort;
        let style = if single_port { "single_port_" } else { "" };
        let module = Module::new(format!("memory_bytes_{style}{bytes}x{depth}"));
        let bits = depth.next_power_of_two().trailing_zeros() as usize;
        module.input("write_enable", bytes);
        module.input("write_address", bits);
        module.input("write_data", 8 * bytes);
        module.input("read_address", bits);
        module.clock();
        let read = module.driven_wire("read", 8 * bytes);
        if single_port {
            assert!(
                bytes == 4 && depth <= SINGLE_PORT_WORDS,
                "{self:?}: four bytes, at most {SINGLE_PORT_WORDS} words"
            );
            module.unused(&module.input("memory_clock", 1));
            module.vendor("ice40_spram", ICE40_SPRAM);
            module.raw("`ifdef ICE40_CELLS");
            module.raw(&format!(
                "ice40_double_rate_memory ram (
    .clock(clock), .memory_clock(memory_clock), .write_enable(write_enable), .write_address({}),
    .write_data(write_data), .read_address({}), .read_data(read)
);",
                zero_extended("write_address", bits, ICE40_SPRAM_ADDRESS_BITS),
                zero_extended("read_address", bits, ICE40_SPRAM_ADDRESS_BITS),
            ));
        } else {
            module.vendor("ecp5_block_memory", ECP5_BLOCK_MEMORY);
            module.raw("`ifdef ECP5_CELLS");
            self.segments(&module, bits);
        }
        module.raw("`else");
        self.inferred(&module);
        module.raw("`endif");
        module.output("read_data", &read);
        module
    }

    fn inferred(&self, module: &Module) {
        let writes: Vec<String> = (0..self.bytes)
            .map(|byte| {
                let (high, low) = (8 * byte + 7, 8 * byte);
                format!("    if (write_enable[{byte}]) words[write_address][{high}:{low}] <= write_data[{high}:{low}];")
            })
            .collect();
        let top = 8 * self.bytes - 1;
        let (registers, read, second) = match self.latency() {
            1 => ("read_0", "read_0", ""),
            _ => ("read_0, read_1", "read_1", "\n    read_1 <= read_0;"),
        };
        module.raw(&format!(
            "(* no_rw_check, ram_style = \"block\" *) reg [{top}:0] words [0:{}];
reg [{top}:0] {registers};
assign read = {read};
always @(posedge clock) begin
{}
    read_0 <= words[read_address];{second}
end",
            self.depth - 1,
            writes.join("\n")
        ));
    }

    /// Names of the blocks on ECP5, below the memory in a flattened netlist.
    pub(crate) fn blocks(&self) -> Vec<String> {
        let segments = self.shapes().into_iter();
        let firsts = segments.flat_map(|(base, (block_bytes, _))| {
            let firsts = (0..self.bytes).step_by(block_bytes);
            firsts.map(move |first| format!("segment_{base}_{first}_block.block"))
        });
        firsts.collect()
    }

    /// Segments of ECP5 blocks of one, two or four bytes, each as narrow as what is left of the depth fills: first word, (bytes
    /// of a block, words).
    fn shapes(&self) -> Vec<(usize, (usize, usize))> {
        let mut base = 0;
        let mut shapes = Vec::new();
        while base < self.depth {
            let shape = match self.depth - base {
                0..=512 => (4, 512),
                513..=1024 => (2, 1024),
                _ => (1, 2048),
            };
            shapes.push((base, shape));
            base += shape.1;
        }
        shapes
    }

    fn segments(&self, module: &Module, bits: usize) {
        let shapes = self.shapes().into_iter();
        let parts: Vec<String> = shapes
            .map(|(base, shape)| self.segment(module, bits, base, shape))
            .collect();
        module.raw(&format!("assign read = {};", parts.join(" | ")));
    }

    /// One segment from word `base` on; the expression of what it contributes to `read`.
    fn segment(
        &self,
        module: &Module,
        bits: usize,
        base: usize,
        (block_bytes, words): (usize, usize),
    ) -> String {
        let low = words.trailing_zeros() as usize;
        let (number, tag) = (base / words, format!("segment_{base}"));
        // The part of an address that selects the segment, if there is one, and the part within it, in bits.
        let chosen = |address: &str| match bits > low {
            true => format!("{address}[{}:{low}] == {}'d{number}", bits - 1, bits - low),
            false => "1'b1".to_owned(),
        };
        let within = |address: &str| {
            let used = low.min(bits);
            let zeros = ECP5_ADDRESS_BITS - low;
            match low - used {
                0 => format!("{{{address}[{}:0], {zeros}'d0}}", used - 1),
                above => format!("{{{above}'d0, {address}[{}:0], {zeros}'d0}}", used - 1),
            }
        };
        module.raw(&format!(
            "reg {tag}_first, {tag}_chosen;
always @(posedge clock) begin
    {tag}_first <= {};
    {tag}_chosen <= {tag}_first;
end",
            chosen("read_address")
        ));
        let mut reads = Vec::new();
        for first in (0..self.bytes).step_by(block_bytes) {
            let count = block_bytes.min(self.bytes - first);
            let name = format!("{tag}_{first}");
            let nine = |byte: usize| format!("1'b0, write_data[{}:{}]", 8 * byte + 7, 8 * byte);
            let mut data: Vec<String> = (first..first + count).rev().map(nine).collect();
            if count < block_bytes {
                data.insert(0, format!("{}'d0", 9 * (block_bytes - count)));
            }
            let enables = format!("write_enable[{}:{first}]", first + count - 1);
            let spare = if count < 4 {
                format!("{}'d0, ", 4 - count)
            } else {
                String::new()
            };
            module.raw(&format!(
                "wire [{}:0] {name};
ecp5_block_memory #(.WIDTH({})) {name}_block (
    .clock(clock), .write_enable(|{enables} && {}), .write_bytes({{{spare}{enables}}}),
    .write_address({}), .write_data({{{}}}), .read_address({}), .read_data({name})
);",
                9 * block_bytes - 1,
                9 * block_bytes,
                chosen("write_address"),
                within("write_address"),
                data.join(", "),
                within("read_address"),
            ));
            reads.extend((0..count).map(|byte| format!("{name}[{}:{}]", 9 * byte + 7, 9 * byte)));
        }
        reads.reverse();
        format!(
            "({{{}}} & {{{}{{{tag}_chosen}}}})",
            reads.join(", "),
            8 * self.bytes
        )
    }
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
