use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::tools::ToolError;

/// Why a design could not be checked, built or run.
#[derive(Debug, Error)]
pub enum SimError {
    /// An external tool is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The C++ compiler cannot be started.
    #[error("cannot run the C++ compiler {}: {source}; install g++ (scripts/setup does) or set CXX", compiler.display())]
    Compiler {
        /// The compiler that was tried.
        compiler: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool cannot be started, though it is there.
    #[error("cannot run {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Verilator refuses the Verilog.
    #[error("Verilator refuses {top}:\n{text}")]
    Verilator {
        /// The top module.
        top: String,
        /// What Verilator printed, its first lines.
        text: String,
    },
    /// The lint gate: Verilator warns about the Verilog.
    #[error("lint of {top} is not clean:\n{text}")]
    Lint {
        /// The top module.
        top: String,
        /// The warnings, the first lines.
        text: String,
    },
    /// The C++ compiler or linker refuses what Verilator generated.
    #[error("the C++ of {top} does not compile ({step}):\n{text}")]
    Compile {
        /// The top module, or the run-time library.
        top: String,
        /// The file that was being made.
        step: String,
        /// What the compiler printed, its first lines.
        text: String,
    },
    /// A source file's name is not a plain file name.
    #[error(
        "source file name {name:?} must be a plain, unique file name of letters, digits, '_', '-' and '.'"
    )]
    FileName {
        /// The name given.
        name: String,
    },
    /// A lint waiver without a reason.
    #[error("the waiver of lint rule {rule} gives no reason")]
    WaiverWithoutReason {
        /// The rule.
        rule: String,
    },
    /// A port of the top module is not a plain vector.
    #[error("port {port} of {top} is not a plain vector; expose plain signals only")]
    UnsupportedPort {
        /// The top module.
        top: String,
        /// Its declaration in the generated C++.
        port: String,
    },
    /// The top module has no such port.
    #[error("no port named {name}; the ports are: {}", known.join(", "))]
    UnknownPort {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The top module lacks the clock port that `tick` drives.
    #[error(
        "the top module has no one-bit input {clock}; name the clock with Build::clock, or use eval"
    )]
    NoClock {
        /// The clock's name.
        clock: String,
    },
    /// The design stopped: an assertion failed, or `$stop` or `$fatal` was reached.
    #[error("the design stopped after {cycle} cycles:\n{text}")]
    Stopped {
        /// Complete clock cycles before it.
        cycle: u64,
        /// The last lines that the design printed.
        text: String,
    },
    /// A signal did not take the awaited value in time.
    #[error("{signal} did not become {value} within {cycles_max} cycles")]
    Timeout {
        /// The port.
        signal: String,
        /// The awaited value.
        value: u64,
        /// The bound.
        cycles_max: u64,
    },
    /// The model was built without what is asked of it.
    #[error("this model cannot {what}; build it with {profile}")]
    Unavailable {
        /// What was asked.
        what: &'static str,
        /// The profile that can.
        profile: &'static str,
    },
    /// A trace or coverage file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
    },
    /// The built model cannot be loaded.
    #[error("cannot load {}: {source}; remove it and build again", path.display())]
    Load {
        /// The shared object.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// A file of the cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names the file in an error of the file system.
pub(crate) trait InFile<T> {
    fn in_file(self, path: &Path) -> Result<T, SimError>;
}

impl<T> InFile<T> for io::Result<T> {
    fn in_file(self, path: &Path) -> Result<T, SimError> {
        self.map_err(|source| SimError::Cache {
            path: path.to_path_buf(),
            source,
        })
    }
}

const LINES_MAX: usize = 60;

/// The first lines of what a tool printed: the first error tells most.
pub(crate) fn first_lines(text: &str) -> String {
    let text = text.trim();
    let mut lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    if text.lines().nth(LINES_MAX).is_some() {
        lines.push("...");
    }
    lines.join("\n")
}

/// The last lines of what a design printed: the last say why it stopped.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
