//! The processor in Verilator beside the golden models: every byte of every layer, and every counter of every
//! descriptor.

use anyhow::{Context, Result, ensure};
use bitweft::compiler::{
    Compiled,
    cycles::{self, Cycles},
};
use bitweft::driver::{LayerRun, Session, Simulated};
use bitweft::golden::{machine::Machine, network::Executor};
use bitweft::model::integer::IntegerNetwork;
use bitweft_hdl::{TOP, verilog};
use bitweft_isa::{COUNTERS, architecture::Architecture, descriptor::Opcode};
use bitweft_sim::{Build, Library, Profile};
use ndarray::{Array3, ArrayView3};
use serde::{Deserialize, Serialize};

use super::console::Console;

/// What the counters of a descriptor are called, in their order.
const COUNTER_NAMES: [&str; COUNTERS] = ["cycles", "busy", "fill_stall", "drain_stall"];
/// Power-up state of the simulated processor, where the profile makes it random.
const SEED: u64 = 1;

/// One layer, as predicted and as measured; cycles are those of one image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) convolution: bool,
    pub(crate) descriptors: usize,
    pub(crate) macs: u64,
    /// Bits a MAC, mean.
    pub(crate) bits_avg: f64,
    pub(crate) mac_bits: u64,
    pub(crate) cycles_predicted: u64,
    pub(crate) cycles_measured: u64,
    /// Cycles that no schedule can beat on the array.
    pub(crate) bound_cycles: f64,
    /// Part of the measured cycles in which the array took a plane.
    pub(crate) busy_fraction: f64,
    pub(crate) fill_stall: u64,
    pub(crate) drain_stall: u64,
    /// Bytes of the output that differ from the golden network's, over all images.
    pub(crate) mismatches: u64,
    /// Counters that differ from their prediction, over all images and descriptors.
    pub(crate) counter_mismatches: u64,
}

/// The first byte that differs from the golden network's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) image: usize,
    #[serde(skip)]
    pub(crate) layer_index: usize,
    pub(crate) layer: String,
    /// Output channel.
    pub(crate) filter: usize,
    pub(crate) y: usize,
    pub(crate) x: usize,
    /// Lowest bit that differs.
    pub(crate) bit: u32,
    pub(crate) golden: u8,
    pub(crate) found: u8,
}

/// The first counter that differs from its prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterDifference {
    pub(crate) image: usize,
    pub(crate) layer: String,
    /// Index in the layer.
    pub(crate) descriptor: usize,
    pub(crate) counter: String,
    pub(crate) predicted: u64,
    pub(crate) measured: u64,
}

/// What running images has shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub(crate) layers: Vec<Layer>,
    pub(crate) mismatches: u64,
    pub(crate) counter_mismatches: u64,
    /// Bytes in which the golden machine differs from the golden network.
    pub(crate) machine_mismatches: u64,
    pub(crate) difference: Option<Difference>,
    pub(crate) counter_difference: Option<CounterDifference>,
    pub(crate) machine_difference: Option<Difference>,
}

impl Findings {
    /// Whether all agree.
    pub(crate) fn is_clean(&self) -> bool {
        self.mismatches == 0 && self.counter_mismatches == 0 && self.machine_mismatches == 0
    }

    /// Measured cycles of one image.
    pub(crate) fn cycles_measured(&self) -> u64 {
        self.layers.iter().map(|layer| layer.cycles_measured).sum()
    }
}

/// Builds (or takes from the cache) the simulation of an architecture's processor.
pub(crate) fn library(
    architecture: &Architecture,
    profile: Profile,
    console: &Console,
) -> Result<Library> {
    let text = verilog(architecture).context("Verilog")?;
    let spinner = console.spinner("building the simulation");
    let library = Build::from_text(TOP, text, profile).build()?;
    spinner.finish_and_clear();
    Ok(library)
}

/// A network on a processor.
pub(crate) struct Cosimulation<'a> {
    architecture: &'a Architecture,
    executor: Executor,
    compiled: Compiled,
    /// Of every layer's descriptors, in order.
    predicted: Vec<Vec<Cycles>>,
    session: Session<Simulated>,
    findings: Findings,
    images: usize,
}

