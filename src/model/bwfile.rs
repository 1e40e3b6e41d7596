//! `.bw` files: an integer network with everything that stock formats cannot say.
//!
//! All numbers are little-endian. Version 1:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic: `bitweft` and a zero byte |
//! | 8 | 4 | `version`: 1 |
//! | 12 | 4 | `header_bytes`: H |
//! | 16 | 8 | `blob_bytes`: B |
//! | 24 | H | header: JSON, UTF-8 |
//! | 24 + H | B | blobs |
//! | 24 + H + B | 32 | SHA-256 of all bytes before it |
//!
//! The header holds the network's name, rounding, input transform, tensors (name, shape, scale, zero point)
//! and layers (name, inputs, output, operation with its window, clamps and multipliers). The blobs belong to
//! the convolutions in layer order; of a convolution with weights `[out, row, column, in]`:
//!
//! | bytes | what |
//! |---|---|
//! | out * row * column * in | weights, i8, in this order |
//! | out | bits, u8 |
//! | 4 * out | weight scales, f32 |
//! | 4 * out | biases, i32 |
//! | 4 * out | multiplier mantissas, i32 |
//! | 4 * out | multiplier shifts, i32 |
//!
//! A reader refuses other versions, wrong checksums, lengths that do not add up and values out of range. A
//! file is written beside its place and moved there when it is complete.

mod header;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::integer::IntegerNetwork;
use super::output::replace_file;

/// The first bytes of every file.
pub const MAGIC: [u8; 8] = *b"bitweft\0";
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

const START_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 32;

/// Why a `.bw` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BwError {
    /// The magic is missing.
    #[error("not a .bw file: it does not begin with `bitweft`")]
    NotBw,
    /// Another version of the format.
    #[error(
        "field `version`: {found}; version {VERSION} is read: write the file again with this bitweft"
    )]
    Version {
        /// The file's version.
        found: u32,
    },
    /// The lengths in the file and the file's own do not add up.
    #[error("truncated or extended: {found} bytes instead of {expected}")]
    Length {
        /// Bytes of the file.
        found: u64,
        /// Bytes by its `header_bytes` and `blob_bytes`.
        expected: u64,
    },
    /// The bytes are not those that were written.
    #[error("field `checksum`: the file is damaged")]
    Checksum,
    /// A field that no writer makes.
    #[error("field `{field}`: {reason}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

impl BwError {
    fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// The bytes of a network's file.
///
/// # Errors
/// [`BwError::Field`] where the network is not one that can be read again.
pub fn encode(network: &IntegerNetwork) -> Result<Vec<u8>, BwError> {
    let (header, blobs) = header::split(network)?;
    let header_bytes = u32::try_from(header.len())
        .map_err(|_| BwError::field("header_bytes", "more than 4 GiB"))?;
    let mut bytes = Vec::with_capacity(START_BYTES + header.len() + blobs.len() + CHECKSUM_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(header_bytes.to_le_bytes());
    bytes.extend((blobs.len() as u64).to_le_bytes());
    bytes.extend(header);
    bytes.extend(blobs);
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    Ok(bytes)
}

/// The network of a file's bytes.
///
/// # Errors
/// [`BwError`]: what is wrong with which field.
pub fn decode(bytes: &[u8]) -> Result<IntegerNetwork, BwError> {
    let start = bytes
        .get(..START_BYTES)
        .filter(|start| start.starts_with(&MAGIC));
    let start = start.ok_or(BwError::NotBw)?;
    let word =
        |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let found = word(8);
    if found != VERSION {
        return Err(BwError::Version { found });
    }
    let header_bytes = u64::from(word(12));
    let blob_bytes = u64::from(word(16)) | u64::from(word(20)) << 32;
    let expected = blob_bytes.saturating_add(header_bytes + (START_BYTES + CHECKSUM_BYTES) as u64);
    let found = bytes.len() as u64;
    if found != expected {
        return Err(BwError::Length { found, expected });
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if Sha256::digest(content)[..] != *checksum {
        return Err(BwError::Checksum);
    }
    // Fits: the file does.
    let header_end = START_BYTES + usize::try_from(header_bytes).unwrap_or(usize::MAX);
    header::join(&content[START_BYTES..header_end], &content[header_end..])
}

/// Writes a network's file; an existing one is replaced when the new one is complete.
///
/// # Errors
/// [`BwError::Field`], [`BwError::Io`].
pub fn write(path: impl AsRef<Path>, network: &IntegerNetwork) -> Result<(), BwError> {
    let path = path.as_ref();
    let bytes = encode(network)?;
    replace_file(path, &bytes).map_err(|cause| BwError::Io {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests;
