//! QONNX (Pappalardo et al., 2022): `Quant` of a constant gives weights of any width, of an activation a byte.

use super::{ActivationQuantization, Constant, Importer, Node, Rc, Value};
use crate::model::onnx::constant::Quantized;

/// Domains under which exporters write QONNX's operators.
pub(super) const DOMAINS: [&str; 3] = [
    "qonnx.custom_op.general",
    "finn.custom_op.general",
    "onnx.brevitas",
];
/// Operators of those domains that are supported.
pub(super) const LOWERED: [&str; 1] = ["Quant"];

/// Attributes of a `Quant`.
#[derive(Clone, Copy)]
struct Integers {
    signed: bool,
    narrow: bool,
}

impl Integers {
    fn of(node: &Node<'_>) -> Result<Self, String> {
        let rounding = node.string("rounding_mode", "ROUND")?;
        if !["ROUND", "HALF_EVEN"].contains(&rounding.to_uppercase().as_str()) {
            return Err(format!("rounding mode {rounding}: ROUND is supported"));
        }
        Ok(Self {
            signed: node.int("signed", 1) != 0,
            narrow: node.int("narrow", 0) != 0,
        })
    }

    /// Smallest and largest integer of a width.
    fn range(self, bits: u8) -> (f64, f64) {
        let values = f64::from(1_u16 << bits);
        let narrow = f64::from(u8::from(self.narrow));
        if self.signed {
            (narrow - values / 2.0, values / 2.0 - 1.0)
        } else {
            (0.0, values - 1.0 - narrow)
        }
    }
}

/// A width of 1 to 8 bits.
fn width(bits: f32) -> Result<u8, String> {
    if !(1.0..=8.0).contains(&bits) || bits.fract() != 0.0 {
        return Err(format!(
            "a width of {bits} bits: whole ones from 1 to 8 are supported"
        ));
    }
    // Whole, from 1 to 8.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bits = bits as u8;
    Ok(bits)
}

/// One value for all elements of a tensor, or one for each index along `axis`.
struct Along {
    values: Vec<f32>,
    axis: usize,
    inner: usize,
}

impl Along {
    /// Broadcasts `values` over a tensor of sizes `dims`; they may run along one axis.
    fn of(values: &Constant, dims: &[usize], what: &str) -> Result<Self, String> {
        let missing = dims.len().checked_sub(values.dims.len());
        let long = values
            .dims
            .iter()
            .enumerate()
            .filter(|(_, size)| **size > 1);
        let long: Vec<(usize, &usize)> = long.collect();
        let (axis, inner) = match (long.as_slice(), missing) {
            ([], _) if values.len() == 1 => (0, 1),
            ([(axis, size)], Some(missing)) if dims[axis + missing] == **size => {
                let axis = axis + missing;
                (axis, dims[axis + 1..].iter().product())
            }
            _ => {
                return Err(format!(
                    "its {what} of sizes {:?} does not run along one axis of {dims:?}",
                    values.dims
                ));
            }
        };
        Ok(Self {
            values: values.to_reals(),
            axis,
            inner,
        })
    }

    fn at(&self, place: usize) -> f32 {
        self.values[place / self.inner.max(1) % self.values.len()]
    }
}

impl<'m> Importer<'m> {
    /// Quant(x, step, zero point, width).
    pub(super) fn quant(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let integers = Integers::of(node)?;
        let steps = self.constant(node, 1)?;
        if let Some(step) = steps
            .to_reals()
            .iter()
            .find(|s| !(s.is_finite() && **s > 0.0))
        {
            return Err(format!("a step of {step}"));
        }
        if let Some(Value::Constant(constant)) = self.optional(node, 0)? {
            let constant = constant.clone();
            return self.quant_weights(node, integers, &constant, &steps);
        }
        let bits = width(self.constant(node, 3)?.scalar()?)?;
        if bits != 8 || integers.narrow {
            return Err(format!(
                "activations of {bits} bits{}: 8 bits with all their values are supported",
                if integers.narrow { ", narrow" } else { "" }
            ));
        }
        let zero = self.constant(node, 2)?.scalar()?;
        let (low, high) = integers.range(bits);
        if zero.fract() != 0.0 || !(low..=high).contains(&f64::from(zero)) {
            return Err(format!("zero point {zero} for an activation"));
        }
        // Whole, within -128..=255.
        #[allow(clippy::cast_possible_truncation)]
        let zero_point = (f64::from(zero) - low) as i32;
        let quantization = ActivationQuantization {
            scale: steps.scalar()?,
            zero_point,
        };
        let activation = self.whole(node, 0)?;
        self.note(activation.tensor, quantization)?;
        Ok(Value::Activation(activation))
    }

    fn quant_weights(
        &self,
        node: &Node<'m>,
        integers: Integers,
        constant: &Constant,
        steps: &Constant,
    ) -> Result<Value, String> {
        let zero = self.constant(node, 2)?.to_reals();
        if let Some(zero) = zero.iter().find(|zero| **zero != 0.0) {
            return Err(format!("weights with zero point {zero}: 0 is supported"));
        }
        let steps = Along::of(steps, &constant.dims, "step")?;
        let widths = Along::of(&*self.constant(node, 3)?, &constant.dims, "width")?;
        let ranges = widths
            .values
            .iter()
            .map(|bits| width(*bits).map(|bits| integers.range(bits)))
            .collect::<Result<Vec<_>, _>>()?;
        let level = |(place, value): (usize, &f32)| {
            let (low, high) = ranges[place / widths.inner.max(1) % ranges.len()];
            let level = f64::from(value / steps.at(place)).clamp(low, high);
            // At most 9 bits; NaN becomes 0.
            #[allow(clippy::cast_possible_truncation)]
            let level = level.round_ties_even() as i64;
            level
        };
        let given = constant.to_reals();
        if given.iter().any(|value| !value.is_finite()) {
            return Err("a weight is not finite".to_owned());
        }
        let values: Vec<i64> = given.iter().enumerate().map(level).collect();
        #[allow(clippy::cast_precision_loss)]
        let real = |(place, value): (usize, &i64)| *value as f32 * steps.at(place);
        let reals = values.iter().enumerate().map(real).collect();
        let mut result = Constant::reals(constant.dims.clone(), reals);
        result.quantized = Some(Rc::new(Quantized {
            values,
            scale: steps.values,
            axis: steps.axis,
        }));
        Ok(Value::Constant(Rc::new(result)))
    }
}
