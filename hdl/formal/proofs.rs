//! The proofs: which unit, which properties, how far.

use bitweft_hdl::{
    builder::{EmitError, Module},
    dot,
    fifo::fifo,
    port::port,
    requantizer::requantizer,
    uart::{receiver, transmitter},
};
use bitweft_isa::architecture::{Architecture, LaneKind, Storage};

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
    /// Commands for yosys between reading the design and `prep`; or, if they read it themselves, all before `prep`.
    pub(crate) script: &'static str,
    /// What is mutated: lines of a module that contain a text.
    pub(crate) mutated: &'static [(&'static str, &'static str)],
    /// Further mutations: a text that becomes another, in the design or in [`MAP`].
    pub(crate) swapped: &'static [(&'static str, &'static str)],
}

/// The technology map, which lies beside every design as `map.v`.
pub(crate) const MAP: &str = include_str!("../vendor/ecp5_alu.v");

/// The adders of a design as behaviour and as cells, then the module that compares them.
const CARRY_CELLS: &str = "read_verilog -icells design.sv
hierarchy -top adders
proc
flatten
techmap
design -stash behaviour
read_verilog -icells -DYOSYS_CELLS -DECP5_CELLS design.sv
read_verilog -DNO_INCLUDES +/ecp5/common_sim.vh +/ecp5/ccu2c_sim.vh
hierarchy -top adders
proc
flatten
techmap -map map.v
techmap
read_verilog -DNO_INCLUDES -overwrite +/ecp5/common_sim.vh +/ecp5/ccu2c_sim.vh
hierarchy -top adders
flatten
select -assert-none adders/t:$alu
design -stash cells
read_verilog -formal -sv properties.sv
design -copy-from behaviour -as behaviour adders
design -copy-from cells -as cells adders
";

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
    swapped: &[],
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
    properties: concat!(include_str!("port_crc.sv"), include_str!("port_stop.sv")),
    top: "port",
    script: "cutpoint port/buffer\n",
    cover_depth: 25,
    cover_defines: &["COVER"],
    ..PLAIN
};

const DOTS: Proof = Proof {
    verilog: || dots(2, 1),
    properties: include_str!("dots.sv"),
    top: "dots",
    mode: "bmc",
    script: WORDS,
    mutated: &[("table_dot", "fill"), ("dot_plain", "")],
    ..PLAIN
};

const DOTS_FOUR: Proof = Proof {
    verilog: || dots(4, 4),
    properties: include_str!("dots_four.sv"),
    top: "dots_four",
    // Counterexamples to others, and to all of the table lane at the last plane, can take the solver longer than it has.
    mutated: &[("table_dot", "& fill_enable"), ("dot_plain", "")],
    ..DOTS
};

const REQUANTIZER: Proof = Proof {
    bound_to: Some("requantizer"),
    properties: include_str!("requantizer.sv"),
    top: "requantizer",
    mode: "bmc",
    depth: 10,
    cover_depth: 10,
    mutated: &[("requantizer", "")],
    ..PLAIN
};

