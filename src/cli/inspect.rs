//! `bitweft inspect`.

use std::path::PathBuf;

use anyhow::Result;
use bitweft::model::float::{ConvolutionKind, FloatNetwork, FloatOp, Shape, Window};
use bitweft::model::integer::{IntegerNetwork, IntegerOp};
use bitweft::model::load::{Model, ModelError, load_model};
use bitweft::model::onnx;
use bitweft::model::tflite::TfliteError;
use bitweft::model::unsupported::{Unsupported, UnsupportedReport};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::console::{Console, grouped, table};
use super::exit::Exit;

/// Show a network's layers, shapes, MACs, weights and widths, and every operator that is not supported.
#[derive(Args)]
pub(crate) struct Inspect {
    /// Network file (.bw, .tflite, .onnx).
    model: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) network: String,
    pub(crate) arithmetic: String,
    pub(crate) rounding: Option<bitweft::model::integer::Rounding>,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) layers: Vec<Layer>,
    pub(crate) macs: u64,
    pub(crate) weights: u64,
    pub(crate) mac_bits: Option<u64>,
    pub(crate) average_bits: Option<f64>,
    pub(crate) unsupported: Vec<Unsupported>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) operation: String,
    pub(crate) inputs: Vec<Shape>,
    pub(crate) output: Shape,
    pub(crate) macs: u64,
    pub(crate) weights: u64,
    pub(crate) bits: Option<Bits>,
}

/// Widths of a layer's filters.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bits {
    pub(crate) min: u8,
    pub(crate) average: f64,
    pub(crate) max: u8,
    /// One a filter.
    pub(crate) filters: Vec<u8>,
}

#[derive(Serialize)]
struct Refused<'a> {
    unsupported: &'a [Unsupported],
}

impl Inspect {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let inspection = match load_model(&self.model) {
            Ok(Model::Float(network)) => of_float(&network),
            Ok(Model::Integer(network)) => of_integer(&network),
            Err(error) => {
                let Some(report) = unsupported(&error) else {
                    return Err(error.into());
                };
                let refused = Refused {
                    unsupported: &report.entries,
                };
                console.result(&refused, || unsupported_text(&report.entries))?;
                let count = report.entries.len();
                console.note(format!(
                    "error: {}: {count} unsupported operators",
                    self.model.display()
                ));
                return Ok(Exit::Failure);
            }
        };
        console.result(&inspection, || text(&inspection))?;
        Ok(Exit::Success)
    }
}

fn unsupported(error: &ModelError) -> Option<&UnsupportedReport> {
    match error {
        ModelError::Tflite {
            cause: TfliteError::Unsupported(report),
            ..
        }
        | ModelError::Onnx {
            cause: onnx::Error::Unsupported(report),
            ..
        } => Some(report),
        _ => None,
    }
}

fn windowed(operation: &str, window: &Window) -> String {
    let stride = match (window.stride_height, window.stride_width) {
        (1, 1) => String::new(),
        (height, width) => format!(" / {height}x{width}"),
    };
    format!(
        "{operation} {}x{}{stride}",
        window.kernel_height, window.kernel_width
    )
}

fn convolution(kind: ConvolutionKind, window: &Window) -> String {
    match kind {
        ConvolutionKind::Dense => windowed("convolution", window),
        ConvolutionKind::Depthwise => windowed("depthwise", window),
        ConvolutionKind::FullyConnected => "fully connected".into(),
    }
}

fn of_float(network: &FloatNetwork) -> Inspection {
    let shape = |tensor: usize| network.tensors[tensor].shape;
    let layers: Vec<Layer> = network
        .layers
        .iter()
        .map(|layer| {
            let (operation, weights) = match &layer.op {
                FloatOp::Convolution {
                    kind,
                    window,
                    weights,
                    ..
                } => (convolution(*kind, window), weights.len()),
                FloatOp::Add { .. } => ("add".into(), 0),
                FloatOp::AveragePool { window } => (windowed("average pool", window), 0),
                FloatOp::MaxPool { window } => (windowed("max pool", window), 0),
                FloatOp::GlobalAverage => ("global average".into(), 0),
                FloatOp::Reshape => ("reshape".into(), 0),
                FloatOp::Softmax => ("softmax".into(), 0),
            };
            Layer {
                name: layer.name.clone(),
                operation,
                inputs: layer.inputs.iter().map(|&tensor| shape(tensor)).collect(),
                output: shape(layer.output),
                macs: network.layer_macs(layer),
                weights: weights as u64,
                bits: None,
            }
        })
        .collect();
    Inspection {
        network: network.name.clone(),
        arithmetic: "float".into(),
        rounding: None,
        input: shape(network.input),
        output: shape(network.output),
        macs: layers.iter().map(|layer| layer.macs).sum(),
        weights: layers.iter().map(|layer| layer.weights).sum(),
        mac_bits: None,
        average_bits: None,
        unsupported: Vec::new(),
        layers,
    }
}

