//! Top of a board: clock, reset, serial link, processor, lights.
//!
//! # Contract
//! Pins: `board_clock`; `uart_receive` and `uart_transmit` as the FPGA sees them; `led_alive` (blinks while the clock runs), `led_busy`
//! (a run is in progress), `led_error` (the link has had an error since the last valid request), as far as the board has them. The
//! processor is in reset until the PLL is locked.
//!
//! For simulation PLLs are wires: `board_clock` is then the processor's clock.

use crate::{
    activation_memory::MEMORY_CLOCK,
    builder::{EmitError, Module, Net},
    link::link,
    pll::{self, Family, PllError},
    top,
};
use bitweft_isa::{
    architecture::{Architecture, Storage},
    port::{RATE_HOLD_BITS, RATES},
};

const ECP5_PLL: &str = include_str!("../vendor/ecp5_pll.v");
const ICE40_PLL: &str = include_str!("../vendor/ice40_pll.v");
const ICE40_PLL_DOUBLE: &str = include_str!("../vendor/ice40_pll_double.v");
const GOWIN_PLL: &str = include_str!("../vendor/gowin_pll.v");
const RESET_SYNCHRONIZER: &str = include_str!("../vendor/reset_synchronizer.v");

/// Name of the top module.
pub const BOARD_TOP: &str = "board";
/// Input clock of the top module.
pub const BOARD_CLOCK: &str = "board_clock";
/// Name of the processor's instance in it.
pub const PROCESSOR: &str = "processor";
/// Bits of the counter whose top bit is `led_alive`.
const ALIVE_BITS: usize = 25;

/// A light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Led {
    /// Blinks.
    Alive,
    /// On while a run is in progress.
    Busy,
    /// On from an error of the link to the next valid request.
    Error,
}

impl Led {
    /// All lights.
    pub const ALL: [Self; 3] = [Self::Alive, Self::Busy, Self::Error];

    /// Its pin.
    #[must_use]
    pub fn pin(self) -> &'static str {
        match self {
            Self::Alive => "led_alive",
            Self::Busy => "led_busy",
            Self::Error => "led_error",
        }
    }
}

/// What a board's top depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// FPGA.
    pub family: Family,
    /// Clock at the pin.
    pub input_hertz: u32,
    /// Clock of the processor.
    pub clock_hertz: u32,
    /// Lights that are there.
    pub leds: Vec<Led>,
    /// Whether a light shines when its pin is low.
    pub leds_active_low: bool,
}

/// Why a board has no Verilog.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// The clock cannot be made.
    #[error(transparent)]
    Pll(#[from] PllError),
    /// The clock is too slow for the link.
    #[error(
        "a processor clock of {found_hertz} Hz is too slow for the serial link, which needs {least_hertz} Hz"
    )]
    Clock {
        /// Clock given.
        found_hertz: u32,
        /// Slowest clock.
        least_hertz: u32,
    },
    /// A net that nothing drives.
    #[error("Verilog: {0}")]
    Emit(EmitError),
}

impl From<EmitError> for BoardError {
    fn from(error: EmitError) -> Self {
        Self::Emit(error)
    }
}

impl Board {
    /// The pins of the top, `true` for inputs.
    #[must_use]
    pub fn pins(&self) -> Vec<(&'static str, bool)> {
        let fixed = [
            (BOARD_CLOCK, true),
            ("uart_receive", true),
            ("uart_transmit", false),
        ];
        let leds = Led::ALL.into_iter().filter(|led| self.leds.contains(led));
        fixed
            .into_iter()
            .chain(leds.map(|led| (led.pin(), false)))
            .collect()
    }

    /// The PLL's setting; none where the board's clock is the processor's. With `memory_clock` (on iCE40) there is one in any
    /// case, which makes a clock twice as fast besides.
    ///
    /// # Errors
    /// The clock cannot be made, or is too slow for the link.
    pub fn pll(&self, memory_clock: bool) -> Result<Option<pll::Setting>, BoardError> {
        let least_hertz = RATES
            .iter()
            .max()
            .map_or(0, |rate| rate * crate::uart::CYCLES_MIN);
        if self.clock_hertz < least_hertz {
            return Err(BoardError::Clock {
                found_hertz: self.clock_hertz,
                least_hertz,
            });
        }
        if memory_clock && self.family == Family::Ice40 {
            let faster = pll::setting(self.family, self.input_hertz, 2 * self.clock_hertz)?;
            return Ok(Some(pll::Setting {
                module: "ice40_pll_double",
                ..faster
            }));
        }
        if self.clock_hertz == self.input_hertz {
            return Ok(None);
        }
        Ok(Some(pll::setting(
            self.family,
            self.input_hertz,
            self.clock_hertz,
        )?))
    }
}

/// Verilog of a board's top with its processor.
///
/// # Errors
/// A clock that cannot be made or is too slow; rust-hdl's: a net that nothing drives.
pub fn verilog(architecture: &Architecture, board: &Board) -> Result<String, BoardError> {
    Ok(build(architecture, board)?.verilog()?)
}

