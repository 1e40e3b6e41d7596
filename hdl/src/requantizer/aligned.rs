//! The requantizer of records that are aligned: all shifts of a record become one, by a multiple of four.
//!
//! `y = floor((v * mantissa + c) / 2^s)`, rounded by the last bit shifted out, where s = 31 - left + right is 16 to 63 (c is 0 unless `left`
//! is: double rounding shifts one way). The lowest two bits of s are made up for once a record instead of once a value: the mantissa is
//! doubled up to three times, and v once where 2v is what there is (an ordinary filter's sum). What is left in every post is a
//! shift by 16 + 4 `shift`, 0 to 12.

use super::{Form, MULTIPLIER_LATENCY, NARROW_BITS, Shifted, WIDE_BITS, multiplier};
use crate::builder::{Module, Net};
use bitweft_isa::{record::MANTISSA_BITS, timing::SCALED_LATENCY};

/// Doublings of a mantissa, at most.
const DOUBLINGS: usize = 3;
/// Shifts are by a multiple of so many places, and at least by so many.
const FOUR: usize = DOUBLINGS + 1;
const SHIFT_MIN: usize = 16;
/// Bits of `value`: 2v.
pub(super) const VALUE_BITS: usize = 33;
const ALIGNED_BITS: usize = MANTISSA_BITS + DOUBLINGS;
/// Bits of the lower part of `value` and of the mantissa. A multiplier takes 17.
const VALUE_LOW: usize = 16;
const MANTISSA_LOW: usize = 17;
/// Lowest bit of the product that is kept: those below cannot carry into the result.
const KEPT_LOW: usize = SHIFT_MIN - 1;
/// The bit of c before any doubling.
const NUDGE_LOW: usize = 30;

/// Ports and their bits: the aligned mantissa; how far to shift, in fours above [`SHIFT_MIN`]; the number of doublings, v's
/// included; whether the record's `right` is not 0.
pub(super) const FIELDS: [(&str, usize); 4] = [
    ("mantissa", ALIGNED_BITS),
    ("shift", 4),
    ("doublings", 3),
    ("divides", 1),
];

/// What a requantizer takes ([`Form::fields`]) of a record's `mantissa`, `left` and `right`; `doubled`: values are 2v.
#[must_use]
pub fn align(
    m: &Module,
    doubled: &Net,
    [mantissa, left, right]: [&Net; 3],
) -> Vec<(&'static str, Net)> {
    // s - 16 = 15 - left + right, and 1 if doubled: the lowest bit of both operands makes that carry.
    let bits = right.width();
    let complement = m.zero_extend(&m.not(left), bits);
    let sum = m.add(
        &m.concat(&[&m.literal(1, 1), &complement]),
        &m.concat(&[doubled, right]),
    );
    m.unused(&m.bit(&sum, 0));
    let above = m.slice(&sum, 1, bits);
    let some = m.bit(&above, 0);
    let doublings = m.concat(&[&some, &m.xor(&m.bit(&above, 1), &some)]);
    let rest = m.reduce_or(&m.truncate(&above, 2));
    let fours = m.slice(&above, 2, 4);
    let shift = m.add(&fours, &m.zero_extend(&rest, 4));
    let mut aligned = m.zero_extend(mantissa, ALIGNED_BITS);
    for bit in [1, 0] {
        aligned = m.mux(
            &m.bit(&doublings, bit),
            &m.shift_left(&aligned, 1 << bit),
            &aligned,
        );
    }
    let doublings = m.add(&m.zero_extend(&doublings, 3), &m.zero_extend(doubled, 3));
    let divides = m.reduce_or(right);
    let nets = [aligned, shift, doublings, divides];
    FIELDS.iter().map(|&(name, _)| name).zip(nets).collect()
}

/// y in two parts, `SCALED_LATENCY` after `value`; the fields a cycle later than it.
pub(super) fn shifted(
    m: &Module,
    form: Form,
    [value, double]: [&Net; 2],
    fields: &[Net],
) -> Shifted {
    let [mantissa, shift, doublings, divides] = fields else {
        unreachable!("the ports of its form")
    };
    let value = m.registered("value_held", value);
    // c, from its lowest bit on.
    let first = m.and(double, divides);
    let negative = m.and(&first, &m.sign(&value));
    let places = m.decode(doublings, FOUR + 1);
    let mut nudge = vec![m.and(&first, &places[0])];
    for at in 1..=FOUR {
        let below = m.any(&places[..at].iter().collect::<Vec<_>>());
        let sign = m.and(&negative, &below);
        nudge.push(m.or(&sign, &m.and(&first, &places[at])));
    }
    nudge.push(negative);
    let nudge = m.concat(&nudge.iter().collect::<Vec<_>>());
    let nudge = m.delayed("nudge", &nudge, MULTIPLIER_LATENCY);
    let product = product(m, &value, mantissa, &nudge);

    // `product` belongs to the mantissa of 4 cycles ago.
    let shift = m.delayed("shift_later", shift, MULTIPLIER_LATENCY + 2);
    // Without the second shift and its half nothing is rounded but what `double` adds to the product.
    let rounds = m.or(double, divides);
    let rounds = m.delayed("rounds", &rounds, MULTIPLIER_LATENCY + 3);
    shift_right(m, form, &product, &shift, &rounds)
}

