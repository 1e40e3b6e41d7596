//! Architecture parameters: what is fixed when a bitstream is made.

use crate::{COUNTERS, QUAD, ROWS_MAX, Space, VERSION, descriptor, record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How a lane computes its dot product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LaneKind {
    /// Distributed arithmetic: tables of four activations in `small_storage`, double-buffered.
    Table,
    /// Adder tree on registered activations (double-buffered in flip-flops).
    Plain,
}

/// What a memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Block RAM.
    Block,
    /// LUTRAM.
    Distributed,
    /// Large RAM of one port (iCE40 UltraPlus: SB_SPRAM256KA, 16384 words of 16 bits).
    SinglePort,
}

/// Words of a [`Storage::SinglePort`] memory, at most.
pub const SINGLE_PORT_WORDS: usize = 1 << 14;

/// Parameters of one processor. Read from the `[architecture]` table of a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Rows of lanes; 2, 4 or 8.
    #[serde(default = "rows_max")]
    pub lane_rows: usize,
    /// Columns of lanes = banks of the activation memory; 1 to 16. Lanes P = `lane_rows * columns`.
    pub columns: usize,
    /// Quads a plane word covers; 2 to 64. Inputs K = `QUAD * quads`.
    pub quads: usize,
    /// Dot unit.
    pub lane: LaneKind,
    /// Tables of a lane that are filled at a time, 1, 2 or 4. With 2 an access can deliver two neighbouring quads
    /// (`descriptor` field `paired`), which takes table lanes and an even number of quads. With 4 moreover a lane takes its next word or
    /// pair when the tables of the one before are half filled: four rows, which would wait for their tables, need not; takes `lane_rows` = 4 and
    /// a multiple of four quads.
    #[serde(default = "one")]
    pub fill_words: usize,
    /// Registers side by side that hold a row's controls, each for the columns near it: 1 to `columns`. With more than one the
    /// processor is taken to be spread over a large die: what goes all over it has registers on the way.
    #[serde(default = "one")]
    pub control_groups: usize,
    /// Fewer registers between units, for a small part with a slow clock: less area and fewer cycles, at fewer MHz. Numbers of a
    /// descriptor have as many bits as its memories and `image_side_max` take.
    #[serde(default)]
    pub compact: bool,
    /// Rows and columns of an image, at most: one less than a power of two, 15 to 4095; less than 4095 with `compact`. A kernel's are 255 at most.
    #[serde(default = "image_side_max")]
    pub image_side_max: usize,
    /// Bits of an accumulator; 20 to 32.
    pub accumulator_bits: usize,
    /// Accumulators a lane; two halves of `positions_max` each. A power of two.
    pub accumulator_depth: usize,
    /// Where the accumulators are.
    pub accumulator_storage: Storage,
    /// Where memories of a few words are.
    #[serde(default = "distributed")]
    pub small_storage: Storage,
    /// Where activations are. With `single_port` their memory has a clock of its own, twice as fast, and takes `drain_ways` = 1 and
    /// `fill_words` = 1.
    #[serde(default = "block")]
    pub activation_storage: Storage,
    /// Where planes are.
    #[serde(default = "block")]
    pub plane_storage: Storage,
    /// Filters drained at a time (requantizers a column): 1 or 2.
    pub drain_ways: usize,
    /// Words of activation memory a column.
    pub activation_words: usize,
    /// Plane words.
    pub plane_words: usize,
    /// Filter records.
    pub record_count: usize,
    /// Descriptors a program can hold (and counters are kept for).
    pub descriptor_count: usize,
}

fn one() -> usize {
    1
}

fn rows_max() -> usize {
    ROWS_MAX
}

fn image_side_max() -> usize {
    descriptor::IMAGE_SIDE_MAX
}

fn block() -> Storage {
    Storage::Block
}

fn distributed() -> Storage {
    Storage::Distributed
}

