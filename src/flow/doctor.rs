//! Which external tools are here, in which version, and how to get those that are not.

use std::path::Path;
use std::process::{Command, Stdio};

use bitweft_sim::tools::{Tool, ToolFolder, pinned_version};
use serde::Serialize;

const RUN_SETUP: &str = "run scripts/setup";

/// What is known of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The tool's usual name.
    pub tool: String,
    /// What bitweft does with it.
    pub purpose: &'static str,
    /// Whether bitweft's own commands need it. Others serve only the tests, or boards.
    pub needed: bool,
    /// The version found; `None` if the tool is absent.
    pub version: Option<String>,
    /// The version that is pinned, where one is.
    pub wanted: Option<String>,
    /// How to get it.
    pub remedy: String,
}

impl Finding {
    /// Whether the tool is here, in the version that is wanted.
    pub fn is_ok(&self) -> bool {
        self.version.is_some() && (self.wanted.is_none() || self.version == self.wanted)
    }
}

/// What is known of all tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// One finding for each tool.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether every needed tool is here, in the version that is wanted.
    pub fn is_complete(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.is_ok() || !finding.needed)
    }
}

/// Looks for every tool: in the tools folder, for the compiler that `CXX` names (or `g++`), and in `PATH`.
/// Takes well under a second; nothing is installed or changed.
pub fn examine() -> Diagnosis {
    let compiler = std::env::var_os("CXX").filter(|name| !name.is_empty());
    let compiler = compiler.unwrap_or_else(|| "g++".into());
    examine_with(ToolFolder::locate().ok().as_ref(), Path::new(&compiler))
}

/// Like [`examine`], in a given tools folder (`None`: there is none) and for a given compiler.
pub fn examine_with(tools: Option<&ToolFolder>, compiler: &Path) -> Diagnosis {
    let mut findings = vec![compiler_finding(compiler)];
    findings.extend(library_findings(compiler));
    for (tool, name, purpose) in PINNED {
        let package = tool.package().unwrap_or_default();
        let version = tools.filter(|tools| tools.path(*tool).is_ok());
        let version = version.and_then(|tools| tools.installed_version(package));
        findings.push(pinned(name, package, purpose, true, version));
    }
    for (package, purpose) in ORACLES {
        let version = tools.and_then(|tools| tools.installed_version(package));
        findings.push(pinned(package, package, purpose, false, version));
    }
    findings.push(Finding {
        tool: "openFPGALoader".to_owned(),
        purpose: "writing bitstreams to boards",
        needed: false,
        version: first_line(Command::new("openFPGALoader").arg("--Version")),
        wanted: None,
        remedy: "install the package openfpgaloader, if you have a board".to_owned(),
    });
    Diagnosis { findings }
}

const PINNED: &[(Tool, &str, &str)] = &[
    (Tool::Verilator, "Verilator", "simulation and lint"),
    (Tool::Yosys, "Yosys", "synthesis"),
    (
        Tool::NextpnrEcp5,
        "nextpnr-ecp5",
        "place and route, Lattice ECP5",
    ),
    (
        Tool::NextpnrIce40,
        "nextpnr-ice40",
        "place and route, Lattice iCE40",
    ),
    (
        Tool::NextpnrGowin,
        "nextpnr-himbaechel-gowin",
        "place and route, Gowin",
    ),
    (Tool::GowinPack, "apycula", "bitstreams, Gowin"),
    (Tool::Z3, "z3", "formal proofs"),
];

const ORACLES: &[(&str, &str)] = &[
    ("numpy", "tests only: data for the reference kernels"),
    ("ai-edge-litert", "tests only: reference kernels of TFLite"),
    ("onnxruntime", "tests only: reference kernels of ONNX"),
];

fn pinned(
    name: &str,
    package: &str,
    purpose: &'static str,
    needed: bool,
    version: Option<String>,
) -> Finding {
    let wanted = pinned_version(package).map(str::to_owned);
    Finding {
        tool: name.to_owned(),
        purpose,
        needed,
        version,
        wanted,
        remedy: RUN_SETUP.to_owned(),
    }
}

