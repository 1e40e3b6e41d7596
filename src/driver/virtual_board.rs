//! The virtual board: the Verilated processor behind a byte stream that others connect to.

use super::{DriverError, endpoint::Endpoint};
use bitweft_isa::port::RATES;
use bitweft_sim::{Library, Model, Signal};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Cycles of one call of [`Device::advance`], at most.
const SLICE_CYCLES: u64 = 16384;
/// Cycles without a byte after which a device that does not run is idle: no response begins later.
const QUIET_CYCLES: u64 = 8192;
/// Cycles between two looks for a byte of a device to which none is sent.
const LOOK_CYCLES: u64 = 64;
/// Bytes to a device that may wait.
const WAITING_BYTES_MAX: usize = 4096;
/// Bytes from a device that may wait for a client to take them; more are lost, as on a line.
const UNREAD_BYTES_MAX: usize = 65536;
/// Cycles of reset.
const RESET_CYCLES: u64 = 8;
/// Cycles from power-up until a board's PLL and reset have settled.
const START_CYCLES: u64 = 64;
/// What an idle board waits for bytes before it looks for the end.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// A simulated device on a byte stream.
pub trait Device {
    /// Takes bytes that will be sent to the device.
    fn put(&mut self, bytes: &[u8]);

    /// Bytes that have not reached the device yet.
    fn waiting(&self) -> usize;

    /// Lets a bounded time pass and gives the bytes that have come.
    ///
    /// # Errors
    /// The simulator's.
    fn advance(&mut self) -> Result<Vec<u8>, DriverError>;

    /// Whether nothing will happen until bytes are put.
    fn is_idle(&self) -> bool;

    /// Learns at how many bits a second the client sends.
    fn set_rate(&mut self, bits_per_second: u32);

    /// Cycles simulated.
    fn cycles(&self) -> u64;
}

/// The processor, attached at the byte stream of its host port.
pub struct ByteLevel {
    model: Model,
    reset: Signal,
    receive_valid: Signal,
    receive_data: Signal,
    receive_ready: Signal,
    transmit_ready: Signal,
    transmit_valid: Signal,
    transmit_data: Signal,
    running: Signal,
    waiting: VecDeque<u8>,
    quiet: u64,
}

impl ByteLevel {
    /// A processor (`bitweft_hdl::verilog`) out of reset; `seed` as in [`super::Simulated::new`].
    ///
    /// # Errors
    /// The simulator's, or a port that the model lacks.
    pub fn new(library: &Library, seed: u64) -> Result<Self, DriverError> {
        let model = library.instantiate(seed)?;
        let mut device = Self {
            reset: model.signal("reset")?,
            receive_valid: model.signal("receive_valid")?,
            receive_data: model.signal("receive_data")?,
            receive_ready: model.signal("receive_ready")?,
            transmit_ready: model.signal("transmit_ready")?,
            transmit_valid: model.signal("transmit_valid")?,
            transmit_data: model.signal("transmit_data")?,
            running: model.signal("running")?,
            model,
            waiting: VecDeque::new(),
            quiet: 0,
        };
        device.reset()?;
        Ok(device)
    }

    /// Resets the processor; its memories keep what they hold.
    ///
    /// # Errors
    /// The simulator's.
    pub fn reset(&mut self) -> Result<(), DriverError> {
        self.model.set(self.receive_valid, 0);
        self.model.set(self.transmit_ready, 0);
        self.model.set(self.reset, 1);
        self.model.tick(RESET_CYCLES)?;
        self.model.set(self.reset, 0);
        self.quiet = 0;
        Ok(())
    }

    /// One cycle in which a byte may move each way; whether one did.
    fn cycle(&mut self, bytes: &mut Vec<u8>) -> Result<bool, DriverError> {
        let offer = self.waiting.front().copied();
        self.model
            .set(self.receive_valid, u64::from(offer.is_some()));
        self.model
            .set(self.receive_data, u64::from(offer.unwrap_or(0)));
        self.model.set(self.transmit_ready, 1);
        self.model.eval()?;
        let taken = offer.is_some() && self.model.get(self.receive_ready) == 1;
        if taken {
            self.waiting.pop_front();
        }
        let given = self.model.get(self.transmit_valid) == 1;
        if given {
            bytes.push(self.model.get(self.transmit_data).to_le_bytes()[0]);
        }
        self.model.tick(1)?;
        Ok(taken || given)
    }

    /// Cycles in which nothing is sent to the device and nothing taken from it.
    fn look_away(&mut self, cycles: u64) -> Result<(), DriverError> {
        self.model.set(self.receive_valid, 0);
        self.model.set(self.transmit_ready, 0);
        Ok(self.model.tick(cycles)?)
    }
}

impl Device for ByteLevel {
    fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
        self.quiet = 0;
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn advance(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut bytes = Vec::new();
        let begin = self.model.cycles();
        while self.model.cycles() - begin < SLICE_CYCLES {
            if self.cycle(&mut bytes)? {
                self.quiet = 0;
                continue;
            }
            self.quiet += 1;
            if self.waiting.is_empty() {
                self.look_away(LOOK_CYCLES)?;
                self.quiet += LOOK_CYCLES;
            }
            // Hand over what there is, or fall idle.
            if self.quiet > 4 * LOOK_CYCLES && !bytes.is_empty() || self.is_idle() {
                break;
            }
        }
        Ok(bytes)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.quiet > QUIET_CYCLES && self.model.get(self.running) == 0
    }

    fn set_rate(&mut self, _bits_per_second: u32) {}

    fn cycles(&self) -> u64 {
        self.model.cycles()
    }
}

