//! Requantization: from accumulator units to output steps.

use crate::model::integer::{Multiplier, Rounding};

/// `accumulator * mantissa * 2^(shift - 31)`, rounded as the network's family rounds.
///
/// - [`Rounding::Double`]: TFLite's `MultiplyByQuantizedMultiplier` in its two-rounding form: the
///   saturating rounding doubling high multiply of `accumulator << left` and the mantissa, then a
///   rounding division by `2^right` with ties away from zero.
/// - [`Rounding::Single`]: one rounding of the 64-bit product, ties upwards:
///   `(accumulator * mantissa + 2^(s-1)) >> s` with `s = 31 - shift`.
///
/// `multiplier.mantissa` must not be negative and `multiplier.shift` must lie in -31..=30. Values
/// that leave the 32 bits of an accumulator saturate; a checked network has none.
#[must_use]
#[inline]
pub fn requantize(accumulator: i32, multiplier: Multiplier, rounding: Rounding) -> i32 {
    debug_assert!(multiplier.mantissa >= 0 && (-31..=30).contains(&multiplier.shift));
    match rounding {
        Rounding::Double => {
            let left = multiplier.shift.max(0);
            let right = (-multiplier.shift).max(0);
            let shifted = saturate(i64::from(accumulator) << left);
            divide_by_power_of_two(doubling_high_multiply(shifted, multiplier.mantissa), right)
        }
        Rounding::Single => {
            let product = i64::from(accumulator) * i64::from(multiplier.mantissa);
            let shift = 31 - multiplier.shift;
            saturate((product + (1_i64 << (shift - 1))) >> shift)
        }
    }
}

/// gemmlowp's `SaturatingRoundingDoublingHighMul`: the high 32 bits of `2ab`, to nearest. (Its
/// definition rounds ties by the sign of the product and truncates; that is this rounding upwards.)
#[must_use]
#[inline]
pub(crate) fn doubling_high_multiply(a: i32, b: i32) -> i32 {
    saturate((i64::from(a) * i64::from(b) + (1 << 30)) >> 31)
}

/// gemmlowp's `RoundingDivideByPOT`: `value / 2^exponent` to nearest, ties away from zero.
/// `exponent` lies in 0..=62.
#[must_use]
#[inline]
pub(crate) fn divide_by_power_of_two(value: i32, exponent: i32) -> i32 {
    let wide = i64::from(value);
    let half = (1_i64 << exponent) >> 1;
    // Exact halves of negative values go down: take one off before rounding upwards.
    let tie = i64::from(value < 0 && exponent > 0);
    saturate((wide + half - tie) >> exponent)
}

/// The nearest 32-bit value.
#[inline]
pub(crate) fn saturate(value: i64) -> i32 {
    let clamped = value.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    i32::try_from(clamped).unwrap_or(i32::MAX)
}

