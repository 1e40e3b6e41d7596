//! `bitweft bridge`.

use anyhow::{Context, Result};
use bitweft::compiler::compile;
use bitweft::driver::mlperf_tiny::{Benchmark, Monitor};
use bitweft::driver::{DriverError, Endpoint, Runner, Session};
use bitweft::golden::network::Executor;
use bitweft::model::data::{Dataset, Images};
use bitweft::model::integer::{IntegerNetwork, Shape};
use bitweft_isa::image::{Image, Layer};
use clap::{Args, Subcommand, ValueEnum};
use ndarray::{Array3, Array4};
use serde::Serialize;

use super::connection::{Connection, Link, check, load};
use super::console::Console;
use super::exit::{Exit, UsageError};
use super::options::{NetworkArguments, port};
use super::signals;

/// Speak another program's protocol to it, with a board behind.
#[derive(Args)]
pub(crate) struct Bridge {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    MlperfTiny(MlperfTiny),
}

/// Be a device under test for MLPerf Tiny's runner, until SIGINT or SIGTERM.
///
/// The runner's inputs are taken in its own format, results are given as real numbers. The times that it is told are those of
/// link, host and processor together; on a virtual board they are the simulation's. The port to give to the runner is printed once
/// the network is loaded and has given a known answer.
#[derive(Args)]
struct MlperfTiny {
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    connection: Connection,
    /// Where the runner connects: pty for a new pseudo-terminal, or tcp://HOST:PORT (port 0 takes any).
    #[arg(long, value_name = "pty|tcp://HOST:PORT", value_parser = listen)]
    listen: String,
    /// What the runner is told that the network is, and the format of its inputs; taken from the input's shape if left out.
    #[arg(long, value_enum)]
    benchmark: Option<Model>,
}

fn listen(text: &str) -> Result<String, String> {
    match port(text) {
        Ok(text) if text == "pty" || text.contains("://") => Ok(text),
        _ => Err("the forms are pty and tcp://HOST:PORT".to_owned()),
    }
}

/// Benchmarks of MLPerf Tiny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Model {
    /// Image classification: 32 x 32 x 3 pixels of a byte.
    Ic01,
    /// Visual wake words: 96 x 96 x 3 pixels of a byte.
    Vww01,
    /// Keyword spotting: 49 x 10 features in the network's own int8.
    Kws01,
    /// Anomaly detection: 640 real numbers (float32, little endian); the result is the mean square of output less input.
    Ad01,
}

impl Model {
    fn of(shape: Shape) -> Option<Self> {
        match (shape.height, shape.width, shape.channels) {
            (32, 32, 3) => Some(Self::Ic01),
            (96, 96, 3) => Some(Self::Vww01),
            (49, 10, 1) => Some(Self::Kws01),
            _ if shape.elements() == 640 => Some(Self::Ad01),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ic01 => "ic01",
            Self::Vww01 => "vww01",
            Self::Kws01 => "kws01",
            Self::Ad01 => "ad01",
        }
    }

    fn element_bytes(self) -> usize {
        match self {
            Self::Ic01 | Self::Vww01 | Self::Kws01 => 1,
            Self::Ad01 => size_of::<f32>(),
        }
    }

    /// An input in the runner's format, as data for a network.
    fn images(self, bytes: &[u8], shape: Shape) -> Result<Images, ndarray::ShapeError> {
        let dim = (1, shape.height, shape.width, shape.channels);
        Ok(match self {
            Self::Ic01 | Self::Vww01 => {
                Images::Pixels(Array4::from_shape_vec(dim, bytes.to_vec())?)
            }
            Self::Kws01 => {
                let signed = bytes.iter().map(|byte| byte.cast_signed()).collect();
                Images::Signed(Array4::from_shape_vec(dim, signed)?)
            }
            Self::Ad01 => Images::Real(Array4::from_shape_vec(dim, reals(bytes))?),
        })
    }
}

fn reals(bytes: &[u8]) -> Vec<f32> {
    let each = bytes.chunks_exact(size_of::<f32>());
    each.map(|b| b.try_into().map_or(0.0, f32::from_le_bytes))
        .collect()
}

#[derive(Serialize)]
struct Serving {
    network: String,
    board: String,
    model: &'static str,
    input_bytes: usize,
    /// What the runner opens.
    port: String,
}

impl Bridge {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let Command::MlperfTiny(command) = &self.command;
        command.run(console)
    }
}

