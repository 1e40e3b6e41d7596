//! Lowering of convolutions: tiles of filters, bit planes in order of use, records, and the proof that
//! nothing overflows.

use super::{
    CompileError, Operation,
    geometry::{Site, integer},
    requantize,
};
use crate::model::integer::{ConvolutionKind, IntegerConvolution};
use bitweft_isa::{
    QUAD,
    descriptor::{Descriptor, Opcode},
    plane,
    record::Record,
};

/// Tiles, one descriptor each, in channel order.
pub(super) fn lower(
    site: &Site<'_>,
    op: &IntegerConvolution,
) -> Result<Vec<Operation>, CompileError> {
    outline(site, op, &op.bits)?
        .into_iter()
        .map(|tile| pack(site, op, tile))
        .collect()
}

/// A tile before its planes are packed.
pub(super) struct Tile {
    first: usize,
    pub(super) descriptor: Descriptor,
    /// Planes of each filter.
    pub(super) widths: Vec<usize>,
}

/// The tiles of a convolution whose filters have the widths `bits`, in channel order.
pub(super) fn outline(
    site: &Site<'_>,
    op: &IntegerConvolution,
    bits: &[u8],
) -> Result<Vec<Tile>, CompileError> {
    let planes: Vec<usize> = bits.iter().map(|bits| planes(site, op, *bits)).collect();
    let tiles = match op.kind {
        ConvolutionKind::Dense | ConvolutionKind::FullyConnected => dense_tiles(site, op, &planes)?,
        ConvolutionKind::Depthwise => (0..op.filters().div_ceil(QUAD))
            .map(|quad| (quad, quad + 1))
            .collect(),
    };
    let mut base = site.descriptor(Opcode::Convolution, (op.clamp_low, op.clamp_high));
    site.slide(&mut base, &op.window)?;
    let tile = |(first, end): (usize, usize)| {
        let (first, end) = (first * QUAD, (end * QUAD).min(op.filters()));
        let widths = planes[first..end].to_vec();
        let mut descriptor = base.clone();
        descriptor.chunk_count = integer(chunks(site, op));
        descriptor.planes_per_chunk = integer(widths.iter().sum());
        descriptor.filter_count = integer(end - first);
        descriptor.out_base += integer(first / QUAD);
        if op.kind == ConvolutionKind::Depthwise {
            let multiplier = op.filters() / site.inputs[0].channels;
            descriptor.in_base += integer(first / multiplier / QUAD);
            descriptor.quads_per_tap = 1;
        }
        descriptor.paired = i64::from(pairs(site, &descriptor));
        Tile {
            first,
            descriptor,
            widths,
        }
    };
    Ok(tiles.into_iter().map(tile).collect())
}

/// Chunks of a block: K inputs each.
fn chunks(site: &Site<'_>, op: &IntegerConvolution) -> usize {
    let quads = if op.kind == ConvolutionKind::Depthwise {
        1
    } else {
        site.inputs[0].quads()
    };
    (op.window.kernel_height * op.window.kernel_width * quads).div_ceil(site.architecture.quads)
}

/// Planes that a filter of this width takes. A binary filter has no zero: where an input of it is not there (the last
/// chunk is not full, or channels do not fill their quads) it takes two planes.
pub(super) fn planes(site: &Site<'_>, op: &IntegerConvolution, bits: u8) -> usize {
    let full = chunks(site, op) * site.architecture.inputs() == op.weights_per_filter();
    match bits {
        1 if !full => 2,
        bits => usize::from(bits),
    }
}

