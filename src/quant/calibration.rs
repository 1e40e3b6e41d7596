//! One pass of the float network over the calibration images: what every activation takes as values, the
//! input moments of every convolution, and the outputs that rounding has to meet.
//!
//! Images go through the network in blocks: activations are held for the blocks at work alone.

use std::sync::OnceLock;

use ndarray::{Array1, Array2, Array3, s};
use rayon::prelude::*;

use super::execution::{Execution, clamp_of};
use super::range::{self, Affine, Histogram};
use super::statistics::{Moments, Patches, Sampling, Sums};
use super::{Options, QuantError, fisher};
use crate::model::float::{FloatLayer, FloatNetwork, FloatOp};

/// Images that one thread takes through the network at a time.
const BLOCK: usize = 16;

/// What calibration finds.
pub(crate) struct Calibration {
    observed: Vec<Option<Histogram>>,
    /// Moments of each layer's inputs and unclamped outputs, one a group; empty where the layer is no
    /// convolution.
    pub(crate) moments: Vec<Vec<Moments>>,
    /// Unclamped outputs of each layer at the pixels of its [`sampling`], `[images x count, filters]`; empty
    /// where the layer is no convolution.
    pub(crate) targets: Vec<Array2<f32>>,
    information: OnceLock<Vec<Array1<f64>>>,
}

/// Inputs of a convolution's filters; `None` of other layers.
pub(crate) fn patches(network: &FloatNetwork, layer: &FloatLayer) -> Option<Patches> {
    let FloatOp::Convolution {
        kind,
        window,
        weights,
        ..
    } = &layer.op
    else {
        return None;
    };
    let channels = network.tensors[layer.inputs[0]].shape.channels;
    Some(Patches::new(*kind, *window, weights, channels))
}

/// The output pixels of a layer that count.
pub(crate) fn sampling(network: &FloatNetwork, layer: &FloatLayer, options: &Options) -> Sampling {
    Sampling::new(
        network.tensors[layer.output].shape,
        options.pixels_per_image,
    )
}

impl Calibration {
    pub(crate) fn of(
        network: &FloatNetwork,
        images: &[Array3<f32>],
        options: &Options,
    ) -> Result<Self, QuantError> {
        let layers = &network.layers;
        let mut observed: Vec<Option<Histogram>> = vec![None; network.tensors.len()];
        let mut sums = vec![Vec::new(); layers.len()];
        let mut targets: Vec<Array2<f32>> = layers
            .iter()
            .map(|layer| match patches(network, layer) {
                Some(_) => {
                    let rows = images.len() * sampling(network, layer, options).count;
                    Array2::zeros((rows, network.tensors[layer.output].shape.channels))
                }
                None => Array2::zeros((0, 0)),
            })
            .collect();
        let starts: Vec<usize> = (0..images.len()).step_by(BLOCK).collect();
        for round in starts.chunks(rayon::current_num_threads().max(1)) {
            let blocks: Vec<Block> = round
                .par_iter()
                .map(|&start| {
                    let end = (start + BLOCK).min(images.len());
                    Block::of(network, start, &images[start..end], options)
                })
                .collect::<Result<_, QuantError>>()?;
            for (start, block) in round.iter().zip(blocks) {
                for (all, own) in observed.iter_mut().zip(block.observed) {
                    join(all, own);
                }
                for (index, own) in block.layers.into_iter().enumerate() {
                    let Some((own_sums, own_targets)) = own else {
                        continue;
                    };
                    Sums::merge(&mut sums[index], &own_sums);
                    let first = start * sampling(network, &layers[index], options).count;
                    targets[index]
                        .slice_mut(s![first..first + own_targets.nrows(), ..])
                        .assign(&own_targets);
                }
            }
        }
        let moments = |sums: Vec<Sums>| sums.into_iter().map(Sums::moments).collect();
        Ok(Self {
            observed,
            moments: sums.into_iter().map(moments).collect(),
            targets,
            information: OnceLock::new(),
        })
    }

    /// Fisher information of every filter's output ([`fisher::measure`]), measured when it is first asked for.
    pub(crate) fn information(
        &self,
        network: &FloatNetwork,
        images: &[Array3<f32>],
    ) -> Result<&[Array1<f64>], QuantError> {
        if self.information.get().is_none() {
            let found = fisher::measure(network, images)?;
            return Ok(self.information.get_or_init(|| found));
        }
        Ok(self.information.get().map_or(&[], Vec::as_slice))
    }

    /// Scale and zero point of each tensor.
    pub(crate) fn affine(&self, network: &FloatNetwork, options: &Options) -> Vec<Affine> {
        choose_affine(network, &self.observed, options)
    }
}

fn join(all: &mut Option<Histogram>, own: Option<Histogram>) {
    match (all, own) {
        (Some(all), Some(own)) => all.merge(&own),
        (all, Some(own)) => *all = Some(own),
        (_, None) => {}
    }
}

/// What some of the images give.
struct Block {
    observed: Vec<Option<Histogram>>,
    /// Sums and targets of the convolutions.
    layers: Vec<Option<(Vec<Sums>, Array2<f32>)>>,
}

impl Block {
    /// Of `images`, the first of which has the number `first`.
    fn of(
        network: &FloatNetwork,
        first: usize,
        images: &[Array3<f32>],
        options: &Options,
    ) -> Result<Self, QuantError> {
        let mut observed = vec![None; network.tensors.len()];
        let mut observe = |tensor: usize, images: &[Array3<f32>]| {
            for image in images {
                let own = Histogram::observe(image);
                let own = own.ok_or_else(|| QuantError::ActivationNotFinite {
                    tensor: network.tensors[tensor].name.clone(),
                })?;
                join(&mut observed[tensor], Some(own));
            }
            Ok::<(), QuantError>(())
        };
        observe(network.input, images)?;
        let mut execution = Execution::new(network, images.iter().cloned());
        let mut layers = Vec::with_capacity(network.layers.len());
        for (index, layer) in network.layers.iter().enumerate() {
            let mut output = execution.compute(layer)?;
            layers.push(patches(network, layer).map(|patches| {
                let sampling = sampling(network, layer, options);
                let targets = sampling.gather(first, &output);
                let inputs = execution.values(layer.inputs[0]);
                let sums = Sums::of_block(&patches, sampling, first, &inputs, targets.view());
                (sums, targets)
            }));
            let clamp = clamp_of(&layer.op);
            for image in &mut output {
                image.mapv_inplace(|value| clamp.apply(value));
            }
            observe(layer.output, &output)?;
            execution.store(index, output);
        }
        Ok(Self { observed, layers })
    }
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
            if let Some((scale, zero)) = network.input_steps.filter(|_| set == network.input) {
                return Affine {
                    scale,
                    zero_point: i32::from(zero),
                };
            }
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
