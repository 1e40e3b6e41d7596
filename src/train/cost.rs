//! What widths cost, and how learned ones are held to a budget.

use serde::{Deserialize, Serialize};

use super::Options;
use super::layer::Layer;
use crate::quant::Objective;

/// Narrowest learned width that still carries weights.
pub(super) const LEARNED_LEAST_BITS: u8 = 2;

/// Cost of a network's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-accumulates an image.
    pub macs: u64,
    /// Computational complexity C: sum of MACs x bits.
    pub mac_bits: u64,
    /// Weights.
    pub weights: u64,
    /// Weights x bits, summed.
    pub weight_bits: u64,
}

impl Cost {
    /// C / MACs.
    #[must_use]
    pub fn average_bits(&self) -> f64 {
        self.mac_bits as f64 / self.macs.max(1) as f64
    }

    /// Bits a weight.
    #[must_use]
    pub fn average_weight_bits(&self) -> f64 {
        self.weight_bits as f64 / self.weights.max(1) as f64
    }

    /// Bits on the average that `objective` counts.
    #[must_use]
    pub fn bits(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Time => self.average_bits(),
            Objective::Size => self.average_weight_bits(),
        }
    }

    /// Adds `filters` of one layer by their widths.
    pub(crate) fn add(&mut self, macs_per_filter: u64, weights_per_filter: u64, bits: &[u8]) {
        let filters = bits.len() as u64;
        let total: u64 = bits.iter().map(|b| u64::from(*b)).sum();
        self.macs += macs_per_filter * filters;
        self.mac_bits += macs_per_filter * total;
        self.weights += weights_per_filter * filters;
        self.weight_bits += weights_per_filter * total;
    }
}

/// `weight` x max(0, bits / budget - 1)^2 and its derivative by the average of bits.
pub(crate) fn penalty(bits: f64, budget: f64, weight: f64) -> (f64, f64) {
    let excess = (bits / budget - 1.0).max(0.0);
    (weight * excess * excess, 2.0 * weight * excess / budget)
}

/// Ends the learning of widths: narrows filters, those first whose range reaches least into their width,
/// until the budget holds.
pub(super) fn settle(layers: &mut [Option<Layer>], options: &Options) {
    if !layers.iter().flatten().any(|layer| layer.widths_learned) {
        return;
    }
    loop {
        let mut cost = Cost::default();
        layers
            .iter()
            .flatten()
            .for_each(|layer| layer.add_cost(&mut cost));
        if cost.bits(options.objective) <= options.budget {
            break;
        }
        let candidates = layers.iter().enumerate().flat_map(|(index, layer)| {
            layer.iter().flat_map(move |layer| {
                (0..layer.bits.len()).filter_map(move |filter| {
                    // Two bits are the least that carries weights: their filters go last.
                    let last = f64::from(u8::from(layer.bits[filter] <= LEARNED_LEAST_BITS));
                    Some((last * 10.0 + layer.reach(filter)?, index, filter))
                })
            })
        });
        let Some((_, index, filter)) = candidates.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            break; // No weight is left: the cost is zero.
        };
        if let Some(layer) = &mut layers[index] {
            layer.narrow(filter);
        }
    }
    layers.iter_mut().flatten().for_each(Layer::settle);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_starts_at_the_budget_and_its_derivative_is_its_own() {
        assert_eq!(penalty(2.9, 3.0, 10.0), (0.0, 0.0));
        let (low, _) = penalty(3.5 - 1e-4, 3.0, 10.0);
        let (high, _) = penalty(3.5 + 1e-4, 3.0, 10.0);
        let (_, slope) = penalty(3.5, 3.0, 10.0);
        assert!(((high - low) / 2e-4 - slope).abs() < 1e-6);
    }
}
