//! Why a network cannot be trained.

use std::path::PathBuf;

use crate::model::data::DataError;
use crate::quant::QuantError;

/// Why a network cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No image to train on.
    #[error("data set `{dataset}` has no images to train on")]
    NoImages {
        /// The data set's name.
        dataset: String,
    },
    /// Images without classes.
    #[error("data set `{dataset}` has no labels: training needs the class of every image")]
    NoLabels {
        /// The data set's name.
        dataset: String,
    },
    /// A class that the network does not have.
    #[error(
        "data set `{dataset}`: image {image} has label {label}, but the network has {classes} classes \
         (labels 0 to {})", classes - 1
    )]
    Label {
        /// The data set's name.
        dataset: String,
        /// Index of the image.
        image: usize,
        /// Its label.
        label: usize,
        /// Outputs of the network.
        classes: usize,
    },
    /// The output is no list of classes.
    #[error(
        "the network's output has shape [{height}, {width}, {channels}]: only classifiers, with \
         [1, 1, classes], can be trained"
    )]
    NoClassifier {
        /// Rows of the output.
        height: usize,
        /// Columns of the output.
        width: usize,
        /// Channels of the output.
        channels: usize,
    },
    /// Nothing to train.
    #[error("the network has no convolution or fully connected layer")]
    NoFilters,
    /// An option that makes no sense.
    #[error("{option} {value}: {allowed}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        allowed: &'static str,
    },
    /// The budget is below what the narrowest filters cost.
    #[error(
        "a budget of {budget} bits cannot be reached with learned widths: the narrowest filters that \
         still carry weights have {lowest} bits; give at least {lowest}, or --widths allocated"
    )]
    Budget {
        /// Bits on average that were asked for.
        budget: f64,
        /// Smallest width that is not zero.
        lowest: u8,
    },
    /// The loss is no longer a number.
    #[error(
        "epoch {epoch}, step {step}: the loss is {loss}: lower --learning-rate (now {learning_rate}) \
         or raise --batch (now {batch})"
    )]
    Diverged {
        /// From 1.
        epoch: usize,
        /// Within the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
        /// Learning rate that was asked for.
        learning_rate: f64,
        /// Images a step.
        batch: usize,
    },
    /// The processor that training runs on gave up.
    #[error("the training device failed: {reason}")]
    Device {
        /// What it says.
        reason: String,
    },
    /// A checkpoint of another run, or a damaged one.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Calibration, allocation or rounding failed.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// The images cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
}
