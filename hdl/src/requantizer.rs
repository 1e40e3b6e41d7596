//! Requantizer: scales one value a cycle by a record's multiplier and makes a byte of it.
//!
//! `y` is [`bitweft_isa::record`]'s: with v `value`, `p = ((v << left) * mantissa [+ 2^30 if double]) >> 31` and
//! `y = (p + half - [double and p < 0]) >> right` (neither term for `right` = 0); `output_byte` = clamp(out_zero + y, clamp_low,
//! clamp_high). Both rounding families, bit for bit.
//!
//! | port | bits | |
//! |---|--:|---|
//! | `value`, `left` | 32, 4 | v, two's complement; v << left must fit 32 bits |
//! | `mantissa`, `right` | 31, 6 | of the record, in the cycle after `value`; right 0 to 32 |
//! | `rounding_double`, `out_zero`, `clamp_low`, `clamp_high` | 1, 8, 8, 8 | steady while values are under way; low <= high |
//! | `scaled`, `scaled_round` | 32, 1 | y = scaled + scaled_round (the adder is the reader's), [`SCALED_LATENCY`] later |
//! | `output_byte` | 8 | [`REQUANTIZER_LATENCY`] later |
//!
//! Throughput one value a cycle; no reset (no control).
//!
//! ```text
//! clock            _/~\_/~\_/~\_ ... _/~\_/~\_/~\_
//! value, left      X a X b X
//! mantissa, right      X a X b X
//! scaled                             X a X b X          7 cycles
//! output_byte                                X a X b X  9 cycles
//! ```
//!
//! How p's rounding costs no adder of its own: subtracting 1 from p where `double and p < 0` may be done
//! for negative v instead of negative p (they differ only for p = 0, where half absorbs it), so both of the first
//! step's terms become one constant c = 0, 2^30 or -2^30, known with v, which is added beside the
//! partial products. The second rounding is the last bit shifted out: `(p + half) >> right = (p >> right) + p[right - 1]`.

mod blocks;

use crate::builder::{Module, Net};
use bitweft_isa::timing::{REQUANTIZER_LATENCY, SCALED_LATENCY};

const MULTIPLIER: &str = include_str!("../vendor/multiplier.v");
/// Cycles of `vendor/multiplier.v`.
const MULTIPLIER_LATENCY: usize = 2;
/// Lowest bit of the product that is kept: those below cannot carry into the result.
const KEPT_LOW: usize = 16;
/// Bits of `scaled` that the byte's adder takes; where the bits above differ from its sign the byte saturates.
const NARROW_BITS: usize = 10;

/// The requantizer as a module; `compact`: of few cells, in blocks that only some FPGAs have (`blocks`).
#[must_use]
pub fn requantizer(compact: bool) -> Module {
    let module = Module::new("requantizer");
    let m = &module;
    let value = m.input("value", 32);
    let mantissa = m.input("mantissa", 31);
    let left = m.input("left", 4);
    let right = m.input("right", 6);
    let double = m.input("rounding_double", 1);

    let form = if compact { blocks::scaled } else { scaled };
    let (scaled, round) = form(m, [&value, &left, &mantissa, &right, &double]);
    m.output("scaled", &scaled);
    m.output("scaled_round", &round);
    m.output("output_byte", &byte(m, &scaled, &round));
    module
}

/// `scaled` and `scaled_round`.
fn scaled(m: &Module, [value, left, mantissa, right, double]: [&Net; 5]) -> (Net, Net) {
    let coarse = shift_left(m, value, left, &[3, 2]);
    let coarse = m.registered("shifted_coarse", &coarse);
    let left = m.registered("left_fine", &m.truncate(left, 2));
    let shifted = m.named("shifted", &shift_left(m, &coarse, &left, &[1, 0]));
    let negative = m.all(&[double, &m.sign(&coarse), &m.reduce_or(right)]);
    let negative = m.delayed("negative", &negative, MULTIPLIER_LATENCY);
    let product = product(m, &shifted, mantissa, double, &negative);

    // `product` belongs to the mantissa of 4 cycles ago.
    let right = m.delayed("right", right, MULTIPLIER_LATENCY + 2);
    shift_right(m, &product, &right)
}

/// `value` shifted left by the given bits of `by`, modulo 2^width.
fn shift_left(m: &Module, value: &Net, by: &Net, bits: &[usize]) -> Net {
    bits.iter().fold(value.clone(), |value, &bit| {
        m.mux(&m.bit(by, bit), &m.shift_left(&value, 1 << bit), &value)
    })
}

