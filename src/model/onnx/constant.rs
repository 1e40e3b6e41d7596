//! Constant tensors: decoded from the file, or computed from other constants.

use std::rc::Rc;

use super::schema::TensorProto;

/// Element types that are told apart; every other is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// 16, 32 or 64 bits, held as `f32`.
    Real,
    /// Signed byte.
    Int8,
    /// Unsigned byte.
    Uint8,
    /// Signed 32 bits.
    Int32,
    /// Any other integer or boolean type.
    Integer,
}

impl Element {
    /// From ONNX's number of an element type.
    pub(super) fn from_number(number: i32) -> Result<Self, String> {
        match number {
            1 | 10 | 11 => Ok(Self::Real),
            2 => Ok(Self::Uint8),
            3 => Ok(Self::Int8),
            6 => Ok(Self::Int32),
            4 | 5 | 7 | 9 | 12 | 13 => Ok(Self::Integer),
            _ => Err(format!("element type {number} is not supported")),
        }
    }
}

/// Elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Floating point.
    Real(Vec<f32>),
    /// Any integer type, and booleans as 0 and 1.
    Integer(Vec<i64>),
}

/// What a dequantized constant was made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantized {
    /// Integers less their zero point, in the constant's own order.
    pub(super) values: Vec<i64>,
    /// Real value of one step: one, or one for each index along `axis`.
    pub(super) scale: Vec<f32>,
    /// Axis of `scale`.
    pub(super) axis: usize,
}

/// A constant tensor; `dims` multiply to the number of elements.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    /// Sizes, outermost first; empty for a scalar.
    pub(super) dims: Vec<usize>,
    /// Elements.
    pub(super) data: Data,
    /// Element type in the file.
    pub(super) element: Element,
    /// Set on the result of dequantizing a constant.
    pub(super) quantized: Option<Rc<Quantized>>,
}

/// Product of sizes; `None` where a size, or the product of those that are not 0, has no use. Products over
/// some of the sizes cannot overflow then.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    const SIZE_MAX: usize = 1 << 28;
    const PRODUCT_MAX: usize = 1 << 40;
    let product = dims.iter().try_fold(1_usize, |product, size| {
        Some(product.checked_mul((*size).max(1))?)
            .filter(|product| *size <= SIZE_MAX && *product <= PRODUCT_MAX)
    })?;
    Some(if dims.contains(&0) { 0 } else { product })
}

impl Constant {
    /// Integers of 64 bits.
    pub(super) fn integers(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self {
            dims,
            data: Data::Integer(values),
            element: Element::Integer,
            quantized: None,
        }
    }

    /// Real numbers.
    pub(super) fn reals(dims: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            dims,
            data: Data::Real(values),
            element: Element::Real,
            quantized: None,
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Real(values) => values.len(),
            Data::Integer(values) => values.len(),
        }
    }

    /// Elements as real numbers.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn to_reals(&self) -> Vec<f32> {
        match &self.data {
            Data::Real(values) => values.clone(),
            Data::Integer(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }

    /// Elements as integers; an error for real numbers.
    pub(super) fn as_integers(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Integer(values) => Ok(values),
            Data::Real(_) => Err("a constant has to be of integers".to_owned()),
        }
    }

    /// The only element, as a real number.
    pub(super) fn scalar(&self) -> Result<f32, String> {
        match (&self.data, self.len()) {
            (Data::Real(values), 1) => Ok(values[0]),
            (Data::Integer(_), 1) => Ok(self.to_reals()[0]),
            _ => Err(format!(
                "a constant has to be a scalar, but has {} elements",
                self.len()
            )),
        }
    }

    /// Decodes a tensor of the file. The number of elements has to be what `dims` say, so memory stays in
    /// proportion to the file.
    pub(super) fn decode(tensor: &TensorProto) -> Result<Self, String> {
        if tensor.data_location != 0 {
            return Err(format!(
                "constant '{}' is stored in another file",
                tensor.name
            ));
        }
        let element = Element::from_number(tensor.data_type)?;
        let dims = tensor
            .dims
            .iter()
            .map(|size| usize::try_from(*size).ok())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| format!("constant '{}' has a negative size", tensor.name))?;
        let data = if tensor.raw_data.is_empty() {
            from_lists(tensor)
        } else {
            from_raw(tensor)
        }?;
        let constant = Self {
            dims,
            data,
            element,
            quantized: None,
        };
        if elements(&constant.dims) != Some(constant.len()) {
            let (dims, count) = (&constant.dims, constant.len());
            return Err(format!(
                "constant '{}' of shape {dims:?} has {count} elements",
                tensor.name
            ));
        }
        Ok(constant)
    }
}

