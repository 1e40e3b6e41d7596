//! Data sets: images (or features) with labels, and how they become a network's input.
//!
//! | file | images | labels |
//! |---|---|---|
//! | `.npz` | array `images`, `X`, `x`, `inputs` or `features`, `[n, h, w, c]`, `[n, h, w]` or `[n, c]`, of u8 pixels, int8 features or f32 | array `labels`, `Y`, `y` or `targets`, `[n]`; names from `names` or `files` |
//! | folder or `.zip` of PNG and JPEG files | in order of their names, scaled to the network's input | `labels.csv` in the folder, or beside the zip |
//! | one PNG or JPEG file | that image | - |
//!
//! Scaling: from a picture that does not have the wanted size, the largest centred rectangle of the wanted
//! aspect ratio is taken, shrunk to [`DataOptions::central_fraction`] of its sides, and resampled with a
//! triangle (bilinear, antialiased) filter. Pictures of the wanted size are taken as they are.
//!
//! `labels.csv` has a header. Its label column is `label`, `class_index` or `class`; rows belong to
//! pictures by the column `file` (the picture's file name) or else `index` (the number that the picture's
//! file name begins with).

mod npy;
mod npz;
mod pictures;

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis, Slice};

use super::float::{FloatNetwork, InputTransform, Shape};
use super::integer::IntegerNetwork;

/// Most bytes of images that are held in memory.
const IMAGE_BYTES_MAX: usize = 1 << 30;

/// What to take of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct DataOptions {
    /// Take this many images from the front.
    pub limit: Option<usize>,
    /// Size and channels (1 or 3) that pictures are brought to. Arrays are never scaled.
    pub size: Option<Shape>,
    /// Part of a picture's sides that is kept before scaling, in (0, 1].
    pub central_fraction: f32,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            limit: None,
            size: None,
            central_fraction: 0.875,
        }
    }
}

/// Images `[n, h, w, c]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Images {
    /// Pixels 0..=255, to pass through a network's input transform.
    Pixels(Array4<u8>),
    /// Features in the network's own int8 `q`: the network's byte is `q + 128`.
    Signed(Array4<i8>),
    /// The network's real input.
    Real(Array4<f32>),
}

/// A data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// File stem.
    pub name: String,
    /// The images.
    pub images: Images,
    /// Class of each image.
    pub labels: Option<Vec<usize>>,
    /// Name of each image.
    pub names: Option<Vec<String>>,
}

/// Why a data set cannot be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Not a kind of file that holds images.
    #[error("{}: not a data set (.npz, .png, .jpg, or a folder or .zip of pictures)", path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// A part of the file is damaged, missing, or of a kind that is not read.
    #[error("{}: {part}: {reason}", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// Array, picture or line.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The images do not have the shape of the network's input.
    #[error("data set `{dataset}` holds images of {found}; the network takes {expected}")]
    Shape {
        /// The data set's name.
        dataset: String,
        /// Shape of its images.
        found: Shape,
        /// Shape of the network's input.
        expected: Shape,
    },
    /// The input transform does not fit the images.
    #[error(
        "the input transform has {found} {what} values for {channels} channels; give 1 or {channels}"
    )]
    Transform {
        /// `mean` or `factor`.
        what: &'static str,
        /// Values in the transform.
        found: usize,
        /// Channels of the images.
        channels: usize,
    },
    /// Signed features mean nothing to a float network.
    #[error(
        "data set `{dataset}` holds int8 features, whose scale a float network does not know: state it (--features SCALE,ZERO)"
    )]
    Signed {
        /// The data set's name.
        dataset: String,
    },
    /// Images beyond the data set's end.
    #[error("images {}..{} of data set `{dataset}`, which has {count}", range.start, range.end)]
    Range {
        /// The data set's name.
        dataset: String,
        /// The images that were wanted.
        range: Range<usize>,
        /// Images in the data set.
        count: usize,
    },
}

/// Reads an array of strings from a NumPy archive (`.npz`).
///
/// # Errors
/// [`DataError`]: the file cannot be read, or the array is missing, damaged or of another kind.
pub fn read_names(path: impl AsRef<Path>, array: &str) -> Result<Vec<String>, DataError> {
    npz::read_names(path.as_ref(), array)
}

impl DataError {
    fn part(path: &Path, part: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Part {
            path: path.to_owned(),
            part: part.into(),
            reason: reason.into(),
        }
    }

    fn io(path: &Path, cause: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            cause,
        }
    }
}

impl Images {
    /// `[n, h, w, c]`.
    #[must_use]
    pub fn dim(&self) -> (usize, usize, usize, usize) {
        match self {
            Self::Pixels(images) => images.dim(),
            Self::Signed(images) => images.dim(),
            Self::Real(images) => images.dim(),
        }
    }
}

impl Dataset {
    /// Loads a data set; see the module for what is read.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the array, picture or line.
    pub fn load(path: impl AsRef<Path>, options: &DataOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.is_dir() {
            return pictures::load_folder(path, options);
        }
        match kind(path)? {
            Kind::Zip if npz::is_npz(path)? => npz::load(path, options),
            Kind::Zip => pictures::load_zip(path, options),
            Kind::Picture => pictures::load_one(path, options),
        }
    }

    /// Loads a data set from an `.npz` archive in memory, under the name `name`.
    ///
    /// # Errors
    /// As [`Self::load`]; `name` stands for the path.
    pub fn from_npz(bytes: &[u8], name: &str, options: &DataOptions) -> Result<Self, DataError> {
        npz::load_bytes(bytes, Path::new(name), options)
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.dim().0
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one image.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let (_, height, width, channels) = self.images.dim();
        Shape {
            height,
            width,
            channels,
        }
    }

