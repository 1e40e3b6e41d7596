//! `bitweft compile`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bitweft::compiler::{Compiled, compile, cycles};
use bitweft::model::integer::IntegerNetwork;
use bitweft_isa::architecture::Architecture;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::console::{Console, grouped, table};
use super::exit::Exit;
use super::options::{ArchitectureArguments, NetworkArguments};
use super::output::{check_output, write_file};

/// Compile a network to a program image for an architecture.
#[derive(Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    arch: ArchitectureArguments,
    /// The program image.
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) network: String,
    pub(crate) architecture: String,
    pub(crate) output: PathBuf,
    pub(crate) image_bytes: usize,
    pub(crate) phases: usize,
    pub(crate) layers: Vec<Layer>,
    pub(crate) descriptors: usize,
    pub(crate) cycles_predicted: u64,
    pub(crate) bound_cycles: f64,
    pub(crate) host_layers: Vec<String>,
}

/// A layer on the processor, for one image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) descriptors: usize,
    pub(crate) macs: u64,
    pub(crate) mac_bits: u64,
    pub(crate) cycles_predicted: u64,
    /// Cycles that no schedule can beat on the array.
    pub(crate) bound_cycles: f64,
}

impl Compile {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        check_output(&self.output, self.network.files())?;
        let board = self.arch.load()?;
        let network = self.network.load(None, console)?;
        let compiled = compile(&network, &board.architecture)
            .with_context(|| format!("{} for {}", network.name, board.name))?;
        let bytes = compiled.image.encode()?;
        write_file(&self.output, &bytes)?;
        let layers = layers(&network, &compiled, &board.architecture);
        let program = Program {
            network: network.name.clone(),
            architecture: board.name,
            output: self.output.clone(),
            image_bytes: bytes.len(),
            phases: compiled.image.phases.len(),
            descriptors: compiled.descriptors.len(),
            cycles_predicted: layers.iter().map(|layer| layer.cycles_predicted).sum(),
            bound_cycles: layers.iter().map(|layer| layer.bound_cycles).sum(),
            host_layers: host_layers(&network, &compiled),
            layers,
        };
        console.result(&program, || text(&program))?;
        Ok(Exit::Success)
    }
}

/// Names of the layers that the host computes.
pub(crate) fn host_layers(network: &IntegerNetwork, compiled: &Compiled) -> Vec<String> {
    let name = |&index: &usize| network.layers[index].name.clone();
    compiled.host_layers.iter().map(name).collect()
}

/// The program's layers with their predicted cycles.
pub(crate) fn layers(
    network: &IntegerNetwork,
    compiled: &Compiled,
    architecture: &Architecture,
) -> Vec<Layer> {
    let layer = |(index, layer): (usize, &bitweft_isa::image::Layer)| {
        let own = || {
            compiled
                .descriptors
                .iter()
                .filter(|info| info.layer == index)
        };
        let source = network.layers.iter().find(|l| l.output == layer.tensor);
        Layer {
            name: layer.name.clone(),
            descriptors: layer.descriptors,
            macs: source.map_or(0, |source| network.layer_macs(source)),
            mac_bits: own().map(|info| info.mac_bits).sum(),
            cycles_predicted: own()
                .map(|info| cycles::predict(info, architecture).cycles)
                .sum(),
            // An empty sum of floats is -0.
            bound_cycles: 0.0
                + own()
                    .map(|info| cycles::bound(info, architecture))
                    .sum::<f64>(),
        }
    };
    compiled
        .image
        .layers
        .iter()
        .enumerate()
        .map(layer)
        .collect()
}

fn text(program: &Program) -> String {
    let rows = program.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            layer.descriptors.to_string(),
            grouped(layer.macs),
            grouped(layer.mac_bits),
            grouped(layer.cycles_predicted),
            format!("{:.0}", layer.bound_cycles),
        ]
    });
    let header = [
        "layer",
        "descriptors",
        "MACs",
        "MAC x bits",
        "cycles",
        "bound",
    ];
    format!(
        "{}\n{}: {} descriptors, {} phases, {} bytes; {} cycles (no schedule beats {:.0}){}",
        table(&header, 1, rows.collect()),
        program.output.display(),
        program.descriptors,
        program.phases,
        grouped(program.image_bytes as u64),
        grouped(program.cycles_predicted),
        program.bound_cycles,
        if program.host_layers.is_empty() {
            String::new()
        } else {
            format!("; on the host: {}", program.host_layers.join(", "))
        }
    )
}
