//! Softmax on bytes, as TFLite's int8 reference kernel and CMSIS-NN: 32-bit fixed point throughout.
//! (LiteRT's optimised kernel takes float exponentials from a table; a few in ten thousand outputs
//! differ in their last bit.)

use ndarray::{Array3, ArrayView3, Axis};

use super::requantize::{divide_by_power_of_two, doubling_high_multiply, saturate};
use crate::model::integer::Multiplier;

/// Integer bits of a scaled difference: exponents down to -32.
const DIFFERENCE_INTEGER_BITS: i32 = 5;
/// Fraction bits of a scaled difference.
const DIFFERENCE_FRACTION_BITS: i32 = 31 - DIFFERENCE_INTEGER_BITS;
/// Integer bits of the sum of the exponentials.
const SUM_INTEGER_BITS: i32 = 12;

/// Softmax over channels with beta = 1: output scale 1/256, zero point 0.
#[derive(Debug, Clone)]
pub(super) struct Softmax {
    /// `exp(-scale * d)` as a 31-bit fraction for the differences `d` to the maximum, 0 where the
    /// kernel counts nothing.
    exponentials: Box<[i32; 256]>,
}

impl Softmax {
    /// For inputs of a given scale; `None` where the fixed-point form cannot express it
    /// (scales below 2^-26 or above 2^4).
    pub(super) fn new(scale: f32) -> Option<Self> {
        let real = f64::from(scale) * f64::from(1 << DIFFERENCE_FRACTION_BITS);
        let multiplier = Multiplier::from_real(real.min(f64::from(i32::MAX)));
        if multiplier.mantissa == 0 || !(0..=30).contains(&multiplier.shift) {
            return None;
        }
        // TFLite's CalculateInputRadius: the largest difference whose exponent is expressible.
        let largest = ((1_i64 << DIFFERENCE_INTEGER_BITS) - 1) << DIFFERENCE_FRACTION_BITS;
        let radius = largest >> multiplier.shift;
        let mut exponentials = Box::new([0; 256]);
        for (difference, entry) in (0_i64..).zip(exponentials.iter_mut()) {
            if difference <= radius {
                let raised = saturate(-difference << multiplier.shift);
                *entry = exponential(doubling_high_multiply(raised, multiplier.mantissa));
            }
        }
        Some(Self { exponentials })
    }

    /// Probabilities of every pixel.
    pub(super) fn run(&self, input: ArrayView3<'_, u8>) -> Array3<u8> {
        let mut output = Array3::zeros(input.raw_dim());
        for (scores, mut probabilities) in input
            .lanes(Axis(2))
            .into_iter()
            .zip(output.lanes_mut(Axis(2)))
        {
            let maximum = scores.iter().copied().max().unwrap_or(0);
            let exponential = |score: u8| self.exponentials[usize::from(maximum - score)];
            let sum = scores.iter().fold(0_i32, |sum, &score| {
                sum.saturating_add(divide_by_power_of_two(exponential(score), SUM_INTEGER_BITS))
            });
            let (reciprocal, bits_over_unit) = reciprocal(sum);
            for (probability, &score) in probabilities.iter_mut().zip(scores) {
                let fraction = doubling_high_multiply(reciprocal, exponential(score));
                let steps = divide_by_power_of_two(fraction, bits_over_unit + 31 - 8);
                *probability = u8::try_from(steps.clamp(0, 255)).unwrap_or(u8::MAX);
            }
        }
        output
    }
}

/// `value << bits` (`bits` >= 0), saturating.
fn shift_left(value: i32, bits: i32) -> i32 {
    saturate(i64::from(value) << bits)
}

/// gemmlowp's `exp_on_negative_values`: `exp(value * 2^-26)` as a 31-bit fraction, `value` <= 0.
fn exponential(value: i32) -> i32 {
    /// `exp(-2^k)` for k = -2..=4, as 31-bit fractions.
    const POWERS: [i32; 7] = [
        1_672_461_947,
        1_302_514_674,
        790_015_084,
        290_630_308,
        39_332_535,
        720_401,
        242,
    ];
    if value == 0 {
        return i32::MAX;
    }
    // Split into a multiple of a quarter, and a rest in [-1/4, 0).
    let quarter = 1 << (DIFFERENCE_FRACTION_BITS - 2);
    let rest = (value & (quarter - 1)) - quarter;
    let mut result = exponential_near_zero(shift_left(rest, DIFFERENCE_INTEGER_BITS));
    let multiple = rest - value;
    for (bit, power) in (DIFFERENCE_FRACTION_BITS - 2..).zip(POWERS) {
        if multiple & (1 << bit) != 0 {
            result = doubling_high_multiply(result, power);
        }
    }
    result
}

