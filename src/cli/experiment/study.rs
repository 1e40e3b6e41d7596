//! A float network, calibrated once, and what its allocations cost on a processor.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bitweft::compiler::compile;
use bitweft::model::float::FloatNetwork;
use bitweft::model::integer::IntegerNetwork;
use bitweft::model::load::Model;
use bitweft::quant::{Allocation, Objective, Options, Quantizer, Report};
use bitweft_sim::{Library, Profile};
use clap::Args;
use ndarray::{Array3, Axis};

use super::judge::Judge;
use super::record::{LayerWidths, Measured, Method, Point, Record, Setting};
use crate::cli::chart;
use crate::cli::compile::layers;
use crate::cli::console::Console;
use crate::cli::cosimulation::{Cosimulation, library};
use crate::cli::exit::{Exit, UsageError};
use crate::cli::options::{ArchitectureArguments, Board, InputArguments};
use crate::cli::output::{check_output, write_file};

/// A float network and what to calibrate it on.
#[derive(Args)]
pub(super) struct SourceArguments {
    /// Float network (.tflite, .onnx).
    model: PathBuf,
    /// Images to calibrate on.
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    /// Calibration images, taken evenly from the data.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Draw the result.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    pub(super) input: InputArguments,
}

/// What experiments on a processor take.
#[derive(Args)]
pub(super) struct StudyArguments {
    #[command(flatten)]
    pub(super) source: SourceArguments,
    /// tiny, a board's name (`bitweft boards check` lists them), or a TOML file with an [architecture] table.
    #[arg(long, value_name = "NAME|FILE", default_value = "tiny")]
    arch: String,
    /// Run N of the networks on the Verilated processor, too, on the first calibration image, and compare every
    /// byte and every counter.
    #[arg(long, value_name = "N", default_value_t = 0)]
    measure: usize,
}

/// A float network with the images to calibrate it on.
pub(super) struct Source {
    pub(super) network: FloatNetwork,
    /// Disjoint sets to calibrate on.
    pub(super) sets: Vec<Vec<Array3<f32>>>,
}

/// A float network with the images to calibrate it on, and a processor.
pub(super) struct Subject<'a> {
    arguments: &'a StudyArguments,
    pub(super) source: Source,
    board: Board,
}

/// Widths to try.
pub(super) struct Candidate {
    pub(super) method: Method,
    pub(super) objective: Option<Objective>,
    pub(super) budget: Option<f64>,
    /// `[convolution][filter]`.
    pub(super) bits: Vec<Vec<u8>>,
}

/// A calibrated network on a processor.
pub(super) struct Study<'a> {
    subject: &'a Subject<'a>,
    judge: Option<&'a Judge>,
    quantizer: Quantizer<'a>,
    console: &'a Console,
}

impl SourceArguments {
    /// Loads network and `sets` sets of images.
    pub(super) fn load(&self, sets: usize) -> Result<Source> {
        if let Some(path) = &self.svg {
            check_output(path, [&self.model, &self.calibration])?;
        }
        let Model::Float(network) = self.input.load_model(&self.model)? else {
            let message = format!(
                "{} is an integer network: an experiment quantizes a float one",
                self.model.display()
            );
            return Err(UsageError(message).into());
        };
        let wanted = usize::try_from(self.images).unwrap_or(usize::MAX);
        let images = self
            .input
            .calibration(&network, &self.calibration, wanted * sets)?;
        if images.len() < sets {
            let file = self.calibration.display();
            anyhow::bail!(
                "{file}: {} images for {sets} calibration sets",
                images.len()
            );
        }
        let set = |set: usize| images.iter().skip(set).step_by(sets).cloned().collect();
        Ok(Source {
            sets: (0..sets).map(set).collect(),
            network,
        })
    }

    /// What an experiment on `source` is made with.
    pub(super) fn setting(
        &self,
        source: &Source,
        quantizer: &Quantizer,
        judge: Option<&Judge>,
        board: Option<&Board>,
    ) -> Result<Setting> {
        let report = quantizer.plan(Allocation::Uniform(8))?;
        let file = self.calibration.file_name();
        let file = file.unwrap_or(self.calibration.as_os_str());
        Ok(Setting {
            network: source.network.name.clone(),
            architecture: board.map(|board| board.name.clone()),
            calibration: file.to_string_lossy().into_owned(),
            calibration_images: source.sets[0].len(),
            macs: report.macs,
            weights: report.weights,
            test: judge.map(Judge::test_set),
        })
    }

    /// Draws the result and prints it.
    pub(super) fn finish(&self, console: &Console, record: &Record) -> Result<Exit> {
        let outcome = record.outcome();
        if let Some(path) = &self.svg {
            write_file(path, chart::document(&outcome.charts()))?;
        }
        console.result(record, || outcome.text())?;
        Ok(Exit::Success)
    }
}

impl StudyArguments {
    /// Loads network, `sets` sets of images, and architecture.
    pub(super) fn subject(&self, sets: usize) -> Result<Subject<'_>> {
        let board = ArchitectureArguments::named(&self.arch).load()?;
        Ok(Subject {
            arguments: self,
            source: self.source.load(sets)?,
            board,
        })
    }

    /// Draws the result and prints it; the exit code says whether what was measured is as predicted.
    pub(super) fn finish(&self, console: &Console, record: &Record) -> Result<Exit> {
        let exit = self.source.finish(console, record)?;
        let points = record.outcome().points().iter();
        let measured: Vec<&Measured> = points.filter_map(|p| p.measured.as_ref()).collect();
        let differences = |found: &&Measured| found.mismatches + found.counter_mismatches;
        let wrong: u64 = measured.iter().map(differences).sum();
        if !measured.is_empty() {
            console.note(format!(
                "{} networks simulated on {}: {wrong} differences",
                measured.len(),
                self.arch
            ));
        }
        Ok(if wrong == 0 { exit } else { Exit::Mismatch })
    }
}