/// A board's top, attached at the pins of its serial line; bits last what they last on the board.
pub struct BitLevel {
    model: Model,
    receive: Signal,
    transmit: Signal,
    running: Signal,
    clock_hertz: u32,
    /// Cycles of a bit, and of a step: in between the line is not looked at.
    bit: f64,
    step: u64,
    time: f64,
    waiting: VecDeque<u8>,
    sending: Option<Frame>,
    receiving: Option<Frame>,
    quiet: f64,
}

/// A byte on its way over the line, with its start and stop bits, the first one lowest.
struct Frame {
    bits: u16,
    count: u8,
    /// When the next bit is due.
    next: f64,
}

/// Bits of a byte on the line.
const FRAME_BITS: u8 = 10;

impl BitLevel {
    /// A board (`bitweft_hdl::board::verilog` with light `led_busy`, shining when high) at power-up.
    ///
    /// # Errors
    /// The simulator's, or a pin that the model lacks.
    pub fn new(library: &Library, clock_hertz: u32, seed: u64) -> Result<Self, DriverError> {
        let mut model = library.instantiate(seed)?;
        let receive = model.signal("uart_receive")?;
        model.set(receive, 1);
        model.tick(START_CYCLES)?;
        let mut board = Self {
            receive,
            transmit: model.signal("uart_transmit")?,
            running: model.signal("led_busy")?,
            model,
            clock_hertz,
            bit: 0.0,
            step: 1,
            time: 0.0,
            waiting: VecDeque::new(),
            sending: None,
            receiving: None,
            quiet: 0.0,
        };
        board.set_rate(RATES[0]);
        Ok(board)
    }

    /// The level of the line to the board.
    fn send(&mut self) -> bool {
        if self.sending.is_none() {
            self.sending = self.waiting.pop_front().map(|byte| Frame {
                bits: u16::from(byte) << 1 | 1 << (FRAME_BITS - 1),
                count: 0,
                next: self.time + self.bit,
            });
        }
        let Some(frame) = &mut self.sending else {
            return true;
        };
        let level = frame.bits >> frame.count & 1 == 1;
        if self.time + self.step as f64 / 2.0 >= frame.next {
            frame.count += 1;
            frame.next += self.bit;
            if frame.count == FRAME_BITS {
                self.sending = None;
            }
        }
        level
    }

    /// Looks at the line from the board.
    fn look(&mut self, bytes: &mut Vec<u8>) {
        let level = self.model.get(self.transmit) == 1;
        let Some(frame) = &mut self.receiving else {
            if !level {
                self.receiving = Some(Frame {
                    bits: 0,
                    count: 0,
                    next: self.time + self.bit / 2.0,
                });
            }
            return;
        };
        if self.time < frame.next {
            return;
        }
        frame.bits |= u16::from(level) << frame.count;
        frame.count += 1;
        frame.next += self.bit;
        if frame.count == FRAME_BITS {
            let (start, stop) = (frame.bits & 1, frame.bits >> (FRAME_BITS - 1));
            if (start, stop) == (0, 1) {
                bytes.push((frame.bits >> 1).to_le_bytes()[0]);
            }
            self.receiving = None;
        }
    }
}

impl Device for BitLevel {
    fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
        self.quiet = 0.0;
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn advance(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut bytes = Vec::new();
        let end = self.time + SLICE_CYCLES as f64;
        while self.time < end && !self.is_idle() {
            let busy = self.sending.is_some() || self.receiving.is_some();
            self.quiet = if busy || !self.waiting.is_empty() {
                0.0
            } else {
                self.quiet + self.step as f64
            };
            let level = self.send();
            self.model.set(self.receive, u64::from(level));
            self.model.tick(self.step)?;
            self.time += self.step as f64;
            self.look(&mut bytes);
        }
        Ok(bytes)
    }

    fn is_idle(&self) -> bool {
        let quiet_max = QUIET_CYCLES as f64 + 12.0 * self.bit;
        self.waiting.is_empty() && self.quiet > quiet_max && self.model.get(self.running) == 0
    }

    fn set_rate(&mut self, bits_per_second: u32) {
        self.bit = f64::from(self.clock_hertz) / f64::from(bits_per_second.max(1));
        // A sixteenth of a bit is well within what both receivers bear.
        self.step = ((self.bit / 16.0) as u64).max(1);
    }

    fn cycles(&self) -> u64 {
        self.model.cycles()
    }
}

/// Serves clients one after the other until `stop` is set.
///
/// # Errors
/// The simulator's; an end point that cannot be read.
pub fn serve(
    device: &mut dyn Device,
    endpoint: &mut Endpoint,
    stop: &AtomicBool,
) -> Result<(), DriverError> {
    let mut unread: VecDeque<u8> = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        if endpoint.begin()? {
            unread.clear();
        }
        if device.waiting() < WAITING_BYTES_MAX {
            let bytes = endpoint.read()?;
            if !bytes.is_empty() {
                if let Some(rate) = endpoint.rate() {
                    device.set_rate(rate);
                }
                device.put(&bytes);
            }
        }
        if device.is_idle() && unread.is_empty() {
            endpoint.wait(IDLE_WAIT)?;
            continue;
        }
        unread.extend(device.advance()?);
        unread.truncate(UNREAD_BYTES_MAX);
        let written = endpoint.write(unread.make_contiguous())?;
        unread.drain(..written);
        if device.is_idle() && !unread.is_empty() {
            // A client that does not read must not keep the board busy.
            endpoint.wait(Duration::from_millis(5))?;
        }
    }
    Ok(())
}
