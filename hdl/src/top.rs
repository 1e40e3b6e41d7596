//! The processor: all units, connected by name.
//!
//! Every output of a unit is a wire of that name; every input takes the wire of its name, but for a few that
//! `alias` renames. Ports: `clock`, `reset`, the channels `receive_*` and `transmit_*` of the host
//! port, `running`, and what a link wants to know (`frame_valid`, `rate_set`, `rate`). Up to two cycles after `reset` has fallen a
//! processor on a large die is still in reset (`Architecture::is_wide`): it takes bytes then and forgets them.

use crate::{
    activation_memory::{MEMORY_CLOCK, activation_memory},
    apart, array,
    builder::{EmitError, Module, Net},
    drain::drain,
    elementwise::elementwise,
    fetch::fetch,
    issue::issue,
    pool::pool,
    port::port,
    post::{per_way, post},
    sequencer::sequencer,
    write_back::write_back,
};
use bitweft_isa::architecture::{Architecture, Storage};
use std::collections::BTreeMap;

/// Name of the top module.
pub const TOP: &str = "bitweft";
/// Name of the array's instance in it.
pub const ARRAY: &str = "lanes";
/// Name of the activation memory in the top.
pub const ACTIVATIONS: &str = "activation";

/// Inputs of the top, besides clock and reset; with `activation_storage` = `single_port` also [`MEMORY_CLOCK`].
const INPUTS: [(&str, usize); 3] = [
    ("receive_valid", 1),
    ("receive_data", 8),
    ("transmit_ready", 1),
];
/// Outputs of the top.
const OUTPUTS: [&str; 7] = [
    "receive_ready",
    "transmit_valid",
    "transmit_data",
    "running",
    "frame_valid",
    "rate_set",
    "rate",
];
/// Descriptor fields that the posts read, and the wires they are.
const STEADY: [(&str, &str); 4] = [
    ("rounding_double", "rounding_double"),
    ("out_zero", "zero_point"),
    ("clamp_low", "clamp_low"),
    ("clamp_high", "clamp_high"),
];

/// What the host port writes and reads rows with: on a large die every unit takes it through registers of its own.
const ROWS: [&str; 10] = [
    "host_select",
    "row_address",
    "row_program",
    "row_record",
    "row_plane",
    "row_activation",
    "write_program",
    "write_record",
    "write_plane",
    "write_activation",
];

/// Verilog of the whole processor.
///
/// # Errors
/// rust-hdl's: a net that nothing drives.
pub fn verilog(architecture: &Architecture) -> Result<String, EmitError> {
    build(architecture).verilog()
}

