//! The host's side of the processor: a byte stream (`Transport`), and a session of requests and
//! responses on it. A board and the simulated processor take the same session.

mod session;
mod simulated;

pub use session::{LayerRun, Session};
pub use simulated::Simulated;

use bitweft_isa::image::ImageError;

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
}

/// Why the processor could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The stream failed.
    #[error("link: {0}")]
    Link(String),
    /// No response in time.
    #[error(
        "no answer to {command} within the time allowed; check that the processor is connected and its clock runs"
    )]
    NoAnswer {
        /// Request.
        command: &'static str,
    },
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
    /// The processor is another one than the caller's architecture.
    #[error(
        "the processor is {what} {found:08x}, {expected:08x} was expected: use the architecture it was built from"
    )]
    Stranger {
        /// What differs.
        what: &'static str,
        /// Value found.
        found: u32,
        /// Value expected.
        expected: u32,
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