const CARRY: Proof = Proof {
    mode: "bmc",
    depth: 1,
    cover_depth: 1,
    script: CARRY_CELLS,
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
            ("port", "? 4'h1 :"),
            ("port", "state == 4'h3"),
            ("port", "state == 4'h5"),
            ("port", "status == 4'h1"),
        ],
        ..PORT
    },
    Proof {
        name: "port_crc_step",
        claim: "the port's CRC register is CRC-32 of the bytes taken, as computed bit by bit",
        defines: &["STEP"],
        cover_depth: 16,
        cover_defines: &["STEP"],
        mutated: &[("port", "? 32'hffffffff"), ("port", "state[3] ?")],
        ..PORT
    },
    Proof {
        name: "port_idle",
        claim: "the port returns to idle from every state, whatever comes: a measure falls; a byte offered stays",
        bound_to: Some("port"),
        properties: concat!(include_str!("port_idle.sv"), include_str!("port_stop.sv")),
        depth: 8,
        cover_depth: 36,
        mutated: &[
            ("port", "== last_index"),
            ("port", "= payload_bytes[7:0] - "),
            ("port", "= in_row + "),
            ("port", "= count + "),
        ],
        ..PORT
    },
    Proof {
        name: "requantizer",
        claim: "y and byte are the formula's, both roundings, full width, for any products in the multipliers",
        verilog: || requantizer(false).verilog(),
        script: "proc\ncutpoint */w:held\n",
        ..REQUANTIZER
    },
    Proof {
        name: "requantizer_compact",
        claim: "the same, its sums and shifts in blocks that multiply and add",
        verilog: || requantizer(true).verilog(),
        defines: &["COMPACT"],
        cover_defines: &["COMPACT"],
        script: "proc\ncutpoint */w:multiplied\n",
        mutated: &[("requantizer", ""), ("multiply_add", "")],
        ..REQUANTIZER
    },
    Proof {
        name: "dots",
        claim: "table lane = plain lane: the first plane that may read a bank, any words",
        defines: &["PLANE=6'd18"],
        cover_defines: &["PLANE=6'd18"],
        depth: 22,
        cover_depth: 22,
        ..DOTS
    },
    Proof {
        name: "dots_last",
        claim: "the same with the last plane that may, when the other bank has been filled",
        defines: &["PLANE=6'd32"],
        cover_defines: &["PLANE=6'd32"],
        depth: 36,
        cover_depth: 36,
        ..DOTS
    },
    Proof {
        name: "dots_four",
        claim: "the same with four words a fill, quads in pairs or one by one: the first plane",
        defines: &["LAST=1'b0"],
        cover_defines: &["LAST=1'b0"],
        depth: 27,
        cover_depth: 27,
        ..DOTS_FOUR
    },
    Proof {
        name: "dots_four_last",
        claim: "the same with the last plane",
        defines: &["LAST=1'b1"],
        cover_defines: &["LAST=1'b1"],
        depth: 37,
        cover_depth: 37,
        mutated: &[("dot_plain", "")],
        ..DOTS_FOUR
    },
    Proof {
        name: "adders",
        claim: "add_complement and add_gated in carry cells = behaviour, 1, 2, 8 and 31 bits",
        verilog: || adders().verilog(),
        swapped: &[
            ("16'h6a6a", "16'h6a6e"),
            ("16'h96aa", "16'h96ab"),
            ("a + (b ^ ", "a - (b ^ "),
        ],
        properties: include_str!("adders.sv"),
        top: "adders_compared",
        ..CARRY
    },
    Proof {
        name: "alu",
        claim: "$alu mapped to carry cells = yosys's own map: carry-in none, constant, variable; carries",
        verilog: || Ok(include_str!("alu.v").into()),
        swapped: &[
            ("16'h96aa", "16'h96a8"),
            ("16'h000f", "16'h0000"),
            ("16'h000a", "16'h000f"),
        ],
        properties: include_str!("alu.sv"),
        top: "alu_compared",
        ..CARRY
    },
];

/// Two dot units of so many quads: the table lane's, filled with so many words at a time, and the plain one.
fn dots(quads: usize, fill_words: usize) -> Result<String, EmitError> {
    let unit = |lane, fill_words, name: &str| {
        let architecture = Architecture {
            lane,
            quads,
            fill_words,
            ..small()
        };
        let text = dot::build(&architecture).verilog()?;
        Ok(text
            .replace("module dot(", &format!("module {name}("))
            .replace("endmodule // dot\n", &format!("endmodule // {name}\n")))
    };
    let plain: String = unit(LaneKind::Plain, 1, "plain_dot")?;
    // Both begin with what they share.
    let own = plain.find("module dot_plain(").unwrap_or(0);
    Ok(unit(LaneKind::Table, fill_words, "table_dot")? + &plain[own..])
}

fn adders() -> Module {
    let module = Module::new("adders");
    let control = module.input("control", 1);
    for width in [1, 2, 8, 31] {
        let (a, b) = (
            module.input(&format!("a_{width}"), width),
            module.input(&format!("b_{width}"), width),
        );
        module.output(
            &format!("sum_{width}"),
            &module.add_complement(&a, &b, &control),
        );
        module.output(
            &format!("gated_{width}"),
            &module.add_gated(&a, &b, &control),
        );
    }
    module
}

fn small() -> Architecture {
    Architecture::from_toml(include_str!("../../constraints/tiny.toml")).expect("valid")
}

impl Proof {
    /// The unit with its properties, or before them. What a memory yields that is read and written at one address in one cycle, is anything.
    pub(crate) fn design(&self, verilog: &str) -> Result<String, String> {
        let mut text = String::with_capacity(verilog.len());
        for line in verilog.lines() {
            // The first of a memory's read registers.
            if let Some((range, _)) = line
                .trim()
                .strip_prefix("reg ")
                .and_then(|rest| rest.split_once(" read_0"))
            {
                text += &format!("(* anyseq *) wire {range} undefined;\n");
            }
            text += &line.replace(
                "read_0 <= words[read_address];",
                "read_0 <= write_enable && write_address == read_address ? undefined : words[read_address];",
            );
            text += "\n";
        }
        let Some(module) = self.bound_to else {
            return Ok(text);
        };
        let end = format!("endmodule // {module}\n");
        if !text.contains(&end) {
            return Err(format!("{}: no module {module}", self.name));
        }
        Ok(text.replace(&end, &format!("{}{end}", self.properties)))
    }

    /// The file of properties that stand in a module of their own.
    pub(crate) fn wrapper(&self) -> &'static str {
        if self.bound_to.is_some() {
            ""
        } else {
            self.properties
        }
    }
}
