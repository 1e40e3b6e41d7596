//! The requantizer of a `compact` architecture: both shifts, the product and its sums in eight blocks that multiply and add
//! (`vendor/multiply_add.v`), which an iCE40 UP5K has.
//!
//! A shift is a product with a power of two, of 32 x 16 bits: two blocks side by side ([`shifted`]). A right shift by f is one to the
//! left by 15 - f, read 15 places higher; one by 32 is of 0. The halves of sums that this leaves idle delay what comes later.
//!
//! ```text
//! cycle   block: what it takes
//!   0     shift_low, shift_high: value, 2^left
//!   1     low_low, low_high, high_low, high_high: value << left, mantissa
//!   2     low_high: c
//!   3     high_low: low_high's sum
//!   4     low_low, high_high: high_low's sum, the middle of the product
//!   5     right_low, right_high: product >> (right & 16), 2^(15 - right % 16)
//! ```

use crate::builder::{Module, Net};
use bitweft_isa::timing::SCALED_LATENCY;

const MULTIPLY_ADD: &str = include_str!("../../vendor/multiply_add.v");
/// Bits of half a block's sum.
const HALF: usize = 16;

/// Parameters of `vendor/multiply_add.v`.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    signed: bool,
    operand_registers: usize,
    product_registers: usize,
    upper_early: bool,
    upper_delays: bool,
    lower_delays: bool,
}

impl Block {
    /// Sum and carry of `a * b + addend + carry_in`; `addend` is the lower half and the upper.
    fn instance(
        self,
        m: &Module,
        name: &str,
        (a, b): (&Net, &Net),
        addend: [&Net; 2],
        carry_in: &Net,
    ) -> (Net, Net) {
        let [lower, upper] = addend.map(|half| m.zero_extend(half, HALF));
        let addend = m.concat(&[&lower, &upper]);
        let sum = m.driven_wire(name, 2 * HALF);
        let carry_out = m.driven_wire(&format!("{name}_carry"), 1);
        let parameters = [
            ("A_SIGNED", usize::from(self.signed)),
            ("OPERAND_REGISTERS", self.operand_registers),
            ("PRODUCT_REGISTERS", self.product_registers),
            ("UPPER_EARLY", usize::from(self.upper_early)),
            ("UPPER_DELAYS", usize::from(self.upper_delays)),
            ("LOWER_DELAYS", usize::from(self.lower_delays)),
        ]
        .map(|(parameter, value)| format!(".{parameter}({value})"));
        let clock = m.clock();
        m.raw(&format!(
            "multiply_add #({}) multiply_{name} (\n    .clock({clock}), .a({a}), .b({b}), .addend({addend}), .carry_in({carry_in}),\n    \
             .sum({sum}), .carry_out({carry_out})\n);",
            parameters.join(", ")
        ));
        m.vendor("multiply_add", MULTIPLY_ADD);
        (sum, carry_out)
    }

    /// The sum alone, of no carry and with none.
    fn sum(self, m: &Module, name: &str, operands: (&Net, &Net), addend: [&Net; 2]) -> Net {
        let (sum, carry) = self.instance(m, name, operands, addend, &m.literal(0, 1));
        m.unused(&carry);
        sum
    }
}

/// `scaled` and `scaled_round` of the requantizer.
pub(super) fn scaled(m: &Module, [value, left, mantissa, right, double]: [&Net; 5]) -> (Net, Net) {
    let none = m.literal(0, 1);
    // `right` and the sign come two cycles later from the idle half.
    let sign = m.wire("shifted_sign", 1);
    let later = m.concat(&[right, &sign]);
    let powers: Vec<Net> = m.decode(left, HALF);
    let power = m.concat(&powers.iter().collect::<Vec<_>>());
    let block = Block {
        upper_delays: true,
        ..Block::default()
    };
    let [low, high] = shifted(m, "shift", block, (value, &power), [&none, &later]);
    let a = m.concat(&[&m.truncate(&low, HALF), &m.truncate(&high, HALF)]);
    m.drive(&sign, &m.sign(&a));
    let (right_later, sign_later) = (m.slice(&high, HALF, 6), m.bit(&high, HALF + 6));
    m.unused(&m.slice(&high, HALF + 7, HALF - 7));

    let negative = m.all(&[double, &sign, &m.reduce_or(right)]);
    let negative = m.registered("negative", &negative);
    let negative_middle = m.registered("negative_middle", &sign_later);
    let (product, right) = product(
        m,
        (&a, mantissa),
        (double, &negative),
        &negative_middle,
        &right_later,
    );
    shift_right(m, &product, &right)
}

