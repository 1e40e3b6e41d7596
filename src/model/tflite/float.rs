//! From checked steps to a float network.

use std::collections::{HashMap, HashSet};

use ndarray::{Array1, Array4, Axis};

use super::error::TfliteError;
use super::file::{File, FileTensor};
use super::geometry::{Budget, arrange, image_shape, weight_scales};
use super::operators::{Activation, element, element_name};
use super::plan::{Step, StepOp};
use super::refusal::{Taken, accept, invalid, layer_name, settle, unsupported};
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, FloatTensor, InputTransform,
    Padding, Shape, TensorId, Window,
};
use crate::model::unsupported::UnsupportedReport;

/// A layer whose activations are still the file's tensors.
struct Draft {
    name: String,
    op: FloatOp,
    inputs: Vec<usize>,
    output: usize,
}

struct Lowering<'f, 'a> {
    file: &'f File<'a>,
    drafts: Vec<Draft>,
    names: HashSet<String>,
    /// How often each tensor is read; the network's output counts as read.
    reads: HashMap<usize, usize>,
    budget: Budget,
}

/// Makes the network, or adds to the report what stands against it.
pub(super) fn lower(
    file: &File<'_>,
    steps: &[Step],
    name: &str,
    report: &mut UnsupportedReport,
) -> Result<FloatNetwork, TfliteError> {
    let mut reads = HashMap::from([(file.output, 1)]);
    for input in steps.iter().flat_map(|step| &step.inputs) {
        *reads.entry(*input).or_insert(0) += 1;
    }
    let mut lowering = Lowering {
        file,
        drafts: Vec::new(),
        names: HashSet::new(),
        reads,
        budget: Budget::of(file),
    };
    for step in steps {
        let taken = lowering.step(step);
        settle(file, &file.operators[step.operator], taken, report)?;
    }
    accept(report)?;
    finish(file, lowering.drafts, name)
}

fn finish(file: &File<'_>, drafts: Vec<Draft>, name: &str) -> Result<FloatNetwork, TfliteError> {
    let mut tensors = Vec::new();
    let mut ids: HashMap<usize, TensorId> = HashMap::new();
    let mut id = |tensor: usize| -> Result<TensorId, TfliteError> {
        if let Some(id) = ids.get(&tensor) {
            return Ok(*id);
        }
        let view = &file.tensors[tensor];
        let shape = image_shape(view)
            .map_err(|reason| TfliteError::invalid(format!("tensors[{tensor}]"), reason))?;
        tensors.push(FloatTensor {
            name: view.name.clone(),
            shape,
        });
        ids.insert(tensor, tensors.len() - 1);
        Ok(tensors.len() - 1)
    };
    let input = id(file.input)?;
    let mut layers = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let inputs = draft
            .inputs
            .iter()
            .map(|input| id(*input))
            .collect::<Result<_, _>>()?;
        layers.push(FloatLayer {
            name: draft.name,
            op: draft.op,
            inputs,
            output: id(draft.output)?,
        });
    }
    let output = id(file.output)?;
    Ok(FloatNetwork {
        name: name.to_owned(),
        tensors,
        layers,
        input,
        output,
        input_transform: InputTransform::default(),
        input_steps: None,
    })
}

fn clamp(activation: Activation) -> Clamp {
    let (low, high) = activation.bounds();
    Clamp { low, high }
}

/// `second` after `first`.
fn compose(first: Clamp, second: Clamp) -> Clamp {
    let bound = |value: f32| value.max(second.low).min(second.high);
    Clamp {
        low: bound(first.low),
        high: bound(first.high),
    }
}

