//! Executes a float network on `ndarray`: the reference for readers, calibration and accuracy.
//!
//! Arithmetic is `f32`, in whatever order the matrix multiplication finds fast: results agree with other
//! float runtimes to rounding, not bit for bit.

mod convolution;
mod pool;

use ndarray::{Array2, Array3, ArrayView3, ArrayView4, Axis, Zip};
use rayon::prelude::*;

use crate::model::float::{
    Clamp, FloatLayer, FloatNetwork, FloatOp, InputTransform, Shape, TensorId,
};

/// Why a float network cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An activation or a weight array has another shape than its layer needs.
    #[error("layer '{layer}': {what} has shape {found}, expected {expected}")]
    Shape {
        /// Layer, or `input` for the network's input.
        layer: String,
        /// Which array.
        what: &'static str,
        /// Shape that the layer needs.
        expected: String,
        /// Shape that it has.
        found: String,
    },
    /// A layer reads a tensor that no earlier layer has written.
    #[error("layer '{layer}' reads tensor {tensor} before it is computed")]
    NotComputed {
        /// Layer.
        layer: String,
        /// Index in the network's `tensors`.
        tensor: TensorId,
    },
    /// A layer, an input or an output refers to a tensor that the network does not have.
    #[error("layer '{layer}' refers to tensor {tensor}, but the network has {count}")]
    NoTensor {
        /// Layer.
        layer: String,
        /// Index in the network's `tensors`.
        tensor: TensorId,
        /// Number of tensors.
        count: usize,
    },
    /// Weights or activations are so large, or no numbers, that a layer gives infinity or NaN.
    #[error("layer '{layer}' gives a value that is not finite")]
    NotFinite {
        /// Layer.
        layer: String,
    },
    /// A layer has too few or too many inputs.
    #[error("layer '{layer}' has {found} inputs, expected {expected}")]
    InputCount {
        /// Layer.
        layer: String,
        /// Inputs that its operator takes.
        expected: usize,
        /// Inputs that it has.
        found: usize,
    },
    /// The input transform has neither one value nor one a channel.
    #[error(
        "the input transform has {found} values of {what}, expected 1 or {channels}: one a channel"
    )]
    Transform {
        /// `mean` or `factor`.
        what: &'static str,
        /// Values.
        found: usize,
        /// Channels of the image.
        channels: usize,
    },
}

/// Runs one image through the network and returns every activation, indexed by `TensorId`.
///
/// `input` is `[h, w, c]` in real numbers (see [`InputTransform`] and [`apply_transform`] for bytes).
/// A tensor that no layer writes is returned empty (`[0, 0, 0]`).
///
/// # Errors
/// The image or the network's shapes do not fit together.
pub fn run(network: &FloatNetwork, input: ArrayView3<'_, f32>) -> Result<Vec<Array3<f32>>, Error> {
    let all: Vec<TensorId> = (0..network.tensors.len()).collect();
    run_selected(network, input, &all)
}

/// As [`run`], but returns the activations `wanted` only, in that order, and drops each of the others
/// after its last use.
///
/// # Errors
/// The image or the network's shapes do not fit together.
pub fn run_selected(
    network: &FloatNetwork,
    input: ArrayView3<'_, f32>,
    wanted: &[TensorId],
) -> Result<Vec<Array3<f32>>, Error> {
    run_given(network, &[(network.input, input)], wanted)
}

