//! Cycles of every layer beside the bound of the array.

use maud::{Markup, html};

use super::heat::shortened;
use crate::cli::console::grouped;

const LEFT: f64 = 196.0;
const RIGHT: f64 = 640.0;
const WIDTH: f64 = 828.0;
const LINE: f64 = 22.0;
const TOP: f64 = 26.0;
const NAME_LETTERS: usize = 25;

/// A layer of a program.
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) cycles: u64,
    /// Cycles that no schedule can beat on the array.
    pub(super) bound: f64,
}

/// One bar a layer: its cycles, and inside them the part that the array cannot do without.
pub(super) fn chart(title: &str, bars: &[Bar<'_>]) -> Markup {
    let largest = bars.iter().map(|bar| bar.cycles).max().unwrap_or(0).max(1) as f64;
    let total: u64 = bars.iter().map(|bar| bar.cycles).sum();
    let at = |value: f64| format!("{:.1}", value / largest * (RIGHT - LEFT));
    let height = TOP + LINE * bars.len() as f64;
    let label = format!("Cycles of every layer of {title}");
    html! {
        svg .bars role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {height}")) {
            rect .bound x=(LEFT) y="5" width="12" height="12" {}
            text .caption x=(LEFT + 18.0) y="15" { "bound of the array" }
            rect .cycles x=(LEFT + 150.0) y="5" width="12" height="12" {}
            text .caption x=(LEFT + 168.0) y="15" { "cycles" }
            text .caption x=(WIDTH - 4.0) y="15" text-anchor="end" { "cycles, part of all, bound / cycles" }
            @for (index, bar) in bars.iter().enumerate() {
                @let top = TOP + LINE * index as f64;
                @let cycles = bar.cycles as f64;
                @let part = 100.0 * cycles / total.max(1) as f64;
                @let used = 100.0 * bar.bound / cycles.max(1.0);
                g {
                    title {
                        (bar.name) ": " (grouped(bar.cycles)) " cycles (" (format!("{part:.1}")) " % of all), at least "
                        (format!("{:.0}", bar.bound)) " by the array"
                    }
                    text x=(LEFT - 8.0) y=(top + 14.0) text-anchor="end" { (shortened(bar.name, NAME_LETTERS)) }
                    rect .cycles x=(LEFT) y=(top + 2.0) width=(at(cycles)) height=(LINE - 6.0) {}
                    rect .bound x=(LEFT) y=(top + 2.0) width=(at(bar.bound)) height=(LINE - 6.0) {}
                    text .number x=(WIDTH - 112.0) y=(top + 14.0) text-anchor="end" { (grouped(bar.cycles)) }
                    text .number x=(WIDTH - 58.0) y=(top + 14.0) text-anchor="end" { (format!("{part:.1} %")) }
                    text .number x=(WIDTH - 4.0) y=(top + 14.0) text-anchor="end" { (format!("{used:.0} %")) }
                }
            }
        }
    }
}