impl<'a> Study<'a> {
    /// Calibrates on one of the subject's sets, once for all allocations; `judge` measures accuracies.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        set: usize,
        judge: Option<&'a Judge>,
        console: &'a Console,
    ) -> Result<Self> {
        let spinner = console.spinner("calibrating");
        let source = &subject.source;
        let quantizer = Quantizer::new(&source.network, &source.sets[set], Options::default())?;
        spinner.finish_and_clear();
        Ok(Self {
            subject,
            judge,
            quantizer,
            console,
        })
    }

    /// What the experiment is made with.
    pub(super) fn setting(&self) -> Result<Setting> {
        let Subject {
            arguments,
            source,
            board,
        } = self.subject;
        let arguments = &arguments.source;
        arguments.setting(source, &self.quantizer, self.judge, Some(board))
    }

    /// Widths within a budget.
    pub(super) fn candidate(
        &self,
        allocation: Allocation,
        objective: Objective,
    ) -> Result<Candidate> {
        let report = self.quantizer.plan_for(allocation, objective)?;
        let (method, budget) = match allocation {
            Allocation::Uniform(bits) => (Method::Uniform, f64::from(bits)),
            Allocation::PerLayer(budget) => (Method::PerLayer, budget),
            Allocation::PerFilter(budget) => (Method::PerFilter, budget),
            Allocation::Distribution(budget) => (Method::Distribution, budget),
        };
        Ok(Candidate {
            method,
            objective: (method != Method::Uniform).then_some(objective),
            budget: Some(budget),
            bits: report.layers.into_iter().map(|layer| layer.bits).collect(),
        })
    }

    /// Quantizes, compiles and judges every candidate; `--measure` of them, evenly spread, are simulated.
    pub(super) fn points(&self, candidates: &[Candidate]) -> Result<Vec<Point>> {
        let measure = self.subject.arguments.measure.min(candidates.len());
        let library = if measure > 0 {
            let architecture = &self.subject.board.architecture;
            Some(library(architecture, Profile::Fast, self.console)?)
        } else {
            None
        };
        let simulated = |index: usize| {
            let count = candidates.len();
            (index + 1) * measure / count > index * measure / count
        };
        let bar = self.console.bar(candidates.len(), "networks");
        let points = candidates
            .iter()
            .enumerate()
            .map(|(index, candidate)| {
                let library = library.as_ref().filter(|_| simulated(index));
                let point = self.point(candidate, library).with_context(|| {
                    let method = candidate.method.name();
                    let board = &self.subject.board.name;
                    match candidate.budget {
                        Some(budget) => format!("{method} at {budget} bits on {board}"),
                        None => format!("{method} widths on {board}"),
                    }
                });
                bar.inc(1);
                point
            })
            .collect();
        bar.finish_and_clear();
        points
    }

    fn point(&self, candidate: &Candidate, library: Option<&Library>) -> Result<Point> {
        let architecture = &self.subject.board.architecture;
        let (network, report) = self.quantizer.quantize_to(&candidate.bits)?;
        let compiled = compile(&network, architecture)?;
        let layers = layers(&network, &compiled, architecture);
        let accuracy = self.judge.map(|judge| judge.judge(&network)).transpose()?;
        let measured = library
            .map(|library| self.simulate(&network, library))
            .transpose()?;
        Ok(Point {
            method: candidate.method,
            objective: candidate.objective,
            budget: candidate.budget,
            average_bits: report.average_bits,
            average_weight_bits: report.average_weight_bits,
            mac_bits: report.mac_bits,
            weight_bits: report.weight_bits,
            cycles: layers.iter().map(|layer| layer.cycles_predicted).sum(),
            bound_cycles: layers.iter().map(|layer| layer.bound_cycles).sum(),
            accuracy,
            measured,
            widths: widths(report),
            layers,
        })
    }

    fn simulate(&self, network: &IntegerNetwork, library: &Library) -> Result<Measured> {
        let subject = self.subject;
        let shape = network.tensors[network.input].shape;
        let arguments = &subject.arguments.source;
        let data = arguments
            .input
            .load_data(&arguments.calibration, shape, Some(1))?;
        let input = data.bytes_for(network, 0..1)?;
        let compiled = compile(network, &subject.board.architecture)?;
        let mut run = Cosimulation::new(network, compiled, &subject.board.architecture, library)?;
        run.run(input.index_axis(Axis(0), 0), || ())?;
        let findings = run.findings();
        Ok(Measured {
            cycles: findings.cycles_measured(),
            mismatches: findings.mismatches + findings.machine_mismatches,
            counter_mismatches: findings.counter_mismatches,
        })
    }
}

fn widths(report: Report) -> Vec<LayerWidths> {
    report
        .layers
        .into_iter()
        .map(|layer| LayerWidths {
            name: layer.name,
            bits: layer.bits,
        })
        .collect()
}
