//! `bitweft experiment granularity`.

use anyhow::Result;
use bitweft::quant::{Allocation, Objective};
use clap::Args;

use super::judge::{Judge, TestArguments};
use super::record::{
    Accuracy, Cell, Comparison, Granularity, Method, Outcome, Point, Record, Row, Setting, Table,
    series_by_method,
};
use super::study::{Study, StudyArguments};
use crate::cli::chart::{Axis, Chart};
use crate::cli::console::{Console, grouped, table};
use crate::cli::exit::{Exit, UsageError};
use crate::cli::statistics::Difference;

/// Accuracy of one width for all, a width a layer and a width a filter, at equal MACs x bits.
///
/// One width for all exists for whole budgets only: between them, accuracy and cycles of the two whole ones around are
/// interpolated, and marked with ~. The divergence is the mean Kullback-Leibler divergence from the float network's
/// classes, in nats: steadier than top-1. Differences of top-1 are tested on the same images (McNemar).
#[derive(Args)]
pub(super) struct GranularityExperiment {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    test: TestArguments,
    /// MAC-weighted average bits.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "2.5,3,4"
    )]
    budgets: Vec<f64>,
    /// Repeat with N disjoint sets of calibration images, and take the means.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    calibration_sets: u8,
}

impl GranularityExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        if let Some(budget) = self.budgets.iter().find(|b| !(0.0..=8.0).contains(*b)) {
            return Err(UsageError(format!("--budgets {budget}: from 0 to 8 bits")).into());
        }
        let sets = usize::from(self.calibration_sets);
        let subject = self.study.subject(sets)?;
        let judge = Judge::new(&self.test, &self.study.source, &subject.source, console)?;
        let mut setting = None;
        let mut points = Vec::new();
        for set in 0..sets {
            let study = Study::new(&subject, set, Some(&judge), console)?;
            let mut candidates = Vec::new();
            for bits in self.whole() {
                candidates.push(study.candidate(Allocation::Uniform(bits), Objective::Time)?);
            }
            for &budget in &self.budgets {
                for allocation in [Allocation::PerLayer, Allocation::PerFilter] {
                    candidates.push(study.candidate(allocation(budget), Objective::Time)?);
                }
            }
            points.extend(study.points(&candidates)?);
            setting.get_or_insert(study.setting()?);
        }
        let Some(setting) = setting else {
            anyhow::bail!("no calibration sets");
        };
        let row = |budget: &f64| row(*budget, &points);
        let record = Record::Granularity(Granularity {
            rows: self.budgets.iter().map(row).collect(),
            calibration_sets: sets,
            setting,
            points,
        });
        self.study.finish(console, &record)
    }

    /// Whole widths at or around the budgets, in order.
    fn whole(&self) -> Vec<u8> {
        let around = |budget: &f64| {
            // Within 0..=8.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let ends = [budget.floor() as u8, budget.ceil() as u8];
            ends
        };
        let mut bits: Vec<u8> = self.budgets.iter().flat_map(around).collect();
        bits.sort_unstable();
        bits.dedup();
        bits
    }
}

fn row(budget: f64, points: &[Point]) -> Row {
    let cell = |method| mean(points, method, budget);
    let uniform = cell(Method::Uniform).or_else(|| {
        let (low, high) = (budget.floor(), budget.ceil());
        let ends = mean(points, Method::Uniform, low).zip(mean(points, Method::Uniform, high));
        ends.map(|(a, b)| interpolate(&a, &b, budget - low))
    });
    let (per_layer, per_filter) = (cell(Method::PerLayer), cell(Method::PerFilter));
    let cells = [
        (Method::PerFilter, &per_filter),
        (Method::PerLayer, &per_layer),
        (Method::Uniform, &uniform),
    ];
    let compare = |first: usize, second: usize| {
        let (a, b) = cells[first].1.as_ref().zip(cells[second].1.as_ref())?;
        Some(Comparison {
            first: cells[first].0,
            second: cells[second].0,
            difference: Difference::of(&a.hits, &b.hits),
        })
    };
    let pairs = [(0, 1), (1, 2), (0, 2)];
    Row {
        budget,
        differences: pairs
            .into_iter()
            .filter_map(|(a, b)| compare(a, b))
            .collect(),
        uniform,
        per_layer,
        per_filter,
    }
}

/// Over all calibration sets.
fn mean(points: &[Point], method: Method, budget: f64) -> Option<Cell> {
    let own: Vec<(&Point, &Accuracy)> = points
        .iter()
        .filter(|point| point.method == method && point.budget == Some(budget))
        .filter_map(|point| Some((point, point.accuracy.as_ref()?)))
        .collect();
    let mean = |of: &dyn Fn(&(&Point, &Accuracy)) -> f64| {
        own.iter().map(of).sum::<f64>() / own.len().max(1) as f64
    };
    let top1 = mean(&|(_, accuracy)| accuracy.top1);
    let squares = mean(&|(_, accuracy)| (accuracy.top1 - top1).powi(2));
    (!own.is_empty()).then(|| Cell {
        average_bits: mean(&|(point, _)| point.average_bits),
        cycles: mean(&|(point, _)| point.cycles as f64),
        top1,
        top1_deviation: squares.sqrt(),
        divergence: mean(&|(_, accuracy)| accuracy.divergence),
        interpolated: false,
        hits: (0..own[0].1.hits.len())
            .map(|image| mean(&|(_, accuracy)| accuracy.hits[image]))
            .collect(),
    })
}

