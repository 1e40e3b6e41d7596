//! `bitweft demo`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use bitweft::compiler::compile;
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::embedded;
use bitweft::model::float::FloatNetwork;
use bitweft::model::integer::IntegerNetwork;
use bitweft::model::load::{Model, load_model};
use bitweft::quant::{Allocation, Options, Quantizer};
use bitweft_sim::{Library, Profile};
use clap::Args;
use ndarray::{Array3, Axis};
use serde::Serialize;

use super::console::{Console, grouped, table};
use super::cosimulation::{Cosimulation, Findings, library};
use super::evaluate::{float_hits, integer_hits};
use super::exit::Exit;
use super::options::{ArchitectureArguments, Board};
use super::verify::difference_lines;

/// Calibration images of a data set from outside.
const CALIBRATION: usize = 256;
/// Test images of a data set from outside.
const TEST: usize = 1000;

/// Show it all on the embedded network: mixed widths, Verilog, co-simulation, speed-up and accuracy.
///
/// Where the folder $BITWEFT_DATA (default ../shared/data) holds MLPerf Tiny's ResNet-8 and CIFAR-10, the same follows
/// on them. Exits with 3 on any difference between processor and golden models.
#[derive(Args)]
pub(crate) struct Demo {
    /// tiny, a board's name (`bitweft boards check` lists them), or a TOML file with an [architecture] table.
    #[arg(long, value_name = "NAME|FILE", default_value = "tiny")]
    arch: String,
    /// Bits on the MAC-weighted average that the mixed network may have.
    #[arg(long, value_name = "BITS", default_value_t = 4.0)]
    budget: f64,
    /// The embedded network only.
    #[arg(long)]
    embedded: bool,
}

/// A float network with images to calibrate on and labelled ones to test on.
struct Subject {
    network: FloatNetwork,
    calibration: Vec<Array3<f32>>,
    test: Dataset,
}

#[derive(Serialize)]
struct Demonstration {
    architecture: String,
    budget: f64,
    networks: Vec<Shown>,
    seconds: f64,
}

#[derive(Serialize)]
struct Shown {
    network: String,
    /// Test images.
    images: usize,
    top1_float: f64,
    uniform8: Quantized,
    mixed: Quantized,
    /// Measured cycles at 8 bits over those at mixed widths.
    speedup: f64,
}

#[derive(Serialize)]
struct Quantized {
    top1: f64,
    /// Bits a MAC, mean.
    average_bits: f64,
    cycles_measured: u64,
    #[serde(flatten)]
    findings: Findings,
}

impl Demo {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let start = Instant::now();
        let board = ArchitectureArguments::named(&self.arch).load()?;
        let library = library(&board.architecture, Profile::Fast, console)?;
        let mut subjects = vec![default_subject()?];
        if !self.embedded {
            match resnet8()? {
                Some(subject) => subjects.push(subject),
                None => {
                    console.note("ResNet-8 on CIFAR-10 left out: no such files in $BITWEFT_DATA")
                }
            }
        }
        let networks = subjects
            .iter()
            .map(|subject| self.show(subject, &board, &library, console))
            .collect::<Result<Vec<_>>>()?;
        let result = Demonstration {
            architecture: board.name,
            budget: self.budget,
            networks,
            seconds: start.elapsed().as_secs_f64(),
        };
        console.result(&result, || text(&result))?;
        let clean =
            |shown: &Shown| shown.uniform8.findings.is_clean() && shown.mixed.findings.is_clean();
        Ok(if result.networks.iter().all(clean) {
            Exit::Success
        } else {
            Exit::Mismatch
        })
    }

    fn show(
        &self,
        subject: &Subject,
        board: &Board,
        library: &Library,
        console: &Console,
    ) -> Result<Shown> {
        let name = &subject.network.name;
        console.note(format!(
            "{name}: quantizing, simulating, measuring accuracy"
        ));
        let spinner = console.spinner(&format!("calibrating {name}"));
        let quantizer = Quantizer::new(&subject.network, &subject.calibration, Options::default())?;
        spinner.finish_and_clear();
        let shown = |allocation| -> Result<Quantized> {
            let spinner = console.spinner(&format!("quantizing {name}"));
            let (network, report) = quantizer.quantize(allocation)?;
            spinner.finish_and_clear();
            let findings = simulate(&network, subject, board, library, console)
                .with_context(|| format!("{name} on {}", board.name))?;
            let labels = labels(&subject.test)?;
            let hits = integer_hits(&network, &subject.test, labels, console)?[0];
            Ok(Quantized {
                top1: hits as f64 / subject.test.len() as f64,
                average_bits: report.average_bits,
                cycles_measured: findings.cycles_measured(),
                findings,
            })
        };
        let uniform8 = shown(Allocation::Uniform(8))?;
        let mixed = shown(Allocation::PerFilter(self.budget))?;
        let labels = labels(&subject.test)?;
        let hits = float_hits(&subject.network, &subject.test, labels, console)?[0];
        Ok(Shown {
            network: name.clone(),
            images: subject.test.len(),
            top1_float: hits as f64 / subject.test.len() as f64,
            speedup: uniform8.cycles_measured as f64 / mixed.cycles_measured.max(1) as f64,
            uniform8,
            mixed,
        })
    }
}

