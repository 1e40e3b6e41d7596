//! Inferences: an image on one input after the other, only what is needed written and read, started anew where the device
//! was reset.

use super::Session;
use crate::driver::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space,
    image::{Image, Layer},
};
use std::time::{Duration, Instant};

/// Times that an inference is begun before it is given up.
const STARTS_MAX: usize = 6;

/// What an inference gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inference {
    /// Output of the last layer, `[h, w, c]` bytes.
    pub output: Vec<u8>,
    /// Cycles of all descriptors.
    pub cycles: u64,
    /// From the first byte sent to the last one received.
    pub latency: Duration,
    /// Times it was begun anew.
    pub restarts: usize,
}

/// A network on a processor. It stays there between inferences where the processor has room for all of it.
pub struct Runner<'a, T> {
    session: &'a mut Session<T>,
    image: &'a Image,
    /// The phase whose rows the processor's memories hold.
    resident: Option<usize>,
}

/// Where in an image's phases an inference is.
#[derive(Default)]
struct Position {
    phase: usize,
    descriptor: usize,
    /// Descriptors that the next run takes.
    pending: usize,
    cycles: u64,
}

impl<'a, T: Transport> Runner<'a, T> {
    /// A network about to be run.
    ///
    /// # Errors
    /// An image for another architecture.
    pub fn new(session: &'a mut Session<T>, image: &'a Image) -> Result<Self, DriverError> {
        image.check(session.architecture())?;
        Ok(Self {
            session,
            image,
            resident: None,
        })
    }

    /// The session below.
    pub fn session(&mut self) -> &mut Session<T> {
        self.session
    }

    /// Writes the first phase, so that the first inference takes no longer than the others.
    ///
    /// # Errors
    /// As [`Session::write`].
    pub fn load(&mut self) -> Result<(), DriverError> {
        self.session.regain_rate()?;
        self.make_resident(0)
    }

    /// Runs one input, `[h, w, c]` bytes.
    ///
    /// # Errors
    /// Another size than the image's input; everything that can go wrong on the way and that beginning anew does not help.
    pub fn infer(&mut self, input: &[u8]) -> Result<Inference, DriverError> {
        let begin = Instant::now();
        let mut restarts = 0;
        loop {
            match self.attempt(input) {
                Ok((output, cycles)) => {
                    return Ok(Inference {
                        output,
                        cycles,
                        latency: begin.elapsed(),
                        restarts,
                    });
                }
                Err(DriverError::Reset | DriverError::Run { .. }) if restarts + 1 < STARTS_MAX => {
                    restarts += 1;
                    self.resident = None;
                    self.session.cancel()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Output and cycles, unless the device is reset on the way.
    fn attempt(&mut self, input: &[u8]) -> Result<(Vec<u8>, u64), DriverError> {
        self.session.regain_rate()?;
        self.session.write_input(self.image, input)?;
        let layers = &self.image.layers;
        let kept = |index: usize| layers.iter().any(|layer| restores(layer, index));
        let mut outputs: Vec<Vec<u8>> = Vec::with_capacity(layers.len());
        let mut at = Position::default();
        for (index, layer) in layers.iter().enumerate() {
            if !layer.restores.is_empty() {
                self.flush(&mut at)?;
            }
            for restore in &layer.restores {
                let place = restore.place;
                let rows = place.pack(self.session.architecture(), &outputs[restore.layer]);
                self.session.write(Space::Activation, place.base, &rows)?;
            }
            self.advance(&mut at, layer.descriptors)?;
            let wanted = kept(index) || index + 1 == layers.len();
            outputs.push(if wanted {
                self.flush(&mut at)?;
                self.session.read_tensor(&layer.output)?
            } else {
                Vec::new()
            });
        }
        // What has been read is this run's only if the device was not reset meanwhile.
        self.session.confirm()?;
        Ok((outputs.pop().unwrap_or_default(), at.cycles))
    }

    /// Takes a layer's descriptors; a phase is run when it is complete.
    fn advance(&mut self, at: &mut Position, descriptors: usize) -> Result<(), DriverError> {
        let mut left = descriptors;
        while let Some(phase) = self.image.phases.get(at.phase).filter(|_| left > 0) {
            let room = phase.descriptors.saturating_sub(at.descriptor + at.pending);
            let taken = left.min(room);
            at.pending += taken;
            left -= taken;
            if taken == room {
                self.flush(at)?;
                at.phase += 1;
                at.descriptor = 0;
            }
        }
        Ok(())
    }

    /// Runs what is pending.
    fn flush(&mut self, at: &mut Position) -> Result<(), DriverError> {
        if at.pending == 0 {
            return Ok(());
        }
        self.make_resident(at.phase)?;
        self.session.run(at.descriptor, at.pending)?;
        let counters: Vec<[u32; COUNTERS]> = self.session.counters(at.descriptor, at.pending)?;
        at.cycles += counters.iter().map(|four| u64::from(four[0])).sum::<u64>();
        at.descriptor += at.pending;
        at.pending = 0;
        Ok(())
    }

    fn make_resident(&mut self, phase: usize) -> Result<(), DriverError> {
        if self.resident == Some(phase) {
            return Ok(());
        }
        self.resident = None;
        if let Some(phase) = self.image.phases.get(phase) {
            self.session.load(phase)?;
        }
        self.resident = Some(phase);
        Ok(())
    }
}

fn restores(layer: &Layer, index: usize) -> bool {
    layer.restores.iter().any(|restore| restore.layer == index)
}
