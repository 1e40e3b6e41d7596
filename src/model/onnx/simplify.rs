//! Folds what scales, shifts and clamps channels into the layers around it, and drops what nothing reads.

use std::collections::HashMap;

use ndarray::{Array1, Array4, Axis as Dimension, Zip};

use super::import::Imported;
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, InputTransform, Padding, TensorId,
};

/// `clamp(scale[c] * x + offset[c])`.
struct ByChannel {
    scale: Array1<f32>,
    offset: Array1<f32>,
    clamp: Clamp,
}

impl ByChannel {
    /// What a layer does, if it is no more than this.
    fn of(op: &FloatOp, channels: usize) -> Option<Self> {
        let FloatOp::Convolution {
            kind: ConvolutionKind::Depthwise,
            window,
            weights,
            bias,
            clamp,
        } = op
        else {
            return None;
        };
        let unit = window.stride_height == 1
            && window.stride_width == 1
            && window.padding == Padding::default();
        let (filters, rows, columns, _) = weights.dim();
        (unit && (filters, rows, columns) == (channels, 1, 1)).then(|| Self {
            scale: weights.iter().copied().collect(),
            offset: bias.clone(),
            clamp: *clamp,
        })
    }

    fn only_clamps(&self) -> bool {
        self.scale.iter().all(|scale| *scale == 1.0)
            && self.offset.iter().all(|offset| *offset == 0.0)
    }
}

/// Who writes and who reads each tensor.
struct Edges {
    producer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

impl Edges {
    fn of(network: &FloatNetwork) -> Self {
        let count = network.tensors.len();
        let (mut producer, mut readers) = (vec![None; count], vec![vec![]; count]);
        for (index, layer) in network.layers.iter().enumerate() {
            producer[layer.output] = Some(index);
            for tensor in &layer.inputs {
                readers[*tensor].push(index);
            }
        }
        Self { producer, readers }
    }
}

/// Simplifies a network without changing what it computes, but for the rounding of the folded products.
pub(super) fn simplify(imported: &mut Imported) {
    let mut edges = Edges::of(&imported.network);
    let mut removed = vec![false; imported.network.layers.len()];
    for (index, removed) in removed.iter_mut().enumerate() {
        *removed = fold_back(imported, &mut edges, index);
    }
    for index in (0..imported.network.layers.len()).rev() {
        if !removed[index] {
            removed[index] = fold_forward(imported, &mut edges, index);
        }
    }
    let mut flags = removed.iter();
    imported
        .network
        .layers
        .retain(|_| !flags.next().copied().unwrap_or(false));
    drop_unread(imported);
}

fn by_channel(network: &FloatNetwork, index: usize) -> Option<ByChannel> {
    let layer = &network.layers[index];
    ByChannel::of(&layer.op, network.tensors[layer.inputs[0]].shape.channels)
}

/// Folds layer `index` into the one before it, or into the input transform.
fn fold_back(imported: &mut Imported, edges: &mut Edges, index: usize) -> bool {
    let network = &mut imported.network;
    let Some(change) = by_channel(network, index) else {
        return false;
    };
    let (from, to) = (
        network.layers[index].inputs[0],
        network.layers[index].output,
    );
    let known = imported.activations[from];
    // What is quantized in between stays, unless nothing changes there.
    let between =
        known.is_some() && imported.activations[to].is_some_and(|after| Some(after) != known);
    if edges.readers[from] != [index] || from == network.output || between {
        return false;
    }
    let Some(producer) = edges.producer[from] else {
        let folds =
            from == network.input && known.is_none() && fold_into_input(imported, &change, to);
        if folds {
            edges.producer[to] = None;
        }
        return folds;
    };
    let folded = match &mut network.layers[producer] {
        FloatLayer {
            name,
            op:
                FloatOp::Convolution {
                    weights,
                    bias,
                    clamp,
                    ..
                },
            ..
        } => {
            if change.only_clamps() {
                *clamp = both(*clamp, change.clamp);
                true
            } else if *clamp == Clamp::NONE && known.is_none() {
                let positive = change.scale.iter().all(|scale| *scale > 0.0);
                if let Some(quantization) = imported.weights.get_mut(name) {
                    if !positive {
                        return false;
                    }
                    for (step, factor) in quantization.scale.iter_mut().zip(&change.scale) {
                        *step *= factor;
                    }
                    quantization.bias = None;
                }
                scale_filters(weights, bias, &change);
                *clamp = change.clamp;
                true
            } else {
                false
            }
        }
        FloatLayer {
            op: FloatOp::Add { clamp },
            ..
        } if change.only_clamps() => {
            *clamp = both(*clamp, change.clamp);
            true
        }
        FloatLayer {
            op: FloatOp::MaxPool { .. },
            inputs,
            ..
        } if change.only_clamps() && known.is_none() => {
            let before = inputs[0];
            clamp_before_pool(imported, edges, producer, before, change.clamp)
        }
        _ => false,
    };
    if folded {
        imported.network.layers[producer].output = to;
        edges.producer[to] = Some(producer);
        edges.readers[from].clear();
        imported.activations[to] = imported.activations[to].or(known);
    }
    folded
}

/// A maximum and a clamp can change places: the clamp goes to the layer before the pooling.
fn clamp_before_pool(
    imported: &mut Imported,
    edges: &Edges,
    pool: usize,
    tensor: TensorId,
    change: Clamp,
) -> bool {
    let only_reader = edges.readers[tensor] == [pool] && tensor != imported.network.output;
    let (true, Some(producer), None) = (
        only_reader,
        edges.producer[tensor],
        imported.activations[tensor],
    ) else {
        return false;
    };
    match &mut imported.network.layers[producer].op {
        FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } => {
            *clamp = both(*clamp, change);
            true
        }
        _ => false,
    }
}

