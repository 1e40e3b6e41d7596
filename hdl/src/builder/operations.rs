//! Combinational operations. Operands of two-operand ones have equal widths; results have the operands' width
//! unless stated. Never chain adders in one cycle: register between them.

use super::{Module, Net, Source};

const ADD_COMPLEMENT: &str = include_str!("../../vendor/add_complement.v");
const ADD_GATED: &str = include_str!("../../vendor/add_gated.v");

impl Module {
    /// A constant. Wider ones than 64 bits: [`Module::concat`].
    ///
    /// # Panics
    /// `value` does not fit.
    pub fn literal(&self, value: u64, width: usize) -> Net {
        assert!(
            width > 0 && (width >= 64 || value >> width == 0),
            "{}: literal {value} in {width} bits",
            self.name
        );
        Net {
            module: self.id,
            source: Source::Literal(value),
            width,
        }
    }

    /// Bits `low .. low + width`.
    ///
    /// # Panics
    /// They reach beyond the net.
    pub fn slice(&self, net: &Net, low: usize, width: usize) -> Net {
        self.text(net);
        assert!(
            width > 0 && low + width <= net.width,
            "{}: bits {low}.. ({width}) of {net} ({})",
            self.name,
            net.width
        );
        let mut part = net.clone();
        part.width = width;
        match &mut part.source {
            Source::Literal(value) => {
                let above = if low < 64 { *value >> low } else { 0 };
                let mask = if width < 64 {
                    (1 << width) - 1
                } else {
                    u64::MAX
                };
                *value = above & mask;
            }
            Source::Signal { low: from, .. } => *from += low,
        }
        part
    }

    /// One bit.
    pub fn bit(&self, net: &Net, at: usize) -> Net {
        self.slice(net, at, 1)
    }

    /// All bits, bit 0 first.
    pub fn bits(&self, net: &Net) -> Vec<Net> {
        (0..net.width).map(|at| self.bit(net, at)).collect()
    }

    /// The low `width` bits.
    pub fn truncate(&self, net: &Net, width: usize) -> Net {
        self.slice(net, 0, width)
    }

    /// The highest bit.
    pub fn sign(&self, net: &Net) -> Net {
        self.bit(net, net.width - 1)
    }

    /// The parts side by side, `parts[0]` lowest.
    pub fn concat(&self, parts: &[&Net]) -> Net {
        let width = parts.iter().map(|part| part.width).sum();
        if let [only] = parts {
            return (*only).clone();
        }
        let texts: Vec<String> = parts.iter().rev().map(|part| self.text(part)).collect();
        self.result("concat", width, &format!("{{{}}}", texts.join(", ")))
    }

    /// `count` copies side by side.
    pub fn repeat(&self, net: &Net, count: usize) -> Net {
        if count == 1 {
            return net.clone();
        }
        let text = self.text(net);
        self.result(
            "repeat",
            net.width * count,
            &format!("{{{count}{{{text}}}}}"),
        )
    }

    /// Zeros above, to `width` bits.
    pub fn zero_extend(&self, net: &Net, width: usize) -> Net {
        self.extend(net, width, None)
    }

    /// Copies of the sign above, to `width` bits.
    pub fn sign_extend(&self, net: &Net, width: usize) -> Net {
        self.extend(net, width, Some(self.sign(net)))
    }

    fn extend(&self, net: &Net, width: usize, sign: Option<Net>) -> Net {
        assert!(
            width >= net.width,
            "{}: {net} ({}) extended to {width}",
            self.name,
            net.width
        );
        let more = width - net.width;
        let text = self.text(net);
        match (more, sign) {
            (0, _) => net.clone(),
            (_, None) => self.result("zero_extend", width, &format!("{{{more}'h0, {text}}}")),
            (_, Some(sign)) => self.result(
                "sign_extend",
                width,
                &format!("{{{{{more}{{{sign}}}}}, {text}}}"),
            ),
        }
    }

    /// Shift left by a constant; the width stays.
    pub fn shift_left(&self, net: &Net, by: usize) -> Net {
        if by == 0 {
            return net.clone();
        }
        if by >= net.width {
            return self.literal(0, net.width);
        }
        let kept = self.truncate(net, net.width - by);
        self.concat(&[&self.literal(0, by), &kept])
    }

