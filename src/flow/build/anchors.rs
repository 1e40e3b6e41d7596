//! Anchors: the blocks that hold the accumulators and the activations, tied to places.
//!
//! An array is a grid of lanes, neighbours exchange little but controls, and nextpnr's placer leaves such a grid in a heap, with the
//! blocks of the other memories strewn over the die. With one cell of every lane in its place, side by side, the rest follows.

use std::collections::HashSet;

use bitweft_hdl::{
    ACTIVATIONS, ARRAY, BOARD_TOP, PROCESSOR, activation_memory, array::accumulator_blocks,
};
use bitweft_isa::architecture::Architecture;

use crate::flow::part::{BlockRams, Part};

/// A cell of the flattened netlist and its place, as nextpnr's attribute `BEL` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Name.
    pub cell: String,
    /// Place.
    pub bel: String,
}

/// Anchors for the cells that the part's tables name in the design `top`, for the accumulators of every lane and the
/// activations of every bank: each of these in the free place nearest to the middle of its column's share.
pub(super) fn anchors(architecture: &Architecture, part: &Part, top: &str) -> Vec<Anchor> {
    let below = match top {
        BOARD_TOP => format!("{PROCESSOR}."),
        _ => String::new(),
    };
    let mut taken: HashSet<String> = part.places.values().cloned().collect();
    let mut all: Vec<Anchor> = part
        .places
        .iter()
        .map(|(cell, place)| Anchor {
            cell: format!("{below}{cell}"),
            bel: place.clone(),
        })
        .collect();
    let mut tie = |rams: &BlockRams, cell: String, (part, parts): (usize, usize), column: usize| {
        let y = rams.rows[middle(part, parts, rams.rows.len())];
        let width = rams.columns.first().unwrap_or(&0) + rams.columns.last().unwrap_or(&0);
        let x = middle(column, architecture.columns, width);
        let places = rams.rows.iter().flat_map(|&y| {
            let columns = rams.columns.iter().enumerate();
            columns.map(move |(index, &x)| (x, y, index % BlockRams::GROUP))
        });
        let named = places.map(|(x, y, index)| (x, y, format!("X{x}/Y{y}/EBR{index}")));
        let nearest = named
            .filter(|(_, _, bel)| !taken.contains(bel))
            .min_by_key(|(to_x, to_y, _)| (to_y.abs_diff(y), to_x.abs_diff(x)));
        let Some((_, _, bel)) = nearest else { return };
        taken.insert(bel.clone());
        all.push(Anchor {
            cell: format!("{below}{cell}"),
            bel,
        });
    };
    if let Some(rams) = &part.accumulators {
        let rows = accumulator_blocks(architecture);
        for (row, lanes) in rows.iter().enumerate() {
            for (column, block) in lanes.iter().enumerate() {
                tie(rams, format!("{ARRAY}.{block}"), (row, rows.len()), column);
            }
        }
    }
    if let Some(rams) = &part.activations {
        for (column, bank) in activation_memory::blocks(architecture).iter().enumerate() {
            for (half, blocks) in bank.iter().enumerate() {
                for block in blocks {
                    tie(
                        rams,
                        format!("{ACTIVATIONS}.{block}"),
                        (half, bank.len()),
                        column,
                    );
                }
            }
        }
    }
    all
}

/// The middle of the share of `index` of `of` in what is `over` long.
fn middle(index: usize, of: usize, over: usize) -> usize {
    (2 * index + 1) * over / (2 * of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_memory_has_a_place_of_its_own() {
        let text = include_str!("../../../constraints/ulx3s-85f.toml");
        let architecture = Architecture::from_toml(text).expect("valid");
        let part = Part::from_toml(text).expect("valid").expect("its table");
        let all = anchors(&architecture, &part, BOARD_TOP);
        let places: HashSet<_> = all.iter().map(|anchor| &anchor.bel).collect();
        let cells: HashSet<_> = all.iter().map(|anchor| &anchor.cell).collect();
        assert_eq!((places.len(), cells.len()), (all.len(), all.len()));
        let of = |name: &str| {
            let prefix = format!("processor.{name}.");
            let own = all.iter().filter(move |a| a.cell.starts_with(&prefix));
            own.collect::<Vec<_>>()
        };
        let (lanes, banks) = (of("lanes"), of("activation"));
        assert_eq!(lanes.len(), architecture.lanes());
        // Four blocks for each half of each bank.
        assert_eq!(banks.len(), architecture.columns * 2 * 4);
        // From the left and above to the right and below.
        let x = |anchor: &Anchor| -> usize {
            let end = anchor.bel.find('/').expect("a place");
            anchor.bel[1..end].parse().expect("a number")
        };
        assert!(x(lanes[0]) < x(lanes[architecture.lanes() - 1]));
        assert!(x(banks[0]) < x(banks[banks.len() - 1]));
        assert!(lanes[0].cell.contains("lane_0_0.") && lanes[0].bel.contains("/Y22/"));
        let alone = Part {
            activations: None,
            ..part
        };
        let tied = anchors(&architecture, &alone, BOARD_TOP);
        assert_eq!(tied.len(), lanes.len() + alone.places.len());
    }
}
