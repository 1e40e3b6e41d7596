//! Verilog to bitstream: synthesis, place and route with one seed or several, packing, and a record of it all in one folder.
//!
//! Every step leaves a stamp: a hash of all that it depends on. A step whose stamp is there is not run again, so that a build of
//! what has not changed does nothing, and an interrupted sweep of seeds goes on where it was.

mod anchors;
mod blocks;
mod error;
mod netlist;
mod record;
mod stamp;
mod steps;
mod sweep;
mod timing;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bitweft_hdl::{BOARD_CLOCK, BOARD_TOP, TOP, pll::Family};
use bitweft_isa::architecture::Architecture;
use bitweft_sim::tools::{Tool, ToolFolder};

pub use anchors::Anchor;
pub use error::BuildError;
pub use record::{Outcome, RECORD, Record, Seed, ToolVersions};
pub use steps::{ECP5_ALU, synthesis};
pub use timing::{CriticalPath, Timing, Use};

use super::part::Part;
use super::{pins, process};
use error::InFile;

/// Tells YoWASP to show its tools this folder alone. Else they see the folders above and those of the root as well, whose names
/// and number move their heap, and yosys's netlist with it: the same sources would place and route otherwise elsewhere.
const MOUNT: (&str, &str) = ("YOWASP_MOUNT", "/=.");

/// What is built.
#[derive(Debug, Clone)]
pub struct Design {
    /// Name of the board.
    pub board: String,
    /// Verilog with all its modules.
    pub verilog: String,
    /// Its top.
    pub top: &'static str,
    /// FPGA.
    pub family: Family,
    /// The part.
    pub part: Part,
    /// Text of the pin file.
    pub pins: String,
    /// Clock in MHz that nextpnr is asked for.
    pub asked_mhz: f64,
    /// Clock in MHz that must be reached.
    pub wanted_mhz: f64,
    /// Cells with a given place.
    pub anchors: Vec<Anchor>,
}

impl Design {
    /// The top of a board, whose processor has a clock of `mhz`.
    #[must_use]
    pub fn board(
        name: &str,
        verilog: String,
        (family, part): (Family, Part),
        pins: String,
        mhz: f64,
    ) -> Self {
        Self {
            board: name.to_owned(),
            verilog,
            top: BOARD_TOP,
            family,
            part,
            pins,
            asked_mhz: mhz,
            wanted_mhz: mhz,
            anchors: Vec::new(),
        }
    }

    /// The processor without a board's top: only its clock has a place, that of the board's. There is no bitstream of it.
    ///
    /// # Errors
    /// Gowin's nextpnr places no pins by itself; a pin file without a clock.
    pub fn processor(
        name: &str,
        verilog: String,
        (family, part): (Family, Part),
        pins: &str,
        wanted_mhz: f64,
    ) -> Result<Self, BuildError> {
        if family == Family::Gowin {
            return Err(BuildError::NotAlone);
        }
        let located = pins::locations(pins);
        let site = located.iter().find(|(pin, _)| *pin == BOARD_CLOCK);
        let (_, site) = site.ok_or(BuildError::NoClockPin)?;
        Ok(Self {
            board: name.to_owned(),
            verilog,
            top: TOP,
            family,
            pins: pins::clock_alone(family, "clock", site),
            asked_mhz: part.aim.unwrap_or(wanted_mhz),
            wanted_mhz,
            part,
            anchors: Vec::new(),
        })
    }

    /// With the architecture's memories, and other cells, tied to the places that the part's tables give them.
    #[must_use]
    pub fn anchored(mut self, architecture: &Architecture) -> Self {
        self.anchors = anchors::anchors(architecture, &self.part, self.top);
        self
    }

    fn synthesis(&self) -> String {
        steps::synthesis(self.family, self.top, &self.anchors)
    }

    fn is_whole(&self) -> bool {
        self.top == BOARD_TOP
    }
}

/// How hard it is tried.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Seeds of nextpnr, in the order in which they are tried, until one meets the clock.
    pub seeds: Vec<u32>,
    /// Limit of every tool's run.
    pub timeout: Duration,
    /// Seeds at a time.
    pub jobs: usize,
}

/// What happens during a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A tool has started, for this seed where it takes one.
    Started(&'static str, Option<u32>),
    /// The last line that a tool has printed.
    Line(&'static str, Option<u32>, &'a str),
    /// Synthesis has ended, after so many seconds.
    Synthesised(f64),
    /// A seed has been tried.
    Tried(&'a Seed),
}

/// A build under way.
pub(crate) struct Job<'a> {
    design: &'a Design,
    effort: &'a Effort,
    tools: ToolFolder,
    versions: ToolVersions,
    folder: &'a Path,
    stop: &'a AtomicBool,
    observe: &'a (dyn Fn(Event<'_>) + Sync),
}

