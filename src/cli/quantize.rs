//! `bitweft quantize`.

use std::path::PathBuf;

use anyhow::Result;
use bitweft::model::bwfile;
use bitweft::model::load::Model;
use bitweft::quant::Report;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::console::{Console, grouped, table};
use super::exit::{Exit, UsageError};
use super::method::{MethodArguments, Outcome};
use super::options::{InputArguments, WidthArguments};
use super::output::{check_extension, check_output};

/// Give every filter of a float network its width, and round it to integers.
#[derive(Args)]
pub(crate) struct Quantize {
    /// Float network (.tflite, .onnx).
    model: PathBuf,
    /// Images to calibrate on.
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    #[command(flatten)]
    widths: WidthArguments,
    #[command(flatten)]
    method: MethodArguments,
    #[command(flatten)]
    input: InputArguments,
    /// The integer network's file (.bw).
    #[arg(short, long, value_name = "OUT.bw")]
    output: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quantized {
    pub(crate) network: String,
    pub(crate) output: PathBuf,
    pub(crate) file_bytes: u64,
    /// How far the estimated loss can be above the least one, as a part of it.
    pub(crate) gap: f64,
    /// With the objective `cycles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles_predicted: Option<u64>,
    #[serde(flatten)]
    pub(crate) report: Report,
}

impl Quantize {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        self.widths.required()?;
        let board = self.method.check(&self.widths)?;
        check_output(&self.output, [&self.model, &self.calibration])?;
        check_extension(&self.output)?;
        let network = match self.input.load_model(&self.model)? {
            Model::Float(network) => network,
            Model::Integer(_) => {
                let message = format!(
                    "{} is an integer network already: quantize takes a float one",
                    self.model.display()
                );
                return Err(UsageError(message).into());
            }
        };
        let images = self
            .widths
            .calibration(&network, &self.input, &self.calibration)?;
        let spinner = console.spinner(&format!("quantizing on {} images", images.len()));
        let Outcome {
            integer,
            report,
            cycles_predicted,
        } = self
            .method
            .quantize(&network, &images, &self.widths, board.as_ref())?;
        spinner.finish_and_clear();
        bwfile::write(&self.output, &integer)?;
        let quantized = Quantized {
            network: integer.name,
            output: self.output.clone(),
            file_bytes: std::fs::metadata(&self.output)?.len(),
            gap: report.gap(),
            cycles_predicted,
            report,
        };
        console.result(&quantized, || text(&quantized))?;
        Ok(Exit::Success)
    }
}

fn text(quantized: &Quantized) -> String {
    let report = &quantized.report;
    let rows = report.layers.iter().map(|layer| {
        let ends = [layer.bits.iter().min(), layer.bits.iter().max()];
        let [least, most] = ends.map(|bits| bits.map_or(String::new(), u8::to_string));
        vec![
            layer.name.clone(),
            grouped(layer.macs),
            grouped(layer.weights),
            least,
            format!("{:.2}", layer.average_bits),
            most,
            format!("{:.5}", layer.relative_error),
        ]
    });
    let header = ["layer", "MACs", "weights", "least", "bits", "most", "error"];
    format!(
        "{}\n{:.3} bits a MAC, {:.3} bits a weight: {} weights in {} bytes{}\nestimated loss {:.5}, at most {:.2} % above the least; {} written",
        table(&header, 1, rows.collect()),
        report.average_bits,
        report.average_weight_bits,
        grouped(report.weights),
        grouped(report.weight_bits.div_ceil(8)),
        match quantized.cycles_predicted {
            Some(cycles) => format!("; {} cycles an image", grouped(cycles)),
            None => String::new(),
        },
        report.sensitivity,
        100.0 * quantized.gap,
        quantized.output.display(),
    )
}
