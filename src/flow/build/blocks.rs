//! Paths through multiplier blocks of iCE40 that have no register on the way: nextpnr takes every port of an SB_MAC16 for a register's, and
//! gives no block a delay of its own.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::Deserialize;

/// From an operand to the product, and from an addend to the sum or its carry, in ns: the slowest of icestorm's `timings_up5k.txt`
/// (cells SB_MAC16_MUL_U_16X16_BYPASS and SB_MAC16_ADS_U_32P32_BYPASS), rounded up.
const PRODUCT_NS: f64 = 8.0;
const SUM_NS: f64 = 4.0;
/// What nextpnr appends to the names of such cells.
const SUFFIX: &str = "_DSP";
/// Halves of the output that no register drives: the sum's, the product's.
const FROM_SUM: u8 = 0;
const FROM_PRODUCT: u8 = 3;
const HALF: usize = 16;

/// Registers of a block.
#[derive(Debug, Clone, Copy)]
struct Block {
    operands: bool,
    product: bool,
    /// What the halves of the output are.
    select: [u8; 2],
}

/// The blocks of a design by their names in nextpnr's report.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks(HashMap<String, Block>);

#[derive(Deserialize)]
struct Netlist {
    modules: HashMap<String, Module>,
}

#[derive(Deserialize)]
struct Module {
    cells: IndexMap<String, Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
    parameters: HashMap<String, serde_json::Value>,
}

impl Cell {
    fn block(&self) -> Block {
        let number = |name: &str| {
            let bits = self.parameters.get(name).and_then(|value| value.as_str());
            bits.and_then(|bits| u8::from_str_radix(bits, 2).ok())
                .unwrap_or(0)
        };
        Block {
            operands: number("A_REG") == 1 && number("B_REG") == 1,
            product: number("PIPELINE_16x16_MULT_REG2") == 1,
            select: ["BOTOUTPUT_SELECT", "TOPOUTPUT_SELECT"].map(number),
        }
    }
}

impl Blocks {
    /// Those of yosys's netlist of a design.
    ///
    /// # Errors
    /// Another text.
    pub(super) fn of(netlist: &str, top: &str) -> Result<Self, String> {
        let netlist: Netlist = serde_json::from_str(netlist).map_err(|error| error.to_string())?;
        let mut blocks = HashMap::new();
        let mut places = vec![(top, String::new())];
        while let Some((module, prefix)) = places.pop() {
            let cells = netlist.modules.get(module).map(|module| &module.cells);
            for (name, cell) in cells.into_iter().flatten() {
                if cell.kind == "SB_MAC16" {
                    blocks.insert(format!("{prefix}{name}{SUFFIX}"), cell.block());
                } else {
                    places.push((&cell.kind, format!("{prefix}{name}.")));
                }
            }
        }
        Ok(Self(blocks))
    }

    /// The slowest path that goes through blocks, or begins or ends inside one: its nanoseconds and where it ends; none without blocks.
    /// Nets that leave a block for look-up tables in front of a register are not in the report, and not here.
    ///
    /// # Errors
    /// A block that no net of the report enters.
    pub(super) fn slowest(&self, nets: &[Net]) -> Result<Option<(f64, String)>, String> {
        let mut arrivals = Arrivals::default();
        for end in nets.iter().flat_map(|net| &net.endpoints) {
            arrivals.take(end, end.delay[1]);
        }
        let missing = self.0.keys().find(|name| !arrivals.has(name));
        if let Some(name) = missing {
            return Err(format!("no timing of the multiplier block {name}"));
        }
        // Blocks may follow each other.
        let leaving: Vec<&Net> = nets
            .iter()
            .filter(|net| self.0.contains_key(&net.driver))
            .collect();
        let mut slowest = None;
        for _ in 0..=self.0.len() {
            let mut paths: Vec<(f64, String)> = Vec::new();
            for (name, block) in &self.0 {
                paths.push((block.settles(&arrivals, name), name.clone()));
            }
            for net in &leaving {
                let block = &self.0[&net.driver];
                let Some(inside) = block.leaves(&arrivals, net) else {
                    continue;
                };
                for end in &net.endpoints {
                    let delay = inside + end.delay[1];
                    arrivals.take(end, delay);
                    paths.push((delay, format!("{}.{}", end.cell, end.port)));
                }
            }
            slowest = paths.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(slowest)
    }
}

/// Latest arrivals at blocks: of operands, and of addends and the like.
#[derive(Default)]
struct Arrivals(HashMap<(String, bool), f64>);

impl Arrivals {
    fn take(&mut self, end: &Endpoint, delay: f64) {
        let is_operand = end.port.starts_with("A_") || end.port.starts_with("B_");
        let latest = self
            .0
            .entry((end.cell.clone(), is_operand))
            .or_insert(delay);
        *latest = latest.max(delay);
    }

