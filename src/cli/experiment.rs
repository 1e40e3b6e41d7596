//! `bitweft experiment`: what allocations of widths cost on the processor, and what they keep of the network.

mod ablation;
mod budgets;
mod correlation;
mod granularity;
mod judge;
mod objective;
mod pareto;
pub(crate) mod record;
pub(crate) mod study;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::console::Console;
use super::exit::Exit;

/// Compare allocations of widths: accuracy, exact cycles, weight size.
///
/// Cycles are predicted, exactly; --measure N checks N of the networks on the Verilated processor and exits with 3 on
/// any difference.
#[derive(Args)]
pub(crate) struct Experiment {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Ablation(ablation::AblationExperiment),
    Budgets(budgets::BudgetsExperiment),
    Correlation(correlation::CorrelationExperiment),
    Granularity(granularity::GranularityExperiment),
    Objective(objective::ObjectiveExperiment),
    Pareto(pareto::ParetoExperiment),
}

impl Experiment {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        match &self.what {
            What::Ablation(experiment) => experiment.run(console),
            What::Budgets(experiment) => experiment.run(console),
            What::Correlation(experiment) => experiment.run(console),
            What::Granularity(experiment) => experiment.run(console),
            What::Objective(experiment) => experiment.run(console),
            What::Pareto(experiment) => experiment.run(console),
        }
    }
}
