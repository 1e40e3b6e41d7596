//! From checked steps to an integer network, with TFLite's own multipliers.

use std::collections::{HashMap, HashSet};

use ndarray::{Array1, Array4};

use super::error::TfliteError;
use super::file::{File, FileTensor};
use super::geometry::{Budget, arrange, image_shape, weight_scales};
use super::operators::{Activation, element, element_name};
use super::plan::{Step, StepOp};
use super::record::NetworkRecord;
use super::refusal::{Taken, accept, invalid, layer_name, settle, unsupported};
use super::scaling;
use crate::model::float::{ConvolutionKind, Padding, Shape, Window};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Multiplier,
    TensorId, filter_width,
};
use crate::model::unsupported::UnsupportedReport;

/// Scale and zero point of bytes `u`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quantization {
    scale: f32,
    zero_point: i32,
}

struct Lowering<'f, 'a> {
    file: &'f File<'a>,
    tensors: Vec<IntegerTensor>,
    ids: HashMap<usize, TensorId>,
    /// File tensors that hold the same bytes as another, by what they stand for.
    aliases: HashMap<usize, usize>,
    names: HashSet<String>,
    layers: Vec<IntegerLayer>,
    budget: Budget,
    input: usize,
    output: usize,
}

/// Makes the network, or adds to the report what stands against it.
pub(super) fn lower(
    file: &File<'_>,
    steps: &[Step],
    name: &str,
    report: &mut UnsupportedReport,
) -> Result<IntegerNetwork, TfliteError> {
    let mut lowering = Lowering {
        file,
        tensors: Vec::new(),
        ids: HashMap::new(),
        aliases: HashMap::new(),
        names: HashSet::new(),
        layers: Vec::new(),
        budget: Budget::of(file),
        input: file.input,
        output: file.output,
    };
    for step in steps {
        let taken = lowering.step(step);
        settle(file, &file.operators[step.operator], taken, report)?;
    }
    accept(report)?;
    let ends = (
        lowering.tensor(lowering.input),
        lowering.tensor(lowering.output),
    );
    let (Ok(input), Ok(output)) = ends else {
        return Err(TfliteError::invalid(
            "inputs",
            "the network's ends are not quantized to 8 bits",
        ));
    };
    let mut network = IntegerNetwork {
        name: name.to_owned(),
        rounding: crate::model::integer::Rounding::Double,
        tensors: lowering.tensors,
        layers: lowering.layers,
        input,
        output,
        input_transform: crate::model::integer::InputTransform::default(),
    };
    NetworkRecord::apply(file, &mut network)?;
    Ok(network)
}

impl Lowering<'_, '_> {
    fn step(&mut self, step: &Step) -> Taken<()> {
        let op = match step.op {
            StepOp::Convolution { .. } => self.convolution(step)?,
            StepOp::Add { activation } => self.add(step, activation)?,
            StepOp::Constant { product, .. } => {
                let what = if product { "factor" } else { "summand" };
                return unsupported(format!("constant {what} in an integer network"));
            }
            StepOp::AveragePool { window, activation } => {
                let (clamp_low, clamp_high) = self.pool(step, activation)?;
                IntegerOp::AveragePool {
                    window,
                    clamp_low,
                    clamp_high,
                }
            }
            StepOp::MaxPool { window, activation } => {
                let (clamp_low, clamp_high) = self.pool(step, activation)?;
                IntegerOp::MaxPool {
                    window,
                    clamp_low,
                    clamp_high,
                }
            }
            StepOp::GlobalAverage => {
                let shape = self.shape(step.inputs[0])?;
                let (from, to) = self.ends(step)?;
                IntegerOp::GlobalAverage {
                    multiplier: scaling::mean(from.scale, to.scale, shape.height * shape.width),
                }
            }
            StepOp::Reshape => {
                self.same_quantization(step)?;
                IntegerOp::Reshape
            }
            StepOp::Softmax => {
                let to = self.quantization(step.output)?;
                if to
                    != (Quantization {
                        scale: 1.0 / 256.0,
                        zero_point: 0,
                    })
                {
                    return unsupported("softmax whose output is not scaled 1/256 from -128");
                }
                IntegerOp::Softmax
            }
            StepOp::Activation(activation) => {
                let (from, to) = self.ends(step)?;
                self.rescale(
                    step,
                    scaling::standalone_activation(from.scale, to.scale),
                    activation,
                )?
            }
            StepOp::Convert => match self.convert(step)? {
                Some(op) => op,
                None => return Ok(()),
            },
        };
        self.push(step, op)
    }

