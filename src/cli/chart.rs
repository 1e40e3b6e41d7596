//! Charts as SVG: one drawing for files (`--svg`) and for the page that `bitweft report` makes.
//!
//! Colours are CSS variables, so that a chart follows light and dark; every series has a shape of its own beside its
//! colour, and every mark says what it is where a pointer rests on it.

mod scale;

use maud::{Markup, PreEscaped, html};

use scale::{Range, Scale};

/// Colours and text of charts, for light and dark.
pub(crate) const STYLE: &str = include_str!("chart/style.css");

/// Series that look different; further ones start again.
const SERIES_LOOKS: usize = 8;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 416.0;
/// Sides of the plot: left, right, top, bottom.
const PLOT: (f64, f64, f64, f64) = (72.0, 612.0, 64.0, 348.0);
/// Mean width of a letter of the legend.
const LETTER_WIDTH: f64 = 6.7;
/// Distance of two lines of the legend.
const LEGEND_LINE: f64 = 18.0;

/// A scatter or line chart.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// A line below the title.
    pub(crate) caption: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// A value of y to compare with, and what it is.
    pub(crate) reference: Option<(f64, String)>,
    pub(crate) series: Vec<Series>,
}

/// An axis.
pub(crate) struct Axis {
    label: String,
    range: Range,
    percent: bool,
}

impl Axis {
    fn new(label: &str, range: Range, percent: bool) -> Self {
        Self {
            label: label.to_owned(),
            range,
            percent,
        }
    }

    /// From zero on.
    pub(crate) fn from_zero(label: &str) -> Self {
        Self::new(label, Range::FromZero, false)
    }

    /// Around the values.
    pub(crate) fn around(label: &str) -> Self {
        Self::new(label, Range::Around, false)
    }

    /// Parts of one, written in percent, around the values.
    pub(crate) fn percent(label: &str) -> Self {
        Self::new(label, Range::Around, true)
    }

    /// Powers of ten around the values, all above zero.
    pub(crate) fn logarithmic(label: &str) -> Self {
        Self::new(label, Range::Logarithmic, false)
    }

    fn scale(&self, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        Scale::new(values, self.range, from, to)
    }

    /// A value in full.
    fn value(&self, value: f64) -> String {
        if self.percent {
            scale::percent(value, 1e-4)
        } else {
            scale::exact(value)
        }
    }

    fn tick(&self, value: f64, step: f64) -> String {
        if self.percent {
            scale::percent(value, step)
        } else {
            scale::short(value, step)
        }
    }
}

/// Marks of one look.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) marks: Vec<Mark>,
    /// Whether a line joins the marks in their order.
    pub(crate) line: bool,
}

/// A value.
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// What it is.
    pub(crate) text: String,
}

impl Chart {
    /// An `svg` element; [`STYLE`] has to be in force around it.
    pub(crate) fn svg(&self) -> Markup {
        let legend = self.legend();
        let down = (legend.1 - 1.0) * LEGEND_LINE;
        let label = format!("{}. {}", self.title, self.caption);
        html! {
            svg .chart role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + down))
                xmlns="http://www.w3.org/2000/svg" {
                text .title x="16" y="24" { (self.title) }
                text .caption x="16" y="42" { (self.caption) }
                (self.plot())
                (legend.0)
            }
        }
    }

    /// All marks, as header and rows.
    pub(crate) fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let header = vec![
            "mark".to_owned(),
            self.x.label.clone(),
            self.y.label.clone(),
        ];
        let rows = self.series.iter().flat_map(|series| &series.marks);
        let row = |mark: &Mark| {
            vec![
                mark.text.clone(),
                self.x.value(mark.x),
                self.y.value(mark.y),
            ]
        };
        (header, rows.map(row).collect())
    }

    fn plot(&self) -> Markup {
        let (left, right, top, bottom) = PLOT;
        let marks = || self.series.iter().flat_map(|series| &series.marks);
        let x = self.x.scale(marks().map(|mark| mark.x), left, right);
        let reference = self.reference.iter().map(|(value, _)| *value);
        let heights = marks().map(|mark| mark.y).chain(reference);
        let y = self.y.scale(heights, bottom, top);
        html! {
            g .grid {
                @for (tick, step) in x.ticks() {
                    line x1=(px(x.at(tick))) x2=(px(x.at(tick))) y1=(top) y2=(bottom) {}
                    text .tick x=(px(x.at(tick))) y=(bottom + 18.0) text-anchor="middle" { (self.x.tick(tick, step)) }
                }
                @for (tick, step) in y.ticks() {
                    line x1=(left) x2=(right) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                    text .tick x=(left - 8.0) y=(px(y.at(tick) + 4.0)) text-anchor="end" { (self.y.tick(tick, step)) }
                }
            }
            text .label x=(px((left + right) / 2.0)) y=(bottom + 38.0) text-anchor="middle" { (self.x.label) }
            text .label transform=(format!("translate(18 {}) rotate(-90)", px((top + bottom) / 2.0))) text-anchor="middle" {
                (self.y.label)
            }
            @if let Some((value, name)) = &self.reference {
                g .reference {
                    line x1=(left) x2=(right) y1=(px(y.at(*value))) y2=(px(y.at(*value))) {}
                    text x=(right) y=(px(y.at(*value) - 5.0)) text-anchor="end" { (name) }
                }
            }
            @for (index, series) in self.series.iter().enumerate() {
                g class=(format!("s{}", index % SERIES_LOOKS)) {
                    @if series.line {
                        polyline points=(polyline(series, &x, &y)) {}
                    }
                    @for mark in &series.marks {
                        (shape(index, x.at(mark.x), y.at(mark.y), &self.tooltip(mark)))
                    }
                }
            }
        }
    }

    fn tooltip(&self, mark: &Mark) -> String {
        let value = |axis: &Axis, value: f64| format!("{}: {}", axis.label, axis.value(value));
        format!(
            "{}\n{}\n{}",
            mark.text,
            value(&self.x, mark.x),
            value(&self.y, mark.y)
        )
    }

    /// The legend, and how many lines it has.
    fn legend(&self) -> (Markup, f64) {
        let (left, right, _, bottom) = PLOT;
        let (mut x, mut line) = (left, 0.0);
        let mut places = Vec::with_capacity(self.series.len());
        for series in &self.series {
            let width = 30.0 + LETTER_WIDTH * series.name.chars().count() as f64;
            if x + width > right && x > left {
                (x, line) = (left, line + 1.0);
            }
            places.push((x, bottom + 58.0 + line * LEGEND_LINE));
            x += width;
        }
        let markup = html! {
            g .legend {
                @for (index, (series, (x, y))) in self.series.iter().zip(places).enumerate() {
                    g class=(format!("s{}", index % SERIES_LOOKS)) { (shape(index, x + 6.0, y - 4.0, &series.name)) }
                    text .key x=(px(x + 16.0)) y=(px(y)) { (series.name) }
                }
            }
        };
        (markup, line + 1.0)
    }
}

