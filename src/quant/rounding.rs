//! Layer by layer, in order: each convolution is rounded against what the already quantized layers
//! before it really hand over, so that later layers make up for the errors of earlier ones.
//!
//! With x the float inputs, x' the quantized ones and t = W x + b the float output, the weights that
//! follow t best on x' are the ridge regression W' = (cov(t, x') + r W) (cov(x', x') + r)^-1, and these
//! are rounded under the form cov(x', x') (the asymmetric calibration of sequential reconstruction as in
//! GPTQ and AdaRound, in closed form). The bias takes the mean that is left over.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1, s};
use rayon::prelude::*;

use super::adaround;
use super::calibration::{Calibration, patches, sampling};
use super::emit::{RoundedConvolution, round_bias, smallest_step, step_of_zeros};
use super::execution::Execution;
use super::filter::{RoundedFilter, WeightRounding, exact, nearest_level};
use super::linear::{cholesky, solve_rows};
use super::range::Affine;
use super::statistics::Moments;
use super::{Options, QuantError};
use crate::model::float::{FloatLayer, FloatNetwork, FloatOp, TensorId};

/// The integers of every convolution at the given widths (`bits[layer][filter]`).
pub(crate) fn round_network(
    network: &FloatNetwork,
    images: &[Array3<f32>],
    found: &Calibration,
    affine: &[Affine],
    bits: &[Vec<u8>],
    options: &Options,
) -> Result<Vec<Option<RoundedConvolution>>, QuantError> {
    let snap = |tensor: TensorId, image: &mut Array3<f32>| {
        image.mapv_inplace(|value| affine[tensor].snap(value));
    };
    let input = images.iter().map(|image| {
        let mut image = image.clone();
        snap(network.input, &mut image);
        image
    });
    let mut quantized = Execution::new(network, input);
    // Layers that are settled, but not executed.
    let mut pending: Vec<FloatLayer> = Vec::new();
    let mut rounded = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        let Some(patches) = patches(network, layer) else {
            pending.push(layer.clone());
            rounded.push(None);
            continue;
        };
        let targets = found.targets[index].view();
        let moments = if is_exact(layer, &bits[index]) {
            // Nothing to fit: the inputs do not matter.
            Moments::of_targets(&patches, targets)
        } else {
            quantized.advance(index - pending.len(), &pending, snap)?;
            pending.clear();
            let sampling = sampling(network, layer, options);
            let inputs = quantized.values(layer.inputs[0]);
            Moments::measure(&patches, sampling, &inputs, targets)
        };
        let tensors = (affine[layer.inputs[0]], affine[layer.output]);
        let convolution = round_layer(layer, &moments, &bits[index], tensors, options);
        pending.push(dequantize(layer, &convolution, tensors.0));
        rounded.push(Some(convolution));
    }
    Ok(rounded)
}

/// Whether every filter is pruned, or loses nothing at its width.
fn is_exact(layer: &FloatLayer, bits: &[u8]) -> bool {
    let FloatOp::Convolution { weights, .. } = &layer.op else {
        return false;
    };
    let rows = filter_rows(weights);
    let mut filters = rows.outer_iter().zip(bits);
    filters.all(|(row, bits)| *bits == 0 || exact(&row.to_vec(), *bits).is_some())
}

/// The layer on real numbers with the weights and bias that its integers stand for.
fn dequantize(layer: &FloatLayer, rounded: &RoundedConvolution, input: Affine) -> FloatLayer {
    let mut layer = layer.clone();
    if let FloatOp::Convolution { weights, bias, .. } = &mut layer.op {
        for (filter, step) in rounded.step.iter().enumerate() {
            let integers = rounded.weights.slice(s![filter, .., .., ..]);
            weights
                .slice_mut(s![filter, .., .., ..])
                .zip_mut_with(&integers, |w, q| *w = step * f32::from(*q));
            bias[filter] = rounded.bias[filter] as f32 * input.scale * step;
        }
    }
    layer
}