/// As [`run_selected`], with any set of activations given instead of the network's input alone; layers
/// whose output is given are not executed. For running a network from its middle.
///
/// # Errors
/// A given activation or the network's shapes do not fit together.
pub fn run_given(
    network: &FloatNetwork,
    given: &[(TensorId, ArrayView3<'_, f32>)],
    wanted: &[TensorId],
) -> Result<Vec<Array3<f32>>, Error> {
    let count = network.tensors.len();
    let known = |layer: &str, tensor: TensorId| {
        if tensor < count {
            Ok(())
        } else {
            Err(Error::NoTensor {
                layer: layer.to_owned(),
                tensor,
                count,
            })
        }
    };
    let mut values: Vec<Option<Array3<f32>>> = vec![None; count];
    for (tensor, value) in given {
        known("input", *tensor)?;
        expect_shape(
            "input",
            "the image",
            network.tensors[*tensor].shape,
            shape_of(value),
        )?;
        values[*tensor] = Some(value.to_owned());
    }
    let mut last_use = vec![0; count];
    for (index, layer) in network.layers.iter().enumerate() {
        for tensor in layer.inputs.iter().chain([&layer.output]) {
            known(&layer.name, *tensor)?;
            last_use[*tensor] = index;
        }
    }
    for tensor in wanted {
        known("output", *tensor)?;
        last_use[*tensor] = usize::MAX;
    }
    for (index, layer) in network.layers.iter().enumerate() {
        if values[layer.output].is_some() {
            continue;
        }
        let result = run_layer(layer, network.tensors[layer.output].shape, &values)?;
        if result.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                layer: layer.name.clone(),
            });
        }
        values[layer.output] = Some(result);
        for tensor in &layer.inputs {
            if last_use[*tensor] <= index {
                values[*tensor] = None;
            }
        }
    }
    // A tensor may be wanted twice, so the values are copied out only where they must be.
    let mut results = Vec::with_capacity(wanted.len());
    for (place, tensor) in wanted.iter().enumerate() {
        let again = wanted[place + 1..].contains(tensor);
        let value = if again {
            values[*tensor].clone()
        } else {
            values[*tensor].take()
        };
        results.push(value.unwrap_or_else(|| Array3::zeros((0, 0, 0))));
    }
    Ok(results)
}

/// Runs a batch of byte images `[n, h, w, c]` through the network's input transform and the network,
/// in parallel, and returns the outputs flattened in `[h, w, c]` order: `[n, elements]`.
///
/// # Errors
/// The images or the network's shapes do not fit together.
pub fn evaluate(network: &FloatNetwork, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, Error> {
    evaluate_with(&network.input_transform, network, images)
}

/// As [`evaluate`], with another input transform than the network's own.
///
/// # Errors
/// The images or the network's shapes do not fit together.
pub fn evaluate_with(
    transform: &InputTransform,
    network: &FloatNetwork,
    images: ArrayView4<'_, u8>,
) -> Result<Array2<f32>, Error> {
    let count = network.tensors.len();
    let output = network
        .tensors
        .get(network.output)
        .ok_or_else(|| Error::NoTensor {
            layer: "output".to_owned(),
            tensor: network.output,
            count,
        })?;
    let mut outputs = Array2::zeros((images.dim().0, output.shape.elements()));
    outputs
        .outer_iter_mut()
        .into_par_iter()
        .zip(images.outer_iter().into_par_iter())
        .try_for_each(|(mut row, image)| {
            let input = apply_transform(transform, image)?;
            let result = run_selected(network, input.view(), &[network.output])?;
            for (to, from) in row.iter_mut().zip(result.iter().flatten()) {
                *to = *from;
            }
            Ok::<(), Error>(())
        })?;
    Ok(outputs)
}

/// Index of the largest value of each row of `[n, classes]`; the first of equals, as `numpy.argmax`.
#[must_use]
pub fn classes(outputs: &Array2<f32>) -> Vec<usize> {
    let best = |row: ndarray::ArrayView1<'_, f32>| {
        let mut best = 0;
        for (index, value) in row.iter().enumerate() {
            if *value > row[best] {
                best = index;
            }
        }
        best
    };
    outputs.outer_iter().map(best).collect()
}

/// Bytes `[h, w, c]` to the network's real input: `(byte - mean[c]) * factor[c]`.
///
/// # Errors
/// The transform has neither one value nor one a channel.
pub fn apply_transform(
    transform: &InputTransform,
    image: ArrayView3<'_, u8>,
) -> Result<Array3<f32>, Error> {
    let channels = image.dim().2;
    for (what, values) in [("mean", &transform.mean), ("factor", &transform.factor)] {
        if values.len() != 1 && values.len() != channels {
            return Err(Error::Transform {
                what,
                found: values.len(),
                channels,
            });
        }
    }
    let of = |values: &[f32], channel: usize| {
        if values.len() == 1 {
            values[0]
        } else {
            values[channel]
        }
    };
    let mut real = Array3::zeros(image.raw_dim());
    for channel in 0..channels {
        let (mean, factor) = (of(&transform.mean, channel), of(&transform.factor, channel));
        Zip::from(real.index_axis_mut(Axis(2), channel))
            .and(image.index_axis(Axis(2), channel))
            .for_each(|to, from| *to = (f32::from(*from) - mean) * factor);
    }
    Ok(real)
}

