//! The contract between software and hardware: architecture parameters, memory spaces, descriptors,
//! filter records, plane words, timing constants, program image and port framing. Everything that both
//! sides must agree on is written here once.

pub mod architecture;
pub mod codes;
pub mod descriptor;
pub mod document;
pub mod field;
pub mod image;
pub mod layout;
pub mod plane;
pub mod port;
pub mod record;
pub mod timing;

use codes::codes;

/// Version of this contract; part of every architecture fingerprint.
pub const VERSION: u32 = 4;

/// Channels in one activation word (a quad), and bytes in it.
pub const QUAD: usize = 4;

/// Rows of lanes, at most; equal to the entries of a quad's table, so that one 32-bit read a cycle and column
/// keeps eight lanes' tables filling at full rate.
pub const ROWS_MAX: usize = 8;

/// Widest filter in bits.
pub const FILTER_BITS_MAX: u8 = 8;

codes! {
/// Memories that software can reach. An address counts rows of the space.
Space {
    /// Descriptors: rows of one 32-bit word.
    Program = 0,
    /// Filter records.
    Record = 1,
    /// Plane words: `inputs` encoded digits and, above them, the flag of a filter's last plane.
    Plane = 2,
    /// Activations: rows of one word a column.
    Activation = 3,
    /// Counters: rows of one 32-bit word, `COUNTERS` a descriptor of the last run, read only.
    Counter = 4,
}
}

codes! {
/// Counters of one descriptor, in the order of their rows.
Counter {
    /// From the descriptor's first program word read to the cycle in which its counters are written.
    Cycles = 0,
    /// Cycles in which the array was busy.
    Busy = 1,
    /// Cycles in which the array waited for its tables.
    FillStall = 2,
    /// Cycles in which it waited for the drain.
    DrainStall = 3,
}
}

/// Counters of one descriptor.
pub const COUNTERS: usize = Counter::ALL.len();
