//! The part on a board and what the processor may take of it: the `[part]` and `[budget]` tables.

use bitweft_hdl::pll::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::board::BoardFileError;

/// The `[part]` table: the part as nextpnr names it, and how it is best asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// ECP5: 12k, 25k, 45k or 85k. iCE40: up5k and the like. Gowin: the whole part number.
    pub device: String,
    /// Package; ECP5 and iCE40.
    pub package: Option<String>,
    /// Speed grade; ECP5.
    pub speed: Option<u8>,
    /// Chip data base; Gowin.
    pub chip: Option<String>,
    /// Clock in MHz that nextpnr is asked for when the processor is routed alone.
    pub aim: Option<f64>,
    /// The router that suits how full the part is: `router1` or `router2`; nextpnr's own choice if left out.
    pub router: Option<String>,
    /// Block RAMs that the accumulators are tied to; ECP5.
    pub accumulators: Option<BlockRams>,
}

/// The `[part.accumulators]` table: block RAMs of an ECP5 die, in nextpnr's tiles, over which the lanes are spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRams {
    /// Y of the rows that have them.
    pub rows: Vec<usize>,
    /// X in each of these rows, ascending, in whole groups of four (4, 6, 8, 10; 13, 15, 17, 19; ...).
    pub columns: Vec<usize>,
}

/// The `[budget]` table: shares of the part that the processor alone may take, and the clock that it must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Look-up tables.
    pub lut: f64,
    /// Flip-flops.
    pub ff: f64,
    /// Block RAMs.
    pub bram: f64,
    /// Multipliers.
    pub dsp: f64,
    /// Clock in MHz.
    pub mhz: f64,
}

impl BlockRams {
    /// Block RAMs of a group of tiles, in which nextpnr numbers them.
    pub const GROUP: usize = 4;

    /// How many there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

impl Part {
    /// Reads the `[part]` table of a TOML text; `None` if it has none.
    ///
    /// # Errors
    /// Syntax, a missing or unknown field.
    pub fn from_toml(text: &str) -> Result<Option<Self>, BoardFileError> {
        #[derive(Deserialize)]
        struct File {
            part: Option<Part>,
        }
        let file: File = toml::from_str(text).map_err(|error| BoardFileError::Table {
            table: "part",
            message: error.to_string(),
        })?;
        Ok(file.part)
    }

    /// What is wrong with the part for a family and an array of so many lanes; empty if nothing is.
    #[must_use]
    pub fn check(&self, family: Family, lanes: usize) -> Vec<String> {
        let fields = [
            (
                "package",
                self.package.is_some(),
                matches!(family, Family::Ecp5 | Family::Ice40),
            ),
            ("speed", self.speed.is_some(), family == Family::Ecp5),
            ("chip", self.chip.is_some(), family == Family::Gowin),
        ];
        let mut findings: Vec<String> = fields
            .into_iter()
            .filter(|(_, there, wanted)| there != wanted)
            .map(|(field, _, wanted)| {
                let must = if wanted {
                    "is missing"
                } else {
                    "does not apply"
                };
                format!("table `part`: field `{field}` {must} for {family:?}")
            })
            .collect();
        if let Some(router) = &self.router
            && !["router1", "router2"].contains(&router.as_str())
        {
            findings.push(format!(
                "table `part`, field `router` is `{router}`; it must be router1 or router2"
            ));
        }
        if let Some(rams) = &self.accumulators {
            if family != Family::Ecp5 {
                findings.push(format!(
                    "table `part.accumulators` does not apply for {family:?}"
                ));
            }
            for (field, tiles, group, number) in [
                ("rows", &rams.rows, 1, "one or more"),
                ("columns", &rams.columns, BlockRams::GROUP, "groups of four"),
            ] {
                let whole = !tiles.is_empty() && tiles.len().is_multiple_of(group);
                if !whole || !tiles.is_sorted_by(|a, b| a < b) {
                    findings.push(format!(
                        "table `part.accumulators`, field `{field}` must hold {number} tile numbers in ascending order"
                    ));
                }
            }
            if rams.places() < lanes {
                findings.push(format!(
                    "table `part.accumulators` has {} places for the accumulators of {lanes} lanes",
                    rams.places()
                ));
            }
        }
        if self.aim.is_some_and(|aim| aim <= 0.0) {
            findings.push("table `part`, field `aim` must be above 0".to_owned());
        }
        findings
    }
}

impl Budget {
    /// Reads the `[budget]` table of a TOML text; `None` if it has none.
    ///
    /// # Errors
    /// Syntax, a missing or unknown field.
    pub fn from_toml(text: &str) -> Result<Option<Self>, BoardFileError> {
        #[derive(Deserialize)]
        struct File {
            budget: Option<Budget>,
        }
        let file: File = toml::from_str(text).map_err(|error| BoardFileError::Table {
            table: "budget",
            message: error.to_string(),
        })?;
        Ok(file.budget)
    }

    /// The share of a resource, by [`Use::name`](super::build::Use::name).
    #[must_use]
    pub fn share(&self, name: &str) -> Option<f64> {
        match name {
            "lut" => Some(self.lut),
            "ff" => Some(self.ff),
            "bram" => Some(self.bram),
            "dsp" => Some(self.dsp),
            _ => None,
        }
    }
}
