//! What a quantization is asked for.

use serde::{Deserialize, Serialize};

use super::filter::{FilterMethod, StepSearch, WeightRounding};
use super::range::RangeMethod;
use super::sensitivity::Weighting;
use crate::model::integer::Rounding;

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// MACs x bits (C), as the processor's time does: a budget is bits on the MAC-weighted average.
    Time,
    /// Weights x bits, the weight data: a budget is bits a weight.
    Size,
}

/// How widths are given to filters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// The same width for every filter.
    Uniform(u8),
    /// One width a layer; at most this many bits on the average that the objective counts.
    PerLayer(f64),
    /// A width for every filter; at most this many bits on the average that the objective counts.
    PerFilter(f64),
    /// As `PerFilter`, with widths from the weights' distribution alone (COOL Chips 2019), which looks
    /// at no image: the baseline. The budget is met, but not used up.
    Distribution(f64),
}

/// How to quantize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Widths, or the budget for them.
    pub allocation: Allocation,
    /// What the budget counts.
    pub objective: Objective,
    /// Smallest width that a budget may give to a filter; 0 allows it to be pruned.
    pub bits_min: u8,
    /// Largest width that a budget may give to a filter; at most 8.
    pub bits_max: u8,
    /// Choice of activation ranges.
    pub activation_range: RangeMethod,
    /// Rounding of weights.
    pub weight_rounding: WeightRounding,
    /// Steps of weights.
    pub step: StepSearch,
    /// What makes the losses of different layers comparable.
    pub weighting: Weighting,
    /// Whether each layer's weights are first fitted to the inputs that the quantized layers before it hand over
    /// (a regression), in place of those that the float network does.
    pub regression: bool,
    /// Whether the bias takes the mean error that quantization leaves; else it is the given one.
    pub bias_correction: bool,
    /// Pull of the weights that are rounded towards the given ones, as a part of the mean input
    /// variance (the ridge of the regression on quantized inputs).
    pub ridge: f64,
    /// Output pixels of an image that count for second moments.
    pub pixels_per_image: usize,
    /// Rounding family of the resulting network.
    pub rounding: Rounding,
}

impl Default for Options {
    /// Four bits on average, filter by filter.
    fn default() -> Self {
        Self {
            allocation: Allocation::PerFilter(4.0),
            objective: Objective::Time,
            bits_min: 0,
            bits_max: 8,
            activation_range: RangeMethod::Mse,
            weight_rounding: WeightRounding::ErrorFeedback,
            step: StepSearch::Output,
            weighting: Weighting::Fisher,
            regression: true,
            bias_correction: true,
            ridge: 0.01,
            pixels_per_image: 64,
            rounding: Rounding::Single,
        }
    }
}

impl Options {
    /// How each filter is rounded.
    pub(crate) fn filter_method(&self) -> FilterMethod {
        FilterMethod {
            rounding: self.weight_rounding,
            step: self.step,
        }
    }
}