fn from_lists(tensor: &TensorProto) -> Result<Data, String> {
    Ok(match tensor.data_type {
        1 => Data::Real(tensor.float_data.clone()),
        10 => Data::Real(
            tensor
                .int32_data
                .iter()
                .map(|bits| u16::try_from(*bits).map(half))
                .collect::<Result<_, _>>()
                .map_err(|_| format!("constant '{}' holds more than 16 bits", tensor.name))?,
        ),
        #[allow(clippy::cast_possible_truncation)]
        11 => Data::Real(
            tensor
                .double_data
                .iter()
                .map(|value| *value as f32)
                .collect(),
        ),
        7 => Data::Integer(tensor.int64_data.clone()),
        12 | 13 => Data::Integer(
            tensor
                .uint64_data
                .iter()
                .map(|value| i64::try_from(*value))
                .collect::<Result<_, _>>()
                .map_err(|_| format!("constant '{}' holds more than 63 bits", tensor.name))?,
        ),
        _ => Data::Integer(
            tensor
                .int32_data
                .iter()
                .map(|value| i64::from(*value))
                .collect(),
        ),
    })
}

fn from_raw(tensor: &TensorProto) -> Result<Data, String> {
    let raw = tensor.raw_data.as_slice();
    let ragged = || {
        format!(
            "constant '{}' has {} bytes: no whole elements",
            tensor.name,
            raw.len()
        )
    };
    Ok(match tensor.data_type {
        1 => Data::Real(
            chunks(raw)
                .ok_or_else(ragged)?
                .map(f32::from_le_bytes)
                .collect(),
        ),
        10 => Data::Real(
            chunks(raw)
                .ok_or_else(ragged)?
                .map(|b| half(u16::from_le_bytes(b)))
                .collect(),
        ),
        #[allow(clippy::cast_possible_truncation)]
        11 => Data::Real(
            chunks(raw)
                .ok_or_else(ragged)?
                .map(|b| f64::from_le_bytes(b) as f32)
                .collect(),
        ),
        2 | 9 => Data::Integer(raw.iter().map(|byte| i64::from(*byte)).collect()),
        3 => Data::Integer(
            raw.iter()
                .map(|byte| i64::from(byte.cast_signed()))
                .collect(),
        ),
        4 => integers(chunks(raw).ok_or_else(ragged)?.map(u16::from_le_bytes)),
        5 => integers(chunks(raw).ok_or_else(ragged)?.map(i16::from_le_bytes)),
        6 => integers(chunks(raw).ok_or_else(ragged)?.map(i32::from_le_bytes)),
        12 => integers(chunks(raw).ok_or_else(ragged)?.map(u32::from_le_bytes)),
        // 7 and 13; a `u64` of more than 63 bits is no size of anything.
        _ => Data::Integer(
            chunks(raw)
                .ok_or_else(ragged)?
                .map(|bytes| {
                    let value = i64::from_le_bytes(bytes);
                    if tensor.data_type == 13 {
                        value.max(0)
                    } else {
                        value
                    }
                })
                .collect(),
        ),
    })
}

fn integers<T: Into<i64>>(values: impl Iterator<Item = T>) -> Data {
    Data::Integer(values.map(Into::into).collect())
}

fn chunks<const N: usize>(raw: &[u8]) -> Option<impl Iterator<Item = [u8; N]>> {
    let (chunks, rest) = raw.as_chunks::<N>();
    rest.is_empty().then(|| chunks.iter().copied())
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    sign * match (bits >> 10) & 0x1f {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::{Constant, Data, half};
    use crate::model::onnx::schema::TensorProto;

    #[test]
    fn halves() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (1, 5.960_464_5e-8),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
    }

    #[test]
    fn the_shape_has_to_match_the_data() {
        let mut tensor = TensorProto {
            data_type: 3,
            dims: vec![2, 1],
            raw_data: vec![255, 3],
            ..Default::default()
        };
        let constant = Constant::decode(&tensor).map(|constant| constant.data);
        assert_eq!(constant, Ok(Data::Integer(vec![-1, 3])));
        for dims in [vec![3], vec![-1], vec![i64::MAX, i64::MAX], vec![]] {
            tensor.dims = dims;
            assert!(Constant::decode(&tensor).is_err());
        }
        let ragged = TensorProto {
            data_type: 1,
            dims: vec![1],
            raw_data: vec![0; 5],
            ..Default::default()
        };
        assert!(Constant::decode(&ragged).is_err());
        let string = TensorProto {
            data_type: 8,
            ..Default::default()
        };
        assert!(Constant::decode(&string).is_err());
    }
}
