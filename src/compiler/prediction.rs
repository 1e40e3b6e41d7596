//! Cycles of a network at widths that are not settled yet: placement is done once, and a convolution's tiles
//! are cut for the widths asked about, without packing a plane.

use super::{
    CompileError, DescriptorInfo, convolution, cycles, hardware_range, lower, placement, site,
};
use crate::model::integer::{IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp};
use bitweft_isa::architecture::Architecture;

/// Predicts the cycles that [`super::compile`] would report if the filters had other widths.
pub struct Prediction<'a> {
    network: &'a IntegerNetwork,
    architecture: &'a Architecture,
    places: placement::Places,
    first: usize,
    end: usize,
    rest: u64,
}

impl<'a> Prediction<'a> {
    /// Places the network's activations. The widths and weights that it has do not matter.
    ///
    /// # Errors
    /// As [`super::compile`], but for the memories that widths fill.
    pub fn new(
        network: &'a IntegerNetwork,
        architecture: &'a Architecture,
    ) -> Result<Self, CompileError> {
        let (first, end) = hardware_range(network);
        let layers = &network.layers[first..end];
        let input = layers
            .first()
            .map_or(network.input, |layer| layer.inputs[0]);
        let places = placement::place(network, layers, input, architecture)?;
        let mut rest = 0;
        for (index, layer) in layers.iter().enumerate() {
            if matches!(layer.op, IntegerOp::Convolution(_)) {
                continue;
            }
            let place = |tensor| places.at(index, tensor);
            for operation in lower(network, layer, place, architecture)? {
                rest += predicted(operation.descriptor, operation.widths, architecture);
            }
        }
        Ok(Self {
            network,
            architecture,
            places,
            first,
            end,
            rest,
        })
    }

    /// Cycles an image of everything that is no convolution.
    #[must_use]
    pub fn rest(&self) -> u64 {
        self.rest
    }

    fn convolution(&self, layer: usize) -> Option<(&'a IntegerLayer, &'a IntegerConvolution)> {
        let found = self.network.layers.get(layer)?;
        match &found.op {
            IntegerOp::Convolution(op) if (self.first..self.end).contains(&layer) => {
                Some((found, op))
            }
            _ => None,
        }
    }

    fn site(&self, layer: usize) -> Result<super::geometry::Site<'a>, CompileError> {
        let place = |tensor| self.places.at(layer - self.first, tensor);
        site(
            self.network,
            &self.network.layers[layer],
            place,
            self.architecture,
        )
    }

    /// Planes that a filter of convolution `layer` (an index into the network's layers) takes at a width.
    ///
    /// # Errors
    /// The layer is no convolution of the processor's.
    pub fn planes(&self, layer: usize, bits: u8) -> Result<usize, CompileError> {
        match self.convolution(layer) {
            Some((_, op)) => Ok(convolution::planes(&self.site(layer)?, op, bits)),
            None => Err(self.absent(layer)),
        }
    }

    /// Cycles an image of convolution `layer` (an index into the network's layers) whose filters have the
    /// widths `bits`.
    ///
    /// # Errors
    /// The layer is no convolution of the processor's, or a tile exceeds the memory for planes.
    pub fn convolution_cycles(&self, layer: usize, bits: &[u8]) -> Result<u64, CompileError> {
        let Some((source, op)) = self.convolution(layer) else {
            return Err(self.absent(layer));
        };
        if bits.len() != op.filters() {
            return Err(CompileError::Field {
                layer: source.name.clone(),
                detail: format!("{} widths for {} filters", bits.len(), op.filters()),
            });
        }
        let site = self.site(layer)?;
        let tiles = convolution::outline(&site, op, bits)?;
        let cycles =
            |tile: convolution::Tile| predicted(tile.descriptor, tile.widths, self.architecture);
        Ok(tiles.into_iter().map(cycles).sum())
    }

    fn absent(&self, layer: usize) -> CompileError {
        CompileError::Unsupported {
            layer: format!("{layer} of `{}`", self.network.name),
            reason: "it is no convolution that runs on the processor".into(),
        }
    }
}

fn predicted(
    descriptor: bitweft_isa::descriptor::Descriptor,
    widths: Vec<usize>,
    architecture: &Architecture,
) -> u64 {
    let info = DescriptorInfo {
        layer: 0,
        descriptor,
        widths,
        mac_bits: 0,
    };
    cycles::predict(&info, architecture).cycles
}
