//! Pooling.

use super::convolution::{add_padding, output_shape, window};
use super::{
    Activation, Axis, Clamp, Constant, FloatOp, Importer, Node, Padding, Shape, Value, Window,
};
use crate::model::onnx::graph::{axis_index, sizes};

impl<'m> Importer<'m> {
    /// MaxPool and AveragePool. Padding that counts makes an average a depthwise convolution.
    pub(super) fn pool(&mut self, node: &Node<'m>) -> Result<Value, String> {
        self.activation(node, 0)?.expect_image()?;
        let maximum = node.proto.op_type == "MaxPool";
        let (activation, pending) = self.select(node.input(0).unwrap_or_default())?;
        let kernel = sizes(
            node.ints("kernel_shape").ok_or("has no kernel_shape")?,
            "kernel",
        )?;
        let [rows, columns] = kernel[..] else {
            return Err("only two-dimensional images".to_owned());
        };
        let pads = node.ints("pads").unwrap_or(&[0; 4]);
        let own = pads.iter().any(|size| *size != 0)
            || node.string("auto_pad", "NOTSET")?.starts_with("SAME");
        let padded = pending != Padding::default();
        // Zeros around the image are pixels like any other: they count in a mean, and in a maximum they are
        // as good as nothing only if nothing is negative.
        let counted = node.int("count_include_pad", 0) != 0 || (padded && !own);
        let takes_zeros = if maximum {
            self.is_positive(activation.tensor)
        } else {
            counted
        };
        let (activation, pending) = if padded && !takes_zeros {
            (self.whole(node, 0)?, Padding::default())
        } else {
            (activation, pending)
        };
        let image = activation.shape;
        let full = Shape {
            height: image.height + pending.top + pending.bottom,
            width: image.width + pending.left + pending.right,
            channels: image.channels,
        };
        let mut window = window(node, (rows, columns), full)?;
        if window.padding.top >= rows || window.padding.left >= columns {
            return Err("padding as large as the kernel".to_owned());
        }
        add_padding(&mut window.padding, pending);
        let grows = node.int("ceil_mode", 0) != 0 && grow(&mut window, image)?;
        let shape = output_shape(&window, image, image.channels)?;
        if counted && grows && !maximum {
            return Err("count_include_pad together with ceil_mode".to_owned());
        }
        let op = if maximum {
            FloatOp::MaxPool { window }
        } else if counted && window.padding != Padding::default() {
            #[allow(clippy::cast_precision_loss)]
            let share = 1.0 / (rows * columns) as f32;
            self.per_channel(
                window,
                vec![share; image.channels],
                vec![0.0; image.channels],
                Clamp::NONE,
            )?
        } else {
            FloatOp::AveragePool { window }
        };
        self.expect_pixels(&window, image, shape)?;
        let tensor = self.emit_node(node, op, &[activation.tensor], shape)?;
        Ok(Value::Activation(Activation::image(
            tensor, shape, self.batch,
        )))
    }

    /// Fails where a window lies in the padding alone.
    fn expect_pixels(&self, window: &Window, image: Shape, shape: Shape) -> Result<(), String> {
        let outside = |count: usize, stride: usize, kernel: usize, before: usize, size: usize| {
            kernel <= before || (count - 1) * stride >= before + size
        };
        let pad = window.padding;
        if outside(
            shape.height,
            window.stride_height,
            window.kernel_height,
            pad.top,
            image.height,
        ) || outside(
            shape.width,
            window.stride_width,
            window.kernel_width,
            pad.left,
            image.width,
        ) {
            return Err("a window lies in the padding alone".to_owned());
        }
        Ok(())
    }

    /// Whether no element of a tensor can be negative, so that zeros do not change a maximum.
    fn is_positive(&self, tensor: usize) -> bool {
        self.layers.iter().any(|layer| {
            layer.output == tensor
                && matches!(&layer.op,
                    FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } if clamp.low >= 0.0)
        })
    }

    /// GlobalAveragePool and GlobalMaxPool.
    pub(super) fn global_pool(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        activation.expect_image()?;
        let average = node.proto.op_type == "GlobalAveragePool";
        self.pool_whole(node, &activation, average)
            .map(Value::Activation)
    }

    /// Mean or maximum over rows and columns.
    pub(super) fn pool_whole(
        &mut self,
        node: &Node<'m>,
        activation: &Activation,
        average: bool,
    ) -> Result<Activation, String> {
        let image = activation.shape;
        let op = if average {
            FloatOp::GlobalAverage
        } else {
            FloatOp::MaxPool {
                window: Window {
                    kernel_height: image.height,
                    kernel_width: image.width,
                    stride_height: 1,
                    stride_width: 1,
                    padding: Padding::default(),
                },
            }
        };
        let shape = Shape {
            height: 1,
            width: 1,
            channels: image.channels,
        };
        let tensor = self.emit_node(node, op, &[activation.tensor], shape)?;
        Ok(Activation::image(tensor, shape, self.batch))
    }

    /// ReduceMean over rows and columns.
    pub(super) fn reduce_mean(
        &mut self,
        node: &Node<'m>,
        constants: &[Option<&Constant>],
    ) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        let rank = activation.dims.len();
        let axes = match constants.get(1).copied().flatten() {
            Some(constant) => constant.as_integers()?.to_vec(),
            None => node.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let axes = axes
            .iter()
            .map(|axis| axis_index(*axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        let reduced = |index: usize| axes.contains(&index);
        let gone: Vec<Axis> = (0..rank)
            .filter(|index| reduced(*index))
            .flat_map(|index| activation.dims[index].clone())
            .collect();
        let spatial = [Axis::Row, Axis::Column]
            .into_iter()
            .filter(|axis| activation.size(*axis) > 1);
        if axes.is_empty()
            || gone.contains(&Axis::Channel)
            || !spatial.clone().all(|axis| gone.contains(&axis))
        {
            return Err("only a mean over all rows and columns is supported".to_owned());
        }
        if gone.contains(&Axis::Batch) {
            return Err("a mean over the batch".to_owned());
        }
        let keep = node.int("keepdims", 1) != 0;
        let dims: Vec<Vec<Axis>> = (0..rank)
            .filter(|index| keep || !reduced(*index))
            .map(|index| {
                if reduced(index) {
                    vec![]
                } else {
                    activation.dims[index].clone()
                }
            })
            .collect();
        let mut result = self.pool_whole(node, &activation, true)?;
        result.dims = dims;
        Ok(Value::Activation(result))
    }
}

/// Widens the padding below and to the right until the last window fits that starts inside the image or its
/// padding before it (`ceil_mode`). Returns whether anything changed.
fn grow(window: &mut Window, image: Shape) -> Result<bool, String> {
    let along = |size: usize, before: usize, after: usize, kernel: usize, stride: usize| {
        let room = (size + before + after)
            .checked_sub(kernel)
            .ok_or("a kernel larger than the image")?;
        let mut count = room.div_ceil(stride) + 1;
        if (count - 1) * stride >= size + before {
            count -= 1;
        }
        Ok::<usize, String>(((count - 1) * stride + kernel).saturating_sub(size + before))
    };
    let pad = window.padding;
    let bottom = along(
        image.height,
        pad.top,
        pad.bottom,
        window.kernel_height,
        window.stride_height,
    )?;
    let right = along(
        image.width,
        pad.left,
        pad.right,
        window.kernel_width,
        window.stride_width,
    )?;
    window.padding.bottom = bottom;
    window.padding.right = right;
    Ok(bottom > pad.bottom || right > pad.right)
}
