//! The golden model beside what real devices answered to the same inputs.
//!
//! A device's answers are an `.npz` archive: `files`, the name of each input, and `int8`, its output
//! `[input, class]`. Inputs are found by name, without folder and extension.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};
use ndarray_npy::{NpzReader, ReadNpzError};
use serde::Serialize;

use super::network::{Executor, GoldenError, argmax};
use crate::model::data::{DataError, Dataset, read_names};
use crate::model::integer::{IntegerNetwork, Rounding};

/// What a device answered.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceOutputs {
    /// Name of each input.
    pub inputs: Vec<String>,
    /// Output bytes `[input, class]`, TFLite's int8 plus 128.
    pub outputs: Array2<u8>,
}

/// How far one rounding family of the golden model agrees with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeviceComparison {
    /// Rounding of the golden model.
    pub rounding: Rounding,
    /// Inputs that the device answered.
    pub inputs: usize,
    /// Inputs with all output bytes equal.
    pub same_bytes: usize,
    /// Inputs of the same class (first maximum).
    pub same_class: usize,
}

/// Why answers cannot be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevicesError {
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The output array cannot be read.
    #[error("{}: array \"int8\": {source}", path.display())]
    Outputs {
        /// File.
        path: PathBuf,
        /// Cause.
        source: ReadNpzError,
    },
    /// A value that is no int8.
    #[error("{}: output {value} lies outside -128..=127", path.display())]
    OutputRange {
        /// File.
        path: PathBuf,
        /// Value.
        value: i16,
    },
    /// The data set or the device's names of inputs cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Inputs are found by name, and the data set has none.
    #[error("data set {dataset:?} has no names; the device's inputs are found by name")]
    Unnamed {
        /// The data set's name.
        dataset: String,
    },
    /// The device's arrays have different lengths.
    #[error("{}: {names} names of inputs for {rows} outputs", path.display())]
    Lengths {
        /// File.
        path: PathBuf,
        /// Names.
        names: usize,
        /// Outputs.
        rows: usize,
    },
    /// The device answered an input that the data set lacks.
    #[error("the device answered input {name:?}, which is not in the data set")]
    UnknownInput {
        /// Name without folder and extension.
        name: String,
    },
    /// The device has another number of outputs than the network.
    #[error("the device has {device} outputs, the network {network}")]
    OutputCount {
        /// Outputs of the device.
        device: usize,
        /// Outputs of the network.
        network: usize,
    },
    /// The golden model refuses the network or the inputs.
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

impl DeviceOutputs {
    /// Reads an archive.
    ///
    /// # Errors
    /// [`DevicesError`] for a file that cannot be read or is not of this form.
    pub fn read(path: &Path) -> Result<Self, DevicesError> {
        let inputs = read_names(path, "files")?;
        let file = File::open(path).map_err(|source| DevicesError::Open {
            path: path.into(),
            source,
        })?;
        let outputs: Array2<i16> = NpzReader::new(file)
            .and_then(|mut archive| archive.by_name("int8"))
            .map_err(|source| DevicesError::Outputs {
                path: path.into(),
                source,
            })?;
        let byte = |value: i16| {
            let range = || DevicesError::OutputRange {
                path: path.into(),
                value,
            };
            value
                .checked_add(128)
                .and_then(|byte| u8::try_from(byte).ok())
                .ok_or_else(range)
        };
        let bytes = outputs
            .iter()
            .map(|&value| byte(value))
            .collect::<Result<Vec<_>, _>>()?;
        let (rows, columns) = outputs.dim();
        if inputs.len() != rows {
            let (path, names) = (path.into(), inputs.len());
            return Err(DevicesError::Lengths { path, names, rows });
        }
        let outputs = Array2::from_shape_fn((rows, columns), |(row, column)| {
            bytes[row * columns + column]
        });
        Ok(Self { inputs, outputs })
    }
}

/// A name without folder and extension.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// Runs what a device has answered through the golden model, with either rounding family (`double`
/// first).
///
/// # Errors
/// [`DevicesError`] where the three do not belong together.
pub fn compare(
    network: &IntegerNetwork,
    dataset: &Dataset,
    device: &DeviceOutputs,
) -> Result<[DeviceComparison; 2], DevicesError> {
    let names = dataset
        .names
        .as_ref()
        .ok_or_else(|| DevicesError::Unnamed {
            dataset: dataset.name.clone(),
        })?;
    let inputs = dataset.bytes_for(network, 0..dataset.len())?;
    let places: HashMap<&str, usize> = names.iter().map(|name| stem(name)).zip(0..).collect();
    let chosen = device
        .inputs
        .iter()
        .map(|name| {
            let name = stem(name);
            places
                .get(name)
                .copied()
                .ok_or_else(|| DevicesError::UnknownInput { name: name.into() })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let images = inputs.select(Axis(0), &chosen);
    let compare = |rounding| -> Result<DeviceComparison, DevicesError> {
        let network = IntegerNetwork {
            rounding,
            ..network.clone()
        };
        let outputs = Executor::new(&network)?.run_outputs(images.view())?;
        if outputs.ncols() != device.outputs.ncols() {
            let (device, network) = (device.outputs.ncols(), outputs.ncols());
            return Err(DevicesError::OutputCount { device, network });
        }
        let pairs = || outputs.rows().into_iter().zip(device.outputs.rows());
        Ok(DeviceComparison {
            rounding,
            inputs: chosen.len(),
            same_bytes: pairs().filter(|(golden, device)| golden == device).count(),
            same_class: pairs()
                .filter(|(golden, device)| argmax(*golden) == argmax(*device))
                .count(),
        })
    };
    Ok([compare(Rounding::Double)?, compare(Rounding::Single)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_folder_and_extension() {
        assert_eq!(
            stem("airplane/monoplane_s_001155.png"),
            "monoplane_s_001155"
        );
        assert_eq!(stem("tst_000000_Stop_7"), "tst_000000_Stop_7");
    }
}
