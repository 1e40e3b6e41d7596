//! What experiments write as JSON, and what `bitweft report` reads.

use bitweft::quant::Objective;
use serde::{Deserialize, Serialize};

use crate::cli::chart::{Chart, Mark, Series};
use crate::cli::compile::Layer;
use crate::cli::statistics::Difference;

/// Any experiment's result.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "experiment", rename_all = "kebab-case")]
pub(crate) enum Record {
    Correlation(Correlation),
    Granularity(Granularity),
    Objective(ObjectiveComparison),
    Pareto(Pareto),
    Ablation(Ablation),
    Budgets(Budgets),
}

impl Record {
    /// The experiment behind it.
    pub(crate) fn outcome(&self) -> &dyn Outcome {
        match self {
            Self::Correlation(result) => result,
            Self::Granularity(result) => result,
            Self::Objective(result) => result,
            Self::Pareto(result) => result,
            Self::Ablation(result) => result,
            Self::Budgets(result) => result,
        }
    }
}

/// What a table is of, its header and its rows.
pub(crate) type Table = (String, Vec<String>, Vec<Vec<String>>);

/// What every experiment's result can say of itself.
pub(crate) trait Outcome {
    fn setting(&self) -> &Setting;
    /// All networks on the processor.
    fn points(&self) -> &[Point] {
        &[]
    }
    /// For the terminal.
    fn text(&self) -> String;
    fn charts(&self) -> Vec<Chart>;
    /// In a few words.
    fn title(&self) -> &'static str;
    /// What is worth a table beside the charts.
    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }
}

/// What an experiment was made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) network: String,
    /// Where cycles count.
    pub(crate) architecture: Option<String>,
    pub(crate) calibration: String,
    pub(crate) calibration_images: usize,
    /// Multiply-accumulates an image.
    pub(crate) macs: u64,
    pub(crate) weights: u64,
    /// What accuracy was measured on, where it was.
    pub(crate) test: Option<TestSet>,
}

/// Labelled images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TestSet {
    pub(crate) data: String,
    pub(crate) images: usize,
    /// Of the float network.
    pub(crate) top1_float: f64,
}

impl Setting {
    /// A line below a chart.
    pub(crate) fn caption(&self) -> String {
        let test = self.test.as_ref().map_or(String::new(), |test| {
            format!(", {} test images of {}", test.images, test.data)
        });
        let architecture = self.architecture.as_ref();
        let on = architecture.map_or(String::new(), |name| format!(" on {name}"));
        format!(
            "{}{on}; {} calibration images of {}{test}",
            self.network, self.calibration_images, self.calibration
        )
    }

    /// The float network's accuracy, to draw beside others.
    pub(crate) fn float_line(&self) -> Option<(f64, String)> {
        let test = self.test.as_ref()?;
        Some((test.top1_float, "float".into()))
    }
}

/// How a network's widths were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    Uniform,
    PerLayer,
    PerFilter,
    Distribution,
    Random,
}

impl Method {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::PerLayer => "per layer",
            Self::PerFilter => "per filter",
            Self::Distribution => "distribution",
            Self::Random => "random",
        }
    }
}

/// One network: a choice of widths, what it costs and what it keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) method: Method,
    /// What the budget counts, where there is a budget.
    pub(crate) objective: Option<Objective>,
    /// Bits on the average that the objective counts.
    pub(crate) budget: Option<f64>,
    /// MACs x bits / MACs.
    pub(crate) average_bits: f64,
    /// Weights x bits / weights.
    pub(crate) average_weight_bits: f64,
    /// C: MACs x bits.
    pub(crate) mac_bits: u64,
    /// Weight data.
    pub(crate) weight_bits: u64,
    /// Of one image on the processor, as predicted.
    pub(crate) cycles: u64,
    /// That no schedule can beat on the array.
    pub(crate) bound_cycles: f64,
    /// Where it was measured.
    pub(crate) accuracy: Option<Accuracy>,
    /// Where it was simulated.
    pub(crate) measured: Option<Measured>,
    /// Widths of the convolutions' filters.
    pub(crate) widths: Vec<LayerWidths>,
    /// Cycles of the layers on the processor.
    pub(crate) layers: Vec<Layer>,
}

impl Point {
    /// Method and what is counted, in words.
    pub(crate) fn series(&self) -> String {
        let name = self.method.name();
        match self.objective {
            Some(Objective::Time) => format!("{name}, time"),
            Some(Objective::Size) => format!("{name}, size"),
            None => name.to_owned(),
        }
    }

    /// Method, what is counted, and budget in words.
    pub(crate) fn label(&self) -> String {
        match self.budget {
            Some(budget) => format!("{}, {budget:.2} bits", self.series()),
            None => self.series(),
        }
    }
}

/// What a quantized network keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Accuracy {
    pub(crate) top1: f64,
    pub(crate) top1_correct: usize,
    /// Mean Kullback-Leibler divergence from the float network's classes, in nats.
    pub(crate) divergence: f64,
    /// Part of the images that get the float network's class.
    pub(crate) agreement: f64,
    /// 1 for each image that is right, else 0.
    #[serde(skip)]
    pub(crate) hits: Vec<f64>,
}

