//! The part on a board and what the processor may take of it: the `[part]` and `[budget]` tables.

use std::collections::BTreeMap;

use bitweft_hdl::{activation_memory, array::accumulator_blocks, pll::Family};
use bitweft_isa::architecture::Architecture;
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
    /// Seed of placement where none is given, for a part so full that few seeds do; 1 if left out.
    pub seed: Option<u32>,
    /// Block RAMs that the accumulators are tied to; ECP5.
    pub accumulators: Option<BlockRams>,
    /// Block RAMs that the activations are tied to; ECP5.
    pub activations: Option<BlockRams>,
    /// Places of other cells, as nextpnr names them (`X62/Y46/EBR2`), by the cells' names below the processor in the flattened netlist
    /// (`drain.records.block_0.block`); ECP5.
    #[serde(default)]
    pub places: BTreeMap<String, String>,
}

/// The `[part.accumulators]` and `[part.activations]` tables: block RAMs of an ECP5 die, in nextpnr's tiles, over which the
/// memories of lanes or banks are spread, columns of the array from left to right.
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

    /// What is wrong with them as places of so many memories.
    fn check(&self, family: Family, memories: usize) -> impl Iterator<Item = String> {
        let ascending = |tiles: &[usize]| tiles.is_sorted_by(|a, b| a < b);
        let whole = !self.columns.is_empty() && self.columns.len().is_multiple_of(Self::GROUP);
        let findings = [
            (family != Family::Ecp5).then(|| format!("does not apply for {family:?}")),
            (self.rows.is_empty() || !ascending(&self.rows))
                .then(|| "needs `rows` in ascending order".to_owned()),
            (!whole || !ascending(&self.columns))
                .then(|| "needs `columns` in ascending order, in whole groups of four".to_owned()),
            (memories == 0).then(|| "does not apply for this architecture".to_owned()),
            (self.places() < memories)
                .then(|| format!("has {} places for {memories} memories", self.places())),
        ];
        findings.into_iter().flatten()
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

    /// What is wrong with the part for a family and an architecture; empty if nothing is.
    #[must_use]
    pub fn check(&self, family: Family, architecture: &Architecture) -> Vec<String> {
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
        let accumulators = accumulator_blocks(architecture).into_iter().flatten();
        let activations = activation_memory::blocks(architecture)
            .into_iter()
            .flatten();
        for (table, rams, wanted) in [
            ("accumulators", &self.accumulators, accumulators.count()),
            (
                "activations",
                &self.activations,
                activations.flatten().count(),
            ),
        ] {
            let Some(rams) = rams else { continue };
            let found = rams.check(family, wanted);
            findings.extend(found.map(|finding| format!("table `part.{table}` {finding}")));
        }
        if family != Family::Ecp5 && !self.places.is_empty() {
            findings.push(format!("table `part.places` does not apply for {family:?}"));
        }
        let harmless = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._/".contains(c);
            !text.is_empty() && text.chars().all(plain)
        };
        for (cell, place) in &self.places {
            if !harmless(cell) || !harmless(place) {
                findings.push(format!(
                    "table `part.places`: `{cell}` = `{place}` is no name of a cell and a place"
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
