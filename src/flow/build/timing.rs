//! What nextpnr reports: resources, clocks, critical paths.

use super::blocks::{Blocks, Net};
use bitweft_hdl::pll::Family;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// How much of a resource is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// lut, ff, bram, dsp, or spram.
    pub name: String,
    /// nextpnr's name of it.
    pub cells: String,
    /// Used.
    pub used: u64,
    /// There are.
    pub available: u64,
}

/// The slowest path of a clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriticalPath {
    /// Cell and port where it starts.
    pub from: String,
    /// Cell and port where it ends.
    pub to: String,
    /// Nanoseconds in cells.
    pub logic_ns: f64,
    /// Nanoseconds in wires.
    pub routing_ns: f64,
}

impl std::fmt::Display for CriticalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} ns ({:.1} logic, {:.1} routing) from {} to {}",
            self.logic_ns + self.routing_ns,
            self.logic_ns,
            self.routing_ns,
            self.from,
            self.to
        )
    }
}

/// What a routed design takes and how fast it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Net of the clock that is slowest against what it must reach, or two of them (`a to b`), or a path that nextpnr does not see.
    pub clock: String,
    /// Its highest rate.
    pub reached_mhz: f64,
    /// The rate that it must reach.
    pub wanted_mhz: f64,
    /// Its slowest path.
    pub critical_path: Option<CriticalPath>,
    /// Resources.
    pub utilisation: Vec<Use>,
}

impl Timing {
    /// Whether every clock reaches what it must.
    #[must_use]
    pub fn met(&self) -> bool {
        self.margin() >= 1.0
    }

    /// Clock reached, as a share of the one that must be.
    pub(super) fn margin(&self) -> f64 {
        self.reached_mhz / self.wanted_mhz
    }
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    detailed_net_timings: Vec<Net>,
    fmax: IndexMap<String, Fmax>,
    utilization: IndexMap<String, Utilization>,
    critical_paths: Vec<Path>,
}

#[derive(Deserialize)]
struct Fmax {
    achieved: f64,
    constraint: f64,
}

#[derive(Deserialize)]
struct Utilization {
    used: u64,
    available: u64,
}

#[derive(Deserialize)]
struct Path {
    from: String,
    to: String,
    path: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    delay: f64,
    from: Pin,
    to: Pin,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Pin {
    cell: String,
    port: String,
}

/// What a clock, or a path from one clock to another, reaches and must.
struct Limit<'a> {
    clock: String,
    achieved: f64,
    constraint: f64,
    path: Option<&'a Path>,
}

impl Limit<'_> {
    fn margin(&self) -> f64 {
        self.achieved / self.constraint
    }
}

impl Report {
    /// nextpnr leaves paths between clocks unconstrained. Ours are of one PLL: between two of their edges there is a period of the faster
    /// one at least.
    fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
        let within = self.fmax.iter().map(|(clock, fmax)| Limit {
            clock: clock.clone(),
            achieved: fmax.achieved,
            constraint: fmax.constraint,
            path: self.critical_paths.iter().find(|path| {
                let [from, to] = path.clocks();
                from == to && from == clock
            }),
        });
        let across = self.critical_paths.iter().filter_map(|path| {
            let [from, to] = path.clocks();
            let (a, b) = (self.fmax.get(from)?, self.fmax.get(to)?);
            (from != to).then(|| Limit {
                clock: format!("{from} to {to}"),
                achieved: 1000.0 / path.path.iter().map(|step| step.delay).sum::<f64>(),
                constraint: a.constraint.max(b.constraint),
                path: Some(path),
            })
        });
        within.chain(across)
    }

    /// The slowest path through multiplier blocks: its clock is the slowest one, of the processor.
    fn through(&self, blocks: &Blocks) -> Result<Option<Limit<'_>>, String> {
        let constraint = |fmax: &(&String, &Fmax)| fmax.1.constraint;
        let slow = self
            .fmax
            .iter()
            .min_by(|a, b| constraint(a).total_cmp(&constraint(b)));
        let slowest = blocks.slowest(&self.detailed_net_timings)?;
        Ok(slowest
            .zip(slow)
            .map(|((delay, end), (clock, fmax))| Limit {
                clock: format!("{clock} through multiplier blocks to {end}"),
                achieved: 1000.0 / delay,
                constraint: fmax.constraint,
                path: None,
            }))
    }
}

impl Path {
    /// The clocks of both ends (`posedge clock`, say), or `<async>`.
    fn clocks(&self) -> [&str; 2] {
        [&self.from, &self.to].map(|edge| edge.rsplit(' ').next().unwrap_or_default())
    }
}