impl<'a> Cosimulation<'a> {
    /// Opens a session on a processor out of reset, for a compiled network.
    pub(crate) fn new(
        network: &IntegerNetwork,
        compiled: Compiled,
        architecture: &'a Architecture,
        library: &Library,
    ) -> Result<Self> {
        let mut layers = Vec::with_capacity(compiled.image.layers.len());
        let mut predicted = Vec::with_capacity(compiled.image.layers.len());
        for index in 0..compiled.image.layers.len() {
            let (layer, cycles) = expectation(network, &compiled, index, architecture);
            layers.push(layer);
            predicted.push(cycles);
        }
        let session = Session::open(Simulated::new(library, SEED)?, architecture)?;
        Ok(Self {
            architecture,
            executor: Executor::new(network)?,
            compiled,
            predicted,
            session,
            findings: Findings {
                layers,
                ..Findings::default()
            },
            images: 0,
        })
    }

    /// The program.
    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// What has been found so far.
    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Layers of the program.
    pub(crate) fn layer_count(&self) -> usize {
        self.findings.layers.len()
    }

    /// Runs one input, `[h, w, c]`, on processor and golden models; `progress` is called after each layer.
    pub(crate) fn run(
        &mut self,
        input: ArrayView3<'_, u8>,
        mut progress: impl FnMut(),
    ) -> Result<()> {
        let golden = self.executor.run(input)?;
        let image = &self.compiled.image;
        // The input of the program may be a reshaped one of the network.
        let bytes: Vec<u8> = golden[image.input_tensor].iter().copied().collect();
        let machine = Machine::new(self.architecture).run(image, &bytes)?;
        let count = self.images;
        for (index, output) in machine.iter().enumerate() {
            let expected = &golden[image.layers[index].tensor];
            let (differing, first) = differences(count, index, image, expected, output)?;
            self.findings.machine_mismatches += differing;
            if self.findings.machine_difference.is_none() {
                self.findings.machine_difference = first;
            }
        }
        let (findings, predicted) = (&mut self.findings, &self.predicted);
        let mut failure = None;
        self.session.run_layers(image, &bytes, |run| {
            let expected = &golden[image.layers[run.layer].tensor];
            let result = findings.take(count, image, expected, &predicted[run.layer], &run);
            progress();
            failure = result.err();
            failure.is_none()
        })?;
        self.images += 1;
        failure.map_or(Ok(()), Err)
    }
}

/// A layer before it has run, and the predictions for its descriptors.
fn expectation(
    network: &IntegerNetwork,
    compiled: &Compiled,
    index: usize,
    architecture: &Architecture,
) -> (Layer, Vec<Cycles>) {
    let layer = &compiled.image.layers[index];
    let infos = || {
        compiled
            .descriptors
            .iter()
            .filter(|info| info.layer == index)
    };
    let predicted: Vec<Cycles> = infos()
        .map(|info| cycles::predict(info, architecture))
        .collect();
    let source = network.layers.iter().find(|l| l.output == layer.tensor);
    let macs = source.map_or(0, |source| network.layer_macs(source));
    let mac_bits = infos().map(|info| info.mac_bits).sum();
    let layer = Layer {
        name: layer.name.clone(),
        convolution: infos().any(|info| info.descriptor.opcode == Opcode::Convolution as i64),
        descriptors: layer.descriptors,
        macs,
        bits_avg: if macs == 0 {
            0.0
        } else {
            mac_bits as f64 / macs as f64
        },
        mac_bits,
        cycles_predicted: predicted.iter().map(|cycles| cycles.cycles).sum(),
        cycles_measured: 0,
        // An empty sum of floats is -0.
        bound_cycles: 0.0
            + infos()
                .map(|info| cycles::bound(info, architecture))
                .sum::<f64>(),
        busy_fraction: 0.0,
        fill_stall: 0,
        drain_stall: 0,
        mismatches: 0,
        counter_mismatches: 0,
    };
    (layer, predicted)
}

