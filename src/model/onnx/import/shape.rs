//! Operators that move elements: most change only the layout in which later operators see a tensor.

use super::fold::Bounds;
use super::{Activation, Axis, Constant, FloatOp, Importer, Node, Padding, Rc, Shape, Value, View};
use crate::model::onnx::graph::axis_index;
use crate::model::onnx::sizes;
use crate::model::onnx::value::IMAGE;

impl<'m> Importer<'m> {
    /// Shape: a constant, as sizes do not depend on the data.
    pub(super) fn shape(&self, node: &Node<'m>) -> Result<Value, String> {
        let sizes = match self.optional(node, 0)? {
            Some(Value::Activation(activation)) => activation.sizes(),
            Some(Value::Constant(constant)) => constant.dims.clone(),
            _ => return Err("has no input".to_owned()),
        };
        let rank = i64::try_from(sizes.len()).map_err(|_| "too many axes")?;
        let place = |index: i64| {
            let index = if index < 0 {
                index.saturating_add(rank)
            } else {
                index
            };
            usize::try_from(index.clamp(0, rank)).unwrap_or(0)
        };
        let (start, end) = (place(node.int("start", 0)), place(node.int("end", rank)));
        let picked: Vec<i64> = sizes
            .get(start..end.max(start))
            .unwrap_or_default()
            .iter()
            .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
            .collect();
        Ok(Value::Constant(Rc::new(Constant::integers(
            vec![picked.len()],
            picked,
        ))))
    }

