//! The processor's memories through requests.

use super::{Request, Session, wrong_size};
use crate::driver::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space,
    image::{Image, Phase, Write},
    layout::Placement,
    port::{Command, PAYLOAD_MAX},
};

/// Requests on their way at a time: what is written, and what is read (`isa::port::BACKLOG`).
const WRITES_AHEAD: usize = 8;
const READS_AHEAD: usize = 2;
/// Requests between two looks at the progress of loading.
const REQUESTS_A_PART: usize = 4 * WRITES_AHEAD;

impl<T: Transport> Session<T> {
    /// Writes whole rows from `address` on.
    ///
    /// # Errors
    /// The link, or the processor's refusal.
    pub fn write(&mut self, space: Space, address: usize, rows: &[u8]) -> Result<(), DriverError> {
        let row = self.architecture.row_bytes(space);
        let per_frame = PAYLOAD_MAX / row;
        let requests: Vec<Request<'_>> = rows
            .chunks(per_frame * row)
            .enumerate()
            .map(|(frame, bytes)| Request {
                command: Command::Write,
                space: Some(space),
                address: address + frame * per_frame,
                payload: bytes,
            })
            .collect();
        self.ask_ahead(WRITES_AHEAD, &requests, |_, _| ())
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
        let parts: Vec<(usize, usize, [u8; 2])> = (0..count)
            .step_by(per_frame)
            .map(|done| {
                let rows = per_frame.min(count - done);
                let asked = u16::try_from(rows).unwrap_or(u16::MAX).to_le_bytes();
                (address + done, rows * row, asked)
            })
            .collect();
        let requests: Vec<Request<'_>> = parts
            .iter()
            .map(|(address, _, asked)| Request {
                command: Command::Read,
                space: Some(space),
                address: *address,
                payload: asked,
            })
            .collect();
        let mut answers = vec![Vec::new(); parts.len()];
        self.ask_ahead(READS_AHEAD, &requests, |at, payload| answers[at] = payload)?;
        for (answer, (_, expected, _)) in answers.iter().zip(&parts) {
            if answer.len() != *expected {
                return Err(wrong_size(Command::Read, answer.len(), *expected));
            }
        }
        Ok(answers.concat())
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

    /// What is to be written, in parts of not too many requests: first row and rows of each.
    pub(super) fn parts<'w>(&self, write: &'w Write) -> Vec<(usize, &'w [u8])> {
        let row = self.architecture.row_bytes(write.space);
        let rows = REQUESTS_A_PART * (PAYLOAD_MAX / row);
        let parts = write.rows.chunks(rows * row).enumerate();
        parts
            .map(|(at, part)| (write.address + at * rows, part))
            .collect()
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
}
