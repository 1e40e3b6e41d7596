//! Width-checked construction of Verilog modules on rust-hdl.
//!
//! A [`Module`] is a rust-hdl `Block` whose atoms are its ports, wires and registers; rust-hdl checks
//! that every atom is driven and writes the declarations. Every operation yields a net of known width that is a
//! named wire, a part select of one, or a literal, so Verilog's context-dependent widths never
//! come into play. Operand widths must match exactly: a mismatch, a name used twice, a
//! net of another module or a second driver is a mistake in the generator and panics with `module.net`.
//!
//! `clock` and `reset` (synchronous, active high) become inputs of a module when its first register or instance needs
//! them, and are passed to instances without being listed.

use bitweft_isa::{architecture::Architecture, descriptor::FIELDS};
use rust_hdl::prelude::{
    Atom, AtomKind, Block, Logic, PinConstraint, Probe, TypeDescriptor, TypeKind, VCDValue,
    Verilog, VerilogLiteral,
};
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
};

mod emit;
mod operations;
mod registers;

pub use emit::EmitError;

static NEXT_ID: AtomicUsize = AtomicUsize::new(1 << 40);

fn next_id() -> usize {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A value of fixed width in one module: a wire or register, a part select of one, or a literal.
#[derive(Debug, Clone)]
pub struct Net {
    module: usize,
    source: Source,
    width: usize,
}

#[derive(Debug, Clone)]
enum Source {
    Literal(u64),
    Signal {
        name: Rc<str>,
        low: usize,
        of: usize,
    },
}

impl Net {
    /// Width in bits.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Literal(value) => write!(f, "{}'h{value:x}", self.width),
            Source::Signal { name, of, .. } if *of == self.width => f.write_str(name),
            Source::Signal { name, low, .. } if self.width == 1 => write!(f, "{name}[{low}]"),
            Source::Signal { name, low, .. } => {
                write!(f, "{name}[{}:{low}]", low + self.width - 1)
            }
        }
    }
}

/// A port, wire or register as rust-hdl sees it.
#[derive(Debug, Clone)]
struct Signal {
    name: Rc<str>,
    kind: AtomKind,
    width: usize,
    id: usize,
    driven: bool,
}

impl Atom for Signal {
    fn bits(&self) -> usize {
        self.width
    }
    fn connected(&self) -> bool {
        self.driven
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        self.kind
    }
    fn descriptor(&self) -> TypeDescriptor {
        TypeDescriptor {
            name: self.name.to_string(),
            kind: TypeKind::Bits(self.width),
        }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(String::new())
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        0_u32.into()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        Vec::new()
    }
}

#[derive(Debug, Default)]
struct Contents {
    signals: Vec<Signal>,
    index: HashMap<Rc<str>, usize>,
    body: String,
    unused: Vec<String>,
    children: Vec<Module>,
    vendor: Vec<(&'static str, &'static str)>,
    attributes: Vec<&'static str>,
    automatic: usize,
}

/// A Verilog module under construction. Clones are the same module.
#[derive(Debug, Clone)]
pub struct Module {
    name: Rc<str>,
    id: usize,
    /// Of a unit whose inputs are descriptor fields.
    architecture: Option<Rc<Architecture>>,
    contents: Rc<RefCell<Contents>>,
}

/// Output nets of an instance, by port name.
#[derive(Debug, Clone)]
pub struct Outputs {
    instance: String,
    nets: HashMap<Rc<str>, Net>,
}

impl Outputs {
    /// The net of output `port`.
    ///
    /// # Panics
    /// There is no such output.
    #[must_use]
    pub fn get(&self, port: &str) -> &Net {
        self.nets
            .get(port)
            .unwrap_or_else(|| panic!("{} has no output `{port}`", self.instance))
    }
}