/// Wires by name.
struct Wires {
    module: Module,
    nets: BTreeMap<String, Net>,
    used: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl Wires {
    fn get(&self, name: &str) -> Net {
        self.used.borrow_mut().insert(name.into());
        self.nets
            .get(name)
            .unwrap_or_else(|| panic!("{TOP}: nothing is called `{name}`"))
            .clone()
    }

    fn declare(&mut self, name: &str, width: usize) {
        let wire = self.module.wire(&format!("{name}_wire"), width);
        assert!(
            self.nets.insert(name.into(), wire).is_none(),
            "{TOP}: two nets are called `{name}`"
        );
    }
}

/// The wire of an input whose name is another one.
fn alias(input: &str) -> &str {
    match input {
        "host_address" | "plane_write_address" | "record_address" => "row_address",
        "host_write_enable" => "write_activation",
        "host_write_data" => "row_activation",
        "plane_write_enable" => "write_plane",
        "plane_write_data" => "row_plane",
        "record_write_enable" => "write_record",
        "record_write_data" => "row_record",
        "record_host" => "host_select",
        "read_activation" => "read_data",
        "write_back_write_enable" => "write_enable",
        "write_back_write_address" => "write_address",
        "write_back_write_data" => "write_data",
        other => other,
    }
}

/// The processor as a module.
#[must_use]
pub fn build(architecture: &Architecture) -> Module {
    let module = Module::new(TOP);
    let units = [
        ("host_port", port(architecture)),
        ("sequencer", sequencer(architecture)),
        ("fetch", fetch(architecture)),
        (ACTIVATIONS, activation_memory(architecture)),
        ("issue", issue(architecture)),
        (ARRAY, array::build(architecture)),
        ("drain", drain(architecture)),
        ("write_back", write_back(architecture)),
        ("pool", pool(architecture)),
        ("elementwise", elementwise(architecture)),
    ];
    let mut wires = Wires {
        module: module.clone(),
        nets: BTreeMap::new(),
        used: Default::default(),
    };
    let memory_clock =
        (architecture.activation_storage == Storage::SinglePort).then_some((MEMORY_CLOCK, 1));
    for (name, width) in INPUTS.into_iter().chain(memory_clock) {
        wires.nets.insert(name.into(), module.input(name, width));
    }
    for (_, unit) in &units {
        for (port, _, width) in unit
            .ports()
            .into_iter()
            .filter(|(_, is_input, _)| !is_input)
        {
            wires.declare(&port, width);
        }
    }
    posts(&mut wires, architecture);
    for (name, unit) in &units {
        connect(&wires, name, unit, architecture);
    }
    for name in OUTPUTS {
        module.output(name, &wires.get(name));
    }
    let used = wires.used.borrow();
    for (_, net) in wires.nets.iter().filter(|(name, _)| !used.contains(*name)) {
        module.unused(net);
    }
    drop(used);
    module
}

/// Instantiates a unit: inputs by name (addresses cut to their width), outputs onto their wires.
fn connect(wires: &Wires, name: &str, unit: &Module, architecture: &Architecture) {
    let m = &wires.module;
    let mut inputs: Vec<(String, Net)> = unit
        .ports()
        .into_iter()
        .filter(|(port, is_input, _)| *is_input && port != "clock" && port != "reset")
        .map(|(port, _, width)| {
            let net = wires.get(alias(&port));
            let net = if alias(&port) == "row_address" {
                m.truncate(&net, width)
            } else {
                net
            };
            (port, net)
        })
        .collect();
    if architecture.is_wide() {
        let rows = inputs
            .iter_mut()
            .filter(|(port, _)| ROWS.contains(&alias(port)));
        for (port, net) in rows {
            [*net] = apart::registered(m, &format!("{name}_{port}"), [net]);
        }
    }
    let has_reset = unit.ports().iter().any(|(port, ..)| port == "reset");
    if has_reset {
        let held = format!("{name}_reset");
        let [reset] = apart::near(m, architecture, &held, [&m.reset()]);
        inputs.push(("reset".into(), reset));
    }
    let inputs: Vec<(&str, &Net)> = inputs
        .iter()
        .map(|(port, net)| (port.as_str(), net))
        .collect();
    let outputs = m.instance(name, unit, &inputs);
    for (port, _, _) in unit
        .ports()
        .into_iter()
        .filter(|(_, is_input, _)| !is_input)
    {
        m.drive(&wires.nets[&port], outputs.get(&port));
    }
}

/// The posts of every way and column: their slices of the drain bus and of what goes along with it.
fn posts(wires: &mut Wires, architecture: &Architecture) {
    let m = wires.module.clone();
    let (columns, ways) = (architecture.columns, architecture.drain_ways);
    let slice = |name: &str, at: usize, of: usize| {
        let net = wires.get(name);
        let width = net.width() / of;
        m.slice(&net, at * width, width)
    };
    let mut bytes = Vec::with_capacity(ways * columns);
    let (mut scaled, mut rounds) = (Vec::with_capacity(columns), Vec::with_capacity(columns));
    for way in 0..ways {
        let unit = post(architecture, way);
        for column in 0..columns {
            let mut inputs = vec![(
                "drain_data",
                slice("drain_data", way * columns + column, ways * columns),
            )];
            inputs.extend(per_way(architecture).map(|name| (name, slice(name, way, ways))));
            inputs.extend(STEADY.map(|(port, wire)| (port, wires.get(wire))));
            if way == 0 {
                inputs.extend(
                    ["pool_value", "add_value"].map(|name| (name, slice(name, column, columns))),
                );
            }
            let inputs: Vec<(&str, &Net)> = inputs.iter().map(|(name, net)| (*name, net)).collect();
            let outputs = m.instance(&format!("post_{way}_{column}"), &unit, &inputs);
            bytes.push(outputs.get("output_byte").clone());
            if way == 0 {
                scaled.push(outputs.get("scaled").clone());
                rounds.push(outputs.get("scaled_round").clone());
            }
        }
    }
    for (name, parts) in [
        ("output_bytes", bytes),
        ("scaled", scaled),
        ("scaled_round", rounds),
    ] {
        let net = m.concat(&parts.iter().collect::<Vec<_>>());
        wires.nets.insert(name.into(), net);
    }
}
