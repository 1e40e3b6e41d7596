//! What experiments write as JSON, and what `bitweft report` reads.

use bitweft::quant::Objective;
use serde::{Deserialize, Serialize};

use crate::cli::chart::{Chart, Mark, Series};
use crate::cli::compile::Layer;

/// Any experiment's result.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "experiment", rename_all = "kebab-case")]
pub(crate) enum Record {
    Correlation(Correlation),
}

impl Record {
    /// The experiment behind it.
    pub(crate) fn outcome(&self) -> &dyn Outcome {
        match self {
            Self::Correlation(result) => result,
        }
    }
}

/// What every experiment's result can say of itself.
pub(crate) trait Outcome {
    /// All networks.
    fn points(&self) -> &[Point];
    /// For the terminal.
    fn text(&self) -> String;
    fn charts(&self) -> Vec<Chart>;
}

/// What an experiment was made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) network: String,
    pub(crate) architecture: String,
    pub(crate) calibration: String,
    pub(crate) calibration_images: usize,
    /// Multiply-accumulates an image.
    pub(crate) macs: u64,
    pub(crate) weights: u64,
}

impl Setting {
    /// A line below a chart.
    pub(crate) fn caption(&self) -> String {
        format!(
            "{} on {}; {} calibration images of {}",
            self.network, self.architecture, self.calibration_images, self.calibration
        )
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
