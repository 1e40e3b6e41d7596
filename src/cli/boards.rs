//! `bitweft boards`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bitweft::flow::board::BoardFile;
use bitweft::flow::part::{Budget, Part};
use bitweft::flow::schema::{schema, unknown_tables};
use bitweft_isa::architecture::Architecture;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::console::{Console, table};
use super::exit::Exit;
use super::options::{boards, read_board, read_pins};

/// Boards: the ones that come with bitweft, and your own.
#[derive(Args)]
pub(crate) struct Boards {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a board's file (architecture, clocks, lights) and its pin file; without FILE all that come with bitweft.
    ///
    /// Exits with 1 if something is wrong.
    Check {
        /// A TOML file with the tables [architecture] and [board].
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of a board's file; constraints/board.schema.json is this.
    Schema,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    #[serde(flatten)]
    board: BoardFile,
    fingerprint: String,
    mac_bits_per_cycle: usize,
    findings: Vec<String>,
}

impl Boards {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let file = match &self.command {
            Command::Check { file } => file,
            Command::Schema => {
                let schema = schema();
                console.result(&schema, || format!("{schema:#}"))?;
                return Ok(Exit::Success);
            }
        };
        let checked = match file {
            Some(path) => vec![check(&path.display().to_string())?],
            None => boards()
                .map(|(name, _)| check(name))
                .collect::<Result<_>>()?,
        };
        console.result(&checked, || text(&checked))?;
        let clean = checked.iter().all(|board| board.findings.is_empty());
        Ok(if clean { Exit::Success } else { Exit::Failure })
    }
}

fn check(name: &str) -> Result<Checked> {
    let text = read_board(name)?;
    let architecture = Architecture::from_toml(&text).with_context(|| name.to_owned())?;
    let board = BoardFile::from_toml(&text).with_context(|| name.to_owned())?;
    let mut findings = match read_pins(name, &board) {
        Ok(pins) => board.check(&pins),
        Err(error) => vec![format!("{error:#}")],
    };
    let family = board.hardware().family;
    let part = Part::from_toml(&text).with_context(|| name.to_owned())?;
    findings.extend(
        part.iter()
            .flat_map(|part| part.check(family, &architecture)),
    );
    Budget::from_toml(&text).with_context(|| name.to_owned())?;
    let unknown = unknown_tables(&text).with_context(|| name.to_owned())?;
    findings.extend(
        unknown
            .iter()
            .map(|table| format!("no table `{table}` is known")),
    );
    Ok(Checked {
        file: name.to_owned(),
        fingerprint: format!("{:08x}", architecture.fingerprint()),
        mac_bits_per_cycle: architecture.mac_bits(),
        board,
        findings,
    })
}

fn text(checked: &[Checked]) -> String {
    let rows = checked.iter().map(|one| {
        vec![
            one.file.clone(),
            one.board.name.clone(),
            one.board.programmer.clone(),
            format!("{}", one.board.clock_mhz),
            format!("{}", one.board.processor_mhz),
            one.mac_bits_per_cycle.to_string(),
        ]
    });
    let header = [
        "board",
        "name",
        "programmer",
        "clock MHz",
        "processor MHz",
        "MAC-bits a cycle",
    ];
    let mut lines = vec![table(&header, 3, rows.collect())];
    for one in checked {
        lines.extend(one.findings.iter().map(|f| format!("{}: {f}", one.file)));
    }
    lines.join("\n")
}
