//! Integer network to program image: placement of activations, tiling over filters, packing of bit
//! planes in order of use, descriptors, phases, and the exact prediction of cycles.
//!
//! Golden and compiler never import each other: their agreement is the proof.

mod convolution;
pub mod cycles;
mod geometry;
mod phase;
mod placement;
mod prediction;
mod requantize;
mod windowed;

pub use prediction::Prediction;

use crate::model::integer::{IntegerLayer, IntegerNetwork, IntegerOp, TensorId};
use bitweft_isa::{
    architecture::Architecture, descriptor::Descriptor, field::LimitError, image::Image,
    layout::Placement, record::Record,
};

/// Why a network cannot run on an architecture.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A layer the processor has no operation for.
    #[error("layer `{layer}`: {reason}")]
    Unsupported {
        /// Layer name.
        layer: String,
        /// What is not supported, and what to do.
        reason: String,
    },
    /// Something has to be larger.
    #[error(
        "layer `{layer}` does not fit the architecture: it needs {field} >= {needed}, there are {available}"
    )]
    TooSmall {
        /// Layer name.
        layer: String,
        /// Architecture parameter.
        field: &'static str,
        /// Smallest value that would do.
        needed: usize,
        /// Value of the architecture.
        available: usize,
    },
    /// A descriptor's number is larger than what a compact processor holds.
    #[error("layer `{layer}` does not fit the architecture: {limit}")]
    Limit {
        /// Layer name.
        layer: String,
        /// Field, value, and the architecture parameter that would have to be larger.
        limit: LimitError,
    },
    /// A number exceeds what the datapath holds, for some input.
    #[error(
        "layer `{layer}`, filter {filter}: {quantity} can reach {value}, beyond {bits} signed bits; use a larger accumulator_bits or narrower weights"
    )]
    Overflow {
        /// Layer name.
        layer: String,
        /// Filter index.
        filter: usize,
        /// Which number.
        quantity: &'static str,
        /// Its largest magnitude.
        value: i64,
        /// Bits it has.
        bits: usize,
    },
    /// A descriptor or record field cannot hold a value.
    #[error("layer `{layer}`: {detail}")]
    Field {
        /// Layer name.
        layer: String,
        /// Field and value.
        detail: String,
    },
}

/// One descriptor with everything that has to be in the memories for it. Bases of planes and records are
/// set when it is assigned to a phase.
#[derive(Debug, Clone)]
struct Operation {
    descriptor: Descriptor,
    /// Plane words, bit by bit: the encoded digits, then the last-plane flag.
    planes: Vec<Vec<bool>>,
    records: Vec<Record>,
    /// Widths of the tile's filters in planes, for the prediction.
    widths: Vec<usize>,
}

/// What a descriptor does, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorInfo {
    /// Index into the image's layers.
    pub layer: usize,
    /// The descriptor as emitted.
    pub descriptor: Descriptor,
    /// Planes of each filter of the tile (empty for other operations).
    pub widths: Vec<usize>,
    /// Sum over filters of multiply-accumulates x planes.
    pub mac_bits: u64,
}

/// A compiled network.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The image.
    pub image: Image,
    /// Every descriptor in order of execution.
    pub descriptors: Vec<DescriptorInfo>,
    /// Layers that the host computes on the image's last output, in order (indices into the network).
    pub host_layers: Vec<usize>,
}

