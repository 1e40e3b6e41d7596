//! How `quantize` finds widths and integers, as arguments.

use anyhow::{Context, Result, ensure};
use bitweft::compiler::{compile, cycles};
use bitweft::model::float::FloatNetwork;
use bitweft::model::integer::IntegerNetwork;
use bitweft::quant::{
    Allocation, Objective, Options, Quantizer, RangeMethod, Report, Scheme, WeightRounding,
    Weighting,
};
use bitweft_isa::architecture::Architecture;
use clap::{Args, ValueEnum};
use ndarray::Array3;

use super::cycle_cost::CycleCost;
use super::exit::UsageError;
use super::options::{ArchitectureArguments, Board, WidthArguments};

/// What widths are found from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// What each filter loses at each width on the calibration images.
    Sensitivity,
    /// The spread of each filter's weights alone (COOL Chips 2019); images serve activations and rounding.
    Distribution,
}

/// What a budget counts.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ObjectiveArgument {
    /// MACs x bits: the budget is bits a MAC on average.
    Bits,
    /// Weight data: the budget is bits a weight on average.
    Size,
    /// Predicted cycles an image on --arch: the budget is their number.
    Cycles,
}

/// How real weights become integers.
#[derive(Clone, Copy, ValueEnum)]
enum WeightRoundingArgument {
    /// Each weight by itself, at the filter's best step.
    Nearest,
    /// Each weight's error is made up for by the weights after it (GPTQ), then single weights are improved.
    Feedback,
    /// Up or down is learned for all weights of a filter together (AdaRound).
    Adaround,
}

/// What 256 levels of an activation span.
#[derive(Clone, Copy, ValueEnum)]
enum RangeArgument {
    /// What gives the least squared error.
    Mse,
    /// Smallest to largest value.
    MinMax,
    /// All but one value in 10,000 on each side.
    Percentile,
}

/// What makes the losses of different layers comparable.
#[derive(Clone, Copy, ValueEnum)]
enum WeightingArgument {
    /// Error of the weights as a part of the layer's weights: no image counts.
    Weights,
    /// Noise at the layer's output.
    Output,
    /// Noise as a part of the layer's output variance.
    Energy,
    /// What noise does to the network's answer (Fisher information).
    Fisher,
}

/// How widths and integers are found.
#[derive(Args)]
pub(crate) struct MethodArguments {
    /// What widths are found from (sensitivity if not given).
    #[arg(long, value_enum, conflicts_with = "uniform")]
    method: Option<Method>,
    /// What the budget counts (bits if not given).
    #[arg(long, value_enum, conflicts_with = "uniform")]
    objective: Option<ObjectiveArgument>,
    /// Architecture of --objective cycles: a shipped one's name, or a TOML file.
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// Rounding of weights.
    #[arg(long, value_enum, default_value = "feedback")]
    rounding: WeightRoundingArgument,
    /// What makes the losses of different layers comparable (fisher if not given).
    #[arg(long, value_enum, conflicts_with = "uniform")]
    weighting: Option<WeightingArgument>,
    /// Range of activations.
    #[arg(long, value_enum, default_value = "mse")]
    activation_range: RangeArgument,
}

/// What a quantization gave.
pub(crate) struct Outcome {
    pub(crate) integer: IntegerNetwork,
    pub(crate) report: Report,
    /// Cycles an image, where they are the objective.
    pub(crate) cycles_predicted: Option<u64>,
}

impl MethodArguments {
    fn distribution(&self) -> bool {
        self.method == Some(Method::Distribution)
    }

    /// Refuses what contradicts itself, before anything is loaded; returns the board of the objective
    /// `cycles`.
    pub(crate) fn check(&self, widths: &WidthArguments) -> Result<Option<Board>> {
        let usage = |message: &str| Err(UsageError(message.to_owned()).into());
        let cycles = self.objective == Some(ObjectiveArgument::Cycles);
        if self.distribution() && widths.per_layer() {
            return usage(
                "--method distribution gives a width to every filter: leave --per-layer out",
            );
        }
        if self.distribution() && self.weighting.is_some() {
            return usage("--method distribution weighs no losses: leave --weighting out");
        }
        match (&self.arch, cycles) {
            (None, false) => Ok(None),
            (None, true) => usage("--objective cycles: name the architecture with --arch"),
            (Some(_), false) => usage("--arch is for --objective cycles alone: leave it out"),
            (Some(name), true) => {
                self.cycles(widths)?;
                ArchitectureArguments::named(name).load().map(Some)
            }
        }
    }

