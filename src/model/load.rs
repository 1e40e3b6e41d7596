//! Loading a network from a file of any format that bitweft reads.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::bwfile::{self, BwError};
use super::float::FloatNetwork;
use super::integer::IntegerNetwork;
use super::onnx;
use super::tflite::{self, TfliteError};

/// Largest network file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A network as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Trained in floating point: to be quantized.
    Float(FloatNetwork),
    /// Already on integers.
    Integer(IntegerNetwork),
}

impl Model {
    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Float(network) => &network.name,
            Self::Integer(network) => &network.name,
        }
    }
}

/// Why a network cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is beyond the limit.
    #[error("{}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Neither content nor extension is of a known format.
    #[error("{}: not a network file (.tflite, .onnx and .bw are read)", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A TensorFlow Lite file.
    #[error("{}: {cause}", path.display())]
    Tflite {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: TfliteError,
    },
    /// An ONNX file.
    #[error("{}: {cause}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: onnx::Error,
    },
    /// A float network with a weight or bias that is NaN or infinite.
    #[error("{}: layer '{layer}': filter {filter} has a weight or bias that is not finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The layer.
        layer: String,
        /// The filter.
        filter: usize,
    },
    /// A `.bw` file.
    #[error("{}: {cause}", path.display())]
    Bw {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: BwError,
    },
}

/// Loads a network: TensorFlow Lite and `.bw` files by their first bytes or extension, ONNX files by their
/// extension. The network's name is the file's, without folder and extension; a `.bw` file keeps its own.
///
/// # Errors
/// [`ModelError`], which names the file and the field or the operators.
pub fn load_model(path: impl AsRef<Path>) -> Result<Model, ModelError> {
    let path = path.as_ref();
    let model = read_model(path)?;
    if let Model::Float(network) = &model
        && let Some((layer, filter)) = network.not_finite()
    {
        return Err(ModelError::NotFinite {
            path: path.to_owned(),
            layer: layer.name.clone(),
            filter,
        });
    }
    Ok(model)
}

fn read_model(path: &Path) -> Result<Model, ModelError> {
    let bytes = read_bounded(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if bytes.get(4..8) == Some(b"TFL3".as_slice()) || has_extension(path, "tflite") {
        return tflite::read(&bytes, &name).map_err(|cause| ModelError::Tflite {
            path: path.to_owned(),
            cause,
        });
    }
    if bytes.starts_with(&bwfile::MAGIC) || has_extension(path, "bw") {
        return bwfile::decode(&bytes)
            .map(Model::Integer)
            .map_err(|cause| ModelError::Bw {
                path: path.to_owned(),
                cause,
            });
    }
    if has_extension(path, "onnx") {
        return onnx::read(&bytes, &name).map_err(|cause| ModelError::Onnx {
            path: path.to_owned(),
            cause,
        });
    }
    Err(ModelError::UnknownFormat {
        path: path.to_owned(),
    })
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |cause| ModelError::Io {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(ModelError::TooLarge {
            path: path.to_owned(),
            limit: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("net.xyz");
        let missing = load_model(&path).expect_err("missing").to_string();
        assert!(missing.contains("net.xyz"), "{missing}");
        std::fs::write(&path, b"no network").expect("writes");
        let unknown = load_model(&path).expect_err("unknown").to_string();
        assert!(
            unknown.ends_with("net.xyz: not a network file (.tflite, .onnx and .bw are read)"),
            "{unknown}"
        );
        let path = folder.path().join("net.TFLITE");
        std::fs::write(&path, b"no network").expect("writes");
        let damaged = load_model(&path).expect_err("damaged").to_string();
        assert!(damaged.ends_with("bytes 4..8 are not `TFL3`"), "{damaged}");
    }
}
