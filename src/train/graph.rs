//! The network on burn's tensors, batches `[n, channel, row, column]`.
//!
//! With activation ranges every layer's output is on the 256 levels that it has as bytes: what the integer network
//! computes, up to the rounding of its multipliers. Gradients pass straight through the rounding, and stop
//! where the range or a fused clamp cuts off.

use burn_tensor::activation::softmax;
use burn_tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn_tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn_tensor::{Device, Tensor, TensorData};
use ndarray::Array4;

use super::TrainError;
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, Shape, TensorId, Window,
};
use crate::quant::range::Affine;

/// Weights `[out, row, column, in]` and bias `[out]` of a convolution.
pub(crate) type Filters = (Tensor<4>, Tensor<1>);

/// A float network as a function of its weights.
pub(crate) struct Graph<'a> {
    network: &'a FloatNetwork,
    logits: TensorId,
    last_use: Vec<usize>,
}

impl<'a> Graph<'a> {
    /// # Errors
    /// [`TrainError::NoClassifier`], [`TrainError::NoFilters`].
    pub(crate) fn new(network: &'a FloatNetwork) -> Result<Self, TrainError> {
        let is_convolution = |layer: &FloatLayer| matches!(layer.op, FloatOp::Convolution { .. });
        if !network.layers.iter().any(is_convolution) {
            return Err(TrainError::NoFilters);
        }
        let logits = match network.layers.last() {
            Some(last) if last.output == network.output && matches!(last.op, FloatOp::Softmax) => {
                last.inputs[0]
            }
            _ => network.output,
        };
        let Shape {
            height,
            width,
            channels,
        } = network.tensors[logits].shape;
        if (height, width) != (1, 1) || channels < 2 {
            return Err(TrainError::NoClassifier {
                height,
                width,
                channels,
            });
        }
        let mut last_use = vec![0; network.tensors.len()];
        for (index, layer) in network.layers.iter().enumerate() {
            for tensor in &layer.inputs {
                last_use[*tensor] = index;
            }
        }
        last_use[logits] = usize::MAX;
        Ok(Self {
            network,
            logits,
            last_use,
        })
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.network.tensors[self.logits].shape.channels
    }

    /// Logits `[n, classes]`; `filters` holds those of each layer that is a convolution, `ranges` the levels of
    /// each tensor, or nothing for real numbers.
    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        filters: &[Option<Filters>],
        ranges: Option<&[Affine]>,
    ) -> Tensor<2> {
        let images = input.dims()[0];
        let mut values: Vec<Option<Tensor<4>>> = vec![None; self.network.tensors.len()];
        values[self.network.input] = Some(match ranges {
            Some(ranges) => snap(input, ranges[self.network.input], Clamp::NONE),
            None => input,
        });
        for (index, layer) in self.network.layers.iter().enumerate() {
            let mut inputs = layer.inputs.iter().filter_map(|tensor| {
                if self.last_use[*tensor] <= index {
                    values[*tensor].take()
                } else {
                    values[*tensor].clone()
                }
            });
            // A layer that reads one tensor twice finds it gone the second time.
            let Some(first) = inputs.next() else { continue };
            let second = inputs.next().unwrap_or_else(|| first.clone());
            drop(inputs);
            let output = self.layer(layer, first, second, filters[index].as_ref());
            values[layer.output] = Some(levels(layer, output, ranges));
            if layer.output == self.logits {
                break;
            }
        }
        let logits = values[self.logits].take();
        let classes = self.classes();
        // The logits are computed: the network's tensors were checked by its calibration.
        logits.map_or_else(
            || Tensor::zeros([images, classes], &Device::default()),
            |logits| logits.reshape([images, classes]),
        )
    }

    fn layer(
        &self,
        layer: &FloatLayer,
        input: Tensor<4>,
        second: Tensor<4>,
        filters: Option<&Filters>,
    ) -> Tensor<4> {
        match &layer.op {
            FloatOp::Convolution { kind, window, .. } => match filters {
                Some(filters) => convolution(*kind, *window, input, filters),
                None => input,
            },
            FloatOp::Add { .. } => input + second,
            FloatOp::AveragePool { window } => avg_pool2d(
                input,
                AvgPoolOptions {
                    kernel_size: kernel(*window),
                    stride: stride(*window),
                    padding: padding(*window),
                    count_include_pad: false,
                    ceil_mode: false,
                },
            ),
            FloatOp::MaxPool { window } => max_pool2d(
                input,
                MaxPoolOptions {
                    kernel_size: kernel(*window),
                    stride: stride(*window),
                    padding: padding(*window),
                    dilation: [1, 1],
                    ceil_mode: false,
                },
            ),
            FloatOp::GlobalAverage => input.mean_dim(3).mean_dim(2),
            FloatOp::Reshape => {
                let [images, ..] = input.dims();
                let to = self.network.tensors[layer.output].shape;
                input
                    .permute([0, 2, 3, 1])
                    .reshape([images, to.height, to.width, to.channels])
                    .permute([0, 3, 1, 2])
            }
            FloatOp::Softmax => softmax(input, 1),
        }
    }
}

