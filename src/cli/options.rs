//! Arguments that several commands share, and what they stand for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bitweft::flow::board::BoardFile;
use bitweft::model::data::{DataOptions, Dataset, Images};
use bitweft::model::float::{FloatNetwork, InputTransform, Shape};
use bitweft::model::integer::{IntegerNetwork, Rounding};
use bitweft::model::load::{Model, load_model};
use bitweft::quant::{Allocation, Objective, Options, Quantizer, Report};
use bitweft_isa::architecture::Architecture;
use clap::{Args, ValueEnum};
use ndarray::{Array3, Axis};
use serde::Deserialize;

use super::console::Console;
use super::exit::UsageError;

macro_rules! shipped {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../constraints/", $name, ".toml")))),+]
    };
}

/// Architectures that come with bitweft.
pub(crate) const SHIPPED: [(&str, &str); 9] = shipped![
    "tiny",
    "icebreaker",
    "colorlight-i5",
    "colorlight-i9",
    "ulx3s-85f",
    "ulx3s-45f",
    "ulx3s-25f",
    "ulx3s-12f",
    "tang-nano-20k"
];

/// An architecture by name or file.
#[derive(Args)]
pub(crate) struct ArchitectureArguments {
    /// tiny, a board's name (`bitweft boards check` lists them), or a TOML file with an [architecture] table.
    #[arg(long = "arch", value_name = "NAME|FILE")]
    arch: String,
}

/// An architecture and what its file says of the board.
pub(crate) struct Board {
    /// As the user named it.
    pub(crate) name: String,
    /// Parameters of the processor.
    pub(crate) architecture: Architecture,
    /// The clock that the processor must reach on the board, where the file states one.
    pub(crate) clock_hertz: Option<f64>,
    /// The clock that the board's top gives it.
    pub(crate) processor_hertz: Option<f64>,
}

/// The part of a board file that says how fast the processor runs.
#[derive(Deserialize)]
struct ClockFile {
    budget: Option<Clock>,
    board: Option<ProcessorClock>,
}

#[derive(Deserialize)]
struct ProcessorClock {
    processor_mhz: Option<f64>,
}

#[derive(Deserialize)]
struct Clock {
    mhz: Option<f64>,
}

impl ArchitectureArguments {
    /// The architecture of a name, as the argument takes it.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            arch: name.to_owned(),
        }
    }

    /// Reads the architecture.
    pub(crate) fn load(&self) -> Result<Board> {
        let text = read_named(&self.arch)?;
        let architecture = Architecture::from_toml(&text).with_context(|| self.arch.clone())?;
        let clocks = toml::from_str::<ClockFile>(&text)
            .with_context(|| format!("{}: tables `budget`, `board`", self.arch))?;
        let hertz = |mhz: f64| mhz * 1e6;
        Ok(Board {
            name: self.arch.clone(),
            architecture,
            clock_hertz: clocks.budget.and_then(|budget| budget.mhz).map(hertz),
            processor_hertz: clocks.board.and_then(|b| b.processor_mhz).map(hertz),
        })
    }
}

/// The text of a file of `constraints/`, by name or path.
pub(crate) fn read_named(name: &str) -> Result<String> {
    read("architecture", &SHIPPED, name)
}

/// The same of a board.
pub(crate) fn read_board(name: &str) -> Result<String> {
    read("board", &boards().collect::<Vec<_>>(), name)
}

/// The files of `constraints/` that describe a board, by name.
pub(crate) fn boards() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED
        .into_iter()
        .filter(|(_, text)| text.contains("\n[board]"))
}

fn read(what: &str, known: &[(&str, &str)], name: &str) -> Result<String> {
    if let Some((_, text)) = known.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    if Path::new(name).extension().is_some_and(|e| e == "toml") {
        return std::fs::read_to_string(name).with_context(|| name.to_owned());
    }
    let names: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
    let message = format!(
        "unknown {what} `{name}`: give one of {}, or a .toml file",
        names.join(", ")
    );
    Err(UsageError(message).into())
}

