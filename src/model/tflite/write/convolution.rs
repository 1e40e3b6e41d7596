//! Convolutions, depthwise convolutions and fully connected layers.

use super::super::operators::{code, element};
use super::super::scaling;
use super::super::schema::tflite as fb;
use super::{
    Writer, Written, activation, dims, int, le_bytes, options, padding_code, quantization, refuse,
};
use crate::model::float::{ConvolutionKind, Padding, Shape};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor,
};

impl Writer {
    /// A convolution, depthwise convolution or fully connected layer, with PAD before it where needed.
    pub(super) fn convolution(
        &mut self,
        network: &IntegerNetwork,
        layer: &IntegerLayer,
        convolution: &IntegerConvolution,
    ) -> Written<()> {
        let input = &network.tensors[layer.inputs[0]];
        let output = &network.tensors[layer.output];
        let per_channel = per_channel(layer, convolution, input.scale, output.scale)?;
        let mut source = self.ids[layer.inputs[0]];
        let window = convolution.window;
        let padding = match padding_code(input.shape, output.shape, window) {
            Some(padding) => padding,
            None => {
                source = self.pad(layer, input, source, window.padding)?;
                1
            }
        };
        let weights = self.weights(layer, convolution, per_channel)?;
        let bias = self.bias(layer, convolution, input.scale, per_channel)?;
        let fused_activation_function =
            activation(layer, output, convolution.clamp_low, convolution.clamp_high)?;
        let (code, options) = kind_options(
            network,
            layer,
            convolution,
            (padding, fused_activation_function),
        )?;
        self.operator(layer, code, vec![source, weights, bias], Some(options))
    }

    /// A padding that the format's convolutions cannot say, as an operator of its own.
    fn pad(
        &mut self,
        layer: &IntegerLayer,
        input: &IntegerTensor,
        source: i32,
        padding: Padding,
    ) -> Written<i32> {
        let Padding {
            top,
            bottom,
            left,
            right,
        } = padding;
        let mut amounts = [0; 8];
        for (amount, pixels) in amounts[2..6].iter_mut().zip([top, bottom, left, right]) {
            *amount = int("padding", pixels)?;
        }
        let amounts = self.constant(
            "paddings",
            vec![4, 2],
            element::INT32,
            &le_bytes(&amounts),
            None,
        )?;
        let shape = Shape {
            height: input.shape.height + top + bottom,
            width: input.shape.width + left + right,
            channels: input.shape.channels,
        };
        let padded = self.activation(
            input,
            &format!("{}/padded", layer.name),
            dims(shape, false)?,
        )?;
        self.push_operator(code::PAD, vec![source, amounts], padded, None)?;
        Ok(padded)
    }

    fn weights(
        &mut self,
        layer: &IntegerLayer,
        convolution: &IntegerConvolution,
        per_channel: bool,
    ) -> Written<i32> {
        let (filters, rows, columns, inputs) = convolution.weights.dim();
        let bytes = |weights: ndarray::ArrayView4<'_, i8>| {
            weights.iter().map(|w| w.cast_unsigned()).collect()
        };
        let (dims, bytes, dimension): (_, Vec<u8>, _) = match convolution.kind {
            ConvolutionKind::Dense => (
                vec![filters, rows, columns, inputs],
                bytes(convolution.weights.view()),
                0,
            ),
            ConvolutionKind::Depthwise => {
                let weights = convolution.weights.view().permuted_axes([3, 1, 2, 0]);
                (vec![1, rows, columns, filters], bytes(weights), 3)
            }
            ConvolutionKind::FullyConnected => (
                vec![filters, rows * columns * inputs],
                bytes(convolution.weights.view()),
                0,
            ),
        };
        let dims = dims
            .into_iter()
            .map(|extent| int("weights", extent))
            .collect::<Written<_>>()?;
        let scale = if per_channel {
            convolution.weight_scale.clone()
        } else {
            vec![convolution.weight_scale[0]]
        };
        let quantization = quantization(scale, 0, dimension);
        self.constant(
            &format!("{}/weights", layer.name),
            dims,
            element::INT8,
            &bytes,
            Some(quantization),
        )
    }

    fn bias(
        &mut self,
        layer: &IntegerLayer,
        convolution: &IntegerConvolution,
        input_scale: f32,
        per_channel: bool,
    ) -> Written<i32> {
        let scale = convolution
            .weight_scale
            .iter()
            .map(|scale| scale * input_scale);
        let scale = if per_channel {
            scale.collect()
        } else {
            scale.take(1).collect()
        };
        let dims = vec![int("filters", convolution.filters())?];
        let bytes: Vec<u8> = convolution
            .bias
            .iter()
            .flat_map(|bias| bias.to_le_bytes())
            .collect();
        let name = format!("{}/bias", layer.name);
        self.constant(
            &name,
            dims,
            element::INT32,
            &bytes,
            Some(quantization(scale, 0, 0)),
        )
    }
}

