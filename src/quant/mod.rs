//! Float network to integer network: a bit width, a step and integers for every filter.
//!
//! The way through, one file a step:
//!
//! 1. `calibration`: the float network runs over the calibration images; ranges of all activations
//!    (`range`), second moments of every convolution's inputs (`statistics`).
//! 2. `sensitivity`: what each filter loses at each width, after real rounding (`filter`).
//! 3. [`allocate`]: the widths with the least total loss within a budget of MACs x bits; [`cost`]: within
//!    one that a processor's cost function counts; `distribution`: from the weights alone.
//! 4. `rounding`: layer by layer on quantized inputs, integers and bias at the chosen widths.
//! 5. `emit`: multipliers, clamps, the integer network.
//!
//! # Methods and what they gain
//!
//! Golden model, single rounding, 256 calibration images evenly spread over `cifar10/train-10000.npz`,
//! top-1 on the 3,000 images of `test-dev-3000.npz`. ResNet-8 (`pretrainedResnet.tflite`, float 0.8623):
//!
//! | bits a MAC | rounding | weighting | uniform | per layer | per filter |
//! |--:|---|---|--:|--:|--:|
//! | 8 | error feedback | Fisher | 0.863 | | |
//! | 4 | error feedback | Fisher | 0.859 | 0.858 | 0.863 |
//! | 4 | nearest | Fisher | 0.826 | | 0.841 |
//! | 3 | error feedback | Fisher | 0.847 | 0.856 | 0.851 |
//! | 3 | error feedback | energy | | | 0.849 |
//! | 3 | nearest | Fisher | 0.678 | | 0.777 |
//! | 2.5 | error feedback | Fisher | | 0.831 | 0.839 |
//! | 2 | error feedback | Fisher | | | 0.822 |
//!
//! Top-1 moves by 0.003 from one calibration set to another; the mean Kullback-Leibler divergence from
//! the float network's classes at 3 bits is steadier: uniform 0.082, per layer 0.058, per filter 0.053
//! (energy 0.058; nearest rounding 0.300; with 512 images 0.043, 1,024 0.041). ResNet-20 (`resnet20-12fca82f.onnx`, float 0.9127), defaults:
//! uniform 8 0.9137, 3.5 bits 0.9120, 2.5 bits 0.9127.
//!
//! Sources: error feedback, Frantar et al., GPTQ (ICLR 2023), on the covariance of the inputs, since the
//! bias takes the mean (Nagel et al., Data-free quantization, 2019); quantized inputs as in sequential
//! reconstruction (Nagel et al., AdaRound, 2020); Fisher weighting with random signs (Hutchinson), as in
//! HAWQ-V2 (Dong et al., NeurIPS 2020); Lagrangian allocation, Shoham and Gersho (1988). Each file names its own.

pub mod allocate;
mod calibration;
pub mod cost;
mod distribution;
pub(crate) mod emit;
mod error;
mod execution;
pub mod filter;
mod fisher;
pub mod knapsack;
mod linear;
pub mod range;
mod rounding;
mod sensitivity;
mod statistics;
#[cfg(test)]
mod tests;

use ndarray::Array3;
use serde::{Deserialize, Serialize};

pub use cost::{Cost, Scheme};
pub use error::QuantError;
pub use filter::WeightRounding;
pub use range::RangeMethod;
pub use sensitivity::Weighting;

use crate::golden::float;
use crate::model::float::{FloatNetwork, FloatOp};
use crate::model::integer::{IntegerNetwork, Rounding};

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
    /// What makes the losses of different layers comparable.
    pub weighting: Weighting,
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
            weighting: Weighting::Fisher,
            ridge: 0.01,
            pixels_per_image: 64,
            rounding: Rounding::Single,
        }
    }
}

/// Widths and cost of one convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Layer.
    pub name: String,
    /// Multiply-accumulates an image.
    pub macs: u64,
    /// Weights.
    pub weights: u64,
    /// Width of each filter.
    pub bits: Vec<u8>,
    /// Mean width of the layer's filters.
    pub average_bits: f64,
    /// Output variance that rounding adds, as a part of the layer's output variance (estimate).
    pub relative_error: f64,
}

/// What a quantization cost and gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Convolutions in order.
    pub layers: Vec<LayerReport>,
    /// Multiply-accumulates an image.
    pub macs: u64,
    /// Computational complexity C: sum of MACs x bits.
    pub mac_bits: u64,
    /// C / MACs.
    pub average_bits: f64,
    /// Weights.
    pub weights: u64,
    /// Weights x bits, summed: the weight data in bits.
    pub weight_bits: u64,
    /// Weight data / weights.
    pub average_weight_bits: f64,
    /// Total estimated loss of the allocation.
    pub sensitivity: f64,
    /// No allocation of the kind within the budget has a smaller estimated loss than this (Lagrangian dual).
    /// For uniform and data-free widths: no filter-wise allocation of the same cost. With a budget of
    /// [`Cost`]: no choice among the candidates of each layer.
    pub sensitivity_bound: f64,
}

