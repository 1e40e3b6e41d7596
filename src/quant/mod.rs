//! Float network to integer network: a bit width, a step and integers for every filter.
//!
//! The way through, one file a step:
//!
//! 1. `calibration`: the float network runs over the calibration images; ranges of all activations
//!    (`range`), second moments of every convolution's inputs and its outputs (`statistics`).
//! 2. `sensitivity`: what each filter loses at each width, after real rounding (`filter`, `feedback`).
//! 3. [`allocate`]: the widths with the least total loss within a budget of MACs x bits; [`cost`]: within
//!    one that a processor's cost function counts; `distribution`: from the weights alone.
//! 4. `rounding`: layer by layer on quantized inputs, integers and bias at the chosen widths
//!    (`filter`, `feedback`, `adaround`).
//! 5. `emit`: multipliers, clamps, the integer network.
//!
//! `bitweft experiment ablation` measures what each part gains; no other choice is better than the defaults beyond chance.
//!
//! Sources: error feedback, Frantar et al., GPTQ (ICLR 2023), on the covariance of the inputs, since the
//! bias takes the mean (Nagel et al., Data-free quantization, 2019); quantized inputs as in sequential
//! reconstruction (Nagel et al., AdaRound, 2020); Fisher weighting with random signs (Hutchinson), as in
//! HAWQ-V2 (Dong et al., NeurIPS 2020); Lagrangian allocation, Shoham and Gersho (1988). Each file names its own.

mod adaround;
pub mod allocate;
mod calibration;
pub mod cost;
mod distribution;
pub(crate) mod emit;
mod error;
mod execution;
mod feedback;
pub mod filter;
mod fisher;
pub mod knapsack;
mod linear;
mod options;
pub mod range;
mod report;
mod rounding;
mod sensitivity;
mod statistics;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ndarray::Array3;

pub use cost::{Cost, Scheme};
pub use error::QuantError;
pub use filter::{StepSearch, WeightRounding};
pub use options::{Allocation, Objective, Options};
pub use range::RangeMethod;
pub use report::{LayerReport, Report};
pub use sensitivity::Weighting;

use crate::golden::float;
use crate::model::float::FloatNetwork;
use crate::model::integer::IntegerNetwork;
use calibration::Calibration;
use report::report;

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
    found: Arc<Calibration>,
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
        let found = Arc::new(Calibration::of(network, calibration, &options)?);
        Self::on(network, calibration, found, options)
    }

    /// The same network and images with other options. What the images gave is kept, unless other pixels of
    /// them count.
    ///
    /// # Errors
    /// As [`quantize`].
    pub fn variant(&self, options: Options) -> Result<Self, QuantError> {
        if options.pixels_per_image != self.options.pixels_per_image {
            return Self::new(self.network, self.calibration, options);
        }
        check_widths(&options)?;
        Self::on(self.network, self.calibration, self.found.clone(), options)
    }

    fn on(
        network: &'a FloatNetwork,
        calibration: &'a [Array3<f32>],
        found: Arc<Calibration>,
        options: Options,
    ) -> Result<Self, QuantError> {
        Ok(Self {
            affine: found.affine(network, &options),
            losses: sensitivity::measure(network, calibration, &found, &options)?,
            network,
            calibration,
            options,
            found,
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
        let rounded = rounding::round_network(
            network,
            self.calibration,
            &self.found,
            &self.affine,
            &plan.bits,
            options,
        )?;
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
        let plan = self.allocate_within(scheme, cost, limit)?;
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
        self.round(&self.allocate_within(scheme, cost, limit)?)
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
        let per_layer = matches!(allocation, Allocation::PerLayer(_));
        sensitivity::whole(&self.losses, per_layer, |losses| {
            sensitivity::plan(losses, &options)
        })
    }

    fn allocate_within(
        &self,
        scheme: Scheme,
        cost: &dyn Cost,
        limit: u64,
    ) -> Result<sensitivity::Plan, QuantError> {
        sensitivity::whole(&self.losses, scheme == Scheme::PerLayer, |losses| {
            cost::plan(losses, &self.options, scheme, cost, limit)
        })
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
    if let Some((layer, filter)) = network.not_finite() {
        let layer = layer.name.clone();
        return Err(QuantError::WeightNotFinite { layer, filter });
    }
    // Settles that all tensors exist and all shapes fit, once, before any statistics.
    float::run_selected(network, calibration[0].view(), &[network.output])?;
    float::run(network, calibration[0].view())?;
    Ok(())
}
