//! What a quantization costs and gives.

use serde::{Deserialize, Serialize};

use super::sensitivity::{LayerLoss, Plan};
use crate::model::float::FloatNetwork;

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
    /// `Cost`: no choice among the candidates of each layer.
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

/// Of the network at the widths of a plan.
pub(crate) fn report(network: &FloatNetwork, losses: &[Option<LayerLoss>], plan: &Plan) -> Report {
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
