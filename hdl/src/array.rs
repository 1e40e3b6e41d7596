//! The array: `lane_rows` rows of `columns` lanes, all on the same filter and plane, each lane on its own output pixel.
//!
//! Ports, with the cycle in which they are for row 0, whose lanes use them a cycle later (at once if `compact`); row r uses them r cycles
//! after row 0 (systolic). `x_bus` carries row r's words r cycles after `capture`.
//!
//! | port | bits | |
//! |---|---|---|
//! | `x_bus` | 32 x columns | word that column c's lane of the row now served may capture, column 0 lowest |
//! | `x_bus_odd` | 32 x columns | with `fill_words` > 1: likewise, for tables of odd quads; `x_bus` is for those of even ones |
//! | `capture`, `capture_pass` | 1 | column c captures if the pass is `two_passes ? floor(2c / columns) : 0` |
//! | `capture_quad` | 2 | with `fill_words` = 4: the quad, or first one of the pair, mod 4 |
//! | `two_passes`, `paired` | 1 | descriptor fields |
//! | `fill_enable`, `fill_quad`, `fill_entry`, `fill_bank` | 1, 5 or 6, 3, 1 | [`crate::dot`]; from the cycle after `capture` |
//! | `plane_word`, `plane_bank` | K, 1 | a plane |
//! | `horner_first`, `horner_sign` | 1 | `timing::dot_latency` after `plane_word` |
//! | `accumulator_address` | | half and position, `timing::accumulator_delay` after a filter's last `plane_word` |
//! | `accumulator_write` | 1 | with it: add the filter's result |
//! | `accumulator_clear` | 1 | with it: to 0 (first chunk) |
//! | `accumulator_read_address` | | the same address, or the one to drain |
//! | `accumulator_drain` | 1 | with it: drain what is read; not with a write unless that clears |
//! | `drain_data` | ways x columns x bits, out | way w, column c at bits (w x columns + c) x `accumulator_bits`; row r = w x `rows_per_way` + i at `timing::drain_latency` + r cycles after `accumulator_drain`; else 0 |
//!
//! An address read `timing::ACCUMULATOR_UPDATE_LATENCY` cycles after an addition's sees its result; earlier reads see the
//! old value or, one cycle before, an undefined one. Reset clears the strobes that fill, write and drain.
//!
//! ```text
//! clock               _/~\_/~\_/~\_/~\_/~\_/~\_/~\_
//! accumulator_drain   _/~~~\_______________________   (d)
//! accumulator_read_address X a X
//! drain_data, way 0   0                X r0X r1X r2X  (d + drain_latency + row)
//! ```

use crate::{
    apart,
    builder::{Module, Net},
    dot::{self, Control, DotInputs},
    dot_table, lane, row,
};
use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    timing::fill_turns,
};

/// The array as a module named `array`.
#[must_use]
pub fn build(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "array");
    let buses: Vec<Net> = ["x_bus", "x_bus_odd"][..architecture.access_words()]
        .iter()
        .map(|name| module.input(name, 32 * architecture.columns))
        .collect();
    let words = words(&module, architecture, &buses);
    let dot_inputs = DotInputs::declare(&module, architecture);
    let mut dot_controls = dot::controls(&module, architecture, &dot_inputs);
    let widths: Vec<(&str, usize)> = dot_controls
        .iter()
        .map(|control| (control.name, control.net.width()))
        .collect();
    let lane = lane::build(architecture, &widths);

    let capture = capture_strobes(&module, architecture, &dot_inputs.paired);
    let feed = match architecture.lane {
        LaneKind::Table => Feed::captured_by_lanes(words, capture),
        LaneKind::Plain => Feed::captured_by_columns(&module, words, &capture, &mut dot_controls),
    };
    let passes = feed.by_pass.len();
    let mut controls = feed.by_pass;
    controls.extend(dot_controls);
    controls.extend(accumulator_controls(&module, architecture));
    // The last one is the drain's gate, which is not a lane's.
    let last_lane_control = controls.len() - 1;

    let row = row::build(&controls);
    let mut groups = vec![controls; architecture.control_groups];
    let mut rows = Vec::with_capacity(architecture.lane_rows);
    for index in 0..architecture.lane_rows {
        for (group, controls) in groups.iter_mut().enumerate() {
            if index == 0 && architecture.compact {
                continue;
            }
            let name = format!("row_{index}_{group}");
            let held = format!("{name}_reset");
            let [reset] = apart::near(&module, architecture, &held, [&module.reset()]);
            *controls = row::next(&module, &row, &name, controls, &reset);
        }
        let lanes = feed.words.iter().enumerate().map(|(column, word)| {
            let controls = &groups[groups.len() * column / architecture.columns];
            let pass = passes * column / architecture.columns;
            let mut ports = vec![("x_word", word), (feed.port, &controls[pass].net)];
            let shared = &controls[passes..last_lane_control];
            ports.extend(shared.iter().map(|c| (c.name, &c.net)));
            let name = format!("lane_{index}_{column}");
            let outputs = module.instance(&name, &lane, &ports);
            DrainLane {
                value: outputs.get("accumulator").clone(),
                gate: controls[last_lane_control].net.clone(),
            }
        });
        rows.push(lanes.collect());
    }
    // A group whose columns are all of one pass leaves the other's strobe.
    for controls in &groups {
        controls[..passes]
            .iter()
            .for_each(|c| module.unused(&c.net));
    }
    drain(&module, architecture, &rows);
    module
}

