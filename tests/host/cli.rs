//! The command line: exit codes, error messages, JSON.

#[path = "../cases/mod.rs"]
mod cases;
mod command;

use std::path::{Path, PathBuf};

use bitweft::model::{bwfile, integer::IntegerNetwork};
use command::{assert_contains, bitweft, fails, json};
use ndarray::{Array1, Array4, Axis};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;

/// A small network with its images, as files.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let case = cases::cases()
            .into_iter()
            .find(|case| case.network.name.contains("residual"))
            .expect("a case");
        let files = Self { folder };
        bwfile::write(files.path("net.bw"), &case.network).expect("writes");
        files.write_images("images.npz", &case.network, 0);
        files.write_images("wide.npz", &case.network, 1);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Three images of the network's input shape, `more` columns wider.
    fn write_images(&self, name: &str, network: &IntegerNetwork, more: usize) {
        let shape = network.tensors[network.input].shape;
        let dim = (3, shape.height, shape.width + more, shape.channels);
        let mut random = cases::Random::new(7);
        let images = Array4::from_shape_simple_fn(dim, || random.byte());
        let file = std::fs::File::create(self.path(name)).expect("creates");
        let mut writer = NpzWriter::new(file);
        writer.add_array("images", &images).expect("writes");
        let labels: Array1<i64> = images.axis_iter(Axis(0)).map(|_| 0).collect();
        writer.add_array("labels", &labels).expect("writes");
        writer.finish().expect("writes");
    }
}

#[test]
fn senseless_arguments_exit_with_2() {
    let files = Files::new();
    let (net, images) = (files.text("net.bw"), files.text("images.npz"));
    fails(2, &[]);
    fails(2, &["frobnicate"]);
    fails(2, &["evaluate", &net]);
    fails(
        2,
        &[
            "verify", &net, "--arch", "tiny", "--data", &images, "--limit", "0",
        ],
    );
    fails(2, &["inspect", &net, "--quiet", "--verbose"]);
    let error = fails(2, &["generate", "--arch", "huge", "-o", "out"]);
    assert_contains(&error, &["error: ", "huge", "tiny", "ulx3s-85f", ".toml"]);
    let error = fails(2, &["build", "--board", "ulx3s"]);
    assert_contains(&error, &["unknown board `ulx3s`", "ulx3s-85f", ".toml"]);
    assert!(!error.contains("tiny"), "{error}");
    let run = ["run", &net, "--data", &images, "--port", "tcp://localhost"];
    assert_contains(&fails(2, &run), &["tcp://localhost", "HOST:PORT"]);
    for address in [
        "tcp://:7",
        "tcp://localhost:99999",
        "tcp://localhost:+7",
        "udp://localhost:7",
        "",
    ] {
        let run = ["run", &net, "--data", &images, "--port", address];
        assert_contains(&fails(2, &run), &["--port", "tcp://HOST:PORT"]);
    }
    let serve = ["board", "serve", "--board", "tiny"];
    assert_contains(&fails(2, &serve), &["--pty", "--tcp"]);
    let serve = [&serve[..], &["--tcp", "localhost"]].concat();
    assert_contains(&fails(2, &serve), &["--tcp", "HOST:PORT"]);
    let serve = ["board", "serve", "--board", "tiny", "--pty"];
    assert_contains(&fails(2, &serve), &["unknown board `tiny`", "icebreaker"]);
    let bridge = [
        "bridge",
        "mlperf-tiny",
        &net,
        "--port",
        "x",
        "--listen",
        "tcp://x",
    ];
    assert_contains(&fails(2, &bridge), &["--listen", "tcp://HOST:PORT"]);
    let error = fails(2, &["evaluate", &net, "--data", &images, "--mean", "1,x"]);
    assert_contains(&error, &["--mean", "'x'"]);
    let widths = ["--budget", "4", "--uniform", "8"];
    let quantize = ["quantize", &net, "--calibration", &images, "-o", "out.bw"];
    fails(2, &[&quantize[..], &widths[..]].concat());
    let error = fails(2, &quantize);
    assert_contains(&error, &["--budget or --uniform"]);
    let error = fails(2, &[&quantize[..], &["--uniform", "8"][..]].concat());
    assert_contains(&error, &["net.bw", "integer network already"]);
    let compile = ["compile", &net, "--arch", "tiny", "-o", "image"];
    let error = fails(2, &[&compile[..], &["--uniform", "8"][..]].concat());
    assert_contains(&error, &["integer network"]);
}

