//! Where every activation lies in activation memory: two tensors share words only when the first is
//! no longer read at the time the second is written. A residual addition may write over an input. What does not fit
//! between its uses the host keeps (`isa::image::Restore`).

use super::{CompileError, Operation, geometry::Site};
use crate::model::integer::{IntegerLayer, IntegerNetwork, IntegerOp, TensorId};
use bitweft_isa::{architecture::Architecture, image::Restore, layout::Placement};

/// Attempts at a tighter packing before the memory is declared too small.
const ATTEMPTS: u64 = 2000;

/// A tensor's words and the layers during which they are in use.
struct Life {
    tensor: TensorId,
    words: usize,
    born: usize,
    dies: usize,
    layer: usize,
    /// The layer before which the host writes the tensor back, for the second life of one that it kept.
    restored: Option<usize>,
}

/// Where tensors are.
pub(super) struct Places {
    homes: Vec<Option<Placement>>,
    restored: Vec<(usize, TensorId, Placement)>,
}

impl Places {
    /// Where a tensor is written by its layer.
    pub(super) fn home(&self, tensor: TensorId) -> Option<Placement> {
        self.homes[tensor]
    }

    /// Where a layer finds a tensor.
    pub(super) fn at(&self, layer: usize, tensor: TensorId) -> Option<Placement> {
        let restored = self
            .restored
            .iter()
            .find(|(at, t, _)| (*at, *t) == (layer, tensor));
        restored.map(|(_, _, place)| *place).or(self.homes[tensor])
    }

    /// What the host writes back before a layer.
    pub(super) fn restores(&self, layers: &[IntegerLayer], layer: usize) -> Vec<Restore> {
        let restored = self.restored.iter().filter(|(at, _, _)| *at == layer);
        restored
            .filter_map(|&(_, tensor, place)| {
                let producer = layers.iter().position(|layer| layer.output == tensor)?;
                Some(Restore {
                    layer: producer,
                    place,
                })
            })
            .collect()
    }
}

/// Places for `input` and all outputs of `layers`. Where memory is too small, inputs of residual additions are
/// left to the host in between, the largest first.
pub(super) fn place(
    network: &IntegerNetwork,
    layers: &[IntegerLayer],
    input: TensorId,
    architecture: &Architecture,
) -> Result<Places, CompileError> {
    let mut kept: Vec<(usize, TensorId)> = Vec::new();
    let mut candidates = candidates(network, layers);
    loop {
        let mut alias: Vec<TensorId> = (0..network.tensors.len()).collect();
        let lives = lives(network, layers, input, architecture, &mut alias, &kept);
        let (peak, bases) = aligned_packing(&lives, architecture);
        if peak <= architecture.activation_words {
            return Ok(places(network, &lives, &bases, &alias));
        }
        let Some(next) = candidates.pop() else {
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
        };
        kept.push(next);
    }
}

/// Inputs of additions that are not the layer before's output, the largest last.
fn candidates(network: &IntegerNetwork, layers: &[IntegerLayer]) -> Vec<(usize, TensorId)> {
    let mut found = Vec::new();
    for (index, layer) in layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| matches!(layer.op, IntegerOp::Add { .. }))
    {
        for &tensor in &layer.inputs {
            let recent = layers[..index]
                .last()
                .is_some_and(|before| before.output == tensor);
            let made_here = layers[..index].iter().any(|before| before.output == tensor);
            if made_here && !recent {
                found.push((index, tensor));
            }
        }
    }
    found.sort_by_key(|&(_, tensor)| network.tensors[tensor].shape.elements());
    found
}

/// Bases that are multiples of `access_words`, so that convolutions may read pairs of words; any bases where these do not fit.
fn aligned_packing(lives: &[Life], architecture: &Architecture) -> (usize, Vec<usize>) {
    let (capacity, unit) = (architecture.activation_words, architecture.access_words());
    if unit > 1 {
        let whole = |life: &Life| Life {
            words: life.words.next_multiple_of(unit),
            ..*life
        };
        let rounded: Vec<Life> = lives.iter().map(whole).collect();
        let packing = best_packing(&rounded, capacity / unit * unit);
        if packing.0 <= capacity {
            return packing;
        }
    }
    best_packing(lives, capacity)
}

fn best_packing(lives: &[Life], capacity: usize) -> (usize, Vec<usize>) {
    let mut best = pack(lives, 0, capacity);
    for attempt in 1..ATTEMPTS {
        if best.0 <= capacity {
            break;
        }
        let packing = pack(lives, attempt, capacity);
        if packing.0 < best.0 {
            best = packing;
        }
    }
    best
}

fn places(network: &IntegerNetwork, lives: &[Life], bases: &[usize], alias: &[TensorId]) -> Places {
    let mut homes = vec![None; network.tensors.len()];
    let mut restored = Vec::new();
    for (life, &base) in lives.iter().zip(bases) {
        let place = placement(network, life.tensor, base);
        match life.restored {
            Some(layer) => restored.push((layer, life.tensor, place)),
            None => homes[life.tensor] = Some(place),
        }
    }
    for tensor in 0..alias.len() {
        if let Some(place) = homes[root(alias, tensor)] {
            homes[tensor] = Some(placement(network, tensor, place.base));
        }
    }
    Places { homes, restored }
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

/// Lifetimes, in-place outputs merged with the input they overwrite; tensors that the host keeps for a layer live
/// again for that layer alone.
fn lives(
    network: &IntegerNetwork,
    layers: &[IntegerLayer],
    input: TensorId,
    architecture: &Architecture,
    alias: &mut [TensorId],
    kept: &[(usize, TensorId)],
) -> Vec<Life> {
    let is_kept = |layer: usize, tensor: TensorId| kept.contains(&(layer, tensor));
    let last_use = |tensor: TensorId| {
        let uses = |(index, layer): &(usize, &IntegerLayer)| {
            layer.inputs.contains(&tensor) && !is_kept(*index, tensor)
        };
        let used = layers
            .iter()
            .enumerate()
            .filter(uses)
            .map(|(index, _)| index)
            .next_back();
        if layers.last().is_some_and(|layer| layer.output == tensor) {
            layers.len()
        } else {
            used.unwrap_or(0)
        }
    };
    let words = |tensor: TensorId| placement(network, tensor, 0).words(architecture.columns);
    let life = |tensor, born, dies, restored| Life {
        tensor,
        words: words(tensor),
        born,
        dies,
        layer: born,
        restored,
    };
    let mut lives = vec![life(input, 0, last_use(input), None)];
    for (index, layer) in layers.iter().enumerate() {
        let dies = last_use(layer.output).max(index);
        for &tensor in layer
            .inputs
            .iter()
            .filter(|&&tensor| is_kept(index, tensor))
        {
            lives.push(life(tensor, index, index, Some(index)));
        }
        let ends_here = |tensor: &&TensorId| {
            last_use(**tensor) == index && **tensor != input && !is_kept(index, **tensor)
        };
        let over = match layer.op {
            IntegerOp::Add { .. } => layer.inputs.iter().find(ends_here),
            IntegerOp::Reshape => layer.inputs.first(),
            _ => None,
        };
        if let Some(&over) = over {
            alias[layer.output] = over;
            let owner = root(alias, over);
            if let Some(life) = lives
                .iter_mut()
                .find(|life| life.tensor == owner && life.restored.is_none())
            {
                life.dies = life.dies.max(dies);
            }
        } else {
            lives.push(life(layer.output, index, dies, None));
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
