//! Training at low widths: quantization-aware fine-tuning of a float network, filter by filter.
//!
//! The way through, one file a step:
//!
//! 1. `quant` calibrates the network, gives out widths and rounds it: training starts there.
//! 2. [`filters`]: every step of training uses the integers that would be emitted now; gradients reach the
//!    weights behind them straight through the rounding.
//! 3. `graph`: the network on burn's tensors, every activation on the 256 levels that it has as bytes.
//! 4. `loss`: distance to the float network's answers and to the labels; `cost`: excess over the budget.
//! 5. [`Trainer`]: epochs, checkpoints; `quant`'s own emission makes the integer network.
//!
//! Widths are those of the post-training allocation ([`Widths::Allocated`]), or learned with the steps
//! ([`Widths::Learned`]): DQ (Uhlich et al., Mixed precision DNNs, ICLR 2020) with a step and a range for
//! each filter, under a budget of weight data, or of MACs x bits (Nakata et al., ISCAS 2021).
//!
//! Nothing is drawn at random but from the seed: the same options give the same network on the same
//! processor backend, whether a run was interrupted or not.

mod batch;
mod check;
mod checkpoint;
mod cost;
mod error;
pub mod filters;
mod graph;
mod layer;
mod loss;
mod optimizer;
mod trainer;

use serde::{Deserialize, Serialize};

pub use batch::Augmentation;
pub use cost::Cost;
pub use error::TrainError;
pub use trainer::{EpochReport, Trainer};

use crate::model::integer::Rounding;
use crate::quant::Objective;

/// Where the filters' widths come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Widths {
    /// The post-training allocation within the budget; 0 to 8 bits, kept throughout.
    Allocated,
    /// Learned from four bits everywhere, with a penalty for what exceeds the budget; 0 or 2 to 8 bits.
    /// After [`Options::width_epochs`] they are settled within the budget and kept.
    Learned,
}

/// Where a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Processor {
    /// This machine's cores.
    #[default]
    Cpu,
    /// The first CUDA device.
    #[cfg(feature = "train-cuda")]
    Cuda,
    /// A device of Vulkan, Metal or DirectX.
    #[cfg(feature = "train-wgpu")]
    Wgpu,
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Bits on the average that the objective counts: at most, in the network that results.
    pub budget: f64,
    /// What the budget counts.
    pub objective: Objective,
    /// Where widths come from.
    pub widths: Widths,
    /// Epochs until learned widths are settled; the others are trained with them.
    pub width_epochs: usize,
    /// Weight of the penalty for learned widths.
    pub penalty: f64,
    /// Passes over the images.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Most that a weight moves in one step, about, in steps of its filter; falls to 0 on a cosine.
    pub learning_rate: f64,
    /// Part of the loss that is the distance to the float network; the rest is cross-entropy with the labels.
    pub distillation: f64,
    /// Divides the logits of both networks before they are compared.
    pub temperature: f64,
    /// Changes to the images.
    pub augmentation: Augmentation,
    /// Of shuffles and augmentation.
    pub seed: u64,
    /// Rounding family of the resulting network.
    pub rounding: Rounding,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget: 2.0,
            objective: Objective::Time,
            widths: Widths::Allocated,
            width_epochs: 4,
            penalty: 10.0,
            epochs: 10,
            batch: 64,
            learning_rate: 0.01,
            distillation: 0.9,
            temperature: 4.0,
            augmentation: Augmentation::FlipShift,
            seed: 1,
            rounding: Rounding::Single,
        }
    }
}

#[cfg(test)]
mod tests;