/// `floor((a * mantissa + c) / 2^31)` (32 bits), c = `double` ? (`negative` ? -2^30 : 2^30) : 0, from four 16-bit partial
/// products. `double` and `negative` belong to the partial products' cycle.
fn product(m: &Module, a: &Net, mantissa: &Net, double: &Net, negative: &Net) -> Net {
    let (a_low, a_high) = (m.slice(a, 0, 16), m.slice(a, 16, 16));
    let b_low = m.slice(mantissa, 0, 16);
    let b_high = m.zero_extend(&m.slice(mantissa, 16, 15), 16);
    let low_low = multiplier(m, "low_low", &a_low, &b_low, false);
    let low_high = multiplier(m, "low_high", &a_low, &b_high, false);
    let high_low = multiplier(m, "high_low", &a_high, &b_low, true);
    let high_high = multiplier(m, "high_high", &a_high, &b_high, true);
    m.unused(&m.slice(&low_low, 0, KEPT_LOW));
    m.unused(&m.bit(&high_high, 31));

    let middle = m.add(&m.zero_extend(&low_high, 33), &m.sign_extend(&high_low, 33));
    let middle = m.registered("middle", &middle);
    // Bits 30.. of the outer products side by side, plus c.
    let outer = m.concat(&[&m.slice(&low_low, 30, 2), &m.slice(&high_high, 0, 31)]);
    let nudge = m.concat(&[double, &m.repeat(negative, 32)]);
    let outer = m.registered("outer", &m.add(&outer, &nudge));
    let outer_low = m.registered("outer_low", &m.slice(&low_low, KEPT_LOW, 30 - KEPT_LOW));

    let outer = m.concat(&[&outer_low, &outer]);
    let sum = m.add(&outer, &m.sign_extend(&middle, outer.width()));
    let sum = m.registered("product", &sum);
    m.unused(&m.slice(&sum, 0, 31 - KEPT_LOW));
    m.slice(&sum, 31 - KEPT_LOW, 32)
}

/// `value >> by` (arithmetic, `by` 0 to 32) and the last bit shifted out (0 for `by` = 0), two cycles later.
fn shift_right(m: &Module, value: &Net, by: &Net) -> (Net, Net) {
    let step = |value: &Net, by: &Net, bit: usize| {
        let shifted = m.shift_right_signed(value, 1 << bit);
        m.mux(&m.bit(by, bit), &shifted, value)
    };
    let value = m.concat(&[&m.literal(0, 1), value]);
    let coarse = m.registered("coarse", &step(&step(&value, by, 4), by, 3));
    let by = m.registered("right_fine", by);
    m.unused(&m.slice(&by, 3, 2));
    let fine = [2, 1, 0]
        .iter()
        .fold(coarse, |value, &bit| step(&value, &by, bit));
    // A 32-bit value shifted by 32 rounds to 0.
    let fine = m.gate(&fine, &m.not(&m.bit(&by, 5)));
    let fine = m.registered("fine", &fine);
    (m.slice(&fine, 1, 32), m.bit(&fine, 0))
}

/// clamp(out_zero + scaled + round, clamp_low, clamp_high), two cycles later.
fn byte(m: &Module, scaled: &Net, round: &Net) -> Net {
    let zero = m.input("out_zero", 8);
    let (low, high) = (m.input("clamp_low", 8), m.input("clamp_high", 8));
    let sign = m.sign(scaled);
    let above = m.slice(scaled, NARROW_BITS - 1, 32 - NARROW_BITS);
    let too_high = m.and(&m.not(&sign), &m.reduce_or(&above));
    let too_high = m.registered("too_high", &too_high);
    let too_low = m.and(&sign, &m.not(&m.reduce_and(&above)));
    let too_low = m.registered("too_low", &too_low);
    // The lowest bit of both operands makes the carry.
    let width = NARROW_BITS + 2;
    let narrow = m.sign_extend(&m.truncate(scaled, NARROW_BITS), width - 1);
    let narrow = m.concat(&[&m.literal(1, 1), &narrow]);
    let zero = m.zero_extend(&m.concat(&[round, &zero]), width);
    let biased = m.registered("biased", &m.add(&narrow, &zero));
    m.unused(&m.bit(&biased, 0));
    let minus = m.sign(&biased);
    let beyond = m.reduce_or(&m.slice(&biased, 9, 2));
    let biased = m.slice(&biased, 1, 8);

    let over = m.or(&beyond, &m.less(&high, &biased));
    let over = m.all(&[&over, &m.not(&minus), &m.not(&too_low)]);
    let over = m.or(&too_high, &over);
    let under = m.any(&[&too_low, &minus, &m.less(&biased, &low)]);
    let byte = m.mux(&over, &high, &m.mux(&under, &low, &biased));
    m.registered("clamped", &byte)
}

/// A 16 x 16 bit multiplier with registers before and after it; `b` is unsigned, `a` two's complement if `signed`.
fn multiplier(m: &Module, name: &str, a: &Net, b: &Net, signed: bool) -> Net {
    let product = m.wire(name, 32);
    m.mark_driven(&product);
    let (clock, signed) = (m.clock(), u8::from(signed));
    m.raw(&format!(
        "multiplier #(.A_SIGNED({signed})) multiply_{name} (.clock({clock}), .a({a}), .b({b}), .product({product}));"
    ));
    m.vendor("multiplier", MULTIPLIER);
    product
}

const _: () = assert!(SCALED_LATENCY == 1 + MULTIPLIER_LATENCY + 4);
const _: () = assert!(REQUANTIZER_LATENCY == SCALED_LATENCY + 2);
