//! What a network must satisfy before it is run, and its layers made ready.

use super::add::Addition;
use super::convolution::{Convolution, Surroundings};
use super::error::GoldenError;
use super::network::{Operation, Step};
use super::pool::{GlobalAverage, Pool, PoolKind, covered};
use super::softmax::Softmax;
use crate::model::integer::{
    ConvolutionKind, IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor,
    Multiplier, Shape, TensorId, Window,
};

/// Checks a network and prepares its layers.
pub(super) fn steps(network: &IntegerNetwork) -> Result<Vec<Step>, GoldenError> {
    let known = |place: String, tensor: TensorId| {
        let tensors = network.tensors.len();
        if tensor < tensors {
            Ok(())
        } else {
            Err(GoldenError::UnknownTensor {
                place,
                tensor,
                tensors,
            })
        }
    };
    known("the network's input".into(), network.input)?;
    known("the network's output".into(), network.output)?;
    for tensor in &network.tensors {
        if !(0..=255).contains(&tensor.zero_point) {
            let (tensor, zero_point) = (tensor.name.clone(), tensor.zero_point);
            return Err(GoldenError::ZeroPoint { tensor, zero_point });
        }
    }
    let name = |tensor: TensorId| network.tensors[tensor].name.clone();
    let mut written = vec![false; network.tensors.len()];
    written[network.input] = true;
    let mut steps = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let place = || format!("layer {:?}", layer.name);
        for &input in &layer.inputs {
            known(place(), input)?;
            if !written[input] {
                return Err(GoldenError::NotYetWritten {
                    place: place(),
                    tensor: name(input),
                });
            }
        }
        known(place(), layer.output)?;
        if std::mem::replace(&mut written[layer.output], true) {
            let (layer, tensor) = (layer.name.clone(), name(layer.output));
            return Err(GoldenError::WrittenTwice { layer, tensor });
        }
        let operation = LayerCheck::new(network, layer)?.operation()?;
        steps.push(Step {
            operation,
            inputs: layer.inputs.clone(),
            output: layer.output,
        });
    }
    if !written[network.output] {
        let place = "the network's output".into();
        return Err(GoldenError::NotYetWritten {
            place,
            tensor: name(network.output),
        });
    }
    Ok(steps)
}

/// One layer under examination; its tensors are known to exist.
struct LayerCheck<'a> {
    network: &'a IntegerNetwork,
    layer: &'a IntegerLayer,
    input: &'a IntegerTensor,
    output: &'a IntegerTensor,
}

/// `[height, width, channels]` of a shape, for messages.
fn sizes(shape: Shape) -> Vec<usize> {
    vec![shape.height, shape.width, shape.channels]
}

impl<'a> LayerCheck<'a> {
    fn new(network: &'a IntegerNetwork, layer: &'a IntegerLayer) -> Result<Self, GoldenError> {
        let expected = if matches!(layer.op, IntegerOp::Add { .. }) {
            2
        } else {
            1
        };
        let [first, ..] = layer.inputs[..] else {
            return Err(GoldenError::InputCount {
                layer: layer.name.clone(),
                expected,
                found: 0,
            });
        };
        if layer.inputs.len() != expected {
            let found = layer.inputs.len();
            return Err(GoldenError::InputCount {
                layer: layer.name.clone(),
                expected,
                found,
            });
        }
        let (input, output) = (&network.tensors[first], &network.tensors[layer.output]);
        Ok(Self {
            network,
            layer,
            input,
            output,
        })
    }

    fn name(&self) -> String {
        self.layer.name.clone()
    }

