//! `bitweft experiment objective`.

use anyhow::Result;
use bitweft::quant::{Allocation, Objective};
use clap::Args;

use super::judge::{Judge, TestArguments};
use super::record::{
    Accuracy, Level, ObjectiveComparison, Outcome, Pair, Point, Record, Setting, Side, Table, join,
    series_by_method,
};
use super::study::{Study, StudyArguments};
use crate::cli::chart::{Axis, Chart};
use crate::cli::console::{Console, grouped, table};
use crate::cli::exit::Exit;
use crate::cli::statistics::{reaches, rising};

/// Budgets of MACs x bits (time) against budgets of weights x bits (size): cycles at equal accuracy.
///
/// Both objectives give every filter a width. Every network of the size budgets is paired with that of the time
/// budgets whose divergence from the float network is nearest (among those whose top-1 differs by --tolerance at most), since
/// divergence is steadier than top-1. Beside the pairs: the cycles at which either sweep reaches an accuracy, on its
/// nearest rising curve.
#[derive(Args)]
pub(super) struct ObjectiveExperiment {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    test: TestArguments,
    /// Bits on the average that the objective counts.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1.5,1.75,2,2.25,2.5,2.75,3,3.25,3.5,3.75,4,4.5,5"
    )]
    budgets: Vec<f64>,
    /// Largest difference of top-1 within a pair, in points.
    #[arg(long, value_name = "POINTS", default_value_t = 0.3, value_parser = points)]
    tolerance: f64,
    /// Losses of top-1 against the float network at which cycles are compared, in points.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = points,
        default_value = "0.5,1,2,4"
    )]
    losses: Vec<f64>,
}

/// Points of top-1: a number of 0 to 100.
fn points(text: &str) -> Result<f64, String> {
    let points: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.0..=100.0).contains(&points) {
        Ok(points)
    } else {
        Err(format!("`{text}`: points of top-1 are from 0 to 100"))
    }
}

impl ObjectiveExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        let subject = self.study.subject(1)?;
        let judge = Judge::new(&self.test, &self.study.source, &subject.source, console)?;
        let study = Study::new(&subject, 0, Some(&judge), console)?;
        let mut candidates = Vec::new();
        for objective in [Objective::Size, Objective::Time] {
            for &budget in &self.budgets {
                candidates.push(study.candidate(Allocation::PerFilter(budget), objective)?);
            }
        }
        let points = study.points(&candidates)?;
        let tolerance = self.tolerance / 100.0;
        let pairs = pairs(&points, tolerance);
        let saved: f64 = pairs.iter().map(|pair| pair.saved).sum();
        let float = judge.test_set().top1_float;
        let record = Record::Objective(ObjectiveComparison {
            setting: study.setting()?,
            tolerance,
            saved_mean: (!pairs.is_empty()).then(|| saved / pairs.len() as f64),
            pairs,
            levels: self
                .losses
                .iter()
                .map(|loss| level(&points, float, *loss))
                .collect(),
            points,
        });
        self.study.finish(console, &record)
    }
}

fn sides(points: &[Point], objective: Objective) -> Vec<Side> {
    points
        .iter()
        .filter(|point| point.objective == Some(objective))
        .filter_map(|point| {
            let Accuracy {
                top1, divergence, ..
            } = point.accuracy.clone()?;
            Some(Side {
                budget: point.budget?,
                average_bits: point.average_bits,
                average_weight_bits: point.average_weight_bits,
                cycles: point.cycles,
                top1,
                divergence,
            })
        })
        .collect()
}

/// Part of `size`'s cycles that `time` saves.
fn saved(size: f64, time: f64) -> f64 {
    1.0 - time / size.max(1.0)
}

/// Each network of the size budgets with the most alike of the time budgets, if there is one alike.
fn pairs(points: &[Point], tolerance: f64) -> Vec<Pair> {
    let time = sides(points, Objective::Time);
    let apart = |a: &Side, b: &Side| (a.divergence / b.divergence).ln().abs();
    sides(points, Objective::Size)
        .into_iter()
        .filter_map(|size| {
            let alike = time
                .iter()
                .filter(|time| (time.top1 - size.top1).abs() <= tolerance + 1e-12)
                .min_by(|a, b| apart(a, &size).total_cmp(&apart(b, &size)))?;
            Some(Pair {
                saved: saved(size.cycles as f64, alike.cycles as f64),
                time: alike.clone(),
                size,
            })
        })
        .collect()
}