/// Parses `HOST:PORT`.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let is_number =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && is_number(port) => Ok(text.to_owned()),
        _ => Err("the form is HOST:PORT, with a port of at most 65535".to_owned()),
    }
}

/// Parses a path, a name, or `tcp://HOST:PORT`.
pub(crate) fn port(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("tcp", address)) => {
            host_and_port(address).map_err(|_| "the form is tcp://HOST:PORT".to_owned())?;
        }
        None if !text.is_empty() => {}
        _ => return Err("neither a path nor tcp://HOST:PORT".to_owned()),
    }
    Ok(text.to_owned())
}

/// The text of a board's pin file: beside the board's own, or the one that comes with bitweft.
pub(crate) fn read_pins(name: &str, board: &BoardFile) -> Result<String> {
    let beside = Path::new(name).with_file_name(&board.pins);
    match (beside.is_file(), board.shipped_pins()) {
        (false, Some(shipped)) => Ok(shipped.to_owned()),
        _ => std::fs::read_to_string(&beside).with_context(|| beside.display().to_string()),
    }
}

/// How images become a network's input.
#[derive(Args)]
pub(crate) struct InputArguments {
    /// Mean of the pixels 0..255 that the network was trained with: one value, or one a channel
    /// (123.675,116.28,103.53).
    #[arg(long, value_name = "LIST")]
    mean: Option<String>,
    /// Standard deviation of the pixels 0..255, as --mean.
    #[arg(long = "std", value_name = "LIST")]
    deviation: Option<String>,
    /// Part of a picture's sides that is kept before it is scaled to the network's input.
    #[arg(long, value_name = "PART", default_value_t = 0.875)]
    central_fraction: f32,
    /// Added to every label: 1 for networks whose class 0 is the background.
    #[arg(long, value_name = "N", default_value_t = 0)]
    label_offset: u16,
    /// What int8 features stand for: the real value of one step, and the int8 of 0. A float network needs it; the integer network
    /// that is made of it takes such features as they are.
    #[arg(long, value_name = "SCALE,ZERO", value_parser = feature_scale, allow_hyphen_values = true)]
    features: Option<(f32, i8)>,
}

/// `SCALE,ZERO` of int8 features.
fn feature_scale(text: &str) -> Result<(f32, i8), String> {
    let wanted = || format!("`{text}`: give SCALE,ZERO, a positive number and an int8");
    let (scale, zero) = text.split_once(',').ok_or_else(wanted)?;
    let scale: f32 = scale.trim().parse().map_err(|_| wanted())?;
    let zero = zero.trim().parse().map_err(|_| wanted())?;
    if scale.is_finite() && scale > 0.0 {
        Ok((scale, zero))
    } else {
        Err(wanted())
    }
}

impl InputArguments {
    fn stated(&self) -> Result<Option<InputTransform>> {
        if self.mean.is_none() && self.deviation.is_none() {
            return Ok(None);
        }
        let mean = self.mean.as_deref().unwrap_or("0");
        let deviation = self.deviation.as_deref().unwrap_or("1");
        let transform = InputTransform::from_mean_std(mean, deviation)
            .map_err(|error| UsageError(format!("--mean, --std: {error}")))?;
        Ok(Some(transform))
    }

    /// Loads a network with the input transform that is stated before its own.
    pub(crate) fn load_model(&self, path: &Path) -> Result<Model> {
        let mut model = load_model(path)?;
        if let (Some((scale, zero)), Model::Float(network)) = (self.features, &mut model) {
            network.input_steps = Some((scale, zero.cast_unsigned().wrapping_add(128)));
        }
        let Some(stated) = self.stated()? else {
            return Ok(model);
        };
        match &mut model {
            Model::Float(network) => {
                network.input_transform = stated.then(&network.input_transform);
            }
            Model::Integer(network) if network.input_transform == InputTransform::default() => {
                network.input_transform = stated;
            }
            Model::Integer(_) => {
                let message = format!(
                    "{} has its own input transform: leave --mean and --std out",
                    path.display()
                );
                return Err(UsageError(message).into());
            }
        }
        Ok(model)
    }

