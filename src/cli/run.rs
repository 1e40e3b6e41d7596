//! `bitweft run`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitweft::compiler::compile;
use bitweft::driver::{Runner, Session, Traffic, Transport};
use bitweft::golden::network::{Executor, argmax};
use bitweft::model::integer::IntegerNetwork;
use bitweft_isa::image::Image;
use clap::Args;
use ndarray::{Array3, Array4, ArrayView3, Axis};
use serde::Serialize;

use super::compile::host_layers;
use super::connection::{Connection, Link, check, load};
use super::console::{Console, grouped};
use super::exit::Exit;
use super::options::{Board, NetworkArguments};

/// Run a network on a board: load it, run images, print classes, accuracy, throughput and latency.
///
/// The board says which architecture it has; --arch is needed only where that is one of your own. What has been loaded must
/// give a known answer first. With --verify instead every byte of every output is compared with the golden model's; a
/// difference exits with 3.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    connection: Connection,
    /// Input images (.npz, or a folder or .zip of pictures).
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Run the first N images.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Compare every output with the golden model's.
    #[arg(long)]
    verify: bool,
}

/// Seconds of one image.
#[derive(Serialize)]
struct Latency {
    mean: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Ran {
    network: String,
    architecture: String,
    port: String,
    /// Bits a second of the serial line, where there is one.
    rate: Option<u32>,
    images: usize,
    classes: Vec<usize>,
    top1: Option<f64>,
    /// Bytes of all outputs, and those that differ from the golden model's.
    output_bytes: usize,
    mismatches: Option<usize>,
    first_difference: Option<String>,
    cycles: u64,
    clock_hz: Option<f64>,
    load_seconds: f64,
    latency_seconds: Latency,
    /// What of the mean latency the processor's cycles take at its clock.
    compute_seconds: Option<f64>,
    /// The rest: link, host, and on a virtual board the simulation.
    link_seconds: Option<f64>,
    images_per_second: f64,
    bytes_per_image: u64,
    load_bytes: u64,
    repeated_requests: u64,
    restarts: usize,
    phases: usize,
    host_layers: Vec<String>,
}

impl Run {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let network = self.network.load(Some(&self.data), console)?;
        let shape = network.tensors[network.input].shape;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let data = self
            .network
            .input
            .load_data(&self.data, shape, Some(limit))?;
        let inputs = data.bytes_for(&network, 0..data.len())?;
        let (mut session, board) = self.connection.open(console)?;
        let context = || format!("{} on {}", network.name, board.name);
        let compiled = compile(&network, session.architecture()).with_context(context)?;
        let mut measured = self
            .infer(&network, &compiled.image, &mut session, &inputs, console)
            .with_context(context)?;
        measured.rate = session.transport().has_rates().then(|| session.rate());
        let hits = data.labels.as_ref().map(|labels| {
            let pairs = measured.classes.iter().zip(labels);
            pairs.filter(|(class, label)| class == label).count()
        });
        let ran = self.summary(
            &network,
            &board,
            measured,
            hits,
            host_layers(&network, &compiled),
        );
        console.result(&ran, || text(&ran))?;
        Ok(if ran.mismatches.unwrap_or(0) == 0 {
            Exit::Success
        } else {
            Exit::Mismatch
        })
    }

