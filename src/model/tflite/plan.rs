//! From the file's operators to steps whose shapes are checked: what integer and float reading share.
//!
//! A step names file tensors by index. Constant operands are resolved, `PAD` is folded into the padding
//! of its consumers, and every operator that is not taken is reported.

mod convolution;

use std::collections::HashMap;

use super::error::TfliteError;
use super::file::{File, FileOperator, Options};
use super::geometry::{image_shape, window};
use super::operators::{Activation, code, element, element_name};
use super::refusal::{Taken, invalid, layer_name, settle, unsupported};
use crate::model::float::{ConvolutionKind, Padding, Shape, Window};
use crate::model::unsupported::UnsupportedReport;

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StepOp {
    Convolution {
        kind: ConvolutionKind,
        window: Window,
        /// `[out, row, column, in]` as the network types have it.
        weights_shape: [usize; 4],
        weights: usize,
        bias: Option<usize>,
        activation: Activation,
    },
    Add {
        activation: Activation,
    },
    /// Sum (or product) with a constant tensor.
    Constant {
        constant: usize,
        product: bool,
        activation: Activation,
    },
    AveragePool {
        window: Window,
        activation: Activation,
    },
    MaxPool {
        window: Window,
        activation: Activation,
    },
    GlobalAverage,
    Reshape,
    Softmax,
    Activation(Activation),
    /// QUANTIZE or DEQUANTIZE.
    Convert,
}

/// One operator, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Index of the operator in the file.
    pub(super) operator: usize,
    pub(super) op: StepOp,
    /// Activations that it reads. For a convolution behind `PAD`: what `PAD` reads.
    pub(super) inputs: Vec<usize>,
    /// Outputs of the `PAD` operators that were folded in.
    pub(super) padded: Vec<usize>,
    pub(super) output: usize,
}

/// A folded `PAD`.
#[derive(Clone)]
struct Pad {
    operator: usize,
    source: usize,
    outputs: Vec<usize>,
    padding: Padding,
}

struct Planner<'f, 'a> {
    file: &'f File<'a>,
    pads: HashMap<usize, Pad>,
}

/// Checks all operators, in file order. Operators that are not taken go into the report.
pub(super) fn plan(
    file: &File<'_>,
    report: &mut UnsupportedReport,
) -> Result<Vec<Step>, TfliteError> {
    check_order(file)?;
    let mut planner = Planner {
        file,
        pads: HashMap::new(),
    };
    let mut steps = Vec::new();
    for operator in &file.operators {
        let step = planner.step(operator);
        steps.extend(settle(file, operator, step, report)?.flatten());
    }
    planner.refuse_unfolded_pads(&steps, report);
    Ok(steps)
}

/// Whether any activation that an operator reads or writes holds quantized values.
pub(super) fn is_quantized(file: &File<'_>) -> bool {
    let ends = |operator: &FileOperator| {
        let inputs = operator.inputs.iter().flatten().copied();
        inputs
            .chain(operator.outputs.iter().copied())
            .collect::<Vec<_>>()
    };
    file.operators.iter().flat_map(ends).any(|tensor| {
        let view = &file.tensors[tensor];
        view.data.is_none()
            && matches!(
                view.element,
                element::INT8 | element::UINT8 | element::INT16
            )
    })
}

/// Every activation is written once, before it is read.
fn check_order(file: &File<'_>) -> Result<(), TfliteError> {
    let mut written = vec![false; file.tensors.len()];
    written[file.input] = true;
    for operator in &file.operators {
        let field = || format!("operators[{}]", operator.index);
        for input in operator.inputs.iter().flatten() {
            if file.tensors[*input].data.is_none() && !written[*input] {
                let name = file.tensors[*input].describe();
                return Err(TfliteError::invalid(
                    field(),
                    format!("reads {name} before it is written"),
                ));
            }
        }
        for output in &operator.outputs {
            if std::mem::replace(&mut written[*output], true)
                || file.tensors[*output].data.is_some()
            {
                let name = file.tensors[*output].describe();
                return Err(TfliteError::invalid(
                    field(),
                    format!("writes {name} a second time"),
                ));
            }
        }
    }
    if !written[file.output] {
        let name = file.tensors[file.output].describe();
        return Err(TfliteError::invalid(
            "outputs",
            format!("{name} is never written"),
        ));
    }
    Ok(())
}

