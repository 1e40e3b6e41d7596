//! Requantizer: scales one value a cycle by a record's multiplier and makes a byte of it.
//!
//! `y` is [`bitweft_isa::record`]'s: with v the value, `p = ((v << left) * mantissa [+ 2^30 if double]) >> 31` and
//! `y = (p + half - [double and p < 0]) >> right` (neither term for `right` = 0); `output_byte` = clamp(out_zero + y, clamp_low,
//! clamp_high). Both rounding families, bit for bit. What it takes of the record depends on its [`Form`]: `Compact` (`blocks`) all fields
//! as they are, the others aligned ones ([`align`]), which leave one shift, by a multiple of four, of all.
//!
//! | port | bits | |
//! |---|--:|---|
//! | `value` | 33 | v, or 2v where the record is aligned so, two's complement; v << left must fit 32 bits |
//! | `mantissa`, `shift`, `doublings`, `divides` | 34, 4, 3, 1 | of [`align`], in the cycle after `value` |
//! | `value`, `left` | 32, 4 | of `Compact`, instead: v |
//! | `mantissa`, `right` | 31, 6 | of `Compact`, in the cycle after `value`; right 0 to 32 |
//! | `rounding_double`, `out_zero`, `clamp_low`, `clamp_high` | 1, 8, 8, 8 | steady while values are under way; low <= high |
//! | `scaled`, `scaled_round` | 32, 1 | not of `Narrow`: y = scaled + scaled_round (the adder is the reader's), [`SCALED_LATENCY`] later |
//! | `output_byte` | 8 | [`REQUANTIZER_LATENCY`] later |
//!
//! Throughput one value a cycle; no reset (no control).
//!
//! ```text
//! clock            _/~\_/~\_/~\_ ... _/~\_/~\_/~\_
//! value            X a X b X
//! mantissa, shift      X a X b X
//! scaled                             X a X b X          7 cycles
//! output_byte                                X a X b X  9 cycles
//! ```
//!
//! How p's rounding costs no adder of its own: subtracting 1 from p where `double and p < 0` may be done
//! for negative v instead of negative p (they differ only for p = 0, where half absorbs it), so both of the first
//! step's terms become one constant c = 0, 2^30 or -2^30, known with v, which is added beside the
//! partial products. The second rounding is the last bit shifted out: `(p + half) >> right = (p >> right) + p[right - 1]`. For `right` = 0 c is
//! 0 as well: what `double` adds there is the last bit shifted out of the product.

mod aligned;
mod blocks;

pub use aligned::align;

use crate::builder::{Module, Net};
use bitweft_isa::{
    architecture::Architecture,
    record::{LEFT_BITS, MANTISSA_BITS, RIGHT_BITS},
    timing::{REQUANTIZER_LATENCY, SCALED_LATENCY},
};

const MULTIPLIER: &str = include_str!("../vendor/multiplier.v");
/// Cycles of `vendor/multiplier.v`.
const MULTIPLIER_LATENCY: usize = 2;
/// Bits of y, and those that the byte's adder takes: where the bits above differ from its sign the byte saturates.
const WIDE_BITS: usize = 32;
const NARROW_BITS: usize = 10;

/// What a requantizer is made of, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Few cells, in blocks that only some FPGAs have; byte and y.
    Compact,
    /// Byte and y.
    Wide,
    /// The byte alone.
    Narrow,
}

impl Form {
    /// That of the posts of a way.
    #[must_use]
    pub fn of(architecture: &Architecture, way: usize) -> Self {
        match (architecture.compact, way) {
            (true, _) => Self::Compact,
            (false, 0) => Self::Wide,
            (false, _) => Self::Narrow,
        }
    }

    /// Bits of the value.
    #[must_use]
    pub fn value_bits(self) -> usize {
        match self {
            Self::Compact => 32,
            Self::Wide | Self::Narrow => aligned::VALUE_BITS,
        }
    }

    /// Ports that hold fields of the record, and their bits.
    #[must_use]
    pub fn fields(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Compact => &[
                ("mantissa", MANTISSA_BITS),
                ("left", LEFT_BITS),
                ("right", RIGHT_BITS),
            ],
            Self::Wide | Self::Narrow => &aligned::FIELDS,
        }
    }
}

/// The requantizer as a module.
#[must_use]
pub fn requantizer(form: Form) -> Module {
    let module = Module::new(match form {
        Form::Narrow => "requantizer_narrow",
        Form::Compact | Form::Wide => "requantizer",
    });
    let m = &module;
    let value = m.input("value", form.value_bits());
    let fields = form.fields().iter();
    let fields: Vec<Net> = fields.map(|&(name, bits)| m.input(name, bits)).collect();
    let double = m.input("rounding_double", 1);
    let shifted = match fields.as_slice() {
        [mantissa, left, right] => {
            let (y, round) = blocks::scaled(m, [&value, left, mantissa, right, &double]);
            Shifted {
                y,
                round,
                lost: None,
            }
        }
        fields => aligned::shifted(m, form, [&value, &double], fields),
    };
    if form != Form::Narrow {
        m.output("scaled", &shifted.y);
        m.output("scaled_round", &shifted.round);
    }
    m.output("output_byte", &byte(m, &shifted));
    module
}

/// y - `round`; of `Narrow` its lowest [`NARROW_BITS`], whether those are not all of it, and its sign.
struct Shifted {
    y: Net,
    round: Net,
    lost: Option<[Net; 2]>,
}

/// clamp(out_zero + y, clamp_low, clamp_high), two cycles later.
fn byte(m: &Module, shifted: &Shifted) -> Net {
    let zero = m.input("out_zero", 8);
    let (low, high) = (m.input("clamp_low", 8), m.input("clamp_high", 8));
    let too_high = |beyond: &Net| m.registered("too_high", beyond);
    let too_low = |beyond: &Net| m.registered("too_low", beyond);
    let (too_high, too_low) = if let Some([lost, sign]) = &shifted.lost {
        (
            too_high(&m.and(lost, &m.not(sign))),
            too_low(&m.and(lost, sign)),
        )
    } else {
        let sign = m.sign(&shifted.y);
        let above = m.slice(&shifted.y, NARROW_BITS - 1, WIDE_BITS - NARROW_BITS);
        (
            too_high(&m.and(&m.not(&sign), &m.reduce_or(&above))),
            too_low(&m.and(&sign, &m.not(&m.reduce_and(&above)))),
        )
    };
    // The lowest bit of both operands makes the carry.
    let width = NARROW_BITS + 2;
    let narrow = m.sign_extend(&m.truncate(&shifted.y, NARROW_BITS), width - 1);
    let narrow = m.concat(&[&m.literal(1, 1), &narrow]);
    let zero = m.zero_extend(&m.concat(&[&shifted.round, &zero]), width);
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

/// A 17 x 17 bit multiplier with registers before and after it; `b` is unsigned, `a` two's complement if `signed`.
fn multiplier(m: &Module, name: &str, a: &Net, b: &Net, signed: bool) -> Net {
    let product = m.driven_wire(name, a.width() + b.width());
    let (clock, signed) = (m.clock(), u8::from(signed));
    m.raw(&format!(
        "multiplier #(.A_SIGNED({signed})) multiply_{name} (.clock({clock}), .a({a}), .b({b}), .product({product}));"
    ));
    m.vendor("multiplier", MULTIPLIER);
    product
}

const _: () = assert!(REQUANTIZER_LATENCY == SCALED_LATENCY + 2);