impl Module {
    /// An empty module. Two modules of one name in a design must be equal.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self {
            name: name.as_ref().into(),
            id: next_id(),
            architecture: None,
            contents: Rc::default(),
        }
    }

    /// An empty module that may have descriptor fields as inputs.
    #[must_use]
    pub fn of(architecture: &Architecture, name: impl AsRef<str>) -> Self {
        Self {
            architecture: Some(Rc::new(architecture.clone())),
            ..Self::new(name)
        }
    }

    /// The module's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a Verilog attribute, such as `keep_hierarchy`, to the module.
    pub fn attribute(&self, attribute: &'static str) {
        self.contents.borrow_mut().attributes.push(attribute);
    }

    /// An input.
    pub fn input(&self, name: &str, width: usize) -> Net {
        self.declare(name, width, AtomKind::InputParameter, true)
    }

    /// An input named as the field of that name in [`FIELDS`], of the bits that the architecture holds.
    ///
    /// # Panics
    /// There is no such field, or the module is of no architecture.
    pub fn field(&self, name: &str) -> Net {
        let field = FIELDS.iter().find(|field| field.name == name);
        let (Some(field), Some(architecture)) = (field, &self.architecture) else {
            panic!(
                "{}.{name}: no such descriptor field, or no architecture",
                self.name
            )
        };
        self.input(name, architecture.field_bits(field))
    }

    /// An output driven by `net`.
    pub fn output(&self, name: &str, net: &Net) {
        let port = self.declare(name, net.width, AtomKind::OutputPassthrough, false);
        self.drive(&port, net);
    }

    /// A wire to be driven later, once.
    pub fn wire(&self, name: &str, width: usize) -> Net {
        self.declare(name, width, AtomKind::StubOutputSignal, false)
    }

    /// Drives a wire.
    pub fn drive(&self, wire: &Net, value: &Net) {
        self.same_width(&wire.to_string(), wire, value);
        self.assign(wire, &self.text(value));
    }

    /// A wire with that name and the value of `net`.
    pub fn named(&self, name: &str, net: &Net) -> Net {
        let wire = self.wire(name, net.width);
        self.drive(&wire, net);
        wire
    }

    /// The clock input.
    pub fn clock(&self) -> Net {
        self.port_once("clock")
    }

    /// The reset input.
    pub fn reset(&self) -> Net {
        self.port_once("reset")
    }

    /// States that nothing reads these bits of a net.
    pub fn unused(&self, net: &Net) {
        let text = self.text(net);
        self.contents.borrow_mut().unused.push(text);
    }

    /// Inputs (`true`) and outputs with their widths, in the order of declaration.
    #[must_use]
    pub fn ports(&self) -> Vec<(String, bool, usize)> {
        let contents = self.contents.borrow();
        let ports = contents
            .signals
            .iter()
            .filter(|signal| signal.kind.is_parameter());
        ports
            .map(|signal| {
                let is_input = signal.kind == AtomKind::InputParameter;
                (signal.name.to_string(), is_input, signal.width)
            })
            .collect()
    }

    /// An instance of `module`; `inputs` are its inputs by name, each exactly once (`clock` and `reset` may be left out).
    ///
    /// # Panics
    /// An input is missing, unknown, or of another width.
    pub fn instance(&self, name: &str, module: &Module, inputs: &[(&str, &Net)]) -> Outputs {
        let ports: Vec<(Rc<str>, AtomKind, usize)> = module
            .contents
            .borrow()
            .signals
            .iter()
            .filter(|signal| signal.kind.is_parameter())
            .map(|signal| (signal.name.clone(), signal.kind, signal.width))
            .collect();
        for (given, _) in inputs {
            let known = ports
                .iter()
                .any(|(port, kind, _)| **port == **given && *kind == AtomKind::InputParameter);
            assert!(
                known,
                "{}.{name}: {} has no input `{given}`",
                self.name, module.name
            );
        }
        let mut nets = HashMap::new();
        let mut connections = Vec::with_capacity(ports.len());
        for (port, kind, width) in ports {
            let text = if kind == AtomKind::InputParameter {
                let mut given = inputs.iter().filter(|(given, _)| **given == *port);
                let net = match (given.next(), given.next(), &*port) {
                    (Some((_, net)), None, _) => (*net).clone(),
                    (None, _, "clock") => self.clock(),
                    (None, _, "reset") => self.reset(),
                    _ => panic!("{}.{name}.{port}: not connected exactly once", self.name),
                };
                assert_eq!(
                    net.width, width,
                    "{}.{name}.{port}: width of {net}",
                    self.name
                );
                self.text(&net)
            } else {
                let net = self.declare(
                    &format!("{name}_{port}"),
                    width,
                    AtomKind::StubOutputSignal,
                    true,
                );
                let text = net.to_string();
                nets.insert(port.clone(), net);
                text
            };
            connections.push(format!("    .{port}({text})"));
        }
        self.raw(&format!(
            "{} {name} (\n{}\n);",
            module.name,
            connections.join(",\n")
        ));
        self.contents.borrow_mut().children.push(module.clone());
        Outputs {
            instance: format!("{}.{name}", self.name),
            nets,
        }
    }

    /// A wire that raw Verilog drives.
    pub(crate) fn driven_wire(&self, name: &str, width: usize) -> Net {
        self.declare(name, width, AtomKind::StubOutputSignal, true)
    }

    fn port_once(&self, name: &str) -> Net {
        let known = self.contents.borrow().index.contains_key(name);
        if known {
            self.signal(name, 1)
        } else {
            self.input(name, 1)
        }
    }

    fn signal(&self, name: &str, width: usize) -> Net {
        Net {
            module: self.id,
            source: Source::Signal {
                name: name.into(),
                low: 0,
                of: width,
            },
            width,
        }
    }

    fn declare(&self, name: &str, width: usize, kind: AtomKind, driven: bool) -> Net {
        assert!(width > 0, "{}.{name}: width 0", self.name);
        let mut contents = self.contents.borrow_mut();
        let at = contents.signals.len();
        let name: Rc<str> = name.into();
        let previous = contents.index.insert(name.clone(), at);
        assert!(previous.is_none(), "{}.{name}: declared twice", self.name);
        contents.signals.push(Signal {
            name: name.clone(),
            kind,
            width,
            id: next_id(),
            driven,
        });
        drop(contents);
        self.signal(&name, width)
    }

    pub(crate) fn mark_driven(&self, net: &Net) {
        let Source::Signal { name, .. } = &net.source else {
            panic!("{}: a literal cannot be driven", self.name)
        };
        let mut contents = self.contents.borrow_mut();
        let at = contents.index[name];
        let signal = &mut contents.signals[at];
        assert!(
            signal.width == net.width && signal.kind != AtomKind::InputParameter,
            "{}.{name}: not a whole wire or register",
            self.name
        );
        assert!(
            !std::mem::replace(&mut signal.driven, true),
            "{}.{name}: driven twice",
            self.name
        );
    }

    fn assign(&self, wire: &Net, expression: &str) {
        self.text(wire);
        self.mark_driven(wire);
        self.raw(&format!("assign {wire} = {expression};"));
    }

    /// A wire with an automatic name for an operation's result.
    fn result(&self, operation: &str, width: usize, expression: &str) -> Net {
        let name = self.automatic_name(operation);
        let wire = self.wire(&name, width);
        self.assign(&wire, expression);
        wire
    }

    fn automatic_name(&self, stem: &str) -> String {
        let mut contents = self.contents.borrow_mut();
        contents.automatic += 1;
        format!("{stem}_{}", contents.automatic)
    }

    fn text(&self, net: &Net) -> String {
        assert!(
            matches!(net.source, Source::Literal(_)) || net.module == self.id,
            "{}: {net} is a net of another module",
            self.name
        );
        net.to_string()
    }

    fn same_width(&self, what: &str, a: &Net, b: &Net) {
        assert_eq!(a.width, b.width, "{}.{what}: {a} and {b}", self.name);
    }

    pub(crate) fn raw(&self, verilog: &str) {
        let mut contents = self.contents.borrow_mut();
        contents.body.push_str(verilog);
        contents.body.push('\n');
    }
}

impl Logic for Module {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        let contents = self.contents.borrow();
        let mut text = contents.body.clone();
        if !contents.unused.is_empty() {
            text.push_str(&format!(
                "wire unused = &{{1'b0, {}}};\n",
                contents.unused.join(", ")
            ));
        }
        Verilog::Custom(text)
    }
}

impl Block for Module {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for signal in &self.contents.borrow().signals {
            probe.visit_atom(&signal.name, signal);
        }
        probe.visit_end_scope(name, self);
    }
}

#[cfg(test)]
mod tests;
