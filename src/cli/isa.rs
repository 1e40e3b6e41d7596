//! `bitweft isa`.

use std::path::PathBuf;

use anyhow::Result;
use bitweft_isa::document::Contract;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::Console;
use super::exit::Exit;
use super::options::ArchitectureArguments;
use super::output::write_file;

/// The contract between host and processor, to read or to write another host with: frames, commands, memories,
/// descriptors, records.
#[derive(Args)]
pub(crate) struct Isa {
    /// What to write.
    #[arg(long, value_enum, default_value = "markdown")]
    format: Format,
    /// Add the fingerprint and the memories of an architecture: a name or a TOML file.
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// File to write; standard output if it is left out.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and rules.
    Markdown,
    /// A header for C99 and C++.
    C,
    /// The tables as data; so does --json.
    Json,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    bytes: usize,
}

impl Isa {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let board = self
            .arch
            .as_deref()
            .map(|name| ArchitectureArguments::named(name).load())
            .transpose()?;
        let processor = board
            .as_ref()
            .map(|board| (&*board.name, &board.architecture));
        let contract = Contract::new(processor);
        let text = match self.format {
            Format::Markdown => contract.markdown(),
            Format::C => contract.c_header(),
            Format::Json => serde_json::to_string_pretty(&contract)?,
        };
        match &self.output {
            None => console.result(&contract, || text)?,
            Some(path) => {
                write_file(path, &text)?;
                let written = Written {
                    file: path.clone(),
                    bytes: text.len(),
                };
                console.result(&written, || format!("wrote {}", path.display()))?;
            }
        }
        Ok(Exit::Success)
    }
}
