//! `bitweft report`.

mod bars;
mod heat;
mod input;
mod page;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::console::{Console, grouped};
use super::exit::{Exit, UsageError};
use super::output::{check_output, write_file};

/// Make one HTML page of results: charts, heat maps of widths, cycles a layer, tables.
///
/// The page needs no network and no other file.
#[derive(Args)]
pub(crate) struct Report {
    /// What --json of experiment, quantize, inspect, evaluate, compile and verify printed; a folder stands for its
    /// .json files.
    #[arg(required = true, value_name = "INPUT.json|FOLDER")]
    inputs: Vec<PathBuf>,
    /// The page.
    #[arg(short, long, value_name = "OUT.html")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Written {
    output: PathBuf,
    bytes: usize,
    inputs: Vec<InputKind>,
}

#[derive(Serialize)]
struct InputKind {
    file: PathBuf,
    kind: &'static str,
}

impl Report {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let mut inputs = Vec::new();
        let mut kinds = Vec::new();
        let files = files(&self.inputs)?;
        check_output(&self.output, &files)?;
        for file in files {
            let input = input::read(&file)?;
            let kind = input.kind();
            inputs.push(input);
            kinds.push(InputKind { file, kind });
        }
        let page = page::page(&inputs);
        write_file(&self.output, &page)?;
        let written = Written {
            output: self.output.clone(),
            bytes: page.len(),
            inputs: kinds,
        };
        console.result(&written, || {
            format!(
                "{}: {} bytes of {} results",
                written.output.display(),
                grouped(written.bytes as u64),
                written.inputs.len()
            )
        })?;
        Ok(Exit::Success)
    }
}

/// The files that are meant: folders stand for their JSON files, by name.
fn files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let own = json_files(input).with_context(|| input.display().to_string())?;
        if own.is_empty() {
            let message = format!("{}: no .json files in the folder", input.display());
            return Err(UsageError(message).into());
        }
        files.extend(own);
    }
    Ok(files)
}

fn json_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