fn round_layer(
    layer: &FloatLayer,
    moments: &[Moments],
    bits: &[u8],
    (input, output): (Affine, Affine),
    options: &Options,
) -> RoundedConvolution {
    let FloatOp::Convolution { weights, bias, .. } = &layer.op else {
        return RoundedConvolution {
            weights: Array4::zeros((0, 0, 0, 0)),
            bits: Vec::new(),
            step: Vec::new(),
            bias: Array1::zeros(0),
        };
    };
    let matrix = filter_rows(weights);
    let filters_per_group = matrix.nrows() / moments.len().max(1);
    let filters: Vec<(Vec<i8>, f32, i32)> = moments
        .par_iter()
        .enumerate()
        .flat_map_iter(|(group, moments)| {
            let first = group * filters_per_group;
            let rows = matrix
                .slice(s![first..first + filters_per_group, ..])
                .to_owned();
            let bits = &bits[first..first + filters_per_group];
            let filters = round_group(moments, &rows, bits, options);
            let results: Vec<_> = filters
                .into_iter()
                .enumerate()
                .map(|(filter, (rounded, exact))| {
                    let given = f64::from(bias[first + filter]);
                    let bias = |values: ArrayView1<f64>| {
                        if exact || !options.bias_correction {
                            given
                        } else {
                            moments.bias(filter, values)
                        }
                    };
                    finish(rounded, bits[filter], bias, input, output)
                })
                .collect();
            results
        })
        .collect();
    let mut integers = Array4::zeros(weights.dim());
    for (filter, (levels, ..)) in filters.iter().enumerate() {
        let mut to = integers.slice_mut(s![filter, .., .., ..]);
        to.iter_mut().zip(levels).for_each(|(to, from)| *to = *from);
    }
    RoundedConvolution {
        weights: integers,
        bits: bits.to_vec(),
        step: filters.iter().map(|(_, step, _)| *step).collect(),
        bias: filters.iter().map(|(.., bias)| *bias).collect(),
    }
}

/// Filters that share their inputs, one a row, and whether they are the given weights exactly.
fn round_group(
    moments: &Moments,
    rows: &Array2<f64>,
    bits: &[u8],
    options: &Options,
) -> Vec<(RoundedFilter, bool)> {
    let mut target = fit(moments, rows, options);
    let metric = moments.metric();
    let method = options.filter_method();
    let exact: Vec<Option<RoundedFilter>> = rows
        .outer_iter()
        .zip(bits)
        .map(|(row, bits)| exact(&row.to_vec(), *bits))
        .collect();
    for (filter, _) in exact.iter().enumerate().filter(|(_, e)| e.is_some()) {
        target.row_mut(filter).assign(&rows.row(filter));
    }
    let mut rounded: Vec<RoundedFilter> = (0..bits.len())
        .into_par_iter()
        .map(|filter| metric.round(&target.row(filter).to_vec(), bits[filter], method))
        .collect();
    if options.weight_rounding == WeightRounding::AdaRound {
        adaround::reconstruct(&metric, &target, bits, method.step, &mut rounded);
    }
    let pairs = rounded.into_iter().zip(exact);
    pairs
        .map(|(rounded, exact)| match exact {
            Some(exact) => (exact, true),
            None => (rounded, false),
        })
        .collect()
}

/// Weights `[out, row, column, in]` as one row a filter.
pub(crate) fn filter_rows(weights: &Array4<f32>) -> Array2<f64> {
    let filters = weights.dim().0;
    let elements = weights.len().checked_div(filters).unwrap_or(0);
    let mut rows = Array2::zeros((filters, elements));
    rows.iter_mut()
        .zip(weights.iter())
        .for_each(|(to, from)| *to = f64::from(*from));
    rows
}

/// The real weights to round: the given ones, or their regression on the quantized inputs.
fn fit(moments: &Moments, weights: &Array2<f64>, options: &Options) -> Array2<f64> {
    let size = weights.ncols();
    if !options.regression || moments.covariance.nrows() != size {
        return weights.clone();
    }
    let mut form = moments.covariance.clone();
    let ridge = options.ridge * form.diag().sum() / size as f64;
    if ridge <= 0.0 {
        return weights.clone();
    }
    form.diag_mut().iter_mut().for_each(|v| *v += ridge);
    let Some(factor) = cholesky(form.view()) else {
        return weights.clone();
    };
    let mut target = &moments.cross + &(weights * ridge);
    solve_rows(&factor, &mut target);
    target
}

/// Makes step and bias fit the accumulator.
fn finish(
    rounded: RoundedFilter,
    bits: u8,
    bias: impl Fn(ArrayView1<f64>) -> f64,
    input: Affine,
    output: Affine,
) -> (Vec<i8>, f32, i32) {
    let real = |levels: &[i8], step: f64| -> Array1<f64> {
        levels.iter().map(|q| f64::from(*q) * step).collect()
    };
    let RoundedFilter {
        mut levels,
        mut step,
        ..
    } = rounded;
    if levels.iter().all(|q| *q == 0) {
        step = f64::from(step_of_zeros(input, output));
    }
    let mut offset = bias(real(&levels, step).view());
    let smallest = smallest_step(offset, input);
    if step < smallest {
        for level in &mut levels {
            *level = nearest_level(f64::from(*level) * step / smallest, bits);
        }
        step = smallest;
        offset = bias(real(&levels, step).view());
    }
    // The step as it is stored: f32.
    #[allow(clippy::cast_possible_truncation)]
    let step = step as f32;
    (
        levels,
        step,
        round_bias(offset, f64::from(input.scale) * f64::from(step)),
    )
}
