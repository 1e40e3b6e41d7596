//! Requests and responses (`isa::port`): what gets lost is sent again, all waiting is bounded. What is made of them is below:
//! memories, runs, inferences.

mod inference;
mod layers;
mod memory;
mod run;

pub use inference::{Inference, Runner};
pub use run::RunStatus;

use super::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space, VERSION,
    architecture::Architecture,
    port::{
        Command, PAYLOAD_MAX, Parsed, RATES, REQUEST_MAX, Response, Status, parse_response, request,
    },
};
use std::time::{Duration, Instant};

/// Times that a request is sent before it is given up.
const ATTEMPTS_MAX: usize = 6;
/// Attempts at the rate in force before the first rate is taken.
const ATTEMPTS_AT_RATE: usize = 2;
/// Zeros that end whatever frame the device may believe to be in, and that are breaks to a faster line.
const FLUSH: [u8; REQUEST_MAX] = [0; REQUEST_MAX];
/// Polls, and time, after which a run is given up, if the caller sets no other.
const POLLS_MAX: usize = 1_000_000;
const RUN_TIME_MAX: Duration = Duration::from_secs(120);
/// Silence after which a rate other than the first is not relied on: less than `isa::port::RATE_HOLD_BITS` last.
const RATE_HELD: Duration = Duration::from_millis(500);

/// One layer's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRun {
    /// Index into the image's layers.
    pub layer: usize,
    /// Output, `[h, w, c]` bytes.
    pub output: Vec<u8>,
    /// Counters of each of its descriptors.
    pub counters: Vec<[u32; COUNTERS]>,
}

/// What has gone over the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Requests that had to be sent again.
    pub repeated_requests: u64,
}

/// A conversation with one processor. Every call ends: requests that get lost are sent again a few times, and all
/// waiting is bounded.
pub struct Session<T> {
    transport: T,
    architecture: Architecture,
    sequence: u8,
    /// What the device's tag must be while it is this session's (`isa::port`).
    tag: u8,
    /// Index of the line's rate, and of the one to return to.
    rate: usize,
    rate_wanted: usize,
    heard: Instant,
    received: Vec<u8>,
    /// Payload of a request or response of rows: less where long ones do not get through.
    payload_max: usize,
    polls_max: usize,
    run_time_max: Duration,
    traffic: Traffic,
}

/// A request to be sent.
struct Request<'a> {
    command: Command,
    space: Option<Space>,
    address: usize,
    payload: &'a [u8],
}

impl<T: Transport> Session<T> {
    /// Opens a session and makes sure that the processor is of the architecture.
    ///
    /// # Errors
    /// No answer, another contract version, another architecture.
    pub fn open(transport: T, architecture: &Architecture) -> Result<Self, DriverError> {
        Self::discover(transport, std::slice::from_ref(architecture))
    }

    /// Opens a session with a processor of one of the architectures.
    ///
    /// # Errors
    /// No answer, another contract version, none of the architectures.
    ///
    /// # Panics
    /// No architectures.
    pub fn discover(transport: T, architectures: &[Architecture]) -> Result<Self, DriverError> {
        let mut session = Self {
            sequence: transport.first_sequence(),
            transport,
            architecture: architectures[0].clone(),
            tag: 0,
            rate: 0,
            rate_wanted: 0,
            heard: Instant::now(),
            received: Vec::new(),
            payload_max: PAYLOAD_MAX,
            polls_max: POLLS_MAX,
            run_time_max: RUN_TIME_MAX,
            traffic: Traffic::default(),
        };
        session.transport.set_rate(RATES[0])?;
        let (fingerprint, version) = session.identify()?;
        if version != VERSION {
            return Err(DriverError::Version { found: version });
        }
        let known = architectures
            .iter()
            .find(|architecture| architecture.fingerprint() == fingerprint);
        let Some(known) = known else {
            return Err(DriverError::Stranger { found: fingerprint });
        };
        session.architecture = known.clone();
        session.cancel()?;
        Ok(session)
    }