fn interpolate(low: &Cell, high: &Cell, part: f64) -> Cell {
    let between = |low: f64, high: f64| low + part * (high - low);
    Cell {
        average_bits: between(low.average_bits, high.average_bits),
        cycles: between(low.cycles, high.cycles),
        top1: between(low.top1, high.top1),
        top1_deviation: between(low.top1_deviation, high.top1_deviation),
        divergence: between(low.divergence, high.divergence),
        interpolated: true,
        hits: low
            .hits
            .iter()
            .zip(&high.hits)
            .map(|(low, high)| between(*low, *high))
            .collect(),
    }
}

impl Granularity {
    /// Header and rows of the table of accuracies, for terminal and page.
    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let columns = ["uniform", "per layer", "per filter"];
        let mut header = vec!["bits a MAC".to_owned()];
        for what in ["top-1", "divergence", "cycles"] {
            header.extend(columns.iter().map(|column| format!("{what}, {column}")));
        }
        let rows = self.rows.iter().map(|row| {
            let cells = [&row.uniform, &row.per_layer, &row.per_filter];
            let mut line = vec![format!("{}", row.budget)];
            let mut put = |of: &dyn Fn(&Cell) -> String| {
                line.extend(cells.iter().map(|cell| match cell {
                    Some(cell) if cell.interpolated => format!("~{}", of(cell)),
                    Some(cell) => of(cell),
                    None => "-".into(),
                }));
            };
            put(&|cell| format!("{:.4}", cell.top1));
            put(&|cell| format!("{:.4}", cell.divergence));
            // Positive, far inside u64.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            put(&|cell| grouped(cell.cycles.round() as u64));
            line
        });
        let rows = rows.collect();
        (header, rows)
    }
}

impl Granularity {
    /// Header and rows of the table of differences.
    fn comparisons(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut header = vec!["top-1, points".to_owned()];
        let first = self.rows.first().map_or(&[][..], |row| &row.differences);
        let names = first.iter().map(|c| (c.first.name(), c.second.name()));
        header.extend(names.map(|(first, second)| format!("{first} - {second}")));
        let line = |row: &Row| {
            let own = row.differences.iter().map(|c| c.difference.points());
            std::iter::once(row.budget.to_string()).chain(own).collect()
        };
        (header, self.rows.iter().map(line).collect())
    }
}

impl Outcome for Granularity {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn points(&self) -> &[Point] {
        &self.points
    }

    fn text(&self) -> String {
        let (header, rows) = self.table();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let (comparisons, lines) = self.comparisons();
        let comparisons: Vec<&str> = comparisons.iter().map(String::as_str).collect();
        format!(
            "{}\n{}\n{}; means over {} calibration sets",
            table(&header, 0, rows),
            table(&comparisons, 0, lines),
            self.setting.caption(),
            self.calibration_sets,
        )
    }

    fn title(&self) -> &'static str {
        "One width for all, a width a layer, a width a filter"
    }

    fn tables(&self) -> Vec<Table> {
        let (header, rows) = self.table();
        let caption = format!(
            "At equal MACs x bits; means over {} calibration sets. ~: between the two whole widths around.",
            self.calibration_sets
        );
        let (comparisons, lines) = self.comparisons();
        let meaning = "Differences of top-1 in points, on the same images, with their standard errors; p: \
                       how often images of equal means would differ by as much (McNemar's test).";
        vec![
            (caption, header, rows),
            (meaning.to_owned(), comparisons, lines),
        ]
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |title: &str, y: Axis, of: fn(&Accuracy) -> f64| Chart {
            title: title.to_owned(),
            caption: self.setting.caption(),
            x: Axis::around("MACs x bits / MACs"),
            y,
            reference: None,
            series: series_by_method(&self.points, |point| {
                Some((point.average_bits, of(point.accuracy.as_ref()?)))
            }),
        };
        let mut accuracy = chart(
            "Accuracy at equal complexity",
            Axis::percent("top-1"),
            |a| a.top1,
        );
        accuracy.reference = self.setting.float_line();
        let divergence = chart(
            "Divergence from the float network at equal complexity",
            Axis::logarithmic("mean divergence, nats"),
            |a| a.divergence,
        );
        vec![accuracy, divergence]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_whole_widths_cells_are_interpolated() {
        let cell = |value: f64| Cell {
            average_bits: value,
            cycles: 100.0 * value,
            top1: value / 10.0,
            top1_deviation: 0.0,
            divergence: 1.0 / value,
            interpolated: false,
            hits: vec![value, 0.0],
        };
        let found = interpolate(&cell(2.0), &cell(3.0), 0.25);
        assert!(found.interpolated);
        assert!((found.cycles - 225.0).abs() < 1e-9 && (found.top1 - 0.225).abs() < 1e-9);
        assert_eq!(found.hits, [2.25, 0.0]);
    }
}
