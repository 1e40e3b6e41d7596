//! Fetch: the address generator, and the path from the activation memory's banks to the columns of the array.
//!
//! # Contract
//! After `start` (opcode Convolution, MaxPool or AveragePool; nothing happens for others) the unit reads the windows of
//! `hdl/README.md`, one access (one word a bank) a cycle, in their order: for a convolution block, chunk, quad,
//! pass, strip; for pooling strip, quad, kernel row, kernel column, pass. With an access issued in cycle t (the timing rules
//! are those of `timing`, 1, 2 and 7):
//! - t + `FETCH_ADDRESS_LATENCY`: `fetch_address`, every bank's address;
//! - `activation_read_latency` later: `read_data`, every bank's word;
//! - t + `fetch_latency`: `x_bus`, column c's word in bits 32 c .. 32 c + 32. Pixels outside the image are `pad_value` in
//!   every byte; quads beyond the last tap are 0. Column c's word is that of its own pixel in the pass
//!   `two_passes ? floor(2 c / columns) : 0`, and of no meaning in the other. With an odd number of columns one pass is enough, and
//!   `two_passes` of no meaning.
//! - With `fill_words` > 1, `read_odd` and `x_bus_odd` go along with `read_data` and `x_bus`. With `paired` they carry the quad
//!   after that of the access (of the same tap), and accesses step by two quads; without it the same word. `paired` is 0
//!   for pooling, and of no meaning with `fill_words` = 1.
//!
//! Convolution: `capture` marks row 0's word of a quad and pass (rows 1..7 follow in the next cycles);
//! `fill_enable` covers the 8 cycles after it with `fill_entry` 0..7, `fill_quad` and `fill_bank` (0 first, then
//! alternating). With `fill_words` = 4 it covers the 4 cycles after the last pass's, and `capture_quad` goes with `capture`.
//! A chunk takes one of two table banks; `chunk_released` gives it back. `chunk_filled` pulses
//! `fill_to_plane - 1` cycles after the issue of the chunk's last access.
//!
//! Pooling: `pool_valid` marks every word; see `hdl/README.md` for its flags.
//!
//! Latency and throughput as above: one access a cycle, no bubble between chunks as long as a bank is free.
//! `reset` ends everything; it need not come between descriptors.
//!
//! ```text
//! clock          _/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_/~\_    t: a quad's first access, F = fetch_latency
//! cycle           t+F   +1  +2  +3  +4  +5  +6  +7  +8  +9
//! x_bus          X r0 X r1X r2X r3X r4X r5X r6X r7X r0X r1     (r0: row 0, of the next quad from t+F+8 on)
//! capture        /~~~\___________________________/~~~\___
//! fill_enable    ____/~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
//! fill_entry         X 0 X 1 X 2 X 3 X 4 X 5 X 6 X 7 X 0
//! fill_quad          X g                             X g+1
//! ```

mod control;
mod window;

use crate::builder::{Module, Net};
use bitweft_isa::architecture::Architecture;

/// Descriptor fields that are inputs of the unit.
pub const DESCRIPTOR_FIELDS: [&str; 24] = [
    "opcode",
    "two_passes",
    "paired",
    "pad_value",
    "in_base",
    "pixel_stride",
    "row_stride",
    "strip_step",
    "strip_row_step",
    "strips_per_row",
    "strip_count",
    "block_count",
    "quads_per_tap",
    "kernel_width",
    "kernel_height",
    "tap_origin",
    "tap_rotation",
    "stride_height",
    "in_height",
    "in_width",
    "strip_x_step",
    "origin_y",
    "origin_x",
    "chunk_count",
];

/// The unit as a module.
#[must_use]
pub fn fetch(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "fetch");
    let stride = Stride::new(&module, architecture);
    let paired = module.field("paired");
    let pairing = Pairing::new(&module, architecture, paired);
    let access = control::accesses(&module, architecture, &stride, &pairing);
    control::array_controls(&module, architecture, &access, &stride.two_passes);
    control::pool_controls(&module, architecture, &access);
    window::words(&module, architecture, &access, &stride);
    module
}

/// The horizontal stride.
struct Stride {
    /// Constant 0 on an odd number of columns.
    two_passes: Net,
    /// It is 2: column c takes the window's pixel 2 c.
    doubled: Net,
    /// Input pixels from a strip to the next.
    x_step: Net,
}

impl Stride {
    fn new(m: &Module, architecture: &Architecture) -> Self {
        let (two_passes, x_step) = (m.field("two_passes"), m.field("strip_x_step"));
        if architecture.two_passes(2) {
            return Self {
                doubled: two_passes.clone(),
                two_passes,
                x_step,
            };
        }
        m.unused(&two_passes);
        let doubled = m.equals(&x_step, 2 * architecture.columns as u64);
        Self {
            two_passes: m.literal(0, 1),
            doubled: m.registered("doubled", &doubled),
            x_step,
        }
    }
}

/// Loops over quads that count pairs where a descriptor is `paired`.
struct Pairing<'a> {
    module: &'a Module,
    /// `None`: an architecture without pairs.
    paired: Option<Net>,
}

impl<'a> Pairing<'a> {
    fn new(module: &'a Module, architecture: &Architecture, paired: Net) -> Self {
        let pairs = architecture.access_words() == 2;
        if !pairs {
            module.unused(&paired);
        }
        Self {
            module,
            paired: pairs.then_some(paired),
        }
    }

    /// Steps over so many quads.
    fn steps(&self, quads: &Net) -> Net {
        let m = self.module;
        match &self.paired {
            Some(paired) => m.mux(paired, &m.shift_right(quads, 1), quads),
            None => quads.clone(),
        }
    }

    /// First quad of a step.
    fn quad(&self, step: &Net) -> Net {
        let m = self.module;
        match &self.paired {
            Some(paired) => m.mux(paired, &m.shift_left(step, 1), step),
            None => step.clone(),
        }
    }
}
