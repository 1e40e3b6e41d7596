//! The host's side of the processor: a byte stream (`Transport`), and a session of requests and
//! responses on it. A board and the simulated processor take the same session.

mod endpoint;
pub mod mlperf_tiny;
mod serial;
mod session;
mod simulated;
mod tcp;
mod virtual_board;

pub use endpoint::Endpoint;
pub use serial::Serial;
pub use session::{Inference, LayerRun, RunStatus, Runner, Session, Traffic};
pub use simulated::Simulated;
pub use tcp::Tcp;
pub use virtual_board::{BitLevel, ByteLevel, Device, serve};

/// Bits a second of a serial line that nobody has changed.
const FIRST_RATE: u32 = bitweft_isa::port::RATES[0];

use bitweft_isa::{VERSION, image::ImageError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A byte stream to a processor.
pub trait Transport {
    /// Sends all bytes.
    ///
    /// # Errors
    /// The stream is broken.
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError>;

    /// Lets a bounded time pass and gives what has come by then, perhaps nothing.
    ///
    /// # Errors
    /// The stream is broken.
    fn receive(&mut self) -> Result<Vec<u8>, DriverError>;

    /// Empty receptions in a row after which nothing more is to be expected.
    fn patience(&self) -> usize {
        100
    }

    /// Where a session's sequences begin: answers to whoever used the link before must not look like answers to it.
    fn first_sequence(&self) -> u8 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |time| (time.subsec_nanos() >> 4).to_le_bytes()[0])
    }

    /// Whether it is a serial line, whose rate this side must set.
    fn has_rates(&self) -> bool {
        false
    }

    /// Sets a serial line's rate once all has been sent; false where the line cannot have it. Other streams do nothing.
    ///
    /// # Errors
    /// The stream is broken.
    fn set_rate(&mut self, _bits_per_second: u32) -> Result<bool, DriverError> {
        Ok(true)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        (**self).send(bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        (**self).receive()
    }

    fn patience(&self) -> usize {
        (**self).patience()
    }

    fn first_sequence(&self) -> u8 {
        (**self).first_sequence()
    }

    fn has_rates(&self) -> bool {
        (**self).has_rates()
    }

    fn set_rate(&mut self, bits_per_second: u32) -> Result<bool, DriverError> {
        (**self).set_rate(bits_per_second)
    }
}

/// Why the processor could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The stream failed.
    #[error("link: {0}")]
    Link(String),
    /// The port cannot be opened.
    #[error("{name}: {reason}; {help}")]
    Port {
        /// Port.
        name: String,
        /// The system's reason.
        reason: String,
        /// What to do.
        help: &'static str,
    },
    /// No response in time.
    #[error(
        "no answer to {command}{}; check that this is the board's port, that the board has bitweft's bitstream, and that its clock runs; of a virtual board the simulated line may be too slow: serve it with --fast-link",
        if *.garbage_bytes > 0 { format!(", only {garbage_bytes} bytes that are none") } else { String::new() }
    )]
    NoAnswer {
        /// Request.
        command: &'static str,
        /// Bytes that came and were no answer.
        garbage_bytes: usize,
    },
    /// The device does not hold what the session has written.
    #[error("the processor was reset, or another program has used it: run again")]
    Reset,
    /// The processor refused a request.
    #[error("the processor refused {command} of {space}, row {address}: {status}")]
    Refused {
        /// Request.
        command: &'static str,
        /// Memory.
        space: &'static str,
        /// First row.
        address: usize,
        /// Status.
        status: String,
    },
    /// The processor was built from another version of the contract.
    #[error(
        "the board's bitstream is of contract version {found}, this program of version {VERSION}: load a bitstream that this \
         version of bitweft has made, or use the version that made the board's"
    )]
    Version {
        /// Version found.
        found: u32,
    },
    /// The processor is another one than the caller's architecture.
    #[error(
        "the board's processor has the fingerprint {found:08x}, which no architecture asked for has"
    )]
    Stranger {
        /// Fingerprint found.
        found: u32,
    },
    /// A response that does not answer the request.
    #[error("the processor's answer to {command} has {found} bytes, {expected} were expected")]
    Answer {
        /// Request.
        command: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The program image does not suit the processor.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A run did not end in time, or ended early.
    #[error("the run stopped after {finished} of {expected} descriptors: {reason}")]
    Run {
        /// Descriptors finished.
        finished: usize,
        /// Descriptors of the run.
        expected: usize,
        /// Why.
        reason: &'static str,
    },
    /// What was loaded does not compute what it should.
    #[error(
        "{differing} of {total} bytes of a known answer differ (byte {first} is {found}, not {expected}): what the board holds or \
         how it computes is not sound; load again, and make sure that its bitstream meets its clock"
    )]
    Unsound {
        /// Bytes that differ.
        differing: usize,
        /// Bytes of the answer.
        total: usize,
        /// The first byte that differs.
        first: usize,
        /// Its value.
        found: u8,
        /// What it should be.
        expected: u8,
    },
    /// Input of another size than the image's.
    #[error("the input has {found} bytes, the program expects {expected}")]
    Input {
        /// Bytes given.
        found: usize,
        /// Bytes of the input.
        expected: usize,
    },
    /// The simulator failed.
    #[error("simulation: {0}")]
    Simulation(#[from] bitweft_sim::SimError),
}