impl Lowering<'_, '_> {
    fn step(&mut self, step: &Step) -> Taken<()> {
        for tensor in step.inputs.iter().chain(&step.padded).chain([&step.output]) {
            let view = self.view(*tensor);
            if view.element != element::FLOAT32 {
                return unsupported(format!("{} in a float network", view.describe()));
            }
        }
        let unclamped = |activation: Activation| match activation {
            Activation::None => Ok(()),
            _ => unsupported("an activation fused behind pooling"),
        };
        let op = match step.op {
            StepOp::Convolution { .. } => self.convolution(step)?,
            StepOp::Add { activation } => FloatOp::Add {
                clamp: clamp(activation),
            },
            StepOp::Constant {
                constant,
                product,
                activation,
            } => {
                return self.constant(step, constant, product, activation);
            }
            StepOp::AveragePool { window, activation } => {
                unclamped(activation)?;
                FloatOp::AveragePool { window }
            }
            StepOp::MaxPool { window, activation } => {
                unclamped(activation)?;
                FloatOp::MaxPool { window }
            }
            StepOp::GlobalAverage => FloatOp::GlobalAverage,
            StepOp::Reshape => FloatOp::Reshape,
            StepOp::Softmax => FloatOp::Softmax,
            StepOp::Activation(activation) => return self.activation(step, activation),
            StepOp::Convert => return unsupported("quantization inside a float network"),
        };
        self.push(step, op);
        Ok(())
    }

    fn push(&mut self, step: &Step, op: FloatOp) {
        let mut name = layer_name(self.file, &self.file.operators[step.operator]);
        if !self.names.insert(name.clone()) {
            name = format!("{name}#{}", step.operator);
            self.names.insert(name.clone());
        }
        self.drafts.push(Draft {
            name,
            op,
            inputs: step.inputs.clone(),
            output: step.output,
        });
    }