/// Reads nextpnr's JSON report. A clock must reach `share` of what nextpnr was asked for it.
///
/// # Errors
/// Another text, or a design without a clock.
pub(super) fn read(
    text: &str,
    family: Family,
    share: f64,
    blocks: &Blocks,
) -> Result<Timing, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let slowest = report
        .limits()
        .chain(report.through(blocks)?)
        .min_by(|a, b| a.margin().total_cmp(&b.margin()));
    let slowest = slowest.ok_or("no clock")?;
    let utilisation = cells(family)
        .iter()
        .filter_map(|(name, cells)| {
            let found = report.utilization.get(*cells)?;
            Some(Use {
                name: (*name).to_owned(),
                cells: (*cells).to_owned(),
                used: found.used,
                available: found.available,
            })
        })
        .collect();
    Ok(Timing {
        reached_mhz: slowest.achieved,
        wanted_mhz: share * slowest.constraint,
        critical_path: slowest.path.and_then(critical),
        clock: slowest.clock,
        utilisation,
    })
}

/// Our names of resources, and nextpnr's.
fn cells(family: Family) -> &'static [(&'static str, &'static str)] {
    match family {
        Family::Ecp5 => &[
            ("lut", "TRELLIS_COMB"),
            ("ff", "TRELLIS_FF"),
            ("bram", "DP16KD"),
            ("dsp", "MULT18X18D"),
        ],
        Family::Ice40 => &[
            ("lut", "ICESTORM_LC"),
            ("bram", "ICESTORM_RAM"),
            ("dsp", "ICESTORM_DSP"),
            ("spram", "ICESTORM_SPRAM"),
        ],
        Family::Gowin => &[
            ("lut", "LUT4"),
            ("ff", "DFF"),
            ("bram", "BSRAM"),
            ("dsp", "MULT18X18"),
            ("lutram", "RAM16SDP4"),
        ],
    }
}

fn critical(path: &Path) -> Option<CriticalPath> {
    let delay = |routing: bool| {
        path.path
            .iter()
            .filter(|step| (step.kind == "routing") == routing)
            .map(|step| step.delay)
            .sum()
    };
    let name = |pin: &Pin| format!("{}.{}", pin.cell, pin.port);
    Some(CriticalPath {
        from: name(&path.path.first()?.from),
        to: name(&path.path.last()?.to),
        logic_ns: delay(false),
        routing_ns: delay(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"critical_paths":[
        {"from":"async","to":"posedge clock","path":[]},
        {"from":"posedge slow_clock","to":"posedge slow_clock","path":[]},
        {"from":"posedge clock","to":"posedge clock","path":[
            {"delay":0.5,"from":{"cell":"a","loc":[1,2],"port":"CLK"},"to":{"cell":"a","loc":[1,2],"port":"Q"},"type":"clk-to-q"},
            {"delay":6.25,"from":{"cell":"a","loc":[1,2],"port":"Q"},"net":"n","to":{"cell":"b","loc":[3,4],"port":"D"},"type":"routing"},
            {"delay":0.25,"from":{"cell":"b","loc":[3,4],"port":"D"},"to":{"cell":"b","loc":[3,4],"port":"CLK"},"type":"setup"}]}],
        "fmax":{"slow_clock":{"achieved":50.0,"constraint":20.0},"clock":{"achieved":142.8,"constraint":150.0}},
        "utilization":{"TRELLIS_COMB":{"used":10,"available":24288},"OTHER":{"used":1,"available":2}}}"#;

    #[test]
    fn a_report_gives_the_slowest_clock_with_its_path() {
        let timing = read(REPORT, Family::Ecp5, 0.5, &Blocks::default()).expect("a report");
        assert!(timing.met() && timing.wanted_mhz == 75.0);
        assert_eq!(
            (timing.clock.as_str(), timing.reached_mhz),
            ("clock", 142.8)
        );
        let path = timing.critical_path.expect("a path").to_string();
        assert_eq!(path, "7.0 ns (0.8 logic, 6.2 routing) from a.CLK to b.CLK");
        assert_eq!(timing.utilisation.len(), 1);
        assert_eq!(timing.utilisation[0].name, "lut");
    }

    #[test]
    fn a_path_between_clocks_has_a_period_of_the_faster_one() {
        let crossing = |delay: f64| {
            let path = format!(
                r#"{{"from":"posedge clock","to":"posedge slow_clock","path":[
                {{"delay":{delay},"from":{{"cell":"c","port":"CLK"}},"to":{{"cell":"d","port":"D"}},"type":"routing"}}]}},"#
            );
            REPORT.replace(r#"{"from":"async""#, &(path + r#"{"from":"async""#))
        };
        let timing =
            read(&crossing(20.0), Family::Ecp5, 0.5, &Blocks::default()).expect("a report");
        assert_eq!(
            (timing.clock.as_str(), timing.reached_mhz, timing.wanted_mhz),
            ("clock to slow_clock", 50.0, 75.0)
        );
        assert!(!timing.met() && timing.critical_path.expect("a path").from == "c.CLK");
        let timing = read(&crossing(5.0), Family::Ecp5, 0.5, &Blocks::default()).expect("a report");
        assert_eq!(timing.clock, "clock");
    }

    #[test]
    fn a_report_without_a_clock_is_refused() {
        let text = r#"{"critical_paths":[],"fmax":{},"utilization":{}}"#;
        assert_eq!(
            read(text, Family::Ecp5, 1.0, &Blocks::default()),
            Err("no clock".to_owned())
        );
        assert!(read("{", Family::Ecp5, 1.0, &Blocks::default()).is_err());
    }
}
