//! What an int8 TFLite file cannot say about an integer network: metadata records that stock runtimes skip.
//!
//! - `bitweft.bits`: JSON, the width of every filter, one list a convolution in execution order.
//! - `bitweft.network`: JSON, `{"rounding": "double" | "single", "input_transform": {"mean": [..],
//!   "factor": [..]}}`.
//! - `bitweft.layers`: JSON, the names of the layers in execution order.

use serde::{Deserialize, Serialize};

use super::error::TfliteError;
use super::file::File;
use crate::model::integer::{InputTransform, IntegerNetwork, IntegerOp, Rounding, width_holds};

/// Name of the record of filter widths.
pub(in crate::model) const BITS_RECORD: &str = "bitweft.bits";
/// Name of the record of the network's other properties.
pub(in crate::model) const NETWORK_RECORD: &str = "bitweft.network";
/// Name of the record of the layers' names.
pub(super) const LAYERS_RECORD: &str = "bitweft.layers";

/// Contents of the record `bitweft.network`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::model) struct NetworkRecord {
    pub(in crate::model) rounding: Rounding,
    pub(in crate::model) input_transform: InputTransform,
}

/// Contents of the record `bitweft.bits`.
pub(super) fn widths_json(network: &IntegerNetwork) -> Result<Vec<u8>, serde_json::Error> {
    let widths = network.layers.iter().filter_map(|layer| match &layer.op {
        IntegerOp::Convolution(convolution) => Some(&convolution.bits),
        _ => None,
    });
    serde_json::to_vec(&widths.collect::<Vec<_>>())
}

/// Contents of the record `bitweft.layers`.
pub(super) fn layers_json(network: &IntegerNetwork) -> Result<Vec<u8>, serde_json::Error> {
    let names = network.layers.iter().map(|layer| layer.name.as_str());
    serde_json::to_vec(&names.collect::<Vec<_>>())
}

impl NetworkRecord {
    /// The record of a network.
    pub(super) fn of(network: &IntegerNetwork) -> Self {
        Self {
            rounding: network.rounding,
            input_transform: network.input_transform.clone(),
        }
    }

    /// Applies a file's records, where it has them, to the network read from it.
    pub(super) fn apply(file: &File<'_>, network: &mut IntegerNetwork) -> Result<(), TfliteError> {
        let broken =
            |name: &str, reason: String| TfliteError::invalid(format!("metadata {name}"), reason);
        if let Some(json) = file.record(NETWORK_RECORD) {
            let record: Self =
                serde_json::from_slice(json).map_err(|e| broken(NETWORK_RECORD, e.to_string()))?;
            let channels = network.tensors[network.input].shape.channels;
            let transform = &record.input_transform;
            for list in [&transform.mean, &transform.factor] {
                let fits = list.len() == 1 || list.len() == channels;
                if !fits || list.iter().any(|value| !value.is_finite()) {
                    let reason = format!("input_transform {list:?} for {channels} channels");
                    return Err(broken(NETWORK_RECORD, reason));
                }
            }
            network.rounding = record.rounding;
            network.input_transform = record.input_transform;
        }
        if let Some(json) = file.record(BITS_RECORD) {
            let widths: Vec<Vec<u8>> =
                serde_json::from_slice(json).map_err(|e| broken(BITS_RECORD, e.to_string()))?;
            apply_widths(network, widths).map_err(|reason| broken(BITS_RECORD, reason))?;
        }
        if let Some(json) = file.record(LAYERS_RECORD) {
            let names: Vec<String> =
                serde_json::from_slice(json).map_err(|e| broken(LAYERS_RECORD, e.to_string()))?;
            if names.len() != network.layers.len() {
                let reason = format!("{} names for {} layers", names.len(), network.layers.len());
                return Err(broken(LAYERS_RECORD, reason));
            }
            for (layer, name) in network.layers.iter_mut().zip(names) {
                layer.name = name;
            }
        }
        Ok(())
    }
}

/// Gives the filters of every convolution, in execution order, the recorded widths.
pub(in crate::model) fn apply_widths(
    network: &mut IntegerNetwork,
    widths: Vec<Vec<u8>>,
) -> Result<(), String> {
    let mut widths = widths.into_iter();
    for layer in &mut network.layers {
        let IntegerOp::Convolution(convolution) = &mut layer.op else {
            continue;
        };
        let bits = widths
            .next()
            .ok_or_else(|| format!("no widths for layer `{}`", layer.name))?;
        if bits.len() != convolution.filters() {
            return Err(format!(
                "{} widths for the {} filters of layer `{}`",
                bits.len(),
                convolution.filters(),
                layer.name
            ));
        }
        for (filter, (weights, bits)) in convolution.weights.outer_iter().zip(&bits).enumerate() {
            if !width_holds(*bits, weights.iter().copied()) {
                return Err(format!(
                    "layer `{}`, filter {filter}: {bits} bits do not hold its weights",
                    layer.name
                ));
            }
        }
        convolution.bits = bits;
    }
    match widths.next() {
        Some(_) => Err("more lists than convolutions".to_owned()),
        None => Ok(()),
    }
}