/// The byte `zero_point + steps`, clamped to `low..=high`.
#[inline]
pub(crate) fn to_byte(steps: i32, zero_point: i32, low: u8, high: u8) -> u8 {
    // A plain maximum and minimum: `clamp` would assert `low <= high` once an element.
    let byte = steps
        .saturating_add(zero_point)
        .max(i32::from(low))
        .min(i32::from(high));
    u8::try_from(byte).unwrap_or(high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// gemmlowp's definition, with its nudge by sign and its truncating division.
    fn gemmlowp_high_multiply(a: i32, b: i32) -> i32 {
        if a == i32::MIN && b == i32::MIN {
            return i32::MAX;
        }
        let product = i64::from(a) * i64::from(b);
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        i32::try_from((product + nudge) / (1 << 31)).expect("fits")
    }

    /// gemmlowp's definition, with its mask and threshold.
    fn gemmlowp_divide(value: i32, exponent: i32) -> i32 {
        let mask = i32::try_from((1_i64 << exponent) - 1).expect("fits");
        let remainder = value & mask;
        let threshold = (mask >> 1) + i32::from(value < 0);
        (value
            .checked_shr(exponent.unsigned_abs())
            .expect("in range"))
            + i32::from(remainder > threshold)
    }

    /// The hardware's two stages. Stage 1: `p = (x << left) * M`, then `>> 31`, with `+ 2^30` for
    /// `Double` and as it is for `Single`. Stage 2: shift by `right` with rounding: ties away from
    /// zero for `Double`, half added for `Single`, whose `right` is at least 1 (both shifts are
    /// raised by 1 where it would be 0).
    fn two_stages(x: i32, multiplier: Multiplier, rounding: Rounding) -> i64 {
        let mut left = multiplier.shift.max(0);
        let mut right = (-multiplier.shift).max(0);
        let product = |left: i32| {
            let shifted = i128::from(x) << left;
            shifted * i128::from(multiplier.mantissa)
        };
        let rounded: i128 = match rounding {
            Rounding::Double => {
                let high = (product(left) + (1 << 30)) >> 31;
                let half = (1_i128 << right) >> 1;
                ((high.abs() + half) >> right) * high.signum()
            }
            Rounding::Single => {
                if right == 0 {
                    left += 1;
                    right += 1;
                }
                let high = product(left) >> 31;
                (high + (1 << (right - 1))) >> right
            }
        };
        i64::try_from(rounded).expect("fits")
    }

    /// Accumulators at which rounding decides, and arbitrary ones.
    fn accumulators() -> impl Strategy<Value = i32> {
        let edge = prop_oneof![
            Just(0),
            Just(i32::MIN),
            Just(i32::MAX),
            Just(1 << 30),
            Just(-(1 << 30))
        ];
        prop_oneof![
            any::<i32>(),
            -100_000..100_000,
            -300..300,
            (edge, -3..=3).prop_map(|(edge, near)| edge.saturating_add(near)),
            (0..31_u32, -2..=2, any::<bool>()).prop_map(|(exponent, near, sign)| ((1 << exponent)
                + near)
                * if sign { -1 } else { 1 }),
        ]
    }

    /// Mantissas: normalised, powers of two (where ties are frequent), small, and zero.
    fn mantissas() -> impl Strategy<Value = i32> {
        prop_oneof![
            1 << 30..=i32::MAX,
            (0..31_u32).prop_map(|exponent| 1 << exponent),
            (16..31_u32, 1..16_i32).prop_map(|(exponent, odd)| (odd << 16) & ((1 << exponent) - 1)),
            0..=i32::MAX,
            Just(0),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn building_blocks_are_gemmlowps(a in accumulators(), b in mantissas(), exponent in 0..=31) {
            prop_assert_eq!(doubling_high_multiply(a, b), gemmlowp_high_multiply(a, b));
            prop_assert_eq!(divide_by_power_of_two(a, exponent), gemmlowp_divide(a, exponent));
        }

        #[test]
        fn two_stages_equal_the_definitions(x in accumulators(), mantissa in mantissas(), shift in -31..=30) {
            let multiplier = Multiplier { mantissa, shift };
            // What a checked network guarantees: the left shift stays within 32 bits.
            let x = x >> i32::max(shift, 0);
            for rounding in [Rounding::Double, Rounding::Single] {
                prop_assert_eq!(
                    i64::from(requantize(x, multiplier, rounding)),
                    two_stages(x, multiplier, rounding),
                    "{:?}", rounding
                );
            }
        }

        #[test]
        fn single_rounding_is_the_nearest_integer(x in accumulators(), mantissa in mantissas(), shift in -31..=30) {
            let x = x >> i32::max(shift, 0);
            let exact = i128::from(x) * i128::from(mantissa);
            let result = requantize(x, Multiplier { mantissa, shift }, Rounding::Single);
            let scale = 31 - shift;
            let distance = 2 * (exact - (i128::from(result) << scale));
            prop_assert!(distance >= -(1 << scale) && distance < (1 << scale));
        }
    }

    #[test]
    fn the_families_differ_where_they_should() {
        let half = Multiplier {
            mantissa: 1 << 30,
            shift: 0,
        };
        // -0.5: both round the product's tie upwards.
        assert_eq!(requantize(-1, half, Rounding::Double), 0);
        assert_eq!(requantize(-1, half, Rounding::Single), 0);
        let quarter = Multiplier {
            mantissa: 1 << 30,
            shift: -1,
        };
        // -0.5 reached by the second rounding: away from zero, and upwards.
        assert_eq!(requantize(-2, quarter, Rounding::Double), -1);
        assert_eq!(requantize(-2, quarter, Rounding::Single), 0);
        // 0.25 rounded to 0.5 and again to 1.
        assert_eq!(requantize(1, quarter, Rounding::Double), 1);
        assert_eq!(requantize(1, quarter, Rounding::Single), 0);
    }
}
