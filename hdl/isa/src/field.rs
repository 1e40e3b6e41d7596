//! Bits of descriptor fields that a processor holds.
//!
//! Every processor takes the same descriptors. One that is not `compact` holds all bits of all fields; a compact one leaves out
//! those that its memories, its columns and `image_side_max` give no use, and ignores them. Words of activation memory count
//! modulo its size, steps backwards too. The compiler refuses a program with a larger number ([`Descriptor::check`]).

use crate::{
    architecture::Architecture,
    descriptor::{Descriptor, FIELDS, Field},
};

/// Fields that are words of activation memory, or steps between them.
const ACTIVATION_WORDS: [&str; 8] = [
    "in_base",
    "pixel_stride",
    "row_stride",
    "strip_step",
    "strip_row_step",
    "tap_origin",
    "out_base",
    "out_stride",
];

/// A field's value is not one that the processor holds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "descriptor field `{field}` is {value}, not {least} to {most}; it takes a larger {parameter}"
)]
pub struct LimitError {
    /// Field name.
    pub field: &'static str,
    /// Value.
    pub value: i64,
    /// Lowest value that the processor holds.
    pub least: i64,
    /// Highest one.
    pub most: i64,
    /// Architecture parameter that sets the limit.
    pub parameter: &'static str,
}

impl Architecture {
    /// Bits of a descriptor field that the processor holds, the lowest ones.
    #[must_use]
    pub fn field_bits(&self, field: &Field) -> usize {
        if !self.compact {
            return field.bits;
        }
        let bits = if ACTIVATION_WORDS.contains(&field.name) {
            bits(self.activation_words - 1)
        } else {
            let signed = usize::from(field.signed);
            self.most(field.name)
                .map_or(field.bits, |(most, _)| bits(most) + signed)
        };
        bits.min(field.bits)
    }

    /// Bits of the coordinates of pixels in and around an image, two's complement. With one column there is no distance between
    /// pixels to be told from the other sign's.
    #[must_use]
    pub fn coordinate_bits(&self) -> usize {
        bits(self.image_side_max) + 2 - usize::from(self.compact && self.columns == 1)
    }

    /// Last row or column that a window may reach into the padding.
    #[must_use]
    pub fn last_coordinate(&self) -> usize {
        2 * self.image_side_max
    }

    /// A number that a compact processor's field holds, from whose bits follow the field's, and the parameter that it comes from.
    fn most(&self, field: &str) -> Option<(usize, &'static str)> {
        let side = self.image_side_max;
        Some(match field {
            "in_height" | "in_width" | "kernel_width" | "kernel_height" | "origin_y"
            | "origin_x" => (side, "image_side_max"),
            "strips_per_row" => (side.div_ceil(self.columns), "image_side_max"),
            "strip_x_step" => (2 * self.columns, "columns"),
            "tap_rotation" => (self.columns.max(2) - 1, "columns"),
            // The input, or a block's other rows, take words too.
            "strip_count" | "quads_per_tap" => (self.activation_words - 1, "activation_words"),
            "block_count" => (
                (self.activation_words / self.lane_rows).max(2) - 1,
                "activation_words",
            ),
            "chunk_count" | "plane_base" => (self.plane_words - 1, "plane_words"),
            "planes_per_chunk" => (self.plane_words, "plane_words"),
            "record_base" => (self.record_count - 1, "record_count"),
            "filter_count" => (self.record_count, "record_count"),
            _ => return None,
        })
    }
}

impl Descriptor {
    /// Whether the processor holds every field's value.
    ///
    /// # Errors
    /// The first field whose value it does not hold.
    pub fn check(&self, architecture: &Architecture) -> Result<(), LimitError> {
        for (field, value) in FIELDS.iter().zip(self.values()) {
            let Some((_, parameter)) = architecture.most(field.name) else {
                continue;
            };
            let range = field.range(architecture.field_bits(field));
            if !range.contains(&value) {
                return Err(LimitError {
                    field: field.name,
                    value,
                    least: *range.start(),
                    most: *range.end(),
                    parameter,
                });
            }
        }
        Ok(())
    }
}

/// Bits of a number of at least 1.
fn bits(number: usize) -> usize {
    number.ilog2() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icebreaker() -> Architecture {
        let text = include_str!("../../../constraints/icebreaker.toml");
        Architecture::from_toml(text).expect("valid")
    }

    fn field(name: &str) -> &'static Field {
        let field = FIELDS.iter().find(|field| field.name == name);
        field.expect("a field")
    }

    #[test]
    fn only_a_compact_processor_leaves_bits_out() {
        let mut architecture = icebreaker();
        let held = |architecture: &Architecture, name| architecture.field_bits(field(name));
        for (name, bits) in [
            ("strip_row_step", 14),
            ("strip_count", 14),
            ("block_count", 13),
            ("chunk_count", 12),
            ("filter_count", 9),
            ("record_base", 8),
            ("in_width", 8),
            ("origin_x", 9),
            ("strip_x_step", 2),
            ("tap_rotation", 1),
            ("stride_height", 4),
        ] {
            assert_eq!(held(&architecture, name), bits, "{name}");
        }
        assert_eq!(architecture.coordinate_bits(), 9);
        architecture.compact = false;
        for field in FIELDS {
            assert_eq!(architecture.field_bits(field), field.bits);
        }
    }

    #[test]
    fn a_field_that_is_not_held_is_named() {
        let architecture = icebreaker();
        let fits = Descriptor {
            in_width: 255,
            origin_x: -256,
            strip_row_step: -16_000,
            filter_count: 256,
            ..Descriptor::default()
        };
        assert_eq!(fits.check(&architecture), Ok(()));
        let wide = Descriptor {
            in_width: 256,
            ..fits.clone()
        };
        let error = wide.check(&architecture).expect_err("too wide");
        assert_eq!((error.field, error.most), ("in_width", 255));
        assert_eq!(error.parameter, "image_side_max");
        let padded = Descriptor {
            origin_x: -257,
            ..fits
        };
        let error = padded.check(&architecture).expect_err("too far");
        assert_eq!((error.field, error.least), ("origin_x", -256));
    }
}
