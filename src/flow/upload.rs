//! A bitstream to a board, through the program that the board's file names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;

use super::process::{self, Ended};

/// Programs that write bitstreams, and the Debian package of each.
const PACKAGES: [(&str, &str); 4] = [
    ("openFPGALoader", "openfpgaloader"),
    ("iceprog", "fpga-icestorm"),
    ("fujprog", "fujprog"),
    ("dfu-util", "dfu-util"),
];

/// What programs say when the user may not open the device: libusb, libftdi, the system.
const DENIED: [&str; 5] = [
    "permission denied",
    "operation not permitted",
    "insufficient permission",
    "libusb_error_access",
    "unable to open ftdi device: -4",
];

/// Why a bitstream is not on its board.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The board's file names no program.
    #[error("table `board`, field `programmer` is empty; name a program and its arguments")]
    NoProgrammer,
    /// The program is not installed.
    #[error("{program} is not installed; {}, or name another programmer in the board's file", install(.program))]
    Missing {
        /// The program.
        program: String,
    },
    /// The program cannot be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The user may not open the device.
    #[error(
        "{program} may not open the device: give your user access to it with a udev rule (a file in /etc/udev/rules.d with \
         SUBSYSTEM==\"usb\", ATTRS{{idVendor}}==\"VENDOR\", TAG+=\"uaccess\", the vendor as lsusb shows it; the package of {program} \
         may bring one), run udevadm control --reload-rules, and plug the board in again. It said:\n{text}"
    )]
    Denied {
        /// The program.
        program: String,
        /// What it said.
        text: String,
    },
    /// The program failed.
    #[error("{program} failed; is the board plugged in? It said:\n{text}")]
    Failed {
        /// The program.
        program: String,
        /// What it said.
        text: String,
    },
    /// The program did not end in time.
    #[error("{program} was killed after {seconds} s; it said:\n{text}")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        seconds: f64,
        /// What it said.
        text: String,
    },
    /// The upload was stopped.
    #[error("stopped; the board may hold half a bitstream")]
    Stopped,
}

fn install(program: &str) -> String {
    match PACKAGES.iter().find(|(name, _)| *name == program) {
        Some((_, package)) => format!("install the package {package}"),
        None => "install it and put it on PATH".to_owned(),
    }
}

/// Runs `programmer` (a program and its arguments, separated by spaces) with the bitstream as its last argument; returns the last
/// lines that it printed.
///
/// # Errors
/// No such program, no permission, a failure, `limit` reached, a stop.
pub fn upload(
    programmer: &str,
    bitstream: &Path,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<String, UploadError> {
    let mut words = programmer.split_whitespace();
    let program = words.next().ok_or(UploadError::NoProgrammer)?.to_owned();
    let start = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => UploadError::Missing {
            program: program.clone(),
        },
        _ => UploadError::Start {
            program: program.clone(),
            source,
        },
    };
    let folder = tempfile::tempdir().map_err(|source| UploadError::Start {
        program: program.clone(),
        source,
    })?;
    let log: PathBuf = folder.path().join("log");
    let mut command = Command::new(&program);
    command.args(words).arg(bitstream);
    let stopped = || stop.load(Ordering::Relaxed);
    let ended = process::run(&mut command, &log, limit, &stopped, &|_| ()).map_err(start)?;
    let text = process::tail(&log, 12);
    match ended {
        Ended::Exited(status) if status.success() => Ok(text),
        Ended::Exited(_) => {
            let said = text.to_lowercase();
            Err(match DENIED.iter().any(|denied| said.contains(denied)) {
                true => UploadError::Denied { program, text },
                false => UploadError::Failed { program, text },
            })
        }
        Ended::TimedOut => Err(UploadError::TimedOut {
            program,
            seconds: limit.as_secs_f64(),
            text,
        }),
        Ended::Stopped => Err(UploadError::Stopped),
    }
}