    fn operation(&self) -> Result<Operation, GoldenError> {
        let rounding = self.network.rounding;
        let same = |what| self.equal(what, sizes(self.input.shape), sizes(self.output.shape));
        match self.layer.op {
            IntegerOp::Convolution(ref convolution) => {
                self.convolution(convolution)?;
                let around = Surroundings {
                    input: self.input.shape,
                    input_zero_point: self.input.zero_point,
                    output: self.output.shape,
                    output_zero_point: self.output.zero_point,
                    rounding,
                };
                Ok(Operation::Convolution(Box::new(Convolution::new(
                    convolution,
                    around,
                ))))
            }
            IntegerOp::Add {
                input,
                output,
                clamp_low: low,
                clamp_high: high,
            } => {
                let second = &self.network.tensors[self.layer.inputs[1]];
                self.equal("second input", sizes(self.input.shape), sizes(second.shape))?;
                same("output")?;
                self.clamp(low, high)?;
                for multiplier in input {
                    self.multiplier(multiplier, 255 << 20, 0)?;
                }
                let scaled: f64 = input.iter().map(|multiplier| multiplier.to_real()).sum();
                // At most 255 * 2^20 * 2^31 each.
                #[allow(clippy::cast_possible_truncation)]
                let bound = (scaled * f64::from(255 << 20)).ceil() as i64 + 2;
                self.multiplier(output, bound, 0)?;
                Ok(Operation::Add(Addition {
                    input_zero_point: [self.input.zero_point, second.zero_point],
                    input,
                    output_zero_point: self.output.zero_point,
                    output,
                    low,
                    high,
                    rounding,
                }))
            }
            IntegerOp::AveragePool {
                window,
                clamp_low,
                clamp_high,
            } => self.pool(PoolKind::Average, window, clamp_low, clamp_high),
            IntegerOp::MaxPool {
                window,
                clamp_low,
                clamp_high,
            } => self.pool(PoolKind::Maximum, window, clamp_low, clamp_high),
            IntegerOp::GlobalAverage { multiplier } => {
                let shape = self.input.shape;
                self.equal(
                    "output",
                    vec![1, 1, shape.channels],
                    sizes(self.output.shape),
                )?;
                self.multiplier(
                    multiplier,
                    wide(shape.height * shape.width).saturating_mul(255),
                    0,
                )?;
                Ok(Operation::GlobalAverage(GlobalAverage {
                    input_zero_point: self.input.zero_point,
                    output_zero_point: self.output.zero_point,
                    multiplier,
                    rounding,
                }))
            }
            IntegerOp::Reshape => {
                let (from, to) = (self.input.shape, self.output.shape);
                if from.elements() != to.elements() {
                    self.equal("output", sizes(from), sizes(to))?;
                }
                Ok(Operation::Reshape(to))
            }
            IntegerOp::Softmax => {
                same("output")?;
                let scale = self.input.scale;
                let softmax = Softmax::new(scale);
                let refused = GoldenError::SoftmaxScale {
                    layer: self.name(),
                    scale,
                };
                Ok(Operation::Softmax(softmax.ok_or(refused)?))
            }
        }
    }

    fn equal(
        &self,
        what: &'static str,
        expected: Vec<usize>,
        found: Vec<usize>,
    ) -> Result<(), GoldenError> {
        if expected == found {
            return Ok(());
        }
        Err(GoldenError::LayerShape {
            layer: self.name(),
            what,
            expected,
            found,
        })
    }

    fn clamp(&self, low: u8, high: u8) -> Result<(), GoldenError> {
        if low <= high {
            Ok(())
        } else {
            Err(GoldenError::EmptyClamp {
                layer: self.name(),
                low,
                high,
            })
        }
    }

    /// Checks a multiplier of accumulators up to `bound` in magnitude.
    fn multiplier(
        &self,
        multiplier: Multiplier,
        bound: i64,
        filter: usize,
    ) -> Result<(), GoldenError> {
        if multiplier.mantissa < 0 || !(-31..=30).contains(&multiplier.shift) {
            return Err(GoldenError::MultiplierRange {
                layer: self.name(),
                multiplier,
            });
        }
        let bound = bound.saturating_mul(1 << multiplier.shift.max(0));
        if bound > i64::from(i32::MAX) {
            return Err(GoldenError::AccumulatorOverflow {
                layer: self.name(),
                filter,
                bound,
            });
        }
        Ok(())
    }

