//! `bitweft experiment ablation`.

use std::time::Instant;

use anyhow::Result;
use bitweft::quant::{
    Allocation, Options, Quantizer, RangeMethod, StepSearch, WeightRounding, Weighting,
};
use clap::Args;

use super::judge::{Judge, TestArguments};
use super::record::{Ablation, Accuracy, Outcome, Record, Setting, Table, Variant};
use super::study::SourceArguments;
use crate::cli::chart::{Axis, Chart, Mark, Series};
use crate::cli::console::{Console, table};
use crate::cli::exit::Exit;
use crate::cli::statistics::Difference;

/// What each part of the quantization gains: the defaults with one thing changed at a time.
///
/// Differences of top-1 from the defaults are on the same images, with their standard error and the probability of
/// as large a one by chance (McNemar). The divergence is the mean Kullback-Leibler divergence from the float
/// network's classes, in nats: steadier than top-1.
#[derive(Args)]
pub(super) struct AblationExperiment {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    test: TestArguments,
    /// MAC-weighted average bits.
    #[arg(long, value_name = "BITS", default_value_t = 3.0)]
    budget: f64,
}

/// The name of the row that the others are compared with.
const DEFAULTS: &str = "defaults";

type Change = fn(&mut Options);

/// Part, choice, and how the defaults are changed to it.
const CHANGES: [(&str, &str, Change); 16] = [
    (DEFAULTS, "", |_| ()),
    ("widths", "distribution of the weights", |o| {
        if let Allocation::PerFilter(budget) = o.allocation {
            o.allocation = Allocation::Distribution(budget);
        }
    }),
    ("widths", "error of the weights", |o| {
        o.weighting = Weighting::Weights;
    }),
    ("widths", "error of the outputs", |o| {
        o.weighting = Weighting::Output;
    }),
    ("widths", "error as a part of the outputs", |o| {
        o.weighting = Weighting::Energy;
    }),
    ("widths", "one a layer", |o| {
        if let Allocation::PerFilter(budget) = o.allocation {
            o.allocation = Allocation::PerLayer(budget);
        }
    }),
    ("rounding", "nearest", |o| {
        o.weight_rounding = WeightRounding::Nearest;
    }),
    ("rounding", "adaround", |o| {
        o.weight_rounding = WeightRounding::AdaRound;
    }),
    ("step", "from the largest weight", |o| {
        o.step = StepSearch::Widest;
    }),
    ("step", "of nearest rounding", |o| {
        o.step = StepSearch::Nearest;
    }),
    ("regression", "none", |o| o.regression = false),
    ("bias", "as given", |o| o.bias_correction = false),
    ("activations", "smallest to largest", |o| {
        o.activation_range = RangeMethod::MinMax;
    }),
    ("activations", "all but 1e-4 a side", |o| {
        o.activation_range = RangeMethod::Percentile(1e-4);
    }),
    ("activations", "all but 1e-3 a side", |o| {
        o.activation_range = RangeMethod::Percentile(1e-3);
    }),
    ("all", "plain rounding to nearest", |o| {
        o.weighting = Weighting::Weights;
        o.weight_rounding = WeightRounding::Nearest;
        o.step = StepSearch::Widest;
        o.regression = false;
        o.bias_correction = false;
        o.activation_range = RangeMethod::MinMax;
    }),
];

impl AblationExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        let source = self.source.load(1)?;
        let judge = Judge::new(&self.test, &self.source, &source, console)?;
        let spinner = console.spinner("calibrating");
        let defaults = Options {
            allocation: Allocation::PerFilter(self.budget),
            ..Options::default()
        };
        let quantizer = Quantizer::new(&source.network, &source.sets[0], defaults.clone())?;
        spinner.finish_and_clear();
        let bar = console.bar(CHANGES.len(), "networks");
        let mut variants: Vec<Variant> = Vec::new();
        for (part, choice, change) in CHANGES {
            let mut options = defaults.clone();
            change(&mut options);
            let start = Instant::now();
            let allocation = options.allocation;
            let (network, report) = quantizer.variant(options)?.quantize(allocation)?;
            let seconds = start.elapsed().as_secs_f64();
            let accuracy = judge.judge(&network)?;
            let reference = variants.first().map_or(&accuracy, |first| &first.accuracy);
            variants.push(Variant {
                part: part.to_owned(),
                choice: choice.to_owned(),
                average_bits: report.average_bits,
                difference: Difference::of(&accuracy.hits, &reference.hits),
                accuracy,
                seconds,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let setting = self
            .source
            .setting(&source, &quantizer, Some(&judge), None)?;
        let record = Record::Ablation(Ablation {
            setting,
            budget: self.budget,
            variants,
        });
        self.source.finish(console, &record)
    }
}

impl Ablation {
    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let header = [
            "part",
            "choice",
            "bits a MAC",
            "top-1",
            "points from the defaults",
            "divergence",
            "float's class",
            "seconds",
        ];
        let rows = self.variants.iter().map(|variant| {
            let Accuracy {
                top1,
                divergence,
                agreement,
                ..
            } = variant.accuracy;
            vec![
                variant.part.clone(),
                variant.choice.clone(),
                format!("{:.3}", variant.average_bits),
                format!("{top1:.4}"),
                match variant.part.as_str() {
                    DEFAULTS => String::new(),
                    _ => variant.difference.points(),
                },
                format!("{divergence:.4}"),
                format!("{agreement:.4}"),
                format!("{:.1}", variant.seconds),
            ]
        });
        (header.map(str::to_owned).to_vec(), rows.collect())
    }
}

impl Outcome for Ablation {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn text(&self) -> String {
        let (header, rows) = self.table();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let (budget, caption) = (self.budget, self.setting.caption());
        format!(
            "{}\n{budget} bits a MAC; {caption}",
            table(&header, 2, rows)
        )
    }

    fn title(&self) -> &'static str {
        "What each part of the quantization gains"
    }

    fn tables(&self) -> Vec<Table> {
        let (header, rows) = self.table();
        let caption = format!(
            "The defaults with one thing changed at a time, {} bits a MAC.",
            self.budget
        );
        vec![(caption, header, rows)]
    }

    fn charts(&self) -> Vec<Chart> {
        let mut series: Vec<Series> = Vec::new();
        for variant in &self.variants {
            let mark = Mark {
                x: variant.accuracy.divergence,
                y: variant.accuracy.top1,
                text: format!("{} {}", variant.part, variant.choice),
            };
            match series.iter_mut().find(|s| s.name == variant.part) {
                Some(series) => series.marks.push(mark),
                None => series.push(Series {
                    name: variant.part.clone(),
                    marks: vec![mark],
                    line: false,
                }),
            }
        }
        vec![Chart {
            title: format!("Variants at {} bits a MAC", self.budget),
            caption: self.setting.caption(),
            x: Axis::logarithmic("mean divergence, nats"),
            y: Axis::percent("top-1"),
            reference: self.setting.float_line(),
            series,
        }]
    }
}