fn compiler_finding(compiler: &Path) -> Finding {
    Finding {
        tool: compiler.display().to_string(),
        purpose: "compiling simulation models",
        needed: true,
        version: first_line(Command::new(compiler).arg("--version")),
        wanted: None,
        remedy: format!("{RUN_SETUP}, or set CXX to a C++17 compiler"),
    }
}

/// The libraries that waveform files need, by what their headers say.
fn library_findings(compiler: &Path) -> [Finding; 2] {
    let macros = |header: &str| {
        let mut command = Command::new(compiler);
        command.args(["-E", "-dM", "-x", "c++", "-include", header, "/dev/null"]);
        output(&mut command)
    };
    let zlib = macros("zlib.h").and_then(|text| defined(&text, "ZLIB_VERSION"));
    let lz4 = macros("lz4.h").and_then(|text| {
        let part = |name| defined(&text, name);
        let parts = [
            part("LZ4_VERSION_MAJOR")?,
            part("LZ4_VERSION_MINOR")?,
            part("LZ4_VERSION_RELEASE")?,
        ];
        Some(parts.join("."))
    });
    [("zlib", "zlib1g-dev", zlib), ("lz4", "liblz4-dev", lz4)].map(|(tool, package, version)| {
        Finding {
            tool: tool.to_owned(),
            purpose: "compressing waveforms",
            needed: true,
            version,
            wanted: None,
            remedy: format!("{RUN_SETUP}, or install the package {package}"),
        }
    })
}

/// The value of a macro in the preprocessor's list of definitions, without quotes and comments.
fn defined(definitions: &str, name: &str) -> Option<String> {
    definitions.lines().find_map(|line| {
        let rest = line
            .strip_prefix("#define ")?
            .strip_prefix(name)?
            .strip_prefix(' ')?;
        Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
    })
}

fn first_line(command: &mut Command) -> Option<String> {
    output(command)?
        .lines()
        .next()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
}

/// What a command prints to standard output; `None` if it does not start or fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding<'a>(diagnosis: &'a Diagnosis, tool: &str) -> &'a Finding {
        diagnosis
            .findings
            .iter()
            .find(|finding| finding.tool == tool)
            .expect("the tool is listed")
    }

    #[test]
    fn after_setup_the_diagnosis_is_complete() {
        let diagnosis = examine();
        assert!(diagnosis.is_complete(), "{diagnosis:#?}");
        assert_eq!(
            finding(&diagnosis, "Verilator").version.as_deref(),
            Some("5.48.0")
        );
        let lz4 = finding(&diagnosis, "lz4").version.clone().expect("found");
        assert_eq!(lz4.split('.').count(), 3, "{lz4}");
    }

    #[test]
    fn without_the_tools_folder_everything_pinned_is_absent_and_setup_is_named() {
        let diagnosis = examine_with(None, Path::new("g++"));
        assert!(!diagnosis.is_complete());
        let yosys = finding(&diagnosis, "Yosys");
        assert!(!yosys.is_ok() && yosys.remedy.contains("scripts/setup"));
        assert!(yosys.wanted.is_some());
    }

    #[test]
    fn a_missing_compiler_is_incomplete_and_named() {
        let tools = ToolFolder::locate().expect("scripts/setup has been run");
        let diagnosis = examine_with(Some(&tools), Path::new("/nonexistent"));
        assert!(!diagnosis.is_complete());
        let compiler = finding(&diagnosis, "/nonexistent");
        assert_eq!(compiler.version, None);
        assert!(compiler.remedy.contains("CXX"));
        assert!(finding(&diagnosis, "Verilator").is_ok());
    }

    #[test]
    fn a_tool_that_only_tests_or_boards_use_may_be_missing() {
        let mut diagnosis = examine();
        for finding in diagnosis
            .findings
            .iter_mut()
            .filter(|finding| !finding.needed)
        {
            finding.version = None;
        }
        assert!(diagnosis.is_complete());
        finding(&diagnosis, "onnxruntime");
    }

    #[test]
    fn another_version_than_the_pinned_is_not_ok() {
        let mut diagnosis = examine();
        let verilator = diagnosis
            .findings
            .iter_mut()
            .find(|finding| finding.tool == "Verilator");
        verilator.expect("listed").version = Some("4.2".to_owned());
        assert!(!diagnosis.is_complete());
    }
}
