//! The command line: one file a subcommand. Nothing else of bitweft prints.

mod bench;
mod board;
mod boards;
mod bridge;
mod build;
mod chart;
mod compile;
mod connection;
mod console;
mod cosimulation;
mod cycle_cost;
mod demo;
mod devices;
mod doctor;
mod evaluate;
mod exit;
mod experiment;
mod export;
mod generate;
mod inspect;
mod isa;
mod method;
mod options;
mod output;
mod quantize;
mod report;
mod run;
mod signals;
mod statistics;
#[cfg(feature = "train")]
mod train;
mod upload;
mod verify;
mod waveform;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use console::Console;
use exit::Exit;

/// From a trained CNN to a bit-serial FPGA processor: bits for every filter, Verilog, and the proof that
/// both agree.
///
/// Exit codes: 0 ok, 1 failure, 2 usage, 3 mismatch, 4 tool missing, 5 device.
#[derive(Parser)]
#[command(name = "bitweft", version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
struct Global {
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// No progress and no notes: the result only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More notes on what is done.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Doctor),
    Inspect(inspect::Inspect),
    Quantize(quantize::Quantize),
    #[cfg(feature = "train")]
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Compile(compile::Compile),
    Generate(generate::Generate),
    Verify(verify::Verify),
    Run(run::Run),
    Board(board::BoardCommand),
    Boards(boards::Boards),
    Bridge(bridge::Bridge),
    Build(build::Build),
    Upload(upload::Upload),
    Bench(bench::Bench),
    Experiment(experiment::Experiment),
    Report(report::Report),
    Export(export::Export),
    Isa(isa::Isa),
    Devices(devices::Devices),
    Demo(demo::Demo),
}

impl Command {
    fn run(&self, console: &Console) -> Result<Exit> {
        match self {
            Self::Doctor(command) => command.run(console),
            Self::Inspect(command) => command.run(console),
            Self::Quantize(command) => command.run(console),
            #[cfg(feature = "train")]
            Self::Train(command) => command.run(console),
            Self::Evaluate(command) => command.run(console),
            Self::Compile(command) => command.run(console),
            Self::Generate(command) => command.run(console),
            Self::Verify(command) => command.run(console),
            Self::Run(command) => command.run(console),
            Self::Board(command) => command.run(console),
            Self::Boards(command) => command.run(console),
            Self::Bridge(command) => command.run(console),
            Self::Build(command) => command.run(console),
            Self::Upload(command) => command.run(console),
            Self::Bench(command) => command.run(console),
            Self::Experiment(command) => command.run(console),
            Self::Report(command) => command.run(console),
            Self::Export(command) => command.run(console),
            Self::Isa(command) => command.run(console),
            Self::Devices(command) => command.run(console),
            Self::Demo(command) => command.run(console),
        }
    }
}

/// Reads the arguments, runs the command, reports an error.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Global {
        json,
        quiet,
        verbose,
    } = arguments.global;
    let console = Console::new(json, quiet, verbose);
    match arguments.command.run(&console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if exit::is_broken_pipe(&error) {
                return Exit::Success.into();
            }
            console.error(&error);
            exit::of_error(&error).into()
        }
    }
}
