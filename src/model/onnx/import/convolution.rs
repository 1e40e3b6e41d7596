//! Convolutions and matrix products.

use ndarray::{Array1, Array4};

use super::{
    Activation, Axis, Clamp, Constant, ConvolutionKind, FloatOp, Importer, Node, Padding, Shape,
    Value, WeightQuantization, Window,
};
use crate::model::onnx::graph::sizes;

/// A bias: real values, and the integers behind them.
#[derive(Default)]
pub(super) struct Bias {
    pub(super) real: Vec<f32>,
    pub(super) quantized: Option<(Vec<i64>, Option<Vec<f32>>)>,
}

impl Bias {
    /// From a constant with one value, or one a filter.
    pub(super) fn of(constant: Option<&Constant>, filters: usize) -> Result<Self, String> {
        let Some(constant) = constant else {
            return Ok(Self {
                real: vec![0.0; filters],
                quantized: None,
            });
        };
        let real = constant.to_reals();
        if real.len() == 1 && filters != 1 {
            return Ok(Self {
                real: vec![real[0]; filters],
                quantized: None,
            });
        }
        if real.len() != filters {
            return Err(format!(
                "a bias of {} values for {filters} filters",
                real.len()
            ));
        }
        let quantized = constant.quantized.as_ref().map(|quantized| {
            let scale = spread(&quantized.scale, filters);
            (quantized.values.clone(), Some(scale))
        });
        Ok(Self { real, quantized })
    }
}

/// One value, or one a filter, as one a filter.
pub(super) fn spread(values: &[f32], filters: usize) -> Vec<f32> {
    if values.len() == 1 {
        vec![values[0]; filters]
    } else {
        values.to_vec()
    }
}

impl<'m> Importer<'m> {
    /// Conv.
    pub(super) fn convolution(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let weights = self.constant(node, 1)?;
        let bias = self.optional_constant(node, 2)?;
        let filters = weights.dims.first().copied().unwrap_or(0);
        let bias = Bias::of(bias.as_deref(), filters)?;
        self.convolve(node, 0, &weights, bias)
    }

    /// A convolution of input `index` with weights `[out, in / group, row, column]`.
    pub(super) fn convolve(
        &mut self,
        node: &Node<'m>,
        index: usize,
        weights: &Constant,
        bias: Bias,
    ) -> Result<Value, String> {
        let [filters, inputs, rows, columns] = weights.dims[..] else {
            return Err(format!(
                "weights of shape {:?}: only two-dimensional images",
                weights.dims
            ));
        };
        if weights.len() == 0 {
            return Err("has no weights".to_owned());
        }
        if node.ints("kernel_shape").is_some_and(|shape| {
            shape
                .iter()
                .map(|size| usize::try_from(*size))
                .ne([Ok(rows), Ok(columns)])
        }) {
            return Err("kernel_shape is not the weights' shape".to_owned());
        }
        self.activation(node, index)?.expect_image()?;
        let (activation, pending) = self.select(node.input(index).unwrap_or_default())?;
        let image = activation.shape;
        let kind = connection(node, weights, image.channels)?;
        let padded = Shape {
            height: image.height + pending.top + pending.bottom,
            width: image.width + pending.left + pending.right,
            channels: image.channels,
        };
        let mut window = window(node, (rows, columns), padded)?;
        add_padding(&mut window.padding, pending);
        let shape = output_shape(&window, image, filters)?;
        let array = Array4::from_shape_vec([filters, inputs, rows, columns], weights.to_reals())
            .map_err(|error| error.to_string())?
            .permuted_axes([0, 2, 3, 1])
            .as_standard_layout()
            .into_owned();
        let quantized = filter_scales(weights, 0, filters)?;
        let op = FloatOp::Convolution {
            kind,
            window,
            weights: array,
            bias: Array1::from_vec(bias.real),
            clamp: Clamp::NONE,
        };
        let tensor = self.emit_node(node, op, &[activation.tensor], shape)?;
        self.note_weights(quantized, bias.quantized);
        Ok(Value::Activation(Activation::image(
            tensor, shape, self.batch,
        )))
    }

    /// Keeps the quantization of the layer that was added last.
    fn note_weights(
        &mut self,
        scale: Option<Vec<f32>>,
        bias: Option<(Vec<i64>, Option<Vec<f32>>)>,
    ) {
        if let (Some(scale), Some(layer)) = (scale, self.layers.last()) {
            self.weights
                .insert(layer.name.clone(), WeightQuantization { scale, bias });
        }
    }

