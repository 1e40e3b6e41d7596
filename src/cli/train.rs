//! `bitweft train`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use bitweft::model::bwfile;
use bitweft::model::data::Dataset;
use bitweft::model::load::Model;
use bitweft::quant::Objective;
use bitweft::train::{Augmentation, Cost, EpochReport, Options, Processor, Trainer, Widths};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::{Console, grouped, table};
use super::evaluate::integer_hits;
use super::exit::{Exit, UsageError};
use super::options::{InputArguments, RoundingArgument, spread};
use super::output::{check_extension, check_output};

/// Train a float network at low widths: steps, weights and biases of every filter, and its width.
#[derive(Args)]
pub(crate) struct Train {
    /// Float network (.tflite, .onnx).
    model: PathBuf,
    /// Labelled images to train on.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Train on the first N images only.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Labelled images on which every epoch's integer network is evaluated.
    #[arg(long, value_name = "DATA")]
    validation: Option<PathBuf>,
    /// Bits on the average that the objective counts, at most.
    #[arg(long, value_name = "BITS")]
    budget: f64,
    /// What the budget counts.
    #[arg(long, value_enum, default_value = "time")]
    objective: ObjectiveArgument,
    /// Where the filters' widths come from.
    #[arg(long, value_enum, default_value = "allocated")]
    widths: WidthsArgument,
    /// Epochs until learned widths are settled (half of all, unless stated).
    #[arg(long, value_name = "N")]
    width_epochs: Option<usize>,
    /// Weight of what exceeds the budget, for learned widths.
    #[arg(long, value_name = "X", default_value_t = 10.0)]
    penalty: f64,
    /// Passes over the images.
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: usize,
    /// Images an update.
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
    /// Most that an update moves a weight, in steps of its filter; falls to 0.
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    learning_rate: f64,
    /// Part of the loss that is the distance to the float network's answers; the rest is that to the labels.
    #[arg(long, value_name = "PART", default_value_t = 0.9)]
    distillation: f64,
    /// Divides the logits of both networks before they are compared.
    #[arg(long, value_name = "X", default_value_t = 4.0)]
    temperature: f64,
    /// Changes to the images (flip-shift for pixels of three channels, shift for one, unless stated).
    #[arg(long, value_enum)]
    augment: Option<AugmentArgument>,
    /// Seed of the images' order and changes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Images of the data to calibrate on, taken evenly.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Rounding of every requantization.
    #[arg(long, value_enum, default_value = "single")]
    requantization: RoundingArgument,
    /// Written after every epoch; where it is there, the run goes on from it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// What to train on.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceArgument,
    #[command(flatten)]
    input: InputArguments,
    /// The integer network's file (.bw).
    #[arg(short, long, value_name = "OUT.bw")]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum ObjectiveArgument {
    /// MACs x bits.
    Time,
    /// Weights x bits.
    Size,
}

#[derive(Clone, Copy, ValueEnum)]
enum WidthsArgument {
    /// The post-training allocation within the budget, 0 to 8 bits.
    Allocated,
    /// Learned with the steps, 2 to 8 bits.
    Learned,
}

#[derive(Clone, Copy, ValueEnum)]
enum AugmentArgument {
    /// The images as they are.
    None,
    /// Shifted by up to an eighth of the sides.
    Shift,
    /// Shifted, and mirrored half the time.
    FlipShift,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceArgument {
    /// This machine's cores.
    Cpu,
    /// The first CUDA device.
    #[cfg(feature = "train-cuda")]
    Cuda,
    /// A device of Vulkan, Metal or DirectX.
    #[cfg(feature = "train-wgpu")]
    Wgpu,
}

#[derive(Serialize)]
struct Epoch {
    #[serde(flatten)]
    report: EpochReport,
    average_bits: f64,
    average_weight_bits: f64,
    validation_top1: Option<f64>,
}

#[derive(Serialize)]
struct LayerWidths {
    name: String,
    macs: u64,
    weights: u64,
    bits: Vec<u8>,
    average_bits: f64,
}

#[derive(Serialize)]
struct Trained {
    network: String,
    output: PathBuf,
    #[serde(flatten)]
    cost: Cost,
    average_bits: f64,
    average_weight_bits: f64,
    validation_top1: Option<f64>,
    layers: Vec<LayerWidths>,
    epochs: Vec<Epoch>,
    options: Options,
    seconds: f64,
}

impl Train {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let start = Instant::now();
        let inputs = [&self.model, &self.data].into_iter();
        check_output(&self.output, inputs.chain(&self.validation))?;
        check_extension(&self.output)?;
        let network = match self.input.load_model(&self.model)? {
            Model::Float(network) => network,
            Model::Integer(_) => {
                let message = format!(
                    "{} is an integer network already: train takes a float one",
                    self.model.display()
                );
                return Err(UsageError(message).into());
            }
        };
        let shape = network.tensors[network.input].shape;
        let data = self
            .input
            .load_data(&self.data, shape, self.limit.map(NonZeroUsize::get))?;
        let validation = self
            .validation
            .as_deref()
            .map(|path| self.input.load_data(path, shape, None))
            .transpose()?;
        if let Some(data) = &validation {
            labels_of(data)?;
        }
        let wanted = usize::try_from(self.images).unwrap_or(usize::MAX);
        let calibration = spread(&network, &data, wanted)?;
        let options = self.options(&data);
        console.note(format!(
            "quantizing on {} images, then training on {}",
            calibration.len(),
            data.len()
        ));
        let processor = self.device.processor();
        let mut trainer = Trainer::new(&network, &data, &calibration, options.clone(), processor)?;
        let epochs = self.epochs(&mut trainer, validation.as_ref(), console)?;
        let integer = trainer.network();
        bwfile::write(&self.output, &integer)?;
        let cost = trainer.cost();
        let trained = Trained {
            network: integer.name,
            output: self.output.clone(),
            cost,
            average_bits: cost.average_bits(),
            average_weight_bits: cost.average_weight_bits(),
            validation_top1: epochs.last().and_then(|epoch| epoch.validation_top1),
            layers: trainer.layers().map(LayerWidths::of).collect(),
            epochs,
            options,
            seconds: start.elapsed().as_secs_f64(),
        };
        console.result(&trained, || text(&trained))?;
        Ok(Exit::Success)
    }