/// Contiguous tiles of whole output quads, as few as fit the memories, balanced by planes.
fn dense_tiles(
    site: &Site<'_>,
    op: &IntegerConvolution,
    planes: &[usize],
) -> Result<Vec<(usize, usize)>, CompileError> {
    let architecture = site.architecture;
    let chunks = chunks(site, op);
    let quads = op.filters().div_ceil(QUAD);
    let weight: Vec<usize> = planes.chunks(QUAD).map(|quad| quad.iter().sum()).collect();
    let largest = weight.iter().max().copied().unwrap_or(0) * chunks;
    if largest > architecture.plane_words {
        return Err(CompileError::TooSmall {
            layer: site.layer.name.clone(),
            field: "plane_words",
            needed: largest,
            available: architecture.plane_words,
        });
    }
    let quads_max = ((architecture.positions_max() - 1) / QUAD)
        .min(architecture.record_count / QUAD)
        .max(1);
    let total: usize = weight.iter().sum();
    for count in total
        .max(1)
        .div_ceil((architecture.plane_words / chunks).max(1))
        .max(1)..=quads
    {
        let tiles = split(&weight, total.div_ceil(count), quads_max);
        let fits = tiles
            .iter()
            .all(|&(a, b)| weight[a..b].iter().sum::<usize>() * chunks <= architecture.plane_words);
        if fits && tiles.len() <= count {
            return Ok(tiles);
        }
    }
    Ok((0..quads).map(|quad| (quad, quad + 1)).collect())
}

/// Cuts after the quad that reaches the target, before the next one that has planes, and after `quads_max` quads.
fn split(weight: &[usize], target: usize, quads_max: usize) -> Vec<(usize, usize)> {
    let mut tiles = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (quad, &planes) in weight.iter().enumerate() {
        sum += planes;
        let enough = match weight.get(quad + 1) {
            None => true,
            Some(&next) => sum >= target && next > 0,
        };
        if enough || quad + 1 - start == quads_max {
            tiles.push((start, quad + 1));
            (start, sum) = (quad + 1, 0);
        }
    }
    tiles
}

fn pack(site: &Site<'_>, op: &IntegerConvolution, tile: Tile) -> Result<Operation, CompileError> {
    let chunk_count = chunks(site, op);
    let filters: Vec<Filter> = tile
        .widths
        .iter()
        .enumerate()
        .map(|(index, &planes)| Filter::new(site, op, tile.first + index, planes))
        .collect();
    let mut words = Vec::new();
    let mut offsets = vec![Offset::default(); filters.len()];
    let inputs = site.architecture.inputs();
    for chunk in 0..chunk_count {
        for (filter, offset) in filters.iter().zip(&mut offsets) {
            for plane_index in (0..filter.planes).rev() {
                let digits: Vec<bool> = (chunk * inputs..(chunk + 1) * inputs)
                    .map(|k| filter.digit(k, plane_index))
                    .collect();
                let mut word = plane::encode(&plane::ordered(site.architecture, &digits));
                offset.add(plane::offset(&word) << plane_index);
                word.push(plane_index == 0);
                words.push(word);
            }
        }
    }
    let records = filters
        .iter()
        .zip(&offsets)
        .map(|(filter, offset)| filter.record(site, op, offset))
        .collect::<Result<_, _>>()?;
    Ok(Operation {
        descriptor: tile.descriptor,
        planes: words,
        records,
        widths: tile.widths,
    })
}

/// Whether every tap is whole aligned pairs of words, which an architecture with two fill words reads at a time.
fn pairs(site: &Site<'_>, d: &Descriptor) -> bool {
    let words = [
        d.in_base,
        d.pixel_stride,
        d.row_stride,
        d.strip_step,
        d.strip_row_step,
        d.quads_per_tap,
        d.tap_origin,
    ];
    site.architecture.access_words() == 2 && words.iter().all(|word| word % 2 == 0)
}

/// What the dot unit's complements add to a filter's accumulator (`isa::plane::offset`, weighted by plane).
#[derive(Debug, Clone, Default)]
struct Offset {
    sum: i64,
    /// Sum of magnitudes.
    reach: i64,
}

impl Offset {
    fn add(&mut self, offset: i64) {
        self.sum += offset;
        self.reach += offset.abs();
    }
}

/// A filter as the array sees it: one weight for every input k of the flattened (row, column, channel) order
/// with channels padded to whole quads.
struct Filter {
    index: usize,
    planes: usize,
    weights: Vec<i8>,
}

