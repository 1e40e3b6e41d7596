//! The contract as documents: Markdown to read, a C header to write another host with, JSON for everything else. All of
//! them are made from the tables that the code uses.

use crate::{
    COUNTERS, Counter, FILTER_BITS_MAX, QUAD, ROWS_MAX, Space, VERSION,
    architecture::Architecture,
    codes::{Code, Part},
    descriptor::{self, Field, Opcode},
    port::{self, Command, State, Status},
    record,
};
use serde::Serialize;

mod c;
mod markdown;

/// A number of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Constant {
    /// Name.
    pub name: String,
    /// Value.
    pub value: u64,
    /// What it is.
    pub text: &'static str,
}

/// A command of the host port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Name, opcode and meaning.
    #[serde(flatten)]
    pub code: Code,
    /// Payload of the request.
    pub payload: &'static [Part],
    /// Payload of the response.
    pub response: &'static [Part],
}

/// A memory of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Name of the space.
    pub space: &'static str,
    /// Rows.
    pub rows: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
}

/// What only one architecture has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Name of the architecture.
    pub name: String,
    /// Its fingerprint.
    pub fingerprint: u32,
    /// Columns of lanes, and banks of the activation memory.
    pub columns: usize,
    /// Inputs of a lane, and digits of a plane word.
    pub inputs: usize,
    /// Its memories.
    pub memories: Vec<Memory>,
}

/// The contract as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// Version.
    pub version: u32,
    /// Numbers.
    pub constants: Vec<Constant>,
    /// Parts of a request.
    pub request: &'static [Part],
    /// Parts of a response.
    pub response: &'static [Part],
    /// Commands.
    pub commands: Vec<Request>,
    /// How a request went.
    pub statuses: &'static [Code],
    /// What the processor is doing.
    pub states: &'static [Code],
    /// Memories.
    pub spaces: &'static [Code],
    /// Counters of a descriptor.
    pub counters: &'static [Code],
    /// What descriptors do.
    pub opcodes: &'static [Code],
    /// Fields of a descriptor.
    pub descriptor: &'static [Field],
    /// Fields of a filter record.
    pub record: &'static [Field],
    /// How both sides behave, in Markdown.
    pub rules: &'static str,
    /// One processor, if asked for.
    pub processor: Option<Processor>,
}

impl Contract {
    /// The contract; with an architecture and its name also what that one has of its own.
    #[must_use]
    pub fn new(processor: Option<(&str, &Architecture)>) -> Self {
        let commands = Command::ALL
            .iter()
            .zip(Command::CODES)
            .map(|(command, code)| Request {
                code: *code,
                payload: command.payload(),
                response: command.response(),
            });
        Self {
            version: VERSION,
            constants: constants(),
            request: &port::REQUEST,
            response: &port::RESPONSE,
            commands: commands.collect(),
            statuses: Status::CODES,
            states: State::CODES,
            spaces: Space::CODES,
            counters: Counter::CODES,
            opcodes: Opcode::CODES,
            descriptor: descriptor::FIELDS,
            record: &record::FIELDS,
            rules: port::RULES,
            processor: processor.map(|(name, architecture)| Processor::new(name, architecture)),
        }
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// As a header for C99 and C++.
    #[must_use]
    pub fn c_header(&self) -> String {
        c::write(self)
    }
}

impl Processor {
    fn new(name: &str, architecture: &Architecture) -> Self {
        let memory = |space: &Space| Memory {
            space: space.name(),
            rows: architecture.rows(*space),
            row_bytes: architecture.row_bytes(*space),
        };
        Self {
            name: name.to_owned(),
            fingerprint: architecture.fingerprint(),
            columns: architecture.columns,
            inputs: architecture.inputs(),
            memories: Space::ALL.iter().map(memory).collect(),
        }
    }
}

fn constants() -> Vec<Constant> {
    let mut constants: Vec<Constant> = [
        ("VERSION", VERSION as usize, "Version of this contract."),
        ("REQUEST_MAGIC", port::REQUEST_MAGIC.into(), "First byte of a request."),
        ("RESPONSE_MAGIC", port::RESPONSE_MAGIC.into(), "First byte of a response."),
        ("REQUEST_HEADER", port::REQUEST_HEADER, "Bytes of a request before its payload."),
        ("RESPONSE_HEADER", port::RESPONSE_HEADER, "Bytes of a response before its payload."),
        ("CRC_BYTES", port::CRC, "Bytes of a CRC."),
        ("PAYLOAD_MAX", port::PAYLOAD_MAX, "Largest payload, in bytes."),
        ("REQUEST_MAX", port::REQUEST_MAX, "Bytes of the longest request."),
        ("BACKLOG", port::BACKLOG, "Bytes that the device takes in while it answers."),
        ("PAUSE_BITS", port::PAUSE_BITS, "Binary logarithm of the longest pause within a frame, in cycles."),
        ("RATE_HOLD_BITS", port::RATE_HOLD_BITS, "Binary logarithm of the cycles that a rate other than the first is held without a valid request."),
        ("COUNTERS", COUNTERS, "Counters of a descriptor."),
        ("DESCRIPTOR_WORDS", descriptor::WORDS, "32-bit words of a descriptor."),
        ("RECORD_BYTES", record::BYTES, "Bytes of a filter record."),
        ("QUAD", QUAD, "Channels, and bytes, of an activation word."),
        ("ROWS_MAX", ROWS_MAX, "Rows of lanes, at most."),
        ("FILTER_BITS_MAX", FILTER_BITS_MAX.into(), "Widest filter, in bits."),
    ]
    .into_iter()
    .map(|(name, value, text)| Constant {
        name: name.to_owned(),
        value: value as u64,
        text,
    })
    .collect();
    constants.extend(port::RATES.iter().enumerate().map(|(at, rate)| Constant {
        name: format!("RATE_{at}"),
        value: u64::from(*rate),
        text: "Bits a second of a serial line.",
    }));
    constants
}
