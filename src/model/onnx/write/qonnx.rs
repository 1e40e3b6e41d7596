//! QONNX's `Quant` nodes.

use super::Writer;
use super::message::{int, reals, text};
use crate::model::integer::IntegerConvolution;
use crate::model::onnx::schema::{AttributeProto, OperatorSetIdProto};

/// Domain of QONNX's operators.
const DOMAIN: &str = "qonnx.custom_op.general";
const QUANT: &str = "Quant";

/// The domain that an operator is of.
pub(super) fn domain(operator: &str) -> &'static str {
    if operator == QUANT { DOMAIN } else { "" }
}

/// The version of QONNX's operators that is written.
pub(super) fn operators() -> OperatorSetIdProto {
    OperatorSetIdProto {
        domain: DOMAIN.to_owned(),
        version: 1,
    }
}

fn signed() -> Vec<AttributeProto> {
    vec![
        int("signed", 1),
        int("narrow", 0),
        text("rounding_mode", "ROUND"),
    ]
}

/// The width that `Quant` is given for a filter: the least one that has its levels.
fn quant_width(bits: u8) -> u8 {
    match bits {
        0 => 1,
        1 => 2,
        bits => bits,
    }
}

impl Writer<'_> {
    /// A signed byte with the zero point of the byte `zero`.
    pub(super) fn quant_activation(
        &mut self,
        value: &str,
        name: &str,
        scale: f32,
        zero: u8,
    ) -> String {
        let mut scalar =
            |part: &str, value: f32| self.constant(&format!("{name}/{part}"), reals(&[], &[value]));
        let scale = scalar("scale", scale);
        let zero = scalar("zero", f32::from(zero) - 128.0);
        let width = scalar("width", 8.0);
        let inputs = [value, &scale, &zero, &width];
        self.value(QUANT, &inputs, &format!("{name}/real"), signed())
    }

    /// Weights `integers` (int8, `[filter, ..]`) times their steps, with a step and a width a filter.
    pub(super) fn quant_weights(
        &mut self,
        convolution: &IntegerConvolution,
        base: &str,
        dims: &[usize],
        integers: &[u8],
    ) -> String {
        let filters = dims.first().copied().unwrap_or(0);
        let elements = integers.len().checked_div(filters).unwrap_or(1).max(1);
        let steps = &convolution.weight_scale;
        let values: Vec<f32> = integers
            .iter()
            .enumerate()
            .map(|(place, level)| f32::from(level.cast_signed()) * steps[place / elements])
            .collect();
        let weights = self.constant(base, reals(dims, &values));
        let mut each = vec![1; dims.len()];
        each[0] = filters;
        let widths: Vec<f32> = convolution
            .bits
            .iter()
            .map(|bits| f32::from(quant_width(*bits)))
            .collect();
        let scale = self.constant(&format!("{base}/scale"), reals(&each, steps));
        let zero = self.constant(&format!("{base}/zero"), reals(&[], &[0.0]));
        let width = self.constant(&format!("{base}/width"), reals(&each, &widths));
        let inputs = [weights.as_str(), &scale, &zero, &width];
        self.value(QUANT, &inputs, &format!("{base}/real"), signed())
    }
}
