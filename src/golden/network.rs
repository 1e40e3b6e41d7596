//! The bit-exact layer mathematics of a whole integer network.
//!
//! [`Executor`] checks a network once and then runs images through it; [`run`] and [`evaluate`] are
//! the short forms. Results are those of TFLite's int8 reference kernels where the network rounds as
//! they do ([`Rounding::Double`]), byte for byte.

use ndarray::{Array2, Array3, ArrayView1, ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::add::Addition;
use super::check;
use super::convolution::Convolution;
pub use super::error::GoldenError;
use super::pool::{GlobalAverage, Pool};
use super::softmax::Softmax;
#[cfg(doc)]
use crate::model::integer::Rounding;
use crate::model::integer::{IntegerNetwork, Shape, TensorId};

/// What a checked layer computes.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Convolution, depthwise convolution, fully connected.
    Convolution(Box<Convolution>),
    /// Residual addition.
    Add(Addition),
    /// Average or maximum pooling.
    Pool(Pool),
    /// Mean over rows and columns.
    GlobalAverage(GlobalAverage),
    /// The same bytes under the output's shape.
    Reshape(Shape),
    /// Softmax over channels.
    Softmax(Softmax),
}

/// A checked layer with its tensors.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) inputs: Vec<TensorId>,
    pub(super) output: TensorId,
}

/// A checked network, ready to run any number of images; shareable between threads.
#[derive(Debug, Clone)]
pub struct Executor {
    steps: Vec<Step>,
    tensors: usize,
    input: TensorId,
    input_shape: Shape,
    output: TensorId,
    output_shape: Shape,
}

impl Executor {
    /// Checks a network and prepares its weights.
    ///
    /// # Errors
    /// [`GoldenError`], where the network breaks the contract of its types: shapes that do not fit,
    /// weights beyond their bit width, accumulators that could overflow, tensors read before they
    /// are written.
    pub fn new(network: &IntegerNetwork) -> Result<Self, GoldenError> {
        Ok(Self {
            steps: check::steps(network)?,
            tensors: network.tensors.len(),
            input: network.input,
            input_shape: network.tensors[network.input].shape,
            output: network.output,
            output_shape: network.tensors[network.output].shape,
        })
    }

    /// Every activation of one image, by tensor; `input` is `[height, width, channels]`. A tensor
    /// that no layer writes is left empty.
    ///
    /// # Errors
    /// [`GoldenError::InputShape`].
    pub fn run(&self, input: ArrayView3<'_, u8>) -> Result<Vec<Array3<u8>>, GoldenError> {
        let shape = self.input_shape;
        if input.dim() != (shape.height, shape.width, shape.channels) {
            let (height, width, channels) = input.dim();
            let found = Shape {
                height,
                width,
                channels,
            };
            return Err(GoldenError::InputShape {
                expected: shape,
                found,
            });
        }
        let mut activations = vec![Array3::zeros((0, 0, 0)); self.tensors];
        activations[self.input] = input.as_standard_layout().into_owned();
        for step in &self.steps {
            activations[step.output] = step.run(&activations);
        }
        Ok(activations)
    }

    /// The output activation of one image.
    ///
    /// # Errors
    /// [`GoldenError::InputShape`].
    pub fn run_output(&self, input: ArrayView3<'_, u8>) -> Result<Array3<u8>, GoldenError> {
        self.run(input)
            .map(|mut activations| activations.swap_remove(self.output))
    }

    /// The output activation, given one that all steps after it (and nothing else) lead to the output from.
    ///
    /// `activation` has the shape of `tensor`.
    #[must_use]
    pub fn run_after(&self, tensor: TensorId, activation: Array3<u8>) -> Array3<u8> {
        let after = self.steps.iter().position(|step| step.output == tensor);
        let mut activations = vec![Array3::zeros((0, 0, 0)); self.tensors];
        activations[tensor] = activation;
        for step in &self.steps[after.map_or(0, |at| at + 1)..] {
            activations[step.output] = step.run(&activations);
        }
        activations.swap_remove(self.output)
    }

