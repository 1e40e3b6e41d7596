//! Layer by layer, in order: each convolution is rounded against what the already quantized layers
//! before it really hand over, so that later layers make up for the errors of earlier ones.
//!
//! With x the float inputs, x' the quantized ones and t = W x + b the float output, the weights that
//! follow t best on x' are the ridge regression W' = (cov(t, x') + r W) (cov(x', x') + r)^-1, and these
//! are rounded under the form cov(x', x') (the asymmetric calibration of sequential reconstruction as in
//! GPTQ and AdaRound, in closed form). The bias takes the mean that is left over.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1, s};
use rayon::prelude::*;

use super::emit::{RoundedConvolution, round_bias, smallest_step, step_of_zeros};
use super::execution::{Execution, clamp_of, map_images};
use super::filter::{RoundedFilter, WeightRounding, nearest_level};
use super::linear::{cholesky, solve_rows};
use super::range::Affine;
use super::statistics::{Moments, Patches};
use super::{Options, QuantError};
use crate::model::float::{FloatLayer, FloatNetwork, FloatOp};

/// The integers of every convolution at the given widths (`bits[layer][filter]`).
pub(crate) fn round_network(
    network: &FloatNetwork,
    images: &[Array3<f32>],
    affine: &[Affine],
    bits: &[Vec<u8>],
    options: &Options,
) -> Result<Vec<Option<RoundedConvolution>>, QuantError> {
    let mut float = Execution::new(network, images.to_vec());
    let mut input = images.to_vec();
    map_images(&mut input, |value| affine[network.input].snap(value));
    let mut quantized = Execution::new(network, input);
    let mut rounded = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        let mut target = float.compute(layer)?;
        let clamp = clamp_of(&layer.op);
        let convolution = match &layer.op {
            FloatOp::Convolution {
                kind,
                window,
                weights,
                ..
            } => {
                let moments = Moments::measure(
                    &Patches::new(*kind, *window, weights),
                    quantized.values(layer.inputs[0]),
                    &target,
                    options.pixels_per_image,
                );
                let tensors = (affine[layer.inputs[0]], affine[layer.output]);
                Some(round_layer(layer, &moments, &bits[index], tensors, options))
            }
            _ => None,
        };
        // Stored at once: what the float layer read is not needed while the quantized one computes.
        map_images(&mut target, |value| value.max(clamp.low).min(clamp.high));
        float.store(index, target);
        let variant = convolution
            .as_ref()
            .map(|rounded| dequantize(layer, rounded, affine[layer.inputs[0]]));
        let mut output = quantized.compute(variant.as_ref().unwrap_or(layer))?;
        let to = affine[layer.output];
        map_images(&mut output, |value| {
            to.snap(value.max(clamp.low).min(clamp.high))
        });
        quantized.store(index, output);
        rounded.push(convolution);
    }
    Ok(rounded)
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
            let target = fit(moments, &rows, options);
            let metric = moments.metric();
            let results: Vec<_> = (0..filters_per_group)
                .into_par_iter()
                .map(|filter| {
                    let own = rows.row(filter).to_vec();
                    let mut rounded = metric.round(&own, bits[filter], options.weight_rounding);
                    let exact = rounded.error == 0.0;
                    if !exact && bits[filter] > 0 {
                        let wanted = target.row(filter).to_vec();
                        rounded = metric.round(&wanted, bits[filter], options.weight_rounding);
                    }
                    let given = f64::from(bias[first + filter]);
                    let bias = |values: ArrayView1<f64>| {
                        if exact {
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

/// The real weights to round: the given ones, or with error feedback their regression on the quantized
/// inputs.
fn fit(moments: &Moments, weights: &Array2<f64>, options: &Options) -> Array2<f64> {
    let size = weights.ncols();
    if options.weight_rounding == WeightRounding::Nearest || moments.covariance.nrows() != size {
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
