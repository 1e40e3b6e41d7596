//! The page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::bars::{self, Bar};
use super::heat::{self, Row};
use super::input::Input;
use crate::cli::chart::{Chart, STYLE};
use crate::cli::compile::Program;
use crate::cli::console::grouped;
use crate::cli::evaluate::Accuracy;
use crate::cli::experiment::record::{Method, Point, Record};
use crate::cli::inspect::Inspection;
use crate::cli::quantize::Quantized;
use crate::cli::verify::Verification;

const PAGE_STYLE: &str = include_str!("page.css");

/// A part of the page with an entry in the list of contents.
struct Section {
    title: String,
    /// What it was made with.
    subtitle: String,
    body: Markup,
}

/// The whole page, self-contained.
pub(super) fn page(inputs: &[Input]) -> String {
    let mut sections: Vec<Section> = accuracies(inputs).into_iter().collect();
    sections.extend(inputs.iter().filter_map(section));
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "bitweft report" }
                style { (PreEscaped(STYLE)) (PreEscaped(PAGE_STYLE)) }
            }
            body {
                header {
                    h1 { "bitweft report" }
                    p { "Widths of filters, what they cost on the processor and what they keep of the network. Cycles are \
                        the compiler's exact prediction; where a network was simulated, they are the processor's own counters." }
                    nav aria-label="Contents" {
                        ol {
                            @for (index, section) in sections.iter().enumerate() {
                                li { a href=(format!("#part{index}")) { (section.title) } " " span .muted { (section.subtitle) } }
                            }
                        }
                    }
                }
                main {
                    @for (index, section) in sections.iter().enumerate() {
                        section id=(format!("part{index}")) {
                            h2 { (section.title) }
                            p .muted { (section.subtitle) }
                            (section.body)
                        }
                    }
                }
            }
        }
    };
    format!("{}\n", markup.into_string())
}

fn section(input: &Input) -> Option<Section> {
    match input {
        Input::Experiment(record) => Some(experiment(record)),
        Input::Quantize(result) => Some(quantized(result)),
        Input::Inspect(result) => Some(inspected(result)),
        Input::Evaluate(_) => None,
        Input::Compile(result) => Some(compiled(result)),
        Input::Verify(result) => Some(verified(result)),
    }
}

/// All results of `evaluate` in one table.
fn accuracies(inputs: &[Input]) -> Option<Section> {
    let rows: Vec<Vec<String>> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Evaluate(found) => Some(accuracy_row(found)),
            _ => None,
        })
        .collect();
    let header = ["network", "arithmetic", "images", "top-1", "top-5"].map(str::to_owned);
    (!rows.is_empty()).then(|| Section {
        title: "Accuracy".into(),
        subtitle: "on the golden model".into(),
        body: table(&header, &rows),
    })
}

fn accuracy_row(found: &Accuracy) -> Vec<String> {
    vec![
        found.network.clone(),
        found.arithmetic.clone(),
        grouped(found.images as u64),
        format!("{:.4}", found.top1),
        format!("{:.4}", found.top5),
    ]
}