fn of_integer(network: &IntegerNetwork) -> Inspection {
    let shape = |tensor: usize| network.tensors[tensor].shape;
    let mut mac_bits = 0;
    let mut layers = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let macs = network.layer_macs(layer);
        let (mut weights, mut bits) = (0, None);
        let operation = match &layer.op {
            IntegerOp::Convolution(op) => {
                let total: u64 = op.bits.iter().map(|&bits| u64::from(bits)).sum();
                let filters = op.bits.len().max(1) as u64;
                mac_bits += macs / filters * total;
                weights = op.weights.len() as u64;
                bits = Some(Bits {
                    min: op.bits.iter().copied().min().unwrap_or(0),
                    average: total as f64 / filters as f64,
                    max: op.bits.iter().copied().max().unwrap_or(0),
                    filters: op.bits.clone(),
                });
                convolution(op.kind, &op.window)
            }
            IntegerOp::Add { .. } => "add".into(),
            IntegerOp::AveragePool { window, .. } => windowed("average pool", window),
            IntegerOp::MaxPool { window, .. } => windowed("max pool", window),
            IntegerOp::GlobalAverage { .. } => "global average".into(),
            IntegerOp::Reshape => "reshape".into(),
            IntegerOp::Softmax => "softmax".into(),
        };
        layers.push(Layer {
            name: layer.name.clone(),
            operation,
            inputs: layer.inputs.iter().map(|&tensor| shape(tensor)).collect(),
            output: shape(layer.output),
            macs,
            weights,
            bits,
        });
    }
    let macs = network.macs();
    Inspection {
        network: network.name.clone(),
        arithmetic: "integer".into(),
        rounding: Some(network.rounding),
        input: shape(network.input),
        output: shape(network.output),
        macs,
        weights: layers.iter().map(|layer| layer.weights).sum(),
        mac_bits: Some(mac_bits),
        average_bits: Some(mac_bits as f64 / macs.max(1) as f64),
        unsupported: Vec::new(),
        layers,
    }
}

fn dimensions(shape: Shape) -> String {
    format!("{}x{}x{}", shape.height, shape.width, shape.channels)
}

fn text(inspection: &Inspection) -> String {
    let rows = inspection.layers.iter().map(|layer| {
        let inputs: Vec<String> = layer.inputs.iter().copied().map(dimensions).collect();
        let number = |count| {
            if count == 0 {
                String::new()
            } else {
                grouped(count)
            }
        };
        let bits = layer.bits.as_ref().map_or(String::new(), |bits| {
            format!("{} / {:.2} / {}", bits.min, bits.average, bits.max)
        });
        vec![
            layer.name.clone(),
            layer.operation.clone(),
            inputs.join(" + "),
            dimensions(layer.output),
            number(layer.macs),
            number(layer.weights),
            bits,
        ]
    });
    let header = [
        "layer",
        "operation",
        "input",
        "output",
        "MACs",
        "weights",
        "bits min / avg / max",
    ];
    let average = inspection
        .average_bits
        .map_or(String::new(), |bits| format!(", {bits:.3} bits a MAC"));
    format!(
        "{}\n{} ({}): {} MACs, {} weights{average}; unsupported operators: none",
        table(&header, 2, rows.collect()),
        inspection.network,
        inspection.arithmetic,
        grouped(inspection.macs),
        grouped(inspection.weights),
    )
}

fn unsupported_text(entries: &[Unsupported]) -> String {
    let rows = entries.iter().map(|entry| {
        vec![
            entry.index.to_string(),
            entry.operator.clone(),
            entry.layer.clone(),
            entry.reason.clone(),
        ]
    });
    let header = ["#", "operator", "layer", "why it is not supported"];
    table(&header, header.len(), rows.collect())
}
