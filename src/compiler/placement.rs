//! Where every activation lies in activation memory: two tensors share words only when the first is
//! no longer read at the time the second is written. A residual addition may write over an input.

use super::{CompileError, Operation, geometry::Site};
use crate::model::integer::{IntegerLayer, IntegerNetwork, IntegerOp, TensorId};
use bitweft_isa::{architecture::Architecture, layout::Placement};

/// Attempts at a tighter packing before the memory is declared too small.
const ATTEMPTS: u64 = 2000;

/// A tensor's words and the layers during which they are in use.
struct Life {
    tensor: TensorId,
    words: usize,
    born: usize,
    dies: usize,
    layer: usize,
}

/// Places for `input` and all outputs of `layers`; `None` for other tensors.
pub(super) fn place(
    network: &IntegerNetwork,
    layers: &[IntegerLayer],
    input: TensorId,
    architecture: &Architecture,
) -> Result<Vec<Option<Placement>>, CompileError> {
    let mut alias: Vec<TensorId> = (0..network.tensors.len()).collect();
    let lives = lives(network, layers, input, architecture, &mut alias);
    let mut best: Option<(usize, Vec<usize>)> = None;
    for attempt in 0..ATTEMPTS {
        let (peak, bases) = pack(&lives, attempt, architecture.activation_words);
        if best.as_ref().is_none_or(|(least, _)| peak < *least) {
            best = Some((peak, bases));
        }
        if best
            .as_ref()
            .is_some_and(|(least, _)| *least <= architecture.activation_words)
        {
            break;
        }
    }
    let (peak, bases) = best.unwrap_or((0, Vec::new()));
    if peak > architecture.activation_words {
        let largest = lives
            .iter()
            .max_by_key(|life| life.words)
            .map_or(0, |life| life.layer);
        return Err(CompileError::TooSmall {
            layer: layers[largest].name.clone(),
            field: "activation_words",
            needed: peak,
            available: architecture.activation_words,
        });
    }
    let mut places = vec![None; network.tensors.len()];
    for (life, base) in lives.iter().zip(bases) {
        places[life.tensor] = Some(placement(network, life.tensor, base));
    }
    for tensor in 0..alias.len() {
        if let Some(place) = places[root(&alias, tensor)] {
            places[tensor] = Some(placement(network, tensor, place.base));
        }
    }
    Ok(places)
}

fn placement(network: &IntegerNetwork, tensor: TensorId, base: usize) -> Placement {
    let shape = network.tensors[tensor].shape;
    Placement {
        base,
        height: shape.height,
        width: shape.width,
        channels: shape.channels,
    }
}

fn root(alias: &[TensorId], mut tensor: TensorId) -> TensorId {
    while alias[tensor] != tensor {
        tensor = alias[tensor];
    }
    tensor
}

/// Lifetimes, in-place outputs merged with the input they overwrite.
fn lives(
    network: &IntegerNetwork,
    layers: &[IntegerLayer],
    input: TensorId,
    architecture: &Architecture,
    alias: &mut [TensorId],
) -> Vec<Life> {
    let last_use = |tensor: TensorId| {
        let used = layers
            .iter()
            .rposition(|layer| layer.inputs.contains(&tensor));
        if layers.last().is_some_and(|layer| layer.output == tensor) {
            layers.len()
        } else {
            used.unwrap_or(0)
        }
    };
    let words = |tensor: TensorId| placement(network, tensor, 0).words(architecture.columns);
    let mut lives = vec![Life {
        tensor: input,
        words: words(input),
        born: 0,
        dies: last_use(input),
        layer: 0,
    }];
    for (index, layer) in layers.iter().enumerate() {
        let dies = last_use(layer.output).max(index);
        let over = match layer.op {
            IntegerOp::Add { .. } => layer
                .inputs
                .iter()
                .find(|&&tensor| last_use(tensor) == index && tensor != input),
            IntegerOp::Reshape => layer.inputs.first(),
            _ => None,
        };
        if let Some(&over) = over {
            alias[layer.output] = over;
            let owner = root(alias, over);
            if let Some(life) = lives.iter_mut().find(|life| life.tensor == owner) {
                life.dies = life.dies.max(dies);
            }
        } else {
            lives.push(Life {
                tensor: layer.output,
                words: words(layer.output),
                born: index,
                dies,
                layer: index,
            });
        }
    }
    lives
}

/// First fit from below or from above, tensor by tensor in order of birth; bit i of a hash of `attempt`
/// chooses the end for tensor i (attempts 0 and 1: all below, alternating).
fn pack(lives: &[Life], attempt: u64, capacity: usize) -> (usize, Vec<usize>) {
    let mut bases: Vec<usize> = Vec::with_capacity(lives.len());
    let mut peak = 0;
    let mut state = attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (index, life) in lives.iter().enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let above = match attempt {
            0 => false,
            1 => index % 2 == 1,
            _ => state >> 32 & 1 == 1,
        };
        let mut taken: Vec<(usize, usize)> = lives[..index]
            .iter()
            .zip(&bases)
            .filter(|(other, _)| other.dies >= life.born && other.born <= life.dies)
            .map(|(other, &base)| (base, base + other.words))
            .collect();
        taken.sort_unstable();
        let base = fit(&taken, life.words, capacity, above);
        peak = peak.max(base + life.words);
        bases.push(base);
    }
    (peak, bases)
}

/// Lowest (or highest below `capacity`) base at which `words` are free; beyond `capacity` if nowhere.
fn fit(taken: &[(usize, usize)], words: usize, capacity: usize, above: bool) -> usize {
    let mut gaps = Vec::with_capacity(taken.len() + 1);
    let mut free_from = 0;
    for &(start, end) in taken {
        if start >= free_from + words {
            gaps.push((free_from, start));
        }
        free_from = free_from.max(end);
    }
    if capacity >= free_from + words {
        gaps.push((free_from, capacity));
    }
    let chosen = if above {
        gaps.last().map(|gap| gap.1 - words)
    } else {
        gaps.first().map(|gap| gap.0)
    };
    chosen.unwrap_or(free_from)
}

/// A reshape on the processor is nothing but a new name for the same bytes.
pub(super) fn reshape_is_free(site: &Site<'_>) -> Result<Vec<Operation>, CompileError> {
    let (input, output) = (site.inputs[0], site.output);
    let same = (input.height, input.width, input.channels)
        == (output.height, output.width, output.channels);
    if same {
        return Ok(Vec::new());
    }
    Err(site.unsupported(format!(
        "reshape from {}x{}x{} to {}x{}x{} between layers of the processor",
        input.height, input.width, input.channels, output.height, output.width, output.channels
    )))
}
