//! All units of the drain side, connected as in the processor.

use crate::support::Bench;
use bitweft_hdl::{
    builder::{Module, Net, Outputs},
    drain::drain,
    elementwise::elementwise,
    pool::pool,
    post::{per_way, post},
    write_back::write_back,
};
use bitweft_isa::{
    architecture::Architecture,
    descriptor::{Descriptor, FIELDS},
    record::{BYTES, Record},
};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Descriptor fields that the units take.
pub(crate) const TAKEN: [&str; 15] = [
    "opcode",
    "two_passes",
    "rounding_double",
    "out_zero",
    "clamp_low",
    "clamp_high",
    "record_base",
    "filter_count",
    "block_count",
    "strip_count",
    "out_base",
    "out_stride",
    "in_base",
    "row_stride",
    "start",
];

/// Inputs of the whole, and nets between the units, by name.
struct Wiring<'a> {
    m: &'a Module,
    nets: HashMap<String, Net>,
}

impl Wiring<'_> {
    fn input(&mut self, name: &str, bits: usize) {
        let net = self.m.input(name, bits);
        self.nets.insert(name.into(), net);
    }

    /// Places a unit; every input is the net of that name, or of the name that `rename` gives for it.
    fn place(
        &mut self,
        name: &str,
        module: &Module,
        inputs: &[&str],
        rename: &dyn Fn(&str) -> String,
    ) -> Outputs {
        let nets: Vec<(&str, Net)> = inputs
            .iter()
            .map(|&port| (port, self.nets[&rename(port)].clone()))
            .collect();
        let ports: Vec<(&str, &Net)> = nets.iter().map(|(port, net)| (*port, net)).collect();
        self.m.instance(name, module, &ports)
    }

    fn keep(&mut self, outputs: &Outputs, names: &[&str]) {
        for name in names {
            self.nets.insert((*name).into(), outputs.get(name).clone());
        }
    }
}

/// The assembly as a module; outputs are those of the units that reach other parts of the processor.
fn assembly(a: &Architecture) -> Module {
    let module = Module::new("drain_side");
    let mut w = Wiring {
        m: &module,
        nets: HashMap::new(),
    };
    for name in TAKEN {
        let field = FIELDS.iter().find(|field| field.name == name);
        w.input(name, field.map_or(1, |field| a.field_bits(field)));
    }
    let columns = a.columns;
    for (name, bits) in [
        ("position_finalized", 1),
        ("drain_grant", 1),
        ("record_write_enable", 1),
        ("record_host", 1),
        ("record_address", bitweft_hdl::drain::record_address_bits(a)),
        ("record_write_data", 8 * BYTES),
        ("x_bus", 32 * columns),
        ("pool_valid", 1),
        ("pool_pass", 1),
        ("pool_first", 1),
        ("pool_last", 1),
        ("pool_end", 1),
        ("read_data", 32 * columns),
        ("drain_data", a.drain_ways * columns * a.accumulator_bits),
    ] {
        w.input(name, bits);
    }
    for (name, bits) in [("scaled", 32 * columns), ("scaled_round", columns)] {
        let wire = module.wire(name, bits);
        w.nets.insert(name.into(), wire);
    }
    let same = |port: &str| port.to_string();
    let inputs = [
        "opcode",
        "two_passes",
        "x_bus",
        "pool_valid",
        "pool_pass",
        "pool_first",
        "pool_last",
        "pool_end",
    ];
    let pools = w.place("pool", &pool(a), &inputs, &same);
    w.keep(&pools, &["pool_slot", "pool_slot_last", "pool_value"]);
    let inputs = [
        "start",
        "opcode",
        "in_base",
        "row_stride",
        "strip_count",
        "read_data",
        "scaled",
        "scaled_round",
    ];
    let adds = w.place("elementwise", &elementwise(a), &inputs, &same);
    w.keep(
        &adds,
        &["add_slot", "add_slot_skip", "add_slot_last", "add_value"],
    );
    module.output("elementwise_select", adds.get("elementwise_select"));
    module.output("elementwise_address", adds.get("elementwise_address"));
    drains(&mut w, a);
    module
}

