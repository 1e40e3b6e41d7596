//! Registers: rising edge of `clock`. Those that are control have a synchronous reset; data have none and hold
//! anything until first clocked.

use super::{Module, Net};
use rust_hdl::prelude::AtomKind;

impl Module {
    /// A register to be clocked later, once.
    pub fn register(&self, name: &str, width: usize) -> Net {
        self.declare(name, width, AtomKind::LocalSignal, false)
    }

    /// `q <= d` every cycle.
    pub fn clocked(&self, q: &Net, d: &Net) {
        self.flip_flop(q, d, None, None);
    }

    /// `q <= d` where `enable` (1 bit) is set.
    pub fn clocked_enable(&self, q: &Net, d: &Net, enable: &Net) {
        self.flip_flop(q, d, Some(enable), None);
    }

    /// `q <= d` every cycle, `value` in reset.
    pub fn clocked_reset(&self, q: &Net, d: &Net, value: u64) {
        self.flip_flop(q, d, None, Some(value));
    }

    /// `q <= d` where `enable` (1 bit) is set, `value` in reset.
    pub fn clocked_enable_reset(&self, q: &Net, d: &Net, enable: &Net, value: u64) {
        self.flip_flop(q, d, Some(enable), Some(value));
    }

    /// A new data register holding `d` of the previous cycle.
    pub fn registered(&self, name: &str, d: &Net) -> Net {
        let q = self.register(name, d.width);
        self.clocked(&q, d);
        q
    }

    /// A new control register (0 in reset) holding `d` of the previous cycle.
    pub fn registered_reset(&self, name: &str, d: &Net) -> Net {
        let q = self.register(name, d.width);
        self.clocked_reset(&q, d, 0);
        q
    }

    /// `d` of `cycles` cycles ago, through data registers `name_1`, `name_2`, ...
    pub fn delayed(&self, name: &str, d: &Net, cycles: usize) -> Net {
        (1..=cycles).fold(d.clone(), |last, cycle| {
            self.registered(&format!("{name}_{cycle}"), &last)
        })
    }

    /// As [`Module::delayed`], through control registers.
    pub fn delayed_reset(&self, name: &str, d: &Net, cycles: usize) -> Net {
        (1..=cycles).fold(d.clone(), |last, cycle| {
            self.registered_reset(&format!("{name}_{cycle}"), &last)
        })
    }

    /// A counter: 0 in reset and after `clear`, else one more after `increment`, modulo 2^width.
    pub fn counter(&self, name: &str, width: usize, clear: &Net, increment: &Net) -> Net {
        let q = self.register(name, width);
        let next = self.mux(clear, &self.literal(0, width), &self.increment(&q));
        self.clocked_enable_reset(&q, &next, &self.or(clear, increment), 0);
        q
    }

    /// A register that holds `a * b` (unsigned) of the previous cycle, as wide as both together.
    pub fn multiplied(&self, name: &str, a: &Net, b: &Net) -> Net {
        self.product(name, a, b, "$unsigned")
    }

    /// A register that holds `a * b` (two's complement) of the previous cycle, as wide as both together. For an
    /// unsigned operand put a 0 above it.
    pub fn multiplied_signed(&self, name: &str, a: &Net, b: &Net) -> Net {
        self.product(name, a, b, "$signed")
    }

    fn product(&self, name: &str, a: &Net, b: &Net, cast: &str) -> Net {
        let q = self.register(name, a.width + b.width);
        self.mark_driven(&q);
        let (a, b, clock) = (self.text(a), self.text(b), self.clock());
        self.raw(&format!(
            "always @(posedge {clock}) {q} <= {cast}({a}) * {cast}({b});"
        ));
        q
    }

    fn flip_flop(&self, q: &Net, d: &Net, enable: Option<&Net>, reset: Option<u64>) {
        self.same_width(&q.to_string(), q, d);
        self.text(q);
        self.mark_driven(q);
        let mut text = format!("always @(posedge {}) ", self.clock());
        if let Some(value) = reset {
            let value = self.literal(value, q.width);
            text += &format!("if ({}) {q} <= {value}; else ", self.reset());
        }
        if let Some(enable) = enable {
            self.one_bit("enable", enable);
            text += &format!("if ({}) ", self.text(enable));
        }
        self.raw(&format!("{text}{q} <= {};", self.text(d)));
    }
}
