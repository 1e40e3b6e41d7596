//! `bitweft verify`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use bitweft::compiler::compile;
use bitweft::model::integer::IntegerNetwork;
use bitweft_sim::Profile;
use clap::Args;
use ndarray::{Array4, Axis};
use serde::{Deserialize, Serialize};

use super::compile::host_layers;
use super::console::{Console, grouped, table};
use super::cosimulation::{Cosimulation, Difference, Findings, library};
use super::exit::Exit;
use super::options::{ArchitectureArguments, Board, NetworkArguments};
use super::waveform;

/// Run a network on the Verilated processor, and compare every byte and every counter with the golden models.
///
/// Exits with 3 on any difference.
#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    arch: ArchitectureArguments,
    /// Input images (.npz, or a folder or .zip of pictures). A float network is calibrated on them, too, unless
    /// --calibration is given.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Run the first N images.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Simulate with assertions, and with random bits at power-up.
    #[arg(long)]
    check: bool,
    /// Write a waveform of the first layer that differs, or of the first layer.
    #[arg(long, value_name = "FILE.fst")]
    trace: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verification {
    pub(crate) network: String,
    pub(crate) architecture: String,
    pub(crate) images: usize,
    /// Bytes of all layers and images that were compared.
    pub(crate) bytes: u64,
    pub(crate) descriptors: usize,
    pub(crate) phases: usize,
    pub(crate) macs: u64,
    pub(crate) mac_bits: u64,
    pub(crate) cycles_predicted: u64,
    pub(crate) cycles_measured: u64,
    pub(crate) bound_cycles: f64,
    pub(crate) clock_hz: Option<f64>,
    /// By the measured cycles alone: transfers to and from the host are not counted.
    pub(crate) inferences_per_second: Option<f64>,
    pub(crate) seconds: f64,
    pub(crate) host_layers: Vec<String>,
    pub(crate) trace: Option<PathBuf>,
    #[serde(flatten)]
    pub(crate) findings: Findings,
}

impl Verify {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let board = self.arch.load()?;
        let network = self.network.load(Some(&self.data), console)?;
        let shape = network.tensors[network.input].shape;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let data = self
            .network
            .input
            .load_data(&self.data, shape, Some(limit))?;
        let inputs = data.bytes_for(&network, 0..data.len())?;
        let profile = if self.check {
            Profile::Check
        } else {
            Profile::Fast
        };
        let context = || format!("{} on {}", network.name, board.name);
        let compiled = compile(&network, &board.architecture).with_context(context)?;
        let library = library(&board.architecture, profile, console)?;
        let start = Instant::now();
        let mut cosimulation = Cosimulation::new(&network, compiled, &board.architecture, &library)
            .with_context(context)?;
        let bar = console.bar(inputs.dim().0 * cosimulation.layer_count(), "simulating");
        for input in inputs.outer_iter() {
            cosimulation
                .run(input, || bar.inc(1))
                .with_context(context)?;
        }
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        if let Some(path) = &self.trace {
            record(&network, &board, &cosimulation, &inputs, path, console)?;
        }
        let mut result = verification(&network, &board, &cosimulation, inputs.dim().0, seconds);
        result.trace = self.trace.clone();
        console.result(&result, || text(&result))?;
        Ok(if result.findings.is_clean() {
            Exit::Success
        } else {
            Exit::Mismatch
        })
    }
}

/// The waveform of the first layer that differs, on the image on which it does.
fn record(
    network: &IntegerNetwork,
    board: &Board,
    cosimulation: &Cosimulation,
    inputs: &Array4<u8>,
    path: &Path,
    console: &Console,
) -> Result<()> {
    let findings = cosimulation.findings();
    let (image, layer) = findings
        .difference
        .as_ref()
        .map_or((0, 0), |first| (first.image, first.layer_index));
    let library = library(&board.architecture, Profile::Trace, console)?;
    let program = &cosimulation.compiled().image;
    let golden = bitweft::golden::network::run(network, inputs.index_axis(Axis(0), image))?;
    let input: Vec<u8> = golden[program.input_tensor].iter().copied().collect();
    let spinner = console.spinner("recording");
    waveform::record(&library, &board.architecture, program, &input, layer, path)?;
    spinner.finish_and_clear();
    console.note(format!(
        "{}: layer `{}` on image {image}",
        path.display(),
        program.layers[layer].name
    ));
    Ok(())
}

