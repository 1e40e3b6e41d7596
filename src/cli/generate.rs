//! `bitweft generate`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use bitweft_hdl::{TOP, verilog};
use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::Exit;
use super::options::ArchitectureArguments;

/// Write the processor's Verilog.
#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    arch: ArchitectureArguments,
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
        std::fs::write(&path, &text).with_context(|| path.display().to_string())?;
        let generated = Generated {
            fingerprint: format!("{:08x}", board.architecture.fingerprint()),
            mac_bits_per_cycle: board.architecture.mac_bits(),
            architecture: board.name,
            top: TOP,
            files: vec![path],
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
}
