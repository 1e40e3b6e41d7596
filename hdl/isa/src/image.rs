//! The program image: the one artifact that reaches the hardware.
//!
//! A model whose planes, records and descriptors fit the processor's memories is one *phase*; a larger one
//! is several: for each phase in turn the host writes its rows and runs its descriptors, while the
//! activations stay on the processor.
//!
//! File: magic `BWIM`, contract version, fingerprint, header length (u32 each), header (JSON: everything
//! but the rows), rows, CRC-32 (IEEE) over all bytes before it. Little endian.

use crate::{Space, VERSION, architecture::Architecture, layout::Placement};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 4] = *b"BWIM";
const PREAMBLE: usize = 16;
/// Largest image that is read, in bytes.
const BYTES_MAX: usize = 1 << 30;

/// Rows to write before a phase runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Memory.
    pub space: Space,
    /// First row.
    pub address: usize,
    /// Whole rows.
    pub rows: Vec<u8>,
}

/// A part of the program that fits the processor's memories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phase {
    /// Written before the run.
    pub writes: Vec<Write>,
    /// Descriptors of the phase, from descriptor 0 on.
    pub descriptors: usize,
}

/// A layer as it runs on the processor: consecutive descriptors, perhaps over several phases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Name in the network.
    pub name: String,
    /// Index of its activation in the network's tensors.
    pub tensor: usize,
    /// Its output.
    pub output: Placement,
    /// Number of descriptors.
    pub descriptors: usize,
    /// Outputs of earlier layers that the host writes back before the layer runs: a residual branch that activation
    /// memory had no room for in between.
    pub restores: Vec<Restore>,
}

/// An output that the host has kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Index of the layer whose output it is; earlier than the layer that needs it.
    pub layer: usize,
    /// Where it goes.
    pub place: Placement,
}

/// A compiled network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Fingerprint of the architecture it was compiled for.
    pub fingerprint: u32,
    /// Name of the network.
    pub network: String,
    /// Index of the input activation in the network's tensors.
    pub input_tensor: usize,
    /// Where the input goes.
    pub input: Placement,
    /// Phases in order.
    pub phases: Vec<Phase>,
    /// Layers in order; the last one's output is the network's (before what the host computes).
    pub layers: Vec<Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    network: String,
    input_tensor: usize,
    input: Placement,
    phases: Vec<PhaseHeader>,
    layers: Vec<Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseHeader {
    descriptors: usize,
    writes: Vec<WriteHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteHeader {
    space: Space,
    address: usize,
    bytes: usize,
}

/// Why bytes are not an image for an architecture.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ImageError {
    /// Too short, wrong magic, or a header that does not parse.
    #[error("not a bitweft program image: {0}")]
    Malformed(String),
    /// Other contract version.
    #[error(
        "program image of contract version {found}; this is version {VERSION}: compile the model again"
    )]
    Version {
        /// Version found.
        found: u32,
    },
    /// CRC mismatch.
    #[error("program image is corrupt: CRC-32 is {computed:08x}, the file says {stored:08x}")]
    Crc {
        /// CRC of the bytes.
        computed: u32,
        /// CRC stored.
        stored: u32,
    },
    /// Compiled for another architecture.
    #[error(
        "program image is for architecture {found:08x}, this one is {expected:08x}: compile the model for it"
    )]
    Architecture {
        /// Fingerprint of the image.
        found: u32,
        /// Fingerprint of the architecture.
        expected: u32,
    },
    /// A restored output that is not an earlier layer's.
    #[error(
        "program image: layer {layer} restores the output of layer {restored}, which is not before it"
    )]
    Restore {
        /// Layer index.
        layer: usize,
        /// Index of the layer whose output it restores.
        restored: usize,
    },
    /// Rows that lie outside a memory or are not whole.
    #[error(
        "program image: phase {phase}, write {write}: {rows} rows at {address} do not fit the {space:?} memory of {limit} rows"
    )]
    Rows {
        /// Phase index.
        phase: usize,
        /// Write index.
        write: usize,
        /// Rows to write (rounded up).
        rows: usize,
        /// First row.
        address: usize,
        /// Memory.
        space: Space,
        /// Rows of the memory.
        limit: usize,
    },
}

