//! What is asked for before anything is computed.

use super::cost::LEARNED_LEAST_BITS;
use super::{Options, TrainError, Widths};
use crate::model::data::Dataset;
use crate::model::float::FloatNetwork;

/// Options that make sense by themselves.
pub(super) fn check_options(options: &Options) -> Result<(), TrainError> {
    let wrong = |option, value: String, allowed| {
        Err(TrainError::Option {
            option,
            value,
            allowed,
        })
    };
    if options.epochs == 0 {
        return wrong("--epochs", "0".into(), "at least 1");
    }
    if options.batch == 0 {
        return wrong("--batch", "0".into(), "at least 1");
    }
    let rate = options.learning_rate;
    if !(rate > 0.0 && rate.is_finite()) {
        return wrong("--learning-rate", rate.to_string(), "above 0");
    }
    let part = options.distillation;
    if !(0.0..=1.0).contains(&part) {
        return wrong("--distillation", part.to_string(), "from 0 to 1");
    }
    let temperature = options.temperature;
    if !(temperature > 0.0 && temperature.is_finite()) {
        return wrong("--temperature", temperature.to_string(), "above 0");
    }
    if !(options.penalty >= 0.0 && options.penalty.is_finite()) {
        return wrong("--penalty", options.penalty.to_string(), "at least 0");
    }
    if options.widths == Widths::Learned {
        let budget = options.budget;
        if !(f64::from(LEARNED_LEAST_BITS)..=8.0).contains(&budget) {
            return Err(TrainError::Budget {
                budget,
                lowest: LEARNED_LEAST_BITS,
            });
        }
    }
    Ok(())
}

/// Images that fit the network, each with one of its classes: the labels.
pub(super) fn check_data<'a>(
    network: &FloatNetwork,
    data: &'a Dataset,
    classes: usize,
) -> Result<&'a [usize], TrainError> {
    let dataset = data.name.clone();
    if data.is_empty() {
        return Err(TrainError::NoImages { dataset });
    }
    // Settles that the images fit.
    data.reals_for(network, 0..1)?;
    let Some(labels) = data.labels.as_deref() else {
        return Err(TrainError::NoLabels { dataset });
    };
    for (image, label) in labels.iter().enumerate() {
        if *label >= classes {
            return Err(TrainError::Label {
                dataset,
                image,
                label: *label,
                classes,
            });
        }
    }
    Ok(labels)
}
