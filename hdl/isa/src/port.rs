//! Framing of the host port, a byte stream each way.
//!
//! Request: magic, opcode, sequence, space, address (u32), length (u16), payload, CRC-32 (IEEE, over
//! everything between magic and CRC). Response: magic, opcode, sequence, status, length (u16), payload, CRC-32.
//! Little endian. The device acts on a request only after its CRC has matched; it answers every
//! request whose CRC matched, and nothing else except a [`Status::BadCrc`] response.
//!
//! Every request but Run may be sent again: it does the same again. A Run names the *tag* that the device must hold, and is refused
//! as [`Status::Stale`] where it holds another; a Run or a Stop that is taken makes its sequence the tag, reset makes it
//! 0. So a run is started at most once however often its request arrives, and a device that has lost its memories since
//! the host last spoke to it takes no run.

/// First byte of a request.
pub const REQUEST_MAGIC: u8 = 0xB7;
/// First byte of a response.
pub const RESPONSE_MAGIC: u8 = 0x7B;
/// Bytes of a request before its payload, magic included.
pub const REQUEST_HEADER: usize = 10;
/// Bytes of a response before its payload, magic included.
pub const RESPONSE_HEADER: usize = 6;
/// Bytes of a CRC.
pub const CRC: usize = 4;
/// Largest payload, in bytes.
pub const PAYLOAD_MAX: usize = 256;

/// Bits a second of a serial line. Its rate is the first of them after reset, after a break (ten bits low), and when no
/// request with a matching CRC has come for [`RATE_HOLD_BITS`].
pub const RATES: [u32; 4] = [115_200, 1_000_000, 2_000_000, 3_000_000];
/// Binary logarithm of the cycles that a rate other than the first is held without a valid request.
pub const RATE_HOLD_BITS: usize = 27;
/// Bytes that the device takes in while it answers; more than a request without payload has.
pub const BACKLOG: usize = 32;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Response payload: fingerprint (u32), contract version (u32).
    Identify = 0,
    /// Payload: whole rows, written from `address` on.
    Write = 1,
    /// Payload: count of rows (u16); response: the rows from `address` on. Activations and counters can be read.
    Read = 2,
    /// `address`: first descriptor; space: the tag expected; payload: fingerprint (u32), count of descriptors (u16).
    /// Answered at once.
    Run = 3,
    /// Response payload: state (u8: 0 idle, 1 running, 2 stopped by a bad descriptor), tag (u8), descriptors finished in
    /// the run (u16).
    Status = 4,
    /// Stops a run at the end of the descriptor in progress; sets the tag in any case.
    Stop = 5,
    /// `address`: index into [`RATES`]. Answered at the rate in force; the new one holds from the end of the response on.
    Rate = 6,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
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

impl Status {
    /// The status of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::Ok,
            Self::BadCrc,
            Self::BadCommand,
            Self::BadSpace,
            Self::BadAddress,
            Self::BadLength,
            Self::Busy,
            Self::BadFingerprint,
            Self::Stale,
        ]
        .into_iter()
        .find(|&status| status as u8 == code)
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