    /// Loads images for a network's input.
    pub(crate) fn load_data(
        &self,
        path: &Path,
        shape: Shape,
        limit: Option<usize>,
    ) -> Result<Dataset> {
        if !(self.central_fraction > 0.0 && self.central_fraction <= 1.0) {
            let message = format!(
                "--central-fraction {}: above 0, up to 1",
                self.central_fraction
            );
            return Err(UsageError(message).into());
        }
        let options = DataOptions {
            limit,
            size: matches!(shape.channels, 1 | 3).then_some(shape),
            central_fraction: self.central_fraction,
        };
        let mut data = Dataset::load(path, &options)?;
        if data.is_empty() {
            anyhow::bail!("{}: no images", path.display());
        }
        for label in data.labels.iter_mut().flatten() {
            *label = label.saturating_add(usize::from(self.label_offset));
        }
        if let (Some((scale, zero)), Images::Signed(features)) = (self.features, &data.images) {
            let real = |q: i8| scale * (f32::from(q) - f32::from(zero));
            data.images = Images::Real(features.mapv(real));
        }
        Ok(data)
    }

    /// At most `wanted` real inputs of a data file, spread evenly over it. Labels are not needed, but those of another
    /// data set than the network's are an error.
    pub(crate) fn calibration(
        &self,
        network: &FloatNetwork,
        path: &Path,
        wanted: usize,
    ) -> Result<Vec<Array3<f32>>> {
        let shape_of = |tensor: usize| network.tensors[tensor].shape;
        let data = self.load_data(path, shape_of(network.input), None)?;
        if data.labels.is_some() {
            labels(&data, path, shape_of(network.output).elements())?;
        }
        spread(network, &data, wanted)
    }
}

/// The labels of a data set for a network of so many classes; `path` is where it is from.
pub(crate) fn labels<'a>(data: &'a Dataset, path: &Path, classes: usize) -> Result<&'a [usize]> {
    let file = path.display();
    let labels = data
        .labels
        .as_deref()
        .with_context(|| {
            format!(
                "{file}: no labels: an .npz has them in the array `labels`, pictures in labels.csv in their folder or beside the zip (columns `file` or `index`, and `label`)"
            )
        })?;
    if let Some(at) = labels.iter().position(|label| *label >= classes) {
        anyhow::bail!(
            "{file}: image {at} has label {}, but the network has {classes} classes",
            labels[at]
        );
    }
    Ok(labels)
}

/// At most `wanted` real inputs of a data set, spread evenly over it.
pub(crate) fn spread(
    network: &FloatNetwork,
    data: &Dataset,
    wanted: usize,
) -> Result<Vec<Array3<f32>>> {
    let count = wanted.min(data.len());
    (0..count)
        .map(|index| {
            let at = index * data.len() / count;
            let image = data.reals_for(network, at..at + 1)?;
            Ok(image.index_axis(Axis(0), 0).to_owned())
        })
        .collect()
}

/// Rounding family, as an argument.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RoundingArgument {
    /// One rounding of the 64-bit product, ties upwards.
    Single,
    /// Two roundings, as TFLite's reference kernels.
    Double,
}

impl RoundingArgument {
    /// The family.
    pub(crate) fn family(self) -> Rounding {
        match self {
            Self::Single => Rounding::Single,
            Self::Double => Rounding::Double,
        }
    }
}