impl Report {
    /// How far the estimated loss can be above the least one, as a part of it: 0 is optimal.
    #[must_use]
    pub fn gap(&self) -> f64 {
        if self.sensitivity > 0.0 {
            (self.sensitivity - self.sensitivity_bound).max(0.0) / self.sensitivity
        } else {
            0.0
        }
    }
}

/// Quantizes a network with `calibration` images: real inputs `[height, width, channels]`
/// ([`float::apply_transform`] makes them from bytes; 256 of all classes are enough, 512 still gain below 4 bits).
///
/// The budget is never exceeded: the cost that the objective counts is at most budget x MACs (or
/// weights). Filters whose weights are whole numbers within a width (selection, identity) are kept
/// exactly. The result depends on its arguments only, not on the number of threads.
///
/// # Errors
/// See [`QuantError`].
pub fn quantize(
    network: &FloatNetwork,
    calibration: &[Array3<f32>],
    options: &Options,
) -> Result<(IntegerNetwork, Report), QuantError> {
    Quantizer::new(network, calibration, options.clone())?.quantize(options.allocation)
}

/// A calibrated network with its losses measured, for several allocations of the same network: none of what
/// [`Quantizer::new`] finds depends on the budget or on what it counts.
pub struct Quantizer<'a> {
    network: &'a FloatNetwork,
    calibration: &'a [Array3<f32>],
    options: Options,
    affine: Vec<range::Affine>,
    losses: Vec<Option<sensitivity::LayerLoss>>,
}

impl<'a> Quantizer<'a> {
    /// Calibrates, and measures what every filter loses at every width.
    ///
    /// # Errors
    /// As [`quantize`].
    pub fn new(
        network: &'a FloatNetwork,
        calibration: &'a [Array3<f32>],
        options: Options,
    ) -> Result<Self, QuantError> {
        check(network, calibration, &options)?;
        let found = calibration::calibrate(network, calibration, &options)?;
        let losses = sensitivity::measure(network, calibration, &found.moments, &options)?;
        Ok(Self {
            network,
            calibration,
            options,
            affine: found.affine,
            losses,
        })
    }

    /// The widths of `allocation` with the losses that they are estimated to cause, without rounding
    /// the network.
    ///
    /// # Errors
    /// [`QuantError::Budget`], [`QuantError::Widths`].
    pub fn plan(&self, allocation: Allocation) -> Result<Report, QuantError> {
        self.plan_for(allocation, self.options.objective)
    }

    /// As [`Quantizer::plan`], with a budget that counts `objective` in place of the one in the options.
    ///
    /// # Errors
    /// As [`Quantizer::plan`].
    pub fn plan_for(
        &self,
        allocation: Allocation,
        objective: Objective,
    ) -> Result<Report, QuantError> {
        let plan = self.allocate(allocation, objective)?;
        Ok(report(self.network, &self.losses, &plan))
    }

    /// The network at the widths of `allocation` (in place of the one in the options).
    ///
    /// # Errors
    /// As [`quantize`].
    pub fn quantize(&self, allocation: Allocation) -> Result<(IntegerNetwork, Report), QuantError> {
        self.round(&self.allocate(allocation, self.options.objective)?)
    }

    /// The network at given widths: `bits[convolution][filter]`, convolutions in the network's order, as
    /// [`LayerReport::bits`] of a plan has them.
    ///
    /// # Errors
    /// [`QuantError::WidthCount`], [`QuantError::Widths`], [`QuantError::Float`].
    pub fn quantize_to(&self, bits: &[Vec<u8>]) -> Result<(IntegerNetwork, Report), QuantError> {
        let plan = sensitivity::given(self.network, &self.losses, bits, &self.options)?;
        self.round(&plan)
    }

    fn round(&self, plan: &sensitivity::Plan) -> Result<(IntegerNetwork, Report), QuantError> {
        let (network, options) = (self.network, &self.options);
        let rounded =
            rounding::round_network(network, self.calibration, &self.affine, &plan.bits, options)?;
        let integer = emit::network(network, &self.affine, &rounded, options.rounding);
        Ok((integer, report(network, &self.losses, plan)))
    }