    fn infer(
        &self,
        network: &IntegerNetwork,
        image: &Image,
        session: &mut Session<Link>,
        inputs: &Array4<u8>,
        console: &Console,
    ) -> Result<Measured> {
        let executor = Executor::new(network)?;
        let last = image.layers.last().context("a program without layers")?;
        let before = session.traffic();
        let mut runner = Runner::new(session, image)?;
        let begin = Instant::now();
        load(&mut runner, console)?;
        let load_time = begin.elapsed();
        let loaded = runner.session().traffic();
        if !self.verify {
            check(&mut runner, network, &executor, last)?;
        }
        let mut measured = Measured {
            load: load_time,
            phases: image.phases.len(),
            ..Measured::default()
        };
        measured.load_bytes = bytes(loaded) - bytes(before);
        let checked = runner.session().traffic();
        let bar = console.bar(inputs.dim().0, "running");
        for (index, input) in inputs.axis_iter(Axis(0)).enumerate() {
            let flat: Vec<u8> = input.iter().copied().collect();
            let run = runner.infer(&flat)?;
            let place = last.output;
            let shape = (place.height, place.width, place.channels);
            let output = Array3::from_shape_vec(shape, run.output)
                .context("the output has another size than its layer")?;
            measured.latencies.push(run.latency);
            measured.cycles = run.cycles;
            measured.restarts += run.restarts;
            measured.output_bytes += output.len();
            if self.verify {
                measured.compare(&executor, last.tensor, &last.name, index, input, &output)?;
            }
            let scores = executor.run_after(last.tensor, output);
            let scores: ndarray::Array1<u8> = scores.iter().copied().collect();
            measured.classes.push(argmax(scores.view()));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let after = runner.session().traffic();
        measured.run_bytes = bytes(after) - bytes(checked);
        measured.repeated = after.repeated_requests - before.repeated_requests;
        measured.verified = self.verify;
        Ok(measured)
    }

    fn summary(
        &self,
        network: &IntegerNetwork,
        board: &Board,
        measured: Measured,
        hits: Option<usize>,
        host_layers: Vec<String>,
    ) -> Ran {
        let images = measured.classes.len();
        let seconds: Vec<f64> = measured
            .latencies
            .iter()
            .map(Duration::as_secs_f64)
            .collect();
        let total: f64 = seconds.iter().sum();
        let mean = total / images.max(1) as f64;
        let clock_hz = board.processor_hertz.or(board.clock_hertz);
        let compute = clock_hz.map(|clock| measured.cycles as f64 / clock);
        Ran {
            network: network.name.clone(),
            architecture: board.name.clone(),
            port: self.connection.port.clone(),
            rate: measured.rate,
            images,
            top1: hits.map(|hits| hits as f64 / images.max(1) as f64),
            classes: measured.classes,
            output_bytes: measured.output_bytes,
            mismatches: measured.verified.then_some(measured.mismatches),
            first_difference: measured.difference,
            cycles: measured.cycles,
            clock_hz,
            load_seconds: measured.load.as_secs_f64(),
            latency_seconds: Latency {
                mean,
                min: seconds.iter().copied().fold(f64::INFINITY, f64::min),
                max: seconds.iter().copied().fold(0.0, f64::max),
            },
            compute_seconds: compute,
            link_seconds: compute.map(|compute| (mean - compute).max(0.0)),
            images_per_second: 1.0 / mean,
            bytes_per_image: measured.run_bytes / images.max(1) as u64,
            load_bytes: measured.load_bytes,
            repeated_requests: measured.repeated,
            restarts: measured.restarts,
            phases: measured.phases,
            host_layers,
        }
    }
}

/// What a run of images has given.
#[derive(Default)]
struct Measured {
    rate: Option<u32>,
    load: Duration,
    latencies: Vec<Duration>,
    classes: Vec<usize>,
    verified: bool,
    output_bytes: usize,
    mismatches: usize,
    difference: Option<String>,
    cycles: u64,
    load_bytes: u64,
    run_bytes: u64,
    repeated: u64,
    restarts: usize,
    phases: usize,
}

impl Measured {
    fn compare(
        &mut self,
        executor: &Executor,
        tensor: usize,
        layer: &str,
        index: usize,
        input: ArrayView3<'_, u8>,
        output: &Array3<u8>,
    ) -> Result<()> {
        let golden = executor.run(input)?.swap_remove(tensor);
        ensure!(golden.dim() == output.dim(), "layer `{layer}`: shape");
        let differing = golden
            .indexed_iter()
            .zip(output)
            .filter(|((_, g), f)| g != f);
        for (((y, x, filter), golden), found) in differing {
            self.mismatches += 1;
            self.difference.get_or_insert_with(|| {
                format!(
                    "image {index}, layer `{layer}`, filter {filter}, pixel (y {y}, x {x}): golden network {golden}, found {found}"
                )
            });
        }
        Ok(())
    }
}

fn bytes(traffic: Traffic) -> u64 {
    traffic.sent_bytes + traffic.received_bytes
}

fn text(ran: &Ran) -> String {
    let ms = |seconds: f64| format!("{:.2} ms", 1e3 * seconds);
    let classes: Vec<String> = ran.classes.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!(
            "{} on {} at {}: {} images",
            ran.network, ran.architecture, ran.port, ran.images
        ),
        format!("classes: {}", classes.join(" ")),
    ];
    lines.extend(ran.top1.map(|top1| format!("top-1 {top1:.4}")));
    lines.push(format!(
        "{:.2} images a second; latency {} (least {}, most {}), {} bytes an image over the link",
        ran.images_per_second,
        ms(ran.latency_seconds.mean),
        ms(ran.latency_seconds.min),
        ms(ran.latency_seconds.max),
        grouped(ran.bytes_per_image),
    ));
    if let (Some(compute), Some(link), Some(clock)) =
        (ran.compute_seconds, ran.link_seconds, ran.clock_hz)
    {
        lines.push(format!(
            "of it {} compute ({} cycles at {} MHz), {} link and host (a virtual board: its simulation)",
            ms(compute),
            grouped(ran.cycles),
            clock / 1e6,
            ms(link),
        ));
    }
    lines.push(format!(
        "loaded in {} ({} bytes); {} requests repeated, {} images begun anew",
        ms(ran.load_seconds),
        grouped(ran.load_bytes),
        ran.repeated_requests,
        ran.restarts
    ));
    lines.extend(ran.mismatches.map(|mismatches| {
        format!(
            "{} of {} output bytes differ from the golden model's",
            grouped(mismatches as u64),
            grouped(ran.output_bytes as u64)
        )
    }));
    lines.extend(ran.first_difference.clone());
    lines.join("\n")
}