/// What one layer makes of activations, indexed by `TensorId`; `shape` is its output's.
///
/// # Errors
/// The activations that the layer reads are not there or do not fit it.
pub fn run_layer(
    layer: &FloatLayer,
    shape: Shape,
    values: &[Option<Array3<f32>>],
) -> Result<Array3<f32>, Error> {
    let inputs = layer
        .inputs
        .iter()
        .map(|tensor| {
            values[*tensor].as_ref().ok_or_else(|| Error::NotComputed {
                layer: layer.name.clone(),
                tensor: *tensor,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let expected = if matches!(layer.op, FloatOp::Add { .. }) {
        2
    } else {
        1
    };
    if inputs.len() != expected {
        return Err(Error::InputCount {
            layer: layer.name.clone(),
            expected,
            found: inputs.len(),
        });
    }
    let input = inputs[0];
    let name = layer.name.as_str();
    let same_shape = || expect_shape(name, "the output", shape_of(&input.view()), shape);
    match &layer.op {
        FloatOp::Convolution {
            kind,
            window,
            weights,
            bias,
            clamp,
        } => {
            let mut output = convolution::run(name, *kind, window, weights, bias, input, shape)?;
            apply_clamp(*clamp, &mut output);
            Ok(output)
        }
        FloatOp::Add { clamp } => {
            same_shape()?;
            expect_shape(name, "the second input", shape, shape_of(&inputs[1].view()))?;
            let mut output = input + inputs[1];
            apply_clamp(*clamp, &mut output);
            Ok(output)
        }
        FloatOp::AveragePool { window } => pool::average(name, window, input, shape),
        FloatOp::MaxPool { window } => pool::maximum(name, window, input, shape),
        FloatOp::GlobalAverage => pool::global_average(name, input, shape),
        FloatOp::Reshape => reshape(name, input, shape),
        FloatOp::Softmax => {
            same_shape()?;
            Ok(softmax(input))
        }
    }
}

fn reshape(layer: &str, input: &Array3<f32>, shape: Shape) -> Result<Array3<f32>, Error> {
    let elements = input.iter().copied().collect();
    Array3::from_shape_vec((shape.height, shape.width, shape.channels), elements).map_err(|_| {
        Error::Shape {
            layer: layer.to_owned(),
            what: "the output",
            expected: format!("of {} elements", input.len()),
            found: describe(shape),
        }
    })
}

/// Over the channels of each pixel; the largest value is subtracted first, so nothing overflows.
fn softmax(input: &Array3<f32>) -> Array3<f32> {
    let mut output = input.clone();
    for mut pixel in output.lanes_mut(Axis(2)) {
        let largest = pixel.fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        pixel.mapv_inplace(|value| (value - largest).exp());
        let sum = pixel.sum();
        pixel.mapv_inplace(|value| value / sum);
    }
    output
}

fn apply_clamp(clamp: Clamp, values: &mut Array3<f32>) {
    if clamp != Clamp::NONE {
        values.mapv_inplace(|value| clamp.apply(value));
    }
}

fn shape_of(value: &ArrayView3<'_, f32>) -> Shape {
    let (height, width, channels) = value.dim();
    Shape {
        height,
        width,
        channels,
    }
}

fn describe(shape: Shape) -> String {
    format!("[{}, {}, {}]", shape.height, shape.width, shape.channels)
}

fn expect_shape(
    layer: &str,
    what: &'static str,
    expected: Shape,
    found: Shape,
) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape {
        layer: layer.to_owned(),
        what,
        expected: describe(expected),
        found: describe(found),
    })
}

#[cfg(test)]
mod tests;