/// A board's top as a module.
///
/// # Errors
/// A clock that cannot be made or is too slow.
pub fn build(architecture: &Architecture, board: &Board) -> Result<Module, BoardError> {
    let m = Module::new(BOARD_TOP);
    let processor = top::build(architecture);
    let memory_clock = processor
        .ports()
        .iter()
        .any(|(port, ..)| port == MEMORY_CLOCK)
        .then(|| m.driven_wire(MEMORY_CLOCK, 1));
    clocking(
        &m,
        board.pll(memory_clock.is_some())?,
        memory_clock.as_ref(),
    );
    let storage = match board.family {
        Family::Ecp5 | Family::Gowin => Storage::Distributed,
        // No LUTRAM there.
        Family::Ice40 => Storage::Block,
    };
    let link = link(board.clock_hertz, storage, RATE_HOLD_BITS);
    let across: Vec<(String, usize)> = ports(&processor, &link);
    let wires: Vec<(&str, _)> = across
        .iter()
        .map(|(name, width)| (name.as_str(), m.wire(&format!("{name}_wire"), *width)))
        .collect();
    let receive = m.input("uart_receive", 1);
    let mut outputs = Vec::new();
    for (name, unit) in [("link", &link), (PROCESSOR, &processor)] {
        let inputs: Vec<_> = unit
            .ports()
            .into_iter()
            .filter(|(port, is_input, _)| *is_input && port != "clock" && port != "reset")
            .map(|(port, ..)| {
                let wire = wires.iter().find(|(name, _)| *name == port);
                let wire = wire.map(|(_, wire)| wire);
                let clock = memory_clock.as_ref().filter(|_| port == MEMORY_CLOCK);
                (port, clock.or(wire).unwrap_or(&receive))
            })
            .collect();
        let inputs: Vec<_> = inputs.iter().map(|(p, net)| (p.as_str(), *net)).collect();
        outputs.push(m.instance(name, unit, &inputs));
    }
    let drivers = |port: &str| {
        let of_link = link
            .ports()
            .iter()
            .any(|(name, is_input, _)| name == port && !is_input);
        outputs[usize::from(!of_link)].get(port).clone()
    };
    for (name, wire) in &wires {
        m.drive(wire, &drivers(name));
    }
    m.output("uart_transmit", outputs[0].get("uart_transmit"));
    m.unused(outputs[0].get("rate_now"));
    let always = m.literal(1, 1);
    let alive = m.counter("alive", ALIVE_BITS, &m.literal(0, 1), &always);
    for led in Led::ALL {
        let on = match led {
            Led::Alive => m.bit(&alive, ALIVE_BITS - 1),
            Led::Busy => outputs[1].get("running").clone(),
            Led::Error => outputs[0].get("error").clone(),
        };
        if !board.leds.contains(&led) {
            m.unused(&on);
            continue;
        }
        let level = if board.leds_active_low {
            m.not(&on)
        } else {
            on
        };
        m.output(
            led.pin(),
            &m.registered(&format!("{}_level", led.pin()), &level),
        );
    }
    Ok(m)
}

/// What goes from the processor to the link or back: inputs of one that are outputs of the other.
fn ports(processor: &Module, link: &Module) -> Vec<(String, usize)> {
    let (processor, link) = (processor.ports(), link.ports());
    let between = |from: &[(String, bool, usize)], to: &[(String, bool, usize)]| {
        let taken = |name: &str| to.iter().any(|(n, is_input, _)| n == name && *is_input);
        from.iter()
            .filter(|(name, is_input, _)| !is_input && taken(name))
            .map(|(name, _, width)| (name.clone(), *width))
            .collect::<Vec<_>>()
    };
    [between(&processor, &link), between(&link, &processor)].concat()
}

/// `clock` and `reset` of everything on the board, from its clock pin, and `memory_clock`, which no cell reads where no PLL makes it.
fn clocking(m: &Module, setting: Option<pll::Setting>, memory_clock: Option<&Net>) {
    m.input(BOARD_CLOCK, 1);
    let clock = m.driven_wire("clock", 1);
    let locked = m.driven_wire("locked", 1);
    let reset = m.driven_wire("reset", 1);
    let mut clocks = format!(".board_clock({BOARD_CLOCK}), .clock({clock}), .locked({locked})");
    let mut memory_clock = memory_clock;
    if let Some(setting) = setting {
        let text = match setting.module {
            "ecp5_pll" => ECP5_PLL,
            "gowin_pll" => GOWIN_PLL,
            "ice40_pll_double" => {
                if let Some(net) = memory_clock.take() {
                    clocks += &format!(", .memory_clock({net})");
                }
                ICE40_PLL_DOUBLE
            }
            _ => ICE40_PLL,
        };
        m.vendor(setting.module, text);
        let (module, parameters) = (setting.module, setting.verilog());
        m.raw(&format!("{module} {parameters} pll ({clocks});"));
    } else {
        m.raw(&format!(
            "assign {clock} = {BOARD_CLOCK};\nassign {locked} = 1'b1;"
        ));
    }
    if let Some(net) = memory_clock {
        m.raw(&format!("assign {net} = {clock};"));
    }
    m.vendor("reset_synchronizer", RESET_SYNCHRONIZER);
    m.raw(&format!(
        "reset_synchronizer reset_synchronizer (.clock({clock}), .locked({locked}), .reset({reset}));"
    ));
}
