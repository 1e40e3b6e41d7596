//! How much the network's output suffers from noise on one filter's output: the Fisher information of
//! every filter, from gradients propagated back through the float network.
//!
//! For an output distribution p over classes the Kullback-Leibler divergence that a small disturbance
//! d of the logits causes is 1/2 d^T F d with F = diag(p) - p p^T. F = A A^T with A = diag(s) - p s^T
//! and s = sqrt(p), so for a vector r of random signs the gradient g = A r has E[g g^T] = F: one
//! backward pass an image measures all filters without bias (a Hutchinson estimate). Noise of variance
//! v on every pixel of a filter's output then costs 1/2 v sum_pixels E[g^2].

use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::QuantError;
use super::statistics::Patches;
use crate::golden::float;
use crate::model::float::{Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, TensorId};

/// Images that are propagated back.
const IMAGES_MAX: usize = 256;

/// Sum over pixels of the mean squared gradient at each filter's output (before its clamp), for each
/// layer; empty where the layer is no convolution.
pub(crate) fn measure(
    network: &FloatNetwork,
    images: &[Array3<f32>],
) -> Result<Vec<Array1<f64>>, QuantError> {
    let images = &images[..images.len().min(IMAGES_MAX)];
    let each: Vec<Vec<Array1<f64>>> = images
        .par_iter()
        .enumerate()
        .map(|(index, image)| {
            let values = float::run(network, image.view())?;
            Ok(Backward::of(network, &values, index).squares)
        })
        .collect::<Result<_, QuantError>>()?;
    let mut total: Vec<Array1<f64>> = network
        .layers
        .iter()
        .map(|layer| match &layer.op {
            FloatOp::Convolution { bias, .. } => Array1::zeros(bias.len()),
            _ => Array1::zeros(0),
        })
        .collect();
    for squares in &each {
        total
            .iter_mut()
            .zip(squares)
            .for_each(|(total, s)| *total += s);
    }
    let count = images.len().max(1) as f64;
    Ok(total.into_iter().map(|total| total / count).collect())
}

