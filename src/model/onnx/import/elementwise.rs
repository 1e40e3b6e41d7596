//! Arithmetic by elements: sums of activations become additions, everything that scales and shifts channels by
//! constants becomes a depthwise 1 x 1 convolution, which the simplifier folds into its neighbours.

use super::{Activation, Axis, Clamp, Constant, FloatOp, Importer, Node, Value, pointwise};

impl<'m> Importer<'m> {
    /// `clamp(scale[c] * x + offset[c])` on input `index`.
    fn affine(
        &mut self,
        node: &Node<'m>,
        index: usize,
        scale: Vec<f32>,
        offset: Vec<f32>,
        clamp: Clamp,
    ) -> Result<Value, String> {
        let activation = self.whole(node, index)?;
        let op = self.per_channel(pointwise(1, 1), scale, offset, clamp)?;
        let tensor = self.emit_node(node, op, &[activation.tensor], activation.shape)?;
        Ok(Value::Activation(activation.with_tensor(tensor)))
    }

    /// Relu and Clip.
    pub(super) fn clamp(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let clamp = if node.proto.op_type == "Relu" {
            Clamp::RELU
        } else {
            let bound = |index: usize, name: &str, default: f32| match self
                .optional_constant(node, index)?
            {
                Some(constant) => constant.scalar(),
                None => Ok(node.float(name, default)),
            };
            Clamp {
                low: bound(1, "min", f32::NEG_INFINITY)?,
                high: bound(2, "max", f32::INFINITY)?,
            }
        };
        if clamp.low.is_nan() || clamp.high.is_nan() {
            return Err("a bound is not a number".to_owned());
        }
        let channels = self.activation(node, 0)?.shape.channels;
        self.affine(node, 0, vec![1.0; channels], vec![0.0; channels], clamp)
    }

    /// Neg.
    pub(super) fn negative(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let channels = self.activation(node, 0)?.shape.channels;
        self.affine(
            node,
            0,
            vec![-1.0; channels],
            vec![0.0; channels],
            Clamp::NONE,
        )
    }