impl Findings {
    fn take(
        &mut self,
        count: usize,
        image: &bitweft_isa::image::Image,
        expected: &Array3<u8>,
        predicted: &[Cycles],
        run: &LayerRun,
    ) -> Result<()> {
        let (differing, first) = differences(count, run.layer, image, expected, &run.output)?;
        self.mismatches += differing;
        self.difference = self.difference.take().or(first);
        let layer = &mut self.layers[run.layer];
        layer.mismatches += differing;
        ensure!(
            run.counters.len() == predicted.len(),
            "layer `{}`: counters of {} descriptors, {} were expected",
            layer.name,
            run.counters.len(),
            predicted.len()
        );
        let total = |counter: usize| -> u64 {
            run.counters
                .iter()
                .map(|four| u64::from(four[counter]))
                .sum()
        };
        if count == 0 {
            layer.cycles_measured = total(0);
            layer.busy_fraction = total(1) as f64 / total(0).max(1) as f64;
            layer.fill_stall = total(2);
            layer.drain_stall = total(3);
        }
        for (descriptor, (measured, p)) in run.counters.iter().zip(predicted).enumerate() {
            let expected = [p.cycles, p.busy, p.fill_stall, p.drain_stall];
            for (counter, (&measured, predicted)) in measured.iter().zip(expected).enumerate() {
                if u64::from(measured) == predicted {
                    continue;
                }
                layer.counter_mismatches += 1;
                self.counter_mismatches += 1;
                self.counter_difference.get_or_insert(CounterDifference {
                    image: count,
                    layer: layer.name.clone(),
                    descriptor,
                    counter: COUNTER_NAMES[counter].to_owned(),
                    predicted,
                    measured: u64::from(measured),
                });
            }
        }
        Ok(())
    }
}

/// Bytes in which an output `[h, w, c]` differs, and the first of them.
fn differences(
    image_index: usize,
    layer_index: usize,
    image: &bitweft_isa::image::Image,
    golden: &Array3<u8>,
    found: &[u8],
) -> Result<(u64, Option<Difference>)> {
    let layer = &image.layers[layer_index].name;
    ensure!(
        golden.len() == found.len(),
        "layer `{layer}`: {} bytes, {} were expected",
        found.len(),
        golden.len()
    );
    let mut differing = golden
        .indexed_iter()
        .zip(found)
        .filter(|((_, golden), found)| golden != found);
    let first = differing
        .next()
        .map(|(((y, x, filter), &golden), &found)| Difference {
            image: image_index,
            layer_index,
            layer: layer.clone(),
            filter,
            y,
            x,
            bit: (golden ^ found).trailing_zeros(),
            golden,
            found,
        });
    let more = differing.count() as u64;
    Ok((more + u64::from(first.is_some()), first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitweft_isa::{image, layout::Placement};

    #[test]
    fn the_first_difference_is_found_with_its_place_and_bit() {
        let output = Placement {
            base: 0,
            height: 2,
            width: 3,
            channels: 4,
        };
        let layer = |name: &str| image::Layer {
            name: name.into(),
            tensor: 0,
            output,
            descriptors: 1,
            restores: Vec::new(),
        };
        let program = image::Image {
            fingerprint: 0,
            network: String::new(),
            input_tensor: 0,
            input: output,
            phases: Vec::new(),
            layers: vec![layer("first"), layer("second")],
        };
        let golden = Array3::from_elem((2, 3, 4), 0b1010);
        let mut found = vec![0b1010; 24];
        let none = differences(5, 1, &program, &golden, &found).expect("same size");
        assert_eq!(none, (0, None));
        // Byte 23 is the last one; byte 17 = (y 1, x 1, filter 1).
        found[23] = 0;
        found[17] = 0b0010;
        let (count, first) = differences(5, 1, &program, &golden, &found).expect("same size");
        assert_eq!(count, 2);
        let expected = Difference {
            image: 5,
            layer_index: 1,
            layer: "second".into(),
            filter: 1,
            y: 1,
            x: 1,
            bit: 3,
            golden: 0b1010,
            found: 0b0010,
        };
        assert_eq!(first, Some(expected));
        assert!(differences(5, 1, &program, &golden, &found[1..]).is_err());
    }
}
