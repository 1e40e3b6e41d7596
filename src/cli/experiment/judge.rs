//! How much a quantized network keeps of the float one.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use bitweft::golden::float;
use bitweft::golden::network::{Executor, argmax};
use bitweft::model::data::Dataset;
use bitweft::model::float::FloatOp;
use bitweft::model::integer::{IntegerNetwork, IntegerOp};
use clap::Args;
use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

use super::record::{Accuracy, TestSet};
use super::study::{Source, SourceArguments};
use crate::cli::console::Console;
use crate::cli::options::labels;

/// Images that accuracy is measured on.
#[derive(Args)]
pub(super) struct TestArguments {
    /// Labelled images to measure accuracy on.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Take the first N of them only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Labelled images, and what the float network says of them.
pub(super) struct Judge {
    data: Dataset,
    labels: Vec<usize>,
    /// Logarithms of the float network's class probabilities, `[image][class]`.
    float: Vec<Vec<f64>>,
    top1_float: f64,
}

impl Judge {
    /// Runs the float network over the images.
    pub(super) fn new(
        arguments: &TestArguments,
        SourceArguments { input, .. }: &SourceArguments,
        Source { network, .. }: &Source,
        console: &Console,
    ) -> Result<Self> {
        let shape = network.tensors[network.input].shape;
        let limit = arguments
            .limit
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let data = input.load_data(&arguments.data, shape, limit)?;
        let classes = network.tensors[network.output].shape.elements();
        let labels = labels(&data, &arguments.data, classes)?.to_vec();
        let softmax = network
            .layers
            .iter()
            .find(|layer| layer.output == network.output && matches!(layer.op, FloatOp::Softmax));
        let logits = softmax.map_or(network.output, |layer| layer.inputs[0]);
        let bar = console.bar(data.len(), "float network");
        let float = (0..data.len())
            .into_par_iter()
            .map(|index| {
                let image = data.reals_for(network, index..index + 1)?;
                let image = image.index_axis(Axis(0), 0);
                let output = float::run_selected(network, image, &[logits])?;
                bar.inc(1);
                let values = output.iter().flatten().map(|value| f64::from(*value));
                Ok(log_softmax(values.collect()))
            })
            .collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        let hits = float
            .iter()
            .zip(&labels)
            .filter(|(logs, label)| argmax(ArrayView1::from(logs)) == **label);
        let top1_float = hits.count() as f64 / data.len() as f64;
        Ok(Self {
            data,
            labels,
            float,
            top1_float,
        })
    }

    /// The images and what the float network reaches.
    pub(super) fn test_set(&self) -> TestSet {
        TestSet {
            data: self.data.name.clone(),
            images: self.data.len(),
            top1_float: self.top1_float,
        }
    }

    /// Runs a quantized network over the images, on the golden model.
    pub(super) fn judge(&self, network: &IntegerNetwork) -> Result<Accuracy> {
        let softmax = network
            .layers
            .iter()
            .find(|layer| layer.output == network.output && matches!(layer.op, IntegerOp::Softmax));
        let logits = softmax.map_or(network.output, |layer| layer.inputs[0]);
        let tensor = &network.tensors[logits];
        let executor = Executor::new(network)?;
        let judged = (0..self.data.len())
            .into_par_iter()
            .map(|index| {
                let input = self.data.bytes_for(network, index..index + 1)?;
                let activations = executor.run(input.index_axis(Axis(0), 0))?;
                let output: Vec<u8> = activations[network.output].iter().copied().collect();
                let class = argmax(ArrayView1::from(&output));
                let real = |byte: &u8| {
                    f64::from(tensor.scale) * f64::from(i32::from(*byte) - tensor.zero_point)
                };
                let found = log_softmax(activations[logits].iter().map(real).collect());
                let float = &self.float[index];
                ensure!(
                    found.len() == float.len(),
                    "classes: {} and {}",
                    found.len(),
                    float.len()
                );
                Ok(Verdict {
                    hit: class == self.labels[index],
                    agrees: class == argmax(ArrayView1::from(float)),
                    divergence: divergence(float, &found),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let count = judged.len() as f64;
        let top1_correct = judged.iter().filter(|verdict| verdict.hit).count();
        let agreeing = judged.iter().filter(|verdict| verdict.agrees).count();
        Ok(Accuracy {
            top1: top1_correct as f64 / count,
            top1_correct,
            agreement: agreeing as f64 / count,
            divergence: judged.iter().map(|v| v.divergence).sum::<f64>() / count,
            hits: judged
                .iter()
                .map(|verdict| f64::from(u8::from(verdict.hit)))
                .collect(),
        })
    }
}

/// One image.
struct Verdict {
    hit: bool,
    agrees: bool,
    divergence: f64,
}

/// Logarithms of the probabilities that softmax gives.
fn log_softmax(mut logits: Vec<f64>) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let shift = largest + sum.ln();
    logits.iter_mut().for_each(|logit| *logit -= shift);
    logits
}

/// Kullback-Leibler divergence of the second distribution from the first, both as logarithms, in nats.
fn divergence(from: &[f64], to: &[f64]) -> f64 {
    from.iter()
        .zip(to)
        .map(|(from, to)| from.exp() * (from - to))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_of_known_distributions() {
        let even = log_softmax(vec![3.0, 3.0]);
        assert!((even[0] - 0.5_f64.ln()).abs() < 1e-12);
        assert!(divergence(&even, &even).abs() < 1e-12);
        let skewed = log_softmax(vec![3.0_f64.ln(), 0.0]);
        assert!((skewed[0] - 0.75_f64.ln()).abs() < 1e-12);
        let known = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * (0.5_f64 / 0.25).ln();
        assert!((divergence(&even, &skewed) - known).abs() < 1e-12);
        assert!(divergence(&skewed, &even) > 0.0);
    }
}