/// Points of a chart, one series for every method and objective, in the order of their first points.
pub(crate) fn series_by_method(
    points: &[Point],
    at: impl Fn(&Point) -> Option<(f64, f64)>,
) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for point in points {
        let Some((x, y)) = at(point) else { continue };
        let mark = Mark {
            x,
            y,
            text: point.label(),
        };
        let name = point.series();
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.marks.push(mark),
            None => series.push(Series {
                name,
                marks: vec![mark],
                line: false,
            }),
        }
    }
    series
}

/// Joins the marks of a series by a line, from left to right.
pub(crate) fn join(series: &mut Series) {
    series.marks.sort_by(|a, b| a.x.total_cmp(&b.x));
    series.line = true;
}

/// Widths of one convolution.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerWidths {
    pub(crate) name: String,
    pub(crate) bits: Vec<u8>,
}

/// One image on the Verilated processor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) cycles: u64,
    /// Bytes that differ between processor, golden machine and golden network.
    pub(crate) mismatches: u64,
    pub(crate) counter_mismatches: u64,
}

/// Cycles against MACs x bits and against weight data, over allocations of one network. Pearson's r; none where
/// one of the two does not vary.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Correlation {
    pub(crate) setting: Setting,
    pub(crate) r_cycles_mac_bits: Option<f64>,
    pub(crate) r_cycles_weight_bits: Option<f64>,
    pub(crate) r_mac_bits_weight_bits: Option<f64>,
    pub(crate) points: Vec<Point>,
}

/// Accuracy of one width for all, a width a layer and a width a filter, at equal MACs x bits.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Granularity {
    pub(crate) setting: Setting,
    /// Disjoint sets of calibration images; rows are means over them.
    pub(crate) calibration_sets: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) points: Vec<Point>,
}

/// One budget.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) budget: f64,
    pub(crate) uniform: Option<Cell>,
    pub(crate) per_layer: Option<Cell>,
    pub(crate) per_filter: Option<Cell>,
    pub(crate) differences: Vec<Comparison>,
}

/// Top-1 of one method less another's, on the same images.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) first: Method,
    pub(crate) second: Method,
    #[serde(flatten)]
    pub(crate) difference: Difference,
}

/// A method at a budget.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) average_bits: f64,
    pub(crate) cycles: f64,
    pub(crate) top1: f64,
    /// Standard deviation over calibration sets.
    pub(crate) top1_deviation: f64,
    pub(crate) divergence: f64,
    /// Between the two whole widths around: no network has exactly this.
    pub(crate) interpolated: bool,
    /// Part of the calibration sets with which an image is right.
    #[serde(skip)]
    pub(crate) hits: Vec<f64>,
}

/// Accuracy against cycles over budgets, for every method.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pareto {
    pub(crate) setting: Setting,
    pub(crate) points: Vec<Point>,
}

/// Allocation with budgets of MACs x bits (time) against budgets of weights x bits (size), at equal accuracy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ObjectiveComparison {
    pub(crate) setting: Setting,
    /// Largest difference of top-1 within a pair.
    pub(crate) tolerance: f64,
    pub(crate) pairs: Vec<Pair>,
    /// Mean part of the cycles that counting time saves, over the pairs.
    pub(crate) saved_mean: Option<f64>,
    pub(crate) levels: Vec<Level>,
    pub(crate) points: Vec<Point>,
}

/// A network of either objective, about equally good.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) size: Side,
    pub(crate) time: Side,
    /// Part of the cycles that counting time saves.
    pub(crate) saved: f64,
}

/// One of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) budget: f64,
    pub(crate) average_bits: f64,
    pub(crate) average_weight_bits: f64,
    pub(crate) cycles: u64,
    pub(crate) top1: f64,
    pub(crate) divergence: f64,
}

/// An accuracy, and the cycles that either objective takes to reach it, between the networks of its sweep.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Points of top-1 below the float network.
    pub(crate) loss: f64,
    pub(crate) top1: f64,
    pub(crate) cycles_size: Option<f64>,
    pub(crate) cycles_time: Option<f64>,
    /// Part of the cycles that counting time saves.
    pub(crate) saved: Option<f64>,
}

/// What each part of the quantization gains: the defaults with one thing changed at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ablation {
    pub(crate) setting: Setting,
    /// MAC-weighted average bits.
    pub(crate) budget: f64,
    pub(crate) variants: Vec<Variant>,
}

/// A way to quantize.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Variant {
    /// What is changed.
    pub(crate) part: String,
    /// To what.
    pub(crate) choice: String,
    pub(crate) average_bits: f64,
    pub(crate) accuracy: Accuracy,
    /// Top-1 less that of the defaults.
    pub(crate) difference: Difference,
    /// Of allocation and rounding, calibrated.
    pub(crate) seconds: f64,
}

/// Accuracy at budgets, beside the float network's.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Budgets {
    pub(crate) setting: Setting,
    pub(crate) rows: Vec<BudgetRow>,
}

/// A budget.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BudgetRow {
    /// MAC-weighted average bits that were allowed.
    pub(crate) budget: f64,
    pub(crate) average_bits: f64,
    pub(crate) weight_bits: u64,
    pub(crate) accuracy: Accuracy,
    /// Top-1 as a part of the float network's.
    pub(crate) top1_relative: f64,
    /// Of the whole quantization, calibration included.
    pub(crate) seconds: f64,
    /// Largest resident memory of the process up to the end of this quantization, where the system tells.
    pub(crate) peak_bytes: Option<u64>,
}