fn activation(code: i8) -> Taken<Activation> {
    Activation::from_code(code).or_else(|name| {
        unsupported(format!(
            "fused activation {name}; RELU, RELU6 and RELU_N1_TO_1 are taken"
        ))
    })
}

impl Planner<'_, '_> {
    fn step(&mut self, operator: &FileOperator) -> Taken<Option<Step>> {
        let op = match operator.code {
            code::CONV_2D => return self.convolution(operator).map(Some),
            code::DEPTHWISE_CONV_2D => return self.depthwise(operator).map(Some),
            code::FULLY_CONNECTED => return self.fully_connected(operator).map(Some),
            code::PAD => return self.pad(operator).map(|()| None),
            code::ADD | code::MUL => self.elementwise(operator)?,
            code::AVERAGE_POOL_2D | code::MAX_POOL_2D => self.pool(operator)?,
            code::MEAN => self.mean(operator)?,
            code::RESHAPE | code::SQUEEZE | code::EXPAND_DIMS => self.reshape(operator)?,
            code::SOFTMAX => self.softmax(operator)?,
            code::RELU => self.same_shape(operator, StepOp::Activation(Activation::Relu))?,
            code::RELU6 => self.same_shape(operator, StepOp::Activation(Activation::Relu6))?,
            code::RELU_N1_TO_1 => {
                self.same_shape(operator, StepOp::Activation(Activation::ReluN1To1))?
            }
            code::QUANTIZE | code::DEQUANTIZE => self.convert(operator)?,
            _ => return unsupported("no such operation in the processor"),
        };
        let inputs: Vec<usize> = operator
            .inputs
            .iter()
            .flatten()
            .copied()
            .filter(|input| self.file.tensors[*input].data.is_none())
            .collect();
        let output = self.output(operator)?.0;
        Ok(Some(Step {
            operator: operator.index,
            op,
            inputs,
            padded: Vec::new(),
            output,
        }))
    }

    fn output(&self, operator: &FileOperator) -> Taken<(usize, Shape)> {
        match operator.outputs.as_slice() {
            [output] => Ok((*output, self.shape(*output)?)),
            outputs => invalid(format!("{} outputs instead of 1", outputs.len())),
        }
    }

    fn shape(&self, tensor: usize) -> Taken<Shape> {
        image_shape(&self.file.tensors[tensor]).or_else(unsupported)
    }

    /// An activation operand.
    fn input(&self, operator: &FileOperator, position: usize) -> Taken<usize> {
        let Some(input) = operator.inputs.get(position).copied().flatten() else {
            return invalid(format!("input {position} is missing"));
        };
        if self.file.tensors[input].data.is_some() {
            return unsupported(format!(
                "its input {} is a constant",
                self.file.tensors[input].describe()
            ));
        }
        Ok(input)
    }

    /// A constant operand.
    fn constant(&self, operator: &FileOperator, position: usize, what: &str) -> Taken<usize> {
        let Some(input) = operator.inputs.get(position).copied().flatten() else {
            return invalid(format!("its {what} (input {position}) is missing"));
        };
        if self.file.tensors[input].data.is_none() {
            return unsupported(format!(
                "its {what}, {}, is not a constant",
                self.file.tensors[input].describe()
            ));
        }
        Ok(input)
    }

