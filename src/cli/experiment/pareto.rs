//! `bitweft experiment pareto`.

use anyhow::Result;
use bitweft::quant::{Allocation, Objective};
use clap::Args;

use super::judge::{Judge, TestArguments};
use super::record::{Outcome, Pareto, Point, Record, Setting, series_by_method};
use super::study::{Study, StudyArguments};
use crate::cli::chart::{Axis, Chart};
use crate::cli::console::{Console, grouped, table};
use crate::cli::exit::Exit;

/// Accuracy against cycles over budgets, for every method.
#[derive(Args)]
pub(super) struct ParetoExperiment {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    test: TestArguments,
    /// MAC-weighted average bits; one width for all takes whole ones only, the distribution those from 2 on.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1.5,2,2.5,3,3.5,4,5,6,8"
    )]
    budgets: Vec<f64>,
}

impl ParetoExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        let subject = self.study.subject(1)?;
        let judge = Judge::new(&self.test, &self.study.source, &subject.source, console)?;
        let study = Study::new(&subject, 0, Some(&judge), console)?;
        let mut candidates = Vec::new();
        let mut try_all = |methods: &[fn(f64) -> Allocation], budget: f64| -> Result<()> {
            for method in methods {
                candidates.push(study.candidate(method(budget), Objective::Time)?);
            }
            Ok(())
        };
        // Whole, and refused above 8.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let uniform = |budget: f64| Allocation::Uniform(budget as u8);
        for &budget in &self.budgets {
            try_all(&[Allocation::PerFilter, Allocation::PerLayer], budget)?;
            if budget >= 2.0 {
                try_all(&[Allocation::Distribution], budget)?;
            }
            if budget.fract() == 0.0 {
                try_all(&[uniform], budget)?;
            }
        }
        let record = Record::Pareto(Pareto {
            setting: study.setting()?,
            points: study.points(&candidates)?,
        });
        self.study.finish(console, &record)
    }
}

impl Outcome for Pareto {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn points(&self) -> &[Point] {
        &self.points
    }

    fn text(&self) -> String {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by_key(|point| point.cycles);
        let mut best = f64::NEG_INFINITY;
        let rows = points.into_iter().map(|point| {
            let accuracy = point.accuracy.as_ref();
            let top1 = accuracy.map_or(f64::NEG_INFINITY, |accuracy| accuracy.top1);
            let front = top1 > best;
            best = best.max(top1);
            let number = |of: fn(&super::record::Accuracy) -> f64| {
                accuracy.map_or("-".to_owned(), |accuracy| format!("{:.4}", of(accuracy)))
            };
            vec![
                point.label(),
                format!("{:.3}", point.average_bits),
                grouped(point.weight_bits.div_ceil(8)),
                grouped(point.cycles),
                number(|a| a.top1),
                number(|a| a.divergence),
                if front { "*" } else { "" }.to_owned(),
            ]
        });
        let header = [
            "widths",
            "bits a MAC",
            "weight bytes",
            "cycles",
            "top-1",
            "divergence",
            "front",
        ];
        let rows = rows.collect();
        format!("{}\n{}", table(&header, 1, rows), self.setting.caption())
    }

    fn title(&self) -> &'static str {
        "Accuracy against cycles"
    }

    fn charts(&self) -> Vec<Chart> {
        let mut series = series_by_method(&self.points, |point| {
            Some((point.cycles as f64, point.accuracy.as_ref()?.top1))
        });
        series.iter_mut().for_each(super::record::join);
        vec![Chart {
            title: "Accuracy against cycles".into(),
            caption: self.setting.caption(),
            x: Axis::around("cycles an image"),
            y: Axis::percent("top-1"),
            reference: self.setting.float_line(),
            series,
        }]
    }
}