    /// The budget as a number of cycles.
    fn cycles(&self, widths: &WidthArguments) -> Result<u64> {
        let budget = match widths.required()? {
            Allocation::PerFilter(budget) | Allocation::PerLayer(budget) => budget,
            _ => 0.0,
        };
        if !(1.0..=1e15).contains(&budget) || budget.fract() != 0.0 {
            let message =
                format!("--objective cycles: --budget is a whole number of cycles, not {budget}");
            return Err(UsageError(message).into());
        }
        // Whole and small.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cycles = budget as u64;
        Ok(cycles)
    }

    fn options(&self, widths: &WidthArguments) -> Options {
        Options {
            objective: match self.objective {
                Some(ObjectiveArgument::Size) => Objective::Size,
                _ => Objective::Time,
            },
            weight_rounding: match self.rounding {
                WeightRoundingArgument::Nearest => WeightRounding::Nearest,
                WeightRoundingArgument::Feedback => WeightRounding::ErrorFeedback,
                WeightRoundingArgument::Adaround => WeightRounding::AdaRound,
            },
            activation_range: match self.activation_range {
                RangeArgument::Mse => RangeMethod::Mse,
                RangeArgument::MinMax => RangeMethod::MinMax,
                RangeArgument::Percentile => RangeMethod::Percentile(1e-4),
            },
            weighting: match self.weighting {
                Some(WeightingArgument::Weights) => Weighting::Weights,
                Some(WeightingArgument::Output) => Weighting::Output,
                Some(WeightingArgument::Energy) => Weighting::Energy,
                _ => Weighting::Fisher,
            },
            ..widths.options()
        }
    }

    /// Quantizes on real calibration images; `board` is what [`Self::check`] returned.
    pub(crate) fn quantize(
        &self,
        network: &FloatNetwork,
        images: &[Array3<f32>],
        widths: &WidthArguments,
        board: Option<&Board>,
    ) -> Result<Outcome> {
        let allocation = match (widths.required()?, self.distribution()) {
            (Allocation::PerFilter(budget), true) => Allocation::Distribution(budget),
            (allocation, _) => allocation,
        };
        let quantizer = Quantizer::new(network, images, self.options(widths))?;
        let Some(board) = board else {
            let (integer, report) = quantizer.quantize(allocation)?;
            return Ok(Outcome {
                integer,
                report,
                cycles_predicted: None,
            });
        };
        let scheme = match allocation {
            Allocation::PerLayer(_) => Scheme::PerLayer,
            Allocation::Distribution(_) => Scheme::Distribution,
            _ => Scheme::PerFilter,
        };
        let context = || format!("{} for {}", network.name, board.name);
        let limit = self.cycles(widths)?;
        let skeleton = quantizer.skeleton();
        let cost = CycleCost::new(&skeleton, &board.architecture).with_context(context)?;
        let (integer, report) = quantizer.quantize_within(scheme, &cost, limit)?;
        let cycles = predicted(&integer, &board.architecture).with_context(context)?;
        ensure!(
            cycles <= limit,
            "{}: {cycles} cycles after rounding, {limit} were promised",
            board.name
        );
        Ok(Outcome {
            integer,
            report,
            cycles_predicted: Some(cycles),
        })
    }
}

/// Cycles an image of the compiled network.
fn predicted(network: &IntegerNetwork, architecture: &Architecture) -> Result<u64> {
    let compiled = compile(network, architecture)?;
    let descriptors = compiled.descriptors.iter();
    Ok(descriptors
        .map(|info| cycles::predict(info, architecture).cycles)
        .sum())
}