    /// BatchNormalization at inference.
    pub(super) fn batch_normalization(&mut self, node: &Node<'m>) -> Result<Value, String> {
        if node.int("training_mode", 0) != 0 {
            return Err("is in training mode; export the network for inference".to_owned());
        }
        let activation = self.activation(node, 0)?;
        let channels = activation.shape.channels;
        if channels > 1
            && activation
                .dims
                .get(1)
                .is_none_or(|group| *group != [Axis::Channel])
        {
            return Err(format!(
                "needs channels along dimension 1, got {}",
                activation.describe()
            ));
        }
        let mut values = Vec::with_capacity(4);
        for index in 1..5 {
            let constant = self.constant(node, index)?;
            if constant.len() != channels {
                return Err(format!(
                    "input {index} has {} values for {channels} channels",
                    constant.len()
                ));
            }
            values.push(constant.to_reals());
        }
        let [gamma, beta, mean, variance] = &values[..] else {
            return Err("needs five inputs".to_owned());
        };
        let epsilon = f64::from(node.float("epsilon", 1e-5));
        let (mut scale, mut offset) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let factor =
                f64::from(gamma[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
            let shift = f64::from(beta[channel]) - f64::from(mean[channel]) * factor;
            #[allow(clippy::cast_possible_truncation)]
            {
                scale.push(factor as f32);
                offset.push(shift as f32);
            }
        }
        self.affine(node, 0, scale, offset, Clamp::NONE)
    }

    /// Add, Sub, Mul, Div with a constant, and Add, Sub, Sum of activations.
    pub(super) fn arithmetic(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let operator = node.proto.op_type.as_str();
        match node.proto.input.len() {
            1 if operator == "Sum" => return Ok(Value::Activation(self.activation(node, 0)?)),
            2 => {}
            count => return Err(format!("of {count} inputs: only two are supported")),
        }
        let constants = (self.constant(node, 0), self.constant(node, 1));
        let (index, constant) = match constants {
            (Err(_), Err(_)) => return self.add(node, 0, 1),
            (Err(_), Ok(constant)) => (0, constant),
            (Ok(constant), _) => (1, constant),
        };
        let activation = self.activation(node, index)?;
        let values = by_channel(&constant, &activation)?;
        let channels = activation.shape.channels;
        let (scale, offset) = match (operator, index) {
            ("Add" | "Sum", _) => (vec![1.0; channels], values),
            ("Sub", 0) => (
                vec![1.0; channels],
                values.iter().map(|value| -value).collect(),
            ),
            ("Sub", _) => (vec![-1.0; channels], values),
            ("Mul", _) => (values, vec![0.0; channels]),
            ("Div", 0) => (
                values.iter().map(|value| 1.0 / value).collect(),
                vec![0.0; channels],
            ),
            _ => return Err("divides by an activation".to_owned()),
        };
        self.affine(node, index, scale, offset, Clamp::NONE)
    }

    /// Sum (or difference) of two activations, inputs `left` and `right`.
    pub(super) fn add(
        &mut self,
        node: &Node<'m>,
        left: usize,
        right: usize,
    ) -> Result<Value, String> {
        let operator = node.proto.op_type.as_str();
        if !matches!(operator, "Add" | "Sum" | "Sub" | "QLinearAdd") {
            return Err("of two activations has no counterpart in the processor".to_owned());
        }
        let (first, second) = (self.whole(node, left)?, self.whole(node, right)?);
        if first.dims != second.dims || first.shape != second.shape {
            let (first, second) = (first.sizes(), second.sizes());
            return Err(format!(
                "of activations of shapes {first:?} and {second:?}: only equal shapes"
            ));
        }
        let mut other = second.tensor;
        if operator == "Sub" {
            let channels = second.shape.channels;
            let op = self.per_channel(
                pointwise(1, 1),
                vec![-1.0; channels],
                vec![0.0; channels],
                Clamp::NONE,
            )?;
            other = self.emit(node.label(), ".negative", op, &[other], second.shape)?;
        }
        let op = FloatOp::Add { clamp: Clamp::NONE };
        let tensor = self.emit_node(node, op, &[first.tensor, other], first.shape)?;
        Ok(Value::Activation(first.with_tensor(tensor)))
    }

    /// LeakyRelu and PRelu with a slope s in (0, 1]: with z = s x, it is z + max((1 - s) / s z, 0). The
    /// multiplication by s folds into the layer before.
    pub(super) fn leaky(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        let (shape, channels) = (activation.shape, activation.shape.channels);
        let slope = match node.proto.op_type.as_str() {
            "PRelu" => by_channel(&*self.constant(node, 1)?, &activation)?,
            _ => vec![node.float("alpha", 0.01); channels],
        };
        if slope.iter().all(|slope| *slope == 0.0) {
            return self.affine(
                node,
                0,
                vec![1.0; channels],
                vec![0.0; channels],
                Clamp::RELU,
            );
        }
        if let Some(slope) = slope
            .iter()
            .find(|slope| !(**slope > 0.0 && **slope <= 1.0))
        {
            return Err(format!(
                "slope {slope}: only slopes in (0, 1] are supported"
            ));
        }
        let rest = slope.iter().map(|slope| (1.0 - slope) / slope).collect();
        let zero = vec![0.0; channels];
        let op = self.per_channel(pointwise(1, 1), slope, zero.clone(), Clamp::NONE)?;
        let small = self.emit(node.label(), ".slope", op, &[activation.tensor], shape)?;
        let op = self.per_channel(pointwise(1, 1), rest, zero, Clamp::RELU)?;
        let positive = self.emit(node.label(), ".positive", op, &[small], shape)?;
        let op = FloatOp::Add { clamp: Clamp::NONE };
        let tensor = self.emit_node(node, op, &[small, positive], shape)?;
        Ok(Value::Activation(activation.with_tensor(tensor)))
    }

    /// Softmax over all the channels of a vector.
    pub(super) fn softmax(&mut self, node: &Node<'m>) -> Result<Value, String> {
        let activation = self.whole(node, 0)?;
        let rank = activation.dims.len();
        let old = self.version < 13;
        let axis = crate::model::onnx::graph::axis_index(
            node.int("axis", if old { 1 } else { -1 }),
            rank,
        )?;
        // Before operator set 13 all axes from the given one on are flattened.
        let end = if old { rank } else { axis + 1 };
        let over: Vec<Axis> = activation.dims[axis..end]
            .iter()
            .flatten()
            .copied()
            .collect();
        let vector = activation.shape.height == 1 && activation.shape.width == 1;
        if !vector || (over != [Axis::Channel] && activation.shape.channels > 1) {
            return Err(format!(
                "over axis {axis} of {}: only over channels",
                activation.describe()
            ));
        }
        let tensor = self.emit_node(
            node,
            FloatOp::Softmax,
            &[activation.tensor],
            activation.shape,
        )?;
        Ok(Value::Activation(activation.with_tensor(tensor)))
    }
}

/// A constant that is broadcast to an activation, as one value a channel.
fn by_channel(constant: &Constant, activation: &Activation) -> Result<Vec<f32>, String> {
    let channels = activation.shape.channels;
    let values = constant.to_reals();
    if let [value] = values[..] {
        return Ok(vec![value; channels]);
    }
    let rank = activation.dims.len();
    let extra = constant.dims.len().saturating_sub(rank);
    if constant.dims.len() > rank && constant.dims[..extra].iter().any(|size| *size != 1) {
        return Err(format!(
            "a constant of shape {:?} enlarges the activation",
            constant.dims
        ));
    }
    let offset = rank - (constant.dims.len() - extra);
    for (index, size) in constant.dims[extra..].iter().enumerate() {
        let group = &activation.dims[offset + index];
        if *size != 1 && (*group != [Axis::Channel] || *size != channels) {
            let (dims, layout) = (&constant.dims, activation.describe());
            return Err(format!(
                "a constant of shape {dims:?} with {layout}: only one value a channel"
            ));
        }
    }
    if values.len() == channels {
        Ok(values)
    } else {
        Err("an empty constant".to_owned())
    }
}
