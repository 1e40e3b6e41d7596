//! The proofs: which unit, which properties, how far.

use bitweft_hdl::{
    builder::EmitError,
    fifo::fifo,
    port::port,
    uart::{receiver, transmitter},
};
use bitweft_isa::architecture::{Architecture, Storage};

/// Properties of a unit.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    /// What is proven.
    pub(crate) claim: &'static str,
    pub(crate) verilog: fn() -> Result<String, EmitError>,
    /// The emitted module that the properties are put into; `None`: they are a module of their own.
    pub(crate) bound_to: Option<&'static str>,
    pub(crate) properties: &'static str,
    pub(crate) top: &'static str,
    /// `prove` (induction over any number of cycles) or `bmc` (`depth` cycles from any state that the properties take).
    pub(crate) mode: &'static str,
    pub(crate) depth: usize,
    pub(crate) defines: &'static [&'static str],
    pub(crate) cover_depth: usize,
    pub(crate) cover_defines: &'static [&'static str],
    /// Commands for yosys before `prep`.
    pub(crate) script: &'static str,
    /// What is mutated: lines of a module that contain a text.
    pub(crate) mutated: &'static [(&'static str, &'static str)],
}

/// Registers of small memories one by one, so that properties can name them.
const WORDS: &str = "proc\nmemory_collect\nmemory_map -formal\nflatten\n";

const PLAIN: Proof = Proof {
    name: "",
    claim: "",
    verilog: || Ok(String::new()),
    bound_to: None,
    properties: "",
    top: "",
    mode: "prove",
    depth: 2,
    defines: &[],
    cover_depth: 30,
    cover_defines: &[],
    script: "",
    mutated: &[],
};

const LINE: Proof = Proof {
    verilog: || Ok(transmitter().verilog()? + &receiver().verilog()?),
    properties: include_str!("line.sv"),
    top: "line",
    mode: "bmc",
    depth: 89,
    cover_depth: 89,
    mutated: &[("uart_receiver", ""), ("uart_transmitter", "")],
    ..PLAIN
};

const PORT: Proof = Proof {
    verilog: || port(&small()).verilog(),
    bound_to: Some("port"),
    properties: include_str!("port_crc.sv"),
    top: "port",
    script: "cutpoint port/buffer\n",
    cover_depth: 25,
    cover_defines: &["COVER"],
    ..PLAIN
};

pub(crate) const PROOFS: &[Proof] = &[
    Proof {
        name: "fifo",
        claim: "bytes leave in order, none lost but by overrun, valid holds until ready, at most 2 cycles of rest",
        verilog: || fifo(4, Storage::Block).verilog(),
        bound_to: Some("fifo"),
        properties: include_str!("fifo.sv"),
        top: "fifo",
        depth: 4,
        script: WORDS,
        mutated: &[("fifo", "")],
        ..PLAIN
    },
    Proof {
        name: "line",
        claim: "a byte sent is received, once and right; both sides at the shortest bit",
        defines: &["SENDING=20'h20000", "RECEIVING=20'h20000"],
        cover_defines: &["SENDING=20'h20000", "RECEIVING=20'h20000"],
        ..LINE
    },
    Proof {
        name: "line_late",
        claim: "the same with a receiver 2 % slower",
        defines: &["SENDING=20'h20000", "RECEIVING=20'h1f5c3"],
        cover_defines: &["SENDING=20'h20000", "RECEIVING=20'h1f5c3"],
        ..LINE
    },
    Proof {
        name: "line_early",
        claim: "the same with a receiver 2 % faster",
        defines: &["SENDING=20'h1f5c3", "RECEIVING=20'h20000"],
        cover_defines: &["SENDING=20'h1f5c3", "RECEIVING=20'h20000"],
        ..LINE
    },
    Proof {
        name: "port_crc",
        claim: "no run, stop, write, rate or tag but after a frame whose CRC is right (given port_crc_step)",
        mutated: &[
            ("port", "? 8'h1 :"),
            ("port", "state == 4'h"),
            ("port", "status == 8'h"),
        ],
        ..PORT
    },
    Proof {
        name: "port_crc_step",
        claim: "the port's CRC register is CRC-32 of the bytes taken, as computed bit by bit",
        defines: &["STEP"],
        mutated: &[("port", "? 32'hffffffff"), ("port", ": receive_data")],
        ..PORT
    },
];

fn small() -> Architecture {
    Architecture::from_toml(include_str!("../../constraints/tiny.toml")).expect("valid")
}

impl Proof {
    /// The unit with its properties. What a memory yields that is read and written at one address in one cycle, is anything.
    pub(crate) fn design(&self, verilog: &str) -> Result<String, String> {
        let verilog = verilog
            .replace("reg [7:0] read_0", "(* anyseq *) wire [7:0] undefined;\nreg [7:0] read_0")
            .replace(
                "read_0 <= words[read_address];",
                "read_0 <= write_enable && write_address == read_address ? undefined : words[read_address];",
            );
        let Some(module) = self.bound_to else {
            return Ok(verilog + self.properties);
        };
        let end = format!("endmodule // {module}\n");
        if !verilog.contains(&end) {
            return Err(format!("{}: no module {module}", self.name));
        }
        Ok(verilog.replace(&end, &format!("{}{end}", self.properties)))
    }
}