    /// Values of a small constant of 32-bit integers.
    fn integers(&self, tensor: usize, what: &str) -> Taken<Vec<i32>> {
        let view = &self.file.tensors[tensor];
        if view.element != element::INT32 {
            return unsupported(format!(
                "{what} of type {}; INT32 is taken",
                element_name(view.element)
            ));
        }
        let data = view.data.unwrap_or_default();
        if data.len() > 64 || !data.len().is_multiple_of(4) {
            return invalid(format!("{what} has {} bytes", data.len()));
        }
        Ok(data
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }

    /// What a sliding operator reads, through any folded `PAD`.
    fn through_pads(&self, input: usize) -> (usize, Padding, Vec<usize>) {
        self.pads.get(&input).map_or_else(
            || (input, Padding::default(), Vec::new()),
            |pad| (pad.source, pad.padding, pad.outputs.clone()),
        )
    }

    fn expect_output(&self, operator: &FileOperator, expected: Shape) -> Taken<usize> {
        let (output, declared) = self.output(operator)?;
        if declared != expected {
            return invalid(format!(
                "output declared as {declared:?}, computed as {expected:?}"
            ));
        }
        Ok(output)
    }

    fn pad(&mut self, operator: &FileOperator) -> Taken<()> {
        let input = self.input(operator, 0)?;
        let (source, mut padding, mut outputs) = self.through_pads(input);
        let amounts = self.constant(operator, 1, "paddings")?;
        let amounts = self.integers(amounts, "paddings")?;
        let shape = self.shape(source)?;
        let small = |n: i32| usize::try_from(n).ok().filter(|n| *n <= 4096);
        let ([0, 0, top, bottom, left, right, 0, 0], 4) =
            (&amounts[..], self.file.tensors[input].shape.len())
        else {
            return unsupported(format!(
                "paddings {amounts:?}; rows and columns of an image are padded"
            ));
        };
        let (Some(top), Some(bottom), Some(left), Some(right)) =
            (small(*top), small(*bottom), small(*left), small(*right))
        else {
            return invalid(format!("paddings {amounts:?} are not in 0..=4096"));
        };
        padding.top += top;
        padding.bottom += bottom;
        padding.left += left;
        padding.right += right;
        let output = self.expect_output(
            operator,
            Shape {
                height: shape.height + padding.top + padding.bottom,
                width: shape.width + padding.left + padding.right,
                channels: shape.channels,
            },
        )?;
        outputs.push(output);
        self.pads.insert(
            output,
            Pad {
                operator: operator.index,
                source,
                outputs,
                padding,
            },
        );
        Ok(())
    }

    /// `PAD` exists only as the padding of convolutions: report those that something else reads.
    fn refuse_unfolded_pads(&self, steps: &[Step], report: &mut UnsupportedReport) {
        for (output, pad) in &self.pads {
            let reader = steps.iter().find(|step| step.inputs.contains(output));
            let reason = match reader {
                Some(step) => {
                    let reader = &self.file.operators[step.operator];
                    format!(
                        "{} `{}` reads it; only convolutions pad",
                        reader.name,
                        layer_name(self.file, reader)
                    )
                }
                None if *output == self.file.output => "it is the network's output".to_owned(),
                None => continue,
            };
            let operator = &self.file.operators[pad.operator];
            report.push(
                &operator.name,
                operator.index,
                layer_name(self.file, operator),
                reason,
            );
        }
    }

    fn elementwise(&self, operator: &FileOperator) -> Taken<StepOp> {
        let Options::Elementwise { activation: code } = operator.options else {
            return invalid("its options are missing");
        };
        let activation = activation(code)?;
        let [Some(first), Some(second)] = operator.inputs[..] else {
            return invalid(format!("{} inputs instead of 2", operator.inputs.len()));
        };
        let (_, output) = self.output(operator)?;
        let constant = |tensor: usize| self.file.tensors[tensor].data.is_some();
        let (image, constant) = match (constant(first), constant(second)) {
            (false, true) => (first, second),
            (true, false) => (second, first),
            (true, true) => return unsupported("both operands are constants"),
            (false, false) if operator.code == code::MUL => {
                return unsupported("product of two activations; a constant factor is taken");
            }
            (false, false) => {
                if self.shape(first)? != output || self.shape(second)? != output {
                    return unsupported("operands of different shapes");
                }
                return Ok(StepOp::Add { activation });
            }
        };
        if self.shape(image)? != output {
            return unsupported("the constant operand widens the activation");
        }
        Ok(StepOp::Constant {
            constant,
            product: operator.code == code::MUL,
            activation,
        })
    }

    fn pool(&self, operator: &FileOperator) -> Taken<StepOp> {
        let Options::Pool2D {
            padding,
            stride,
            kernel,
            activation: code,
        } = operator.options
        else {
            return invalid("its Pool2DOptions are missing");
        };
        let shape = self.shape(self.input(operator, 0)?)?;
        let positive = |n: i32| usize::try_from(n).ok().filter(|n| (1..=4096).contains(n));
        let (Some(rows), Some(columns)) = (positive(kernel[0]), positive(kernel[1])) else {
            return invalid(format!("kernel {kernel:?} is not in 1..=4096"));
        };
        let (window, height, width) =
            window(shape, [rows, columns], stride, padding, Padding::default())?;
        self.expect_output(
            operator,
            Shape {
                height,
                width,
                channels: shape.channels,
            },
        )?;
        let activation = activation(code)?;
        Ok(match operator.code {
            code::MAX_POOL_2D => StepOp::MaxPool { window, activation },
            _ => StepOp::AveragePool { window, activation },
        })
    }

    fn mean(&self, operator: &FileOperator) -> Taken<StepOp> {
        let input = self.input(operator, 0)?;
        let axes = self.constant(operator, 1, "axes")?;
        let mut axes = self.integers(axes, "axes")?;
        let rank = self.file.tensors[input].shape.len();
        for axis in &mut axes {
            if *axis < 0 {
                *axis = axis.saturating_add(i32::try_from(rank).unwrap_or(i32::MAX));
            }
        }
        axes.sort_unstable();
        if rank != 4 || axes != [1, 2] {
            return unsupported(format!(
                "mean over axes {axes:?} of {rank}; rows and columns (1, 2) of 4 are taken"
            ));
        }
        let channels = self.shape(input)?.channels;
        self.expect_output(
            operator,
            Shape {
                height: 1,
                width: 1,
                channels,
            },
        )?;
        Ok(StepOp::GlobalAverage)
    }

    fn reshape(&self, operator: &FileOperator) -> Taken<StepOp> {
        let from = self.shape(self.input(operator, 0)?)?;
        let (_, to) = self.output(operator)?;
        if from.elements() != to.elements() {
            return invalid(format!("{from:?} to {to:?}: another number of elements"));
        }
        Ok(StepOp::Reshape)
    }

    fn softmax(&self, operator: &FileOperator) -> Taken<StepOp> {
        match operator.options {
            Options::Softmax { beta: 1.0 } => {}
            Options::Softmax { beta } => return unsupported(format!("beta {beta}; 1 is taken")),
            _ => return invalid("its SoftmaxOptions are missing"),
        }
        let shape = self.shape(self.input(operator, 0)?)?;
        if (shape.height, shape.width) != (1, 1) {
            return unsupported(format!(
                "softmax at every pixel of {shape:?}; one vector is taken"
            ));
        }
        self.same_shape(operator, StepOp::Softmax)
    }

    fn convert(&self, operator: &FileOperator) -> Taken<StepOp> {
        self.input(operator, 0)?;
        self.same_shape(operator, StepOp::Convert)
    }

    fn same_shape(&self, operator: &FileOperator, op: StepOp) -> Taken<StepOp> {
        let shape = self.shape(self.input(operator, 0)?)?;
        self.expect_output(operator, shape)?;
        Ok(op)
    }
}
