//! Cycles on an architecture as what a budget counts.

use bitweft::compiler::{CompileError, Prediction};
use bitweft::model::integer::IntegerNetwork;
use bitweft::quant::Cost;
use bitweft_isa::architecture::Architecture;

/// The compiler's exact prediction of cycles, as a function of widths.
pub(crate) struct CycleCost<'a>(Prediction<'a>);

impl<'a> CycleCost<'a> {
    /// Of a network with the shapes in question (`Quantizer::skeleton`).
    pub(crate) fn new(
        skeleton: &'a IntegerNetwork,
        architecture: &'a Architecture,
    ) -> Result<Self, CompileError> {
        Prediction::new(skeleton, architecture).map(Self)
    }
}

impl Cost for CycleCost<'_> {
    fn planes(&self, layer: usize, bits: u8) -> u64 {
        let planes = self.0.planes(layer, bits);
        planes.map_or(u64::from(bits), |planes| planes as u64)
    }

    fn layer(&self, layer: usize, bits: &[u8]) -> Option<u64> {
        self.0.convolution_cycles(layer, bits).ok()
    }

    fn rest(&self) -> u64 {
        self.0.rest()
    }
}
