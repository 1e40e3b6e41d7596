//! The whole processor in Verilator, as a byte stream.

use super::{DriverError, Transport};
use bitweft_sim::{Library, Model, Signal};

/// Cycles that one call of `receive` lets pass, at most.
const SLICE_CYCLES: usize = 4096;
/// Cycles after which a byte that is not taken is given up: no request takes so long.
const SEND_CYCLES_MAX: usize = 1 << 20;
/// Cycles of reset.
const RESET_CYCLES: u64 = 8;

/// A running model of the processor's top.
pub struct Simulated {
    model: Model,
    ports: Ports,
    received: Vec<u8>,
}

struct Ports {
    receive_valid: Signal,
    receive_data: Signal,
    receive_ready: Signal,
    transmit_valid: Signal,
    transmit_data: Signal,
}

impl Simulated {
    /// A processor out of reset. `seed` sets what registers and memories hold at power-up where the profile
    /// makes them random.
    ///
    /// # Errors
    /// The simulator's, or a port that the model lacks.
    pub fn new(library: &Library, seed: u64) -> Result<Self, DriverError> {
        let mut model = library.instantiate(seed)?;
        let reset = model.signal("reset")?;
        let transmit_ready = model.signal("transmit_ready")?;
        let ports = Ports {
            receive_valid: model.signal("receive_valid")?,
            receive_data: model.signal("receive_data")?,
            receive_ready: model.signal("receive_ready")?,
            transmit_valid: model.signal("transmit_valid")?,
            transmit_data: model.signal("transmit_data")?,
        };
        model.set(transmit_ready, 1);
        model.set(ports.receive_valid, 0);
        model.set(reset, 1);
        model.tick(RESET_CYCLES)?;
        model.set(reset, 0);
        // On a large die units leave reset some cycles later.
        model.tick(RESET_CYCLES)?;
        Ok(Self {
            model,
            ports,
            received: Vec::new(),
        })
    }

    /// The model, to trace it or to look at its ports.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    /// One cycle; true if the byte offered was taken.
    fn cycle(&mut self, offer: Option<u8>) -> Result<bool, DriverError> {
        self.model
            .set(self.ports.receive_valid, u64::from(offer.is_some()));
        self.model
            .set(self.ports.receive_data, u64::from(offer.unwrap_or(0)));
        self.model.eval()?;
        let taken = offer.is_some() && self.model.get(self.ports.receive_ready) == 1;
        if self.model.get(self.ports.transmit_valid) == 1 {
            let byte = self.model.get(self.ports.transmit_data).to_le_bytes()[0];
            self.received.push(byte);
        }
        self.model.tick(1)?;
        Ok(taken)
    }
}

impl Transport for Simulated {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        for &byte in bytes {
            let mut waited = 0;
            while !self.cycle(Some(byte))? {
                waited += 1;
                if waited > SEND_CYCLES_MAX {
                    return Err(DriverError::Link(format!(
                        "the processor took no byte for {SEND_CYCLES_MAX} cycles"
                    )));
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut quiet = 0;
        for _ in 0..SLICE_CYCLES {
            let before = self.received.len();
            self.cycle(None)?;
            quiet = if self.received.len() > before || before == 0 {
                0
            } else {
                quiet + 1
            };
            // A response has paused: hand over what there is.
            if quiet > 64 {
                break;
            }
        }
        Ok(std::mem::take(&mut self.received))
    }

    /// A response begins well within one reception.
    fn patience(&self) -> usize {
        4
    }
}
