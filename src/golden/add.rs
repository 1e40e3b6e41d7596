//! Residual addition, as TFLite's int8 ADD.

use ndarray::{Array3, ArrayView3, Zip};

use super::requantize::{requantize, to_byte};
use crate::model::integer::{Multiplier, Rounding};

/// Bits that each input is raised by before it is scaled (TFLite's `left_shift`).
const HEADROOM_BITS: u32 = 20;

/// Parameters of an addition.
#[derive(Debug, Clone)]
pub(super) struct Addition {
    pub(super) input_zero_point: [i32; 2],
    pub(super) input: [Multiplier; 2],
    pub(super) output_zero_point: i32,
    pub(super) output: Multiplier,
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) rounding: Rounding,
}

impl Addition {
    /// Each input as `(u - z) << 20` scaled by its multiplier, for every byte.
    fn scaled(&self, input: usize) -> [i32; 256] {
        let mut table = [0; 256];
        for (byte, entry) in (0_i32..).zip(&mut table) {
            let raised = (byte - self.input_zero_point[input]) << HEADROOM_BITS;
            *entry = requantize(raised, self.input[input], self.rounding);
        }
        table
    }

    /// The sum of two activations of one shape.
    pub(super) fn run(&self, first: ArrayView3<'_, u8>, second: ArrayView3<'_, u8>) -> Array3<u8> {
        let tables = [self.scaled(0), self.scaled(1)];
        Zip::from(first).and(second).map_collect(|&a, &b| {
            let sum = tables[0][usize::from(a)].saturating_add(tables[1][usize::from(b)]);
            let steps = requantize(sum, self.output, self.rounding);
            to_byte(steps, self.output_zero_point, self.low, self.high)
        })
    }
}
