//! Descriptors: one macro operation each, a fixed number of 32-bit words.
//!
//! Vocabulary: a *quad* is a word of four channels of one pixel. A *strip* is `columns` horizontally
//! adjacent output pixels, one a column of the array, starting at a multiple of `columns`. A *block* is
//! `lane_rows` consecutive strips, one a row of the array; strips are numbered row-major over the output
//! image. A *chunk* is `quads` consecutive quads of the flattened (kernel row, kernel column, quad)
//! order. A *position* is an accumulator: 0 holds the sum of inputs, 1.. the filters of non-zero width.

use crate::codes::codes;
use std::ops::RangeInclusive;

/// 32-bit words of a descriptor.
pub const WORDS: usize = 16;
/// Bits of an activation word address.
pub const ACTIVATION_ADDRESS_BITS: usize = 16;
/// Bits of a plane word address.
pub const PLANE_ADDRESS_BITS: usize = 20;
/// Bits of a record address.
pub const RECORD_ADDRESS_BITS: usize = 16;
/// Rows and columns of an image, at most.
pub const IMAGE_SIDE_MAX: usize = (1 << 12) - 1;

codes! {
/// What a descriptor does.
Opcode {
    /// Ends the run.
    End = 0,
    /// Convolution of one tile of filters (dense, fully connected, or one quad of a depthwise layer).
    Convolution = 1,
    /// Maximum over windows.
    MaxPool = 2,
    /// Sum over windows, requantized by record `record_base`.
    AveragePool = 3,
    /// Elementwise sum: records `record_base`, `+ 1` scale the inputs, `+ 2` the sum.
    Add = 4,
}
}

/// A bit field of a descriptor, or of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Field {
    /// Name in documents, waveforms and errors.
    pub name: &'static str,
    /// Word of the descriptor; a record is one wide word.
    pub word: usize,
    /// Lowest bit.
    pub low: usize,
    /// Width in bits.
    pub bits: usize,
    /// Two's complement?
    pub signed: bool,
    /// What it holds.
    pub text: &'static str,
}

impl Field {
    /// Values that so many bits of it hold.
    pub(crate) fn range(&self, bits: usize) -> RangeInclusive<i64> {
        if self.signed {
            -(1 << (bits - 1))..=(1 << (bits - 1)) - 1
        } else {
            0..=(1 << bits) - 1
        }
    }
}

macro_rules! fields {
    ($($(#[doc = $text:literal])* $name:ident: $word:literal, $low:literal, $bits:literal, $signed:literal;)*) => {
        /// Fields of a descriptor as numbers.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Descriptor { $($(#[doc = $text])* pub $name: i64,)* }

        /// Every field's place.
        pub const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            word: $word,
            low: $low,
            bits: $bits,
            signed: $signed,
            text: concat!($($text),*).trim_ascii_start(),
        },)*];

        impl Descriptor {
            pub(crate) fn values(&self) -> Vec<i64> { vec![$(self.$name),*] }
            fn from_values(values: &[i64]) -> Self {
                let mut values = values.iter().copied();
                Self { $($name: values.next().unwrap_or(0),)* }
            }
        }
    };
}

