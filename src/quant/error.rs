//! Why a network cannot be quantized, and what to do.

use crate::golden::float;

/// Why a network cannot be quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantError {
    /// No calibration images.
    #[error("no calibration images: give at least one, better 256")]
    NoCalibration,
    /// A calibration image has another shape than the network's input.
    #[error("calibration image {index} has shape {found:?}, the network's input is {expected:?}")]
    ImageShape {
        /// Index of the image.
        index: usize,
        /// `(height, width, channels)` of the network's input.
        expected: (usize, usize, usize),
        /// `(height, width, channels)` of the image.
        found: (usize, usize, usize),
    },
    /// A weight or bias is NaN or infinite.
    #[error("layer '{layer}': filter {filter} has a weight or bias that is not finite")]
    WeightNotFinite {
        /// Layer.
        layer: String,
        /// Filter.
        filter: usize,
    },
    /// An activation is NaN or infinite on a calibration image.
    #[error("activation '{tensor}' is not finite on a calibration image")]
    ActivationNotFinite {
        /// Tensor.
        tensor: String,
    },
    /// The Fisher information of every filter is 0.
    #[error(
        "no filter has any influence on the network's answers to the calibration images (a single class, or all of them certain): give other images, or weigh losses otherwise (energy)"
    )]
    NothingToLose,
    /// The budget is below what the smallest widths cost, above 8 bits, or no number.
    #[error(
        "a budget of {budget} bits on average cannot be reached: it has to be from {lowest} to {highest}"
    )]
    Budget {
        /// Bits on average that were asked for.
        budget: f64,
        /// Bits on average of the smallest widths.
        lowest: f64,
        /// Largest width.
        highest: u8,
    },
    /// The budget is below what the smallest widths cost on the processor.
    #[error(
        "a budget of {limit} cycles an image cannot be reached: {}",
        match lowest {
            Some(lowest) => format!("the least that was found is {lowest}"),
            None => "at no widths do all layers fit the architecture".to_owned(),
        }
    )]
    Cost {
        /// Cycles that were asked for.
        limit: u64,
        /// Cycles at the smallest widths, where the network can run at all.
        lowest: Option<u64>,
    },
    /// A width outside 0..=8, or a smallest above the largest.
    #[error("widths from {lowest} to {highest} bits: they have to be within 0..=8 and in order")]
    Widths {
        /// Smallest width.
        lowest: u8,
        /// Largest width.
        highest: u8,
    },
    /// Widths that were given do not fit the network: not one list a convolution, or not one width a filter.
    #[error("widths for {found} {what}, the network has {expected}: give one a {what}, in order")]
    WidthCount {
        /// What the widths are for: `convolution`, or `filter of layer 'x'`.
        what: String,
        /// How many the network has.
        expected: usize,
        /// How many there are widths for.
        found: usize,
    },
    /// The float network cannot be executed.
    #[error(transparent)]
    Float(#[from] float::Error),
}
