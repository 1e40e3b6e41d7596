//! Runs a network over many images, keeping only the activations that a later layer still reads.

use ndarray::Array3;
use rayon::prelude::*;

use crate::golden::float::{self, Error};
use crate::model::float::{Clamp, FloatLayer, FloatNetwork, FloatOp, TensorId};

/// Activations of one image, by tensor.
type State = Vec<Option<Array3<f32>>>;

/// Activations of all images while the layers are executed in order.
pub(crate) struct Execution<'a> {
    network: &'a FloatNetwork,
    states: Vec<State>,
    last_use: Vec<usize>,
}

impl<'a> Execution<'a> {
    /// Starts from the network's real input images.
    pub(crate) fn new(network: &'a FloatNetwork, input: impl Iterator<Item = Array3<f32>>) -> Self {
        let mut last_use = vec![0; network.tensors.len()];
        for (index, layer) in network.layers.iter().enumerate() {
            for tensor in &layer.inputs {
                last_use[*tensor] = index;
            }
        }
        let states = input
            .map(|image| {
                let mut state: State = vec![None; network.tensors.len()];
                state[network.input] = Some(image);
                state
            })
            .collect();
        Self {
            network,
            states,
            last_use,
        }
    }

    /// One activation of every image; none before it is computed and after its last use.
    pub(crate) fn values(&self, tensor: TensorId) -> Vec<&Array3<f32>> {
        let states = self.states.iter();
        states.filter_map(|state| state[tensor].as_ref()).collect()
    }

    /// What `layer` makes of the present activations, before its clamp.
    pub(crate) fn compute(&self, layer: &FloatLayer) -> Result<Vec<Array3<f32>>, Error> {
        let layer = unclamped(layer);
        let shape = self.network.tensors[layer.output].shape;
        self.states
            .par_iter()
            .map(|state| float::run_layer(&layer, shape, state))
            .collect()
    }

    /// Stores the output of layer `index` and drops what no later layer reads.
    pub(crate) fn store(&mut self, index: usize, output: Vec<Array3<f32>>) {
        let (network, last_use) = (self.network, &self.last_use);
        for (state, output) in self.states.iter_mut().zip(output) {
            put(network, last_use, state, index, output);
        }
    }

    /// Executes `layers`, the network's from layer `first` on or variants of them, image by image: what lies
    /// between them is held for one image at a time. `finish` makes of each output, clamped, what is stored.
    pub(crate) fn advance(
        &mut self,
        first: usize,
        layers: &[FloatLayer],
        finish: impl Fn(TensorId, &mut Array3<f32>) + Sync,
    ) -> Result<(), Error> {
        let (network, last_use) = (self.network, &self.last_use);
        self.states.par_iter_mut().try_for_each(|state| {
            for (place, layer) in layers.iter().enumerate() {
                let shape = network.tensors[layer.output].shape;
                let mut output = float::run_layer(layer, shape, state)?;
                finish(layer.output, &mut output);
                put(network, last_use, state, first + place, output);
            }
            Ok(())
        })
    }
}

fn put(
    network: &FloatNetwork,
    last_use: &[usize],
    state: &mut State,
    index: usize,
    output: Array3<f32>,
) {
    let layer = &network.layers[index];
    state[layer.output] = (last_use[layer.output] > index).then_some(output);
    for tensor in &layer.inputs {
        if last_use[*tensor] <= index {
            state[*tensor] = None;
        }
    }
}

/// The layer without the clamp that is fused behind it.
fn unclamped(layer: &FloatLayer) -> FloatLayer {
    let mut layer = layer.clone();
    if let FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } = &mut layer.op {
        *clamp = Clamp::NONE;
    }
    layer
}

/// The clamp fused behind a layer.
pub(crate) fn clamp_of(op: &FloatOp) -> Clamp {
    match op {
        FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } => *clamp,
        _ => Clamp::NONE,
    }
}
