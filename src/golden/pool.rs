//! Average and maximum pooling, and the mean over an image, as TFLite's int8 kernels.

use ndarray::{Array3, ArrayView3, Axis, s};

use super::requantize::{requantize, to_byte};
use crate::model::integer::{Multiplier, Rounding, Shape, Window};

/// What a pooling window yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolKind {
    /// Mean of `u - 128` to nearest, ties away from zero.
    Average,
    /// Maximum.
    Maximum,
}

/// A pooling layer; padding is not counted.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) kind: PoolKind,
    pub(super) window: Window,
    pub(super) output: Shape,
    pub(super) low: u8,
    pub(super) high: u8,
}

/// The indices inside `0..size` that window `index` covers.
pub(super) fn covered(
    index: usize,
    stride: usize,
    kernel: usize,
    padding: usize,
    size: usize,
) -> std::ops::Range<usize> {
    let start = index * stride;
    let end = (start + kernel).saturating_sub(padding).min(size);
    start.saturating_sub(padding).min(end)..end
}

impl Pool {
    /// The pooled activation.
    pub(super) fn run(&self, input: ArrayView3<'_, u8>) -> Array3<u8> {
        let (height, width, _) = input.dim();
        let window = &self.window;
        let mut output =
            Array3::zeros((self.output.height, self.output.width, self.output.channels));
        for row in 0..self.output.height {
            let rows = covered(
                row,
                window.stride_height,
                window.kernel_height,
                window.padding.top,
                height,
            );
            for column in 0..self.output.width {
                let columns = covered(
                    column,
                    window.stride_width,
                    window.kernel_width,
                    window.padding.left,
                    width,
                );
                let pixels = input.slice(s![rows.clone(), columns, ..]);
                for (channel, byte) in output.slice_mut(s![row, column, ..]).iter_mut().enumerate()
                {
                    let values = pixels.index_axis(Axis(2), channel);
                    let value = match self.kind {
                        PoolKind::Average => average(values.iter().copied()),
                        PoolKind::Maximum => values.iter().copied().max().unwrap_or(0),
                    };
                    *byte = value.max(self.low).min(self.high);
                }
            }
        }
        output
    }
}

/// Mean of `u - 128` to nearest, ties away from zero, as a byte `u`.
fn average(values: impl Iterator<Item = u8>) -> u8 {
    let mut sum = 0_i64;
    let mut count = 0_i64;
    for value in values {
        sum += i64::from(value) - 128;
        count += 1;
    }
    if count == 0 {
        return 128;
    }
    let half = count / 2;
    let mean = if sum > 0 {
        (sum + half) / count
    } else {
        (sum - half) / count
    };
    u8::try_from(mean + 128).unwrap_or(u8::MAX)
}

/// Mean over rows and columns with rescaling.
#[derive(Debug, Clone)]
pub(super) struct GlobalAverage {
    pub(super) input_zero_point: i32,
    pub(super) output_zero_point: i32,
    pub(super) multiplier: Multiplier,
    pub(super) rounding: Rounding,
}

impl GlobalAverage {
    /// `[h, w, c]` to `[1, 1, c]`.
    pub(super) fn run(&self, input: ArrayView3<'_, u8>) -> Array3<u8> {
        let (_, _, channels) = input.dim();
        let mut sums = vec![0_i32; channels];
        for pixel in input.rows() {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) - self.input_zero_point;
            }
        }
        Array3::from_shape_fn((1, 1, channels), |(_, _, channel)| {
            let steps = requantize(sums[channel], self.multiplier, self.rounding);
            to_byte(steps, self.output_zero_point, 0, u8::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_ties_away_from_zero() {
        let mean = |values: [i16; 2]| {
            let bytes = values.map(|value| u8::try_from(value + 128).expect("a byte"));
            i16::from(average(bytes.into_iter())) - 128
        };
        assert_eq!(mean([1, 2]), 2);
        assert_eq!(mean([-1, -2]), -2);
        assert_eq!(mean([-1, 0]), -1);
        assert_eq!(mean([127, 127]), 127);
        assert_eq!(mean([-128, -128]), -128);
    }

    #[test]
    fn windows_are_clipped_to_the_image() {
        assert_eq!(covered(0, 2, 3, 1, 5), 0..2);
        assert_eq!(covered(2, 2, 3, 1, 5), 3..5);
        assert_eq!(covered(0, 1, 2, 3, 5), 0..0);
        assert_eq!(covered(9, 1, 2, 0, 5), 5..5);
    }
}
