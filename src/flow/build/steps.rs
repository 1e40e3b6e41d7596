//! What each FPGA family's tools are asked: synthesis, place and route, bitstream.

use std::process::Command;

use bitweft_hdl::pll::Family;
use bitweft_sim::tools::{Tool, ToolError, ToolFolder};

use super::Anchor;
use crate::flow::part::Part;

/// yosys's netlist.
pub(super) const NETLIST: &str = "synthesised.json";
/// yosys's count of cells.
pub(super) const STATISTICS: &str = "synthesis.txt";
/// The file of the map of adders that ECP5's script reads.
pub const ECP5_ALU: &str = "ecp5_alu.v";

/// Tools of a family.
pub(super) struct Tools {
    pub(super) nextpnr: Tool,
    pub(super) packer: Tool,
    /// Suffix of its bitstreams.
    pub(super) suffix: &'static str,
}

pub(super) fn tools(family: Family) -> Tools {
    let (nextpnr, packer, suffix) = match family {
        Family::Ecp5 => (Tool::NextpnrEcp5, Tool::Ecppack, "bit"),
        Family::Ice40 => (Tool::NextpnrIce40, Tool::Icepack, "bin"),
        Family::Gowin => (Tool::NextpnrGowin, Tool::GowinPack, "fs"),
    };
    Tools {
        nextpnr,
        packer,
        suffix,
    }
}

/// Maps logic to LUTs in place of `abc9`, which `synth_ecp5` and `synth_gowin` would call: yosys 0.70's makes one of several netlists of
/// the same text from run to run, and not all of them do the same (compare YosysHQ/yosys#5777).
const MAP_LUTS: &str = "abc -lut 4 -dress; clean";

/// yosys's script that makes a netlist out of `top.v`, in the folder it runs in; `anchors` is for ECP5.
#[must_use]
pub fn synthesis(family: Family, top: &str, anchors: &[Anchor]) -> String {
    let read = |macros: &str| format!("read_verilog -icells -DYOSYS_CELLS {macros} {top}.v; ");
    let end = format!("tee -o {STATISTICS} stat");
    match family {
        Family::Ecp5 => format!(
            "{}synth_ecp5 -nowidelut -top {top} -run :map_gates; techmap -map {ECP5_ALU}; \
             synth_ecp5 -nowidelut -top {top} -run map_gates:map_luts; {MAP_LUTS}; \
             synth_ecp5 -nowidelut -top {top} -run map_cells:json; {}write_json {NETLIST}; {end}",
            read("-DECP5_CELLS"),
            tied(anchors)
        ),
        Family::Ice40 => format!(
            "{}synth_ice40 -device u -spram -top {top} -json {NETLIST}; {end}",
            read("-DICE40_CELLS")
        ),
        // Pads would be put around modules that keep their hierarchy.
        Family::Gowin => format!(
            "{}setattr -mod -unset keep_hierarchy *; {synth} -run :map_luts; {MAP_LUTS}; \
             {synth} -run map_cells:vout; write_json {NETLIST}; {end}",
            read("-DGOWIN_CELLS"),
            synth = format!("synth_gowin -family gw2a -top {top}"),
        ),
    }
}

/// Commands that flatten the netlist and give cells their places.
fn tied(anchors: &[Anchor]) -> String {
    if anchors.is_empty() {
        return String::new();
    }
    let places = anchors.iter().map(|Anchor { cell, bel }| {
        format!("select -assert-count 1 c:{cell}; setattr -set BEL \"{bel}\" c:{cell}; ")
    });
    format!(
        "setattr -mod -unset keep_hierarchy *; flatten; {}",
        places.collect::<String>()
    )
}

/// What nextpnr is asked for.
pub(super) struct Route<'a> {
    pub(super) family: Family,
    pub(super) part: &'a Part,
    /// Names of files, from the folder that the tools run in.
    pub(super) pins: String,
    pub(super) routed: String,
    pub(super) report: String,
    pub(super) mhz: f64,
    /// Whether pins without a place are fine.
    pub(super) free_pins: bool,
}

impl Route<'_> {
    /// Arguments but for the seed.
    pub(super) fn arguments(&self) -> Vec<String> {
        let part = self.part;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut arguments: Vec<String> = match self.family {
            Family::Ecp5 => vec![
                format!("--{}", part.device),
                "--package".into(),
                text(&part.package),
                "--speed".into(),
                part.speed.unwrap_or_default().to_string(),
                "--lpf".into(),
                self.pins.clone(),
                "--textcfg".into(),
                self.routed.clone(),
            ],
            Family::Ice40 => vec![
                format!("--{}", part.device),
                "--package".into(),
                text(&part.package),
                "--pcf".into(),
                self.pins.clone(),
                "--asc".into(),
                self.routed.clone(),
            ],
            Family::Gowin => vec![
                "--device".into(),
                part.device.clone(),
                "--vopt".into(),
                format!("family={}", text(&part.chip)),
                "--vopt".into(),
                format!("cst={}", self.pins),
                "--write".into(),
                self.routed.clone(),
            ],
        };
        match (self.free_pins, self.family) {
            (true, Family::Ecp5) => arguments.push("--lpf-allow-unconstrained".into()),
            (true, Family::Ice40) => arguments.push("--pcf-allow-unconstrained".into()),
            _ => {}
        }
        if let Some(router) = &part.router {
            arguments.extend(["--router".into(), router.clone()]);
            if router == "router2" {
                // It looks at the timing only of what congestion makes it route again: a detour of early rounds would stay.
                arguments.push("--tmg-ripup".into());
            }
        }
        let common = [
            "--json",
            NETLIST,
            "--report",
            &self.report,
            "--timing-allow-fail",
            "--freq",
        ];
        arguments.extend(common.map(str::to_owned));
        if self.family == Family::Ice40 {
            // For what nextpnr does not see (`blocks.rs`).
            arguments.insert(0, "--detailed-timing-report".into());
        }
        arguments.push(self.mhz.to_string());
        arguments
    }
}

/// The command that makes a bitstream of what nextpnr wrote.
pub(super) fn pack(
    folder: &ToolFolder,
    family: Family,
    part: &Part,
    routed: &str,
    bitstream: &str,
) -> Result<Command, ToolError> {
    let mut command = folder.command(tools(family).packer)?;
    match family {
        Family::Ecp5 => command.args(["--compress", routed, bitstream]),
        Family::Ice40 => command.args([routed, bitstream]),
        Family::Gowin => {
            let chip = part.chip.as_deref().unwrap_or_default();
            command.args(["-d", chip, "-o", bitstream, routed])
        }
    };
    Ok(command)
}