    fn has(&self, cell: &str) -> bool {
        [false, true]
            .into_iter()
            .any(|operands| self.0.contains_key(&(cell.to_owned(), operands)))
    }

    fn at(&self, cell: &str, operands: bool) -> f64 {
        self.0
            .get(&(cell.to_owned(), operands))
            .copied()
            .unwrap_or(0.0)
    }
}

impl Block {
    /// When the product is there, from the clock: at once behind registers.
    fn product(self, arrivals: &Arrivals, name: &str) -> f64 {
        match (self.product, self.operands) {
            (true, _) => 0.0,
            (_, true) => PRODUCT_NS,
            _ => arrivals.at(name, true) + PRODUCT_NS,
        }
    }

    /// When the sum is there.
    fn sum(self, arrivals: &Arrivals, name: &str) -> f64 {
        self.product(arrivals, name).max(arrivals.at(name, false)) + SUM_NS
    }

    /// When everything in the block is there: the sum, and a product in front of its register.
    fn settles(self, arrivals: &Arrivals, name: &str) -> f64 {
        let product = Block {
            product: false,
            ..self
        };
        self.sum(arrivals, name)
            .max(product.product(arrivals, name))
    }

    /// When a net leaves the block; none if a register drives it.
    fn leaves(self, arrivals: &Arrivals, net: &Net) -> Option<f64> {
        if net.port == "CO" {
            return Some(self.sum(arrivals, &net.driver));
        }
        let bit: usize = net.port.strip_prefix("O_")?.parse().ok()?;
        match *self.select.get(bit / HALF)? {
            FROM_SUM => Some(self.sum(arrivals, &net.driver)),
            FROM_PRODUCT => Some(self.product(arrivals, &net.driver)),
            _ => None,
        }
    }
}

/// A net in nextpnr's detailed report.
#[derive(Debug, Deserialize)]
pub(super) struct Net {
    driver: String,
    port: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    cell: String,
    port: String,
    /// From the clock, shortest and longest.
    delay: [f64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETLIST: &str = r#"{"modules":{
        "board":{"cells":{"p":{"type":"post","parameters":{}}}},
        "post":{"cells":{
            "low":{"type":"SB_MAC16","parameters":{"A_REG":"0","B_REG":"0","TOPOUTPUT_SELECT":"11","BOTOUTPUT_SELECT":"01"}},
            "high":{"type":"SB_MAC16","parameters":{"A_REG":"1","B_REG":"1","PIPELINE_16x16_MULT_REG2":"1","TOPOUTPUT_SELECT":"01"}}}}}}"#;
    const NETS: &str = r#"[
        {"driver":"v","port":"O","endpoints":[{"cell":"p.low_DSP","port":"A_3","delay":[4.0,5.0]}]},
        {"driver":"p.low_DSP","port":"O_17","endpoints":[{"cell":"p.high_DSP","port":"C_1","delay":[2.0,3.0]}]},
        {"driver":"p.low_DSP","port":"O_1","endpoints":[{"cell":"x","port":"I0","delay":[9.0,9.0]}]},
        {"driver":"p.high_DSP","port":"CO","endpoints":[{"cell":"y","port":"I0","delay":[2.0,2.5]}]}]"#;

    #[test]
    fn a_path_through_two_blocks_has_the_delays_of_both() {
        let blocks = Blocks::of(NETLIST, "board").expect("a netlist");
        let nets: Vec<Net> = serde_json::from_str(NETS).expect("nets");
        // 5 to the operand, product, 3 to the addend, sum, 2.5 from its carry.
        let (slowest, end) = blocks.slowest(&nets).expect("all there").expect("blocks");
        assert_eq!(end, "y.I0");
        assert!(
            (slowest - (5.0 + PRODUCT_NS + 3.0 + SUM_NS + 2.5)).abs() < 1e-9,
            "{slowest}"
        );
        // What a register drives has nextpnr's delay, which is not ours to tell.
        let at_once = NETS
            .replace("[4.0,5.0]", "[0,0]")
            .replace("[2.0,3.0]", "[0,0]");
        let mut at_once: Vec<Net> = serde_json::from_str(&at_once).expect("nets");
        at_once[1].driver = "v".to_owned();
        let (slowest, end) = blocks
            .slowest(&at_once[..3])
            .expect("all there")
            .expect("blocks");
        assert_eq!((slowest, end.as_str()), (PRODUCT_NS + SUM_NS, "p.low_DSP"));
        assert_eq!(Blocks::default().slowest(&nets), Ok(None));
        let error = blocks.slowest(&nets[..1]).expect_err("no `high`");
        assert!(error.contains("p.high_DSP"), "{error}");
    }
}
