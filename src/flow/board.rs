//! Boards as files: the `[board]` table of `constraints/<board>.toml` and the pin file that it names.

use std::collections::BTreeMap;

use bitweft_hdl::{
    BOARD_CLOCK,
    board::{Board, Led},
    pll::Family,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pins::{clock_rate, locations, suffix};

macro_rules! shipped {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../constraints/", $name)))),+]
    };
}

/// The pin files that come with bitweft, by name.
const SHIPPED_PINS: [(&str, &str); 5] = shipped![
    "colorlight-i5.lpf",
    "colorlight-i9.lpf",
    "ulx3s.lpf",
    "icebreaker.pcf",
    "tang-nano-20k.cst"
];

/// A clock in MHz is a whole number of Hz up to this.
const CLOCK_MHZ_MAX: f64 = 1000.0;

/// The `[board]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardFile {
    /// What people call it.
    pub name: String,
    family: FamilyName,
    /// Clock at the pin, in MHz.
    pub clock_mhz: f64,
    /// Clock of the processor, in MHz.
    pub processor_mhz: f64,
    /// Pin file (`.lpf`, `.pcf` or `.cst`), beside the board's own, or one of bitweft's own.
    pub pins: String,
    /// Lights that the pin file has.
    leds: Vec<LedName>,
    /// Whether they shine when their pin is low.
    #[serde(default)]
    leds_active_low: bool,
    /// Where the serial line ends.
    pub uart: String,
    /// What writes a bitstream.
    pub programmer: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FamilyName {
    Ecp5,
    Ice40,
    Gowin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LedName {
    Alive,
    Busy,
    Error,
}

/// Why a text is no board.
#[derive(Debug, thiserror::Error)]
pub enum BoardFileError {
    /// A table is missing or not readable.
    #[error("table `{table}`: {message}")]
    Table {
        /// Table.
        table: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A clock that is none.
    #[error("table `board`, field `{field}` is {value}; it must be above 0, up to {CLOCK_MHZ_MAX}")]
    Clock {
        /// Field.
        field: &'static str,
        /// Value found.
        value: f64,
    },
}

impl BoardFile {
    /// Reads the `[board]` table of a TOML text (other tables may stand beside it).
    ///
    /// # Errors
    /// Syntax, a missing or unknown field, clocks out of range.
    pub fn from_toml(text: &str) -> Result<Self, BoardFileError> {
        #[derive(Deserialize)]
        struct File {
            board: BoardFile,
        }
        let file: File = toml::from_str(text).map_err(|error| BoardFileError::Table {
            table: "board",
            message: error.to_string(),
        })?;
        let board = file.board;
        for (field, value) in [
            ("clock_mhz", board.clock_mhz),
            ("processor_mhz", board.processor_mhz),
        ] {
            if !(value > 0.0 && value <= CLOCK_MHZ_MAX) {
                return Err(BoardFileError::Clock { field, value });
            }
        }
        Ok(board)
    }

    /// What the hardware depends on.
    #[must_use]
    pub fn hardware(&self) -> Board {
        let led = |name: &LedName| match name {
            LedName::Alive => Led::Alive,
            LedName::Busy => Led::Busy,
            LedName::Error => Led::Error,
        };
        Board {
            family: match self.family {
                FamilyName::Ecp5 => Family::Ecp5,
                FamilyName::Ice40 => Family::Ice40,
                FamilyName::Gowin => Family::Gowin,
            },
            input_hertz: hertz(self.clock_mhz),
            clock_hertz: hertz(self.processor_mhz),
            leds: self.leds.iter().map(led).collect(),
            leds_active_low: self.leds_active_low,
        }
    }

    /// The text of the pin file, where it is one of bitweft's own.
    #[must_use]
    pub fn shipped_pins(&self) -> Option<&'static str> {
        let own = SHIPPED_PINS.iter().find(|(name, _)| *name == self.pins);
        own.map(|(_, text)| *text)
    }

    /// The text of a pin file with the rate of its clock pin, where the family's pin files hold one.
    #[must_use]
    pub fn with_clock_rate(&self, pins: &str) -> String {
        let rate = clock_rate(self.hardware().family, BOARD_CLOCK, self.clock_mhz);
        format!("{}\n{rate}", pins.trim_end())
    }

    /// What is wrong with the board, given the text of its pin file; empty if nothing is.
    #[must_use]
    pub fn check(&self, pins: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let hardware = self.hardware();
        if let Err(error) = hardware.pll(false) {
            findings.push(format!("table `board`, field `processor_mhz`: {error}"));
        }
        let suffix = suffix(hardware.family);
        if !self.pins.ends_with(suffix) {
            findings.push(format!(
                "table `board`, field `pins`: `{}` must be a {suffix} file for {:?}",
                self.pins, self.family
            ));
        }
        let located = locations(pins);
        let wanted: Vec<&str> = hardware.pins().iter().map(|(pin, _)| *pin).collect();
        let mut sites: BTreeMap<&str, &str> = BTreeMap::new();
        for pin in &wanted {
            if !located.iter().any(|(name, _)| name == pin) {
                findings.push(format!("{}: pin `{pin}` has no place", self.pins));
            }
        }
        for (name, site) in &located {
            if !wanted.contains(name) {
                findings.push(format!("{}: the top has no pin `{name}`", self.pins));
            }
            if let Some(other) = sites.insert(site, name) {
                findings.push(format!(
                    "{}: `{other}` and `{name}` are both at {site}",
                    self.pins
                ));
            }
        }
        findings
    }
}

/// Rounded; the range has been checked.
fn hertz(mhz: f64) -> u32 {
    (mhz * 1e6).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ULX3S: &str = include_str!("../../constraints/ulx3s-85f.toml");

    #[test]
    fn what_is_wrong_is_named() {
        let read = |from: &str, to: &str| {
            assert!(ULX3S.contains(from), "{from}");
            BoardFile::from_toml(&ULX3S.replace(from, to))
        };
        let error = |from, to| read(from, to).expect_err(to).to_string();
        assert!(error("clock_mhz = 25", "clock_mhz = 0").contains("`clock_mhz` is 0"));
        assert!(error("family = \"ecp5\"", "family = \"xc7\"").contains("xc7"));
        assert!(error("[board]", "[bord]").contains("board"));
        assert!(error("uart =", "speed = 1\nuart =").contains("speed"));
        let findings = |from: &str, to: &str, pins_from: &str, pins_to: &str| {
            let board = read(from, to).expect("a board");
            let pins = board.shipped_pins().unwrap_or_default();
            board.check(&pins.replace(pins_from, pins_to)).join("\n")
        };
        let same = ("uart", "uart");
        assert!(
            findings("processor_mhz = 75", "processor_mhz = 12", same.0, same.1)
                .contains("too slow")
        );
        assert!(findings(same.0, same.1, "\"B2\"", "\"C2\"").contains("both at C2"));
        assert!(
            findings(same.0, same.1, "LOCATE COMP \"led_busy\"", "#")
                .contains("`led_busy` has no place")
        );
        assert!(findings("\"alive\", ", "", same.0, same.1).contains("no pin `led_alive`"));
    }
}