/// `value * power`, `power` with one bit set or none, in two blocks. The upper half of the lower block's product goes to the upper block,
/// whose sum is all bits from 16 on (their places do not overlap); the lower half of the lower one's sum is the rest.
/// `below` is added there, where it must carry nothing; `above` is the upper half of the upper block's addend.
fn shifted(
    m: &Module,
    name: &str,
    upper: Block,
    (value, power): (&Net, &Net),
    [below, above]: [&Net; 2],
) -> [Net; 2] {
    let lower = Block {
        signed: false,
        upper_early: true,
        upper_delays: false,
        ..upper
    };
    let none = m.literal(0, 1);
    let (a_low, a_high) = (m.truncate(value, HALF), m.slice(value, HALF, HALF));
    let low = lower.sum(m, &format!("{name}_low"), (&a_low, power), [below, &none]);
    let carried = m.slice(&low, HALF, HALF);
    let high = upper.sum(
        m,
        &format!("{name}_high"),
        (&a_high, power),
        [&carried, above],
    );
    [low, high]
}

/// `floor((a * mantissa + c) / 2^31)` (32 bits), c = `double` ? (`negative` ? -2^30 : 2^30) : 0, four cycles later, and `right`
/// two cycles later. `double` and `negative` are a cycle later than the operands, `right` two; `negative_middle` three: a < 0.
///
/// c is part of the middle, which is a * mantissa's without the outer two products: c / 2^16 + a_low * b_high + a_high * b_low. Its 33rd
/// bit, the sign, is not the sum's 32nd only where a_high >= 0, and then it is 0.
fn product(
    m: &Module,
    (a, mantissa): (&Net, &Net),
    (double, negative): (&Net, &Net),
    negative_middle: &Net,
    right: &Net,
) -> (Net, Net) {
    let (a_low, a_high) = (m.truncate(a, HALF), m.slice(a, HALF, HALF));
    let b_low = m.truncate(mantissa, HALF);
    let b_high = m.zero_extend(&m.slice(mantissa, HALF, 15), HALF);
    let adds_after = |product_registers, signed| Block {
        signed,
        operand_registers: 1,
        product_registers,
        ..Block::default()
    };

    let c_low = m.concat(&[&m.literal(0, 14), double, negative]);
    let c = [&c_low, &m.repeat(negative, HALF)];
    let low_high = adds_after(0, false).sum(m, "low_high", (&a_low, &b_high), c);
    let addend = [
        &m.truncate(&low_high, HALF),
        &m.slice(&low_high, HALF, HALF),
    ];
    let middle = adds_after(1, true).sum(m, "high_low", (&a_high, &b_low), addend);
    let (middle_low, middle_high) = (m.truncate(&middle, HALF), m.slice(&middle, HALF, HALF));
    let middle_sign = m.repeat(&m.and(negative_middle, &m.sign(&middle)), HALF);

    // The lowest 16 bits of the product do not matter: their half delays.
    let outer = Block {
        lower_delays: true,
        ..adds_after(2, false)
    };
    let none = m.literal(0, 1);
    let (low, carry) = outer.instance(m, "low_low", (&a_low, &b_low), [right, &middle_low], &none);
    let (high, beyond) = adds_after(2, true).instance(
        m,
        "high_high",
        (&a_high, &b_high),
        [&middle_high, &middle_sign],
        &carry,
    );
    m.unused(&beyond);
    m.unused(&m.sign(&high));
    m.unused(&m.slice(&low, 6, 2 * HALF - 1 - 6));
    let product = m.concat(&[&m.sign(&low), &m.truncate(&high, 31)]);
    (m.named("product", &product), m.truncate(&low, 6))
}

/// `value >> by` (arithmetic, `by` 0 to 32) and the last bit shifted out (0 for `by` = 0), two cycles later; for `by` = 32 both are 0.
fn shift_right(m: &Module, value: &Net, by: &Net) -> (Net, Net) {
    let coarse = m.bit(by, 4);
    let some = m.repeat(&m.not(&m.bit(by, 5)), 32);
    let high = m.mux(&coarse, &m.shift_right_signed(value, HALF), value);
    let powers: Vec<Net> = m.decode(&m.truncate(by, 4), HALF);
    let power = m.concat(&powers.iter().rev().collect::<Vec<_>>());
    // A shift by 16 is all coarse: the last bit shifted out is no longer there.
    let last = m.all(&[&coarse, &powers[0], &m.bit(value, HALF - 1)]);
    let last = m.registered("coarse_last", &last);
    let below = m.concat(&[&m.literal(0, 14), &last]);
    let block = Block {
        signed: true,
        operand_registers: 1,
        ..Block::default()
    };
    let value = m.and(&high, &some);
    let none = m.literal(0, 1);
    let [low, high] = shifted(m, "right", block, (&value, &power), [&below, &none]);
    m.unused(&m.truncate(&low, 14));
    m.unused(&m.sign(&high));
    (
        m.concat(&[&m.bit(&low, 15), &m.truncate(&high, 31)]),
        m.bit(&low, 14),
    )
}

const _: () = assert!(SCALED_LATENCY == 1 + 4 + 2);