/// One clamp after another.
fn both(first: Clamp, second: Clamp) -> Clamp {
    let apply = |value: f32| value.max(second.low).min(second.high);
    Clamp {
        low: apply(first.low),
        high: apply(first.high),
    }
}

fn scale_filters(weights: &mut Array4<f32>, bias: &mut Array1<f32>, change: &ByChannel) {
    for (mut filter, scale) in weights.outer_iter_mut().zip(&change.scale) {
        filter *= *scale;
    }
    Zip::from(bias)
        .and(&change.scale)
        .and(&change.offset)
        .for_each(|b, scale, offset| *b = *b * scale + offset);
}

/// Takes a change of the input over into the transform of bytes to real numbers.
fn fold_into_input(imported: &mut Imported, change: &ByChannel, to: TensorId) -> bool {
    if change.clamp != Clamp::NONE
        || !change
            .scale
            .iter()
            .all(|scale| *scale != 0.0 && scale.is_finite())
    {
        return false;
    }
    let network = &mut imported.network;
    let affine = InputTransform {
        mean: change
            .scale
            .iter()
            .zip(&change.offset)
            .map(|(scale, offset)| -offset / scale)
            .collect(),
        factor: change.scale.to_vec(),
    };
    network.input_transform = network.input_transform.then(&affine);
    let from = network.input;
    network.input = to;
    for input in imported
        .inputs
        .iter_mut()
        .filter(|input| input.tensor == from)
    {
        input.tensor = to;
    }
    true
}

/// Folds layer `index` into the only layer after it, a convolution.
fn fold_forward(imported: &mut Imported, edges: &mut Edges, index: usize) -> bool {
    let network = &mut imported.network;
    let Some(change) = by_channel(network, index) else {
        return false;
    };
    let (from, to) = (
        network.layers[index].inputs[0],
        network.layers[index].output,
    );
    let [reader] = edges.readers[to][..] else {
        return false;
    };
    if change.clamp != Clamp::NONE || to == network.output || imported.activations[to].is_some() {
        return false;
    }
    let layer = &mut network.layers[reader];
    let FloatOp::Convolution {
        kind,
        window,
        weights,
        bias,
        ..
    } = &mut layer.op
    else {
        return false;
    };
    let shifts = change.offset.iter().any(|offset| *offset != 0.0);
    // Padding is 0 behind the shift, not before it.
    if imported.weights.contains_key(&layer.name)
        || (shifts && window.padding != Padding::default())
    {
        return false;
    }
    let multiplier = weights.dim().0 / change.scale.len().max(1);
    for (filter, (mut values, bias)) in weights.outer_iter_mut().zip(bias.iter_mut()).enumerate() {
        for (place, mut taps) in values.axis_iter_mut(Dimension(2)).enumerate() {
            let channel = if *kind == ConvolutionKind::Depthwise {
                filter / multiplier
            } else {
                place
            };
            *bias += taps.sum() * change.offset[channel];
            taps *= change.scale[channel];
        }
    }
    layer.inputs[0] = from;
    for place in &mut edges.readers[from] {
        if *place == index {
            *place = reader;
        }
    }
    true
}

/// Drops layers and tensors that do not lead to the output, and numbers the rest anew.
fn drop_unread(imported: &mut Imported) {
    let network = &mut imported.network;
    let mut needed = vec![false; network.tensors.len()];
    needed[network.output] = true;
    let mut keep = vec![false; network.layers.len()];
    for (index, layer) in network.layers.iter().enumerate().rev() {
        if needed[layer.output] {
            keep[index] = true;
            for tensor in &layer.inputs {
                needed[*tensor] = true;
            }
        }
    }
    for input in &imported.inputs {
        needed[input.tensor] = true;
    }
    let mut flags = keep.iter();
    network
        .layers
        .retain(|_| flags.next().copied().unwrap_or(false));
    let mut numbers: HashMap<TensorId, TensorId> = HashMap::new();
    let (mut tensors, mut activations) = (vec![], vec![]);
    for (index, tensor) in network.tensors.drain(..).enumerate() {
        if needed[index] {
            numbers.insert(index, tensors.len());
            tensors.push(tensor);
            activations.push(imported.activations[index]);
        }
    }
    network.tensors = tensors;
    imported.activations = activations;
    let number = |tensor: &mut TensorId| *tensor = numbers[tensor];
    for layer in &mut network.layers {
        layer.inputs.iter_mut().for_each(number);
        number(&mut layer.output);
    }
    number(&mut network.input);
    number(&mut network.output);
    for input in &mut imported.inputs {
        number(&mut input.tensor);
    }
    number(&mut imported.output.tensor);
}