    /// Input bytes `u` `[n, h, w, c]` of an integer network for a range of images. Pixels go through the
    /// network's input transform, then (as real inputs do) `u = zero_point + real / scale`, rounded to
    /// nearest with ties away from zero and clamped to 0..=255. Int8 features are `u = q + 128`.
    ///
    /// # Errors
    /// [`DataError::Shape`], [`DataError::Transform`], [`DataError::Range`].
    pub fn bytes_for(
        &self,
        network: &IntegerNetwork,
        range: Range<usize>,
    ) -> Result<Array4<u8>, DataError> {
        let input = &network.tensors[network.input];
        self.check(input.shape, &range)?;
        let quantize = |real: f32| {
            let steps = (f64::from(real) / f64::from(input.scale)).round();
            let byte = (steps + f64::from(input.zero_point)).clamp(0.0, 255.0);
            // In 0..=255 by the clamp; a NaN becomes 0.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let byte = byte as u8;
            byte
        };
        let rows = Slice::from(range);
        Ok(match &self.images {
            Images::Signed(images) => images
                .slice_axis(Axis(0), rows)
                .mapv(|q| q.cast_unsigned().wrapping_add(128)),
            Images::Real(images) => images.slice_axis(Axis(0), rows).mapv(quantize),
            Images::Pixels(images) => {
                let mut bytes = images.slice_axis(Axis(0), rows).to_owned();
                for (channel, mut plane) in bytes.axis_iter_mut(Axis(3)).enumerate() {
                    let table =
                        transform_table(&network.input_transform, channel, input.shape.channels)?;
                    let table = table.map(quantize);
                    plane.mapv_inplace(|byte| table[usize::from(byte)]);
                }
                bytes
            }
        })
    }

    /// Real inputs `[n, h, w, c]` of a float network for a range of images: pixels go through the network's
    /// input transform, real inputs are taken as they are.
    ///
    /// # Errors
    /// As [`Self::bytes_for`], and [`DataError::Signed`].
    pub fn reals_for(
        &self,
        network: &FloatNetwork,
        range: Range<usize>,
    ) -> Result<Array4<f32>, DataError> {
        let shape = network.tensors[network.input].shape;
        self.check(shape, &range)?;
        let rows = Slice::from(range);
        match &self.images {
            Images::Signed(_) => Err(DataError::Signed {
                dataset: self.name.clone(),
            }),
            Images::Real(images) => Ok(images.slice_axis(Axis(0), rows).to_owned()),
            Images::Pixels(images) => {
                let images = images.slice_axis(Axis(0), rows);
                let mut reals = Array4::zeros(images.dim());
                let planes = reals.axis_iter_mut(Axis(3)).zip(images.axis_iter(Axis(3)));
                for (channel, (mut plane, bytes)) in planes.enumerate() {
                    let table = transform_table(&network.input_transform, channel, shape.channels)?;
                    plane.zip_mut_with(&bytes, |real, byte| *real = table[usize::from(*byte)]);
                }
                Ok(reals)
            }
        }
    }

    /// Some of the images, with their labels and names.
    ///
    /// # Errors
    /// [`DataError::Range`].
    pub fn part(&self, range: Range<usize>) -> Result<Self, DataError> {
        self.check(self.shape(), &range)?;
        let rows = Slice::from(range.clone());
        Ok(Self {
            name: self.name.clone(),
            images: match &self.images {
                Images::Pixels(all) => Images::Pixels(all.slice_axis(Axis(0), rows).to_owned()),
                Images::Signed(all) => Images::Signed(all.slice_axis(Axis(0), rows).to_owned()),
                Images::Real(all) => Images::Real(all.slice_axis(Axis(0), rows).to_owned()),
            },
            labels: self.labels.as_ref().map(|all| all[range.clone()].to_vec()),
            names: self.names.as_ref().map(|all| all[range].to_vec()),
        })
    }

    fn check(&self, expected: Shape, range: &Range<usize>) -> Result<(), DataError> {
        if self.shape() != expected {
            return Err(DataError::Shape {
                dataset: self.name.clone(),
                found: self.shape(),
                expected,
            });
        }
        if range.start > range.end || range.end > self.len() {
            let (dataset, range) = (self.name.clone(), range.clone());
            return Err(DataError::Range {
                dataset,
                range,
                count: self.len(),
            });
        }
        Ok(())
    }
}

/// Real input of every byte of one channel.
fn transform_table(
    transform: &InputTransform,
    channel: usize,
    channels: usize,
) -> Result<[f32; 256], DataError> {
    let value = |what, values: &[f32]| match values.len() {
        1 => Ok(values[0]),
        n if n == channels => Ok(values[channel]),
        found => Err(DataError::Transform {
            what,
            found,
            channels,
        }),
    };
    let mean = value("mean", &transform.mean)?;
    let factor = value("factor", &transform.factor)?;
    let mut table = [0.0; 256];
    for (byte, real) in (0..=u8::MAX).zip(&mut table) {
        *real = (f32::from(byte) - mean) * factor;
    }
    Ok(table)
}

enum Kind {
    Zip,
    Picture,
}

fn kind(path: &Path) -> Result<Kind, DataError> {
    use std::io::Read;
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(|cause| DataError::io(path, cause))?;
    file.take(8)
        .read_to_end(&mut start)
        .map_err(|cause| DataError::io(path, cause))?;
    if start.starts_with(b"PK") {
        Ok(Kind::Zip)
    } else if start.starts_with(b"\x89PNG") || start.starts_with(&[0xff, 0xd8, 0xff]) {
        Ok(Kind::Picture)
    } else {
        Err(DataError::UnknownKind {
            path: path.to_owned(),
        })
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