    /// Fingerprint and contract version of the processor.
    ///
    /// # Errors
    /// No answer.
    pub fn identify(&mut self) -> Result<(u32, u32), DriverError> {
        let payload = self.ask(Command::Identify, None, 0, &[])?;
        let [a, b, c, d, e, f, g, h] = payload[..] else {
            return Err(wrong_size(Command::Identify, payload.len(), 8));
        };
        Ok((
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        ))
    }

    /// The architecture of the processor.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Sets after how many polls a run is given up.
    pub fn limit_polls(&mut self, polls: usize) {
        self.polls_max = polls;
    }

    /// Sets after what time a run is given up.
    pub fn limit_run_time(&mut self, time: Duration) {
        self.run_time_max = time;
    }

    /// The stream below.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// What has gone over the link so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bits a second of the line in force, where the link is a serial line.
    pub fn rate(&self) -> u32 {
        RATES[self.rate]
    }

    /// Takes the line to the fastest rate at which both sides understand each other; later losses of it are made good.
    /// Gives whether the link has rates at all.
    ///
    /// # Errors
    /// No answer at any rate.
    pub fn speed_up(&mut self) -> Result<bool, DriverError> {
        for rate in (self.rate + 1..RATES.len()).rev() {
            if !self.transport.has_rates() {
                return Ok(false);
            }
            self.ask(Command::Rate, None, rate, &[])?;
            if !self.transport.set_rate(RATES[rate])? {
                continue;
            }
            self.rate = rate;
            // Returns to the first rate by itself where this one does not work.
            self.identify()?;
            if self.rate == rate {
                self.rate_wanted = rate;
                return Ok(true);
            }
        }
        Ok(self.transport.has_rates())
    }

