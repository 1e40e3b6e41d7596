//! The lint gate: generated Verilog must pass Verilator's `-Wall` without one warning.

use std::fmt::Write as _;
use std::fs;

use crate::error::{InFile, SimError, first_lines};
use crate::process;
use crate::source::{self, is_source};
use crate::tools::{Tool, ToolFolder};

/// A lint rule that is not applied, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Waiver {
    /// Verilator's name of the rule, such as `UNUSEDSIGNAL`.
    pub rule: String,
    /// The files it is waived in: a name, or a pattern with `*`.
    pub files: String,
    /// Why the warning is wrong there. It must say something.
    pub reason: String,
}

impl Waiver {
    /// Waives `rule` in the files that match `files`.
    pub fn new(
        rule: impl Into<String>,
        files: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            files: files.into(),
            reason: reason.into(),
        }
    }
}

/// Checks Verilog with `verilator --lint-only -Wall`; any warning fails.
///
/// `verilog` lists (file name, text). Files not named `*.v` or `*.sv` are there to be included.
///
/// # Errors
/// [`SimError::Lint`] with the warnings; [`SimError::FileName`]; tool errors.
pub fn lint(top: &str, verilog: &[(String, String)]) -> Result<(), SimError> {
    lint_with(top, verilog, &[])
}

/// Like [`lint`], without the waived rules.
///
/// # Errors
/// As [`lint`], and [`SimError::WaiverWithoutReason`].
pub fn lint_with(
    top: &str,
    verilog: &[(String, String)],
    waivers: &[Waiver],
) -> Result<(), SimError> {
    source::check_names(verilog)?;
    let tools = ToolFolder::locate()?;
    let mut command = tools.command(Tool::Verilator)?;
    let folder = tempfile::tempdir().in_file(&std::env::temp_dir())?;
    source::write(folder.path(), verilog)?;
    command.current_dir(folder.path()).args([
        "--lint-only",
        "-Wall",
        "--quiet",
        "--top-module",
        top,
    ]);
    if !waivers.is_empty() {
        let path = folder.path().join("waivers.vlt");
        fs::write(&path, waiver_file(waivers)?).in_file(&path)?;
        command.arg("waivers.vlt");
    }
    command.args(
        verilog
            .iter()
            .map(|(name, _)| name)
            .filter(|name| is_source(name)),
    );
    let outcome = process::run(&mut command)?;
    if outcome.success && outcome.text.trim().is_empty() {
        Ok(())
    } else {
        Err(SimError::Lint {
            top: top.to_owned(),
            text: first_lines(&outcome.text),
        })
    }
}

fn waiver_file(waivers: &[Waiver]) -> Result<String, SimError> {
    let mut text = String::from("`verilator_config\n");
    for Waiver {
        rule,
        files,
        reason,
    } in waivers
    {
        if reason.trim().is_empty() {
            return Err(SimError::WaiverWithoutReason { rule: rule.clone() });
        }
        let _ = writeln!(text, "lint_off -rule {rule} -file \"*{files}\"");
    }
    Ok(text)
}