/// Compiles a network for an architecture.
///
/// # Errors
/// An unsupported layer, a memory or field too small, a number that could overflow.
pub fn compile(
    network: &IntegerNetwork,
    architecture: &Architecture,
) -> Result<Compiled, CompileError> {
    let (first, end) = hardware_range(network);
    let layers = &network.layers[first..end];
    if layers.is_empty() {
        return Err(CompileError::Unsupported {
            layer: network.name.clone(),
            reason: "no layer of the network runs on the processor".into(),
        });
    }
    let input = layers[0].inputs[0];
    let places = placement::place(network, layers, input, architecture)?;
    let mut lowered = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        lowered.push(lower(
            network,
            layer,
            |tensor| places.at(index, tensor),
            architecture,
        )?);
    }
    let mac_bits =
        |layer: &IntegerLayer, operation: &Operation| mac_bits(network, layer, operation);
    let (phases, descriptors) = phase::assign(layers, lowered, architecture, mac_bits)?;
    let place_of = |tensor: TensorId| {
        places.home(tensor).unwrap_or(Placement {
            base: 0,
            height: 0,
            width: 0,
            channels: 0,
        })
    };
    let image_layers = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| bitweft_isa::image::Layer {
            name: layer.name.clone(),
            tensor: layer.output,
            output: place_of(layer.output),
            descriptors: descriptors
                .iter()
                .filter(|info| info.layer == index)
                .count(),
            restores: places.restores(layers, index),
        })
        .collect();
    let image = Image {
        fingerprint: architecture.fingerprint(),
        network: network.name.clone(),
        input_tensor: input,
        input: place_of(input),
        phases,
        layers: image_layers,
    };
    Ok(Compiled {
        image,
        descriptors,
        host_layers: (end..network.layers.len()).collect(),
    })
}

/// Layers `first..end` run on the processor: reshapes of the input before them and softmax or
/// reshapes after them are the host's.
fn hardware_range(network: &IntegerNetwork) -> (usize, usize) {
    let host = |layer: &IntegerLayer| matches!(layer.op, IntegerOp::Reshape | IntegerOp::Softmax);
    let reshape = |layer: &IntegerLayer| matches!(layer.op, IntegerOp::Reshape);
    let first = network
        .layers
        .iter()
        .take_while(|layer| reshape(layer))
        .count();
    let tail = network.layers[first..]
        .iter()
        .rev()
        .take_while(|layer| host(layer))
        .count();
    (first, network.layers.len() - tail)
}

/// A layer with the places of its tensors.
fn site<'a>(
    network: &'a IntegerNetwork,
    layer: &'a IntegerLayer,
    place_of: impl Fn(TensorId) -> Option<Placement>,
    architecture: &'a Architecture,
) -> Result<geometry::Site<'a>, CompileError> {
    let place = |tensor: TensorId| {
        place_of(tensor).ok_or_else(|| CompileError::Unsupported {
            layer: layer.name.clone(),
            reason: "its tensor has no place in activation memory".into(),
        })
    };
    let output = place(layer.output)?;
    let inputs = layer
        .inputs
        .iter()
        .map(|&tensor| place(tensor))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(geometry::Site {
        network,
        layer,
        inputs,
        output,
        architecture,
    })
}

fn lower(
    network: &IntegerNetwork,
    layer: &IntegerLayer,
    place_of: impl Fn(TensorId) -> Option<Placement>,
    architecture: &Architecture,
) -> Result<Vec<Operation>, CompileError> {
    let site = site(network, layer, place_of, architecture)?;
    match &layer.op {
        IntegerOp::Convolution(op) => convolution::lower(&site, op),
        IntegerOp::Add {
            input,
            output,
            clamp_low,
            clamp_high,
        } => windowed::add(&site, *input, *output, (*clamp_low, *clamp_high)),
        IntegerOp::AveragePool {
            window,
            clamp_low,
            clamp_high,
        } => windowed::average(&site, *window, (*clamp_low, *clamp_high)),
        IntegerOp::MaxPool {
            window,
            clamp_low,
            clamp_high,
        } => windowed::maximum(&site, *window, (*clamp_low, *clamp_high)),
        IntegerOp::GlobalAverage { multiplier } => windowed::global_average(&site, *multiplier),
        IntegerOp::Reshape => placement::reshape_is_free(&site),
        IntegerOp::Softmax => Err(CompileError::Unsupported {
            layer: layer.name.clone(),
            reason: "softmax runs on the host and must be the last layer".into(),
        }),
    }
}

/// Multiply-accumulates x planes of an operation, structural zeros not counted.
fn mac_bits(network: &IntegerNetwork, layer: &IntegerLayer, operation: &Operation) -> u64 {
    let IntegerOp::Convolution(op) = &layer.op else {
        return 0;
    };
    let shape = network.tensors[layer.output].shape;
    let per_bit = shape.height * shape.width * op.weights_per_filter();
    (operation.widths.iter().sum::<usize>() * per_bit) as u64
}