/// The fused clamp, and the levels of the output where it has some of its own.
fn levels(layer: &FloatLayer, output: Tensor<4>, ranges: Option<&[Affine]>) -> Tensor<4> {
    let clamp = match &layer.op {
        FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } => *clamp,
        // These hand on levels of their input.
        FloatOp::MaxPool { .. } | FloatOp::Reshape => return output,
        _ => Clamp::NONE,
    };
    match ranges {
        Some(ranges) => snap(output, ranges[layer.output], clamp),
        None if clamp == Clamp::NONE => output,
        None => output.clamp(clamp.low, clamp.high),
    }
}

/// The nearest representable value, clamp and range included.
fn snap(values: Tensor<4>, levels: Affine, clamp: Clamp) -> Tensor<4> {
    let (low, high) = (levels.snap(clamp.low), levels.snap(clamp.high));
    let clamped = values.clamp(low, high);
    // Outside the gradient: the distance to the nearest level is a constant.
    let real = clamped.clone().inner();
    let nearest = (real.clone() / levels.scale).round() * levels.scale;
    clamped + (nearest - real)
}

fn convolution(
    kind: ConvolutionKind,
    window: Window,
    input: Tensor<4>,
    (weights, bias): &Filters,
) -> Tensor<4> {
    let [images, channels, ..] = input.dims();
    let [out, row, column, inputs] = weights.dims();
    if kind == ConvolutionKind::FullyConnected {
        let elements = row * column * inputs;
        let input = input.permute([0, 2, 3, 1]).reshape([images, elements]);
        let weights = weights.clone().reshape([out, elements]).transpose();
        let output = input.matmul(weights) + bias.clone().reshape([1, out]);
        return output.reshape([images, out, 1, 1]);
    }
    let groups = if kind == ConvolutionKind::Depthwise {
        channels
    } else {
        1
    };
    let options = ConvOptions::new_with_padding(stride(window), padding(window), [1, 1], groups);
    let weights = weights.clone().permute([0, 3, 1, 2]);
    conv2d(input, weights, Some(bias.clone()), options)
}

fn kernel(window: Window) -> [usize; 2] {
    [window.kernel_height, window.kernel_width]
}

fn stride(window: Window) -> [usize; 2] {
    [window.stride_height, window.stride_width]
}

fn padding(window: Window) -> [(usize, usize); 2] {
    let padding = window.padding;
    [(padding.top, padding.bottom), (padding.left, padding.right)]
}

/// A batch `[n, h, w, c]` as the graph takes it.
pub(crate) fn batch(images: &Array4<f32>, device: &Device) -> Tensor<4> {
    let (n, h, w, c) = images.dim();
    let elements: Vec<f32> = images.iter().copied().collect();
    Tensor::<4>::from_data(TensorData::new(elements, [n, h, w, c]), device).permute([0, 3, 1, 2])
}

/// The tensors of a convolution's filters; with `dim` `[out, row, column, in]`.
pub(crate) fn filters(
    weights: Vec<f32>,
    bias: Vec<f32>,
    dim: [usize; 4],
    device: &Device,
) -> Filters {
    (
        Tensor::from_data(TensorData::new(weights, dim), device),
        Tensor::from_data(TensorData::new(bias, [dim[0]]), device),
    )
}