    /// Logical shift right by a constant; the width stays.
    pub fn shift_right(&self, net: &Net, by: usize) -> Net {
        if by >= net.width {
            return self.literal(0, net.width);
        }
        self.zero_extend(&self.slice(net, by, net.width - by), net.width)
    }

    /// Arithmetic shift right by a constant; the width stays.
    pub fn shift_right_signed(&self, net: &Net, by: usize) -> Net {
        let by = by.min(net.width - 1);
        self.sign_extend(&self.slice(net, by, net.width - by), net.width)
    }

    fn binary(&self, name: &str, operator: &str, a: &Net, b: &Net, width: usize) -> Net {
        self.same_width(name, a, b);
        let (a, b) = (self.text(a), self.text(b));
        self.result(name, width, &format!("{a} {operator} {b}"))
    }

    /// Bitwise and.
    pub fn and(&self, a: &Net, b: &Net) -> Net {
        self.binary("and", "&", a, b, a.width)
    }

    /// Bitwise or.
    pub fn or(&self, a: &Net, b: &Net) -> Net {
        self.binary("or", "|", a, b, a.width)
    }

    /// Bitwise exclusive or.
    pub fn xor(&self, a: &Net, b: &Net) -> Net {
        self.binary("xor", "^", a, b, a.width)
    }

    /// Complement of every bit.
    pub fn not(&self, a: &Net) -> Net {
        let text = self.text(a);
        self.result("not", a.width, &format!("~{text}"))
    }

    /// `a` where `gate` (1 bit) is set, else 0.
    pub fn gate(&self, a: &Net, gate: &Net) -> Net {
        self.one_bit("gate", gate);
        self.and(a, &self.repeat(gate, a.width))
    }

    /// Sum modulo 2^width.
    pub fn add(&self, a: &Net, b: &Net) -> Net {
        self.binary("sum", "+", a, b, a.width)
    }

    /// Difference modulo 2^width.
    pub fn subtract(&self, a: &Net, b: &Net) -> Net {
        self.binary("difference", "-", a, b, a.width)
    }

    /// `a + 1` modulo 2^width.
    pub fn increment(&self, a: &Net) -> Net {
        self.add(a, &self.literal(1, a.width))
    }

    /// `a + (b ^ complement)`, every bit of b complemented if `complement` (1 bit): `a + b` or `a - b - 1`, modulo
    /// 2^width. No dearer than an adder (`vendor/add_complement.v`).
    pub fn add_complement(&self, a: &Net, b: &Net, complement: &Net) -> Net {
        self.vendor("add_complement", ADD_COMPLEMENT);
        self.adder_cell("add_complement", a, b, ("complement", complement))
    }

    /// `a + (gate ? b : 0)` modulo 2^width; `gate` has 1 bit. No dearer than an adder on ECP5 (`vendor/add_gated.v`).
    pub fn add_gated(&self, a: &Net, b: &Net, gate: &Net) -> Net {
        self.vendor("add_gated", ADD_GATED);
        self.adder_cell("add_gated", a, b, ("gate", gate))
    }

    fn adder_cell(&self, module: &str, a: &Net, b: &Net, (port, control): (&str, &Net)) -> Net {
        self.same_width(module, a, b);
        self.one_bit(module, control);
        let (a_text, b_text, control) = (self.text(a), self.text(b), self.text(control));
        let name = self.automatic_name(module);
        let sum = self.driven_wire(&format!("{name}_sum"), a.width);
        let width = a.width;
        self.raw(&format!(
            "{module} #(.WIDTH({width})) {name} (.a({a_text}), .b({b_text}), .{port}({control}), .sum({sum}));"
        ));
        sum
    }

    /// Adds the text of a module that is not built here to the design, once.
    pub(crate) fn vendor(&self, name: &'static str, text: &'static str) {
        self.contents.borrow_mut().vendor.push((name, text));
    }

