//! `bitweft experiment budgets`.

use std::time::Instant;

use anyhow::Result;
use bitweft::quant::{Allocation, Options, Quantizer};
use clap::Args;

use super::judge::{Judge, TestArguments};
use super::record::{BudgetRow, Budgets, Outcome, Record, Setting, Table};
use super::study::SourceArguments;
use crate::cli::chart::{Axis, Chart, Mark, Series};
use crate::cli::console::{Console, grouped, table};
use crate::cli::exit::Exit;

/// Accuracy at budgets, beside the float network's, with time and memory of each quantization.
///
/// Every filter has its width. Nothing is compiled, so that the network may be too large for any architecture.
#[derive(Args)]
pub(super) struct BudgetsExperiment {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    test: TestArguments,
    /// MAC-weighted average bits.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "8,6,5,4"
    )]
    budgets: Vec<f64>,
}

impl BudgetsExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        let source = self.source.load(1)?;
        let judge = Judge::new(&self.test, &self.source, &source, console)?;
        let spinner = console.spinner("calibrating");
        let start = Instant::now();
        let quantizer = Quantizer::new(&source.network, &source.sets[0], Options::default())?;
        let calibration = start.elapsed();
        spinner.finish_and_clear();
        let bar = console.bar(self.budgets.len(), "networks");
        let float = judge.test_set().top1_float;
        let mut rows = Vec::new();
        for &budget in &self.budgets {
            let start = Instant::now();
            let (network, report) = quantizer.quantize(Allocation::PerFilter(budget))?;
            let seconds = (calibration + start.elapsed()).as_secs_f64();
            let peak_bytes = peak_bytes();
            let accuracy = judge.judge(&network)?;
            rows.push(BudgetRow {
                budget,
                average_bits: report.average_bits,
                weight_bits: report.weight_bits,
                top1_relative: accuracy.top1 / float.max(f64::MIN_POSITIVE),
                accuracy,
                seconds,
                peak_bytes,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let setting = self
            .source
            .setting(&source, &quantizer, Some(&judge), None)?;
        let record = Record::Budgets(Budgets { setting, rows });
        self.source.finish(console, &record)
    }
}

/// Largest resident memory of this process so far, where the system tells (Linux).
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

impl Budgets {
    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let header = [
            "bits allowed",
            "bits a MAC",
            "weight bytes",
            "top-1",
            "of float",
            "float's class",
            "divergence",
            "seconds",
            "peak MiB",
        ];
        let rows = self.rows.iter().map(|row| {
            vec![
                row.budget.to_string(),
                format!("{:.3}", row.average_bits),
                grouped(row.weight_bits.div_ceil(8)),
                format!("{:.4}", row.accuracy.top1),
                format!("{:.3}", row.top1_relative),
                format!("{:.3}", row.accuracy.agreement),
                format!("{:.4}", row.accuracy.divergence),
                format!("{:.1}", row.seconds),
                row.peak_bytes
                    .map_or("-".to_owned(), |bytes| grouped(bytes >> 20)),
            ]
        });
        (header.map(str::to_owned).to_vec(), rows.collect())
    }
}

impl Outcome for Budgets {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn text(&self) -> String {
        let (header, rows) = self.table();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let float = self.setting.test.as_ref().map_or(0.0, |t| t.top1_float);
        let caption = self.setting.caption();
        format!(
            "{}\n{caption}; float: top-1 {float:.4}",
            table(&header, 0, rows)
        )
    }

    fn title(&self) -> &'static str {
        "Accuracy at budgets"
    }

    fn tables(&self) -> Vec<Table> {
        let (header, rows) = self.table();
        let caption =
            "A width a filter; seconds of the whole quantization, peak memory of the process.";
        vec![(caption.to_owned(), header, rows)]
    }

    fn charts(&self) -> Vec<Chart> {
        let marks = self.rows.iter().map(|row| Mark {
            x: row.average_bits,
            y: row.accuracy.top1,
            text: format!("per filter, {} bits", row.budget),
        });
        let mut series = Series {
            name: "per filter".into(),
            marks: marks.collect(),
            line: true,
        };
        super::record::join(&mut series);
        vec![Chart {
            title: "Accuracy at budgets".into(),
            caption: self.setting.caption(),
            x: Axis::around("MACs x bits / MACs"),
            y: Axis::percent("top-1"),
            reference: self.setting.float_line(),
            series: vec![series],
        }]
    }
}