    /// Flatten, Reshape, Squeeze, Unsqueeze. New sizes over whole axes are a matter of layout; a layer is made
    /// where axes merge in the order of the tensor's elements, or where one is split.
    pub(super) fn reshape(
        &mut self,
        node: &Node<'m>,
        constants: &[Option<&Constant>],
    ) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        let sizes = activation.sizes();
        let target = match node.proto.op_type.as_str() {
            "Flatten" => sizes::flattened(&sizes, node.int("axis", 1))?,
            "Reshape" => {
                let target = sizes::reshape_target(node, constants)?;
                sizes::reshaped(&sizes, &target, node.int("allowzero", 0) != 0)?
            }
            operator => {
                let axes = sizes::axes(node, constants)?;
                sizes::squeezed(operator == "Squeeze", &sizes, axes.as_deref())?
            }
        };
        // A Flatten is left to the weights behind it.
        let may_emit = node.proto.op_type == "Reshape" && activation.is_in_tensor_order();
        if let Some(regrouped) = activation.regrouped(&target) {
            let merges = regrouped.dims.iter().any(|group| group.len() > 1);
            if !(merges && may_emit) {
                return Ok(Value::Activation(regrouped));
            }
        }
        self.reshape_tensor(node, &activation, &target)
    }

    /// A Reshape layer to the sizes `target`.
    fn reshape_tensor(
        &mut self,
        node: &Node<'m>,
        activation: &Activation,
        target: &[usize],
    ) -> Result<Value, String> {
        let mixes = || {
            let from = activation.describe();
            Err(format!(
                "turns {from} into {target:?}, which mixes rows, columns and channels"
            ))
        };
        if !activation.is_in_tensor_order() {
            return mixes();
        }
        let [batch, rest @ ..] = target else {
            return mixes();
        };
        if *batch != activation.batch {
            return Err(format!(
                "turns a batch of {} into one of {batch}",
                activation.batch
            ));
        }
        let by_rows = self.is_read_by_rows(node);
        let (axes, shape): (&[&[Axis]], Shape) = match *rest {
            [channels] => (
                &[&[Axis::Batch], &[Axis::Channel]],
                Shape {
                    height: 1,
                    width: 1,
                    channels,
                },
            ),
            // One channel: elements follow each other by rows and columns either way.
            [1, height, width] if !by_rows => (
                &IMAGE,
                Shape {
                    height,
                    width,
                    channels: 1,
                },
            ),
            [channels, 1, 1] if !by_rows => (
                &IMAGE,
                Shape {
                    height: 1,
                    width: 1,
                    channels,
                },
            ),
            [height, width, channels] => (
                &[
                    &[Axis::Batch],
                    &[Axis::Row],
                    &[Axis::Column],
                    &[Axis::Channel],
                ],
                Shape {
                    height,
                    width,
                    channels,
                },
            ),
            _ => return mixes(),
        };
        let tensor = self.emit_node(node, FloatOp::Reshape, &[activation.tensor], shape)?;
        Ok(Value::Activation(Activation::new(
            tensor, shape, self.batch, axes,
        )))
    }

    /// Whether all readers turn `[batch, rows, columns, channels]` to ONNX's own order.
    fn is_read_by_rows(&self, node: &Node<'m>) -> bool {
        self.readers
            .get(node.output())
            .is_some_and(|readers| readers.iter().all(|operator| *operator == "Transpose"))
    }

    /// Transpose: a matter of layout.
    pub(super) fn transpose(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        let order = sizes::permutation(node, activation.dims.len())?;
        let dims = order
            .iter()
            .map(|axis| activation.dims[*axis].clone())
            .collect();
        Ok(Value::Activation(Activation { dims, ..activation }))
    }

    /// Slice: every n-th row and column from the first, and any channels.
    pub(super) fn slice(
        &mut self,
        node: &Node<'m>,
        constants: &[Option<&Constant>],
    ) -> Result<Value, String> {
        let mut activation = self.activation(node, 0)?;
        if activation.view.padding != Padding::default() {
            activation = self.whole(node, 0)?;
        }
        activation.expect_image()?;
        let bounds = Bounds::of(node, constants, 4)?;
        if (1..5).any(|index| {
            node.input(index).is_some() && constants.get(index).is_none_or(Option::is_none)
        }) {
            return Err("its bounds are not constant".to_owned());
        }
        let picked = bounds.indices(1, activation.shape.channels)?;
        if bounds.indices(0, self.batch)?.len() != self.batch || picked.is_empty() {
            return Err("takes no whole images".to_owned());
        }
        let stride = |axis: usize, size: usize| {
            let indices = bounds.indices(axis, size)?;
            let step = bounds.ranges[axis]
                .map_or(1, |(_, _, step)| usize::try_from(step).unwrap_or(1))
                .min(size);
            if indices.first() == Some(&0) && indices.len() == size.div_ceil(step) {
                Ok(step)
            } else {
                Err(format!(
                    "crops axis {axis}; only every n-th row or column from the first can be taken"
                ))
            }
        };
        let (rows, columns) = (
            stride(2, activation.shape.height)?,
            stride(3, activation.shape.width)?,
        );
        activation.view.row_stride = activation.view.row_stride.saturating_mul(rows);
        activation.view.column_stride = activation.view.column_stride.saturating_mul(columns);
        if picked.len() != activation.shape.channels {
            let channels = self.channels(&activation);
            activation.view.channels = Some(picked.iter().map(|index| channels[*index]).collect());
        }
        Ok(self.viewed(activation))
    }

    /// The channels of the tensor that a view shows.
    fn channels(&self, activation: &Activation) -> Vec<Option<usize>> {
        let all = || {
            (0..self.tensors[activation.tensor].shape.channels)
                .map(Some)
                .collect()
        };
        activation.view.channels.clone().unwrap_or_else(all)
    }

    /// An image after its view has changed.
    fn viewed(&self, activation: Activation) -> Value {
        let shape = activation.view.shape(self.tensors[activation.tensor].shape);
        let image = Activation::image(activation.tensor, shape, self.batch);
        Value::Activation(Activation {
            view: activation.view,
            ..image
        })
    }

    /// Pad with zeros: rows and columns (which a convolution takes over) and channels.
    pub(super) fn pad(
        &mut self,
        node: &Node<'m>,
        constants: &[Option<&Constant>],
    ) -> Result<Value, String> {
        let mut activation = self.activation(node, 0)?;
        activation.expect_image()?;
        let pads = self.pads(node, constants)?;
        let [0, front, top, left, 0, back, bottom, right] = pads[..] else {
            return Err("pads the batch".to_owned());
        };
        if front + back > 0 {
            if activation.view.padding != Padding::default() {
                activation = self.whole(node, 0)?;
            }
            let zeros = |count| vec![None; count];
            let channels = [zeros(front), self.channels(&activation), zeros(back)].concat();
            activation.view.channels = Some(channels);
        }
        let padding = &mut activation.view.padding;
        padding.top += top;
        padding.left += left;
        padding.bottom += bottom;
        padding.right += right;
        Ok(self.viewed(activation))
    }

    /// Sizes of padding of the four axes, first all before and then all after.
    fn pads(&self, node: &Node<'m>, constants: &[Option<&Constant>]) -> Result<Vec<usize>, String> {
        let mode = node.string("mode", "constant")?;
        if mode != "constant" {
            return Err(format!("mode {mode}: only constant zeros are supported"));
        }
        let value = match self.optional_constant(node, 2)? {
            Some(constant) => constant.scalar()?,
            None => node.float("value", 0.0),
        };
        if value != 0.0 {
            return Err(format!("pads with {value}: only zeros are supported"));
        }
        let values = match self.optional_constant(node, 1)? {
            Some(constant) => constant.as_integers()?.to_vec(),
            None => node
                .ints("pads")
                .ok_or("its sizes are not constant")?
                .to_vec(),
        };
        let values = crate::model::onnx::graph::sizes(&values, "padding")?;
        let Some(axes) = constants.get(3).copied().flatten() else {
            return if values.len() == 8 {
                Ok(values)
            } else {
                Err("needs 8 sizes".to_owned())
            };
        };
        let axes = axes.as_integers()?;
        if values.len() != 2 * axes.len() {
            return Err("needs two sizes an axis".to_owned());
        }
        let mut pads = vec![0; 8];
        for (index, axis) in axes.iter().enumerate() {
            let axis = axis_index(*axis, 4)?;
            pads[axis] = values[index];
            pads[axis + 4] = values[index + axes.len()];
        }
        Ok(pads)
    }

    /// Concat along channels of one activation with constant zeros, or of views of one tensor.
    pub(super) fn concat(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let mut channels = Vec::new();
        let mut base: Option<Activation> = None;
        for index in 0..node.proto.input.len() {
            if let Some(Value::Activation(activation)) = self.optional(node, index)?.cloned() {
                activation.expect_image()?;
                if axis_index(node.int("axis", 1), 4)? != 1 {
                    return Err("joins along another axis than channels".to_owned());
                }
                let strides = |view: &View| (view.row_stride, view.column_stride, view.padding);
                let same = |other: &Activation| {
                    other.tensor == activation.tensor
                        && strides(&other.view) == strides(&activation.view)
                };
                if base.as_ref().is_some_and(|base| !same(base)) {
                    return Err(
                        "joins different activations; only zeros can be joined to one".to_owned(),
                    );
                }
                channels.extend(self.channels(&activation));
                base = Some(activation);
            } else {
                let constant = self.constant(node, index)?;
                let [_, count, ..] = constant.dims[..] else {
                    return Err("joins a constant that is no image".to_owned());
                };
                if constant.len() == 0 || constant.to_reals().iter().any(|value| *value != 0.0) {
                    return Err("joins constants other than zeros".to_owned());
                }
                channels.extend(vec![None; count]);
            }
        }
        let mut activation = base.ok_or("has no activation")?;
        activation.view.channels = Some(channels);
        Ok(self.viewed(activation))
    }
}