impl Image {
    /// The file's bytes.
    ///
    /// # Errors
    /// A header that cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, ImageError> {
        let header = Header {
            network: self.network.clone(),
            input_tensor: self.input_tensor,
            input: self.input,
            layers: self.layers.clone(),
            phases: self.phases.iter().map(PhaseHeader::from).collect(),
        };
        let json = serde_json::to_vec(&header)
            .map_err(|error| ImageError::Malformed(error.to_string()))?;
        let length = u32::try_from(json.len())
            .map_err(|_| ImageError::Malformed("the header exceeds 4 GiB".into()))?;
        let mut bytes = MAGIC.to_vec();
        for word in [VERSION, self.fingerprint, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(json);
        for write in self.phases.iter().flat_map(|phase| &phase.writes) {
            bytes.extend(&write.rows);
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Malformed or corrupt bytes, another contract version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let malformed = |what: &str| ImageError::Malformed(what.into());
        if bytes.len() < PREAMBLE + 4 || bytes.len() > BYTES_MAX || bytes[..4] != MAGIC {
            return Err(malformed("wrong magic or length"));
        }
        let word = |at: usize| {
            bytes
                .get(at..at + 4)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_le_bytes)
        };
        if word(4) != VERSION {
            return Err(ImageError::Version { found: word(4) });
        }
        let (body, stored) = (&bytes[..bytes.len() - 4], word(bytes.len() - 4));
        let computed = crc32fast::hash(body);
        if computed != stored {
            return Err(ImageError::Crc { computed, stored });
        }
        let end = usize::try_from(word(12))
            .ok()
            .and_then(|length| length.checked_add(PREAMBLE))
            .ok_or_else(|| malformed("header length"))?;
        let json = body
            .get(PREAMBLE..end)
            .ok_or_else(|| malformed("header length"))?;
        let header: Header = serde_json::from_slice(json)
            .map_err(|error| ImageError::Malformed(error.to_string()))?;
        let mut rest = &body[end..];
        let mut phases = Vec::with_capacity(header.phases.len());
        for phase in header.phases {
            let mut writes = Vec::with_capacity(phase.writes.len());
            for write in phase.writes {
                let (rows, tail) = rest
                    .split_at_checked(write.bytes)
                    .ok_or_else(|| malformed("rows are missing"))?;
                rest = tail;
                writes.push(Write {
                    space: write.space,
                    address: write.address,
                    rows: rows.to_vec(),
                });
            }
            phases.push(Phase {
                writes,
                descriptors: phase.descriptors,
            });
        }
        if !rest.is_empty() {
            return Err(malformed("bytes after the last row"));
        }
        let Header {
            network,
            input_tensor,
            input,
            layers,
            ..
        } = header;
        Ok(Self {
            fingerprint: word(8),
            network,
            input_tensor,
            input,
            phases,
            layers,
        })
    }

    /// Checks that the image can be loaded on an architecture.
    ///
    /// # Errors
    /// Another architecture's image, rows outside a memory.
    pub fn check(&self, architecture: &Architecture) -> Result<(), ImageError> {
        if self.fingerprint != architecture.fingerprint() {
            return Err(ImageError::Architecture {
                found: self.fingerprint,
                expected: architecture.fingerprint(),
            });
        }
        for (layer, restore) in self
            .layers
            .iter()
            .enumerate()
            .flat_map(|(at, layer)| layer.restores.iter().map(move |r| (at, r)))
        {
            if restore.layer >= layer {
                return Err(ImageError::Restore {
                    layer,
                    restored: restore.layer,
                });
            }
        }
        for (phase_index, phase) in self.phases.iter().enumerate() {
            for (write_index, write) in phase.writes.iter().enumerate() {
                let row = architecture.row_bytes(write.space);
                let limit = architecture.rows(write.space);
                let rows = write.rows.len().div_ceil(row);
                let fits = write
                    .address
                    .checked_add(rows)
                    .is_some_and(|end| end <= limit);
                if !fits || !write.rows.len().is_multiple_of(row) || write.space == Space::Counter {
                    return Err(ImageError::Rows {
                        phase: phase_index,
                        write: write_index,
                        rows,
                        address: write.address,
                        space: write.space,
                        limit,
                    });
                }
            }
        }
        Ok(())
    }
}

impl From<&Phase> for PhaseHeader {
    fn from(phase: &Phase) -> Self {
        Self {
            descriptors: phase.descriptors,
            writes: phase
                .writes
                .iter()
                .map(|w| WriteHeader {
                    space: w.space,
                    address: w.address,
                    bytes: w.rows.len(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let place = Placement {
            base: 3,
            height: 2,
            width: 2,
            channels: 5,
        };
        let write = Write {
            space: Space::Plane,
            address: 1,
            rows: vec![7; 9],
        };
        Image {
            fingerprint: 17,
            network: "n".into(),
            input_tensor: 0,
            input: place,
            phases: vec![Phase {
                writes: vec![write],
                descriptors: 1,
            }],
            layers: vec![Layer {
                name: "conv".into(),
                tensor: 1,
                output: place,
                descriptors: 1,
                restores: Vec::new(),
            }],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = image().encode().expect("encodes");
        assert_eq!(Image::decode(&bytes), Ok(image()));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let bytes = image().encode().expect("encodes");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Image::decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Image::decode(&bytes[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn another_architecture_and_rows_outside_are_refused() {
        let architecture =
            Architecture::from_toml(include_str!("../../../constraints/tiny.toml")).expect("valid");
        let mut image = image();
        assert!(matches!(
            image.check(&architecture),
            Err(ImageError::Architecture { .. })
        ));
        image.fingerprint = architecture.fingerprint();
        assert_eq!(image.check(&architecture), Ok(()));
        image.phases[0].writes[0].address = architecture.plane_words;
        assert!(matches!(
            image.check(&architecture),
            Err(ImageError::Rows { .. })
        ));
    }
}
