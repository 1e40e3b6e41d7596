use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use bitweft_sim::tools::ToolError;
use thiserror::Error;

use super::Record;

/// Why there is no bitstream.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A tool is not installed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A tool is there but does not start.
    #[error("cannot run {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the build.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool wrote something else than it should.
    #[error("{}: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Another build has the folder.
    #[error("another build is running in {}; wait for it, or give another folder", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A tool refuses the design.
    #[error("{tool} failed ({status}); the end of {}:\n{text}", log.display())]
    Step {
        /// The tool.
        tool: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// All that it printed.
        log: PathBuf,
        /// The last lines.
        text: String,
    },
    /// A tool did not end in time.
    #[error("{tool} was killed after {seconds} s; give it longer with --timeout")]
    TimedOut {
        /// The tool.
        tool: &'static str,
        /// The limit.
        seconds: f64,
    },
    /// The build was stopped.
    #[error("stopped")]
    Stopped,
    /// The processor alone has pins without a place, which Gowin's nextpnr does not give one.
    #[error("on Gowin parts the processor cannot be routed alone; build the board")]
    NotAlone,
    /// A pin file that does not place the clock.
    #[error("the pin file has no place for `board_clock`")]
    NoClockPin,
    /// No seed reaches the clock.
    #[error("{}", timing(.0))]
    Timing(Box<Record>),
}

fn timing(record: &Record) -> String {
    let reached = &record.timing;
    let path = reached.critical_path.as_ref();
    let path = path.map_or_else(String::new, |path| format!("\ncritical path: {path}"));
    let tried = match record.seeds.len() {
        1 => "try other seeds with --seeds 1..8".to_owned(),
        count => format!("the best of {count} seeds"),
    };
    format!(
        "clock `{}` reaches {:.1} MHz with seed {}, of {:.1} MHz that it must ({tried}); lower the board's clock or use a smaller \
         processor{path}",
        reached.clock, reached.reached_mhz, record.seed, reached.wanted_mhz
    )
}

/// Names the file in an error of the file system.
pub(super) trait InFile<T> {
    fn in_file(self, path: &Path) -> Result<T, BuildError>;
}

impl<T> InFile<T> for io::Result<T> {
    fn in_file(self, path: &Path) -> Result<T, BuildError> {
        self.map_err(|source| BuildError::File {
            path: path.to_path_buf(),
            source,
        })
    }
}