/// Builds `design` in `folder`, which is made if need be, and returns what is also in its [`RECORD`]; `true` if it was there already.
/// `stop` ends the build early, from a signal handler say.
///
/// # Errors
/// A missing tool, a tool that fails or takes too long, a clock that no seed reaches ([`BuildError::Timing`]), a stop.
pub fn build(
    design: &Design,
    effort: &Effort,
    folder: &Path,
    stop: &AtomicBool,
    observe: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(Record, bool), BuildError> {
    let tools = ToolFolder::locate()?;
    let versions = ToolVersions::of(&tools, design.family)?;
    fs::create_dir_all(folder).in_file(folder)?;
    let lock = folder.join("lock");
    let lock = File::create(&lock).in_file(&lock)?;
    if lock.try_lock().is_err() {
        return Err(BuildError::Busy {
            folder: folder.to_path_buf(),
        });
    }
    let job = Job {
        design,
        effort,
        tools,
        versions,
        folder,
        stop,
        observe,
    };
    let result = job.run();
    // Closing is not enough: a process that another thread is starting right now has the lock as well.
    lock.unlock().in_file(folder)?;
    result
}

impl Job<'_> {
    fn run(&self) -> Result<(Record, bool), BuildError> {
        let keys = self.keys();
        if let Some(record) = Record::current(self.folder, &keys.build) {
            return Ok((record, true));
        }
        self.write(&format!("{}.v", self.design.top), &self.design.verilog)?;
        self.write(&self.pins_name(), &self.design.pins)?;
        let synthesis_seconds = self.synthesise(&keys.synthesis)?;
        let (seeds, seed, timing) = self.sweep(&keys)?;
        let mut record = Record::new(self.design, &self.versions, &keys.build);
        record.synthesis_seconds = synthesis_seconds;
        record.seeds = seeds;
        record.met = timing.met();
        record.seed = seed;
        record.report = format!("{}/{}", sweep::folder(seed), sweep::REPORT);
        record.timing = timing;
        if record.met && self.design.is_whole() {
            record.bitstream = Some(self.pack(seed)?);
        }
        let text =
            serde_json::to_string_pretty(&record).map_err(|error| BuildError::Unreadable {
                path: self.folder.join(RECORD),
                message: error.to_string(),
            })?;
        self.write(RECORD, &(text + "\n"))?;
        if record.met {
            Ok((record, false))
        } else {
            Err(BuildError::Timing(Box::new(record)))
        }
    }

    fn keys(&self) -> stamp::Keys {
        let design = self.design;
        let script = design.synthesis();
        let synthesis = stamp::key([
            design.verilog.as_str(),
            &script,
            bitweft_hdl::ECP5_ALU,
            &self.versions.yosys,
        ]);
        let route = self.route(0).arguments().join(" ");
        let route = stamp::key([
            synthesis.as_str(),
            &design.pins,
            &route,
            &self.versions.nextpnr,
        ]);
        let seeds = format!("{:?}", self.effort.seeds);
        let wanted = design.wanted_mhz.to_string();
        let build = stamp::key([route.as_str(), &seeds, &wanted, &self.versions.packer]);
        stamp::Keys {
            synthesis,
            route,
            build,
        }
    }

    fn pins_name(&self) -> String {
        format!("{}{}", self.design.top, pins::suffix(self.design.family))
    }

    /// Seconds that yosys took, now or when it was run.
    fn synthesise(&self, key: &str) -> Result<f64, BuildError> {
        let netlist = self.folder.join(steps::NETLIST);
        let stamp = self.folder.join("synthesis.stamp");
        if let Some(seconds) = stamp::seconds(&stamp, key).filter(|_| netlist.is_file()) {
            return Ok(seconds);
        }
        let begin = Instant::now();
        if self.design.family == Family::Ecp5 {
            self.write(steps::ECP5_ALU, bitweft_hdl::ECP5_ALU)?;
        }
        let mut command = self.tools.command(Tool::Yosys)?;
        let script = self.design.synthesis();
        command.args(["-q", "-p", &script]);
        self.tool(command, "yosys", "yosys.txt", None, &|| false)?;
        if self.design.family == Family::Ecp5 {
            let text = fs::read_to_string(&netlist).in_file(&netlist)?;
            let opened = netlist::open_carries(&text).map_err(|error| BuildError::Unreadable {
                path: netlist.clone(),
                message: error.to_string(),
            })?;
            fs::write(&netlist, opened).in_file(&netlist)?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        stamp::write(&stamp, key, seconds)?;
        (self.observe)(Event::Synthesised(seconds));
        Ok(seconds)
    }

    fn pack(&self, seed: u32) -> Result<record::Bitstream, BuildError> {
        let design = self.design;
        let name = format!("{}.{}", design.top, steps::tools(design.family).suffix);
        let routed = format!("{}/{}", sweep::folder(seed), sweep::ROUTED);
        let command = steps::pack(&self.tools, design.family, &design.part, &routed, &name)?;
        self.tool(command, "packer", "packer.txt", None, &|| false)?;
        record::Bitstream::of(self.folder, &name)
    }

    /// Runs a tool in the folder; `given_up` is a stop of this tool alone.
    fn tool(
        &self,
        mut command: Command,
        name: &'static str,
        log: &str,
        seed: Option<u32>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<(), BuildError> {
        let log = self.folder.join(log);
        (self.observe)(Event::Started(name, seed));
        command.current_dir(self.folder).env(MOUNT.0, MOUNT.1);
        let stop = || self.stop.load(Ordering::Relaxed) || given_up();
        let watch = |line: &str| (self.observe)(Event::Line(name, seed, line));
        let ended = process::run(&mut command, &log, self.effort.timeout, &stop, &watch);
        match ended.map_err(|source| BuildError::Start {
            program: command.get_program().into(),
            source,
        })? {
            process::Ended::Exited(status) if status.success() => Ok(()),
            process::Ended::Exited(status) => Err(BuildError::Step {
                tool: name,
                status,
                text: process::tail(&log, 12),
                log,
            }),
            process::Ended::TimedOut => Err(BuildError::TimedOut {
                tool: name,
                seconds: self.effort.timeout.as_secs_f64(),
            }),
            process::Ended::Stopped => Err(BuildError::Stopped),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), BuildError> {
        let path: PathBuf = self.folder.join(name);
        fs::write(&path, text).in_file(&path)
    }
}