fn verification(
    network: &IntegerNetwork,
    board: &Board,
    cosimulation: &Cosimulation,
    images: usize,
    seconds: f64,
) -> Verification {
    let compiled = cosimulation.compiled();
    let findings = cosimulation.findings().clone();
    let layer_bytes = |layer: &bitweft_isa::image::Layer| {
        (layer.output.height * layer.output.width * layer.output.channels) as u64
    };
    let bytes: u64 = compiled.image.layers.iter().map(layer_bytes).sum();
    let cycles_measured = findings.cycles_measured();
    Verification {
        network: network.name.clone(),
        architecture: board.name.clone(),
        images,
        bytes: bytes * images as u64,
        descriptors: compiled.descriptors.len(),
        phases: compiled.image.phases.len(),
        macs: findings.layers.iter().map(|layer| layer.macs).sum(),
        mac_bits: findings.layers.iter().map(|layer| layer.mac_bits).sum(),
        cycles_predicted: findings.layers.iter().map(|l| l.cycles_predicted).sum(),
        cycles_measured,
        bound_cycles: findings.layers.iter().map(|l| l.bound_cycles).sum(),
        clock_hz: board.clock_hertz,
        inferences_per_second: board
            .clock_hertz
            .map(|clock| clock / cycles_measured.max(1) as f64),
        seconds,
        host_layers: host_layers(network, compiled),
        trace: None,
        findings,
    }
}

fn text(result: &Verification) -> String {
    let rows = result.findings.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            layer.descriptors.to_string(),
            grouped(layer.macs),
            format!("{:.2}", layer.bits_avg),
            grouped(layer.cycles_predicted),
            grouped(layer.cycles_measured),
            format!("{:.0}", layer.bound_cycles),
            format!("{:.1}", 100.0 * layer.busy_fraction),
            layer.fill_stall.to_string(),
            layer.drain_stall.to_string(),
            layer.mismatches.to_string(),
        ]
    });
    let header = [
        "layer",
        "descriptors",
        "MACs",
        "bits",
        "predicted",
        "measured",
        "bound",
        "busy %",
        "fill stall",
        "drain stall",
        "mismatches",
    ];
    let mut lines = vec![
        table(&header, 1, rows.collect()),
        format!(
            "{} on {}, {} images: {} of {} bytes differ; {} counters of {} descriptors differ from their prediction",
            result.network,
            result.architecture,
            result.images,
            grouped(result.findings.mismatches),
            grouped(result.bytes),
            result.findings.counter_mismatches,
            result.descriptors,
        ),
        format!(
            "{} cycles an image, {} predicted, at least {:.0} by the array; simulated in {:.1} s",
            grouped(result.cycles_measured),
            grouped(result.cycles_predicted),
            result.bound_cycles,
            result.seconds
        ),
    ];
    if let (Some(rate), Some(clock)) = (result.inferences_per_second, result.clock_hz) {
        let mhz = clock / 1e6;
        lines.push(format!(
            "{rate:.1} inferences a second at {mhz} MHz, transfers not counted"
        ));
    }
    lines.extend(difference_lines(&result.findings));
    lines.join("\n")
}

/// The first differences, in words.
pub(super) fn difference_lines(findings: &Findings) -> Vec<String> {
    let bytes = |first: &Difference, what: &str| {
        format!(
            "first difference, {what}: image {}, layer `{}`, filter {}, pixel (y {}, x {}), bit {}: golden network {}, found {}",
            first.image,
            first.layer,
            first.filter,
            first.y,
            first.x,
            first.bit,
            first.golden,
            first.found
        )
    };
    let mut lines = Vec::new();
    if let Some(first) = &findings.difference {
        lines.push(bytes(first, "processor"));
    }
    if let Some(first) = &findings.machine_difference {
        lines.push(bytes(first, "golden machine"));
    }
    if let Some(first) = &findings.counter_difference {
        lines.push(format!(
            "first counter that differs: image {}, layer `{}`, descriptor {}, {}: {} predicted, {} measured",
            first.image,
            first.layer,
            first.descriptor,
            first.counter,
            first.predicted,
            first.measured
        ));
    }
    lines
}
