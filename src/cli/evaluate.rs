//! `bitweft evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use bitweft::golden::{
    float,
    network::{Evaluation, Executor},
};
use bitweft::model::data::Dataset;
use bitweft::model::float::FloatNetwork;
use bitweft::model::integer::{IntegerNetwork, Rounding};
use bitweft::model::load::Model;
use clap::Args;
use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::console::Console;
use super::exit::Exit;
use super::options::{InputArguments, labels};

/// Images between two steps of the progress bar.
const BATCH: usize = 64;

/// Measure a network's accuracy on the golden model.
#[derive(Args)]
pub(crate) struct Evaluate {
    /// Network file (.bw, .tflite, .onnx), float or integer.
    model: PathBuf,
    /// Labelled images (.npz, or a folder or .zip of pictures).
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Take the first N images only.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    input: InputArguments,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accuracy {
    pub(crate) network: String,
    pub(crate) arithmetic: String,
    pub(crate) rounding: Option<Rounding>,
    pub(crate) images: usize,
    pub(crate) top1: f64,
    pub(crate) top5: f64,
    pub(crate) top1_correct: usize,
    pub(crate) top5_correct: usize,
    pub(crate) seconds: f64,
}

impl Evaluate {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let model = self.input.load_model(&self.model)?;
        let [shape, output] = match &model {
            Model::Float(network) => {
                [network.input, network.output].map(|t| network.tensors[t].shape)
            }
            Model::Integer(network) => {
                [network.input, network.output].map(|t| network.tensors[t].shape)
            }
        };
        let data = self
            .input
            .load_data(&self.data, shape, self.limit.map(NonZeroUsize::get))?;
        let labels = labels(&data, &self.data, output.elements())?;
        let start = Instant::now();
        let (arithmetic, rounding, [top1_correct, top5_correct]) = match &model {
            Model::Float(network) => ("float", None, float_hits(network, &data, labels, console)?),
            Model::Integer(network) => (
                "integer",
                Some(network.rounding),
                integer_hits(network, &data, labels, console)?,
            ),
        };
        let share = |hits: usize| hits as f64 / data.len() as f64;
        let accuracy = Accuracy {
            network: model.name().to_owned(),
            arithmetic: arithmetic.to_owned(),
            rounding,
            images: data.len(),
            top1: share(top1_correct),
            top5: share(top5_correct),
            top1_correct,
            top5_correct,
            seconds: start.elapsed().as_secs_f64(),
        };
        console.result(&accuracy, || text(&accuracy))?;
        Ok(Exit::Success)
    }
}

fn text(accuracy: &Accuracy) -> String {
    format!(
        "{} ({}): top-1 {:.4}, top-5 {:.4} on {} images in {:.1} s",
        accuracy.network,
        accuracy.arithmetic,
        accuracy.top1,
        accuracy.top5,
        accuracy.images,
        accuracy.seconds
    )
}

/// Images with the label first, and with the label among the first five.
pub(super) fn integer_hits(
    network: &IntegerNetwork,
    data: &Dataset,
    labels: &[usize],
    console: &Console,
) -> Result<[usize; 2]> {
    let executor = Executor::new(network)?;
    let bar = console.bar(data.len(), "evaluating");
    let mut hits = [0; 2];
    for start in (0..data.len()).step_by(BATCH) {
        let end = data.len().min(start + BATCH);
        let outputs = executor.run_outputs(data.bytes_for(network, start..end)?.view())?;
        let found = Evaluation::of(&outputs, &labels[start..end]);
        hits[0] += found.top1_correct;
        hits[1] += found.top5_correct;
        bar.inc((end - start) as u64);
    }
    bar.finish_and_clear();
    Ok(hits)
}

/// As [`integer_hits`], on real numbers.
pub(super) fn float_hits(
    network: &FloatNetwork,
    data: &Dataset,
    labels: &[usize],
    console: &Console,
) -> Result<[usize; 2]> {
    use rayon::prelude::*;
    let bar = console.bar(data.len(), "evaluating");
    let ranks = (0..data.len())
        .into_par_iter()
        .map(|index| {
            let image = data.reals_for(network, index..index + 1)?;
            let image = image.index_axis(Axis(0), 0);
            let output = float::run_selected(network, image, &[network.output])?;
            bar.inc(1);
            let scores: Vec<f32> = output.iter().flatten().copied().collect();
            Ok(rank(&scores, labels[index]))
        })
        .collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let below = |limit| ranks.iter().flatten().filter(|rank| **rank < limit).count();
    Ok([below(1), below(5)])
}

/// How many classes come before `label`; `None` where there is no such class.
fn rank(scores: &[f32], label: usize) -> Option<usize> {
    let own = *scores.get(label)?;
    let ahead = |(class, &score): (usize, &f32)| score > own || (score == own && class < label);
    Some(
        scores
            .iter()
            .enumerate()
            .filter(|&entry| ahead(entry))
            .count(),
    )
}
