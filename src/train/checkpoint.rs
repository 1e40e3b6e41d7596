//! Checkpoints: everything that the next epoch depends on, in one file.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic: `bwtrain` and a zero byte |
//! | 4 | `header_bytes`, little-endian |
//! | `header_bytes` | header: JSON, UTF-8 |
//! | 4 each | values and moments of every layer, f32, little-endian |
//! | 32 | SHA-256 of all bytes before it |

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::layer::{Layer, Learned};
use super::optimizer::Moments;
use super::{EpochReport, Options, TrainError};
use crate::model::data::{Dataset, Images};
use crate::model::float::{FloatNetwork, FloatOp};
use crate::model::output::replace_file;
use ndarray::Array3;

const MAGIC: [u8; 8] = *b"bwtrain\0";
const CHECKSUM_BYTES: usize = 32;

/// What a run's result depends on, as a hash: network, images, calibration and options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn of(
        network: &FloatNetwork,
        data: &Dataset,
        calibration: &[Array3<f32>],
        options: &Options,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("{options:?} {:?}", network.input_transform));
        for layer in &network.layers {
            hash.update(format!(
                "{} {:?} {}",
                layer.name, layer.inputs, layer.output
            ));
            if let FloatOp::Convolution { weights, bias, .. } = &layer.op {
                for value in weights.iter().chain(bias) {
                    hash.update(value.to_le_bytes());
                }
            }
        }
        for value in calibration.iter().flatten() {
            hash.update(value.to_le_bytes());
        }
        match &data.images {
            Images::Pixels(images) => images.iter().for_each(|value| hash.update([*value])),
            Images::Signed(images) => images
                .iter()
                .for_each(|value| hash.update(value.to_le_bytes())),
            Images::Real(images) => images
                .iter()
                .for_each(|value| hash.update(value.to_le_bytes())),
        }
        for label in data.labels.iter().flatten() {
            hash.update(label.to_le_bytes());
        }
        let digest = hash.finalize();
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    fingerprint: Fingerprint,
    updates: u32,
    history: Vec<EpochReport>,
    layers: Vec<LayerHeader>,
}

#[derive(Serialize, Deserialize)]
struct LayerHeader {
    bits: Vec<u8>,
    widths_learned: bool,
}

/// What a checkpoint holds.
pub(crate) struct State {
    pub(crate) updates: u32,
    pub(crate) history: Vec<EpochReport>,
    pub(crate) layers: Vec<LayerState>,
}

/// What a checkpoint holds of a layer.
pub(crate) struct LayerState {
    pub(crate) bits: Vec<u8>,
    pub(crate) widths_learned: bool,
    pub(crate) learned: Learned,
}

/// The arrays of a layer in the file's order.
fn arrays(learned: &Learned) -> impl Iterator<Item = &Vec<f32>> {
    let pairs = learned.values.iter().zip(&learned.moments);
    pairs.flat_map(|(values, moments)| [values, &moments.mean, &moments.square])
}

pub(crate) fn write(
    path: &Path,
    fingerprint: &Fingerprint,
    updates: u32,
    history: &[EpochReport],
    layers: &[Option<Layer>],
) -> Result<(), TrainError> {
    let failed = |reason: String| TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let header = Header {
        fingerprint: fingerprint.clone(),
        updates,
        history: history.to_vec(),
        layers: layers
            .iter()
            .flatten()
            .map(|layer| LayerHeader {
                bits: layer.bits.clone(),
                widths_learned: layer.widths_learned,
            })
            .collect(),
    };
    let header = serde_json::to_vec(&header).map_err(|error| failed(error.to_string()))?;
    let header_bytes =
        u32::try_from(header.len()).map_err(|_| failed("a header of 4 GiB".to_owned()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(header_bytes.to_le_bytes());
    bytes.extend(header);
    for layer in layers.iter().flatten() {
        for value in arrays(&layer.learned).flatten() {
            bytes.extend(value.to_le_bytes());
        }
    }
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    replace_file(path, &bytes).map_err(|error| failed(error.to_string()))
}

/// Reads a checkpoint of the run with this fingerprint; `layers` give the sizes of its arrays.
pub(crate) fn read(
    path: &Path,
    fingerprint: &Fingerprint,
    layers: &[Option<Layer>],
) -> Result<State, TrainError> {
    let failed = |reason: &str| TrainError::Checkpoint {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let bytes = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    if !bytes.starts_with(&MAGIC) || bytes.len() < MAGIC.len() + 4 + CHECKSUM_BYTES {
        return Err(failed("not a checkpoint of bitweft train"));
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if Sha256::digest(content)[..] != *checksum {
        return Err(failed("the file is damaged: remove it to begin anew"));
    }
    let damaged = || failed("the file does not fit together: remove it to begin anew");
    let (size, rest) = content[MAGIC.len()..]
        .split_first_chunk::<4>()
        .ok_or_else(damaged)?;
    let header_bytes = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| damaged())?;
    let (header, blob) = rest.split_at_checked(header_bytes).ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
    if header.fingerprint != *fingerprint {
        return Err(failed(
            "it belongs to a run with another network, other images or other options: give the same, \
             another file, or remove it",
        ));
    }
    let present: Vec<&Layer> = layers.iter().flatten().collect();
    if header.layers.len() != present.len() {
        return Err(damaged());
    }
    let mut values = blob
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let mut states = Vec::with_capacity(present.len());
    for (layer, header) in present.iter().zip(header.layers) {
        if header.bits.len() != layer.bits.len() {
            return Err(damaged());
        }
        let mut learned = layer.learned.clone();
        for (array, Moments { mean, square }) in learned.values.iter_mut().zip(&mut learned.moments)
        {
            for value in array.iter_mut().chain(mean).chain(square) {
                *value = values.next().ok_or_else(damaged)?;
            }
        }
        states.push(LayerState {
            bits: header.bits,
            widths_learned: header.widths_learned,
            learned,
        });
    }
    if values.next().is_some() {
        return Err(damaged());
    }
    Ok(State {
        updates: header.updates,
        history: header.history,
        layers: states,
    })
}
