//! Multipliers as records hold them.

use super::CompileError;
use crate::model::integer::{Multiplier, Rounding};
use bitweft_isa::record::Record;

/// A record that adds `bias` to a value, then multiplies and rounds it.
pub(super) fn record(
    layer: &str,
    bias: i64,
    multiplier: Multiplier,
    rounding: Rounding,
) -> Result<Record, CompileError> {
    let mut left = multiplier.shift.max(0);
    let mut right = (-multiplier.shift).max(0);
    // The single family rounds in the second shift alone, which therefore must be there.
    if rounding == Rounding::Single && right == 0 {
        left += 1;
        right += 1;
    }
    let field = |detail: String| CompileError::Field {
        layer: layer.into(),
        detail,
    };
    let shift = |value: i32| {
        u8::try_from(value).map_err(|_| field(format!("shift {value} of a multiplier")))
    };
    let mantissa = u32::try_from(multiplier.mantissa).map_err(|_| {
        field(format!(
            "negative mantissa {} of a multiplier",
            multiplier.mantissa
        ))
    })?;
    let record = Record {
        bias,
        mantissa,
        left: shift(left)?,
        right: shift(right)?,
        ..Record::default()
    };
    match record.encode() {
        Some(_) => Ok(record),
        None => Err(field(format!(
            "a record cannot hold bias {bias} with multiplier {multiplier:?}"
        ))),
    }
}

/// Checks that `value << left` is a 32-bit number for every value in `low..=high`.
pub(super) fn check_range(
    layer: &str,
    filter: usize,
    low: i64,
    high: i64,
    record: &Record,
) -> Result<(), CompileError> {
    let largest = low.unsigned_abs().max(high.unsigned_abs());
    let shifted = i64::try_from(largest)
        .unwrap_or(i64::MAX)
        .checked_shl(u32::from(record.left))
        .unwrap_or(i64::MAX);
    if largest > 1 << 31 || shifted > i64::from(i32::MAX) {
        return Err(CompileError::Overflow {
            layer: layer.into(),
            filter,
            quantity: "the sum before requantization",
            value: shifted,
            bits: 32,
        });
    }
    Ok(())
}