    /// The output shape of a window with `channels` outputs.
    fn windowed(&self, window: Window, channels: usize) -> Result<(), GoldenError> {
        let input = self.input.shape;
        let pad = window.padding;
        let along = |size: usize, padding: usize, kernel: usize, stride: usize| {
            let room = (size + padding).checked_sub(kernel)?;
            (kernel > 0 && size > 0).then(|| room.checked_div(stride).map(|steps| steps + 1))?
        };
        let height = along(
            input.height,
            pad.top + pad.bottom,
            window.kernel_height,
            window.stride_height,
        );
        let width = along(
            input.width,
            pad.left + pad.right,
            window.kernel_width,
            window.stride_width,
        );
        let (Some(height), Some(width)) = (height, width) else {
            return Err(GoldenError::WindowSize {
                layer: self.name(),
                window,
                input,
            });
        };
        self.equal(
            "output",
            vec![height, width, channels],
            sizes(self.output.shape),
        )
    }

    fn pool(
        &self,
        kind: PoolKind,
        window: Window,
        low: u8,
        high: u8,
    ) -> Result<Operation, GoldenError> {
        self.windowed(window, self.input.shape.channels)?;
        self.clamp(low, high)?;
        let (input, output) = (self.input.shape, self.output.shape);
        let empty_row = (0..output.height).any(|row| {
            covered(
                row,
                window.stride_height,
                window.kernel_height,
                window.padding.top,
                input.height,
            )
            .is_empty()
        });
        let empty_column = (0..output.width).any(|column| {
            covered(
                column,
                window.stride_width,
                window.kernel_width,
                window.padding.left,
                input.width,
            )
            .is_empty()
        });
        if empty_row || empty_column {
            return Err(GoldenError::EmptyWindow {
                layer: self.name(),
                window,
            });
        }
        Ok(Operation::Pool(Pool {
            kind,
            window,
            output,
            low,
            high,
        }))
    }

    fn convolution(&self, convolution: &IntegerConvolution) -> Result<(), GoldenError> {
        let IntegerConvolution {
            kind,
            window,
            ref weights,
            ..
        } = *convolution;
        let input = self.input.shape;
        let filters = convolution.filters();
        self.clamp(convolution.clamp_low, convolution.clamp_high)?;
        let inputs = if kind == ConvolutionKind::Depthwise {
            1
        } else {
            input.channels
        };
        let expected = vec![filters, window.kernel_height, window.kernel_width, inputs];
        self.equal("weights", expected, weights.shape().to_vec())?;
        if kind == ConvolutionKind::FullyConnected {
            let kernel = vec![window.kernel_height, window.kernel_width];
            self.equal("kernel", vec![input.height, input.width], kernel)?;
        }
        if kind == ConvolutionKind::Depthwise
            && (input.channels == 0 || !filters.is_multiple_of(input.channels))
        {
            self.equal("filters", vec![input.channels], vec![filters])?;
        }
        self.windowed(window, filters)?;
        self.equal("bits", vec![filters], vec![convolution.bits.len()])?;
        self.equal("bias", vec![filters], vec![convolution.bias.len()])?;
        self.equal(
            "multipliers",
            vec![filters],
            vec![convolution.multiplier.len()],
        )?;
        for filter in 0..filters {
            self.filter(convolution, filter)?;
        }
        Ok(())
    }

    /// Checks one filter's weights, accumulator and multiplier.
    fn filter(&self, convolution: &IntegerConvolution, filter: usize) -> Result<(), GoldenError> {
        let bits = convolution.bits[filter];
        let weights = convolution.weights.index_axis(ndarray::Axis(0), filter);
        let mut sum = 0_i64;
        for &weight in weights {
            if !fits(weight, bits) {
                return Err(GoldenError::WeightRange {
                    layer: self.name(),
                    filter,
                    weight,
                    bits,
                });
            }
            sum += i64::from(weight).abs();
        }
        let bound = 255 * sum + i64::from(convolution.bias[filter]).abs();
        if bound > i64::from(i32::MAX) {
            return Err(GoldenError::AccumulatorOverflow {
                layer: self.name(),
                filter,
                bound,
            });
        }
        self.multiplier(convolution.multiplier[filter], bound, filter)
    }
}

/// Whether a filter of `bits` bits can hold a weight.
fn fits(weight: i8, bits: u8) -> bool {
    match bits {
        0 => weight == 0,
        1 => weight == 1 || weight == -1,
        2..=8 => {
            let limit = 1_i16 << (bits - 1);
            (-limit..limit).contains(&i16::from(weight))
        }
        _ => false,
    }
}

fn wide(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