/// Drain, posts and write-back.
fn drains(w: &mut Wiring<'_>, a: &Architecture) {
    let m = w.m;
    let same = |port: &str| port.to_string();
    let inputs = [
        "start",
        "opcode",
        "out_zero",
        "record_base",
        "filter_count",
        "block_count",
        "position_finalized",
        "drain_grant",
        "pool_slot",
        "pool_slot_last",
        "add_slot",
        "add_slot_skip",
        "add_slot_last",
        "record_write_enable",
        "record_host",
        "record_address",
        "record_write_data",
    ];
    let drains = w.place("drain", &drain(a), &inputs, &same);
    w.keep(&drains, &["write_slot", "write_skip", "write_last"]);
    for name in [
        "drain_request",
        "drain_position",
        "drain_half",
        "block_drained",
        "record_read_data",
    ] {
        m.output(name, drains.get(name));
    }
    let mut bytes = Vec::new();
    let (mut scaled, mut rounds) = (Vec::new(), Vec::new());
    for way in 0..a.drain_ways {
        for column in 0..a.columns {
            let outputs = place_post(w, a, &drains, way, column);
            bytes.push(outputs.get("output_byte").clone());
            if way == 0 {
                scaled.push(outputs.get("scaled").clone());
                rounds.push(outputs.get("scaled_round").clone());
            }
        }
    }
    let side_by_side = |nets: &[Net]| m.concat(&nets.iter().collect::<Vec<_>>());
    m.drive(&w.nets["scaled"], &side_by_side(&scaled));
    m.drive(&w.nets["scaled_round"], &side_by_side(&rounds));
    w.nets.insert("output_bytes".into(), side_by_side(&bytes));
    let inputs = [
        "start",
        "opcode",
        "strip_count",
        "out_base",
        "out_stride",
        "write_slot",
        "write_skip",
        "write_last",
        "output_bytes",
    ];
    let writes = w.place("write_back", &write_back(a), &inputs, &same);
    for name in ["write_enable", "write_address", "write_data", "done"] {
        m.output(name, writes.get(name));
    }
}

/// One post, with its part of the drain unit's outputs and of the wide inputs.
fn place_post(
    w: &mut Wiring<'_>,
    a: &Architecture,
    drains: &Outputs,
    way: usize,
    column: usize,
) -> Outputs {
    let m = w.m;
    let part = |net: &Net, count: usize, at: usize| {
        let bits = net.width() / count;
        m.slice(net, at * bits, bits)
    };
    let mut ports: Vec<(&str, Net)> = per_way(a)
        .iter()
        .map(|&name| (name, part(drains.get(name), a.drain_ways, way)))
        .collect();
    for name in ["rounding_double", "clamp_low", "clamp_high"] {
        ports.push((name, w.nets[name].clone()));
    }
    ports.push(("out_zero", drains.get("zero_point").clone()));
    let lanes = a.drain_ways * a.columns;
    let data = part(&w.nets["drain_data"], lanes, way * a.columns + column);
    ports.push(("drain_data", data));
    if way == 0 {
        for name in ["pool_value", "add_value"] {
            ports.push((name, part(&w.nets[name], a.columns, column)));
        }
    }
    let ports: Vec<(&str, &Net)> = ports.iter().map(|(name, net)| (*name, net)).collect();
    m.instance(&format!("post_{way}_{column}"), &post(a, way), &ports)
}

/// A write that is expected: word address and the byte of every column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) address: u64,
    pub(crate) bytes: Vec<i64>,
}

/// The assembly, running, with all that is still expected of it.
pub(crate) struct Side {
    pub(crate) bench: Bench,
    pub(crate) a: Architecture,
    pub(crate) cycle: u64,
    /// Writes by cycle and byte lane.
    writes: BTreeMap<(u64, u64), Write>,
    /// Cycle of the next `done`.
    done: Option<u64>,
    /// Cycles of `block_drained`.
    drained: VecDeque<u64>,
    pub(crate) written: usize,
}

impl Side {
    pub(crate) fn new(a: &Architecture, seed: u64) -> Self {
        let mut bench = Bench::new(&assembly(a), seed);
        for name in [
            "start",
            "position_finalized",
            "pool_valid",
            "record_write_enable",
            "record_host",
        ] {
            bench.set(name, 0);
        }
        bench.set_elements("drain_data", 1, &[]);
        bench.set("reset", 1);
        bench.tick();
        bench.set("reset", 0);
        Self {
            bench,
            a: a.clone(),
            cycle: 0,
            writes: BTreeMap::new(),
            done: None,
            drained: VecDeque::new(),
            written: 0,
        }
    }

