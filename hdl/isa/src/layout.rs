//! Where a tensor's bytes lie in activation memory.
//!
//! Pixel (y, x) lies in bank `x mod columns`; its quads are consecutive words. Channels beyond the
//! tensor's last fill up its last quad; what they hold does not matter.

use crate::{QUAD, architecture::Architecture};

/// A tensor in activation memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// First word (the same in every bank).
    pub base: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Placement {
    /// Words a pixel.
    #[must_use]
    pub fn quads(&self) -> usize {
        self.channels.div_ceil(QUAD)
    }

    /// Strips an image row (pixels a bank and image row).
    #[must_use]
    pub fn strips_per_row(&self, columns: usize) -> usize {
        self.width.div_ceil(columns)
    }

    /// Words between image rows.
    #[must_use]
    pub fn row_stride(&self, columns: usize) -> usize {
        self.strips_per_row(columns) * self.quads()
    }

    /// Words a bank.
    #[must_use]
    pub fn words(&self, columns: usize) -> usize {
        self.height * self.row_stride(columns)
    }

    /// (word, column, byte in the word) of an element.
    #[must_use]
    pub fn locate(
        &self,
        columns: usize,
        y: usize,
        x: usize,
        channel: usize,
    ) -> (usize, usize, usize) {
        let word = self.base
            + y * self.row_stride(columns)
            + (x / columns) * self.quads()
            + channel / QUAD;
        (word, x % columns, channel % QUAD)
    }

    /// Rows of the activation space from `[h, w, c]` bytes; unused bytes are 0.
    #[must_use]
    pub fn pack(&self, architecture: &Architecture, bytes: &[u8]) -> Vec<u8> {
        let columns = architecture.columns;
        let mut rows = vec![0; self.words(columns) * QUAD * columns];
        self.each(columns, |element, at| {
            rows[at] = bytes.get(element).copied().unwrap_or(0)
        });
        rows
    }

    /// `[h, w, c]` bytes from rows of the activation space that start at `base`.
    #[must_use]
    pub fn unpack(&self, architecture: &Architecture, rows: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; self.height * self.width * self.channels];
        self.each(architecture.columns, |element, at| {
            bytes[element] = rows.get(at).copied().unwrap_or(0);
        });
        bytes
    }

    fn each(&self, columns: usize, mut visit: impl FnMut(usize, usize)) {
        let mut element = 0;
        for y in 0..self.height {
            for x in 0..self.width {
                for channel in 0..self.channels {
                    let (word, column, byte) = self.locate(columns, y, x, channel);
                    visit(
                        element,
                        ((word - self.base) * columns + column) * QUAD + byte,
                    );
                    element += 1;
                }
            }
        }
    }
}
