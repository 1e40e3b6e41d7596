//! Every case on a processor in Verilator, through its host port: bytes of every layer against the golden network, counters of
//! every descriptor against the compiler's prediction.

use super::Case;
use bitweft::{
    compiler::{compile, cycles::predict},
    driver::{DriverError, Session, Simulated, Transport},
    golden::network,
};
use bitweft_isa::{
    Space,
    architecture::Architecture,
    port::{Command, Parsed, Status, parse_response, request},
};
use bitweft_sim::Library;

/// Polls of a run's state after which a mutated processor hangs; the longest descriptor of the cases takes fewer.
pub(crate) const POLLS_MAX: usize = 2000;

/// What has been compared, and found equal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Equal {
    pub(crate) inputs: usize,
    pub(crate) layers: usize,
    pub(crate) bytes: usize,
    pub(crate) counters: usize,
}

/// Runs cases on one processor, whose registers and memories start with bits drawn from the seed.
///
/// # Errors
/// The first difference, or what kept the processor from answering. `polls` bounds the wait for a run (`None`: the driver's bound).
pub(crate) fn run(
    library: &Library,
    architecture: &Architecture,
    cases: &[Case],
    seed: u64,
    polls: Option<usize>,
) -> Result<Equal, String> {
    let mut simulated = Simulated::new(library, seed).map_err(|error| error.to_string())?;
    refusals(&mut simulated, architecture)?;
    let mut session = Session::open(simulated, architecture).map_err(|error| error.to_string())?;
    if let Some(polls) = polls {
        session.limit_polls(polls);
    }
    let mut equal = Equal::default();
    for case in cases {
        for input in &case.inputs {
            run_input(&mut session, architecture, case, input, &mut equal)
                .map_err(|what| format!("{}: {what} (seed {seed})", case.network.name))?;
        }
    }
    Ok(equal)
}

/// Requests that the processor must refuse, each for its reason, before it has run anything.
fn refusals(simulated: &mut Simulated, architecture: &Architecture) -> Result<(), String> {
    let run = |fingerprint: u32, count: u16| {
        [&fingerprint.to_le_bytes()[..], &count.to_le_bytes()].concat()
    };
    let ours = architecture.fingerprint();
    let words = u32::try_from(architecture.program_words()).unwrap_or(u32::MAX);
    let beyond = u16::try_from(architecture.descriptor_count + 1).unwrap_or(u16::MAX);
    let (program, activation) = (Space::Program as u8, Space::Activation as u8);
    // An address whose low bits are one of the memory's.
    let far = 1 << 30;
    for (command, space, address, payload, expected) in [
        (Command::Write, program, far, vec![0; 4], Status::BadAddress),
        (
            Command::Write,
            program,
            words,
            vec![0; 4],
            Status::BadAddress,
        ),
        (Command::Write, program, 0, vec![0; 5], Status::BadLength),
        (Command::Write, 200, 0, vec![0; 4], Status::BadSpace),
        (
            Command::Read,
            activation,
            far,
            vec![1, 0],
            Status::BadAddress,
        ),
        (Command::Read, activation, 0, vec![1], Status::BadLength),
        (Command::Run, 0, far, run(ours, 1), Status::BadAddress),
        (Command::Run, 0, 0, run(ours, beyond), Status::BadAddress),
        (Command::Run, 0, 0, run(ours ^ 1, 1), Status::BadFingerprint),
        (Command::Run, 77, 0, run(ours, 1), Status::Stale),
        (Command::Rate, 0, far, vec![], Status::BadAddress),
    ] {
        let sent = request(command, 1, space, address, &payload);
        // With a pause, as bytes of a line come.
        let (first, rest) = sent.split_at(1);
        let mut answer = Vec::new();
        let mut status = None;
        let mut exchange = || -> Result<(), DriverError> {
            simulated.send(first)?;
            answer.extend(simulated.receive()?);
            simulated.send(rest)?;
            for _ in 0..simulated.patience() {
                answer.extend(simulated.receive()?);
                if let Parsed::Response(response, _) = parse_response(&answer) {
                    status = Some(response.status);
                    break;
                }
            }
            Ok(())
        };
        exchange().map_err(|error| error.to_string())?;
        if status != Some(expected as u8) {
            return Err(format!(
                "{command:?} at {address} in space {space}: {status:?} for {expected:?}"
            ));
        }
    }
    Ok(())
}

fn run_input(
    session: &mut Session<Simulated>,
    architecture: &Architecture,
    case: &Case,
    input: &ndarray::Array3<u8>,
    equal: &mut Equal,
) -> Result<(), String> {
    let compiled = compile(&case.network, architecture).map_err(|error| error.to_string())?;
    let expected = network::run(&case.network, input.view()).map_err(|error| error.to_string())?;
    let bytes: Vec<u8> = input.iter().copied().collect();
    let mut descriptors = compiled.descriptors.iter();
    let (mut layers, mut difference) = (0, None);
    let result = session.run_layers(&compiled.image, &bytes, |run| {
        let layer = &compiled.image.layers[run.layer];
        let golden = &expected[layer.tensor];
        if !golden.iter().eq(run.output.iter()) {
            difference = Some(format!(
                "bytes of {}, {:?}",
                layer.name, case.network.rounding
            ));
        }
        for counters in run.counters {
            let Some(info) = descriptors.next() else {
                difference = Some(format!(
                    "counters of more descriptors than {} has",
                    layer.name
                ));
                break;
            };
            let cycles = predict(info, architecture);
            let predicted = [
                cycles.cycles,
                cycles.busy,
                cycles.fill_stall,
                cycles.drain_stall,
            ];
            let measured = counters.map(u64::from);
            if measured != predicted && difference.is_none() {
                let what = format!("{measured:?}, {predicted:?} predicted, {info:?}");
                difference = Some(format!("counters of {}: {what}", layer.name));
            }
            equal.counters += counters.len();
        }
        equal.bytes += golden.len();
        layers += 1;
        difference.is_none()
    });
    // A run that was broken off at a difference is an error too: the difference is the news.
    if let Some(difference) = difference {
        return Err(difference);
    }
    result.map_err(|error| error.to_string())?;
    equal.inputs += 1;
    equal.layers += layers;
    match descriptors.next() {
        None if layers == compiled.image.layers.len() => Ok(()),
        _ => Err(format!(
            "{layers} of {} layers came back",
            compiled.image.layers.len()
        )),
    }
}
