//! Running an image layer by layer, every output read back.

use super::{LayerRun, Session};
use crate::driver::{DriverError, Transport};
use bitweft_isa::{
    COUNTERS, Space,
    image::{Image, Layer},
};

impl<T: Transport> Session<T> {
    /// Runs an image on one input, layer by layer, reading back every layer; `visit` sees each as it ends and
    /// says whether to go on.
    ///
    /// # Errors
    /// An image for another architecture; everything that can go wrong on the way.
    pub fn run_layers(
        &mut self,
        image: &Image,
        input: &[u8],
        mut visit: impl FnMut(LayerRun) -> bool,
    ) -> Result<(), DriverError> {
        image.check(&self.architecture)?;
        self.write_input(image, input)?;
        let mut at = Position {
            phase: 0,
            descriptor: 0,
            loaded: false,
        };
        let kept = |index: usize| {
            image
                .layers
                .iter()
                .any(|layer| layer.restores.iter().any(|restore| restore.layer == index))
        };
        let mut outputs: Vec<Vec<u8>> = Vec::with_capacity(image.layers.len());
        for (index, layer) in image.layers.iter().enumerate() {
            for restore in &layer.restores {
                let rows = restore
                    .place
                    .pack(self.architecture(), &outputs[restore.layer]);
                self.write(Space::Activation, restore.place.base, &rows)?;
            }
            let counters = self.run_layer(image, layer, &mut at)?;
            let output = self.read_tensor(&layer.output)?;
            outputs.push(if kept(index) {
                output.clone()
            } else {
                Vec::new()
            });
            if !visit(LayerRun {
                layer: index,
                output,
                counters,
            }) {
                break;
            }
        }
        Ok(())
    }

    fn run_layer(
        &mut self,
        image: &Image,
        layer: &Layer,
        at: &mut Position,
    ) -> Result<Vec<[u32; COUNTERS]>, DriverError> {
        let mut left = layer.descriptors;
        let mut counters = Vec::with_capacity(left);
        while let Some(phase) = image.phases.get(at.phase).filter(|_| left > 0) {
            if !at.loaded {
                self.load(phase)?;
                at.loaded = true;
            }
            let count = left.min(phase.descriptors - at.descriptor);
            self.run(at.descriptor, count)?;
            counters.extend(self.counters(at.descriptor, count)?);
            left -= count;
            at.descriptor += count;
            if at.descriptor == phase.descriptors {
                *at = Position {
                    phase: at.phase + 1,
                    descriptor: 0,
                    loaded: false,
                };
            }
        }
        Ok(counters)
    }
}

/// Where in an image's phases a run is.
struct Position {
    phase: usize,
    descriptor: usize,
    loaded: bool,
}
