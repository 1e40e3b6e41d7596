//! The contract between software and hardware: architecture parameters, memory spaces, descriptors,
//! filter records, plane words, timing constants, program image and port framing. Everything that both
//! sides must agree on is written here once.

pub mod architecture;
pub mod descriptor;
pub mod image;
pub mod layout;
pub mod plane;
pub mod port;
pub mod record;
pub mod timing;

/// Version of this contract; part of every architecture fingerprint.
pub const VERSION: u32 = 3;

/// Channels in one activation word (a quad), and bytes in it.
pub const QUAD: usize = 4;

/// Rows of lanes; equal to the entries of a quad's table, so that one 32-bit read a cycle and column
/// keeps eight lanes' tables filling at full rate.
pub const ROWS: usize = 8;

/// Widest filter in bits.
pub const FILTER_BITS_MAX: u8 = 8;

/// Memories that software can reach. An address counts rows of the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Space {
    /// Descriptors: rows of one 32-bit word.
    Program = 0,
    /// Filter records.
    Record = 1,
    /// Plane words: `inputs` encoded digits and, above them, the flag of a filter's last plane.
    Plane = 2,
    /// Activations: rows of one word a column.
    Activation = 3,
    /// Counters: rows of one 32-bit word, [`COUNTERS`] a descriptor of the last run, read only.
    Counter = 4,
}

/// Counters of one descriptor, in this order: cycles, busy cycles of the array, cycles in which the
/// array waited for tables, cycles in which it waited for the drain.
pub const COUNTERS: usize = 4;