/// gemmlowp's `exp_on_interval_between_negative_one_quarter_and_0_excl`: a Taylor polynomial of
/// degree 4 around -1/8; argument and result are 31-bit fractions.
fn exponential_near_zero(value: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = value + (1 << 28);
    let x2 = doubling_high_multiply(x, x);
    let x3 = doubling_high_multiply(x2, x);
    let x4_over_4 = divide_by_power_of_two(doubling_high_multiply(x2, x2), 2);
    let higher = divide_by_power_of_two(doubling_high_multiply(x4_over_4 + x3, THIRD) + x2, 1);
    EXP_MINUS_EIGHTH + doubling_high_multiply(EXP_MINUS_EIGHTH, x + higher)
}

/// `1 / sum` for a sum with 12 integer bits: a 31-bit fraction and how many bits to shift it down.
fn reciprocal(sum: i32) -> (i32, i32) {
    let headroom = i32::try_from(sum.leading_zeros()).unwrap_or(0);
    // The sum normalised to [1, 2), less 1.
    let normalised = saturate((i64::from(sum) << headroom) - (1 << 31));
    (one_over_one_plus(normalised), SUM_INTEGER_BITS - headroom)
}

/// gemmlowp's `one_over_one_plus_x_for_x_in_0_1`: three Newton steps; both are 31-bit fractions.
fn one_over_one_plus(value: i32) -> i32 {
    const FORTY_EIGHT_OVER_17: i32 = 1_515_870_810;
    const MINUS_THIRTY_TWO_OVER_17: i32 = -1_010_580_540;
    // Both are positive: gemmlowp's RoundingHalfSum.
    let half = saturate((i64::from(value) + i64::from(i32::MAX) + 1) >> 1);
    let mut x = FORTY_EIGHT_OVER_17 + doubling_high_multiply(half, MINUS_THIRTY_TWO_OVER_17);
    for _ in 0..3 {
        let error = (1 << 29) - doubling_high_multiply(half, x);
        x = x.saturating_add(shift_left(doubling_high_multiply(x, error), 2));
    }
    shift_left(x, 1)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn exponentials_are_close_to_the_real_ones() {
        for step in 0..2000 {
            let value = -step * 1_000_003;
            let real = (f64::from(value) / f64::from(1 << 26)).exp();
            let fixed = f64::from(exponential(value)) / 2f64.powi(31);
            assert!(
                (fixed - real).abs() < 1e-6,
                "exp of {value}: {fixed} for {real}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn probabilities_are_within_one_step(
            scores in proptest::collection::vec(any::<u8>(), 1..40),
            scale in 0.001..4.0_f32,
        ) {
            let input = Array3::from_shape_vec((1, 1, scores.len()), scores.clone()).expect("shape");
            let output = Softmax::new(scale).expect("expressible").run(input.view());
            let maximum = scores.iter().copied().max().unwrap_or(0);
            let difference = |u: u8| f64::from(scale) * f64::from(maximum - u);
            let real: Vec<f64> = scores.iter().map(|&u| (-difference(u)).exp()).collect();
            let sum: f64 = real.iter().sum();
            for (&byte, real) in output.iter().zip(real) {
                let expected = (256.0 * real / sum).min(255.0);
                prop_assert!((f64::from(byte) - expected).abs() <= 0.51, "{byte} for {expected}");
            }
        }
    }

    #[test]
    fn scales_out_of_range_are_refused() {
        assert!(Softmax::new(0.0).is_none());
        assert!(Softmax::new(f32::NAN).is_none());
        assert!(Softmax::new(1e-9).is_none());
        assert!(Softmax::new(0.1).is_some());
    }
}
