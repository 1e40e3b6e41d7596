//! The network and the images that come with bitweft: a small residual CNN, trained on rendered shapes of ten
//! classes by `scripts/train_default.py` (see `assets/README.md`), so that everything can be tried without files.

use std::ops::Range;

use super::data::{DataError, DataOptions, Dataset};
use super::float::FloatNetwork;
use super::onnx;

/// The network's file, ONNX.
pub const NETWORK: &[u8] = include_bytes!("../../assets/default.onnx");
/// The images' file, npz.
pub const IMAGES: &[u8] = include_bytes!("../../assets/default-images.npz");
/// The images to calibrate on. The network was trained on none of the images.
pub const CALIBRATION: Range<usize> = 0..120;
/// The images to measure accuracy on.
pub const TEST: Range<usize> = 120..320;

/// The network: 3x3 convolutions over `[32, 32, 3]` raw pixels, ten classes.
///
/// # Errors
/// None with the file that comes with bitweft.
pub fn network() -> Result<FloatNetwork, onnx::Error> {
    onnx::read_float(NETWORK, "default")
}

/// The images, pixels `[320, 32, 32, 3]` with labels: [`CALIBRATION`], then [`TEST`].
///
/// # Errors
/// None with the file that comes with bitweft.
pub fn images() -> Result<Dataset, DataError> {
    Dataset::from_npz(IMAGES, "default-images", &DataOptions::default())
}
