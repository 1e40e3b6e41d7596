//! A link that goes wrong: bits flip, bytes are dropped, doubled, swapped and made up, both ways; it stalls, it breaks; the
//! device is reset or loses its power. Everything follows from a seed.

use super::Random;
use bitweft::driver::{ByteLevel, Device, DriverError, Transport};
use bitweft_sim::Library;

/// How often what happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Bytes between two faults of the stream, mean.
    pub(crate) bytes_per_fault: i64,
    /// Requests between two resets of the device, mean; every fourth one is a loss of power.
    pub(crate) sends_per_reset: i64,
    /// Requests between two breaks of the link, mean.
    pub(crate) sends_per_break: i64,
}

/// Faults so far, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Faults {
    pub(crate) flipped: usize,
    pub(crate) dropped: usize,
    pub(crate) doubled: usize,
    pub(crate) swapped: usize,
    pub(crate) inserted: usize,
    pub(crate) truncated: usize,
    pub(crate) stalls: usize,
    pub(crate) resets: usize,
    pub(crate) power_losses: usize,
    pub(crate) breaks: usize,
}

impl Faults {
    pub(crate) fn total(&self) -> usize {
        self.flipped
            + self.dropped
            + self.doubled
            + self.swapped
            + self.inserted
            + self.truncated
            + self.stalls
            + self.resets
            + self.power_losses
            + self.breaks
    }
}

/// A device that outlives the links to it.
pub(crate) struct Bench {
    library: Library,
    device: ByteLevel,
    random: Random,
    rates: Rates,
    pub(crate) faults: Faults,
    /// Calls of the transport, so that a hang shows.
    pub(crate) calls: usize,
    power_ups: u64,
}

impl Bench {
    pub(crate) fn new(library: &Library, seed: u64, rates: Rates) -> Self {
        Self {
            library: library.clone(),
            device: ByteLevel::new(library, seed).expect("starts"),
            random: Random::new(seed),
            rates,
            faults: Faults::default(),
            calls: 0,
            power_ups: seed,
        }
    }

    /// A new link to the device.
    pub(crate) fn link(&mut self) -> Link<'_> {
        Link {
            sequence: self.random.byte(),
            bench: self,
            broken: false,
            stalled: 0,
            held: Vec::new(),
        }
    }

    fn once_in(&mut self, mean: i64) -> bool {
        self.random.range(1, mean) == 1
    }

    /// What arrives of bytes that are sent.
    fn garble(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut arrived = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            if !self.once_in(self.rates.bytes_per_fault) {
                arrived.push(byte);
                continue;
            }
            match self.random.range(0, 11) {
                0..=3 => {
                    self.faults.flipped += 1;
                    arrived.push(byte ^ 1 << self.random.range(0, 7));
                }
                4 | 5 => self.faults.dropped += 1,
                6 | 7 => {
                    // Up to more than a whole request comes again.
                    self.faults.doubled += 1;
                    arrived.push(byte);
                    let again = self.random.count(1, 40).min(arrived.len());
                    arrived.extend_from_within(arrived.len() - again..);
                }
                8 => {
                    self.faults.swapped += 1;
                    arrived.extend(bytes.get(at));
                    arrived.push(byte);
                    at += 1;
                }
                9 => {
                    self.faults.inserted += 1;
                    // Often what looks like a beginning.
                    let made_up = [self.random.byte(), 0xb7, 0x7b];
                    arrived.extend([made_up[self.random.count(0, 2)], byte]);
                }
                _ => {
                    self.faults.truncated += 1;
                    at = (at + self.random.count(0, 300)).min(bytes.len());
                }
            }
        }
        arrived
    }

    fn upset_device(&mut self) -> Result<(), DriverError> {
        if !self.once_in(self.rates.sends_per_reset) {
            return Ok(());
        }
        // Somewhere in what it does.
        for _ in 0..self.random.count(0, 3) {
            self.device.advance()?;
        }
        if self.random.range(0, 3) > 0 {
            self.faults.resets += 1;
            return self.device.reset();
        }
        self.faults.power_losses += 1;
        self.power_ups += 1;
        self.device = ByteLevel::new(&self.library, self.power_ups)?;
        Ok(())
    }
}

/// A link to the device of a bench.
pub(crate) struct Link<'a> {
    bench: &'a mut Bench,
    broken: bool,
    /// Receptions for which nothing arrives.
    stalled: usize,
    held: Vec<u8>,
    sequence: u8,
}

impl Link<'_> {
    fn check(&mut self) -> Result<(), DriverError> {
        self.bench.calls += 1;
        if self.broken {
            return Err(DriverError::Link("unplugged".into()));
        }
        Ok(())
    }
}

impl Transport for Link<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        self.check()?;
        self.bench.upset_device()?;
        let mut bytes = bytes;
        if self.bench.once_in(self.bench.rates.sends_per_break) {
            // In the middle of a request.
            self.bench.faults.breaks += 1;
            self.broken = true;
            bytes = &bytes[..self.bench.random.count(0, bytes.len())];
        }
        let arrived = self.bench.garble(bytes);
        self.bench.device.put(&arrived);
        if self.broken {
            return Err(DriverError::Link("unplugged".into()));
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        self.check()?;
        let bytes = self.bench.device.advance()?;
        let arrived = self.bench.garble(&bytes);
        self.held.extend(arrived);
        if self.stalled > 0 {
            self.stalled -= 1;
            return Ok(Vec::new());
        }
        if !self.held.is_empty() && self.bench.once_in(self.bench.rates.bytes_per_fault) {
            self.bench.faults.stalls += 1;
            self.stalled = self.bench.random.count(1, 8);
            return Ok(Vec::new());
        }
        Ok(std::mem::take(&mut self.held))
    }

    fn patience(&self) -> usize {
        3
    }

    fn first_sequence(&self) -> u8 {
        self.sequence
    }
}
