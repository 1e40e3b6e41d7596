//! Convolution, depthwise convolution and fully connected layers, exact in 32 bits.
//!
//! Dense layers run as a float matrix product that is exact. With bytes taken as `u - 128` every
//! product is an integer of at most `128 |w|`, and weights are split along the inner dimension into
//! chunks in which no filter's `128 * sum |w|` exceeds 2^24. Every partial sum of a chunk, in
//! whatever order, is then an integer that a float holds, and the chunks are summed as integers.
//! Windows are the columns of the product's right side: its rows are then runs of one channel's
//! pixels, cheap to gather and to pack.

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
    /// `[out, in * row * column]`, and the chunks of its columns.
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
        let pixels = rows * columns;
        let mut offset = layer.bias.to_vec();
        let weights = if layer.kind == ConvolutionKind::Depthwise {
            let tap = |(tap, filter)| layer.weights[[filter, tap / columns, tap % columns, 0]];
            Weights::Depthwise {
                taps: Array2::from_shape_fn((pixels, filters), tap).mapv(i16::from),
                filters_per_channel: filters / around.input.channels,
            }
        } else {
            let flat = Array2::from_shape_fn((filters, inputs * pixels), |(filter, element)| {
                let (input, pixel) = (element / pixels, element % pixels);
                layer.weights[[filter, pixel / columns, pixel % columns, input]]
            });
            for (offset, weights) in offset.iter_mut().zip(flat.rows()) {
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
        let Shape {
            height,
            width,
            channels,
        } = self.output;
        let mut output = Array3::zeros((height, width, channels));
        let bytes = output.as_slice_mut().unwrap_or_default();
        match &self.weights {
            Weights::Dense { matrix, chunks } => self.dense(input, matrix, chunks, bytes),
            Weights::Depthwise {
                taps,
                filters_per_channel,
            } => self.depthwise(input, taps, *filters_per_channel, bytes),
        }
        output
    }

    /// The output byte of a sum of one filter.
    #[inline]
    fn byte(&self, filter: usize, sum: i32) -> u8 {
        let accumulator = sum + self.offset[filter];
        let steps = requantize(accumulator, self.multiplier[filter], self.rounding);
        to_byte(steps, self.output_zero_point, self.low, self.high)
    }

    /// Rows and columns of the padded image that the output's windows lie in.
    fn padded_size(&self, height: usize, width: usize) -> (usize, usize) {
        let (window, pad) = (&self.window, &self.window.padding);
        let rows = (self.output.height - 1) * window.stride_height + window.kernel_height;
        let columns = (self.output.width - 1) * window.stride_width + window.kernel_width;
        (rows.max(height + pad.top), columns.max(width + pad.left))
    }

    /// From `sum (u - 128) * w` of each filter and pixel.
    fn dense(
        &self,
        input: ArrayView3<'_, u8>,
        matrix: &Array2<f32>,
        chunks: &[Range<usize>],
        bytes: &mut [u8],
    ) {
        let windows = self.windows(input, matrix.ncols());
        let part = |chunk: &Range<usize>| {
            let weights = matrix.slice(s![.., chunk.clone()]);
            weights.dot(&windows.slice(s![chunk.clone(), ..]))
        };
        // An exact integer of at most 2^24.
        #[allow(clippy::cast_possible_truncation)]
        let integer = |part: f32| part as i32;
        if let [chunk] = chunks {
            for (filter, sums) in part(chunk).rows().into_iter().enumerate() {
                self.finish(filter, sums.iter().copied().map(integer), bytes);
            }
            return;
        }
        let mut sums = Array2::zeros((matrix.nrows(), windows.ncols()));
        for chunk in chunks {
            sums.zip_mut_with(&part(chunk), |sum: &mut i32, &part| *sum += integer(part));
        }
        for (filter, sums) in sums.rows().into_iter().enumerate() {
            self.finish(filter, sums.iter().copied(), bytes);
        }
    }

    /// Writes one filter's bytes, a byte a pixel.
    fn finish(&self, filter: usize, sums: impl Iterator<Item = i32>, bytes: &mut [u8]) {
        let (offset, multiplier) = (self.offset[filter], self.multiplier[filter]);
        let pairs = bytes
            .iter_mut()
            .skip(filter)
            .step_by(self.output.channels)
            .zip(sums);
        let byte = |sum: i32, rounding| {
            let steps = requantize(sum + offset, multiplier, rounding);
            to_byte(steps, self.output_zero_point, self.low, self.high)
        };
        // A loop for each family, so that its constants leave the loop.
        match self.rounding {
            Rounding::Double => pairs.for_each(|(cell, sum)| *cell = byte(sum, Rounding::Double)),
            Rounding::Single => pairs.for_each(|(cell, sum)| *cell = byte(sum, Rounding::Single)),
        }
    }

    /// Every window of `u - 128`, flattened: `[channel * row * column, pixel]`.
    fn windows(&self, input: ArrayView3<'_, u8>, elements: usize) -> Array2<f32> {
        let (height, width, channels) = input.dim();
        let (window, pad) = (&self.window, &self.window.padding);
        let (rows, columns) = self.padded_size(height, width);
        let centred = |byte: u8| f32::from(byte) - 128.0;
        let zero = u8::try_from(self.input_zero_point).unwrap_or(0);
        let (out_height, out_width) = (self.output.height, self.output.width);
        let mut windows = Array2::zeros((elements, out_height * out_width));
        let mut plane = vec![centred(zero); rows * columns];
        let mut targets = windows
            .as_slice_mut()
            .unwrap_or_default()
            .chunks_exact_mut(out_width);
        for channel in 0..channels {
            let values = input.index_axis(Axis(2), channel);
            for (row, values) in values.rows().into_iter().enumerate() {
                let start = (pad.top + row) * columns + pad.left;
                for (cell, &byte) in plane[start..start + width].iter_mut().zip(values) {
                    *cell = centred(byte);
                }
            }
            for tap in 0..window.kernel_height * window.kernel_width {
                let (top, left) = (tap / window.kernel_width, tap % window.kernel_width);
                for (row, target) in targets.by_ref().take(out_height).enumerate() {
                    let start = (top + row * window.stride_height) * columns + left;
                    if window.stride_width == 1 {
                        target.copy_from_slice(&plane[start..start + out_width]);
                    } else {
                        let source = plane[start..].iter().step_by(window.stride_width);
                        target
                            .iter_mut()
                            .zip(source)
                            .for_each(|(cell, &value)| *cell = value);
                    }
                }
            }
        }
        windows
    }

    /// From `sum (u - z) * w` of each pixel and filter.
    fn depthwise(
        &self,
        input: ArrayView3<'_, u8>,
        taps: &Array2<i16>,
        filters_per_channel: usize,
        bytes: &mut [u8],
    ) {
        let (height, width, _) = input.dim();
        let (window, pad, filters) = (&self.window, &self.window.padding, taps.ncols());
        let (rows, columns) = self.padded_size(height, width);
        let zero = i16::try_from(self.input_zero_point).unwrap_or(0);
        // Each input channel as often as it has filters, inside its padding.
        let mut image = vec![0_i16; rows * columns * filters];
        for (row, pixels) in input.outer_iter().enumerate() {
            let start = ((pad.top + row) * columns + pad.left) * filters;
            let cells = image[start..start + width * filters].chunks_exact_mut(filters_per_channel);
            for (cells, &byte) in cells.zip(&pixels) {
                cells.fill(i16::from(byte) - zero);
            }
        }
        let mut sums = vec![0_i32; filters];
        for (pixel, bytes) in bytes.chunks_exact_mut(filters).enumerate() {
            let top = pixel / self.output.width * window.stride_height;
            let left = pixel % self.output.width * window.stride_width;
            sums.fill(0);
            for (tap, weights) in taps.rows().into_iter().enumerate() {
                let row = top + tap / window.kernel_width;
                let column = left + tap % window.kernel_width;
                let values = &image[(row * columns + column) * filters..][..filters];
                let weights = weights.to_slice().unwrap_or_default();
                for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
            for (filter, (byte, &sum)) in bytes.iter_mut().zip(&sums).enumerate() {
                *byte = self.byte(filter, sum);
            }
        }
    }
}

/// Splits the columns of `[out, element]` so that in each chunk every filter's sum of absolute
/// weights stays within [`CHUNK_WEIGHT_MAX`].
fn exact_chunks(flat: &Array2<i8>) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut sums = vec![0_i32; flat.nrows()];
    for (element, weights) in flat.axis_iter(Axis(1)).enumerate() {
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
    chunks.push(start..flat.ncols());
    chunks
}
