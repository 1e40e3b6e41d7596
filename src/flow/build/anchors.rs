//! Anchors: the blocks that hold the accumulators, tied to places.
//!
//! An array is a grid of lanes, neighbours exchange little but controls, and nextpnr's placer leaves such a grid in a heap, with the
//! blocks of the other memories strewn over the die. With one cell of every lane in its place, side by side, the rest follows.

use bitweft_hdl::{ARRAY, BOARD_TOP, PROCESSOR, array::accumulator_cell};
use bitweft_isa::{
    ROWS,
    architecture::{Architecture, Storage},
};

use crate::flow::part::BlockRams;

/// A cell of the flattened netlist and its place, as nextpnr's attribute `BEL` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Name.
    pub cell: String,
    /// Place.
    pub bel: String,
}

/// An anchor for every lane of the array in the design `top`, in the free place nearest to the middle of the lane's share of
/// these; none if the accumulators are not in block RAM, or more than there are places.
pub(super) fn anchors(architecture: &Architecture, rams: &BlockRams, top: &str) -> Vec<Anchor> {
    if architecture.accumulator_storage != Storage::Block || architecture.lanes() > rams.places() {
        return Vec::new();
    }
    let prefix = match top {
        BOARD_TOP => format!("{PROCESSOR}.{ARRAY}"),
        _ => ARRAY.to_owned(),
    };
    let middle = |index: usize, of: usize, over: usize| (2 * index + 1) * over / (2 * of);
    let width = rams.columns.first().unwrap_or(&0) + rams.columns.last().unwrap_or(&0);
    let mut free: Vec<(usize, usize)> = (0..rams.rows.len())
        .flat_map(|row| (0..rams.columns.len()).map(move |column| (row, column)))
        .collect();
    let lanes = (0..ROWS).flat_map(|row| (0..architecture.columns).map(move |c| (row, c)));
    lanes
        .map(|(row, column)| {
            let (y, x) = (
                middle(row, ROWS, rams.rows.len()),
                middle(column, architecture.columns, width),
            );
            let distance = |&(row, column): &(usize, usize)| {
                (row.abs_diff(y), rams.columns[column].abs_diff(x))
            };
            let nearest = (0..free.len()).min_by_key(|&index| distance(&free[index]));
            let (in_row, in_column) = free.swap_remove(nearest.unwrap_or(0));
            let (x, y) = (rams.columns[in_column], rams.rows[in_row]);
            Anchor {
                cell: format!("{prefix}.{}", accumulator_cell(row, column)),
                bel: format!("X{x}/Y{y}/EBR{}", in_column % BlockRams::GROUP),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_lane_has_a_place_of_its_own() {
        let text = include_str!("../../../constraints/ulx3s-85f.toml");
        let architecture = Architecture::from_toml(text).expect("valid");
        let part = crate::flow::part::Part::from_toml(text).expect("valid");
        let rams = part.and_then(|part| part.accumulators).expect("its table");
        let all = anchors(&architecture, &rams, BOARD_TOP);
        assert_eq!(all.len(), architecture.lanes());
        let places: HashSet<_> = all.iter().map(|anchor| &anchor.bel).collect();
        assert_eq!(places.len(), all.len());
        let last = all.last().expect("some");
        assert!(
            last.cell.starts_with("processor.lanes.lane_7_7."),
            "{last:?}"
        );
        assert!(last.bel.contains("/Y82/"), "{last:?}");

        let few = BlockRams {
            columns: vec![4, 6, 8, 10],
            ..rams
        };
        assert!(anchors(&architecture, &few, BOARD_TOP).is_empty());
    }
}