impl MlperfTiny {
    fn run(&self, console: &Console) -> Result<Exit> {
        let network = self.network.load(None, console)?;
        let model = self.model(&network)?;
        let stop = signals::flag(signals::END)?;
        let mut endpoint = match self.listen.strip_prefix("tcp://") {
            Some(address) => Endpoint::tcp(address)?,
            None => Endpoint::pty()?,
        };
        let (session, board) = self.connection.open(console)?;
        let context = || format!("{} on {}", network.name, board.name);
        let compiled = compile(&network, session.architecture()).with_context(context)?;
        let mut device = Device {
            connection: &self.connection,
            console,
            name: format!("bitweft {}", board.name),
            model,
            executor: Executor::new(&network)?,
            last: compiled
                .image
                .layers
                .last()
                .context("a program without layers")?,
            network: &network,
            image: &compiled.image,
            runner: None,
            raw: Vec::new(),
            input: Vec::new(),
            results: None,
        };
        device.connect(session)?;
        let serving = Serving {
            network: network.name.clone(),
            board: board.name.clone(),
            model: model.name(),
            input_bytes: device.input_bytes(),
            port: endpoint.address(),
        };
        console.result(&serving, || serving.port.clone())?;
        Monitor::new(device).serve(&mut endpoint, &stop)?;
        Ok(Exit::Success)
    }

    fn model(&self, network: &IntegerNetwork) -> Result<Model> {
        let [input, output] = [network.input, network.output].map(|at| network.tensors[at].shape);
        let message = match self.benchmark.or_else(|| Model::of(input)) {
            None => "the input's shape is none of MLPerf Tiny's: give --benchmark".to_owned(),
            Some(Model::Ad01) if input.elements() != output.elements() => {
                "ad01 compares output and input: they must have the same size".to_owned()
            }
            Some(model) => return Ok(model),
        };
        Err(UsageError(format!("network `{}`: {message}", network.name)).into())
    }
}

/// A network on a board, as the runner's device.
struct Device<'a> {
    connection: &'a Connection,
    console: &'a Console,
    name: String,
    model: Model,
    network: &'a IntegerNetwork,
    executor: Executor,
    image: &'a Image,
    last: &'a Layer,
    /// None after the link was lost.
    runner: Option<Runner<'a, Box<Session<Link>>>>,
    /// The input as it came and as the processor takes it.
    raw: Vec<u8>,
    input: Vec<u8>,
    results: Option<Vec<f32>>,
}

impl Device<'_> {
    fn connect(&mut self, session: Session<Link>) -> Result<()> {
        let mut runner = Runner::new(Box::new(session), self.image)?;
        load(&mut runner, self.console)?;
        check(&mut runner, self.network, &self.executor, self.last)?;
        self.runner = Some(runner);
        Ok(())
    }

    fn run(&mut self) -> Result<Vec<f32>> {
        if self.runner.is_none() {
            let (session, _) = self.connection.open(self.console)?;
            self.connect(session)?;
        }
        let runner = self.runner.as_mut().context("no board")?;
        let found = runner.infer(&self.input).inspect_err(|error| {
            self.console
                .note(format!("{}: {error}", self.connection.port));
        });
        if let Err(DriverError::Link(_) | DriverError::NoAnswer { .. }) = found {
            self.runner = None;
        }
        let place = self.last.output;
        let shape = (place.height, place.width, place.channels);
        let output = Array3::from_shape_vec(shape, found?.output)?;
        let scores = self.executor.run_after(self.last.tensor, output);
        let tensor = &self.network.tensors[self.network.output];
        let real = |byte: &u8| (i32::from(*byte) - tensor.zero_point) as f32 * tensor.scale;
        let reals_out: Vec<f32> = scores.iter().map(real).collect();
        if self.model != Model::Ad01 {
            return Ok(reals_out);
        }
        let squares = reals_out
            .iter()
            .zip(reals(&self.raw))
            .map(|(o, i)| (o - i).powi(2));
        Ok(vec![squares.sum::<f32>() / reals_out.len() as f32])
    }
}

impl Benchmark for Device<'_> {
    fn device(&self) -> String {
        self.name.clone()
    }

    fn model(&self) -> String {
        self.model.name().to_owned()
    }

    fn input_bytes(&self) -> usize {
        let shape = self.network.tensors[self.network.input].shape;
        shape.elements() * self.model.element_bytes()
    }

    fn load(&mut self, input: &[u8]) -> Result<(), String> {
        let shape = self.network.tensors[self.network.input].shape;
        let data = Dataset {
            name: "the runner's input".to_owned(),
            images: self
                .model
                .images(input, shape)
                .map_err(|error| error.to_string())?,
            labels: None,
            names: None,
        };
        let bytes = data
            .bytes_for(self.network, 0..1)
            .map_err(|error| error.to_string())?;
        self.input = bytes.iter().copied().collect();
        self.raw = input.to_vec();
        Ok(())
    }

    fn infer(&mut self) -> Result<(), String> {
        self.results = None;
        let results = self.run().map_err(|error| format!("{error:#}"))?;
        self.results = Some(results);
        Ok(())
    }

    fn results(&self) -> Option<Vec<f32>> {
        self.results.clone()
    }
}