/// A coordinate, to a tenth of a unit.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn polyline(series: &Series, x: &Scale, y: &Scale) -> String {
    let point = |mark: &Mark| format!("{},{}", px(x.at(mark.x)), px(y.at(mark.y)));
    series.marks.iter().map(point).collect::<Vec<_>>().join(" ")
}

/// The mark of a series.
fn shape(series: usize, x: f64, y: f64, title: &str) -> Markup {
    // Half sizes that look alike.
    let points = |corners: &[(f64, f64)]| {
        let corner = |(dx, dy): &(f64, f64)| format!("{},{}", px(x + dx), px(y + dy));
        corners.iter().map(corner).collect::<Vec<_>>().join(" ")
    };
    let polygon =
        |corners: &[(f64, f64)]| html! { polygon points=(points(corners)) { title { (title) } } };
    match series % SERIES_LOOKS {
        0 => html! { circle cx=(px(x)) cy=(px(y)) r="4.5" { title { (title) } } },
        1 => polygon(&[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
        2 => polygon(&[(0.0, -5.5), (5.2, 4.0), (-5.2, 4.0)]),
        3 => polygon(&[(0.0, -6.0), (5.0, 0.0), (0.0, 6.0), (-5.0, 0.0)]),
        4 => polygon(&[(0.0, 5.5), (5.2, -4.0), (-5.2, -4.0)]),
        5 => html! { circle .hollow cx=(px(x)) cy=(px(y)) r="4" { title { (title) } } },
        6 => {
            html! { rect .hollow x=(px(x - 3.6)) y=(px(y - 3.6)) width="7.2" height="7.2" { title { (title) } } }
        }
        _ => {
            html! { polygon .hollow points=(points(&[(0.0, -5.5), (5.0, 0.0), (0.0, 5.5), (-5.0, 0.0)])) { title { (title) } } }
        }
    }
}

/// A file of its own: the charts one below the other.
pub(crate) fn document(charts: &[Chart]) -> String {
    let heights: Vec<f64> = charts
        .iter()
        .map(|chart| HEIGHT + (chart.legend().1 - 1.0) * LEGEND_LINE)
        .collect();
    let total: f64 = heights.iter().sum();
    let mut top = 0.0;
    let markup = html! {
        svg .document width=(WIDTH) height=(total) viewBox=(format!("0 0 {WIDTH} {total}")) xmlns="http://www.w3.org/2000/svg" {
            style { (PreEscaped(STYLE)) }
            rect .paper width="100%" height="100%" {}
            @for (chart, height) in charts.iter().zip(heights) {
                g transform=(format!("translate(0 {top})")) {
                    svg width=(WIDTH) height=(height) { (chart.svg()) }
                }
                ({ top += height; "" })
            }
        }
    };
    format!("{}\n", markup.into_string())
}
