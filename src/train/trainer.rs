//! Epochs: from the post-training network to the trained one.

use std::f64::consts::PI;
use std::path::Path;
use std::time::Instant;

use burn_tensor::{Device, Tensor, TensorData};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use super::batch::{self, Random};
use super::check::{check_data, check_options};
use super::checkpoint::{self, Fingerprint};
use super::cost::{self, Cost, settle};
use super::graph::{self, Filters, Graph};
use super::layer::Layer;
use super::loss::{LossParts, loss};
use super::optimizer::Rate;
use super::{Options, Processor, TrainError, Widths};
use crate::model::data::Dataset;
use crate::model::float::{FloatNetwork, FloatOp};
use crate::model::integer::{IntegerNetwork, IntegerOp};
use crate::quant::range::Affine;
use crate::quant::{self, Allocation, Objective, Quantizer, emit};

/// Width that learned widths start from.
const LEARNED_START_BITS: u8 = 4;
/// Updates over which the learning rate rises, at most.
const WARM_UP_UPDATES_MAX: u32 = 100;

/// One pass over the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: usize,
    /// Mean loss.
    pub loss: f64,
    /// Part of the (augmented) images whose class was right while they were trained on.
    pub accuracy: f64,
    /// Cost of the widths at the epoch's end.
    #[serde(flatten)]
    pub cost: Cost,
    /// Wall-clock time in seconds.
    pub seconds: f64,
}

/// A network in training.
pub struct Trainer<'a> {
    network: &'a FloatNetwork,
    data: &'a Dataset,
    labels: &'a [usize],
    options: Options,
    graph: Graph<'a>,
    affine: Vec<Affine>,
    layers: Vec<Option<Layer>>,
    teacher: Vec<Option<Filters>>,
    device: Device,
    fingerprint: Fingerprint,
    updates: u32,
    history: Vec<EpochReport>,
}

impl<'a> Trainer<'a> {
    /// Quantizes `network` with `calibration` (real inputs `[height, width, channels]`, 256 are enough) and makes
    /// ready to train it on `data`.
    ///
    /// # Errors
    /// [`TrainError`]: data, options or network cannot be used, or the budget not reached.
    pub fn new(
        network: &'a FloatNetwork,
        data: &'a Dataset,
        calibration: &[Array3<f32>],
        options: Options,
        processor: Processor,
    ) -> Result<Self, TrainError> {
        check_options(&options)?;
        let graph = Graph::new(network)?;
        let labels = check_data(network, data, graph.classes())?;
        let learned = options.widths == Widths::Learned;
        let quantizer_options = quant::Options {
            objective: options.objective,
            rounding: options.rounding,
            ..quant::Options::default()
        };
        let quantizer = Quantizer::new(network, calibration, quantizer_options)?;
        let (start, _) = quantizer.quantize(if learned {
            Allocation::Uniform(LEARNED_START_BITS)
        } else {
            Allocation::PerFilter(options.budget)
        })?;
        let affine: Vec<Affine> = start
            .tensors
            .iter()
            .map(|tensor| Affine {
                scale: tensor.scale,
                zero_point: tensor.zero_point,
            })
            .collect();
        let device = device(processor);
        let layers = network.layers.iter().zip(&start.layers);
        let layers = layers
            .map(|(layer, start)| match (&layer.op, &start.op) {
                (FloatOp::Convolution { weights, .. }, IntegerOp::Convolution(start)) => {
                    Some(Layer::new(network, layer, weights, start, &affine, learned))
                }
                _ => None,
            })
            .collect();
        Ok(Self {
            fingerprint: Fingerprint::of(network, data, calibration, &options),
            network,
            data,
            labels,
            graph,
            affine,
            layers,
            teacher: network
                .layers
                .iter()
                .map(|layer| given_filters(&layer.op, &device))
                .collect(),
            device,
            options,
            updates: 0,
            history: Vec::new(),
        })
    }

    /// Epochs that are done.
    #[must_use]
    pub fn history(&self) -> &[EpochReport] {
        &self.history
    }

