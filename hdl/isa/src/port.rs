//! Framing of the host port.
//!
#![doc = include_str!("port/rules.md")]

use crate::codes::{Part, codes};

/// How the two sides behave: the part of the contract that is prose.
pub const RULES: &str = include_str!("port/rules.md");

/// First byte of a request.
pub const REQUEST_MAGIC: u8 = 0xB7;
/// First byte of a response.
pub const RESPONSE_MAGIC: u8 = 0x7B;

/// A request, part by part.
pub const REQUEST: [Part; 8] = [
    Part::new("magic", 1, "`REQUEST_MAGIC`."),
    Part::new("opcode", 1, "Command."),
    Part::new("sequence", 1, "The host's choice; 0 is no tag."),
    Part::new("space", 1, "Memory; for Run the tag expected."),
    Part::new("address", 4, "First row, or what the command says."),
    Part::new("length", 2, "Bytes of the payload, at most `PAYLOAD_MAX`."),
    Part::open("payload", "As the command says."),
    Part::new("crc", CRC, "Over opcode to payload."),
];

/// A response, part by part.
pub const RESPONSE: [Part; 7] = [
    Part::new("magic", 1, "`RESPONSE_MAGIC`."),
    Part::new("opcode", 1, "The request's."),
    Part::new("sequence", 1, "The request's."),
    Part::new("status", 1, "How the request went."),
    Part::new(
        "length",
        2,
        "Bytes of the payload; 0 unless the status is `Ok`.",
    ),
    Part::open("payload", "As the command says."),
    Part::new("crc", CRC, "Over opcode to payload."),
];

/// Bytes of a request before its payload, magic included.
pub const REQUEST_HEADER: usize = Part::head(&REQUEST);
/// Bytes of a response before its payload, magic included.
pub const RESPONSE_HEADER: usize = Part::head(&RESPONSE);
/// Bytes of a CRC.
pub const CRC: usize = 4;
/// Largest payload, in bytes.
pub const PAYLOAD_MAX: usize = 256;
/// Bytes of the longest request.
pub const REQUEST_MAX: usize = REQUEST_HEADER + PAYLOAD_MAX + CRC;

/// Bits a second of a serial line; the first one holds after reset.
pub const RATES: [u32; 4] = [115_200, 1_000_000, 2_000_000, 3_000_000];
/// Binary logarithm of the cycles that a rate other than the first is held without a valid request.
pub const RATE_HOLD_BITS: usize = 27;
/// Binary logarithm of the longest pause within a frame, in cycles.
pub const PAUSE_BITS: usize = 24;
/// Bytes that the device takes in while it answers; more than a request without payload has.
pub const BACKLOG: usize = 32;

codes! {
/// What a request asks for.
Command {
    /// Which processor this is.
    Identify = 0,
    /// Writes whole rows of a memory from `address` on. Counters cannot be written.
    Write = 1,
    /// Reads rows of a memory from `address` on. Activations and counters can be read.
    Read = 2,
    /// Starts a run at descriptor `address`, if the tag is the one in the place of the space.
    Run = 3,
    /// What the processor is doing.
    Status = 4,
    /// Stops a run at the end of the descriptor in progress; sets the tag in any case.
    Stop = 5,
    /// Sets the serial line's rate to the one of index `address`.
    Rate = 6,
}
}

impl Command {
    /// Payload of the request.
    #[must_use]
    pub fn payload(self) -> &'static [Part] {
        const ROWS: [Part; 1] = [Part::open("rows", "Whole rows, at least one.")];
        const COUNT: [Part; 1] = [Part::new(
            "count",
            2,
            "Rows; together at most `PAYLOAD_MAX` bytes.",
        )];
        const RUN: [Part; 2] = [
            Part::new(
                "fingerprint",
                4,
                "Of the architecture that the program is for.",
            ),
            Part::new("count", 2, "Descriptors, at least one."),
        ];
        match self {
            Self::Write => &ROWS,
            Self::Read => &COUNT,
            Self::Run => &RUN,
            Self::Identify | Self::Status | Self::Stop | Self::Rate => &[],
        }
    }

    /// Payload of the response, if the status is [`Status::Ok`].
    #[must_use]
    pub fn response(self) -> &'static [Part] {
        const IDENTITY: [Part; 2] = [
            Part::new("fingerprint", 4, "Of the processor's architecture."),
            Part::new("version", 4, "Of this contract."),
        ];
        const ROWS: [Part; 1] = [Part::open("rows", "The rows asked for.")];
        const STATUS: [Part; 3] = [
            Part::new("state", 1, "State of the processor."),
            Part::new(
                "tag",
                1,
                "Sequence of the Run or Stop taken last; 0 after reset.",
            ),
            Part::new("finished", 2, "Descriptors finished in the run."),
        ];
        match self {
            Self::Identify => &IDENTITY,
            Self::Read => &ROWS,
            Self::Status => &STATUS,
            Self::Write | Self::Run | Self::Stop | Self::Rate => &[],
        }
    }
}

