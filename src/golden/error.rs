//! Why a network or an image cannot be run.

use crate::model::integer::{Multiplier, Shape, TensorId, Window};

/// Why a network or an image cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// A tensor number beyond the network's tensors.
    #[error("{place} names tensor {tensor}, but the network has {tensors}")]
    UnknownTensor {
        /// Layer, or "the network's input" or "output".
        place: String,
        /// The number.
        tensor: TensorId,
        /// Tensors in the network.
        tensors: usize,
    },
    /// A zero point that is not a byte.
    #[error("tensor {tensor:?} has zero point {zero_point}; it must lie in 0..=255")]
    ZeroPoint {
        /// Tensor.
        tensor: String,
        /// Its zero point.
        zero_point: i32,
    },
    /// A tensor is read before any layer has written it, or the output is never written.
    #[error(
        "{place} reads tensor {tensor:?}, which nothing has written: order the layers for execution"
    )]
    NotYetWritten {
        /// Layer, or "the network's output".
        place: String,
        /// Tensor.
        tensor: String,
    },
    /// Two layers write one tensor, or a layer writes the input.
    #[error("layer {layer:?} writes tensor {tensor:?} a second time")]
    WrittenTwice {
        /// Layer.
        layer: String,
        /// Tensor.
        tensor: String,
    },
    /// A layer with another number of inputs than it takes.
    #[error("layer {layer:?} has {found} inputs; it takes {expected}")]
    InputCount {
        /// Layer.
        layer: String,
        /// Inputs it takes.
        expected: usize,
        /// Inputs it has.
        found: usize,
    },
    /// A shape that does not follow from the others.
    #[error("layer {layer:?}: {what} has shape {found:?}, expected {expected:?}")]
    LayerShape {
        /// Layer.
        layer: String,
        /// Which shape.
        what: &'static str,
        /// What follows from the rest of the layer.
        expected: Vec<usize>,
        /// What the network says.
        found: Vec<usize>,
    },
    /// A window of no size, of no stride, or larger than the padded image.
    #[error("layer {layer:?}: the window {window:?} does not fit an image of {input:?}")]
    WindowSize {
        /// Layer.
        layer: String,
        /// Window.
        window: Window,
        /// Input.
        input: Shape,
    },
    /// A pooling window that lies wholly in the padding.
    #[error("layer {layer:?}: the window {window:?} has a position wholly in the padding")]
    EmptyWindow {
        /// Layer.
        layer: String,
        /// Window.
        window: Window,
    },
    /// A weight that its filter's bit width cannot hold.
    #[error("layer {layer:?}, filter {filter}: weight {weight} does not fit {bits} bits")]
    WeightRange {
        /// Layer.
        layer: String,
        /// Filter.
        filter: usize,
        /// Weight.
        weight: i8,
        /// Bit width of the filter.
        bits: u8,
    },
    /// A multiplier with a negative mantissa, or a shift outside -31..=30.
    #[error("layer {layer:?}: {multiplier:?} is out of range (mantissa from 0, shift in -31..=30)")]
    MultiplierRange {
        /// Layer.
        layer: String,
        /// The multiplier.
        multiplier: Multiplier,
    },
    /// An accumulator that could leave 32 bits.
    #[error(
        "layer {layer:?}, filter {filter}: the accumulator can reach {bound}, beyond 32 bits; \
         use smaller weights or bias"
    )]
    AccumulatorOverflow {
        /// Layer.
        layer: String,
        /// Filter (0 where a layer has none).
        filter: usize,
        /// `255 * sum |w| + |bias|`, times `2^shift` where the multiplier shifts to the left.
        bound: i64,
    },
    /// A clamp with its bounds exchanged.
    #[error("layer {layer:?}: clamp {low}..={high} is empty")]
    EmptyClamp {
        /// Layer.
        layer: String,
        /// Lower bound.
        low: u8,
        /// Upper bound.
        high: u8,
    },
    /// A softmax whose input scale the fixed-point kernel cannot express.
    #[error("layer {layer:?}: softmax of an input of scale {scale} (2^-26 to 16 is possible)")]
    SoftmaxScale {
        /// Layer.
        layer: String,
        /// Scale of the input.
        scale: f32,
    },
    /// An image of another shape than the network's input.
    #[error("the image has shape {found:?}, the network takes {expected:?}")]
    InputShape {
        /// The network's input.
        expected: Shape,
        /// The image.
        found: Shape,
    },
    /// Not one label an image.
    #[error("{images} images with {labels} labels")]
    LabelCount {
        /// Images.
        images: usize,
        /// Labels.
        labels: usize,
    },
}