    /// Takes the line back to its rate after it has been lost.
    pub(super) fn regain_rate(&mut self) -> Result<(), DriverError> {
        self.stay_in_step()?;
        if self.rate < self.rate_wanted {
            self.rate_wanted = 0;
            self.speed_up()?;
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> u8 {
        loop {
            self.sequence = self.sequence.wrapping_add(1);
            if self.sequence != 0 && self.sequence != self.tag {
                return self.sequence;
            }
        }
    }

    pub(super) fn ask(
        &mut self,
        command: Command,
        space: Option<Space>,
        address: usize,
        payload: &[u8],
    ) -> Result<Vec<u8>, DriverError> {
        let asked = Request {
            command,
            space,
            address,
            payload,
        };
        let code = space.map_or(0, |space| space as u8);
        let response = self.exchange(&asked, code)?;
        accepted(&asked, response)
    }

    /// Sends a request, again where need be, and gives what answers it.
    fn exchange(&mut self, asked: &Request<'_>, space: u8) -> Result<Response, DriverError> {
        self.stay_in_step()?;
        let sequence = self.next_sequence();
        let row = u32::try_from(asked.address).unwrap_or(u32::MAX);
        let bytes = request(asked.command, sequence, space, row, asked.payload);
        let mut garbage_bytes = 0;
        for attempt in 0..ATTEMPTS_MAX {
            if attempt >= ATTEMPTS_AT_RATE && self.rate > 0 {
                self.first_rate()?;
            } else if attempt > 0 {
                self.send(&FLUSH)?;
            }
            self.traffic.repeated_requests += u64::from(attempt > 0);
            self.send(&bytes)?;
            if let Some(response) = self.response(&[sequence], asked.command, &mut garbage_bytes)? {
                return Ok(response);
            }
        }
        Err(DriverError::NoAnswer {
            command: asked.command.name(),
            garbage_bytes,
        })
    }

    /// After a silence the device may have left its rate: so does this side.
    fn stay_in_step(&mut self) -> Result<(), DriverError> {
        if self.rate > 0 && self.heard.elapsed() > RATE_HELD {
            self.first_rate()?;
        }
        Ok(())
    }

    /// The first rate, on both sides.
    fn first_rate(&mut self) -> Result<(), DriverError> {
        self.rate = 0;
        self.transport.set_rate(RATES[0])?;
        self.send(&FLUSH)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        self.traffic.sent_bytes += bytes.len() as u64;
        self.transport.send(bytes)
    }

    /// The next response to one of the sequences that is no CRC error; none after silence, or a CRC error of one of them.
    fn response(
        &mut self,
        sequences: &[u8],
        command: Command,
        garbage_bytes: &mut usize,
    ) -> Result<Option<Response>, DriverError> {
        let (mut silence, mut quanta) = (0, 0);
        let patience = self.transport.patience();
        // Garbage that never ends must end the wait, too.
        while silence < patience && quanta < 16 * patience {
            match parse_response(&self.received) {
                Parsed::Response(response, bytes) => {
                    self.received.drain(..bytes);
                    self.heard = Instant::now();
                    let ours =
                        response.opcode == command as u8 && sequences.contains(&response.sequence);
                    match ours {
                        true if response.status == Status::BadCrc as u8 => return Ok(None),
                        true => return Ok(Some(response)),
                        false => continue,
                    }
                }
                Parsed::Garbage(bytes) if bytes > 0 => {
                    *garbage_bytes += bytes;
                    self.received.drain(..bytes);
                    continue;
                }
                Parsed::Garbage(_) | Parsed::Incomplete => {}
            }
            let bytes = self.transport.receive()?;
            quanta += 1;
            silence = if bytes.is_empty() { silence + 1 } else { 0 };
            self.traffic.received_bytes += bytes.len() as u64;
            self.received.extend(bytes);
        }
        // Half a response that will not be completed.
        *garbage_bytes += self.received.len();
        self.received.clear();
        Ok(None)
    }

    /// Sends several requests of one kind, a few ahead of their answers; `take` sees each answer's payload with
    /// the request's index. What gets lost is sent again on its own.
    fn ask_ahead(
        &mut self,
        ahead: usize,
        requests: &[Request<'_>],
        mut take: impl FnMut(usize, Vec<u8>),
    ) -> Result<(), DriverError> {
        for (window, asked) in requests.chunks(ahead).enumerate() {
            self.stay_in_step()?;
            let mut waiting = Vec::with_capacity(asked.len());
            for request_ in asked {
                let sequence = self.next_sequence();
                let row = u32::try_from(request_.address).unwrap_or(u32::MAX);
                let code = request_.space.map_or(0, |space| space as u8);
                let bytes = request(request_.command, sequence, code, row, request_.payload);
                self.send(&bytes)?;
                waiting.push(sequence);
            }
            let mut answered = vec![false; asked.len()];
            for _ in 0..asked.len() {
                let response = self.response(&waiting, asked[0].command, &mut 0)?;
                let Some(response) = response else { break };
                let Some(at) = waiting.iter().position(|s| *s == response.sequence) else {
                    break;
                };
                if !std::mem::replace(&mut answered[at], true) {
                    take(window * ahead + at, accepted(&asked[at], response)?);
                }
            }
            for (at, request_) in asked.iter().enumerate().filter(|(at, _)| !answered[*at]) {
                self.traffic.repeated_requests += 1;
                let payload = self.ask(
                    request_.command,
                    request_.space,
                    request_.address,
                    request_.payload,
                )?;
                take(window * ahead + at, payload);
            }
        }
        Ok(())
    }
}

fn wrong_size(command: Command, found: usize, expected: usize) -> DriverError {
    DriverError::Answer {
        command: command.name(),
        found,
        expected,
    }
}

/// A response's payload, unless it is a refusal.
fn accepted(asked: &Request<'_>, response: Response) -> Result<Vec<u8>, DriverError> {
    if response.status == Status::Ok as u8 {
        return Ok(response.payload);
    }
    let status = Status::from_code(response.status)
        .map_or_else(|| response.status.to_string(), |s| s.name().to_owned());
    Err(DriverError::Refused {
        command: asked.command.name(),
        space: asked.space.map_or("no memory", space_name),
        address: asked.address,
        status,
    })
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Program => "program memory",
        Space::Record => "record memory",
        Space::Plane => "plane memory",
        Space::Activation => "activation memory",
        Space::Counter => "counter memory",
    }
}
