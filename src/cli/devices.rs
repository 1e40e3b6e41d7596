//! `bitweft devices`.

use std::path::PathBuf;

use anyhow::Result;
use bitweft::golden::devices::{DeviceComparison, DeviceOutputs, compare};
use bitweft::model::load::Model;
use clap::Args;
use serde::Serialize;

use super::console::{Console, table};
use super::exit::{Exit, UsageError};
use super::options::InputArguments;

/// Compare the golden model with what real devices answered, in both rounding families.
#[derive(Args)]
pub(crate) struct Devices {
    /// Integer network (.tflite, .onnx, .bw).
    model: PathBuf,
    /// The devices' inputs, with names (.npz).
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// What each device answered: .npz with `files` and `int8`.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    answers: Vec<PathBuf>,
    #[command(flatten)]
    input: InputArguments,
}

#[derive(Serialize)]
struct Comparison {
    network: String,
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Device {
    file: PathBuf,
    comparisons: [DeviceComparison; 2],
}

impl Devices {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let Model::Integer(network) = self.input.load_model(&self.model)? else {
            let message = format!("{}: devices runs integer networks", self.model.display());
            return Err(UsageError(message).into());
        };
        let shape = network.tensors[network.input].shape;
        let data = self.input.load_data(&self.data, shape, None)?;
        let bar = console.bar(self.answers.len(), "comparing");
        let mut devices = Vec::with_capacity(self.answers.len());
        for file in &self.answers {
            let comparisons = compare(&network, &data, &DeviceOutputs::read(file)?)?;
            devices.push(Device {
                file: file.clone(),
                comparisons,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let comparison = Comparison {
            network: network.name,
            devices,
        };
        console.result(&comparison, || text(&comparison))?;
        Ok(Exit::Success)
    }
}

fn text(comparison: &Comparison) -> String {
    let rows = comparison.devices.iter().flat_map(|device| {
        let name = device.file.file_stem().unwrap_or_default();
        device.comparisons.iter().map(move |found| {
            vec![
                name.to_string_lossy().into_owned(),
                format!("{:?}", found.rounding).to_lowercase(),
                found.inputs.to_string(),
                found.same_bytes.to_string(),
                found.same_class.to_string(),
            ]
        })
    });
    let header = ["device", "rounding", "inputs", "same bytes", "same class"];
    table(&header, 2, rows.collect())
}