/// A table whose first column names its rows.
fn table(header: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        div .scroll tabindex="0" {
            table {
                thead { tr { @for name in header { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows {
                        tr { @for cell in row { td { (cell) } } }
                    }
                }
            }
        }
    }
}

/// A chart, and its values for those who cannot see it.
fn figure(chart: &Chart) -> Markup {
    let (header, rows) = chart.table();
    html! {
        figure {
            (chart.svg())
            details { summary { "Values" } (table(&header, &rows)) }
        }
    }
}

fn experiment(record: &Record) -> Section {
    let outcome = record.outcome();
    let points = outcome.points();
    let measured = points
        .iter()
        .filter(|point| point.measured.is_some())
        .count();
    let wrong: u64 = points
        .iter()
        .filter_map(|point| point.measured.as_ref())
        .map(|measured| measured.mismatches + measured.counter_mismatches)
        .sum();
    let shown: Vec<&Point> = points
        .iter()
        .filter(|point| point.method == Method::PerFilter)
        .collect();
    let body = html! {
        @for (caption, header, rows) in outcome.tables() {
            p { (caption) }
            (table(&header, &rows))
        }
        div .charts { @for chart in outcome.charts() { (figure(&chart)) } }
        @if measured > 0 {
            p { (measured) " of " (points.len()) " networks were simulated on the Verilated processor: " (wrong)
                " bytes and counters differ." }
        }
        @if !shown.is_empty() {
            h3 { "Widths and cycles of the networks with a width a filter" }
            @for point in shown { (network(point)) }
        }
    };
    Section {
        title: outcome.title().to_owned(),
        subtitle: outcome.setting().caption(),
        body,
    }
}

/// A network of an experiment, folded.
fn network(point: &Point) -> Markup {
    let title = point.label();
    let accuracy = point.accuracy.as_ref().map_or(String::new(), |accuracy| {
        format!(", top-1 {:.4}", accuracy.top1)
    });
    let rows: Vec<Row<'_>> = point
        .widths
        .iter()
        .map(|layer| Row {
            name: &layer.name,
            bits: &layer.bits,
        })
        .collect();
    let bars: Vec<Bar<'_>> = point
        .layers
        .iter()
        .map(|layer| Bar {
            name: &layer.name,
            cycles: layer.cycles_predicted,
            bound: layer.bound_cycles,
        })
        .collect();
    html! {
        details {
            summary {
                (title) ": " (format!("{:.2}", point.average_bits)) " bits a MAC, " (grouped(point.cycles)) " cycles" (accuracy)
            }
            (heat::map(&title, &rows))
            (bars::chart(&title, &bars))
        }
    }
}

fn quantized(result: &Quantized) -> Section {
    let report = &result.report;
    let rows: Vec<Row<'_>> = report
        .layers
        .iter()
        .map(|layer| Row {
            name: &layer.name,
            bits: &layer.bits,
        })
        .collect();
    Section {
        title: format!("Widths of {}", result.network),
        subtitle: format!(
            "{:.2} bits a MAC, {:.2} bits a weight: {} weights in {} bytes",
            report.average_bits,
            report.average_weight_bits,
            grouped(report.weights),
            grouped(report.weight_bits.div_ceil(8))
        ),
        body: heat::map(&result.network, &rows),
    }
}

fn inspected(result: &Inspection) -> Section {
    let rows: Vec<Row<'_>> = result
        .layers
        .iter()
        .filter_map(|layer| {
            let bits = layer.bits.as_ref()?;
            Some(Row {
                name: &layer.name,
                bits: &bits.filters,
            })
        })
        .collect();
    let header = ["layer", "operation", "MACs", "weights", "bits"].map(str::to_owned);
    let lines: Vec<Vec<String>> = result
        .layers
        .iter()
        .map(|layer| {
            let bits = layer.bits.as_ref();
            vec![
                layer.name.clone(),
                layer.operation.clone(),
                grouped(layer.macs),
                grouped(layer.weights),
                bits.map_or(String::new(), |bits| format!("{:.2}", bits.average)),
            ]
        })
        .collect();
    let average = result
        .average_bits
        .map_or(String::new(), |bits| format!(", {bits:.2} bits a MAC"));
    Section {
        title: format!("Layers of {}", result.network),
        subtitle: format!(
            "{} network: {} MACs, {} weights{average}",
            result.arithmetic,
            grouped(result.macs),
            grouped(result.weights)
        ),
        body: html! {
            @if !rows.is_empty() { (heat::map(&result.network, &rows)) }
            (table(&header, &lines))
        },
    }
}

fn compiled(result: &Program) -> Section {
    let bars: Vec<Bar<'_>> = result
        .layers
        .iter()
        .map(|layer| Bar {
            name: &layer.name,
            cycles: layer.cycles_predicted,
            bound: layer.bound_cycles,
        })
        .collect();
    Section {
        title: format!("Cycles of {} on {}", result.network, result.architecture),
        subtitle: format!(
            "{} cycles an image, predicted; at least {:.0} by the array; {} descriptors, {} phases",
            grouped(result.cycles_predicted),
            result.bound_cycles,
            result.descriptors,
            result.phases
        ),
        body: bars::chart(&result.network, &bars),
    }
}

fn verified(result: &Verification) -> Section {
    let findings = &result.findings;
    let bars: Vec<Bar<'_>> = findings
        .layers
        .iter()
        .map(|layer| Bar {
            name: &layer.name,
            cycles: layer.cycles_measured,
            bound: layer.bound_cycles,
        })
        .collect();
    Section {
        title: format!("Cycles of {} on {}", result.network, result.architecture),
        subtitle: format!(
            "{} cycles an image, measured; at least {:.0} by the array; {} of {} bytes and {} counters of {} descriptors differ from the golden models",
            grouped(result.cycles_measured),
            result.bound_cycles,
            grouped(findings.mismatches + findings.machine_mismatches),
            grouped(result.bytes),
            findings.counter_mismatches,
            result.descriptors
        ),
        body: bars::chart(&result.network, &bars),
    }
}