/// Runs the first test image on the processor, through its host port, beside the golden models.
fn simulate(
    network: &IntegerNetwork,
    subject: &Subject,
    board: &Board,
    library: &Library,
    console: &Console,
) -> Result<Findings> {
    let inputs = subject.test.bytes_for(network, 0..1)?;
    let compiled = compile(network, &board.architecture)?;
    let mut cosimulation = Cosimulation::new(network, compiled, &board.architecture, library)?;
    let bar = console.bar(cosimulation.layer_count(), "simulating");
    cosimulation.run(inputs.index_axis(Axis(0), 0), || bar.inc(1))?;
    bar.finish_and_clear();
    Ok(cosimulation.findings().clone())
}

fn default_subject() -> Result<Subject> {
    let network = embedded::network()?;
    let images = embedded::images()?;
    let calibration = images.part(embedded::CALIBRATION)?;
    Ok(Subject {
        calibration: spread(&network, &calibration, calibration.len())?,
        test: images.part(embedded::TEST)?,
        network,
    })
}

/// MLPerf Tiny's ResNet-8 on CIFAR-10, where the data folder has them.
fn resnet8() -> Result<Option<Subject>> {
    let folder = std::env::var_os("BITWEFT_DATA")
        .map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let network = folder.join("mlperf-tiny/pretrainedResnet.tflite");
    let train = folder.join("cifar10/train-10000.npz");
    let test = folder.join("cifar10/test-dev-3000.npz");
    if ![&network, &train, &test].iter().all(|path| path.exists()) {
        return Ok(None);
    }
    let Model::Float(network) = load_model(&network)? else {
        anyhow::bail!("{}: not a float network", network.display());
    };
    let options = DataOptions {
        limit: Some(TEST),
        ..DataOptions::default()
    };
    Ok(Some(Subject {
        calibration: spread(
            &network,
            &Dataset::load(&train, &DataOptions::default())?,
            CALIBRATION,
        )?,
        test: Dataset::load(&test, &options)?,
        network,
    }))
}

/// `count` images, evenly taken from the data, as real inputs.
fn spread(network: &FloatNetwork, data: &Dataset, count: usize) -> Result<Vec<Array3<f32>>> {
    let count = count.min(data.len());
    (0..count)
        .map(|index| {
            let at = index * data.len() / count;
            let image = data.reals_for(network, at..at + 1)?;
            Ok(image.index_axis(Axis(0), 0).to_owned())
        })
        .collect()
}

fn labels(data: &Dataset) -> Result<&[usize]> {
    data.labels
        .as_deref()
        .with_context(|| format!("{}: no labels", data.name))
}

fn text(result: &Demonstration) -> String {
    let mut lines = Vec::new();
    for shown in &result.networks {
        lines.push(format!(
            "{} on {}, at most {} bits a MAC",
            shown.network, result.architecture, result.budget
        ));
        lines.push(layers(&shown.mixed.findings));
        for (what, quantized) in [("8 bits", &shown.uniform8), ("mixed", &shown.mixed)] {
            let findings = &quantized.findings;
            lines.push(format!(
                "{what}: {:.2} bits a MAC, {} cycles an image; {} bytes and {} counters differ from the golden models",
                quantized.average_bits,
                grouped(quantized.cycles_measured),
                grouped(findings.mismatches + findings.machine_mismatches),
                findings.counter_mismatches,
            ));
            lines.extend(difference_lines(findings));
        }
        lines.push(format!(
            "mixed over 8 bits on the same processor: {:.2} times as fast",
            shown.speedup
        ));
        lines.push(format!(
            "top-1 on {} images: float {:.4}, 8 bits {:.4}, mixed {:.4}\n",
            shown.images, shown.top1_float, shown.uniform8.top1, shown.mixed.top1
        ));
    }
    lines.push(format!("{:.0} s", result.seconds));
    lines.join("\n")
}

fn layers(findings: &Findings) -> String {
    let rows = findings.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            grouped(layer.macs),
            format!("{:.2}", layer.bits_avg),
            grouped(layer.cycles_predicted),
            grouped(layer.cycles_measured),
            format!("{:.1}", 100.0 * layer.busy_fraction),
        ]
    });
    let header = ["layer", "MACs", "bits", "predicted", "measured", "busy %"];
    table(&header, 1, rows.collect())
}
