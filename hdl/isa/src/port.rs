//! Framing of the host port, a byte stream each way.
//!
//! Request: magic, opcode, sequence, space, address (u32), length (u16), payload, CRC-32 (IEEE, over
//! everything between magic and CRC). Response: magic, opcode, sequence, status, length (u16), payload, CRC-32.
//! Little endian. The device acts on a request only after its CRC has matched; it answers every
//! request whose CRC matched, and nothing else except a [`Status::BadCrc`] response.

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
    /// `address`: first descriptor; payload: fingerprint (u32), count of descriptors (u16). Answered at once.
    Run = 3,
    /// Response payload: state (u8: 0 idle, 1 running, 2 stopped by a bad descriptor), 0 (u8), descriptors finished in
    /// the run (u16).
    Status = 4,
    /// Stops a run at the end of the descriptor in progress.
    Stop = 5,
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
    /// A run is in progress; only Identify, Status and Stop are taken.
    Busy = 6,
    /// The fingerprint of a Run is not this architecture's.
    BadFingerprint = 7,
}
