//! What a quantized ONNX file cannot say about an integer network: `metadata_props` that stock runtimes skip.
//!
//! - `bitweft.bits` and `bitweft.network`: as in a TFLite file.
//! - `bitweft.multipliers`: JSON, layer name to the list of its multipliers, for the layers whose multipliers
//!   are not those that follow from the file's steps.

use std::collections::BTreeMap;

use super::Error;
use super::integer::{Multipliers, multipliers, set_multipliers};
use super::schema::{ModelProto, StringStringEntryProto};
use crate::model::integer::{IntegerNetwork, IntegerOp, Multiplier};
use crate::model::tflite::record::{BITS_RECORD, NETWORK_RECORD, NetworkRecord, apply_widths};

/// Key of the record of multipliers.
const MULTIPLIERS_RECORD: &str = "bitweft.multipliers";

/// Applies a file's records, where it has them, to the network read from it.
pub(super) fn apply(model: &ModelProto, network: &mut IntegerNetwork) -> Result<(), Error> {
    let record = |key: &str| {
        model
            .metadata_props
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    };
    let broken = |key: &'static str| move |reason: String| Error::Record { key, reason };
    if let Some(json) = record(NETWORK_RECORD) {
        let stated: NetworkRecord = serde_json::from_str(json)
            .map_err(|error| broken(NETWORK_RECORD)(error.to_string()))?;
        let channels = network.tensors[network.input].shape.channels;
        for list in [&stated.input_transform.mean, &stated.input_transform.factor] {
            if list.len() != 1 && list.len() != channels {
                return Err(broken(NETWORK_RECORD)(format!(
                    "{} values for {channels} channels",
                    list.len()
                )));
            }
        }
        network.rounding = stated.rounding;
        network.input_transform = stated.input_transform;
    }
    if let Some(json) = record(BITS_RECORD) {
        let widths =
            serde_json::from_str(json).map_err(|error| broken(BITS_RECORD)(error.to_string()))?;
        apply_widths(network, widths).map_err(broken(BITS_RECORD))?;
    }
    if let Some(json) = record(MULTIPLIERS_RECORD) {
        let mut values: Multipliers = serde_json::from_str(json)
            .map_err(|error| broken(MULTIPLIERS_RECORD)(error.to_string()))?;
        for layer in &mut network.layers {
            if let Some(values) = values.remove(&layer.name) {
                set_multipliers(&mut layer.op, &values).map_err(|reason| {
                    broken(MULTIPLIERS_RECORD)(format!("layer '{}': {reason}", layer.name))
                })?;
            }
        }
    }
    Ok(())
}

/// The records of widths, rounding and input transform.
pub(super) fn widths_and_network(
    network: &IntegerNetwork,
) -> Result<Vec<StringStringEntryProto>, serde_json::Error> {
    let widths: Vec<&Vec<u8>> = network
        .layers
        .iter()
        .filter_map(|layer| match &layer.op {
            IntegerOp::Convolution(convolution) => Some(&convolution.bits),
            _ => None,
        })
        .collect();
    let stated = NetworkRecord {
        rounding: network.rounding,
        input_transform: network.input_transform.clone(),
    };
    let entry = |key: &str, value| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    Ok(vec![
        entry(BITS_RECORD, serde_json::to_string(&widths)?),
        entry(NETWORK_RECORD, serde_json::to_string(&stated)?),
    ])
}

/// The record of multipliers in which `network` differs from `derived`, what a reader makes of the file without
/// it; `None` if in none.
pub(super) fn differing_multipliers(
    network: &IntegerNetwork,
    derived: &IntegerNetwork,
) -> Result<Option<StringStringEntryProto>, serde_json::Error> {
    let derived: BTreeMap<&str, Vec<Multiplier>> = derived
        .layers
        .iter()
        .map(|layer| (layer.name.as_str(), multipliers(&layer.op)))
        .collect();
    let differing: BTreeMap<&str, Vec<Multiplier>> = network
        .layers
        .iter()
        .map(|layer| (layer.name.as_str(), multipliers(&layer.op)))
        .filter(|(name, wanted)| derived.get(name) != Some(wanted) && !wanted.is_empty())
        .collect();
    if differing.is_empty() {
        return Ok(None);
    }
    let value = serde_json::to_string(&differing)?;
    Ok(Some(StringStringEntryProto {
        key: MULTIPLIERS_RECORD.to_owned(),
        value,
    }))
}