    /// Whether all epochs are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.history.len() >= self.options.epochs
    }

    /// Cost of the present widths.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        for layer in self.layers.iter().flatten() {
            layer.add_cost(&mut cost);
        }
        cost
    }

    /// Name, MACs, weights and widths of each convolution.
    pub fn layers(&self) -> impl Iterator<Item = (&str, u64, u64, &[u8])> {
        self.layers.iter().flatten().map(|layer| {
            let filters = layer.bits.len() as u64;
            (
                layer.name.as_str(),
                layer.macs_per_filter * filters,
                layer.elements() as u64 * filters,
                layer.bits.as_slice(),
            )
        })
    }

    /// One pass over the images.
    ///
    /// # Errors
    /// [`TrainError::Diverged`], [`TrainError::Device`].
    pub fn epoch(&mut self) -> Result<EpochReport, TrainError> {
        let start = Instant::now();
        let epoch = self.history.len();
        if self.options.widths == Widths::Learned && epoch >= self.options.width_epochs {
            settle(&mut self.layers, &self.options);
        }
        let mut random = Random::of_epoch(self.options.seed, epoch);
        let order = random.order(self.data.len());
        let (mut total, mut right) = (0.0, 0);
        for (step, indices) in order.chunks(self.options.batch).enumerate() {
            let (loss, hits) = self.step(indices, &mut random)?;
            if !loss.is_finite() {
                return Err(TrainError::Diverged {
                    epoch: epoch + 1,
                    step: step + 1,
                    loss,
                    learning_rate: self.options.learning_rate,
                    batch: self.options.batch,
                });
            }
            total += loss * indices.len() as f64;
            right += hits;
        }
        if epoch + 1 == self.options.epochs {
            settle(&mut self.layers, &self.options);
        }
        let report = EpochReport {
            epoch: epoch + 1,
            loss: total / self.data.len() as f64,
            accuracy: right as f64 / self.data.len() as f64,
            cost: self.cost(),
            seconds: start.elapsed().as_secs_f64(),
        };
        self.history.push(report.clone());
        Ok(report)
    }

    /// The integer network as it is now, within the budget.
    #[must_use]
    pub fn network(&self) -> IntegerNetwork {
        let mut layers = self.layers.clone();
        settle(&mut layers, &self.options);
        let rounded: Vec<_> = layers
            .iter()
            .map(|layer| layer.as_ref().map(Layer::rounded))
            .collect();
        emit::network(self.network, &self.affine, &rounded, self.options.rounding)
    }

    /// Writes everything that the next epoch depends on.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        checkpoint::write(
            path,
            &self.fingerprint,
            self.updates,
            &self.history,
            &self.layers,
        )
    }

    /// Goes on where [`Self::save`] was called.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`]: the file is damaged, or of a run with other options, network or data.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let state = checkpoint::read(path, &self.fingerprint, &self.layers)?;
        self.updates = state.updates;
        self.history = state.history;
        for (layer, stored) in self.layers.iter_mut().flatten().zip(state.layers) {
            layer.learned = stored.learned;
            layer.bits = stored.bits;
            layer.widths_learned = stored.widths_learned;
        }
        Ok(())
    }

    /// One update on some images: its loss, and how many classes were right before it.
    fn step(&mut self, indices: &[usize], random: &mut Random) -> Result<(f64, usize), TrainError> {
        let (network, options) = (self.network, &self.options);
        let images = batch::load(network, self.data, indices, options.augmentation, random)?;
        let labels: Vec<usize> = indices.iter().map(|index| self.labels[*index]).collect();
        let input = graph::batch(&images, &self.device);
        let teacher = self.graph.forward(input.clone(), &self.teacher, None);
        let filters = self.filters();
        let logits = self.graph.forward(input, &filters, Some(&self.affine));
        let parts = LossParts {
            distillation: options.distillation,
            temperature: options.temperature,
        };
        let loss = loss(logits.clone(), teacher, &labels, parts);
        let gradients = loss.backward();
        let value = read(loss)?.first().copied().map_or(f64::NAN, f64::from);
        let right = hits(&read(logits)?, &labels);

        let cost = self.cost();
        let (penalty, slope) = cost::penalty(
            cost.bits(options.objective),
            options.budget,
            options.penalty,
        );
        let learning = options.widths == Widths::Learned;
        let rate = self.rate();
        for (layer, filters) in self.layers.iter_mut().zip(filters) {
            let (Some(layer), Some((weights, biases))) = (layer, filters) else {
                continue;
            };
            let share = match options.objective {
                Objective::Time => layer.macs_per_filter as f64 / cost.macs.max(1) as f64,
                Objective::Size => layer.elements() as f64 / cost.weights.max(1) as f64,
            };
            let (Some(by_weights), Some(by_biases)) =
                (weights.grad(&gradients), biases.grad(&gradients))
            else {
                continue; // A layer that the logits do not depend on.
            };
            layer.update(read(by_weights)?, &read(by_biases)?, slope * share, rate);
        }
        self.updates += 1;
        Ok((if learning { value + penalty } else { value }, right))
    }

    /// Logits of real inputs `[n, h, w, c]`, as training computes them now.
    #[cfg(test)]
    pub(super) fn logits(
        &self,
        images: &ndarray::Array4<f32>,
    ) -> Result<Vec<Vec<f32>>, TrainError> {
        let input = graph::batch(images, &self.device);
        let filters = self.filters();
        let logits = self.graph.forward(input, &filters, Some(&self.affine));
        let rows = read(logits)?;
        Ok(rows
            .chunks(self.graph.classes())
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// Logits of the float network, one real input `[h, w, c]` after the other.
    #[cfg(test)]
    pub(super) fn teacher_logits(
        &self,
        images: &[Array3<f32>],
    ) -> Result<Vec<Vec<f32>>, TrainError> {
        let one = |image: &Array3<f32>| {
            let input = graph::batch(&image.clone().insert_axis(ndarray::Axis(0)), &self.device);
            read(self.graph.forward(input, &self.teacher, None))
        };
        images.iter().map(one).collect()
    }

    /// What the integers stand for, as tensors whose gradients are wanted.
    fn filters(&self) -> Vec<Option<Filters>> {
        let device = self.device.clone().autodiff();
        let tensors = |layer: &Layer| {
            let (weights, biases) = layer.effective();
            let (weights, biases) = graph::filters(weights, biases, layer.dim, &device);
            (weights.require_grad(), biases.require_grad())
        };
        self.layers
            .iter()
            .map(|layer| layer.as_ref().map(tensors))
            .collect()
    }

    /// The next update's rate: up a line, down a cosine.
    fn rate(&self) -> Rate {
        let steps = self.data.len().div_ceil(self.options.batch) * self.options.epochs;
        let total = u32::try_from(steps).unwrap_or(u32::MAX).max(1);
        let warm_up = (total / 20).clamp(1, WARM_UP_UPDATES_MAX);
        let update = self.updates + 1;
        let rise = (f64::from(update) / f64::from(warm_up)).min(1.0);
        let fall = 0.5 * (1.0 + (PI * f64::from(self.updates) / f64::from(total)).cos());
        Rate {
            rate: self.options.learning_rate * rise * fall,
            update,
        }
    }
}

fn given_filters(op: &FloatOp, device: &Device) -> Option<Filters> {
    let FloatOp::Convolution { weights, bias, .. } = op else {
        return None;
    };
    let (out, row, column, inputs) = weights.dim();
    Some(graph::filters(
        weights.iter().copied().collect(),
        bias.to_vec(),
        [out, row, column, inputs],
        device,
    ))
}

fn device(processor: Processor) -> Device {
    match processor {
        Processor::Cpu => Device::flex(),
        #[cfg(feature = "train-cuda")]
        Processor::Cuda => Device::cuda(0),
        #[cfg(feature = "train-wgpu")]
        Processor::Wgpu => Device::wgpu(burn_tensor::DeviceKind::DefaultDevice),
    }
}

fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    let failed = |reason: String| TrainError::Device { reason };
    let data: TensorData = tensor
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?;
    data.try_to_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
}

/// How many rows of the logits have their label's value first.
fn hits(logits: &[f32], labels: &[usize]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    let right = |(row, label): (&[f32], &usize)| {
        row.iter()
            .enumerate()
            .all(|(class, value)| class == *label || *value < row[*label])
    };
    logits
        .chunks(classes.max(1))
        .zip(labels)
        .filter(|entry| right(*entry))
        .count()
}
