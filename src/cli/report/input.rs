//! Which result a JSON file holds.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::compile::Program;
use crate::cli::evaluate::Accuracy;
use crate::cli::experiment::record::Record;
use crate::cli::inspect::Inspection;
use crate::cli::quantize::Quantized;
use crate::cli::verify::Verification;

/// A result that the page shows.
pub(super) enum Input {
    Experiment(Record),
    Quantize(Quantized),
    Inspect(Inspection),
    Evaluate(Accuracy),
    Compile(Program),
    Verify(Box<Verification>),
}

impl Input {
    /// The command that wrote it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Experiment(_) => "experiment",
            Self::Quantize(_) => "quantize",
            Self::Inspect(_) => "inspect",
            Self::Evaluate(_) => "evaluate",
            Self::Compile(_) => "compile",
            Self::Verify(_) => "verify",
        }
    }
}

/// Reads one file.
pub(super) fn read(path: &Path) -> Result<Input> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    // A field that the results of no other command have.
    let has = |field: &str| value.get(field).is_some();
    if has("experiment") {
        take(path, value, "experiment", Input::Experiment)
    } else if has("file_bytes") {
        take(path, value, "quantize", Input::Quantize)
    } else if has("top1_correct") {
        take(path, value, "evaluate", Input::Evaluate)
    } else if has("image_bytes") {
        take(path, value, "compile", Input::Compile)
    } else if has("counter_mismatches") && has("phases") {
        take(path, value, "verify", |found| {
            Input::Verify(Box::new(found))
        })
    } else if has("arithmetic") && has("layers") {
        take(path, value, "inspect", Input::Inspect)
    } else {
        bail!(
            "{}: no result that report shows: it takes what --json of experiment, quantize, inspect, evaluate, compile or verify printed",
            path.display()
        );
    }
}

fn take<T: DeserializeOwned>(
    path: &Path,
    value: Value,
    kind: &str,
    input: fn(T) -> Input,
) -> Result<Input> {
    let result = serde_json::from_value(value)
        .with_context(|| format!("{}: result of {kind}", path.display()))?;
    Ok(input(result))
}
