//! `bitweft generate`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use bitweft::flow::board::BoardFile;
use bitweft_hdl::{BOARD_TOP, TOP, verilog};
use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::Exit;
use super::options::{ArchitectureArguments, Board, read_named};
use super::output::write_file;

/// Write the processor's Verilog.
#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    arch: ArchitectureArguments,
    /// Also write the board's top (board.v, which holds the processor, too) and its pin file; the architecture's file must
    /// have a [board] table.
    #[arg(long)]
    board: bool,
    /// Folder for the Verilog; made if need be.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Generated {
    architecture: String,
    fingerprint: String,
    top: &'static str,
    mac_bits_per_cycle: usize,
    files: Vec<PathBuf>,
    bytes: usize,
}

impl Generate {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let board = self.arch.load()?;
        let text = verilog(&board.architecture).map_err(|error| anyhow!("Verilog: {error}"))?;
        std::fs::create_dir_all(&self.output).with_context(|| self.output.display().to_string())?;
        let path = self.output.join(format!("{TOP}.v"));
        write_file(&path, &text)?;
        let mut files = vec![path];
        if self.board {
            files.extend(self.write_board(&board)?);
        }
        let generated = Generated {
            fingerprint: format!("{:08x}", board.architecture.fingerprint()),
            mac_bits_per_cycle: board.architecture.mac_bits(),
            architecture: board.name,
            top: TOP,
            files,
            bytes: text.len(),
        };
        console.result(&generated, || {
            format!(
                "{}: {} MAC-bits a cycle, fingerprint {}, top `{}`: {}",
                generated.architecture,
                generated.mac_bits_per_cycle,
                generated.fingerprint,
                generated.top,
                generated.files[0].display()
            )
        })?;
        Ok(Exit::Success)
    }

    /// The board's top and, where it is one of bitweft's own, its pin file.
    fn write_board(&self, board: &Board) -> Result<Vec<PathBuf>> {
        let name = || board.name.clone();
        let file = BoardFile::from_toml(&read_named(&board.name)?).with_context(name)?;
        let text = bitweft_hdl::board::verilog(&board.architecture, &file.hardware())
            .with_context(name)?;
        let mut contents = vec![(format!("{BOARD_TOP}.v"), text)];
        contents.extend(
            file.shipped_pins()
                .map(|pins| (file.pins.clone(), file.with_clock_rate(pins))),
        );
        contents
            .into_iter()
            .map(|(name, text)| {
                let path = self.output.join(name);
                write_file(&path, text)?;
                Ok(path)
            })
            .collect()
    }
}
