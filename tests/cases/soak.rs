//! Sessions on a link that goes wrong: every answer is right or an error, and every session ends.

use super::{
    Builder, cases,
    faults::{Bench, Faults, Rates},
    same, window,
};
use bitweft::{
    compiler::{Compiled, compile},
    driver::{DriverError, Runner, Session},
    golden::network,
    model::{
        float::{ConvolutionKind, Padding, Shape},
        integer::{IntegerNetwork, Rounding},
    },
};
use bitweft_isa::architecture::Architecture;
use bitweft_sim::{Build, Library, Profile};
use std::collections::BTreeMap;

/// Inferences of a session.
const INFERENCES: usize = 3;
/// Calls of the transport that a session may take: far more than it needs, far fewer than for ever.
const CALLS_MAX: usize = 60_000;

/// What sessions have come to.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) sessions: usize,
    /// Sessions that ended because the link broke, and those that gave up for another reason.
    pub(crate) broken: usize,
    pub(crate) failed: usize,
    /// Why those gave up.
    pub(crate) causes: BTreeMap<String, usize>,
    pub(crate) answers: usize,
    pub(crate) wrong: usize,
    pub(crate) restarts: usize,
    pub(crate) repeated: u64,
    /// Most calls of the transport that a session took.
    pub(crate) calls_max: usize,
    pub(crate) faults: usize,
    pub(crate) last: Faults,
}

/// Networks to run, with inputs and golden outputs, and the processor.
pub(crate) struct Soak {
    architecture: Architecture,
    library: Library,
    programs: Vec<Program>,
}

struct Program {
    compiled: Compiled,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Two convolutions and a pool: every kind of memory, a few hundred bytes.
fn small(seed: u64) -> IntegerNetwork {
    let shape = Shape {
        height: 5,
        width: 4,
        channels: 4,
    };
    let mut b = Builder::new("small", seed, Rounding::Single, shape);
    let t = b.convolution(0, ConvolutionKind::Dense, 8, window(3, 3, 1, same(3)), None);
    let pointwise = window(1, 1, 1, Padding::default());
    let t = b.convolution(t, ConvolutionKind::Dense, 8, pointwise, None);
    b.global_average(t);
    b.network.output = b.network.tensors.len() - 1;
    b.network
}

impl Soak {
    /// Two small networks, and one in which an Add writes over what it reads: what is run twice shows.
    pub(crate) fn new(architecture: &Architecture) -> Self {
        let verilog = bitweft_hdl::verilog(architecture).expect("emits");
        let library = Build::from_text(bitweft_hdl::TOP, verilog, Profile::Fast)
            .build()
            .expect("builds");
        let residual = cases()
            .into_iter()
            .find(|case| case.network.name.starts_with("residual"))
            .expect("a case");
        let programs = [small(5), small(6), residual.network]
            .iter()
            .map(|network| program(network, architecture))
            .collect();
        Self {
            architecture: architecture.clone(),
            library,
            programs,
        }
    }

    /// Runs sessions on one device, with faults that follow from the seed.
    pub(crate) fn run(&self, seed: u64, sessions: usize, rates: Rates, tally: &mut Tally) {
        let mut bench = Bench::new(&self.library, seed, rates);
        for session in 0..sessions {
            // The larger network now and then.
            let program = &self.programs[[0, 1, 0, 1, 0, 1, 2][session % 7]];
            let before = bench.calls;
            let result = self.session(program, &mut bench, tally);
            match &result {
                Ok(()) => {}
                Err(DriverError::Link(_)) => tally.broken += 1,
                Err(error) => {
                    tally.failed += 1;
                    *tally.causes.entry(cause(error)).or_default() += 1;
                }
            }
            tally.sessions += 1;
            tally.calls_max = tally.calls_max.max(bench.calls - before);
            assert!(
                bench.calls - before < CALLS_MAX,
                "seed {seed}, session {session}: hangs: {result:?}"
            );
        }
        tally.faults += bench.faults.total();
        tally.last = bench.faults;
    }

    fn session(
        &self,
        program: &Program,
        bench: &mut Bench,
        tally: &mut Tally,
    ) -> Result<(), DriverError> {
        let mut session = Session::open(bench.link(), &self.architecture)?;
        session.limit_polls(2000);
        let mut runner = Runner::new(&mut session, &program.compiled.image)?;
        for (input, expected) in program.pairs.iter().take(INFERENCES) {
            let inference = runner.infer(input)?;
            tally.answers += 1;
            tally.wrong += usize::from(inference.output != *expected);
            tally.restarts += inference.restarts;
        }
        tally.repeated += session.traffic().repeated_requests;
        Ok(())
    }
}

/// An error without what differs from case to case.
fn cause(error: &DriverError) -> String {
    match error {
        DriverError::NoAnswer { command, .. } => format!("no answer to {command}"),
        DriverError::Refused {
            command, status, ..
        } => format!("{command} refused: {status}"),
        DriverError::Answer { command, .. } => format!("an answer to {command} of another size"),
        DriverError::Run { reason, .. } => format!("a run that stopped early: {reason}"),
        other => other.to_string(),
    }
}

fn program(network: &IntegerNetwork, architecture: &Architecture) -> Program {
    let compiled = compile(network, architecture).expect("compiles");
    let last = compiled.image.layers.last().expect("a layer").tensor;
    let shape = network.tensors[network.input].shape;
    let mut random = super::Random::new(11);
    let pairs = (0..INFERENCES)
        .map(|_| {
            let dim = (shape.height, shape.width, shape.channels);
            let input = ndarray::Array3::from_shape_simple_fn(dim, || random.byte());
            let golden = network::run(network, input.view()).expect("runs");
            let expected = golden[last].iter().copied().collect();
            (input.iter().copied().collect(), expected)
        })
        .collect();
    Program { compiled, pairs }
}