    /// Writes records through the host's port and reads them back.
    pub(crate) fn write_records(&mut self, base: usize, records: &[Record]) {
        for (index, record) in records.iter().enumerate() {
            let bytes = record.encode().expect("fits").map(i64::from);
            self.bench.set("record_address", (base + index) as i64);
            self.bench.set_elements("record_write_data", 8, &bytes);
            self.bench.set("record_write_enable", 1);
            self.bench.tick();
        }
        self.bench.set("record_write_enable", 0);
        self.bench.set("record_host", 1);
        for (index, record) in records.iter().enumerate() {
            self.bench.set("record_address", (base + index) as i64);
            self.bench.tick();
            self.bench.tick();
            let bytes: Vec<u8> = (0..BYTES)
                .map(|byte| self.bench.get_bits("record_read_data", 8 * byte, 8) as u8)
                .collect();
            assert_eq!(bytes, record.encode().expect("fits"), "record {index}");
        }
        self.bench.set("record_host", 0);
    }

    /// Sets the descriptor's fields and pulses `start`; that cycle is cycle 0.
    pub(crate) fn start(&mut self, descriptor: &Descriptor) {
        descriptor.check(&self.a).expect("held");
        let words = descriptor.encode().expect("fits");
        for field in FIELDS.iter().filter(|field| TAKEN.contains(&field.name)) {
            let value = u64::from(words[field.word]) >> field.low & ((1 << field.bits) - 1);
            self.bench.set(field.name, value.cast_signed());
        }
        self.cycle = 0;
        self.bench.set("start", 1);
        self.step();
        self.bench.set("start", 0);
    }

    pub(crate) fn expect_write(&mut self, cycle: u64, lane: u64, write: Write) {
        let previous = self.writes.insert((cycle, lane), write);
        assert!(previous.is_none(), "the test expects two writes at once");
    }

    pub(crate) fn expect_drained(&mut self, cycle: u64) {
        self.drained.push_back(cycle);
    }

    pub(crate) fn expect_done(&mut self, cycle: u64) {
        self.done = Some(cycle);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.is_some_and(|done| done < self.cycle)
    }

    /// Ends a descriptor: nothing expected may be left.
    pub(crate) fn finish(&mut self) {
        assert!(self.is_done() && self.writes.is_empty() && self.drained.is_empty());
        self.done = None;
    }

    /// Checks the outputs of this cycle (inputs are set), then lets it pass; returns its writes by byte lane.
    pub(crate) fn step(&mut self) -> Vec<(usize, Write)> {
        self.bench.eval();
        let cycle = self.cycle;
        let address_bits = bitweft_hdl::activation_memory::address_bits(&self.a);
        let mut writes = Vec::new();
        for lane in 0..4 {
            let enable = self.bench.get_bits("write_enable", lane, 1) == 1;
            let expected = self.writes.remove(&(cycle, lane as u64));
            if !enable {
                assert_eq!(expected, None, "cycle {cycle} lane {lane}: no write");
                continue;
            }
            let found = Write {
                address: self
                    .bench
                    .get_bits("write_address", lane * address_bits, address_bits),
                bytes: (0..self.a.columns)
                    .map(|column| {
                        self.bench.get_bits("write_data", 32 * column + 8 * lane, 8) as i64
                    })
                    .collect(),
            };
            assert_eq!(Some(&found), expected.as_ref(), "cycle {cycle} lane {lane}");
            self.written += 1;
            writes.push((lane, found));
        }
        let drained = self.bench.get("block_drained") == 1;
        assert_eq!(
            drained,
            self.drained.front() == Some(&cycle),
            "block_drained, cycle {cycle}"
        );
        if drained {
            self.drained.pop_front();
        }
        let done = self.bench.get("done") == 1;
        assert_eq!(done, self.done == Some(cycle), "done, cycle {cycle}");
        self.bench.tick();
        self.cycle += 1;
        writes
    }
}
