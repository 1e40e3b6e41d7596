//! Convolution, depthwise convolution and fully connected layers, exact in 32 bits.
//!
//! Dense layers run as a float matrix product that is exact. With bytes taken as `u - 128` every
//! product is an integer of at most `128 |w|`, and weights are split along the inner dimension into
//! chunks in which no filter's `128 * sum |w|` exceeds 2^24. Every partial sum of a chunk, in
//! whatever order, is then an integer that a float holds, and the chunks are summed as integers.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, Axis, s};

use super::requantize::{requantize, to_byte};
use crate::model::integer::{
    ConvolutionKind, IntegerConvolution, Multiplier, Rounding, Shape, Window,
};

/// What is taken off every byte of a dense layer's input.
const BYTE_CENTRE: i32 = 128;
/// Integers up to this magnitude are all floats.
const FLOAT_EXACT_MAX: i32 = 1 << 24;
/// Largest sum of a filter's absolute weights in a chunk.
const CHUNK_WEIGHT_MAX: i32 = FLOAT_EXACT_MAX / BYTE_CENTRE;

/// Weights in the form that the inner loop reads.
#[derive(Debug, Clone)]
enum Weights {
    /// `[row * column * in, out]`, and the chunks of its rows.
    Dense {
        matrix: Array2<f32>,
        chunks: Vec<Range<usize>>,
    },
    /// `[row * column, out]`, and how many filters share an input channel.
    Depthwise {
        taps: Array2<i16>,
        filters_per_channel: usize,
    },
}

/// A convolution ready to run.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    window: Window,
    output: Shape,
    input_zero_point: i32,
    output_zero_point: i32,
    weights: Weights,
    /// Bias, with the correction for [`BYTE_CENTRE`] folded in where the layer is dense.
    offset: Vec<i32>,
    multiplier: Vec<Multiplier>,
    rounding: Rounding,
    low: u8,
    high: u8,
}

/// What surrounds a convolution in its network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) input: Shape,
    pub(super) input_zero_point: i32,
    pub(super) output: Shape,
    pub(super) output_zero_point: i32,
    pub(super) rounding: Rounding,
}

impl Convolution {
    /// Prepares a layer whose shapes and accumulator bounds have been checked.
    pub(super) fn new(layer: &IntegerConvolution, around: Surroundings) -> Self {
        let (filters, rows, columns, inputs) = layer.weights.dim();
        let elements = rows * columns * inputs;
        // `[element, out]`, elements in the order row, column, input channel.
        let flat = Array2::from_shape_fn((elements, filters), |(element, filter)| {
            let (pixel, input) = (element / inputs, element % inputs);
            layer.weights[[filter, pixel / columns, pixel % columns, input]]
        });
        let mut offset = layer.bias.to_vec();
        let weights = if layer.kind == ConvolutionKind::Depthwise {
            let filters_per_channel = filters / around.input.channels;
            Weights::Depthwise {
                taps: flat.mapv(i16::from),
                filters_per_channel,
            }
        } else {
            for (offset, weights) in offset.iter_mut().zip(flat.columns()) {
                let sum: i32 = weights.iter().copied().map(i32::from).sum();
                *offset += (BYTE_CENTRE - around.input_zero_point) * sum;
            }
            Weights::Dense {
                chunks: exact_chunks(&flat),
                matrix: flat.mapv(f32::from),
            }
        };
        Self {
            window: layer.window,
            output: around.output,
            input_zero_point: around.input_zero_point,
            output_zero_point: around.output_zero_point,
            weights,
            offset,
            multiplier: layer.multiplier.clone(),
            rounding: around.rounding,
            low: layer.clamp_low,
            high: layer.clamp_high,
        }
    }

    /// The layer's output bytes.
    pub(super) fn run(&self, input: ArrayView3<'_, u8>) -> Array3<u8> {
        let sums = match &self.weights {
            Weights::Dense { matrix, chunks } => self.dense(input, matrix, chunks),
            Weights::Depthwise {
                taps,
                filters_per_channel,
            } => self.depthwise(input, taps, *filters_per_channel),
        };
        let (height, width, filters) =
            (self.output.height, self.output.width, self.output.channels);
        let mut output = Array3::zeros((height, width, filters));
        for (mut bytes, sums) in output.rows_mut().into_iter().zip(sums.rows()) {
            for filter in 0..filters {
                let accumulator = sums[filter] + self.offset[filter];
                let steps = requantize(accumulator, self.multiplier[filter], self.rounding);
                bytes[filter] = to_byte(steps, self.output_zero_point, self.low, self.high);
            }
        }
        output
    }