/// Bits from [`KEPT_LOW`] on of `value * mantissa + c`, from four partial products. `nudge` is c from bit [`NUDGE_LOW`] on and belongs
/// to the partial products' cycle.
fn product(m: &Module, value: &Net, mantissa: &Net, nudge: &Net) -> Net {
    let a_low = m.zero_extend(&m.truncate(value, VALUE_LOW), 17);
    let a_high = m.slice(value, VALUE_LOW, VALUE_BITS - VALUE_LOW);
    let b_low = m.truncate(mantissa, MANTISSA_LOW);
    let b_high = m.slice(mantissa, MANTISSA_LOW, ALIGNED_BITS - MANTISSA_LOW);
    let low_low = multiplier(m, "low_low", &a_low, &b_low, false);
    let low_high = multiplier(m, "low_high", &a_low, &b_high, false);
    let high_low = multiplier(m, "high_low", &a_high, &b_low, true);
    let high_high = multiplier(m, "high_high", &a_high, &b_high, true);
    let low_bits = VALUE_LOW + MANTISSA_LOW;
    m.unused(&m.truncate(&low_low, KEPT_LOW));
    for net in [&low_low, &low_high] {
        m.unused(&m.bit(net, low_bits));
    }

    // From bit VALUE_LOW on; the lower part of the mantissa has a bit more than that of the value.
    let width = low_bits + 2;
    let middle = m.add(
        &m.zero_extend(&m.truncate(&low_high, low_bits), width),
        &m.sign_extend(&m.slice(&high_low, 1, low_bits), width),
    );
    let middle = m.registered("middle", &m.concat(&[&m.bit(&high_low, 0), &middle]));
    // The outer products side by side, plus c.
    let beside = m.slice(&low_low, NUDGE_LOW, low_bits - NUDGE_LOW);
    let upper = m.concat(&[&beside, &high_high]);
    let upper = m.add(&upper, &m.sign_extend(nudge, upper.width()));
    let upper = m.registered("outer", &upper);
    let lower = m.slice(&low_low, KEPT_LOW, NUDGE_LOW - KEPT_LOW);
    let lower = m.registered("outer_low", &lower);

    let outer = m.concat(&[&lower, &upper]);
    let above = m.slice(&outer, 1, outer.width() - 1);
    let sum = m.add(&above, &m.sign_extend(&middle, above.width()));
    m.registered("product", &m.concat(&[&m.bit(&outer, 0), &sum]))
}

/// y of the kept bits of the product, two cycles later.
fn shift_right(m: &Module, form: Form, product: &Net, shift: &Net, rounds: &Net) -> Shifted {
    let narrow = form == Form::Narrow;
    let bits = 1 + if narrow { NARROW_BITS } else { WIDE_BITS };
    let mut sign = m.sign(product);
    // Whether bits above the lowest are not the sign's.
    let mut lost = m.literal(0, 1);
    let mut value = product.clone();
    let mut shift = shift.clone();
    for (bits_of_shift, name) in [([3, 2], "coarse"), ([1, 0], "fine")] {
        for bit in bits_of_shift {
            let by = FOUR << bit;
            // Those above cannot come down to the lowest `bits` any more.
            let width = value.width().min(bits + by - FOUR);
            let moves = m.bit(&shift, bit);
            if narrow {
                let above = m.slice(&value, width, value.width() - width);
                let differs = m.xor(&above, &m.repeat(&sign, above.width()));
                lost = m.or(&lost, &m.and(&m.not(&moves), &m.reduce_or(&differs)));
            }
            let moved = m.slice(&value, by, width.min(value.width() - by));
            let moved = match width - moved.width() {
                0 => moved,
                above => m.concat(&[&moved, &m.repeat(&m.sign(&value), above)]),
            };
            value = m.mux(&moves, &moved, &m.truncate(&value, width));
        }
        if name == "fine" {
            if narrow {
                lost = m.or(&lost, &m.xor(&m.sign(&value), &sign));
            }
            let rounded = m.and(&m.bit(&value, 0), rounds);
            value = m.concat(&[&rounded, &m.slice(&value, 1, bits - 1)]);
        } else {
            shift = m.registered("shift_fine", &m.truncate(&shift, 2));
        }
        value = m.registered(name, &value);
        if narrow {
            sign = m.registered(&format!("{name}_sign"), &sign);
            lost = m.registered(&format!("{name}_lost"), &lost);
        }
    }
    Shifted {
        y: m.slice(&value, 1, bits - 1),
        round: m.bit(&value, 0),
        lost: narrow.then_some([lost, sign]),
    }
}

const _: () = assert!(SCALED_LATENCY == 1 + MULTIPLIER_LATENCY + 4);
