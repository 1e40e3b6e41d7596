//! The float network: what a reader makes of a trained model, before quantization.

use ndarray::{Array1, Array4};

/// Index of an activation tensor in its network's `tensors`.
pub type TensorId = usize;

/// `[height, width, channels]` of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.height, self.width, self.channels)
    }
}

impl Shape {
    /// Elements of the activation.
    #[must_use]
    pub fn elements(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Rows and columns of padding around an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

/// Kernel window of a convolution or a pooling layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Kernel rows.
    pub kernel_height: usize,
    /// Kernel columns.
    pub kernel_width: usize,
    /// Vertical stride in pixels.
    pub stride_height: usize,
    /// Horizontal stride in pixels.
    pub stride_width: usize,
    /// Padding in pixels.
    pub padding: Padding,
}

/// How a convolution connects input channels to filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ConvolutionKind {
    /// Every filter sees every input channel; weights `[out, row, column, in]`.
    Dense,
    /// Filter `o` sees input channel `o / multiplier`; weights `[out, row, column, 1]`.
    Depthwise,
    /// A fully connected layer: kernel = whole input image, no padding, output 1 x 1.
    FullyConnected,
}

/// Clamp fused behind a layer, in real numbers.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Clamp {
    /// Lower bound (`f32::NEG_INFINITY` for none).
    pub low: f32,
    /// Upper bound (`f32::INFINITY` for none).
    pub high: f32,
}

impl Clamp {
    /// No clamp.
    pub const NONE: Self = Self {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
    };
    /// max(x, 0).
    pub const RELU: Self = Self {
        low: 0.0,
        high: f32::INFINITY,
    };
    /// min(max(x, 0), 6).
    pub const RELU6: Self = Self {
        low: 0.0,
        high: 6.0,
    };
}

impl Clamp {
    /// `high` where the bounds cross, as ONNX defines it (`f32::clamp` panics there); NaN stays NaN.
    #[must_use]
    pub fn apply(self, value: f32) -> f32 {
        let raised = if value < self.low { self.low } else { value };
        if raised > self.high {
            self.high
        } else {
            raised
        }
    }
}

/// What a layer computes, on real numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// Convolution, depthwise convolution, or fully connected (BatchNormalization folded in).
    Convolution {
        /// Connection pattern.
        kind: ConvolutionKind,
        /// Window; for fully connected the whole input.
        window: Window,
        /// `[out, row, column, in]` (`in` = 1 for depthwise).
        weights: Array4<f32>,
        /// `[out]`.
        bias: Array1<f32>,
        /// Fused activation.
        clamp: Clamp,
    },
    /// Elementwise sum of two activations of one shape.
    Add {
        /// Fused activation.
        clamp: Clamp,
    },
    /// Mean over each window; padding is not counted.
    AveragePool {
        /// Window.
        window: Window,
    },
    /// Maximum over each window; padding is not counted.
    MaxPool {
        /// Window.
        window: Window,
    },
    /// Mean over all rows and columns.
    GlobalAverage,
    /// The same elements in `[h, w, c]` row-major order under another shape.
    Reshape,
    /// Softmax over channels of a `[1, 1, c]` activation.
    Softmax,
}

/// One layer of a float network.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// Unique name, from the file where it has one.
    pub name: String,
    /// What it computes.
    pub op: FloatOp,
    /// Inputs in order.
    pub inputs: Vec<TensorId>,
    /// Output.
    pub output: TensorId,
}

/// An activation of a float network.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatTensor {
    /// Name from the file.
    pub name: String,
    /// Shape of one image.
    pub shape: Shape,
}

/// How the bytes 0..=255 of a dataset's image become the network's real input, channel by channel:
/// `real = (byte - mean[c]) * factor[c]`. The model file does not carry this; a user states it
/// (default: the identity), and it is saved with the integer network.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct InputTransform {
    /// One value, or one a channel.
    pub mean: Vec<f32>,
    /// One value, or one a channel.
    pub factor: Vec<f32>,
}

impl Default for InputTransform {
    fn default() -> Self {
        Self {
            mean: vec![0.0],
            factor: vec![1.0],
        }
    }
}

/// A trained network, layers in an order in which they can be executed.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatNetwork {
    /// Name (file stem).
    pub name: String,
    /// Activations.
    pub tensors: Vec<FloatTensor>,
    /// Layers in execution order.
    pub layers: Vec<FloatLayer>,
    /// The input activation.
    pub input: TensorId,
    /// The output activation.
    pub output: TensorId,
    /// Bytes to real input.
    pub input_transform: InputTransform,
    /// Where the input comes in bytes already (int8 features): the real value of a step, and the byte of 0. An integer network made
    /// of this one takes these bytes as they are. A user states it.
    pub input_steps: Option<(f32, u8)>,
}

impl FloatNetwork {
    /// The first layer and filter with a weight or bias that is no finite number.
    #[must_use]
    pub fn not_finite(&self) -> Option<(&FloatLayer, usize)> {
        self.layers.iter().find_map(|layer| {
            let FloatOp::Convolution { weights, bias, .. } = &layer.op else {
                return None;
            };
            let mut filters = weights.outer_iter().enumerate();
            let (filter, _) = filters.find(|(filter, weights)| {
                let own = weights.iter().chain(bias.get(*filter));
                own.into_iter().any(|value| !value.is_finite())
            })?;
            Some((layer, filter))
        })
    }

    /// Multiply-accumulates of one layer for one image, those on padding included; 0 for layers that are
    /// not convolutions.
    #[must_use]
    pub fn layer_macs(&self, layer: &FloatLayer) -> u64 {
        let FloatOp::Convolution { weights, .. } = &layer.op else {
            return 0;
        };
        let output = self.tensors[layer.output].shape;
        u64::try_from(output.height * output.width * weights.len()).unwrap_or(u64::MAX)
    }

    /// Multiply-accumulates of all layers for one image.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| self.layer_macs(layer)).sum()
    }
}