    /// The image inside its padding, each byte mapped; the output's windows lie inside it.
    fn padded<T: Copy>(
        &self,
        input: ArrayView3<'_, u8>,
        padding: T,
        map: impl Fn(u8) -> T,
    ) -> Array3<T> {
        let (height, width, channels) = input.dim();
        let (window, pad) = (&self.window, &self.window.padding);
        let rows = (self.output.height - 1) * window.stride_height + window.kernel_height;
        let columns = (self.output.width - 1) * window.stride_width + window.kernel_width;
        let rows = rows.max(height + pad.top);
        let columns = columns.max(width + pad.left);
        let mut padded = Array3::from_elem((rows, columns, channels), padding);
        padded
            .slice_mut(s![
                pad.top..pad.top + height,
                pad.left..pad.left + width,
                ..
            ])
            .zip_mut_with(&input, |cell, &byte| *cell = map(byte));
        padded
    }

    /// `sum (u - 128) * w` as `[pixel, out]`.
    fn dense(
        &self,
        input: ArrayView3<'_, u8>,
        matrix: &Array2<f32>,
        chunks: &[Range<usize>],
    ) -> Array2<i32> {
        let centred = |byte: u8| f32::from(byte) - 128.0;
        let zero = u8::try_from(self.input_zero_point).unwrap_or(0);
        let image = self.padded(input, centred(zero), centred);
        let patches = self.patches(&image, matrix.nrows());
        let mut sums = Array2::zeros((patches.nrows(), matrix.ncols()));
        for chunk in chunks {
            let part = patches
                .slice(s![.., chunk.clone()])
                .dot(&matrix.slice(s![chunk.clone(), ..]));
            // An exact integer of at most 2^24.
            #[allow(clippy::cast_possible_truncation)]
            sums.zip_mut_with(&part, |sum: &mut i32, &part| *sum += part as i32);
        }
        sums
    }

    /// Every window of a padded image flattened: `[pixel, row * column * channel]`.
    fn patches(&self, image: &Array3<f32>, elements: usize) -> Array2<f32> {
        let window = &self.window;
        let (height, width) = (self.output.height, self.output.width);
        let segment = window.kernel_width * image.dim().2;
        let mut patches = Array2::zeros((height * width, elements));
        for (pixel, mut patch) in patches.rows_mut().into_iter().enumerate() {
            let top = pixel / width * window.stride_height;
            let left = pixel % width * window.stride_width;
            for row in 0..window.kernel_height {
                let source = image.slice(s![top + row, left..left + window.kernel_width, ..]);
                let mut target = patch.slice_mut(s![row * segment..(row + 1) * segment]);
                if let (Some(target), Some(source)) = (target.as_slice_mut(), source.as_slice()) {
                    target.copy_from_slice(source);
                }
            }
        }
        patches
    }

    /// `sum (u - z) * w` as `[pixel, out]`.
    fn depthwise(
        &self,
        input: ArrayView3<'_, u8>,
        taps: &Array2<i16>,
        filters_per_channel: usize,
    ) -> Array2<i32> {
        let zero = i16::try_from(self.input_zero_point).unwrap_or(0);
        let mut image = self.padded(input, 0, |byte| i16::from(byte) - zero);
        if filters_per_channel > 1 {
            let (rows, columns, _) = image.dim();
            image =
                Array3::from_shape_fn((rows, columns, taps.ncols()), |(row, column, filter)| {
                    image[[row, column, filter / filters_per_channel]]
                });
        }
        let window = &self.window;
        let mut sums = Array2::zeros((self.output.height * self.output.width, taps.ncols()));
        for (pixel, mut sums) in sums.rows_mut().into_iter().enumerate() {
            let top = pixel / self.output.width * window.stride_height;
            let left = pixel % self.output.width * window.stride_width;
            for (tap, weights) in taps.rows().into_iter().enumerate() {
                let row = top + tap / window.kernel_width;
                let column = left + tap % window.kernel_width;
                let values = image.slice(s![row, column, ..]);
                for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
        }
        sums
    }
}

/// Splits the rows of `[element, out]` so that in each chunk every filter's sum of absolute weights
/// stays within [`CHUNK_WEIGHT_MAX`].
fn exact_chunks(flat: &Array2<i8>) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut sums = vec![0_i32; flat.ncols()];
    for (element, weights) in flat.axis_iter(Axis(0)).enumerate() {
        let magnitude = |weight: &i8| i32::from(*weight).abs();
        let full = sums
            .iter()
            .zip(weights)
            .any(|(sum, weight)| sum + magnitude(weight) > CHUNK_WEIGHT_MAX);
        if full {
            chunks.push(start..element);
            start = element;
            sums.fill(0);
        }
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += magnitude(weight);
        }
    }
    chunks.push(start..flat.nrows());
    chunks
}