/// Why a set of parameters is not an architecture.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchitectureError {
    /// A field outside its range.
    #[error("architecture field `{field}` is {value}; it must be {allowed}")]
    Range {
        /// Field name.
        field: &'static str,
        /// Value found.
        value: usize,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A kind of memory where it cannot be.
    #[error("architecture field `{field}`: {allowed}")]
    Storage {
        /// Field name.
        field: &'static str,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// Not readable as TOML.
    #[error("architecture file: {0}")]
    Syntax(String),
}

impl Architecture {
    /// Reads the `[architecture]` table of a TOML text (a board file may hold other tables).
    ///
    /// # Errors
    /// Syntax, unknown or missing fields, values out of range.
    pub fn from_toml(text: &str) -> Result<Self, ArchitectureError> {
        #[derive(Deserialize)]
        struct File {
            architecture: Architecture,
        }
        let file: File =
            toml::from_str(text).map_err(|error| ArchitectureError::Syntax(error.to_string()))?;
        file.architecture.check()?;
        Ok(file.architecture)
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// The first field out of range.
    pub fn check(&self) -> Result<(), ArchitectureError> {
        let rules: [(&'static str, usize, bool, &'static str); 13] = [
            (
                "lane_rows",
                self.lane_rows,
                matches!(self.lane_rows, 2 | 4 | ROWS_MAX),
                "2, 4 or 8",
            ),
            (
                "columns",
                self.columns,
                (1..=16).contains(&self.columns),
                "1 to 16",
            ),
            (
                "quads",
                self.quads,
                (2..=64).contains(&self.quads),
                "2 to 64",
            ),
            (
                "fill_words",
                self.fill_words,
                self.fill_words == 1
                    || self.lane == LaneKind::Table
                        && self.quads.is_multiple_of(self.fill_words)
                        && (self.fill_words == 2
                            || self.fill_words == 4 && self.lane_rows == ROWS_MAX / 2),
                "1, or with lane = \"table\" 2 and an even number of quads, or 4 with lane_rows = 4 and a multiple of four quads",
            ),
            (
                "control_groups",
                self.control_groups,
                (1..=self.columns).contains(&self.control_groups)
                    && !(self.compact && self.is_wide()),
                "1 to the number of columns, and 1 with compact = true",
            ),
            (
                "image_side_max",
                self.image_side_max,
                self.image_side_max == descriptor::IMAGE_SIDE_MAX
                    || self.compact
                        && (self.image_side_max + 1).is_power_of_two()
                        && (15..=descriptor::IMAGE_SIDE_MAX).contains(&self.image_side_max),
                "4095, or with compact = true one less than a power of two, 15 to 4095",
            ),
            (
                "accumulator_bits",
                self.accumulator_bits,
                (20..=32).contains(&self.accumulator_bits),
                "20 to 32",
            ),
            (
                "accumulator_depth",
                self.accumulator_depth,
                self.accumulator_depth.is_power_of_two()
                    && (16..=1024).contains(&self.accumulator_depth),
                "a power of two from 16 to 1024",
            ),
            (
                "drain_ways",
                self.drain_ways,
                self.drain_ways == 1 || self.drain_ways == 2 && self.lane_rows == ROWS_MAX,
                "1, or 2 with lane_rows = 8",
            ),
            (
                "activation_words",
                self.activation_words,
                (16..=1 << descriptor::ACTIVATION_ADDRESS_BITS).contains(&self.activation_words),
                "16 to 65536",
            ),
            (
                "plane_words",
                self.plane_words,
                (16..=1 << descriptor::PLANE_ADDRESS_BITS).contains(&self.plane_words),
                "16 to 1048576",
            ),
            (
                "record_count",
                self.record_count,
                (4..=1 << descriptor::RECORD_ADDRESS_BITS).contains(&self.record_count),
                "4 to 65536",
            ),
            (
                "descriptor_count",
                self.descriptor_count,
                (1..=4096).contains(&self.descriptor_count),
                "1 to 4096",
            ),
        ];
        for (field, value, ok, allowed) in rules {
            if !ok {
                return Err(ArchitectureError::Range {
                    field,
                    value,
                    allowed,
                });
            }
        }
        self.check_storage()
    }

    fn check_storage(&self) -> Result<(), ArchitectureError> {
        use Storage::{Block, Distributed, SinglePort};
        let fits = |words: usize| words <= SINGLE_PORT_WORDS;
        let rules = [
            (
                "accumulator_storage",
                self.accumulator_storage != SinglePort,
                "block or distributed",
            ),
            (
                "small_storage",
                self.small_storage != SinglePort,
                "block or distributed",
            ),
            (
                "activation_storage",
                match self.activation_storage {
                    Block => true,
                    Distributed => false,
                    SinglePort => {
                        fits(self.activation_words) && self.drain_ways == 1 && self.fill_words == 1
                    }
                },
                "block, or single_port with at most 16384 activation_words, drain_ways = 1 and fill_words = 1",
            ),
            (
                "plane_storage",
                match self.plane_storage {
                    Block => true,
                    Distributed => false,
                    SinglePort => fits(self.plane_words),
                },
                "block, or single_port with at most 16384 plane_words",
            ),
        ];
        match rules.into_iter().find(|&(_, ok, _)| !ok) {
            Some((field, _, allowed)) => Err(ArchitectureError::Storage { field, allowed }),
            None => Ok(()),
        }
    }

    /// Whether a strip with this horizontal stride takes two passes. Only an odd number of banks holds every other one of `2 x
    /// columns` pixels side by side.
    #[must_use]
    pub fn two_passes(&self, stride_width: usize) -> bool {
        stride_width == 2 && self.columns.is_multiple_of(2)
    }

    /// Lanes P: output pixels computed at a time.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lane_rows * self.columns
    }

    /// Inputs K: weight digits a cycle.
    #[must_use]
    pub fn inputs(&self) -> usize {
        QUAD * self.quads
    }

    /// MAC-bits a cycle, P x K.
    #[must_use]
    pub fn mac_bits(&self) -> usize {
        self.lanes() * self.inputs()
    }

    /// Whether the processor is spread over a large die: what goes all over it has registers on the way.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.control_groups > 1
    }

    /// Words of a bank that an access of fetch delivers.
    #[must_use]
    pub fn access_words(&self) -> usize {
        self.fill_words.min(2)
    }

    /// Accumulator positions of one half: the sum of inputs, and up to `positions_max - 1` filters.
    #[must_use]
    pub fn positions_max(&self) -> usize {
        self.accumulator_depth / 2
    }

    /// Rows of lanes that one drain way serves.
    #[must_use]
    pub fn rows_per_way(&self) -> usize {
        self.lane_rows / self.drain_ways
    }

    /// 32-bit words of program memory.
    #[must_use]
    pub fn program_words(&self) -> usize {
        self.descriptor_count * descriptor::WORDS
    }

    /// Rows of a memory space.
    #[must_use]
    pub fn rows(&self, space: Space) -> usize {
        match space {
            Space::Program => self.program_words(),
            Space::Record => self.record_count,
            Space::Plane => self.plane_words,
            Space::Activation => self.activation_words,
            Space::Counter => self.descriptor_count * COUNTERS,
        }
    }

    /// Bytes of one row of a memory space (little endian).
    #[must_use]
    pub fn row_bytes(&self, space: Space) -> usize {
        match space {
            Space::Program | Space::Counter => 4,
            Space::Record => record::BYTES,
            Space::Plane => (self.inputs() + 1).div_ceil(8),
            Space::Activation => QUAD * self.columns,
        }
    }

    /// 32 bits that differ between architectures and contract versions: the head of SHA-256 over the
    /// version and all parameters (`image_side_max` only where it may be chosen).
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        let mut text = format!("bitweft isa {VERSION}: {self:?}");
        if !self.compact {
            text = text.replace(&format!(" image_side_max: {},", self.image_side_max), "");
        }
        let digest = Sha256::digest(text.as_bytes());
        u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_architectures_are_read() {
        let all = [
            (include_str!("../../../constraints/tiny.toml"), 256),
            (include_str!("../../../constraints/icebreaker.toml"), 64),
            (
                include_str!("../../../constraints/colorlight-i5.toml"),
                1536,
            ),
            (include_str!("../../../constraints/ulx3s-85f.toml"), 4608),
        ];
        for (text, mac_bits) in all {
            assert_eq!(
                Architecture::from_toml(text).expect("valid").mac_bits(),
                mac_bits
            );
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        let text = include_str!("../../../constraints/tiny.toml");
        let error = Architecture::from_toml(&text.replace("columns = 2", "columns = 0"));
        assert!(matches!(
            error,
            Err(ArchitectureError::Range {
                field: "columns",
                value: 0,
                ..
            })
        ));
        for (field, from, to) in [
            (
                "fill_words",
                "lane = \"table\"",
                "fill_words = 2\nlane = \"plain\"",
            ),
            ("fill_words", "quads = 4", "fill_words = 2\nquads = 5"),
            ("fill_words", "quads = 4", "fill_words = 3\nquads = 4"),
            ("fill_words", "quads = 4", "fill_words = 4\nquads = 4"),
            (
                "fill_words",
                "quads = 4",
                "lane_rows = 4\nfill_words = 4\nquads = 6",
            ),
            ("lane_rows", "quads = 4", "lane_rows = 3\nquads = 4"),
            (
                "drain_ways",
                "drain_ways = 1",
                "lane_rows = 4\ndrain_ways = 2",
            ),
            (
                "control_groups",
                "quads = 4",
                "compact = true\ncontrol_groups = 2\nquads = 4",
            ),
            (
                "image_side_max",
                "quads = 4",
                "compact = true\nimage_side_max = 250\nquads = 4",
            ),
            (
                "image_side_max",
                "quads = 4",
                "image_side_max = 255\nquads = 4",
            ),
        ] {
            let error = Architecture::from_toml(&text.replace(from, to)).expect_err(to);
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
        let error = Architecture::from_toml(&text.replace("columns", "colums")).expect_err("typo");
        assert!(error.to_string().contains("colums"), "{error}");
    }
}