    /// Gemm: alpha * A * B + beta * C with a constant B and C.
    pub(super) fn gemm(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let weights = self.constant(node, 1)?;
        let bias = self.optional_constant(node, 2)?;
        let outputs = outputs_of(node, &weights)?;
        let mut bias = Bias::of(bias.as_deref(), outputs)?;
        let beta = node.float("beta", 1.0);
        if beta != 1.0 {
            bias = Bias {
                real: bias.real.iter().map(|value| beta * value).collect(),
                quantized: None,
            };
        }
        self.fully_connect(node, 0, &weights, bias)
    }

    /// MatMul with a constant on the right.
    pub(super) fn matrix_product(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let weights = self.constant(node, 1)?;
        let outputs = outputs_of(node, &weights)?;
        self.fully_connect(node, 0, &weights, Bias::of(None, outputs)?)
    }

    /// A fully connected layer on input `index`. Weights are brought into the order `[out, row, column, in]`
    /// of the tensor, whatever order the file has flattened it in.
    pub(super) fn fully_connect(
        &mut self,
        node: &Node<'m>,
        index: usize,
        weights: &Constant,
        bias: Bias,
    ) -> Result<Value, String> {
        if node.int("transA", 0) != 0 {
            return Err("transA: the activation is transposed".to_owned());
        }
        let activation = self.whole(node, index)?;
        let outputs = outputs_of(node, weights)?;
        let order = activation.order().filter(|_| activation.dims.len() == 2);
        let order = order
            .filter(|order| activation.dims[1] == *order)
            .ok_or_else(|| {
                format!(
                    "needs an activation [batch, channels], got {}",
                    activation.describe()
                )
            })?;
        let Shape { height, width, .. } = activation.shape;
        let inputs = activation.shape.elements();
        if weights.len() != inputs.saturating_mul(outputs) || weights.len() == 0 {
            return Err(format!(
                "weights of shape {:?} for {inputs} inputs",
                weights.dims
            ));
        }
        let alpha = node.float("alpha", 1.0);
        let transposed = node.int("transB", 0) != 0;
        let array = in_tensor_order(
            &weights.to_reals(),
            transposed,
            outputs,
            &activation,
            &order,
        )
        .mapv_into(|weight| alpha * weight);
        let quantized = if alpha == 1.0 {
            filter_scales(weights, usize::from(!transposed), outputs)?
        } else {
            None
        };
        let op = FloatOp::Convolution {
            kind: ConvolutionKind::FullyConnected,
            window: Window {
                kernel_height: height,
                kernel_width: width,
                stride_height: 1,
                stride_width: 1,
                padding: Padding::default(),
            },
            weights: array,
            bias: Array1::from_vec(bias.real),
            clamp: Clamp::NONE,
        };
        let shape = Shape {
            height: 1,
            width: 1,
            channels: outputs,
        };
        let tensor = self.emit_node(node, op, &[activation.tensor], shape)?;
        self.note_weights(quantized, bias.quantized);
        Ok(Value::Activation(Activation::new(
            tensor,
            shape,
            self.batch,
            &[&[Axis::Batch], &[Axis::Channel]],
        )))
    }
}

/// How a Conv with weights `[out, in / group, row, column]` connects `channels` to filters.
fn connection(
    node: &Node<'_>,
    weights: &Constant,
    channels: usize,
) -> Result<ConvolutionKind, String> {
    let (filters, inputs) = (weights.dims[0], weights.dims[1]);
    let group = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let (kind, seen) = match group {
        1 => (ConvolutionKind::Dense, channels),
        _ if group == channels && inputs == 1 => (ConvolutionKind::Depthwise, 1),
        _ => {
            return Err(format!(
                "{group} groups of {channels} channels: only 1, or one a channel"
            ));
        }
    };
    if inputs != seen || filters % group != 0 {
        return Err(format!(
            "weights of shape {:?} for {channels} channels",
            weights.dims
        ));
    }
    Ok(kind)
}

/// A matrix `[in, out]` (`[out, in]` if `transposed`), whose inputs run over an activation's axes in `order`, as
/// `[out, row, column, in]`.
fn in_tensor_order(
    matrix: &[f32],
    transposed: bool,
    outputs: usize,
    activation: &Activation,
    order: &[Axis],
) -> Array4<f32> {
    let Shape {
        height,
        width,
        channels,
    } = activation.shape;
    let inputs = activation.shape.elements();
    let stride = |axis: Axis| {
        let inner = order
            .iter()
            .position(|other| *other == axis)
            .map(|place| &order[place + 1..]);
        inner.map_or(0, |inner| {
            inner
                .iter()
                .map(|axis| activation.size(*axis))
                .product::<usize>()
        })
    };
    let [row, column, channel] = [Axis::Row, Axis::Column, Axis::Channel].map(stride);
    Array4::from_shape_fn([outputs, height, width, channels], |(output, y, x, c)| {
        let input = y * row + x * column + c * channel;
        matrix[if transposed {
            output * inputs + input
        } else {
            input * outputs + output
        }]
    })
}

