//! One pass of the float network over the calibration images: scale and zero point of every
//! activation, and the input moments of every convolution.

use ndarray::Array3;

use super::execution::{Execution, clamp_of, map_images};
use super::range::{self, Affine, Histogram};
use super::statistics::{Moments, Patches};
use super::{Options, QuantError};
use crate::model::float::{FloatNetwork, FloatOp};

/// What calibration finds.
pub(crate) struct Calibration {
    /// Scale and zero point of each tensor.
    pub(crate) affine: Vec<Affine>,
    /// Moments of each layer's inputs and unclamped outputs, one a group; empty where the layer is no
    /// convolution.
    pub(crate) moments: Vec<Vec<Moments>>,
}

pub(crate) fn calibrate(
    network: &FloatNetwork,
    images: &[Array3<f32>],
    options: &Options,
) -> Result<Calibration, QuantError> {
    let mut observed: Vec<Option<Histogram>> = vec![None; network.tensors.len()];
    let mut observe = |tensor: usize, images: &[Array3<f32>]| {
        observed[tensor] =
            Some(
                Histogram::observe(images).ok_or_else(|| QuantError::ActivationNotFinite {
                    tensor: network.tensors[tensor].name.clone(),
                })?,
            );
        Ok::<(), QuantError>(())
    };
    observe(network.input, images)?;
    let mut execution = Execution::new(network, images.to_vec());
    let mut moments = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        let mut output = execution.compute(layer)?;
        moments.push(match &layer.op {
            FloatOp::Convolution {
                kind,
                window,
                weights,
                ..
            } => Moments::measure(
                &Patches::new(*kind, *window, weights),
                execution.values(layer.inputs[0]),
                &output,
                options.pixels_per_image,
            ),
            _ => Vec::new(),
        });
        let clamp = clamp_of(&layer.op);
        map_images(&mut output, |value| value.max(clamp.low).min(clamp.high));
        observe(layer.output, &output)?;
        execution.store(index, output);
    }
    Ok(Calibration {
        affine: choose_affine(network, &observed, options),
        moments,
    })
}

/// One scale and zero point for each set of tensors that layers without rescaling tie together.
fn choose_affine(
    network: &FloatNetwork,
    observed: &[Option<Histogram>],
    options: &Options,
) -> Vec<Affine> {
    // The representative of a set is the tensor that the first layer of a chain reads.
    let mut representative: Vec<usize> = (0..network.tensors.len()).collect();
    let mut fixed = vec![false; network.tensors.len()];
    for layer in &network.layers {
        match layer.op {
            FloatOp::AveragePool { .. } | FloatOp::MaxPool { .. } | FloatOp::Reshape => {
                representative[layer.output] = representative[layer.inputs[0]];
            }
            FloatOp::Softmax => fixed[layer.output] = true,
            _ => {}
        }
    }
    let chosen: Vec<Affine> = (0..network.tensors.len())
        .map(|set| {
            if fixed[set] {
                // Softmax: probabilities in steps of 1/256.
                return Affine {
                    scale: 1.0 / 256.0,
                    zero_point: 0,
                };
            }
            let members: Vec<&Histogram> = observed
                .iter()
                .zip(&representative)
                .filter(|(_, representative)| **representative == set)
                .filter_map(|(histogram, _)| histogram.as_ref())
                .collect();
            // The network's input is given in all its values; clipping it would lose some for good.
            let method = if set == network.input {
                range::RangeMethod::MinMax
            } else {
                options.activation_range
            };
            range::choose(&members, method)
        })
        .collect();
    representative.iter().map(|set| chosen[*set]).collect()
}
