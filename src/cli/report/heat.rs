//! Widths by layer and filter, as a map of colours.

use maud::{Markup, html};

/// Filters of a line.
const COLUMNS: usize = 64;
/// Side of a cell, its gap included.
const CELL: usize = 9;
/// Where the cells start and end.
const LEFT: usize = 196;
const RIGHT: usize = LEFT + COLUMNS * CELL;
const WIDTH: usize = RIGHT + 56;
/// First line of cells.
const TOP: usize = 26;
/// Between two layers.
const GAP: usize = 5;
/// Letters of a layer's name that fit before the cells.
const NAME_LETTERS: usize = 25;

/// A layer and its filters' widths.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) bits: &'a [u8],
}

/// The end of a long name, which tells layers apart.
pub(super) fn shortened(name: &str, letters: usize) -> String {
    let count = name.chars().count();
    if count <= letters {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count + 1 - letters).collect();
    format!("…{end}")
}

/// One cell a filter, 64 a line; the mean of each layer beside it.
pub(super) fn map(title: &str, rows: &[Row<'_>]) -> Markup {
    let mut top = TOP;
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        places.push(top);
        top += row.bits.len().div_ceil(COLUMNS).max(1) * CELL + GAP;
    }
    let label = format!("Bits of every filter of {title}");
    html! {
        svg .heat role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {top}")) {
            (legend())
            @for (row, top) in rows.iter().zip(places) {
                (layer(row, top))
            }
        }
    }
}

fn layer(row: &Row<'_>, top: usize) -> Markup {
    let total: u64 = row.bits.iter().map(|bits| u64::from(*bits)).sum();
    let mean = total as f64 / row.bits.len().max(1) as f64;
    html! {
        text x=(LEFT - 8) y=(top + 8) text-anchor="end" {
            title { (row.name) }
            (shortened(row.name, NAME_LETTERS))
        }
        @for (filter, bits) in row.bits.iter().enumerate() {
            rect class=(format!("b{}", (*bits).min(8))) x=(LEFT + filter % COLUMNS * CELL)
                y=(top + filter / COLUMNS * CELL) width=(CELL - 1) height=(CELL - 1) {
                title { (row.name) ", filter " (filter) ": " (bits) " bits" }
            }
        }
        text .number x=(WIDTH - 4) y=(top + 8) text-anchor="end" { (format!("{mean:.2}")) }
    }
}

fn legend() -> Markup {
    html! {
        text .caption x=(LEFT - 8) y="14" text-anchor="end" { "bits" }
        @for bits in 0..=8_usize {
            rect class=(format!("b{bits}")) x=(LEFT + bits * 34) y="5" width="12" height="12" {}
            text .caption x=(LEFT + bits * 34 + 16) y="15" { (bits) }
        }
        text .caption x=(WIDTH - 4) y="14" text-anchor="end" { "mean" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_has_a_cell_and_long_layers_wrap() {
        let bits: Vec<u8> = (0..70).map(|filter| filter % 9).collect();
        let row = Row {
            name: "layer",
            bits: &bits,
        };
        let text = map("net", &[row]).into_string();
        assert_eq!(text.matches("<rect").count(), 70 + 9);
        assert!(text.contains("layer, filter 69: 6 bits"));
        assert!(text.contains(&format!("y=\"{}\"", TOP + CELL)));
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("abcdef", 4), "…def");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
