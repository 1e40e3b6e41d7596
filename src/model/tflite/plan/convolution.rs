//! Convolutions, depthwise convolutions and fully connected layers.

use super::{Planner, Step, StepOp, activation};
use crate::model::float::{ConvolutionKind, Padding, Shape, Window};
use crate::model::tflite::file::{FileOperator, Options};
use crate::model::tflite::geometry::{ELEMENTS_MAX, window};
use crate::model::tflite::refusal::{Taken, invalid, unsupported};

impl Planner<'_, '_> {
    /// CONV_2D.
    pub(super) fn convolution(&self, operator: &FileOperator) -> Taken<Step> {
        let (padding, stride, code) = match operator.options {
            Options::Conv2D {
                padding,
                stride,
                activation,
                dilation: [1, 1],
            } => (padding, stride, activation),
            Options::Conv2D { dilation, .. } => {
                return unsupported(format!("dilation {dilation:?}; [1, 1] is taken"));
            }
            _ => return invalid("its Conv2DOptions are missing"),
        };
        let input = self.input(operator, 0)?;
        let weights = self.constant(operator, 1, "weights")?;
        let (source, outer, padded) = self.through_pads(input);
        let shape = self.shape(source)?;
        let [filters, rows, columns, channels] = self.weights_shape(weights)?[..] else {
            return invalid("its weights do not have 4 dimensions");
        };
        if channels != shape.channels {
            let text = format!(
                "weights for {channels} channels on an input of {}",
                shape.channels
            );
            return if shape.channels % channels == 0 {
                unsupported(format!("grouped convolution ({text})"))
            } else {
                invalid(text)
            };
        }
        let (window, height, width) = window(shape, [rows, columns], stride, padding, outer)?;
        let output = self.expect_output(
            operator,
            Shape {
                height,
                width,
                channels: filters,
            },
        )?;
        Ok(Step {
            operator: operator.index,
            op: StepOp::Convolution {
                kind: ConvolutionKind::Dense,
                window,
                weights_shape: [filters, rows, columns, channels],
                weights,
                bias: self.bias(operator, filters)?,
                activation: activation(code)?,
            },
            inputs: vec![source],
            padded,
            output,
        })
    }

    /// DEPTHWISE_CONV_2D.
    pub(super) fn depthwise(&self, operator: &FileOperator) -> Taken<Step> {
        let (padding, stride, code) = match operator.options {
            Options::DepthwiseConv2D {
                padding,
                stride,
                activation,
                dilation: [1, 1],
            } => (padding, stride, activation),
            Options::DepthwiseConv2D { dilation, .. } => {
                return unsupported(format!("dilation {dilation:?}; [1, 1] is taken"));
            }
            _ => return invalid("its DepthwiseConv2DOptions are missing"),
        };
        let input = self.input(operator, 0)?;
        let weights = self.constant(operator, 1, "weights")?;
        let (source, outer, padded) = self.through_pads(input);
        let shape = self.shape(source)?;
        let [1, rows, columns, filters] = self.weights_shape(weights)?[..] else {
            return invalid("its weights do not have the shape [1, rows, columns, filters]");
        };
        if filters % shape.channels != 0 {
            return invalid(format!("{filters} filters on {} channels", shape.channels));
        }
        let (window, height, width) = window(shape, [rows, columns], stride, padding, outer)?;
        let output = self.expect_output(
            operator,
            Shape {
                height,
                width,
                channels: filters,
            },
        )?;
        Ok(Step {
            operator: operator.index,
            op: StepOp::Convolution {
                kind: ConvolutionKind::Depthwise,
                window,
                weights_shape: [filters, rows, columns, 1],
                weights,
                bias: self.bias(operator, filters)?,
                activation: activation(code)?,
            },
            inputs: vec![source],
            padded,
            output,
        })
    }

    /// FULLY_CONNECTED.
    pub(super) fn fully_connected(&self, operator: &FileOperator) -> Taken<Step> {
        let code = match operator.options {
            Options::FullyConnected {
                activation,
                weights_format: 0,
            } => activation,
            Options::FullyConnected { .. } => return unsupported("shuffled weights"),
            _ => return invalid("its FullyConnectedOptions are missing"),
        };
        let input = self.input(operator, 0)?;
        let weights = self.constant(operator, 1, "weights")?;
        let Shape {
            height,
            width,
            channels,
        } = self.shape(input)?;
        let [filters, inputs] = self.weights_shape(weights)?[..] else {
            return invalid("its weights do not have 2 dimensions");
        };
        let elements = height * width * channels;
        if inputs != elements {
            return unsupported(format!(
                "weights for {inputs} values on an input of {elements}: one vector an image is taken"
            ));
        }
        let output = self.expect_output(
            operator,
            Shape {
                height: 1,
                width: 1,
                channels: filters,
            },
        )?;
        let window = Window {
            kernel_height: height,
            kernel_width: width,
            stride_height: 1,
            stride_width: 1,
            padding: Padding::default(),
        };
        Ok(Step {
            operator: operator.index,
            op: StepOp::Convolution {
                kind: ConvolutionKind::FullyConnected,
                window,
                weights_shape: [filters, height, width, channels],
                weights,
                bias: self.bias(operator, filters)?,
                activation: activation(code)?,
            },
            inputs: vec![input],
            padded: Vec::new(),
            output,
        })
    }

    /// The bias, which may be left out.
    fn bias(&self, operator: &FileOperator, filters: usize) -> Taken<Option<usize>> {
        if operator.inputs.get(2).copied().flatten().is_none() {
            return Ok(None);
        }
        let bias = self.constant(operator, 2, "bias")?;
        let shape = &self.file.tensors[bias].shape;
        if shape
            .iter()
            .try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))
            != Some(filters)
        {
            return invalid(format!("bias of shape {shape:?} for {filters} filters"));
        }
        Ok(Some(bias))
    }

    fn weights_shape(&self, tensor: usize) -> Taken<Vec<usize>> {
        let view = &self.file.tensors[tensor];
        let dims: Option<Vec<usize>> = view
            .shape
            .iter()
            .map(|d| usize::try_from(*d).ok())
            .collect();
        let elements = dims
            .as_ref()
            .and_then(|dims| dims.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)));
        match (dims, elements) {
            (Some(dims), Some(1..=ELEMENTS_MAX)) => Ok(dims),
            _ => invalid(format!("weights of shape {:?}", view.shape)),
        }
    }
}
