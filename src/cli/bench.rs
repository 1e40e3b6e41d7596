//! `bitweft bench`: measurements.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bitweft::compiler::compile;
use bitweft::model::load::Model;
use bitweft::quant::{Allocation, Options, Quantizer};
use bitweft_sim::Profile;
use clap::{Args, Subcommand};
use ndarray::Axis;
use serde::Serialize;

use super::console::{Console, grouped, table};
use super::cosimulation::{Cosimulation, library};
use super::exit::{Exit, UsageError};
use super::options::{ArchitectureArguments, Board, InputArguments};
use super::statistics::pearson;

/// Calibration images, spread evenly over the data.
const CALIBRATION_IMAGES: usize = 256;

/// Measure.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Cycles(CyclesBench),
}

/// Cycles of the convolutions against MACs x bits, over several budgets.
///
/// Quantizes the network at every budget and verifies it on one image. Exits with 3 on any difference.
#[derive(Args)]
struct CyclesBench {
    /// Float network (.tflite, .onnx).
    model: PathBuf,
    /// Images to calibrate on; the first one is run.
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    #[command(flatten)]
    arch: ArchitectureArguments,
    /// MAC-weighted average bits.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "2,3,4,6,8"
    )]
    budgets: Vec<f64>,
    #[command(flatten)]
    input: InputArguments,
}

#[derive(Serialize)]
struct Cycles {
    network: String,
    architecture: String,
    budgets: Vec<Budget>,
    /// Correlation of cycles and MACs x bits over the networks.
    r: Option<f64>,
    /// The same over all convolutions of all networks.
    r_layers: Option<f64>,
    mismatches: u64,
    counter_mismatches: u64,
}

/// The convolutions of one network.
#[derive(Serialize)]
struct Budget {
    budget: f64,
    bits_avg: f64,
    mac_bits: u64,
    cycles_measured: u64,
    bound_cycles: f64,
    /// Measured cycles over the bound.
    ratio: f64,
    mismatches: u64,
    counter_mismatches: u64,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    mac_bits: u64,
    cycles_measured: u64,
    bound_cycles: f64,
}

impl Bench {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        match &self.what {
            What::Cycles(bench) => bench.run(console),
        }
    }
}

impl CyclesBench {
    fn run(&self, console: &Console) -> Result<Exit> {
        let board = self.arch.load()?;
        let Model::Float(network) = self.input.load_model(&self.model)? else {
            let message = format!(
                "{}: bench cycles quantizes a float network",
                self.model.display()
            );
            return Err(UsageError(message).into());
        };
        let images = self
            .input
            .calibration(&network, &self.calibration, CALIBRATION_IMAGES)?;
        let spinner = console.spinner("calibrating");
        let quantizer = Quantizer::new(&network, &images, Options::default())?;
        spinner.finish_and_clear();
        let library = library(&board.architecture, Profile::Fast, console)?;
        let bar = console.bar(self.budgets.len(), "budgets");
        let mut budgets = Vec::with_capacity(self.budgets.len());
        for &budget in &self.budgets {
            let found = self
                .measure(budget, &quantizer, &board, &library)
                .with_context(|| format!("budget {budget}"))?;
            budgets.push(found);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let result = summary(network.name.clone(), board.name, budgets);
        console.result(&result, || text(&result))?;
        Ok(if result.mismatches + result.counter_mismatches == 0 {
            Exit::Success
        } else {
            Exit::Mismatch
        })
    }

    fn measure(
        &self,
        budget: f64,
        quantizer: &Quantizer,
        board: &Board,
        library: &bitweft_sim::Library,
    ) -> Result<Budget> {
        let (network, report) = quantizer.quantize(Allocation::PerFilter(budget))?;
        let shape = network.tensors[network.input].shape;
        let data = self.input.load_data(&self.calibration, shape, Some(1))?;
        let input = data.bytes_for(&network, 0..1)?;
        let compiled = compile(&network, &board.architecture)?;
        let mut cosimulation = Cosimulation::new(&network, compiled, &board.architecture, library)?;
        cosimulation.run(input.index_axis(Axis(0), 0), || ())?;
        let findings = cosimulation.findings();
        let layers: Vec<Layer> = findings
            .layers
            .iter()
            .filter(|layer| layer.convolution)
            .map(|layer| Layer {
                name: layer.name.clone(),
                mac_bits: layer.mac_bits,
                cycles_measured: layer.cycles_measured,
                bound_cycles: layer.bound_cycles,
            })
            .collect();
        let cycles_measured: u64 = layers.iter().map(|layer| layer.cycles_measured).sum();
        let bound_cycles: f64 = layers.iter().map(|layer| layer.bound_cycles).sum();
        Ok(Budget {
            budget,
            bits_avg: report.average_bits,
            mac_bits: layers.iter().map(|layer| layer.mac_bits).sum(),
            cycles_measured,
            bound_cycles,
            ratio: cycles_measured as f64 / bound_cycles.max(1.0),
            mismatches: findings.mismatches + findings.machine_mismatches,
            counter_mismatches: findings.counter_mismatches,
            layers,
        })
    }
}

fn summary(network: String, architecture: String, budgets: Vec<Budget>) -> Cycles {
    let pair = |mac_bits: u64, cycles: u64| (mac_bits as f64, cycles as f64);
    let networks: Vec<_> = budgets
        .iter()
        .map(|budget| pair(budget.mac_bits, budget.cycles_measured))
        .collect();
    let layers: Vec<_> = budgets
        .iter()
        .flat_map(|budget| &budget.layers)
        .map(|layer| pair(layer.mac_bits, layer.cycles_measured))
        .collect();
    Cycles {
        network,
        architecture,
        r: pearson(&networks),
        r_layers: pearson(&layers),
        mismatches: budgets.iter().map(|budget| budget.mismatches).sum(),
        counter_mismatches: budgets.iter().map(|b| b.counter_mismatches).sum(),
        budgets,
    }
}

fn text(result: &Cycles) -> String {
    let rows = result.budgets.iter().map(|budget| {
        vec![
            format!("{}", budget.budget),
            format!("{:.3}", budget.bits_avg),
            grouped(budget.mac_bits),
            grouped(budget.cycles_measured),
            format!("{:.0}", budget.bound_cycles),
            format!("{:.3}", budget.ratio),
            budget.mismatches.to_string(),
            budget.counter_mismatches.to_string(),
        ]
    });
    let header = [
        "budget",
        "bits",
        "MAC x bits",
        "cycles",
        "bound",
        "ratio",
        "mismatches",
        "counters",
    ];
    let r = |value: Option<f64>| value.map_or("-".to_owned(), |r| format!("{r:.5}"));
    format!(
        "{}\n{} on {}: cycles of the convolutions against MACs x bits: r = {} over the networks, {} over all convolutions",
        table(&header, 0, rows.collect()),
        result.network,
        result.architecture,
        r(result.r),
        r(result.r_layers)
    )
}
