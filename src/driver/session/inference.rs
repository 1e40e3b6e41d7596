//! Inferences: an image on one input after the other, only what is needed written and read, started anew where the device
//! was reset.

use super::Session;
use crate::driver::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space,
    image::{Image, Layer},
};
use std::{
    ops::DerefMut,
    time::{Duration, Instant},
};

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

impl Inference {
    /// The processor's part of the latency at its clock; the rest is the link's and the host's.
    #[must_use]
    pub fn compute(&self, clock_hertz: f64) -> Duration {
        Duration::try_from_secs_f64(self.cycles as f64 / clock_hertz).unwrap_or_default()
    }
}

/// A network on a processor. It stays there between inferences where the processor has room for all of it.
///
/// `S` is a session, owned (`Box<Session<T>>`) or borrowed (`&mut Session<T>`).
pub struct Runner<'a, S> {
    session: S,
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

impl<'a, S, T> Runner<'a, S>
where
    S: DerefMut<Target = Session<T>>,
    T: Transport,
{
    /// A network about to be run.
    ///
    /// # Errors
    /// An image for another architecture, of which nothing has been sent then.
    pub fn new(session: S, image: &'a Image) -> Result<Self, DriverError> {
        image.check(session.architecture())?;
        Ok(Self {
            session,
            image,
            resident: None,
        })
    }

    /// The session below.
    pub fn session(&mut self) -> &mut Session<T> {
        &mut self.session
    }

    /// Writes the first phase, so that the first inference takes no longer than the others. `progress` sees, before
    /// every part, the bytes acknowledged and the bytes of all of it.
    ///
    /// # Errors
    /// As [`Session::write`].
    pub fn load(&mut self, mut progress: impl FnMut(usize, usize)) -> Result<(), DriverError> {
        self.session.regain_rate()?;
        self.make_resident(0, &mut progress)
    }

    /// Makes sure of what the processor holds: runs an input whose answer (the golden model's output of the last layer) is known.
    ///
    /// The acknowledgement of every write says that its CRC-32 matched and its rows went to the memory; programs,
    /// records and planes cannot be read back. This sees every phase at work, and what changes no byte of the answer it cannot see.
    ///
    /// # Errors
    /// [`DriverError::Unsound`]; as [`Runner::infer`].
    pub fn check(&mut self, input: &[u8], answer: &[u8]) -> Result<(), DriverError> {
        let output = self.infer(input)?.output;
        let differs = |at: &usize| output.get(*at) != answer.get(*at);
        let total = answer.len().max(output.len());
        let mut differing = (0..total).filter(differs);
        let Some(first) = differing.next() else {
            return Ok(());
        };
        let byte = |bytes: &[u8]| bytes.get(first).copied().unwrap_or(0);
        // Whoever goes on begins with a new load.
        self.resident = None;
        Err(DriverError::Unsound {
            differing: 1 + differing.count(),
            total,
            first,
            found: byte(&output),
            expected: byte(answer),
        })
    }

    /// Runs one input after the other, each when it is asked for; ends after the first error.
    ///
    /// An input is sent when the one before has been computed: while a run is in progress the memories are the
    /// processor's own (`isa::port`).
    pub fn stream<'s, I>(
        &'s mut self,
        inputs: I,
    ) -> impl Iterator<Item = Result<Inference, DriverError>> + use<'s, 'a, S, T, I>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let mut failed = false;
        let inputs = inputs.into_iter();
        inputs.map_while(move |input| {
            let result = (!failed).then(|| self.infer(input.as_ref()))?;
            failed = result.is_err();
            Some(result)
        })
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
        self.make_resident(at.phase, &mut |_, _| ())?;
        self.session.run(at.descriptor, at.pending)?;
        let counters: Vec<[u32; COUNTERS]> = self.session.counters(at.descriptor, at.pending)?;
        at.cycles += counters.iter().map(|four| u64::from(four[0])).sum::<u64>();
        at.descriptor += at.pending;
        at.pending = 0;
        Ok(())
    }

    fn make_resident(
        &mut self,
        phase: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), DriverError> {
        if self.resident == Some(phase) {
            return Ok(());
        }
        self.resident = None;
        if let Some(phase) = self.image.phases.get(phase) {
            let total = phase.writes.iter().map(|write| write.rows.len()).sum();
            let mut done = 0;
            for write in &phase.writes {
                for (address, rows) in self.session.parts(write) {
                    progress(done, total);
                    self.session.write(write.space, address, rows)?;
                    done += rows.len();
                }
            }
        }
        self.resident = Some(phase);
        Ok(())
    }
}

fn restores(layer: &Layer, index: usize) -> bool {
    layer.restores.iter().any(|restore| restore.layer == index)
}
