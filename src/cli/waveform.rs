//! A waveform of one layer's run.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use bitweft::driver::{DriverError, Session, Simulated, Transport};
use bitweft_isa::{architecture::Architecture, image::Image, port::Command};
use bitweft_sim::{Library, SimError};

/// Where the recording is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The layer has not begun.
    Before,
    /// The layer's next run is recorded from its request on.
    Armed,
    /// Recording.
    Recording,
}

/// The simulated processor, with a recording that begins at a request to run.
struct Recorder<'a> {
    processor: Simulated,
    state: Rc<Cell<State>>,
    path: &'a Path,
}

impl Transport for Recorder<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        // Byte 1 of a request is its command.
        let runs = bytes.get(1) == Some(&(Command::Run as u8));
        if runs && self.state.get() == State::Armed {
            self.processor.model().trace_open(self.path)?;
            self.state.set(State::Recording);
        }
        self.processor.send(bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        self.processor.receive()
    }
}

/// Runs `input` up to layer `target` and writes an FST file of that layer's run, from the request of its first
/// descriptor to its output read back. `library` is built with `Profile::Trace`.
pub(crate) fn record(
    library: &Library,
    architecture: &Architecture,
    image: &Image,
    input: &[u8],
    target: usize,
    path: &Path,
) -> Result<()> {
    let state = Rc::new(Cell::new(State::Before));
    let recorder = Recorder {
        processor: Simulated::new(library, 1)?,
        state: Rc::clone(&state),
        path,
    };
    let mut session = Session::open(recorder, architecture)?;
    if target == 0 {
        state.set(State::Armed);
    }
    session.run_layers(image, input, |run| {
        if run.layer + 1 == target {
            state.set(State::Armed);
        }
        run.layer < target
    })?;
    let closed: Result<(), SimError> = session.transport().processor.model().trace_close();
    closed.with_context(|| path.display().to_string())
}
