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
        let mut left = vec![(address, rows)];
        loop {
            let per_frame = self.rows_per_frame(space);
            let pieces: Vec<(usize, &[u8])> = left
                .iter()
                .flat_map(|(address, rows)| {
                    let frames = rows.chunks(per_frame * row).enumerate();
                    frames.map(move |(at, bytes)| (address + at * per_frame, bytes))
                })
                .collect();
            let requests: Vec<Request<'_>> = pieces
                .iter()
                .map(|(address, bytes)| Request {
                    command: Command::Write,
                    space: Some(space),
                    address: *address,
                    payload: bytes,
                })
                .collect();
            let mut done = vec![false; pieces.len()];
            let result = self.ask_ahead(WRITES_AHEAD, &requests, |at, _| done[at] = true);
            if !self.shortens(space, &result) {
                return result;
            }
            let pieces = pieces.into_iter().zip(done);
            left = pieces
                .filter(|(_, done)| !done)
                .map(|(piece, _)| piece)
                .collect();
        }
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
        let mut bytes: Vec<u8> = Vec::with_capacity(count * row);
        loop {
            let done = bytes.len() / row;
            let per_frame = self.rows_per_frame(space);
            let parts: Vec<(usize, usize, [u8; 2])> = (done..count)
                .step_by(per_frame)
                .map(|at| {
                    let rows = per_frame.min(count - at);
                    let asked = u16::try_from(rows).unwrap_or(u16::MAX).to_le_bytes();
                    (address + at, rows * row, asked)
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
            let mut answers = vec![None; parts.len()];
            let result = self.ask_ahead(READS_AHEAD, &requests, |at, payload| {
                answers[at] = Some(payload);
            });
            // What has come of the front stays.
            for (answer, (_, expected, _)) in answers.into_iter().map_while(|a| a).zip(&parts) {
                if answer.len() != *expected {
                    return Err(wrong_size(Command::Read, answer.len(), *expected));
                }
                bytes.extend(answer);
            }
            if !self.shortens(space, &result) {
                return result.map(|()| bytes);
            }
        }
    }

    fn rows_per_frame(&self, space: Space) -> usize {
        (self.payload_max / self.architecture.row_bytes(space)).max(1)
    }

    /// Whether frames of rows did not get through that can be made shorter, and are from now on.
    fn shortens(&mut self, space: Space, result: &Result<(), DriverError>) -> bool {
        let lost = matches!(result, Err(DriverError::NoAnswer { .. }));
        let shorter = lost && self.rows_per_frame(space) > 1;
        if shorter {
            self.payload_max = self.rows_per_frame(space) / 2 * self.architecture.row_bytes(space);
        }
        shorter
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
