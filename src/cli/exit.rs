//! Exit codes, and which error gets which.

use std::io;
use std::process::ExitCode;

use bitweft::driver::DriverError;
use bitweft::flow::{build::BuildError, upload::UploadError};
use bitweft_sim::{SimError, tools::ToolError};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Could not be done.
    Failure = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// Golden model and processor differ.
    Mismatch = 3,
    /// An external tool is missing.
    ToolMissing = 4,
    /// The processor does not answer as it must.
    Device = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Arguments that are well-formed one by one, but cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The exit code of an error, by the first cause that decides it.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            if cause.is::<UsageError>() {
                Some(Exit::Usage)
            } else if cause.is::<ToolError>() {
                Some(Exit::ToolMissing)
            } else if let Some(error) = cause.downcast_ref::<SimError>() {
                Some(of_simulation(error))
            } else if let Some(BuildError::Tool(_) | BuildError::Start { .. }) =
                cause.downcast_ref()
            {
                Some(Exit::ToolMissing)
            } else if let Some(error) = cause.downcast_ref::<UploadError>() {
                Some(of_upload(error))
            } else {
                cause.downcast_ref::<DriverError>().map(of_driver)
            }
        })
        .unwrap_or(Exit::Failure)
}

fn of_simulation(error: &SimError) -> Exit {
    match error {
        SimError::Tool(_) | SimError::Compiler { .. } | SimError::Start { .. } => Exit::ToolMissing,
        SimError::Stopped { .. } | SimError::Timeout { .. } => Exit::Device,
        _ => Exit::Failure,
    }
}

fn of_upload(error: &UploadError) -> Exit {
    match error {
        UploadError::Missing { .. } | UploadError::Start { .. } => Exit::ToolMissing,
        UploadError::NoProgrammer | UploadError::Stopped => Exit::Failure,
        _ => Exit::Device,
    }
}

fn of_driver(error: &DriverError) -> Exit {
    match error {
        DriverError::Simulation(error) => of_simulation(error),
        DriverError::Image(_) | DriverError::Input { .. } => Exit::Failure,
        DriverError::Unsound { .. } => Exit::Mismatch,
        _ => Exit::Device,
    }
}

/// Whether whoever read the output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
