//! `bitweft export`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bitweft::model::load::Model;
use bitweft::model::{onnx, tflite};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::{Console, grouped};
use super::exit::{Exit, UsageError};
use super::options::InputArguments;
use super::output::{check_output, write_file};

/// A format that integer networks are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// int8 TensorFlow Lite.
    Tflite,
    /// ONNX with QuantizeLinear and DequantizeLinear.
    Onnx,
    /// ONNX with QONNX's Quant nodes, which say every filter's width.
    Qonnx,
}

/// Write an integer network for other tools.
///
/// Filters of fewer bits are int8 filters that use fewer values, so stock runtimes run the file; widths are kept
/// in its metadata, and bitweft reads them back.
#[derive(Args)]
pub(crate) struct Export {
    /// Integer network (.bw, .tflite, .onnx).
    model: PathBuf,
    /// The file to write (.tflite, .onnx).
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Format; by the file's extension if not given.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    input: InputArguments,
}

#[derive(Serialize)]
struct Exported {
    network: String,
    output: PathBuf,
    format: Format,
    file_bytes: usize,
}

impl Export {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let format = self.format()?;
        check_output(&self.output, [&self.model])?;
        let Model::Integer(network) = self.input.load_model(&self.model)? else {
            let message = format!(
                "{} is a float network: quantize it first",
                self.model.display()
            );
            return Err(UsageError(message).into());
        };
        let bytes = match format {
            Format::Tflite => tflite::write(&network).map_err(anyhow::Error::from),
            Format::Onnx => onnx::write(&network).map_err(anyhow::Error::from),
            Format::Qonnx => onnx::write_qonnx(&network).map_err(anyhow::Error::from),
        }
        .with_context(|| format!("{} as {format:?}", self.model.display()))?;
        write_file(&self.output, &bytes)?;
        let exported = Exported {
            network: network.name,
            output: self.output.clone(),
            format,
            file_bytes: bytes.len(),
        };
        console.result(&exported, || {
            let size = grouped(exported.file_bytes as u64);
            format!("{}: {size} bytes", exported.output.display())
        })?;
        Ok(Exit::Success)
    }

    fn format(&self) -> Result<Format> {
        let extension = self.output.extension().and_then(|e| e.to_str());
        let extension = extension.map(str::to_ascii_lowercase);
        match (self.format, extension.as_deref()) {
            (None | Some(Format::Tflite), Some("tflite")) => Ok(Format::Tflite),
            (None | Some(Format::Onnx), Some("onnx")) => Ok(Format::Onnx),
            (Some(Format::Qonnx), Some("onnx")) => Ok(Format::Qonnx),
            (format, _) => {
                let (name, wanted) = match format {
                    Some(Format::Tflite) => ("--format tflite", ".tflite"),
                    Some(Format::Onnx) => ("--format onnx", ".onnx"),
                    Some(Format::Qonnx) => ("--format qonnx", ".onnx"),
                    None => ("export", ".tflite or .onnx"),
                };
                let message = format!(
                    "{name} writes a {wanted} file, not {}",
                    self.output.display()
                );
                Err(UsageError(message).into())
            }
        }
    }
}
