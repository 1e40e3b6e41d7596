//! Filter records: how an accumulator becomes an output byte.
//!
//! With H the accumulated sum of `x * (2q + 1)` and X the sum of inputs (`plane::input`), `v = (H - X + bias) >> 1` for an
//! ordinary filter (H - X + bias is even by construction); `v = H + bias` for a binary filter; `v = bias` for a filter of
//! width 0 (it has no position). Then `p = ((v << left) * mantissa [+ 2^30 if double]) >> 31` and
//! `y = (p + half - [double and p < 0]) >> right`, `half = 2^(right - 1)` (nothing is added or taken off for
//! `right` = 0), and the byte is `clamp(out_zero + y, clamp_low, clamp_high)`. Shifts are arithmetic.

use crate::descriptor::Field;

/// Bytes of a record, little endian.
pub const BYTES: usize = 10;
/// Bits of the bias (two's complement), from bit 0.
pub const BIAS_BITS: usize = 34;
/// First bit of the mantissa.
pub const MANTISSA_LOW: usize = 34;
/// Bits of the mantissa.
pub const MANTISSA_BITS: usize = 31;
/// First bit of the left shift.
pub const LEFT_LOW: usize = 65;
/// Bits of the left shift.
pub const LEFT_BITS: usize = 4;
/// First bit of the right shift (0 to 32).
pub const RIGHT_LOW: usize = 69;
/// Bits of the right shift.
pub const RIGHT_BITS: usize = 6;
/// Flag: binary filter (levels -1 and +1).
pub const BINARY_BIT: usize = 75;
/// Flag: filter of width 0.
pub const ZERO_BIT: usize = 76;

/// Every field's place.
pub const FIELDS: [Field; 6] = [
    field(
        "bias",
        0,
        BIAS_BITS,
        "Added to H - X (or to H), in half steps of the accumulator for ordinary filters.",
    ),
    field(
        "mantissa",
        MANTISSA_LOW,
        MANTISSA_BITS,
        "Of the multiplier.",
    ),
    field(
        "left",
        LEFT_LOW,
        LEFT_BITS,
        "Left shift before the product.",
    ),
    field(
        "right",
        RIGHT_LOW,
        RIGHT_BITS,
        "Right shift after it, 0 to 32.",
    ),
    field(
        "binary",
        BINARY_BIT,
        1,
        "1: binary filter (levels -1 and +1).",
    ),
    field("zero", ZERO_BIT, 1, "1: filter of width 0."),
];

/// The bias, at bit 0, is the only signed one.
const fn field(name: &'static str, low: usize, bits: usize, text: &'static str) -> Field {
    Field {
        name,
        word: 0,
        low,
        bits,
        signed: low == 0,
        text,
    }
}

/// One filter's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Added to H - X (or to H), in half steps of the accumulator for ordinary filters.
    pub bias: i64,
    /// 31-bit mantissa.
    pub mantissa: u32,
    /// Left shift before the product.
    pub left: u8,
    /// Right shift after it, 0 to 32.
    pub right: u8,
    /// Binary filter.
    pub binary: bool,
    /// Filter of width 0.
    pub zero: bool,
}

impl Record {
    /// The record's bytes, or `None` where a field does not fit.
    #[must_use]
    pub fn encode(&self) -> Option<[u8; BYTES]> {
        let values = [
            self.bias,
            self.mantissa.into(),
            self.left.into(),
            self.right.into(),
            self.binary.into(),
            self.zero.into(),
        ];
        let mut word = 0_u128;
        for (field, value) in FIELDS.iter().zip(values) {
            let sign = 1_i64 << (field.bits - 1);
            let (low, high) = if field.signed {
                (-sign, sign)
            } else {
                (0, 2 * sign)
            };
            if !(low..high).contains(&value) {
                return None;
            }
            let mask = (1_u128 << field.bits) - 1;
            word |= (u128::from(value.cast_unsigned()) & mask) << field.low;
        }
        if self.right > 32 {
            return None;
        }
        word.to_le_bytes()[..BYTES].try_into().ok()
    }

    /// Reads a record's bytes.
    #[must_use]
    pub fn decode(bytes: &[u8; BYTES]) -> Self {
        let mut wide = [0_u8; 16];
        wide[..BYTES].copy_from_slice(bytes);
        let word = u128::from_le_bytes(wide);
        let field = |low: usize, bits: usize| (word >> low) & ((1 << bits) - 1);
        let narrow = |value: u128| u8::try_from(value).unwrap_or(u8::MAX);
        let raw = i64::try_from(field(0, BIAS_BITS)).unwrap_or(0);
        let sign = 1_i64 << (BIAS_BITS - 1);
        Self {
            bias: (raw ^ sign) - sign,
            mantissa: u32::try_from(field(MANTISSA_LOW, MANTISSA_BITS)).unwrap_or(0),
            left: narrow(field(LEFT_LOW, LEFT_BITS)),
            right: narrow(field(RIGHT_LOW, RIGHT_BITS)),
            binary: field(BINARY_BIT, 1) == 1,
            zero: field(ZERO_BIT, 1) == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_one_another() {
        let ends = FIELDS.iter().map(|field| field.low + field.bits);
        let lows = FIELDS.iter().skip(1).map(|field| field.low);
        assert!(ends.clone().zip(lows).all(|(end, low)| end == low));
        assert!(ends.max() <= Some(8 * BYTES));
    }

    #[test]
    fn round_trip() {
        for bias in [-(1_i64 << 33), -1, 0, 5, (1 << 33) - 1] {
            let record = Record {
                bias,
                mantissa: (1 << 31) - 1,
                left: 15,
                right: 32,
                binary: true,
                zero: bias == 5,
            };
            assert_eq!(Record::decode(&record.encode().expect("fits")), record);
        }
        assert!(
            Record {
                bias: 1 << 33,
                ..Record::default()
            }
            .encode()
            .is_none()
        );
    }
}