/// Operator code and options by connection pattern.
fn kind_options(
    network: &IntegerNetwork,
    layer: &IntegerLayer,
    convolution: &IntegerConvolution,
    (padding, fused_activation_function): (i8, i8),
) -> Written<(i32, fb::BuiltinOptions)> {
    let window = convolution.window;
    let input = &network.tensors[layer.inputs[0]];
    let stride_h = int("stride", window.stride_height)?;
    let stride_w = int("stride", window.stride_width)?;
    Ok(match convolution.kind {
        ConvolutionKind::Dense => {
            let dense = fb::Conv2DOptions {
                padding,
                stride_w,
                stride_h,
                fused_activation_function,
                dilation_w_factor: 1,
                dilation_h_factor: 1,
            };
            (
                code::CONV_2D,
                options(dense, fb::BuiltinOptions::Conv2DOptions),
            )
        }
        ConvolutionKind::Depthwise => {
            let depthwise = fb::DepthwiseConv2DOptions {
                padding,
                stride_w,
                stride_h,
                depth_multiplier: int(
                    "depth multiplier",
                    convolution.filters() / input.shape.channels,
                )?,
                fused_activation_function,
                dilation_w_factor: 1,
                dilation_h_factor: 1,
            };
            (
                code::DEPTHWISE_CONV_2D,
                options(depthwise, fb::BuiltinOptions::DepthwiseConv2DOptions),
            )
        }
        ConvolutionKind::FullyConnected => {
            let readers = network
                .layers
                .iter()
                .filter(|other| other.inputs.contains(&layer.output));
            for reader in readers {
                if !matches!(&reader.op, IntegerOp::Convolution(c) if c.kind == ConvolutionKind::FullyConnected)
                    && !matches!(
                        reader.op,
                        IntegerOp::Softmax | IntegerOp::Reshape | IntegerOp::Add { .. }
                    )
                {
                    return refuse(
                        reader,
                        "it slides over the vector of a fully connected layer",
                    );
                }
            }
            let connected = fb::FullyConnectedOptions {
                fused_activation_function,
                ..fb::FullyConnectedOptions::default()
            };
            (
                code::FULLY_CONNECTED,
                options(connected, fb::BuiltinOptions::FullyConnectedOptions),
            )
        }
    })
}

/// Whether the weights have one scale a filter in the file: as it must be for TFLite's kernels to derive the
/// network's multipliers.
fn per_channel(
    layer: &IntegerLayer,
    convolution: &IntegerConvolution,
    input: f32,
    output: f32,
) -> Written<bool> {
    let scales = &convolution.weight_scale;
    let derives = |per_channel: bool| {
        scaling::convolution(convolution.kind, input, scales, per_channel, output)
            == convolution.multiplier
    };
    let single = scales.iter().all(|scale| *scale == scales[0]);
    if convolution.kind == ConvolutionKind::FullyConnected && single && derives(false) {
        return Ok(false);
    }
    if derives(scales.len() > 1) {
        return Ok(scales.len() > 1);
    }
    refuse(
        layer,
        "its multipliers do not follow from the scales of its weights and tensors",
    )
}
