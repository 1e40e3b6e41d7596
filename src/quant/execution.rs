//! Runs a network one layer at a time over all calibration images, keeping only the activations that
//! a later layer still reads.

use ndarray::Array3;
use rayon::prelude::*;

use crate::golden::float::{self, Error};
use crate::model::float::{Clamp, FloatLayer, FloatNetwork, FloatOp, InputTransform, TensorId};

/// Activations of all images while the layers are executed in order.
pub(crate) struct Execution<'a> {
    network: &'a FloatNetwork,
    values: Vec<Vec<Array3<f32>>>,
    last_use: Vec<usize>,
}

impl<'a> Execution<'a> {
    /// Starts from the network's real `input` images.
    pub(crate) fn new(network: &'a FloatNetwork, input: Vec<Array3<f32>>) -> Self {
        let mut last_use = vec![0; network.tensors.len()];
        for (index, layer) in network.layers.iter().enumerate() {
            for tensor in &layer.inputs {
                last_use[*tensor] = index;
            }
        }
        last_use[network.output] = usize::MAX;
        let mut values = vec![Vec::new(); network.tensors.len()];
        values[network.input] = input;
        Self {
            network,
            values,
            last_use,
        }
    }

    /// One activation of every image; empty before it is computed and after its last use.
    pub(crate) fn values(&self, tensor: TensorId) -> &[Array3<f32>] {
        &self.values[tensor]
    }

    /// What `layer` (one of the network's, or a variant of it) makes of the present activations, before
    /// its clamp.
    pub(crate) fn compute(&self, layer: &FloatLayer) -> Result<Vec<Array3<f32>>, Error> {
        let mut layer = layer.clone();
        if let FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } = &mut layer.op {
            *clamp = Clamp::NONE;
        }
        let (inputs, output) = (layer.inputs.clone(), layer.output);
        let single = FloatNetwork {
            name: self.network.name.clone(),
            tensors: self.network.tensors.clone(),
            input: inputs.first().copied().unwrap_or(output),
            output,
            layers: vec![layer],
            input_transform: InputTransform::default(),
        };
        let count = self.values[single.input].len();
        (0..count)
            .into_par_iter()
            .map(|image| {
                let given: Vec<_> = inputs
                    .iter()
                    .filter_map(|t| self.values[*t].get(image).map(|value| (*t, value.view())))
                    .collect();
                let mut outputs = float::run_given(&single, &given, &[output])?;
                Ok(outputs.swap_remove(0))
            })
            .collect()
    }

    /// Stores the output of layer `index` and drops what no later layer reads.
    pub(crate) fn store(&mut self, index: usize, output: Vec<Array3<f32>>) {
        let layer = &self.network.layers[index];
        self.values[layer.output] = output;
        for tensor in &layer.inputs {
            if self.last_use[*tensor] <= index {
                self.values[*tensor] = Vec::new();
            }
        }
    }
}

/// The clamp fused behind a layer.
pub(crate) fn clamp_of(op: &FloatOp) -> Clamp {
    match op {
        FloatOp::Convolution { clamp, .. } | FloatOp::Add { clamp } => *clamp,
        _ => Clamp::NONE,
    }
}

/// Replaces every value of every image by `f` of it.
pub(crate) fn map_images(images: &mut [Array3<f32>], f: impl Fn(f32) -> f32 + Sync) {
    images
        .par_iter_mut()
        .for_each(|image| image.mapv_inplace(&f));
}