    fn push(&mut self, step: &Step, op: IntegerOp) -> Taken<()> {
        let inputs = step
            .inputs
            .iter()
            .map(|input| self.tensor(*input))
            .collect::<Taken<_>>()?;
        let output = self.tensor(step.output)?;
        let operator = &self.file.operators[step.operator];
        let mut name = layer_name(self.file, operator);
        if !self.names.insert(name.clone()) {
            name = format!("{name}#{}", step.operator);
            self.names.insert(name.clone());
        }
        self.layers.push(IntegerLayer {
            name,
            op,
            inputs,
            output,
        });
        Ok(())
    }

    fn view(&self, tensor: usize) -> &FileTensor<'_> {
        &self.file.tensors[tensor]
    }

    fn shape(&self, tensor: usize) -> Taken<Shape> {
        image_shape(self.view(tensor)).or_else(unsupported)
    }

    fn quantization(&self, tensor: usize) -> Taken<Quantization> {
        let view = self.view(tensor);
        let offset = match view.element {
            element::INT8 => 128,
            element::UINT8 => 0,
            _ => return unsupported(format!("{} in an integer network", view.describe())),
        };
        if let Some(exotic) = view.exotic {
            return unsupported(format!("{} has {exotic}", view.describe()));
        }
        let ([scale], [zero_point]) = (&view.scale[..], &view.zero_point[..]) else {
            return unsupported(format!(
                "{} is not quantized with one scale and zero point",
                view.describe()
            ));
        };
        let zero_point = i32::try_from(zero_point.saturating_add(offset)).unwrap_or(-1);
        if !(scale.is_normal() && *scale > 0.0 && (0..=255).contains(&zero_point)) {
            return invalid(format!(
                "{} has scale {scale}, zero point {}",
                view.describe(),
                view.zero_point[0]
            ));
        }
        Ok(Quantization {
            scale: *scale,
            zero_point,
        })
    }

    /// The network's tensor for a file's tensor.
    fn tensor(&mut self, tensor: usize) -> Taken<TensorId> {
        let tensor = self.aliases.get(&tensor).copied().unwrap_or(tensor);
        if let Some(id) = self.ids.get(&tensor) {
            return Ok(*id);
        }
        let Quantization { scale, zero_point } = self.quantization(tensor)?;
        let shape = self.shape(tensor)?;
        let id = self.tensors.len();
        self.tensors.push(IntegerTensor {
            name: self.view(tensor).name.clone(),
            shape,
            scale,
            zero_point,
        });
        self.ids.insert(tensor, id);
        Ok(id)
    }

    /// Quantization of a step's first input and of its output.
    fn ends(&self, step: &Step) -> Taken<(Quantization, Quantization)> {
        Ok((
            self.quantization(step.inputs[0])?,
            self.quantization(step.output)?,
        ))
    }

    fn same_quantization(&self, step: &Step) -> Taken<Quantization> {
        let (from, to) = self.ends(step)?;
        if from != to {
            return unsupported(format!(
                "input and output differ in scale or zero point ({} from {}, {} from {})",
                from.scale, from.zero_point, to.scale, to.zero_point
            ));
        }
        Ok(to)
    }

    fn pool(&self, step: &Step, activation: Activation) -> Taken<(u8, u8)> {
        let to = self.same_quantization(step)?;
        Ok(scaling::clamp(activation, to.scale, to.zero_point))
    }

    fn add(&self, step: &Step, activation: Activation) -> Taken<IntegerOp> {
        let first = self.quantization(step.inputs[0])?;
        let second = self.quantization(step.inputs[1])?;
        let to = self.quantization(step.output)?;
        let Some((input, output)) = scaling::add([first.scale, second.scale], to.scale) else {
            return unsupported(format!(
                "output scale {} is far below its inputs'",
                to.scale
            ));
        };
        let (clamp_low, clamp_high) = scaling::clamp(activation, to.scale, to.zero_point);
        Ok(IntegerOp::Add {
            input,
            output,
            clamp_low,
            clamp_high,
        })
    }

    /// QUANTIZE or DEQUANTIZE: nothing at the ends, nothing between equal bytes, else a rescaling.
    fn convert(&mut self, step: &Step) -> Taken<Option<IntegerOp>> {
        let (from, to) = (step.inputs[0], step.output);
        match (self.view(from).element, self.view(to).element) {
            (element::FLOAT32, _) if from == self.input => {
                self.quantization(to)?;
                self.input = to;
                return Ok(None);
            }
            (_, element::FLOAT32) if to == self.output => {
                self.quantization(from)?;
                self.output = from;
                return Ok(None);
            }
            _ => {}
        }
        let (before, after) = self.ends(step)?;
        if before == after {
            let from = self.aliases.get(&from).copied().unwrap_or(from);
            self.aliases.insert(to, from);
            return Ok(None);
        }
        let multiplier = scaling::rescale(before.scale, after.scale);
        self.rescale(step, multiplier, Activation::None).map(Some)
    }

    /// A rescaling is a depthwise 1 x 1 convolution whose weights are all 1: the same arithmetic.
    fn rescale(
        &mut self,
        step: &Step,
        multiplier: Multiplier,
        activation: Activation,
    ) -> Taken<IntegerOp> {
        let channels = self.shape(step.output)?.channels;
        self.budget.take(channels)?;
        let to = self.quantization(step.output)?;
        let (clamp_low, clamp_high) = scaling::clamp(activation, to.scale, to.zero_point);
        Ok(IntegerOp::Convolution(Box::new(IntegerConvolution {
            kind: ConvolutionKind::Depthwise,
            window: Window {
                kernel_height: 1,
                kernel_width: 1,
                stride_height: 1,
                stride_width: 1,
                padding: Padding::default(),
            },
            weights: Array4::ones((channels, 1, 1, 1)),
            bits: vec![1; channels],
            weight_scale: vec![1.0; channels],
            bias: Array1::zeros(channels),
            multiplier: vec![multiplier; channels],
            clamp_low,
            clamp_high,
        })))
    }

    fn convolution(&mut self, step: &Step) -> Taken<IntegerOp> {
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
        let source = self.view(step.inputs[0]).element;
        let view = &self.file.tensors[weights];
        if view.element == element::UINT8 {
            return unsupported(format!(
                "uint8 asymmetric weights `{}` (zero point {}): only int8 weights with zero point 0 are taken; \
                 quantize the float model again with a converter of 2020 or later",
                view.name,
                view.zero_point.first().copied().unwrap_or_default()
            ));
        }
        if (source, view.element) != (element::INT8, element::INT8) {
            return unsupported(format!(
                "{} input with {} weights; INT8 with INT8 is taken",
                element_name(source),
                element_name(view.element)
            ));
        }
        let (from, to) = self.ends(step)?;
        for padded in &step.padded {
            if self.quantization(*padded)? != from {
                return unsupported("PAD before it changes the scale or the zero point");
            }
        }
        // First, so that there are no more filters than bytes.
        let weights = self.weights(weights, kind, weights_shape)?;
        let weight_scale = weight_scales(view, kind, weights_shape[0])?;
        let multiplier = scaling::convolution(
            kind,
            from.scale,
            &weight_scale,
            view.scale.len() > 1,
            to.scale,
        );
        let bias = self.bias(bias, weights_shape[0])?;
        let bits = weights
            .outer_iter()
            .map(|filter| filter_width(filter.iter().copied()))
            .collect();
        let (clamp_low, clamp_high) = scaling::clamp(activation, to.scale, to.zero_point);
        Ok(IntegerOp::Convolution(Box::new(IntegerConvolution {
            kind,
            window,
            weights,
            bits,
            weight_scale,
            bias,
            multiplier,
            clamp_low,
            clamp_high,
        })))
    }

    fn weights(
        &mut self,
        tensor: usize,
        kind: ConvolutionKind,
        shape: [usize; 4],
    ) -> Taken<Array4<i8>> {
        let view = &self.file.tensors[tensor];
        let data = view.data.unwrap_or_default();
        let elements: usize = shape.iter().product();
        if data.len() != elements {
            return invalid(format!(
                "{} has {} bytes for {elements} weights",
                view.describe(),
                data.len()
            ));
        }
        self.budget.take(elements)?;
        let values: Vec<i8> = data.iter().map(|byte| byte.cast_signed()).collect();
        arrange(values, kind, shape)
    }

    fn bias(&self, tensor: Option<usize>, filters: usize) -> Taken<Array1<i32>> {
        let Some(tensor) = tensor else {
            return Ok(Array1::zeros(filters));
        };
        let view = self.view(tensor);
        if view.element != element::INT32 {
            return unsupported(format!("bias {}; INT32 is taken", view.describe()));
        }
        let data = view.data.unwrap_or_default();
        if data.len() != 4 * filters {
            return invalid(format!(
                "{} has {} bytes for {filters} filters",
                view.describe(),
                data.len()
            ));
        }
        Ok(data
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }
}
