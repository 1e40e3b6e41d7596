//! Requests and responses (`isa::port`), and what is made of them: loading, running, reading back.

use super::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space, VERSION,
    architecture::Architecture,
    image::{Image, Layer, Phase},
    layout::Placement,
    port::{Command, PAYLOAD_MAX, Parsed, Response, Status, parse_response, request},
};

/// Empty receptions in a row after which a response is given up.
const SILENCE_MAX: usize = 64;
/// Polls after which a run is given up, if the caller sets no other number.
const POLLS_MAX: usize = 1_000_000;

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

/// A conversation with one processor.
pub struct Session<T> {
    transport: T,
    architecture: Architecture,
    sequence: u8,
    received: Vec<u8>,
    polls_max: usize,
}

impl<T: Transport> Session<T> {
    /// Opens a session and makes sure that the processor is of the architecture.
    ///
    /// # Errors
    /// No answer, another contract version, another architecture.
    pub fn open(transport: T, architecture: &Architecture) -> Result<Self, DriverError> {
        let mut session = Self {
            transport,
            architecture: architecture.clone(),
            sequence: 0,
            received: Vec::new(),
            polls_max: POLLS_MAX,
        };
        let payload = session.ask(Command::Identify, None, 0, &[])?;
        let word = |at: usize| {
            payload
                .get(at..at + 4)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_le_bytes)
        };
        for (what, found, expected) in [
            ("of contract version", word(4), VERSION),
            ("of architecture", word(0), architecture.fingerprint()),
        ] {
            if found != expected {
                return Err(DriverError::Stranger {
                    what,
                    found,
                    expected,
                });
            }
        }
        Ok(session)
    }

    /// Sets after how many polls a run is given up.
    pub fn limit_polls(&mut self, polls: usize) {
        self.polls_max = polls;
    }

    /// The stream below.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    fn ask(
        &mut self,
        command: Command,
        space: Option<Space>,
        address: usize,
        payload: &[u8],
    ) -> Result<Vec<u8>, DriverError> {
        self.sequence = self.sequence.wrapping_add(1);
        let code = space.map_or(0, |space| space as u8);
        let row = u32::try_from(address).unwrap_or(u32::MAX);
        self.transport
            .send(&request(command, self.sequence, code, row, payload))?;
        let response = self.response(command)?;
        if response.status == Status::Ok as u8 {
            return Ok(response.payload);
        }
        let status = Status::from_code(response.status)
            .map_or_else(|| response.status.to_string(), |s| format!("{s:?}"));
        Err(DriverError::Refused {
            command: name(command),
            space: space.map_or("no memory", space_name),
            address,
            status,
        })
    }

    fn response(&mut self, command: Command) -> Result<Response, DriverError> {
        let mut silence = 0;
        while silence < SILENCE_MAX {
            match parse_response(&self.received) {
                Parsed::Response(response, bytes) => {
                    self.received.drain(..bytes);
                    if (response.opcode, response.sequence) == (command as u8, self.sequence) {
                        return Ok(response);
                    }
                    continue;
                }
                Parsed::Garbage(bytes) if bytes > 0 => {
                    self.received.drain(..bytes);
                    continue;
                }
                Parsed::Garbage(_) | Parsed::Incomplete => {}
            }
            let bytes = self.transport.receive()?;
            silence = if bytes.is_empty() { silence + 1 } else { 0 };
            self.received.extend(bytes);
        }
        Err(DriverError::NoAnswer {
            command: name(command),
        })
    }

    /// Writes whole rows from `address` on.
    ///
    /// # Errors
    /// The link, or the processor's refusal.
    pub fn write(&mut self, space: Space, address: usize, rows: &[u8]) -> Result<(), DriverError> {
        let row = self.architecture.row_bytes(space);
        let per_frame = PAYLOAD_MAX / row;
        for (frame, bytes) in rows.chunks(per_frame * row).enumerate() {
            self.ask(
                Command::Write,
                Some(space),
                address + frame * per_frame,
                bytes,
            )?;
        }
        Ok(())
    }

    /// Reads `count` rows from `address` on.
    ///
    /// # Errors
    /// The link, or the processor's refusal.
    pub fn read(
        &mut self,
        space: Space,
        address: usize,
        count: usize,
    ) -> Result<Vec<u8>, DriverError> {
        let row = self.architecture.row_bytes(space);
        let per_frame = PAYLOAD_MAX / row;
        let mut bytes = Vec::with_capacity(count * row);
        let mut done = 0;
        while done < count {
            let rows = per_frame.min(count - done);
            let asked = u16::try_from(rows).unwrap_or(u16::MAX).to_le_bytes();
            let payload = self.ask(Command::Read, Some(space), address + done, &asked)?;
            if payload.len() != rows * row {
                return Err(DriverError::Answer {
                    command: "Read",
                    found: payload.len(),
                    expected: rows * row,
                });
            }
            bytes.extend(payload);
            done += rows;
        }
        Ok(bytes)
    }

    /// Runs `count` descriptors from `first` on, to their end.
    ///
    /// # Errors
    /// The link, a refusal, a run that stops early or does not end.
    pub fn run(&mut self, first: usize, count: usize) -> Result<(), DriverError> {
        if count == 0 {
            return Ok(());
        }
        let mut payload = self.architecture.fingerprint().to_le_bytes().to_vec();
        payload.extend(u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        self.ask(Command::Run, None, first, &payload)?;
        for _ in 0..self.polls_max {
            let status = self.ask(Command::Status, None, 0, &[])?;
            let [state, _, low, high] = status[..] else {
                return Err(DriverError::Answer {
                    command: "Status",
                    found: status.len(),
                    expected: 4,
                });
            };
            let finished = usize::from(u16::from_le_bytes([low, high]));
            let stopped = |reason| {
                Err(DriverError::Run {
                    finished,
                    expected: count,
                    reason,
                })
            };
            match state {
                0 if finished == count => return Ok(()),
                0 => return stopped("it met an end or was stopped"),
                1 => {}
                _ => return stopped("it met a descriptor that is no operation"),
            }
        }
        Err(DriverError::Run {
            finished: 0,
            expected: count,
            reason: "it did not end in time",
        })
    }

    /// Counters of `count` descriptors of the phase that ran last.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub fn counters(
        &mut self,
        first: usize,
        count: usize,
    ) -> Result<Vec<[u32; COUNTERS]>, DriverError> {
        let bytes = self.read(Space::Counter, first * COUNTERS, count * COUNTERS)?;
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|b| b.try_into().map_or(0, u32::from_le_bytes))
            .collect();
        Ok(words
            .chunks_exact(COUNTERS)
            .filter_map(|four| four.try_into().ok())
            .collect())
    }

    /// Writes everything a phase needs.
    ///
    /// # Errors
    /// As [`Session::write`].
    pub fn load(&mut self, phase: &Phase) -> Result<(), DriverError> {
        phase
            .writes
            .iter()
            .try_for_each(|write| self.write(write.space, write.address, &write.rows))
    }

    /// Writes an input, `[h, w, c]` bytes.
    ///
    /// # Errors
    /// Another size than the image's; as [`Session::write`].
    pub fn write_input(&mut self, image: &Image, input: &[u8]) -> Result<(), DriverError> {
        let place = image.input;
        let expected = place.height * place.width * place.channels;
        if input.len() != expected {
            return Err(DriverError::Input {
                found: input.len(),
                expected,
            });
        }
        let rows = place.pack(&self.architecture, input);
        self.write(Space::Activation, place.base, &rows)
    }

    /// Reads a tensor, `[h, w, c]` bytes.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub fn read_tensor(&mut self, place: &Placement) -> Result<Vec<u8>, DriverError> {
        let rows = self.read(
            Space::Activation,
            place.base,
            place.words(self.architecture.columns),
        )?;
        Ok(place.unpack(&self.architecture, &rows))
    }

    /// Runs an image on one input, layer by layer, reading back every layer; `visit` sees each as it ends and
    /// says whether to go on.
    ///
    /// # Errors
    /// An image for another architecture; everything that can go wrong on the way.
    pub fn run_layers(
        &mut self,
        image: &Image,
        input: &[u8],
        mut visit: impl FnMut(LayerRun) -> bool,
    ) -> Result<(), DriverError> {
        image.check(&self.architecture)?;
        self.write_input(image, input)?;
        let mut at = Position {
            phase: 0,
            descriptor: 0,
            loaded: false,
        };
        let kept = |index: usize| {
            image
                .layers
                .iter()
                .any(|layer| layer.restores.iter().any(|restore| restore.layer == index))
        };
        let mut outputs: Vec<Vec<u8>> = Vec::with_capacity(image.layers.len());
        for (index, layer) in image.layers.iter().enumerate() {
            for restore in &layer.restores {
                let rows = restore
                    .place
                    .pack(&self.architecture, &outputs[restore.layer]);
                self.write(Space::Activation, restore.place.base, &rows)?;
            }
            let counters = self.run_layer(image, layer, &mut at)?;
            let output = self.read_tensor(&layer.output)?;
            outputs.push(if kept(index) {
                output.clone()
            } else {
                Vec::new()
            });
            if !visit(LayerRun {
                layer: index,
                output,
                counters,
            }) {
                break;
            }
        }
        Ok(())
    }

    fn run_layer(
        &mut self,
        image: &Image,
        layer: &Layer,
        at: &mut Position,
    ) -> Result<Vec<[u32; COUNTERS]>, DriverError> {
        let mut left = layer.descriptors;
        let mut counters = Vec::with_capacity(left);
        while let Some(phase) = image.phases.get(at.phase).filter(|_| left > 0) {
            if !at.loaded {
                self.load(phase)?;
                at.loaded = true;
            }
            let count = left.min(phase.descriptors - at.descriptor);
            self.run(at.descriptor, count)?;
            counters.extend(self.counters(at.descriptor, count)?);
            left -= count;
            at.descriptor += count;
            if at.descriptor == phase.descriptors {
                *at = Position {
                    phase: at.phase + 1,
                    descriptor: 0,
                    loaded: false,
                };
            }
        }
        Ok(counters)
    }
}

/// Where in an image's phases a run is.
struct Position {
    phase: usize,
    descriptor: usize,
    loaded: bool,
}

fn name(command: Command) -> &'static str {
    match command {
        Command::Identify => "Identify",
        Command::Write => "Write",
        Command::Read => "Read",
        Command::Run => "Run",
        Command::Status => "Status",
        Command::Stop => "Stop",
    }
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