/// Signs that look random and are the same in every run.
fn sign(image: usize, element: usize) -> f32 {
    let mut x = (image as u64) << 32 | element as u64;
    // SplitMix64's finalizer.
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (x ^ (x >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
}

/// The gradient to start from at `logits`: `A r` for classes, `r` for a network that reproduces its
/// input (squared error).
fn seed(logits: &Array3<f32>, classes: bool, image: usize) -> Array3<f32> {
    let mut signs = logits.clone();
    signs
        .iter_mut()
        .enumerate()
        .for_each(|(element, value)| *value = sign(image, element));
    if !classes {
        return signs;
    }
    let largest = logits.fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let mut p = logits.mapv(|z| (z - largest).exp());
    let sum = p.sum();
    p.mapv_inplace(|p| p / sum);
    let scaled = p.mapv(f32::sqrt) * &signs;
    let total = scaled.sum();
    scaled - p * total
}

struct Backward<'a> {
    network: &'a FloatNetwork,
    values: &'a [Array3<f32>],
    gradients: Vec<Option<Array3<f32>>>,
    squares: Vec<Array1<f64>>,
}

impl<'a> Backward<'a> {
    fn of(network: &'a FloatNetwork, values: &'a [Array3<f32>], image: usize) -> Self {
        let mut pass = Self {
            network,
            values,
            gradients: vec![None; values.len()],
            squares: vec![Array1::zeros(0); network.layers.len()],
        };
        let softmax = network
            .layers
            .iter()
            .find(|l| l.output == network.output && matches!(l.op, FloatOp::Softmax));
        let logits = softmax.map_or(network.output, |layer| layer.inputs[0]);
        let classes = values[logits].len() != values[network.input].len();
        pass.gradients[logits] = Some(seed(&values[logits], classes, image));
        for (index, layer) in network.layers.iter().enumerate().rev() {
            if let Some(gradient) = pass.gradients[layer.output].clone() {
                pass.layer(index, layer, gradient);
            } else if let FloatOp::Convolution { bias, .. } = &layer.op {
                pass.squares[index] = Array1::zeros(bias.len());
            }
        }
        pass
    }

    fn add(&mut self, tensor: TensorId, gradient: Array3<f32>) {
        match &mut self.gradients[tensor] {
            Some(sum) => *sum += &gradient,
            empty => *empty = Some(gradient),
        }
    }

    fn unclamp(&self, clamp: Clamp, layer: &FloatLayer, gradient: &mut Array3<f32>) {
        if clamp != Clamp::NONE {
            gradient.zip_mut_with(&self.values[layer.output], |g, y| {
                if *y <= clamp.low || *y >= clamp.high {
                    *g = 0.0;
                }
            });
        }
    }

    fn layer(&mut self, index: usize, layer: &FloatLayer, mut gradient: Array3<f32>) {
        let from = layer.inputs[0];
        match &layer.op {
            FloatOp::Convolution { clamp, .. } => {
                self.unclamp(*clamp, layer, &mut gradient);
                let mut squares = Array1::<f64>::zeros(gradient.dim().2);
                for pixel in gradient.lanes(Axis(2)) {
                    squares.zip_mut_with(&pixel, |s, g| *s += f64::from(*g).powi(2));
                }
                self.squares[index] = squares;
                if from != self.network.input {
                    self.add(from, convolution(&layer.op, &self.values[from], &gradient));
                }
            }
            FloatOp::Add { clamp } => {
                self.unclamp(*clamp, layer, &mut gradient);
                self.add(layer.inputs[1], gradient.clone());
                self.add(from, gradient);
            }
            FloatOp::GlobalAverage => {
                let (height, width, _) = self.values[from].dim();
                let share = gradient
                    .slice(s![0, 0, ..])
                    .mapv(|g| g / (height * width) as f32);
                let mut spread = Array3::zeros(self.values[from].raw_dim());
                spread
                    .lanes_mut(Axis(2))
                    .into_iter()
                    .for_each(|mut lane| lane.assign(&share));
                self.add(from, spread);
            }
            FloatOp::AveragePool { .. } | FloatOp::MaxPool { .. } => {
                let pooled = pool(&layer.op, &self.values[from], &gradient);
                self.add(from, pooled);
            }
            FloatOp::Reshape => {
                let shape = self.values[from].raw_dim();
                let flat: Vec<f32> = gradient.iter().copied().collect();
                if let Ok(reshaped) = Array3::from_shape_vec(shape, flat) {
                    self.add(from, reshaped);
                }
            }
            FloatOp::Softmax => {
                let y = &self.values[layer.output];
                let weighted = &gradient * y;
                let sums = weighted.sum_axis(Axis(2)).insert_axis(Axis(2));
                self.add(from, weighted - y * &sums);
            }
        }
    }
}

/// Gradient at a convolution's input.
fn convolution(op: &FloatOp, input: &Array3<f32>, gradient: &Array3<f32>) -> Array3<f32> {
    let mut result = Array3::zeros(input.raw_dim());
    let FloatOp::Convolution {
        kind,
        window,
        weights,
        ..
    } = op
    else {
        return result;
    };
    let patches = Patches::new(*kind, *window, weights, input.dim().2);
    let filters = weights.dim().0;
    let width = gradient.dim().1;
    let pixels = gradient.dim().0 * width;
    let matrix = weights.to_shape((filters, weights.len() / filters.max(1)));
    let rows = gradient.to_shape((pixels, filters));
    let (Ok(matrix), Ok(rows)) = (matrix, rows) else {
        return result;
    };
    if *kind == ConvolutionKind::Depthwise {
        let multiplier = filters / input.dim().2.max(1);
        for (pixel, row) in rows.outer_iter().enumerate() {
            for (filter, g) in row.iter().enumerate().filter(|(_, g)| **g != 0.0) {
                let values = matrix.row(filter).mapv(|w| w * g).to_vec();
                let channel = filter / multiplier.max(1);
                patches.scatter(
                    &values,
                    (pixel / width, pixel % width),
                    channel,
                    &mut result,
                );
            }
        }
        return result;
    }
    let columns: Array2<f32> = rows.dot(&matrix);
    for (pixel, row) in columns.outer_iter().enumerate() {
        if let Some(row) = row.as_slice() {
            patches.scatter(row, (pixel / width, pixel % width), 0, &mut result);
        }
    }
    result
}

/// Gradient at a pooling layer's input: shared evenly, or all to the first largest.
fn pool(op: &FloatOp, input: &Array3<f32>, gradient: &Array3<f32>) -> Array3<f32> {
    let mut result = Array3::zeros(input.raw_dim());
    let (FloatOp::AveragePool { window } | FloatOp::MaxPool { window }) = op else {
        return result;
    };
    let average = matches!(op, FloatOp::AveragePool { .. });
    let (height, width, _) = input.dim();
    let inside = |start: usize, padding: usize, kernel: usize, size: usize| {
        start.saturating_sub(padding)..(start + kernel).saturating_sub(padding).min(size)
    };
    for ((row, column, channel), g) in gradient.indexed_iter() {
        let padding = window.padding;
        let rows = inside(
            row * window.stride_height,
            padding.top,
            window.kernel_height,
            height,
        );
        let columns = inside(
            column * window.stride_width,
            padding.left,
            window.kernel_width,
            width,
        );
        let view: ArrayView3<f32> =
            input.slice(s![rows.clone(), columns.clone(), channel..=channel]);
        if average {
            let share = g / view.len().max(1) as f32;
            result
                .slice_mut(s![rows, columns, channel])
                .mapv_inplace(|v| v + share);
        } else {
            let mut best: Option<((usize, usize), f32)> = None;
            for ((y, x, _), value) in view.indexed_iter() {
                if best.is_none_or(|(_, known)| *value > known) {
                    best = Some(((y, x), *value));
                }
            }
            if let Some(((y, x), _)) = best {
                result[[rows.start + y, columns.start + x, channel]] += g;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::tests::{images, network};

    /// Every activation's gradient against central differences of `<seed, logits>` along that gradient.
    #[test]
    fn gradients_are_those_of_differences() {
        let (mut network, images) = (network(), images(3));
        // Clamped values tie in the maximum that follows, where no derivative exists.
        if let FloatOp::Convolution { clamp, .. } = &mut network.layers[3].op {
            *clamp = Clamp::NONE;
        }
        let logits = network.layers[network.layers.len() - 1].inputs[0];
        for (index, image) in images.iter().enumerate() {
            let values = float::run(&network, image.view()).expect("runs");
            let start = seed(&values[logits], true, index);
            let pass = Backward::of(&network, &values, index);
            for layer in &network.layers {
                let tensor = layer.inputs[0];
                let Some(gradient) = &pass.gradients[tensor] else {
                    continue;
                };
                let slope = f64::from(gradient.iter().map(|g| g * g).sum::<f32>());
                let step = 1e-3 / (slope.sqrt() as f32).max(1e-9);
                let at = |step: f32| -> f64 {
                    let moved = &values[tensor] + gradient * step;
                    // What is computed before this activation is given: a skip around it stays put.
                    let mut given: Vec<_> = values.iter().map(|v| v.view()).enumerate().collect();
                    let later = network
                        .layers
                        .iter()
                        .skip_while(|l| !l.inputs.contains(&tensor));
                    let outputs: Vec<_> = later.map(|l| l.output).collect();
                    given.retain(|(t, _)| !outputs.contains(t));
                    given[tensor].1 = moved.view();
                    let found = float::run_given(&network, &given, &[logits]).expect("runs");
                    (&found[0] * &start).mapv(f64::from).sum()
                };
                let found = (at(step) - at(-step)) / (2.0 * f64::from(step));
                assert!(
                    (found - slope).abs() < 0.1 * slope,
                    "{}: {found}, {slope}",
                    layer.name
                );
            }
        }
    }

    /// The seeds have the Fisher matrix of the classes as second moment.
    #[test]
    fn seeds_have_the_fisher_moment() {
        let logits = Array3::from_shape_vec((1, 1, 3), vec![1.0, 0.0, -1.0]).expect("a pixel");
        let p = [0.665_24, 0.244_73, 0.090_03];
        let mut moment = [[0.0_f64; 3]; 3];
        for image in 0..4000 {
            let g = seed(&logits, true, image);
            for i in 0..3 {
                for j in 0..3 {
                    moment[i][j] += f64::from(g[[0, 0, i]] * g[[0, 0, j]]) / 4000.0;
                }
            }
        }
        for i in 0..3 {
            for j in 0..3 {
                let wanted = if i == j { p[i] } else { 0.0 } - p[i] * p[j];
                assert!((moment[i][j] - wanted).abs() < 0.02, "{moment:?}");
            }
        }
    }
}
