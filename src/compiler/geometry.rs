//! The part of a descriptor that windows over an image share.

use super::CompileError;
use crate::model::integer::{IntegerLayer, IntegerNetwork, Rounding, Window};
use bitweft_isa::{
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    layout::Placement,
};

/// A layer, where its tensors are, and the machine it is compiled for.
pub(super) struct Site<'a> {
    pub(super) network: &'a IntegerNetwork,
    pub(super) layer: &'a IntegerLayer,
    pub(super) inputs: Vec<Placement>,
    pub(super) output: Placement,
    pub(super) architecture: &'a Architecture,
}

impl Site<'_> {
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> CompileError {
        CompileError::Unsupported {
            layer: self.layer.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn input_zero(&self, index: usize) -> i64 {
        i64::from(self.network.tensors[self.layer.inputs[index]].zero_point)
    }

    pub(super) fn output_zero(&self) -> i64 {
        i64::from(self.network.tensors[self.layer.output].zero_point)
    }

    /// Opcode, rounding, output bytes.
    pub(super) fn descriptor(&self, opcode: Opcode, clamp: (u8, u8)) -> Descriptor {
        Descriptor {
            opcode: opcode as i64,
            rounding_double: i64::from(self.network.rounding == Rounding::Double),
            out_zero: self.output_zero(),
            clamp_low: i64::from(clamp.0),
            clamp_high: i64::from(clamp.1),
            out_base: integer(self.output.base),
            out_stride: integer(self.output.quads()),
            ..Descriptor::default()
        }
    }

    /// Fills in the fields of a window that slides over input 0, all its quads.
    pub(super) fn slide(
        &self,
        descriptor: &mut Descriptor,
        window: &Window,
    ) -> Result<(), CompileError> {
        let columns = self.architecture.columns;
        // A stride that leads to no second position does not matter.
        let moves = |positions: usize, stride: usize| if positions > 1 { stride } else { 1 };
        let stride_width = moves(self.output.width, window.stride_width);
        let stride_height = moves(self.output.height, window.stride_height);
        if stride_width > 2 || stride_height > 15 {
            return Err(self.unsupported(format!(
                "stride {stride_height}x{stride_width}: horizontal strides are 1 or 2, vertical 1 to 15"
            )));
        }
        self.check_reach(window, [stride_height, stride_width])?;
        let input = self.inputs[0];
        let columns_i = integer(columns);
        let pixel_stride = integer(input.quads());
        let row_stride = integer(input.row_stride(columns));
        let stride = integer(stride_width);
        let (top, left) = (integer(window.padding.top), integer(window.padding.left));
        let strips_per_row = self.output.strips_per_row(columns);
        let strips = strips_per_row * self.output.height;
        descriptor.two_passes = i64::from(self.architecture.two_passes(stride_width));
        descriptor.pad_value = self.input_zero(0);
        descriptor.in_base = integer(input.base);
        descriptor.pixel_stride = pixel_stride;
        descriptor.row_stride = row_stride;
        descriptor.strip_step = stride * pixel_stride;
        descriptor.strip_row_step = integer(stride_height) * row_stride
            - (integer(strips_per_row) - 1) * stride * pixel_stride;
        descriptor.strips_per_row = integer(strips_per_row);
        descriptor.strip_count = integer(strips);
        descriptor.block_count = integer(strips.div_ceil(self.architecture.lane_rows));
        descriptor.quads_per_tap = pixel_stride;
        descriptor.kernel_width = integer(window.kernel_width);
        descriptor.kernel_height = integer(window.kernel_height);
        descriptor.tap_origin = -top * row_stride + (-left).div_euclid(columns_i) * pixel_stride;
        descriptor.tap_rotation = (-left).rem_euclid(columns_i);
        descriptor.stride_height = integer(stride_height);
        descriptor.in_height = integer(input.height);
        descriptor.in_width = integer(input.width);
        descriptor.strip_x_step = columns_i * stride;
        descriptor.origin_y = -top;
        descriptor.origin_x = -left;
        Ok(())
    }

    /// The last windows must end where pixels still have coordinates.
    fn check_reach(&self, window: &Window, strides: [usize; 2]) -> Result<(), CompileError> {
        let width = self
            .output
            .width
            .next_multiple_of(self.architecture.columns);
        let last = |positions: usize, stride: usize, kernel: usize, pad: usize| {
            ((positions - 1) * stride + kernel - 1).saturating_sub(pad)
        };
        let (kernel, pad) = (window, window.padding);
        let rows = last(
            self.output.height,
            strides[0],
            kernel.kernel_height,
            pad.top,
        );
        let columns = last(width, strides[1], kernel.kernel_width, pad.left);
        let limit = self.architecture.last_coordinate();
        let reached = rows.max(columns);
        if reached <= limit {
            return Ok(());
        }
        Err(CompileError::TooSmall {
            layer: self.layer.name.clone(),
            field: "image_side_max",
            needed: reached.div_ceil(2),
            available: self.architecture.image_side_max,
        })
    }
}

/// A count as a descriptor field. Counts come from tensors in memory and are far below 2^63.
pub(super) fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