#[test]
fn help_and_version_exit_with_0() {
    for argument in ["--help", "--version"] {
        let output = bitweft(&[argument]);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn bad_files_are_named_and_exit_with_1() {
    let files = Files::new();
    let (net, images) = (files.text("net.bw"), files.text("images.npz"));
    let absent = files.text("absent.npz");
    assert_contains(
        &fails(1, &["evaluate", &net, "--data", &absent]),
        &["error: ", "absent.npz"],
    );
    let wide = files.text("wide.npz");
    assert_contains(
        &fails(1, &["evaluate", &net, "--data", &wide]),
        &["wide", "8 x 9 x 3", "8 x 8 x 3"],
    );
    let bytes = std::fs::read(&net).expect("reads");
    std::fs::write(files.path("cut.bw"), &bytes[..bytes.len() / 2]).expect("writes");
    assert_contains(
        &fails(1, &["inspect", &files.text("cut.bw")]),
        &["cut.bw", "truncated"],
    );
    std::fs::write(files.path("cut.tflite"), b"\x1c\0\0\0TFL3\0\0").expect("writes");
    assert_contains(
        &fails(1, &["inspect", &files.text("cut.tflite")]),
        &["cut.tflite"],
    );
    assert_contains(
        &fails(1, &["evaluate", &images, "--data", &images]),
        &["images.npz", "not a network file"],
    );
    std::fs::write(files.path("bad.toml"), "[architecture]\ncolumns = 0\n").expect("writes");
    let (bad, out) = (files.text("bad.toml"), files.text("out"));
    assert_contains(
        &fails(1, &["generate", "--arch", &bad, "-o", &out]),
        &["bad.toml", "quads"],
    );
    assert!(!Path::new(&out).exists());
    let absent = files.text("absent.toml");
    assert_contains(
        &fails(1, &["generate", "--arch", &absent, "-o", &out]),
        &["absent.toml"],
    );
    // The network needs more planes and activations than this.
    let small = include_str!("../../constraints/tiny.toml").replace("16384", "16");
    std::fs::write(files.path("small.toml"), small).expect("writes");
    let small = files.text("small.toml");
    assert_contains(
        &fails(1, &["compile", &net, "--arch", &small, "-o", &out]),
        &["small.toml", "activation_words", ">="],
    );
}

#[test]
fn results_are_json_on_request() {
    let files = Files::new();
    let (net, images) = (files.text("net.bw"), files.text("images.npz"));
    let found = json(&["inspect", &net, "--json"]);
    let layers = found["layers"].as_array().expect("layers");
    assert!(
        layers
            .iter()
            .any(|layer| layer["bits"]["max"].as_u64() > Some(0))
    );
    let macs: u64 = layers
        .iter()
        .filter_map(|layer| layer["macs"].as_u64())
        .sum();
    assert_eq!(found["macs"].as_u64(), Some(macs));
    let found = json(&[
        "evaluate", &net, "--data", &images, "--limit", "2", "--json",
    ]);
    assert_eq!(found["images"], 2);
    assert!(found["top1"].is_f64());
    let image = files.text("net.image");
    let found = json(&["compile", &net, "--arch", "tiny", "-o", &image, "--json"]);
    let bytes = std::fs::read(&image).expect("reads");
    assert_eq!(found["image_bytes"].as_u64(), Some(bytes.len() as u64));
    assert!(bitweft_isa::image::Image::decode(&bytes).is_ok());
    let out = files.text("verilog");
    let found = json(&["--json", "generate", "--arch", "icebreaker", "-o", &out]);
    let file = found["files"][0].as_str().expect("a file");
    let verilog = std::fs::read_to_string(file).expect("reads");
    assert!(verilog.contains("module bitweft"));
    assert!(json(&["doctor", "--json"])["findings"].is_array());
}

/// From file to compared bytes, counters and a report.
#[test]
fn verify_compares_every_layer_of_a_network() {
    let files = Files::new();
    let (net, images) = (files.text("net.bw"), files.text("images.npz"));
    let data = ["--data", &images, "--limit", "2", "--json"];
    let found = json(&[&["verify", &net, "--arch", "tiny"], &data[..]].concat());
    assert_eq!(found["images"], 2);
    for field in ["mismatches", "counter_mismatches", "machine_mismatches"] {
        assert_eq!(found[field], 0, "{field}");
    }
    assert_eq!(found["cycles_predicted"], found["cycles_measured"]);
    let layers = found["layers"].as_array().expect("layers");
    let cycles = |name: &str| {
        layers
            .iter()
            .filter_map(|layer| layer[name].as_u64())
            .sum::<u64>()
    };
    assert!(cycles("cycles_measured") > 0);
    assert_eq!(found["cycles_measured"], cycles("cycles_measured"));
    let busy = layers
        .iter()
        .filter_map(|layer| layer["busy_fraction"].as_f64());
    assert!(busy.clone().all(|part| part <= 1.0) && busy.fold(0.0, f64::max) > 0.1);
}

#[test]
fn the_contract_is_written_in_every_format() {
    let files = Files::new();
    let contract = json(&["isa", "--json", "--arch", "tiny"]);
    assert_eq!(contract["version"], bitweft_isa::VERSION);
    assert_eq!(contract["processor"]["memories"][2]["row_bytes"], 3);
    for (format, beginning) in [("markdown", "# "), ("c", "/* "), ("json", "{")] {
        let file = files.text("isa");
        let arguments = ["isa", "--format", format, "-o", &file, "--quiet"];
        assert_eq!(bitweft(&arguments).status.code(), Some(0));
        let written = std::fs::read_to_string(&file).expect("reads");
        assert!(written.starts_with(beginning), "{format}: {written}");
        let printed = bitweft(&["isa", "--format", format]).stdout;
        assert_eq!(String::from_utf8_lossy(&printed).trim(), written.trim());
    }
    let error = fails(2, &["isa", "--arch", "huge"]);
    assert_contains(&error, &["huge", "tiny"]);
}