fn level(points: &[Point], float: f64, loss: f64) -> Level {
    let top1 = float - loss / 100.0;
    let cycles = |objective| {
        let sides = sides(points, objective);
        let curve = sides.iter().map(|side| (side.cycles as f64, side.top1));
        reaches(&rising(curve.collect()), top1)
    };
    let (cycles_size, cycles_time) = (cycles(Objective::Size), cycles(Objective::Time));
    Level {
        loss,
        top1,
        cycles_size,
        cycles_time,
        saved: cycles_size
            .zip(cycles_time)
            .map(|(size, time)| saved(size, time)),
    }
}

/// A part in percent.
fn percent(part: f64) -> String {
    format!("{:.1}", 100.0 * part)
}

impl ObjectiveComparison {
    /// Header and rows of the table of pairs, for terminal and page.
    fn pair_table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut header = Vec::new();
        for what in [
            "bits a MAC",
            "bits a weight",
            "cycles",
            "top-1",
            "divergence",
        ] {
            header.extend(["size", "time"].map(|objective| format!("{what}, {objective}")));
        }
        header.push("cycles saved, %".to_owned());
        let rows = self.pairs.iter().map(|pair| {
            let mut line = Vec::new();
            let mut put = |of: &dyn Fn(&Side) -> String| {
                line.extend([of(&pair.size), of(&pair.time)]);
            };
            put(&|side| format!("{:.2}", side.average_bits));
            put(&|side| format!("{:.2}", side.average_weight_bits));
            put(&|side| grouped(side.cycles));
            put(&|side| format!("{:.4}", side.top1));
            put(&|side| format!("{:.4}", side.divergence));
            line.push(percent(pair.saved));
            line
        });
        let rows = rows.collect();
        (header, rows)
    }

    /// Header and rows of the table of levels, for terminal and page.
    fn level_table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let header = [
            "points below float",
            "top-1",
            "cycles, size",
            "cycles, time",
            "cycles saved, %",
        ];
        let cycles = |cycles: Option<f64>| match cycles {
            // Positive, far inside u64.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(cycles) => grouped(cycles.round() as u64),
            None => "-".to_owned(),
        };
        let rows = self.levels.iter().map(|level| {
            vec![
                format!("{}", level.loss),
                format!("{:.4}", level.top1),
                cycles(level.cycles_size),
                cycles(level.cycles_time),
                level.saved.map_or("-".to_owned(), percent),
            ]
        });
        (header.map(str::to_owned).to_vec(), rows.collect())
    }
}

impl Outcome for ObjectiveComparison {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn points(&self) -> &[Point] {
        &self.points
    }

    fn text(&self) -> String {
        let text = |(header, rows): (Vec<String>, Vec<Vec<String>>)| {
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            table(&header, 0, rows)
        };
        let mean = self.saved_mean.map_or("-".to_owned(), percent);
        format!(
            "{}\n{}\n{}\nbudgets of time take {mean} % fewer cycles than budgets of size: mean over {} pairs within {} points of top-1",
            text(self.level_table()),
            text(self.pair_table()),
            self.setting.caption(),
            self.pairs.len(),
            100.0 * self.tolerance,
        )
    }

    fn title(&self) -> &'static str {
        "Budgets of time against budgets of size"
    }

    fn tables(&self) -> Vec<Table> {
        let (header, rows) = self.level_table();
        let levels = (
            "Cycles at which either sweep reaches an accuracy.".to_owned(),
            header,
            rows,
        );
        let (header, rows) = self.pair_table();
        let mean = self.saved_mean.map_or("-".to_owned(), percent);
        let caption = format!(
            "Networks of both sweeps that are about equally good (top-1 within {} points): counting time saves {mean} % of the cycles on average.",
            100.0 * self.tolerance
        );
        vec![levels, (caption, header, rows)]
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |title: &str, y: Axis, of: fn(&Accuracy) -> f64| {
            let mut series = series_by_method(&self.points, |point| {
                Some((point.cycles as f64, of(point.accuracy.as_ref()?)))
            });
            series.iter_mut().for_each(join);
            Chart {
                title: title.to_owned(),
                caption: self.setting.caption(),
                x: Axis::around("cycles an image"),
                y,
                reference: None,
                series,
            }
        };
        let mut accuracy = chart(
            "Budgets of time and of size: accuracy",
            Axis::percent("top-1"),
            |a| a.top1,
        );
        accuracy.reference = self.setting.float_line();
        let divergence = chart(
            "Budgets of time and of size: divergence from the float network",
            Axis::logarithmic("mean divergence, nats"),
            |a| a.divergence,
        );
        vec![accuracy, divergence]
    }
}