    fn options(&self, data: &Dataset) -> Options {
        Options {
            budget: self.budget,
            objective: match self.objective {
                ObjectiveArgument::Time => Objective::Time,
                ObjectiveArgument::Size => Objective::Size,
            },
            widths: match self.widths {
                WidthsArgument::Allocated => Widths::Allocated,
                WidthsArgument::Learned => Widths::Learned,
            },
            width_epochs: self.width_epochs.unwrap_or(self.epochs.div_ceil(2)),
            penalty: self.penalty,
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            distillation: self.distillation,
            temperature: self.temperature,
            augmentation: match self.augment {
                None => Augmentation::for_data(data),
                Some(AugmentArgument::None) => Augmentation::None,
                Some(AugmentArgument::Shift) => Augmentation::Shift,
                Some(AugmentArgument::FlipShift) => Augmentation::FlipShift,
            },
            seed: self.seed,
            rounding: self.requantization.family(),
        }
    }

    /// Trains to the end, from the checkpoint where there is one; reports the epochs.
    fn epochs(
        &self,
        trainer: &mut Trainer<'_>,
        validation: Option<&Dataset>,
        console: &Console,
    ) -> Result<Vec<Epoch>> {
        if let Some(path) = self.checkpoint.as_deref().filter(|path| path.exists()) {
            trainer.resume(path)?;
            console.note(format!(
                "{}: {} of {} epochs are done",
                path.display(),
                trainer.history().len(),
                self.epochs
            ));
        }
        let mut epochs: Vec<Epoch> = trainer.history().iter().map(Epoch::of).collect();
        while !trainer.is_done() {
            let mut epoch = Epoch::of(&trainer.epoch()?);
            if let Some(path) = &self.checkpoint {
                trainer.save(path)?;
            }
            epoch.validation_top1 = validation
                .map(|data| top1(trainer, data, console))
                .transpose()?;
            console.note(epoch.line(self.epochs));
            epochs.push(epoch);
        }
        if let (Some(last), Some(data)) = (epochs.last_mut(), validation)
            && last.validation_top1.is_none()
        {
            last.validation_top1 = Some(top1(trainer, data, console)?);
        }
        Ok(epochs)
    }
}

fn labels_of(data: &Dataset) -> Result<&[usize]> {
    let labels = data.labels.as_deref();
    labels.with_context(|| format!("validation data `{}` has no labels", data.name))
}

/// Accuracy of the present integer network on the golden model.
fn top1(trainer: &Trainer<'_>, data: &Dataset, console: &Console) -> Result<f64> {
    let [hits, _] = integer_hits(&trainer.network(), data, labels_of(data)?, console)?;
    Ok(hits as f64 / data.len() as f64)
}

impl DeviceArgument {
    fn processor(self) -> Processor {
        match self {
            Self::Cpu => Processor::Cpu,
            #[cfg(feature = "train-cuda")]
            Self::Cuda => Processor::Cuda,
            #[cfg(feature = "train-wgpu")]
            Self::Wgpu => Processor::Wgpu,
        }
    }
}

impl Epoch {
    fn of(report: &EpochReport) -> Self {
        Self {
            average_bits: report.cost.average_bits(),
            average_weight_bits: report.cost.average_weight_bits(),
            validation_top1: None,
            report: report.clone(),
        }
    }

    fn line(&self, epochs: usize) -> String {
        let report = &self.report;
        let validation = self
            .validation_top1
            .map_or_else(String::new, |top1| format!(", validation {top1:.4}"));
        format!(
            "epoch {}/{epochs}: loss {:.4}, accuracy {:.4}{validation}, {:.3} bits a MAC, {:.3} bits a weight, C {}, {:.0} s",
            report.epoch,
            report.loss,
            report.accuracy,
            self.average_bits,
            self.average_weight_bits,
            grouped(report.cost.mac_bits),
            report.seconds,
        )
    }
}

impl LayerWidths {
    fn of((name, macs, weights, bits): (&str, u64, u64, &[u8])) -> Self {
        let total: u64 = bits.iter().map(|b| u64::from(*b)).sum();
        Self {
            name: name.to_owned(),
            macs,
            weights,
            bits: bits.to_vec(),
            average_bits: total as f64 / bits.len().max(1) as f64,
        }
    }
}

fn text(trained: &Trained) -> String {
    let rows = trained.layers.iter().map(|layer| {
        let ends = [layer.bits.iter().min(), layer.bits.iter().max()];
        let [least, most] = ends.map(|bits| bits.map_or(String::new(), u8::to_string));
        vec![
            layer.name.clone(),
            grouped(layer.macs),
            grouped(layer.weights),
            least,
            format!("{:.2}", layer.average_bits),
            most,
        ]
    });
    let header = ["layer", "MACs", "weights", "least", "bits", "most"];
    let validation = trained
        .validation_top1
        .map_or_else(String::new, |top1| format!("; validation top-1 {top1:.4}"));
    format!(
        "{}\n{:.3} bits a MAC, {:.3} bits a weight{validation}; {} written",
        table(&header, 1, rows.collect()),
        trained.average_bits,
        trained.average_weight_bits,
        trained.output.display(),
    )
}
