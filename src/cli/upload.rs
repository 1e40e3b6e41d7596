//! `bitweft upload`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bitweft::flow::board::BoardFile;
use bitweft::flow::build::{BuildError, Record};
use bitweft::flow::upload::upload;
use clap::Args;
use serde::Serialize;

use super::build::folder_of;
use super::console::Console;
use super::exit::{Exit, UsageError};
use super::options::read_board;
use super::signals;

/// Write a bitstream to a board, with the program that the board's file names.
///
/// Exits with 4 if that program is not installed, and with 5 if it cannot reach the board.
#[derive(Args)]
pub(crate) struct Upload {
    /// Board by name, or a TOML file with a [board] table.
    #[arg(long, value_name = "NAME|FILE")]
    board: String,
    /// Folder of a build, or a bitstream (default: build/BOARD).
    #[arg(value_name = "DIR|FILE")]
    from: Option<PathBuf>,
    /// Limit in seconds.
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

#[derive(Serialize)]
struct Uploaded {
    board: String,
    bitstream: PathBuf,
    programmer: String,
    /// The last lines that the programmer printed.
    output: String,
}

impl Upload {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let text = read_board(&self.board)?;
        let board = BoardFile::from_toml(&text).with_context(|| self.board.clone())?;
        let from = self.from.clone().unwrap_or_else(|| folder_of(&self.board));
        let bitstream = if from.is_dir() {
            self.built(&from)?
        } else {
            std::fs::File::open(&from).with_context(|| {
                format!(
                    "{}: neither a bitstream nor the folder of a build; {} makes one",
                    from.display(),
                    self.build_command()
                )
            })?;
            from
        };
        let stop = signals::flag(signals::END_OR_HANG_UP)?;
        let spinner = console.spinner(&board.programmer);
        let limit = Duration::from_secs(u64::from(self.timeout));
        let output = upload(&board.programmer, &bitstream, limit, &stop);
        spinner.finish_and_clear();
        let uploaded = Uploaded {
            output: output.with_context(|| self.board.clone())?,
            board: self.board.clone(),
            bitstream,
            programmer: board.programmer,
        };
        console.result(&uploaded, || {
            format!("{} is on {}", uploaded.bitstream.display(), uploaded.board)
        })?;
        Ok(Exit::Success)
    }

    /// The command that builds what is to be uploaded.
    fn build_command(&self) -> String {
        let folder = self.from.as_ref().map(|_| " -o DIR");
        format!(
            "bitweft build --board {}{}",
            self.board,
            folder.unwrap_or_default()
        )
    }

    /// The bitstream of a build of this board.
    fn built(&self, folder: &Path) -> Result<PathBuf> {
        let record = Record::read(folder).map_err(|error| {
            let what = match &error {
                BuildError::Unreadable { .. } => "the record of the build there cannot be read",
                _ => "no build there",
            };
            anyhow::Error::new(error).context(format!("{what}; run {}", self.build_command()))
        })?;
        if record.board != self.board {
            let message = format!(
                "{} holds a build of {}, not of {}",
                folder.display(),
                record.board,
                self.board
            );
            return Err(UsageError(message).into());
        }
        let bitstream = record.bitstream.as_ref().filter(|_| record.holds(folder));
        let bitstream = bitstream.ok_or_else(|| {
            anyhow!(
                "{}: no bitstream as its build.json records it; build again",
                folder.display()
            )
        })?;
        Ok(folder.join(&bitstream.file))
    }
}
