//! Filter records: how an accumulator becomes an output byte.
//!
//! With H the accumulated sum of `x * (2q + 1)` and X the sum of inputs (`plane::input`), `v = (H - X + bias) >> 1` for an
//! ordinary filter (H - X + bias is even by construction); `v = H + bias` for a binary filter; `v = bias` for a filter of
//! width 0 (it has no position). Then `p = ((v << left) * mantissa [+ 2^30 if double]) >> 31` and
//! `y = (p + half - [double and p < 0]) >> right`, `half = 2^(right - 1)` (nothing is added or taken off for
//! `right` = 0), and the byte is `clamp(out_zero + y, clamp_low, clamp_high)`. Shifts are arithmetic.

/// Bytes of a record, little endian.
pub const BYTES: usize = 10;
/// Bits of the bias (two's complement), from bit 0.
pub const BIAS_BITS: usize = 34;
/// First bit of the 31-bit mantissa.
pub const MANTISSA_LOW: usize = 34;
/// First bit of the 4-bit left shift.
pub const LEFT_LOW: usize = 65;
/// First bit of the 6-bit right shift (0 to 32).
pub const RIGHT_LOW: usize = 69;
/// Flag: binary filter (levels -1 and +1).
pub const BINARY_BIT: usize = 75;
/// Flag: filter of width 0.
pub const ZERO_BIT: usize = 76;

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
        let limit = 1_i64 << (BIAS_BITS - 1);
        let fits = (-limit..limit).contains(&self.bias)
            && self.mantissa < 1 << 31
            && self.left < 16
            && self.right <= 32;
        if !fits {
            return None;
        }
        let bias = u128::from(self.bias.cast_unsigned()) & ((1 << BIAS_BITS) - 1);
        let word = bias
            | u128::from(self.mantissa) << MANTISSA_LOW
            | u128::from(self.left) << LEFT_LOW
            | u128::from(self.right) << RIGHT_LOW
            | u128::from(self.binary) << BINARY_BIT
            | u128::from(self.zero) << ZERO_BIT;
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
            mantissa: u32::try_from(field(MANTISSA_LOW, 31)).unwrap_or(0),
            left: narrow(field(LEFT_LOW, 4)),
            right: narrow(field(RIGHT_LOW, 6)),
            binary: field(BINARY_BIT, 1) == 1,
            zero: field(ZERO_BIT, 1) == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
