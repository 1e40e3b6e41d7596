use std::fs;
use std::path::Path;

use bitweft_sim::tools::{Tool, ToolError, ToolFolder};
use serde::{Deserialize, Serialize};

use bitweft_hdl::pll::Family;

use super::error::{BuildError, InFile};
use super::stamp::sha256;
use super::timing::Timing;
use super::{Design, steps};
use crate::flow::part::Part;

/// Name of the record in the folder of a build.
pub const RECORD: &str = "build.json";

/// Versions of the tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolVersions {
    /// Synthesis.
    pub yosys: String,
    /// Place and route.
    pub nextpnr: String,
    /// What makes the bitstream.
    pub packer: String,
}

/// A bitstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bitstream {
    /// File in the folder.
    pub file: String,
    /// Bytes.
    pub bytes: usize,
    /// SHA-256.
    pub sha256: String,
}

/// How a seed did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Reached the clock.
    Met,
    /// Did not.
    Slow,
    /// nextpnr failed.
    Failed,
    /// nextpnr took too long.
    TimedOut,
    /// Another seed was there first.
    GivenUp,
}

/// A seed that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    /// Seed.
    pub seed: u32,
    /// How it did.
    pub outcome: Outcome,
    /// Clock in MHz that it reached, if it was routed.
    pub reached_mhz: Option<f64>,
    /// Seconds that nextpnr took.
    pub seconds: f64,
}

/// What was built, from what, with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of all that the build depends on.
    pub key: String,
    /// Board.
    pub board: String,
    /// Top module.
    pub top: String,
    /// The part.
    pub part: Part,
    /// SHA-256 of the Verilog.
    pub verilog_sha256: String,
    /// Versions of the tools.
    pub tools: ToolVersions,
    /// Clock in MHz that nextpnr was asked for.
    pub asked_mhz: f64,
    /// Clock in MHz that must be reached.
    pub wanted_mhz: f64,
    /// Whether it was.
    pub met: bool,
    /// The seed whose result this is: the first that met the clock, else the fastest.
    pub seed: u32,
    /// Its clock, critical path and resources.
    pub timing: Timing,
    /// Seconds that synthesis took.
    pub synthesis_seconds: f64,
    /// All seeds that were tried.
    pub seeds: Vec<Seed>,
    /// nextpnr's report, in the folder.
    pub report: String,
    /// The bitstream, if the clock was met.
    pub bitstream: Option<Bitstream>,
}

impl ToolVersions {
    /// # Errors
    /// One is missing.
    pub(super) fn of(folder: &ToolFolder, family: Family) -> Result<Self, ToolError> {
        let version = |tool: Tool| {
            let file = folder.path(tool)?;
            let version = tool
                .package()
                .and_then(|name| folder.installed_version(name));
            version.ok_or_else(|| ToolError::Missing {
                file,
                folder: folder.root().to_path_buf(),
            })
        };
        let tools = steps::tools(family);
        Ok(Self {
            yosys: version(Tool::Yosys)?,
            nextpnr: version(tools.nextpnr)?,
            packer: version(tools.packer)?,
        })
    }
}

impl Bitstream {
    pub(super) fn of(folder: &Path, name: &str) -> Result<Self, BuildError> {
        let path = folder.join(name);
        let bytes = fs::read(&path).in_file(&path)?;
        Ok(Self {
            file: name.to_owned(),
            bytes: bytes.len(),
            sha256: sha256(&bytes),
        })
    }
}

impl Record {
    pub(super) fn new(design: &Design, versions: &ToolVersions, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            board: design.board.clone(),
            top: design.top.to_owned(),
            part: design.part.clone(),
            verilog_sha256: sha256(design.verilog.as_bytes()),
            tools: versions.clone(),
            asked_mhz: design.asked_mhz,
            wanted_mhz: design.wanted_mhz,
            met: false,
            seed: 0,
            timing: Timing::default(),
            synthesis_seconds: 0.0,
            seeds: Vec::new(),
            report: String::new(),
            bitstream: None,
        }
    }

    /// The record of a folder, whatever it was built from.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join(RECORD);
        let text = fs::read_to_string(&path).in_file(&path)?;
        serde_json::from_str(&text).map_err(|error| BuildError::Unreadable {
            path,
            message: error.to_string(),
        })
    }

    /// Whether the bitstream is the recorded one.
    #[must_use]
    pub fn holds(&self, folder: &Path) -> bool {
        self.bitstream.as_ref().is_none_or(|recorded| {
            Bitstream::of(folder, &recorded.file).is_ok_and(|found| found == *recorded)
        })
    }

    /// The record of a build with this key that met its clock, if its bitstream is still there.
    pub(super) fn current(folder: &Path, key: &str) -> Option<Self> {
        let record = Self::read(folder).ok()?;
        (record.key == key && record.met && record.holds(folder)).then_some(record)
    }
}
