//! Runs: started once, watched to their end, cancelled.

use super::{Request, Session, accepted, wrong_size};
use crate::driver::{DriverError, Transport};
use bitweft_isa::port::{Command, State, Status};
use std::time::{Duration, Instant};

/// Longest time that a descriptor takes to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// What the processor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStatus {
    /// What it is doing; none where that is nothing the contract knows.
    pub state: Option<State>,
    /// Sequence of the Run or Stop taken last.
    pub tag: u8,
    /// Descriptors finished in the run.
    pub finished: usize,
}

impl<T: Transport> Session<T> {
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
        self.start(&Request {
            command: Command::Run,
            space: None,
            address: first,
            payload: &payload,
        })?;
        let begin = Instant::now();
        for _ in 0..self.polls_max {
            let status = self.status()?;
            if status.tag != self.tag {
                return Err(DriverError::Reset);
            }
            let stopped = |reason| {
                Err(DriverError::Run {
                    finished: status.finished,
                    expected: count,
                    reason,
                })
            };
            match status.state {
                Some(State::Idle) if status.finished == count => return Ok(()),
                Some(State::Idle) => return stopped("it met an end or was stopped"),
                Some(State::Running) if begin.elapsed() > self.run_time_max => {
                    self.cancel()?;
                    return stopped("it did not end in time");
                }
                Some(State::Running) => {}
                Some(State::Stopped) | None => {
                    return stopped("it met a descriptor that is no operation");
                }
            }
        }
        Err(DriverError::Run {
            finished: 0,
            expected: count,
            reason: "it did not end in time",
        })
    }

    /// Starts a run, once: where the answer to the request got lost, the device's tag says whether it was taken.
    fn start(&mut self, run: &Request<'_>) -> Result<(), DriverError> {
        let response = self.exchange(run, self.tag)?;
        let sequence = self.sequence;
        let doubtful = [Status::Busy as u8, Status::Stale as u8].contains(&response.status);
        if doubtful {
            if self.status()?.tag != sequence {
                return Err(DriverError::Reset);
            }
        } else {
            accepted(run, response)?;
        }
        self.tag = sequence;
        Ok(())
    }

    /// What the processor is doing.
    ///
    /// # Errors
    /// The link.
    pub fn status(&mut self) -> Result<RunStatus, DriverError> {
        let payload = self.ask(Command::Status, None, 0, &[])?;
        let [state, tag, low, high] = payload[..] else {
            return Err(wrong_size(Command::Status, payload.len(), 4));
        };
        Ok(RunStatus {
            state: State::from_code(state),
            tag,
            finished: usize::from(u16::from_le_bytes([low, high])),
        })
    }

    /// Ends a run at the end of its descriptor, and waits for that; makes the device this session's in any case.
    ///
    /// # Errors
    /// The link, a descriptor that does not end.
    pub fn cancel(&mut self) -> Result<(), DriverError> {
        self.ask(Command::Stop, None, 0, &[])?;
        self.tag = self.sequence;
        let begin = Instant::now();
        for _ in 0..self.polls_max {
            if self.status()?.state != Some(State::Running) {
                return Ok(());
            }
            if begin.elapsed() > STOP_TIME_MAX {
                break;
            }
        }
        Err(DriverError::Run {
            finished: 0,
            expected: 0,
            reason: "it did not stop in time: reset the board",
        })
    }

    /// Makes sure that the device still holds what this session has done to it.
    ///
    /// # Errors
    /// It was reset, or somebody else has used it; the link.
    pub fn confirm(&mut self) -> Result<(), DriverError> {
        if self.status()?.tag == self.tag {
            Ok(())
        } else {
            Err(DriverError::Reset)
        }
    }
}
