//! The board that a command talks to.

use std::ops::DerefMut;
use std::path::Path;

use anyhow::{Context, Result};
use bitweft::driver::{DriverError, Runner, Serial, Session, Simulated, Tcp, Transport};
use bitweft::golden::network::Executor;
use bitweft::model::integer::IntegerNetwork;
use bitweft_isa::architecture::Architecture;
use bitweft_isa::image::Layer;
use bitweft_sim::Profile;
use clap::Args;
use ndarray::Array3;

use super::console::Console;
use super::cosimulation::library;
use super::exit::UsageError;
use super::options::{ArchitectureArguments, Board, SHIPPED, port};

/// Power-up state of a simulated processor, where the profile makes it random, and bytes of the input that is checked.
const SEED: u64 = 1;

/// A stream to a board of any kind.
pub(crate) type Link = Box<dyn Transport>;

/// Where the board is.
#[derive(Args)]
pub(crate) struct Connection {
    /// A serial port (a path, such as /dev/ttyUSB0 or what `board serve --pty` printed), tcp://HOST:PORT, or sim for a
    /// simulation in this process.
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub(crate) port: String,
    /// Architecture of the board: a name or a TOML file. The board is asked if it is left out.
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// Stay at the serial line's first rate.
    #[arg(long)]
    slow: bool,
}

impl Connection {
    /// A session with the board, at the fastest rate that works, and which board it is.
    pub(crate) fn open(&self, console: &Console) -> Result<(Session<Link>, Board)> {
        let mut boards = self.boards()?;
        let transport: Link = match self.port.strip_prefix("tcp://") {
            Some(address) => Box::new(Tcp::connect(address)?),
            None if self.port == "sim" => {
                let library = library(&boards[0].architecture, Profile::Fast, console)?;
                Box::new(Simulated::new(&library, SEED)?)
            }
            None => Box::new(Serial::open(Path::new(&self.port))?),
        };
        let architectures: Vec<Architecture> =
            boards.iter().map(|b| b.architecture.clone()).collect();
        let mut session = Session::discover(transport, &architectures).map_err(|error| {
            let context = match &error {
                DriverError::Stranger { found } => {
                    format!("{}: {error}; {}", self.port, whose(*found))
                }
                _ => self.port.clone(),
            };
            anyhow::Error::new(error).context(context)
        })?;
        let found = session.architecture();
        let at = boards.iter().position(|board| board.architecture == *found);
        let board = boards.swap_remove(at.context("the board's architecture")?);
        if !self.slow {
            session.speed_up().with_context(|| self.port.clone())?;
        }
        console.detail(format!("{}: {}", self.port, board.name));
        Ok((session, board))
    }

    /// The architectures that the board may have.
    fn boards(&self) -> Result<Vec<Board>> {
        match &self.arch {
            Some(name) => Ok(vec![ArchitectureArguments::named(name).load()?]),
            None if self.port == "sim" => {
                Err(UsageError("--port sim: give --arch".to_owned()).into())
            }
            None => SHIPPED
                .iter()
                .map(|(name, _)| ArchitectureArguments::named(name).load())
                .collect(),
        }
    }
}

/// Loads a network with a bar of its bytes.
pub(crate) fn load<S>(runner: &mut Runner<'_, S>, console: &Console) -> Result<(), DriverError>
where
    S: DerefMut<Target = Session<Link>>,
{
    let bar = console.bar(1, "loading");
    let result = runner.load(|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    result
}

/// Makes sure that what has been loaded computes what it should, on an input of arbitrary bytes.
pub(crate) fn check<S>(
    runner: &mut Runner<'_, S>,
    network: &IntegerNetwork,
    executor: &Executor,
    last: &Layer,
) -> Result<()>
where
    S: DerefMut<Target = Session<Link>>,
{
    let shape = network.tensors[network.input].shape;
    let mut random = fastrand::Rng::with_seed(SEED);
    let dim = (shape.height, shape.width, shape.channels);
    let input = Array3::from_shape_simple_fn(dim, || random.u8(..));
    let answer: Vec<u8> = executor.run(input.view())?[last.tensor]
        .iter()
        .copied()
        .collect();
    let input: Vec<u8> = input.iter().copied().collect();
    Ok(runner.check(&input, &answer)?)
}

/// Which board has a fingerprint, and what to do about it.
fn whose(fingerprint: u32) -> String {
    let shipped = SHIPPED.iter().map(|(name, _)| *name).find(|name| {
        let board = ArchitectureArguments::named(name).load();
        board.is_ok_and(|board| board.architecture.fingerprint() == fingerprint)
    });
    match shipped {
        Some(name) => format!("that is `{name}`: give --arch {name}, or leave --arch out"),
        None => "no architecture that comes with bitweft has it: give --arch with the TOML file that the bitstream was made from"
            .to_owned(),
    }
}
