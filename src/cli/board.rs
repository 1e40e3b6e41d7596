//! `bitweft board`.

use anyhow::{Context, Result};
use bitweft::driver::{BitLevel, ByteLevel, Device, Endpoint, serve};
use bitweft::flow::board::BoardFile;
use bitweft_hdl::{BOARD_CLOCK, BOARD_TOP, board::Led};
use bitweft_sim::{Build, Profile};
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::console::{Console, grouped};
use super::cosimulation::library;
use super::exit::Exit;
use super::options::{ArchitectureArguments, host_and_port, read_board};
use super::signals;

/// Power-up state of the simulated board, where the profile makes it random.
const SEED: u64 = 1;

/// The virtual board.
#[derive(Args)]
pub(crate) struct BoardCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
}

/// Simulate a board behind a pseudo-terminal or a TCP port, for `bitweft run` and any other client, until SIGINT or
/// SIGTERM.
#[derive(Args)]
#[command(group(ArgGroup::new("link").args(["pty", "tcp"]).required(true)))]
struct Serve {
    /// Board by name, or a TOML file; with --fast-link an [architecture] table is enough.
    #[arg(long, value_name = "NAME|FILE")]
    board: String,
    /// Serve a new pseudo-terminal; its path is printed.
    #[arg(long)]
    pty: bool,
    /// Serve a TCP port; port 0 takes any, the address is printed.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    tcp: Option<String>,
    /// Leave the serial line out: bytes go straight to the host port. Without it every bit of the line is simulated, which takes
    /// minutes to load a network, and longer than clients wait on the largest boards.
    #[arg(long)]
    fast_link: bool,
}

#[derive(Serialize)]
struct Serving {
    board: String,
    fingerprint: String,
    /// What clients open.
    port: String,
    link: &'static str,
    /// Clock of the processor, where the serial line is simulated.
    clock_hz: Option<u32>,
}

impl BoardCommand {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let Command::Serve(serve) = &self.command;
        serve.run(console)
    }
}

impl Serve {
    fn run(&self, console: &Console) -> Result<Exit> {
        let stop = signals::flag(signals::END)?;
        let file = (!self.fast_link)
            .then(|| read_board(&self.board))
            .transpose()?;
        let board = ArchitectureArguments::named(&self.board).load()?;
        let architecture = &board.architecture;
        let (mut device, clock_hz): (Box<dyn Device>, _) = if let Some(file) = file {
            let file = BoardFile::from_toml(&file);
            let mut hardware = file.with_context(|| self.board.clone())?.hardware();
            // A virtual board has lights of its own.
            hardware.leds = Led::ALL.to_vec();
            hardware.leds_active_low = false;
            let text = bitweft_hdl::board::verilog(architecture, &hardware)
                .with_context(|| self.board.clone())?;
            let spinner = console.spinner("building the simulation");
            let library = Build::from_text(BOARD_TOP, text, Profile::Fast)
                .clock(BOARD_CLOCK)
                .build()?;
            spinner.finish_and_clear();
            let clock = hardware.clock_hertz;
            (Box::new(BitLevel::new(&library, clock, SEED)?), Some(clock))
        } else {
            let library = library(architecture, Profile::Fast, console)?;
            (Box::new(ByteLevel::new(&library, SEED)?), None)
        };
        let mut endpoint = match &self.tcp {
            Some(address) => Endpoint::tcp(address)?,
            None => Endpoint::pty()?,
        };
        let serving = Serving {
            board: board.name.clone(),
            fingerprint: format!("{:08x}", architecture.fingerprint()),
            port: endpoint.address(),
            link: if self.fast_link { "bytes" } else { "bits" },
            clock_hz,
        };
        console.result(&serving, || serving.port.clone())?;
        serve(device.as_mut(), &mut endpoint, &stop)?;
        console.detail(format!("{} cycles simulated", grouped(device.cycles())));
        Ok(Exit::Success)
    }
}