    /// The outputs of many images, `[image, element]`, elements in `[h, w, c]` order; `inputs` is
    /// `[image, height, width, channels]`. Runs on all of rayon's threads.
    ///
    /// # Errors
    /// [`GoldenError::InputShape`].
    pub fn run_outputs(&self, inputs: ArrayView4<'_, u8>) -> Result<Array2<u8>, GoldenError> {
        let rows = (0..inputs.dim().0)
            .into_par_iter()
            .map(|image| self.run_output(inputs.index_axis(Axis(0), image)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outputs = Array2::zeros((rows.len(), self.output_shape.elements()));
        for (mut output, row) in outputs.rows_mut().into_iter().zip(&rows) {
            output
                .iter_mut()
                .zip(row)
                .for_each(|(target, &byte)| *target = byte);
        }
        Ok(outputs)
    }

    /// Classifies labelled images; `inputs` is `[image, height, width, channels]`.
    ///
    /// # Errors
    /// [`GoldenError::InputShape`]; [`GoldenError::LabelCount`] where there is not one label an image.
    pub fn evaluate(
        &self,
        inputs: ArrayView4<'_, u8>,
        labels: &[usize],
    ) -> Result<Evaluation, GoldenError> {
        if inputs.dim().0 != labels.len() {
            return Err(GoldenError::LabelCount {
                images: inputs.dim().0,
                labels: labels.len(),
            });
        }
        let outputs = self.run_outputs(inputs)?;
        Ok(Evaluation::of(&outputs, labels))
    }
}

impl Step {
    fn run(&self, activations: &[Array3<u8>]) -> Array3<u8> {
        let input = |index: usize| activations[self.inputs[index]].view();
        match &self.operation {
            Operation::Convolution(convolution) => convolution.run(input(0)),
            Operation::Add(addition) => addition.run(input(0), input(1)),
            Operation::Pool(pool) => pool.run(input(0)),
            Operation::GlobalAverage(average) => average.run(input(0)),
            Operation::Reshape(shape) => {
                let mut bytes = input(0).into_iter().copied();
                let dim = (shape.height, shape.width, shape.channels);
                Array3::from_shape_simple_fn(dim, || bytes.next().unwrap_or(0))
            }
            Operation::Softmax(softmax) => softmax.run(input(0)),
        }
    }
}

/// Every activation of one image, by tensor: [`Executor::new`] and [`Executor::run`].
///
/// # Errors
/// As those two.
pub fn run(
    network: &IntegerNetwork,
    input: ArrayView3<'_, u8>,
) -> Result<Vec<Array3<u8>>, GoldenError> {
    Executor::new(network)?.run(input)
}

/// Classifies labelled images: [`Executor::new`] and [`Executor::evaluate`].
///
/// # Errors
/// As those two.
pub fn evaluate(
    network: &IntegerNetwork,
    inputs: ArrayView4<'_, u8>,
    labels: &[usize],
) -> Result<Evaluation, GoldenError> {
    Executor::new(network)?.evaluate(inputs, labels)
}

/// The index of the first maximum; 0 of nothing.
#[must_use]
pub fn argmax<T: PartialOrd>(scores: ArrayView1<'_, T>) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

/// How well a network classifies a set of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Images.
    pub images: usize,
    /// Images whose first maximum is the label.
    pub top1_correct: usize,
    /// Images with fewer than five classes ahead of the label (a tie counts for the lower index).
    pub top5_correct: usize,
    /// The class of each image.
    pub classes: Vec<usize>,
}

impl Evaluation {
    /// Judges outputs `[image, class]`; one label an image.
    #[must_use]
    pub fn of(outputs: &Array2<u8>, labels: &[usize]) -> Self {
        let classes: Vec<usize> = outputs.rows().into_iter().map(argmax).collect();
        let top1_correct = classes
            .iter()
            .zip(labels)
            .filter(|(class, label)| class == label)
            .count();
        let top5_correct = outputs
            .rows()
            .into_iter()
            .zip(labels)
            .filter(|(scores, label)| rank(*scores, **label).is_some_and(|rank| rank < 5))
            .count();
        Self {
            images: classes.len(),
            top1_correct,
            top5_correct,
            classes,
        }
    }

    /// Share of images whose first maximum is the label; 0 of no images.
    #[must_use]
    pub fn top1(&self) -> f64 {
        share(self.top1_correct, self.images)
    }

    /// Share of images whose label is among the first five; 0 of no images.
    #[must_use]
    pub fn top5(&self) -> f64 {
        share(self.top5_correct, self.images)
    }
}

/// How many classes come before `label`; `None` where there is no such class.
fn rank(scores: ArrayView1<'_, u8>, label: usize) -> Option<usize> {
    let own = *scores.get(label)?;
    let ahead = |(class, &score): (usize, &u8)| score > own || (score == own && class < label);
    Some(
        scores
            .iter()
            .enumerate()
            .filter(|&entry| ahead(entry))
            .count(),
    )
}

// Counts of images are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