    /// As [`Quantizer::plan`], within a budget that `cost` counts.
    ///
    /// # Errors
    /// [`QuantError::Cost`].
    pub fn plan_within(
        &self,
        scheme: Scheme,
        cost: &dyn Cost,
        limit: u64,
    ) -> Result<Report, QuantError> {
        let plan = cost::plan(&self.losses, &self.options, scheme, cost, limit)?;
        Ok(report(self.network, &self.losses, &plan))
    }

    /// As [`Quantizer::quantize`], within a budget that `cost` counts.
    ///
    /// # Errors
    /// As [`quantize`], and [`QuantError::Cost`].
    pub fn quantize_within(
        &self,
        scheme: Scheme,
        cost: &dyn Cost,
        limit: u64,
    ) -> Result<(IntegerNetwork, Report), QuantError> {
        let plan = cost::plan(&self.losses, &self.options, scheme, cost, limit)?;
        self.round(&plan)
    }

    /// The integer network before any weight is rounded: all filters pruned. It has the shapes and scales
    /// that costs depend on.
    #[must_use]
    pub fn skeleton(&self) -> IntegerNetwork {
        let rounded = vec![None; self.network.layers.len()];
        emit::network(self.network, &self.affine, &rounded, self.options.rounding)
    }

    /// What the allocation works on: every filter's cost and losses, layer by layer.
    #[must_use]
    pub fn units(&self) -> Vec<allocate::Unit> {
        let layers = sensitivity::units(&self.losses, self.options.objective);
        layers.into_iter().flatten().collect()
    }

    fn allocate(
        &self,
        allocation: Allocation,
        objective: Objective,
    ) -> Result<sensitivity::Plan, QuantError> {
        let options = Options {
            allocation,
            objective,
            ..self.options.clone()
        };
        check_widths(&options)?;
        sensitivity::plan(&self.losses, &options)
    }
}

fn check_widths(options: &Options) -> Result<(), QuantError> {
    let (lowest, highest) = match options.allocation {
        Allocation::Uniform(bits) => (bits, bits),
        _ => (options.bits_min, options.bits_max),
    };
    if lowest > highest || highest > 8 {
        return Err(QuantError::Widths { lowest, highest });
    }
    Ok(())
}

fn check(
    network: &FloatNetwork,
    calibration: &[Array3<f32>],
    options: &Options,
) -> Result<(), QuantError> {
    check_widths(options)?;
    if calibration.is_empty() {
        return Err(QuantError::NoCalibration);
    }
    if let Some(input) = network.tensors.get(network.input) {
        let expected = (input.shape.height, input.shape.width, input.shape.channels);
        for (index, image) in calibration.iter().enumerate() {
            if image.dim() != expected {
                return Err(QuantError::ImageShape {
                    index,
                    expected,
                    found: image.dim(),
                });
            }
        }
    }
    // Settles that all tensors exist and all shapes fit, once, before any statistics.
    float::run_selected(network, calibration[0].view(), &[network.output])?;
    float::run(network, calibration[0].view())?;
    for layer in &network.layers {
        if let FloatOp::Convolution { weights, bias, .. } = &layer.op {
            for (filter, weights) in weights.outer_iter().enumerate() {
                if !bias[filter].is_finite() || weights.iter().any(|w| !w.is_finite()) {
                    let layer = layer.name.clone();
                    return Err(QuantError::WeightNotFinite { layer, filter });
                }
            }
        }
    }
    Ok(())
}

fn report(
    network: &FloatNetwork,
    losses: &[Option<sensitivity::LayerLoss>],
    plan: &sensitivity::Plan,
) -> Report {
    let mut report = Report {
        layers: Vec::new(),
        macs: 0,
        mac_bits: 0,
        average_bits: 0.0,
        weights: 0,
        weight_bits: 0,
        average_weight_bits: 0.0,
        sensitivity: plan.sensitivity,
        sensitivity_bound: plan.sensitivity_bound,
    };
    for ((layer, loss), bits) in network.layers.iter().zip(losses).zip(&plan.bits) {
        let Some(loss) = loss else { continue };
        let filters = bits.len().max(1) as u64;
        let total: u64 = bits.iter().map(|b| u64::from(*b)).sum();
        report.macs += loss.macs_per_filter * filters;
        report.mac_bits += loss.macs_per_filter * total;
        report.weights += loss.weights_per_filter * filters;
        report.weight_bits += loss.weights_per_filter * total;
        report.layers.push(LayerReport {
            name: layer.name.clone(),
            macs: loss.macs_per_filter * filters,
            weights: loss.weights_per_filter * filters,
            bits: bits.clone(),
            average_bits: total as f64 / filters as f64,
            relative_error: loss.relative_error(bits),
        });
    }
    report.average_bits = report.mac_bits as f64 / report.macs.max(1) as f64;
    report.average_weight_bits = report.weight_bits as f64 / report.weights.max(1) as f64;
    report
}
