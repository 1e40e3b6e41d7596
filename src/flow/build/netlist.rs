//! ECP5 carry chains in a yosys netlist: nextpnr spends a cell on every carry-out that has a net and on every carry-in that is a
//! constant, whether anything reads them or not. Those are opened here.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const OPEN: Bit<'static> = Bit::Constant("x");

/// What is rewritten of yosys's JSON; the rest is carried along as it is, in its order, which nextpnr's results depend on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Netlist<'a> {
    creator: String,
    #[serde(borrow)]
    modules: IndexMap<String, Module<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Module<'a> {
    #[serde(borrow)]
    attributes: IndexMap<String, &'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameter_default_values: Option<&'a RawValue>,
    ports: IndexMap<String, Port<'a>>,
    cells: IndexMap<String, Cell<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memories: Option<&'a RawValue>,
    netnames: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Port<'a> {
    direction: String,
    #[serde(borrow)]
    bits: Vec<Bit<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upto: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cell<'a> {
    hide_name: u8,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(borrow)]
    parameters: IndexMap<String, &'a RawValue>,
    attributes: &'a RawValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port_directions: Option<&'a RawValue>,
    connections: IndexMap<String, Vec<Bit<'a>>>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bit<'a> {
    Net(u64),
    Constant(&'a str),
}

/// The netlist with carry-outs that nothing takes and carry-ins that nothing reads left open.
///
/// # Errors
/// Not a netlist as yosys writes it.
pub(crate) fn open_carries(text: &str) -> Result<String, serde_json::Error> {
    let mut netlist: Netlist<'_> = serde_json::from_str(text)?;
    for module in netlist.modules.values_mut() {
        if !module.attributes.contains_key("blackbox") {
            module.open_carries();
        }
    }
    serde_json::to_string(&netlist)
}

impl Module<'_> {
    fn open_carries(&mut self) {
        let mut ends: HashMap<u64, usize> = HashMap::new();
        let ports = self.ports.values().flat_map(|port| &port.bits);
        let cells = self
            .cells
            .values()
            .flat_map(|cell| cell.connections.values());
        for bit in ports.chain(cells.flatten()) {
            if let Bit::Net(net) = bit {
                *ends.entry(*net).or_default() += 1;
            }
        }
        let dangling = |bit: Option<Bit<'_>>| match bit {
            Some(Bit::Net(net)) => ends.get(&net) == Some(&1),
            _ => false,
        };
        for cell in self.cells.values_mut().filter(|cell| cell.kind == "CCU2C") {
            if dangling(cell.bit("COUT")) {
                cell.open("COUT");
            }
            // Where the first half does not propagate and its sum is not used, the carry-in goes nowhere.
            let one = Some(Bit::Constant("1"));
            let function = cell.parameters.get("INIT0").map(|value| value.get());
            let silent = cell.bit("C0") == one
                && cell.bit("D0") == one
                && function.is_some_and(|value| value.starts_with("\"0000"));
            let constant = matches!(cell.bit("CIN"), Some(Bit::Constant("0" | "1")));
            if constant && silent && dangling(cell.bit("S0")) {
                cell.open("CIN");
            }
        }
    }
}

impl<'a> Cell<'a> {
    /// The net of a port of one bit.
    fn bit(&self, port: &str) -> Option<Bit<'a>> {
        self.connections
            .get(port)
            .and_then(|bits| bits.first().copied())
    }

    fn open(&mut self, port: &str) {
        if let Some(bits) = self.connections.get_mut(port) {
            *bits = vec![OPEN];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cells of a chain: the first takes a constant carry-in with a silent first half, the second's carry-out goes nowhere.
    #[test]
    fn what_nothing_reads_is_opened_and_nothing_else() {
        let cell = |silent: &str, cin: &str, s0: u32, cout: u32| {
            format!(
                r#"{{"hide_name":1,"type":"CCU2C","parameters":{{"INIT0":"{silent}"}},"attributes":{{}},"port_directions":{{}},
                "connections":{{"CIN":[{cin}],"C0":["1"],"D0":["1"],"S0":[{s0}],"COUT":[{cout}]}}}}"#
            )
        };
        let module = |attributes: &str| {
            format!(
                r#"{{"attributes":{{{attributes}}},"ports":{{"s":{{"direction":"output","bits":[7]}}}},
                "cells":{{"z":{},"a":{}}},"netnames":{{}}}}"#,
                cell("0000000000001010", "\"0\"", 5, 6),
                cell("1001011010101010", "6", 7, 8)
            )
        };
        let text = format!(
            r#"{{"creator":"yosys","modules":{{"top":{},"cell":{}}}}}"#,
            module(""),
            module(r#""blackbox":"1""#)
        );
        let opened = open_carries(&text).expect("a netlist");
        assert_eq!(opened.matches(r#""CIN":["x"]"#).count(), 1, "{opened}");
        assert_eq!(opened.matches(r#""COUT":["x"]"#).count(), 1, "{opened}");
        assert!(opened.contains(r#""CIN":[6]"#) && opened.contains(r#""COUT":[6]"#));
        assert!(opened.find("\"z\"") < opened.find("\"a\""), "{opened}");
        let used = text.replace("\"bits\":[7]", "\"bits\":[7,5,8]");
        let kept = open_carries(&used).expect("a netlist");
        assert!(!kept.contains(r#"["x"]"#), "{kept}");
    }
}