/// Names of the blocks that hold the lanes' accumulators on ECP5, row by row, below the array in a flattened netlist; none where
/// they are not in block RAM.
#[must_use]
pub fn accumulator_blocks(architecture: &Architecture) -> Vec<Vec<String>> {
    if architecture.accumulator_storage != Storage::Block {
        return Vec::new();
    }
    let block = |row, column| format!("lane_{row}_{column}.accumulators.block_0.block");
    let row = |row| (0..architecture.columns).map(|c| block(row, c)).collect();
    (0..architecture.lane_rows).map(row).collect()
}

/// Strobes of the columns that take their word in the first pass, and of those that take it in the second (if there are any); with four
/// fill words, one a word.
fn capture_strobes(module: &Module, architecture: &Architecture, paired: &Net) -> Vec<Net> {
    let capture = module.input("capture", 1);
    let pass = module.input("capture_pass", 1);
    let two_passes = module.input("two_passes", 1);
    let mut strobes = vec![module.and(&capture, &module.not(&pass))];
    if architecture.two_passes(2) {
        strobes.push(module.and(&capture, &module.equal(&pass, &two_passes)));
    } else {
        module.unused(&two_passes);
    }
    if fill_turns(architecture) == 1 {
        return strobes;
    }
    let words = dot_table::generators(module, &module.input("capture_quad", 2), paired);
    let words = module.concat(&words.iter().collect::<Vec<_>>());
    let of = |strobe| module.gate(&words, strobe);
    strobes.iter().map(of).collect()
}

/// How activations get from the bus into the lanes.
struct Feed {
    /// `x_word` of each column's lanes.
    words: Vec<Net>,
    /// The lanes' input that depends on the pass of their column.
    port: &'static str,
    by_pass: Vec<Control>,
}

impl Feed {
    /// Each lane has a register, as its table takes eight cycles to fill.
    fn captured_by_lanes(words: Vec<Net>, capture: Vec<Net>) -> Self {
        let names = ["capture_early", "capture_late"];
        let strobes = names.into_iter().zip(capture);
        Self {
            words,
            port: "capture",
            by_pass: strobes
                .map(|(name, net)| Control::data(name, net))
                .collect(),
        }
    }

    /// One register a column, from which the lanes of the row now served take the word at once. Columns of the second pass
    /// may take something else in the first.
    fn captured_by_columns(
        module: &Module,
        words: Vec<Net>,
        capture: &[Net],
        dot_controls: &mut Vec<Control>,
    ) -> Self {
        let at = dot_controls.iter().position(|c| c.name == "fill_select");
        let select = dot_controls.remove(at.unwrap_or(0)).net;
        let early = module.registered("captured_early", &capture[0]);
        let mut by_pass = vec![Control::strobe(
            "fill_select_early",
            module.gate(&select, &early),
        )];
        if let Some(late) = capture.get(1) {
            module.unused(late);
            by_pass.push(Control::strobe("fill_select_late", select));
        }
        let words = words.into_iter().enumerate();
        Self {
            words: words
                .map(|(column, word)| module.registered(&format!("captured_{column}"), &word))
                .collect(),
            port: "fill_select",
            by_pass,
        }
    }
}

/// The words of each column as the lanes take them, those of the first bus lowest.
fn words(module: &Module, architecture: &Architecture, buses: &[Net]) -> Vec<Net> {
    (0..buses[0].width() / 32)
        .map(|column| {
            let words: Vec<Net> = buses
                .iter()
                .map(|bus| module.slice(bus, 32 * column, 32))
                .collect();
            let mut word = module.concat(&words.iter().collect::<Vec<_>>());
            if !architecture.compact {
                word = module.registered(&format!("x_{column}"), &word);
            }
            dot::signed(module, &word)
        })
        .collect()
}

/// The lane's Horner and accumulator inputs, aligned, then the drain's gate.
fn accumulator_controls(module: &Module, architecture: &Architecture) -> Vec<Control> {
    let [first, sign, read, keep, enable, write] = lane::ACCUMULATOR_INPUTS;
    let address_bits = lane::address_bits(architecture);
    let address = module.input("accumulator_address", address_bits);
    let write_now = module.input("accumulator_write", 1);
    let clear_now = module.input("accumulator_clear", 1);
    let drain_now = module.input("accumulator_drain", 1);
    vec![
        Control::data(first, module.input(first, 1)),
        Control::data(sign, module.input(sign, 1)),
        Control::data(read, module.input(read, address_bits)),
        Control::data(keep, module.delayed("keep", &module.not(&clear_now), 2)),
        Control::strobe(enable, module.delayed_reset("write", &write_now, 2)),
        Control::data(write, module.delayed("write_address", &address, 2)),
        Control::strobe("drain", module.delayed_reset("drain", &drain_now, 2)),
    ]
}

struct DrainLane {
    gate: Net,
    value: Net,
}

/// Or of the gated rows of each way and column: pairs of rows into a register, these into another; if `compact` all into one.
fn drain(module: &Module, architecture: &Architecture, rows: &[Vec<DrainLane>]) {
    let any = |nets: &[Net]| module.any(&nets.iter().collect::<Vec<_>>());
    let mut parts = Vec::new();
    for (way, rows) in rows.chunks(architecture.rows_per_way()).enumerate() {
        for column in 0..architecture.columns {
            let gated: Vec<Net> = rows
                .iter()
                .map(|row| module.gate(&row[column].value, &row[column].gate))
                .collect();
            let all = if architecture.compact {
                any(&gated)
            } else {
                let pairs = gated.chunks(2).enumerate().map(|(index, pair)| {
                    module.registered(&format!("drain_{way}_{column}_{index}"), &any(pair))
                });
                any(&pairs.collect::<Vec<_>>())
            };
            parts.push(module.registered(&format!("drained_{way}_{column}"), &all));
        }
    }
    let data = module.concat(&parts.iter().collect::<Vec<_>>());
    module.output("drain_data", &data);
}
