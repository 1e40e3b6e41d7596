//! Running a tool and keeping what it printed.

use std::process::{Command, Stdio};

use crate::error::SimError;

/// How a tool ended.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// Runs a command to its end, without standard input.
pub(crate) fn run(command: &mut Command) -> Result<Outcome, SimError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| SimError::Start {
            program: command.get_program().into(),
            source,
        })?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Ok(Outcome {
        success: output.status.success(),
        text,
    })
}