codes! {
/// How a request went.
Status {
    /// Done (or started).
    Ok = 0,
    /// CRC mismatch; nothing was done.
    BadCrc = 1,
    /// Unknown command.
    BadCommand = 2,
    /// Unknown space, or one that cannot be written (or read).
    BadSpace = 3,
    /// Address or count beyond the space.
    BadAddress = 4,
    /// Payload (or what was asked for) empty, too long or not whole rows.
    BadLength = 5,
    /// A run is in progress; only Identify, Status, Stop and Rate are taken.
    Busy = 6,
    /// The fingerprint of a Run is not this architecture's.
    BadFingerprint = 7,
    /// The device does not hold the tag that a Run expects: it was reset, or has taken another Run or Stop.
    Stale = 8,
}
}

codes! {
/// What the processor is doing.
State {
    /// No run is in progress.
    Idle = 0,
    /// A run is in progress.
    Running = 1,
    /// The last run met a descriptor that is no operation.
    Stopped = 2,
}
}

/// A request's bytes. `payload` has at most [`PAYLOAD_MAX`] bytes.
#[must_use]
pub fn request(command: Command, sequence: u8, space: u8, address: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![REQUEST_MAGIC, command as u8, sequence, space];
    bytes.extend(address.to_le_bytes());
    // Longer payloads than PAYLOAD_MAX are refused by the device.
    bytes.extend(
        u16::try_from(payload.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    );
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes[1..]).to_le_bytes());
    bytes
}

/// A response whose CRC matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Opcode of the request.
    pub opcode: u8,
    /// Sequence of the request.
    pub sequence: u8,
    /// Status code.
    pub status: u8,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What the front of a stream of received bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A response, and the bytes it took.
    Response(Response, usize),
    /// Not the start of a response: drop so many bytes.
    Garbage(usize),
    /// More bytes are needed.
    Incomplete,
}

/// Reads the front of a stream of received bytes.
#[must_use]
pub fn parse_response(bytes: &[u8]) -> Parsed {
    if bytes.first().is_some_and(|&first| first != RESPONSE_MAGIC) {
        let next = bytes.iter().position(|&byte| byte == RESPONSE_MAGIC);
        return Parsed::Garbage(next.unwrap_or(bytes.len()));
    }
    let Some(head) = bytes.get(..RESPONSE_HEADER) else {
        return Parsed::Incomplete;
    };
    let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
    if length > PAYLOAD_MAX {
        return Parsed::Garbage(1);
    }
    let end = RESPONSE_HEADER + length;
    let Some(crc) = bytes.get(end..end + CRC) else {
        return Parsed::Incomplete;
    };
    if crc != crc32fast::hash(&bytes[1..end]).to_le_bytes() {
        return Parsed::Garbage(1);
    }
    let payload = bytes[RESPONSE_HEADER..end].to_vec();
    Parsed::Response(
        Response {
            opcode: head[1],
            sequence: head[2],
            status: head[3],
            payload,
        },
        end + CRC,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset and size of a part.
    fn place(parts: &[Part], name: &str) -> (usize, usize) {
        let at = parts
            .iter()
            .position(|part| part.name == name)
            .expect("a part");
        (Part::head(&parts[..at]), parts[at].bytes.expect("a size"))
    }

    #[test]
    fn frames_are_laid_out_as_the_tables_say() {
        let bytes = request(Command::Read, 0x11, 0x22, 0x3344_5566, &[7, 8]);
        for (name, expected) in [
            ("magic", u32::from(REQUEST_MAGIC)),
            ("opcode", Command::Read as u32),
            ("sequence", 0x11),
            ("space", 0x22),
            ("address", 0x3344_5566),
            ("length", 2),
        ] {
            let (at, size) = place(&REQUEST, name);
            let mut wide = [0; 4];
            wide[..size].copy_from_slice(&bytes[at..at + size]);
            assert_eq!(u32::from_le_bytes(wide), expected, "{name}");
        }
        assert_eq!(bytes.len(), REQUEST_HEADER + 2 + CRC);
        // Every part of a response differs from the others.
        let mut bytes = vec![RESPONSE_MAGIC, 1, 2, 3, 1, 0, 9];
        bytes.extend(crc32fast::hash(&bytes[1..]).to_le_bytes());
        let Parsed::Response(found, length) = parse_response(&bytes) else {
            panic!("no response");
        };
        let byte = |name| bytes[place(&RESPONSE, name).0];
        assert_eq!(
            [found.opcode, found.sequence, found.status],
            [byte("opcode"), byte("sequence"), byte("status")]
        );
        assert_eq!((found.payload, length), (vec![9], bytes.len()));
    }
}