    /// Equality, 1 bit.
    pub fn equal(&self, a: &Net, b: &Net) -> Net {
        self.binary("equal", "==", a, b, 1)
    }

    /// Inequality, 1 bit.
    pub fn not_equal(&self, a: &Net, b: &Net) -> Net {
        self.binary("differ", "!=", a, b, 1)
    }

    /// Equality with a constant, 1 bit.
    pub fn equals(&self, a: &Net, value: u64) -> Net {
        self.equal(a, &self.literal(value, a.width))
    }

    /// Unsigned `a < b`, 1 bit.
    pub fn less(&self, a: &Net, b: &Net) -> Net {
        self.binary("less", "<", a, b, 1)
    }

    /// Two's complement `a < b`, 1 bit.
    pub fn less_signed(&self, a: &Net, b: &Net) -> Net {
        self.same_width("less_signed", a, b);
        let (a, b) = (self.text(a), self.text(b));
        self.result("less_signed", 1, &format!("$signed({a}) < $signed({b})"))
    }

    /// `condition ? then : otherwise`; `condition` has 1 bit. There is nothing to choose between a net and itself.
    pub fn mux(&self, condition: &Net, then: &Net, otherwise: &Net) -> Net {
        self.same_width("mux", then, otherwise);
        self.one_bit("mux", condition);
        let (yes, no) = (self.text(then), self.text(otherwise));
        if yes == no {
            self.unused(condition);
            return then.clone();
        }
        let condition = self.text(condition);
        self.result("mux", then.width, &format!("{condition} ? {yes} : {no}"))
    }

    /// `choices[index]`; an index beyond them yields one of them.
    ///
    /// # Panics
    /// No choices, or more than the index can name.
    pub fn select(&self, index: &Net, choices: &[Net]) -> Net {
        assert!(
            !choices.is_empty() && choices.len().next_power_of_two() <= 1 << index.width,
            "{}: {} choices by {index}",
            self.name,
            choices.len()
        );
        let mut level = choices.to_vec();
        let mut at = 0;
        while level.len() > 1 {
            let bit = self.bit(index, at);
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [low, high] => self.mux(&bit, high, low),
                    rest => rest[0].clone(),
                })
                .collect();
            at += 1;
        }
        level.swap_remove(0)
    }

    /// One bit for each value 0 .. `count` of the index, bit 0 first.
    pub fn decode(&self, index: &Net, count: usize) -> Vec<Net> {
        (0..count)
            .map(|value| self.equals(index, value as u64))
            .collect()
    }

    /// Or of all bits.
    pub fn reduce_or(&self, a: &Net) -> Net {
        let text = self.text(a);
        self.result("any", 1, &format!("|{text}"))
    }

    /// And of all bits.
    pub fn reduce_and(&self, a: &Net) -> Net {
        let text = self.text(a);
        self.result("all", 1, &format!("&{text}"))
    }

    /// Parity: exclusive or of all bits.
    pub fn reduce_xor(&self, a: &Net) -> Net {
        let text = self.text(a);
        self.result("parity", 1, &format!("^{text}"))
    }

    /// Or of several nets of one width.
    ///
    /// # Panics
    /// There are none.
    pub fn any(&self, nets: &[&Net]) -> Net {
        self.fold("or", "|", nets)
    }

    /// And of several nets of one width.
    ///
    /// # Panics
    /// There are none.
    pub fn all(&self, nets: &[&Net]) -> Net {
        self.fold("and", "&", nets)
    }

    fn fold(&self, name: &str, operator: &str, nets: &[&Net]) -> Net {
        let [first, rest @ ..] = nets else {
            panic!("{}: {name} of nothing", self.name)
        };
        for other in rest {
            self.same_width(name, first, other);
        }
        if rest.is_empty() {
            return (*first).clone();
        }
        let texts: Vec<String> = nets.iter().map(|net| self.text(net)).collect();
        self.result(name, first.width, &texts.join(&format!(" {operator} ")))
    }

    pub(super) fn one_bit(&self, what: &str, net: &Net) {
        assert_eq!(net.width, 1, "{}.{what}: {net} is not 1 bit", self.name);
    }
}