impl Filter {
    fn new(site: &Site<'_>, op: &IntegerConvolution, index: usize, planes: usize) -> Self {
        let (_, rows, columns, channels) = op.weights.dim();
        let depthwise = op.kind == ConvolutionKind::Depthwise;
        let padded = if depthwise {
            QUAD
        } else {
            site.inputs[0].quads() * QUAD
        };
        // A depthwise filter's one channel sits at its place in the quad.
        let shift = if depthwise {
            index / (op.filters() / site.inputs[0].channels) % QUAD
        } else {
            0
        };
        let mut weights = vec![0; rows * columns * padded];
        for row in 0..rows {
            for column in 0..columns {
                for channel in 0..channels {
                    weights[(row * columns + column) * padded + channel + shift] =
                        op.weights[[index, row, column, channel]];
                }
            }
        }
        Self {
            index,
            planes,
            weights,
        }
    }

    fn binary(&self) -> bool {
        self.planes == 1
    }

    /// Digit (true = +1) of input k in a plane; inputs that are not there have weight 0.
    fn digit(&self, k: usize, plane_index: usize) -> bool {
        let weight = i32::from(self.weights.get(k).copied().unwrap_or(0));
        if self.binary() {
            return weight > 0;
        }
        let offset_binary = weight + (1 << (self.planes - 1));
        (offset_binary >> plane_index) & 1 == 1
    }

    fn record(
        &self,
        site: &Site<'_>,
        op: &IntegerConvolution,
        offset: &Offset,
    ) -> Result<Record, CompileError> {
        let name = &site.layer.name;
        let zero = site.input_zero(0) - plane::INPUT_OFFSET;
        let sum: i64 = self.weights.iter().map(|&w| i64::from(w)).sum();
        let bias = i64::from(op.bias[self.index]) - zero * sum;
        let (stored, binary, zero_width) = match self.planes {
            0 => (bias, false, true),
            1 => (bias - offset.sum, true, false),
            _ => (2 * bias - offset.sum, false, false),
        };
        let record = requantize::record(
            name,
            stored,
            op.multiplier[self.index],
            site.network.rounding,
        )?;
        let record = Record {
            binary,
            zero: zero_width,
            ..record
        };
        // Reach of the products for inputs from -128 to 127, whichever way each is at its end.
        let reach = |least: i8, most: i8| -> i64 {
            let ends = self.weights.iter().map(|&w| {
                let end = if w > 0 { most } else { least };
                i64::from(w) * i64::from(end)
            });
            ends.sum()
        };
        let (low, high) = (reach(i8::MAX, i8::MIN), reach(i8::MIN, i8::MAX));
        requantize::check_range(name, self.index, bias + low, bias + high, &record)?;
        self.check_accumulator(site, op, offset)?;
        Ok(record)
    }

    /// The largest magnitude that the accumulator can reach, in any order of summation: every input is at
    /// most 128, and the complements add at most the sum of their offsets' magnitudes.
    fn check_accumulator(
        &self,
        site: &Site<'_>,
        op: &IntegerConvolution,
        offset: &Offset,
    ) -> Result<(), CompileError> {
        let inputs = integer(chunks(site, op) * site.architecture.inputs());
        let weighted: i64 = self
            .weights
            .iter()
            .map(|&w| {
                if self.binary() {
                    1
                } else {
                    (2 * i64::from(w) + 1).abs()
                }
            })
            .sum::<i64>()
            + inputs
            - integer(self.weights.len());
        let reach = plane::INPUT_OFFSET * weighted.max(inputs) + offset.reach;
        let bits = site.architecture.accumulator_bits;
        if reach >= 1 << (bits - 1) {
            return Err(CompileError::Overflow {
                layer: site.layer.name.clone(),
                filter: self.index,
                quantity: "its accumulator",
                value: reach,
                bits,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quads_without_planes_make_no_tiles() {
        assert_eq!(split(&[0, 0, 0], 0, 8), [(0, 3)]);
        assert_eq!(split(&[4, 0, 0], 4, 8), [(0, 3)]);
        assert_eq!(split(&[0, 4, 0, 4, 0], 4, 8), [(0, 3), (3, 5)]);
        assert_eq!(split(&[4, 4, 4], 4, 8), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(split(&[0, 0, 0], 0, 2), [(0, 2), (2, 3)]);
    }
}