/// Outputs of a matrix `[in, out]` (`[out, in]` with `transB`).
pub(super) fn outputs_of(node: &Node<'_>, weights: &Constant) -> Result<usize, String> {
    match weights.dims[..] {
        [outputs, _] if node.int("transB", 0) != 0 => Ok(outputs),
        [_, outputs] => Ok(outputs),
        _ => Err(format!(
            "weights of shape {:?}, expected a matrix",
            weights.dims
        )),
    }
}

/// Steps of dequantized weights, one a filter; `None` for weights that never were integers.
fn filter_scales(
    weights: &Constant,
    axis: usize,
    filters: usize,
) -> Result<Option<Vec<f32>>, String> {
    let Some(quantized) = &weights.quantized else {
        return Ok(None);
    };
    if quantized.scale.len() != 1 && quantized.axis != axis {
        return Err("the weights' steps do not run over filters".to_owned());
    }
    Ok(Some(spread(&quantized.scale, filters)))
}

/// Adds padding on each side.
pub(super) fn add_padding(padding: &mut Padding, more: Padding) {
    padding.top += more.top;
    padding.bottom += more.bottom;
    padding.left += more.left;
    padding.right += more.right;
}

/// Strides and padding from the attributes; padding made explicit for an image of `shape`.
pub(super) fn window(
    node: &Node<'_>,
    (kernel_height, kernel_width): (usize, usize),
    shape: Shape,
) -> Result<Window, String> {
    let strides = sizes(node.ints("strides").unwrap_or(&[1, 1]), "stride")?;
    let dilations = node.ints("dilations").unwrap_or(&[1, 1]);
    let [stride_height, stride_width] = strides[..] else {
        return Err("needs two strides".to_owned());
    };
    if stride_height == 0 || stride_width == 0 || kernel_height == 0 || kernel_width == 0 {
        return Err("a stride or kernel of 0".to_owned());
    }
    if dilations.iter().any(|dilation| *dilation != 1) {
        return Err(format!("dilations {dilations:?}: only 1 is supported"));
    }
    let same = |size: usize, kernel: usize, stride: usize| {
        ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size)
    };
    let rows = same(shape.height, kernel_height, stride_height);
    let columns = same(shape.width, kernel_width, stride_width);
    let padding = match node.string("auto_pad", "NOTSET")? {
        "NOTSET" | "" => {
            let pads = sizes(node.ints("pads").unwrap_or(&[0; 4]), "padding")?;
            let [top, left, bottom, right] = pads[..] else {
                return Err("needs four pads".to_owned());
            };
            Padding {
                top,
                bottom,
                left,
                right,
            }
        }
        "VALID" => Padding::default(),
        "SAME_UPPER" => {
            let (top, left) = (rows / 2, columns / 2);
            Padding {
                top,
                bottom: rows - top,
                left,
                right: columns - left,
            }
        }
        "SAME_LOWER" => {
            let (bottom, right) = (rows / 2, columns / 2);
            Padding {
                top: rows - bottom,
                bottom,
                left: columns - right,
                right,
            }
        }
        other => return Err(format!("auto_pad {other}")),
    };
    Ok(Window {
        kernel_height,
        kernel_width,
        stride_height,
        stride_width,
        padding,
    })
}

/// Shape of what a window makes of an image.
pub(super) fn output_shape(
    window: &Window,
    image: Shape,
    channels: usize,
) -> Result<Shape, String> {
    let pad = window.padding;
    let rows = (image.height + pad.top + pad.bottom).checked_sub(window.kernel_height);
    let columns = (image.width + pad.left + pad.right).checked_sub(window.kernel_width);
    let (Some(rows), Some(columns)) = (rows, columns) else {
        return Err(format!(
            "a kernel of {} x {} for an image of {} x {}",
            window.kernel_height, window.kernel_width, image.height, image.width
        ));
    };
    Ok(Shape {
        height: rows / window.stride_height + 1,
        width: columns / window.stride_width + 1,
        channels,
    })
}