    fn view(&self, tensor: usize) -> &FileTensor<'_> {
        &self.file.tensors[tensor]
    }

    fn convolution(&mut self, step: &Step) -> Taken<FloatOp> {
        let StepOp::Convolution {
            kind,
            window,
            weights_shape,
            weights,
            bias,
            activation,
        } = step.op
        else {
            return invalid("not a convolution");
        };
        let elements: usize = weights_shape.iter().product();
        self.budget.take(elements)?;
        let weights = arrange(
            self.weights(weights, kind, weights_shape)?,
            kind,
            weights_shape,
        )?;
        let bias = match bias {
            Some(bias) => Array1::from_vec(self.floats(bias, weights_shape[0])?),
            None => Array1::zeros(weights_shape[0]),
        };
        Ok(FloatOp::Convolution {
            kind,
            window,
            weights,
            bias,
            clamp: clamp(activation),
        })
    }

    /// Weights in the file's order. Int8 ones (of dynamic-range quantization: float activations, integer
    /// weights) are taken as the real numbers they stand for.
    fn weights(&self, tensor: usize, kind: ConvolutionKind, shape: [usize; 4]) -> Taken<Vec<f32>> {
        let view = self.view(tensor);
        let elements: usize = shape.iter().product();
        if view.element != element::INT8 {
            return self.floats(tensor, elements);
        }
        let data = view.data.unwrap_or_default();
        if data.len() != elements {
            return invalid(format!(
                "{} has {} bytes for {elements} weights",
                view.describe(),
                data.len()
            ));
        }
        let scale = weight_scales(view, kind, shape[0])?;
        let (filters, weights_per_filter) = (shape[0], elements / shape[0]);
        // Depthwise weights lie with the filter innermost, others with it outermost.
        let filter = |index: usize| match kind {
            ConvolutionKind::Depthwise => index % filters,
            _ => index / weights_per_filter,
        };
        let real =
            |(index, byte): (usize, &u8)| f32::from(byte.cast_signed()) * scale[filter(index)];
        Ok(data.iter().enumerate().map(real).collect())
    }

    /// The values of a constant, all of them finite.
    fn floats(&self, tensor: usize, count: usize) -> Taken<Vec<f32>> {
        let view = self.view(tensor);
        if view.element != element::FLOAT32 {
            return unsupported(format!(
                "{} constant `{}` under float activations; FLOAT32 is taken",
                element_name(view.element),
                view.name
            ));
        }
        if let Some(exotic) = view.exotic {
            return unsupported(format!("{} has {exotic}", view.describe()));
        }
        let data = view.data.unwrap_or_default();
        if Some(data.len()) != count.checked_mul(4) {
            return invalid(format!(
                "{} has {} bytes for {count} values",
                view.describe(),
                data.len()
            ));
        }
        let values: Vec<f32> = data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        if values.iter().any(|value| !value.is_finite()) {
            return invalid(format!(
                "{} holds values that are not numbers",
                view.describe()
            ));
        }
        Ok(values)
    }

    /// The layer that writes a tensor which nothing but this step reads.
    fn producer(&mut self, tensor: usize) -> Option<&mut Draft> {
        if self.reads.get(&tensor) != Some(&1) || self.file.output == tensor {
            return None;
        }
        self.drafts
            .iter_mut()
            .rev()
            .find(|draft| draft.output == tensor)
    }

    /// A clamp that stands alone: folded into what precedes it, else a convolution that only clamps.
    fn activation(&mut self, step: &Step, activation: Activation) -> Taken<()> {
        if let Some(draft) = self.producer(step.inputs[0])
            && let FloatOp::Convolution { clamp: own, .. } | FloatOp::Add { clamp: own } =
                &mut draft.op
        {
            *own = compose(*own, clamp(activation));
            draft.output = step.output;
            return Ok(());
        }
        let channels = self.shape(step.output)?.channels;
        self.budget.take(channels)?;
        let op = pointwise(vec![1.0; channels], vec![0.0; channels], activation);
        self.push(step, op);
        Ok(())
    }

    /// A constant factor or summand: folded into the convolution before it, else a convolution of its own.
    fn constant(
        &mut self,
        step: &Step,
        constant: usize,
        product: bool,
        activation: Activation,
    ) -> Taken<()> {
        let channels = self.shape(step.output)?.channels;
        self.budget.take(channels)?;
        let values = self.channel_values(constant, channels)?;
        if let Some(draft) = self.producer(step.inputs[0])
            && let FloatOp::Convolution {
                weights,
                bias,
                clamp: own @ Clamp::NONE,
                ..
            } = &mut draft.op
        {
            for (filter, value) in values.iter().enumerate() {
                if product {
                    weights
                        .index_axis_mut(Axis(0), filter)
                        .mapv_inplace(|weight| weight * value);
                    bias[filter] *= value;
                } else {
                    bias[filter] += value;
                }
            }
            *own = clamp(activation);
            draft.output = step.output;
            return Ok(());
        }
        let op = if product {
            pointwise(values, vec![0.0; channels], activation)
        } else {
            pointwise(vec![1.0; channels], values, activation)
        };
        self.push(step, op);
        Ok(())
    }

    /// A constant operand as one value a channel.
    fn channel_values(&self, constant: usize, channels: usize) -> Taken<Vec<f32>> {
        let view = self.view(constant);
        let elements = view
            .shape
            .iter()
            .try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?));
        let last = view.shape.last().and_then(|d| usize::try_from(*d).ok());
        match elements {
            Some(1) => Ok(vec![self.floats(constant, 1)?[0]; channels]),
            Some(n) if n == channels && last == Some(channels) => self.floats(constant, channels),
            _ => unsupported(format!(
                "constant operand of shape {:?}; one value, or one a channel ({channels}) is taken",
                view.shape
            )),
        }
    }

    fn shape(&self, tensor: usize) -> Taken<Shape> {
        image_shape(self.view(tensor)).or_else(unsupported)
    }
}

/// One weight and one bias a channel.
fn pointwise(weights: Vec<f32>, bias: Vec<f32>, activation: Activation) -> FloatOp {
    let window = Window {
        kernel_height: 1,
        kernel_width: 1,
        stride_height: 1,
        stride_width: 1,
        padding: Padding::default(),
    };
    let weights = Array1::from_vec(weights);
    let channels = weights.len();
    FloatOp::Convolution {
        kind: ConvolutionKind::Depthwise,
        window,
        weights: Array4::from_shape_fn((channels, 1, 1, 1), |(channel, _, _, _)| weights[channel]),
        bias: Array1::from_vec(bias),
        clamp: clamp(activation),
    }
}