fields! {
    /// [`Opcode`].
    opcode: 0, 0, 4, false;
    /// 1: the `double` rounding family, 0: `single`.
    rounding_double: 0, 4, 1, false;
    /// 1: horizontal stride 2 on an even number of columns: two passes over each strip.
    two_passes: 0, 5, 1, false;
    /// 1: an access of a convolution delivers two neighbouring quads. Only where `fill_words` is not 1 and `in_base`,
    /// `pixel_stride`, `row_stride`, `strip_step`, `strip_row_step`, `quads_per_tap` and `tap_origin` are even.
    paired: 0, 6, 1, false;
    /// Byte that stands for zero; fills the padding (0 for a max pool).
    pad_value: 0, 8, 8, false;
    /// Output zero point.
    out_zero: 0, 16, 8, false;
    /// Word of pixel (0, 0), first quad. For Add: input a.
    in_base: 1, 0, 16, false;
    /// Words between pixels that are neighbours in one bank (= quads of the input tensor).
    pixel_stride: 1, 16, 16, false;
    /// Words between image rows in a bank. For Add: base of input b.
    row_stride: 2, 0, 16, false;
    /// Words from a strip to the next one of the same row: stride_width * pixel_stride.
    strip_step: 2, 16, 16, false;
    /// Words from a row's last strip to the next row's first (instead of `strip_step`), signed.
    strip_row_step: 3, 0, 20, true;
    /// Strips a row of the output, ceil(out_width / columns).
    strips_per_row: 3, 20, 12, false;
    /// Strips in all (the last block may be partly filled). For Add: words a column.
    strip_count: 4, 0, 16, false;
    /// Blocks, ceil(strip_count / lane_rows).
    block_count: 4, 16, 16, false;
    /// Quads taken of each pixel.
    quads_per_tap: 5, 0, 16, false;
    /// Kernel columns.
    kernel_width: 5, 16, 8, false;
    /// Kernel rows.
    kernel_height: 5, 24, 8, false;
    /// Words added for the first tap: -pad_top * row_stride + floor(-pad_left / columns) * pixel_stride.
    tap_origin: 6, 0, 20, true;
    /// (-pad_left) mod columns.
    tap_rotation: 6, 20, 4, false;
    /// Vertical stride.
    stride_height: 6, 24, 4, false;
    /// Input rows.
    in_height: 7, 0, 12, false;
    /// Input columns.
    in_width: 7, 12, 12, false;
    /// Input pixels from a strip to the next: columns * stride_width (horizontal strides are 1 and 2).
    strip_x_step: 7, 24, 6, false;
    /// -pad_top.
    origin_y: 8, 0, 12, true;
    /// -pad_left.
    origin_x: 8, 12, 12, true;
    /// Lowest output byte.
    clamp_low: 8, 24, 8, false;
    /// Chunks of a block.
    chunk_count: 9, 0, 16, false;
    /// Planes of a chunk without the all-ones plane: the sum of the tile's widths.
    planes_per_chunk: 9, 16, 16, false;
    /// First plane word of the tile.
    plane_base: 10, 0, 20, false;
    /// Highest output byte.
    clamp_high: 10, 24, 8, false;
    /// Filters of the tile, those of width 0 included.
    filter_count: 11, 0, 16, false;
    /// First record of the tile.
    record_base: 11, 16, 16, false;
    /// Word of output strip 0, first quad of the tile.
    out_base: 12, 0, 16, false;
    /// Words between a convolution's output strips (= quads of the output tensor); those of a pooling are `quads_per_tap` apart.
    out_stride: 12, 16, 16, false;
}

/// A field's value does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("descriptor field `{field}` cannot hold {value} ({bits} bits)")]
pub struct FieldError {
    /// Field name.
    pub field: &'static str,
    /// Value.
    pub value: i64,
    /// Width of the field.
    pub bits: usize,
}

impl Descriptor {
    /// The descriptor's words.
    ///
    /// # Errors
    /// A value outside its field's range.
    pub fn encode(&self) -> Result<[u32; WORDS], FieldError> {
        let mut words = [0_u32; WORDS];
        for (field, value) in FIELDS.iter().zip(self.values()) {
            if !field.range(field.bits).contains(&value) {
                return Err(FieldError {
                    field: field.name,
                    value,
                    bits: field.bits,
                });
            }
            let mask = (1_i64 << field.bits) - 1;
            let masked = u32::try_from(value & mask).unwrap_or(0);
            words[field.word] |= masked << field.low;
        }
        Ok(words)
    }

    /// Reads a descriptor's words.
    #[must_use]
    pub fn decode(words: &[u32; WORDS]) -> Self {
        let values: Vec<i64> = FIELDS
            .iter()
            .map(|field| {
                let raw = i64::from(words[field.word] >> field.low) & ((1_i64 << field.bits) - 1);
                let sign = i64::from(field.signed) << (field.bits - 1);
                (raw ^ sign) - sign
            })
            .collect();
        Self::from_values(&values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap_and_fit() {
        let mut used = [0_u64; WORDS];
        for field in FIELDS {
            let mask = ((1_u64 << field.bits) - 1) << field.low;
            assert!(field.low + field.bits <= 32, "{}", field.name);
            assert_eq!(used[field.word] & mask, 0, "{}", field.name);
            used[field.word] |= mask;
        }
    }

    #[test]
    fn extremes_round_trip() {
        for pick in [0, 1] {
            let values: Vec<i64> = FIELDS
                .iter()
                .map(|f| match (f.signed, pick) {
                    (true, 0) => -(1 << (f.bits - 1)),
                    (true, _) => (1 << (f.bits - 1)) - 1,
                    (false, 0) => 0,
                    (false, _) => (1 << f.bits) - 1,
                })
                .collect();
            let descriptor = Descriptor::from_values(&values);
            assert_eq!(
                Descriptor::decode(&descriptor.encode().expect("fits")),
                descriptor
            );
        }
        let too_big = Descriptor {
            opcode: 16,
            ..Descriptor::default()
        };
        assert_eq!(too_big.encode().expect_err("refused").field, "opcode");
    }
}