/// How a float network is quantized.
#[derive(Args)]
pub(crate) struct WidthArguments {
    /// Bits a MAC that the network may have on average; each filter gets its own width.
    #[arg(long, value_name = "BITS", conflicts_with = "uniform")]
    budget: Option<f64>,
    /// The same width for every filter.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=8))]
    uniform: Option<u8>,
    /// One width a layer instead of one a filter.
    #[arg(long, requires = "budget", conflicts_with = "uniform")]
    per_layer: bool,
    /// Calibration images, taken evenly from the data.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Rounding of every requantization.
    #[arg(long, value_enum, default_value = "single")]
    requantization: RoundingArgument,
}

impl WidthArguments {
    /// Whether one width a layer is asked for.
    pub(crate) fn per_layer(&self) -> bool {
        self.per_layer
    }

    /// At most `--images` real inputs of a data file, spread evenly over it.
    pub(crate) fn calibration(
        &self,
        network: &FloatNetwork,
        input: &InputArguments,
        path: &Path,
    ) -> Result<Vec<Array3<f32>>> {
        let wanted = usize::try_from(self.images).unwrap_or(usize::MAX);
        input.calibration(network, path, wanted)
    }

    /// The allocation, if one is stated.
    pub(crate) fn allocation(&self) -> Option<Allocation> {
        match (self.budget, self.uniform) {
            (Some(budget), _) if self.per_layer => Some(Allocation::PerLayer(budget)),
            (Some(budget), _) => Some(Allocation::PerFilter(budget)),
            (None, uniform) => uniform.map(Allocation::Uniform),
        }
    }

    /// The allocation.
    pub(crate) fn required(&self) -> Result<Allocation> {
        self.allocation()
            .ok_or_else(|| UsageError("a float network: give --budget or --uniform".into()).into())
    }

    /// Everything but the allocation.
    pub(crate) fn options(&self) -> Options {
        Options {
            objective: Objective::Time,
            rounding: self.requantization.family(),
            ..Options::default()
        }
    }

    /// Quantizes a float network on the images of a data file.
    pub(crate) fn quantize(
        &self,
        network: &FloatNetwork,
        input: &InputArguments,
        calibration: &Path,
        console: &Console,
    ) -> Result<(IntegerNetwork, Report)> {
        let allocation = self.required()?;
        let images = self.calibration(network, input, calibration)?;
        let spinner = console.spinner(&format!("quantizing on {} images", images.len()));
        let result = Quantizer::new(network, &images, self.options())?.quantize(allocation)?;
        spinner.finish_and_clear();
        Ok(result)
    }
}

/// A network that runs on the processor: an integer network, or a float one that is quantized first.
#[derive(Args)]
pub(crate) struct NetworkArguments {
    /// Network file (.bw, .tflite, .onnx); a float network needs --budget or --uniform.
    pub(crate) model: PathBuf,
    /// Images that a float network is calibrated on.
    #[arg(long, value_name = "DATA")]
    calibration: Option<PathBuf>,
    #[command(flatten)]
    widths: WidthArguments,
    #[command(flatten)]
    pub(crate) input: InputArguments,
}

impl NetworkArguments {
    /// The files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.model].into_iter().chain(&self.calibration)
    }

    /// Loads, and quantizes if need be: on `--calibration`, else on `data`.
    pub(crate) fn load(&self, data: Option<&Path>, console: &Console) -> Result<IntegerNetwork> {
        let network = match self.input.load_model(&self.model)? {
            Model::Integer(network) if self.widths.allocation().is_some() => {
                let message = format!(
                    "network `{}` is an integer network: leave --budget and --uniform out",
                    network.name
                );
                return Err(UsageError(message).into());
            }
            Model::Integer(network) => return Ok(network),
            Model::Float(network) => network,
        };
        self.widths.required()?;
        let Some(calibration) = self.calibration.as_deref().or(data) else {
            let message = "a float network: give --calibration".to_owned();
            return Err(UsageError(message).into());
        };
        console.detail(format!("quantizing on {}", calibration.display()));
        let (network, _) = self
            .widths
            .quantize(&network, &self.input, calibration, console)?;
        Ok(network)
    }
}
