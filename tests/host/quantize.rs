//! `bitweft quantize`: methods, objectives and what they refuse.

mod command;

use std::path::Path;

use bitweft::model::integer::{IntegerLayer, IntegerNetwork, IntegerOp};
use bitweft::model::load::{Model, load_model};
use command::{assert_contains, fails, json};
use serde_json::Value;
use tempfile::TempDir;

/// `quantize` of the embedded network on its own images.
struct Setup {
    folder: TempDir,
    model: String,
    images: String,
}

impl Setup {
    fn new() -> Self {
        let asset = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
            path.join(name).to_str().expect("UTF-8").to_owned()
        };
        Self {
            folder: tempfile::tempdir().expect("folder"),
            model: asset("default.onnx"),
            images: asset("default-images.npz"),
        }
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn arguments(&self, more: &str) -> Vec<String> {
        let out = self.path("out.bw");
        let fixed = [
            "quantize",
            &self.model,
            "--calibration",
            &self.images,
            "-o",
            &out,
            "--images",
            "64",
        ];
        let more = more.split_whitespace();
        fixed.into_iter().chain(more).map(str::to_owned).collect()
    }

    fn json(&self, more: &str) -> Value {
        let arguments = self.arguments(&format!("{more} --json"));
        json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn fails(&self, code: i32, more: &str) -> String {
        let arguments = self.arguments(more);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let error = fails(code, &arguments);
        assert!(!Path::new(&self.path("out.bw")).exists(), "{more}");
        error
    }
}

fn number(value: &Value, field: &str) -> f64 {
    value[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field}: {value}"))
}

#[test]
fn contradictions_exit_with_2() {
    let setup = Setup::new();
    for (arguments, parts) in [
        (
            "--uniform 4 --method sensitivity",
            &["--uniform", "--method"][..],
        ),
        (
            "--uniform 4 --objective size",
            &["--uniform", "--objective"],
        ),
        (
            "--uniform 4 --weighting energy",
            &["--uniform", "--weighting"],
        ),
        ("--uniform 4 --per-layer", &["--per-layer"]),
        (
            "--budget 4 --per-layer --method distribution",
            &["distribution", "--per-layer"],
        ),
        (
            "--budget 4 --weighting fisher --method distribution",
            &["distribution", "--weighting"],
        ),
        ("--budget 9000 --objective cycles", &["--arch"]),
        ("--budget 4 --arch tiny", &["--objective cycles"]),
        ("--uniform 4 --arch tiny", &["--objective cycles"]),
        (
            "--budget 4.5 --objective cycles --arch tiny",
            &["whole number of cycles", "4.5"],
        ),
        (
            "--budget 90000 --objective cycles --arch huge",
            &["huge", "tiny", "ulx3s-85f"],
        ),
        ("--budget 4 --objective speed", &["bits", "size", "cycles"]),
        ("--budget 4 --images 0", &["--images"]),
        ("--objective size", &["--budget"]),
    ] {
        let error = setup.fails(2, arguments);
        for part in parts {
            assert!(
                error.contains(part),
                "{arguments}: `{part}` is not in: {error}"
            );
        }
    }
}

#[test]
fn unreachable_budgets_say_what_can_be_reached() {
    let setup = Setup::new();
    assert_contains(
        &setup.fails(1, "--budget 9"),
        &["a budget of 9 bits", "from 0 to 8"],
    );
    assert_contains(
        &setup.fails(1, "--budget nan"),
        &["cannot be reached", "from 0 to 8"],
    );
    // The lowest figure that is named can be reached.
    let error = setup.fails(1, "--budget 1 --method distribution");
    assert_contains(&error, &["a budget of 1 bits"]);
    let lowest = error
        .split("from ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let lowest = lowest.expect("a figure").to_owned();
    setup.json(&format!("--budget {lowest} --method distribution"));

    let setup = Setup::new();
    let objective = "--objective cycles --arch tiny --budget";
    let error = setup.fails(1, &format!("{objective} 10"));
    assert_contains(
        &error,
        &["a budget of 10 cycles", "the least that was found is"],
    );
    let lowest = error
        .split("found is ")
        .nth(1)
        .expect("a figure")
        .trim()
        .to_owned();
    let found = setup.json(&format!("{objective} {lowest}"));
    let lowest: f64 = lowest.parse().expect("a number");
    assert!(number(&found, "cycles_predicted") <= lowest);
}

/// A budget of cycles is met to the cycle as `compile` counts, and its widths lose less than those of a budget
/// of bits that takes as many cycles.
#[test]
fn cycles_are_counted_as_the_compiler_does() {
    let setup = Setup::new();
    let bits = setup.json("--budget 3");
    let (out, image) = (setup.path("out.bw"), setup.path("out.image"));
    let compile = ["compile", &out, "--arch", "tiny", "-o", &image, "--json"];
    let cycles = number(&json(&compile), "cycles_predicted");
    let same = setup.json(&format!("--budget {cycles} --objective cycles --arch tiny"));
    assert_eq!(json(&compile)["cycles_predicted"], same["cycles_predicted"]);
    assert!(number(&same, "cycles_predicted") <= cycles);
    assert!(number(&same, "sensitivity") <= number(&bits, "sensitivity") * 1.001);
    assert!(number(&same, "sensitivity_bound") <= number(&same, "sensitivity"));
    // One width a layer is a restriction; so are widths from the weights alone.
    for other in ["--per-layer", "--method distribution"] {
        let found = setup.json(&format!(
            "--budget {cycles} --objective cycles --arch tiny {other}"
        ));
        assert!(number(&found, "cycles_predicted") <= cycles, "{other}");
        assert!(number(&found, "sensitivity") > number(&same, "sensitivity"));
    }
    // With time to spare every bit is given out that lowers the loss.
    let all = setup.json("--budget 100000000 --objective cycles --arch ulx3s-85f");
    assert!(number(&all, "average_bits") > 7.0);
}

/// Each method and objective keeps its own figure within the budget, and reports a gap.
#[test]
fn methods_keep_their_budget() {
    let setup = Setup::new();
    for (arguments, field) in [
        ("--method sensitivity", "average_bits"),
        ("--method distribution", "average_bits"),
        ("--objective bits --weighting energy", "average_bits"),
        ("--objective size", "average_weight_bits"),
        (
            "--objective size --method distribution",
            "average_weight_bits",
        ),
        ("--objective size --per-layer", "average_weight_bits"),
        ("--rounding nearest", "average_bits"),
    ] {
        let found = setup.json(&format!("--budget 3 {arguments}"));
        let spent = number(&found, field);
        assert!(spent <= 3.0 && spent > 2.0, "{arguments}: {spent}");
        let gap = number(&found, "gap");
        assert!((0.0..1.0).contains(&gap), "{arguments}: {gap}");
        assert!(gap > 0.1 || !arguments.contains("distribution"), "{gap}");
    }
    for (arguments, field) in [
        ("--rounding adaround", "average_bits"),
        (
            "--weighting weights --activation-range min-max",
            "average_bits",
        ),
        (
            "--weighting output --activation-range percentile",
            "average_bits",
        ),
    ] {
        let spent = number(&setup.json(&format!("--budget 3 {arguments}")), field);
        assert!(spent <= 3.0 && spent > 2.0, "{arguments}: {spent}");
    }
    let loss = |arguments: &str| number(&setup.json(arguments), "sensitivity");
    assert!(loss("--budget 3") < loss("--budget 3 --rounding nearest"));
}

/// What is exported holds the network, widths and all, whatever the format.
#[test]
fn exports_hold_the_network() {
    let setup = Setup::new();
    setup.json("--budget 3 --requantization double");
    let source = setup.path("out.bw");
    let Model::Integer(network) = load_model(&source).expect("loads") else {
        panic!("an integer network")
    };
    let widths = |network: &IntegerNetwork| -> Vec<Vec<u8>> {
        let layers = network.layers.iter();
        let of = |layer: &IntegerLayer| match &layer.op {
            IntegerOp::Convolution(convolution) => Some(convolution.bits.clone()),
            _ => None,
        };
        layers.filter_map(of).collect()
    };
    assert!(widths(&network).concat().iter().any(|bits| *bits < 4));
    for (file, more) in [
        ("net.tflite", &[][..]),
        ("net.onnx", &[]),
        ("quant.onnx", &["--format", "qonnx"]),
    ] {
        let out = setup.path(file);
        let arguments = [&["export", &source, "-o", &out, "--json"], more].concat();
        let bytes = json(&arguments)["file_bytes"].as_u64();
        assert_eq!(bytes, Some(std::fs::metadata(&out).expect("exists").len()));
        let Model::Integer(found) = load_model(&out).expect("loads") else {
            panic!("{file}: an integer network")
        };
        assert_eq!(widths(&found), widths(&network), "{file}");
        assert_eq!(found.rounding, network.rounding, "{file}");
        let score = |model: &str| {
            let arguments = ["evaluate", model, "--data", &setup.images, "--json"];
            json(&arguments)["top1_correct"].as_u64()
        };
        assert_eq!(score(&out), score(&source), "{file}");
    }
    for (arguments, part) in [
        (vec!["-o", "net.bin"], ".tflite or .onnx"),
        (vec!["-o", "net.tflite", "--format", "qonnx"], ".onnx file"),
        (vec!["-o", "net.onnx", "--format", "tflite"], ".tflite file"),
    ] {
        let error = fails(2, &[&["export", &source], &arguments[..]].concat());
        assert_contains(&error, &[part]);
    }
    let error = fails(2, &["export", &setup.model, "-o", "net.onnx"]);
    assert_contains(&error, &["default.onnx", "quantize it first"]);
}

/// An array as NumPy stores it.
fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({},), }}",
        shape.join(", ")
    );
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).expect("short").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}

/// An `.npz` archive of images alone.
fn npz(path: &str, descr: &str, shape: &[usize], bytes: &[u8]) {
    arrays(path, &[("images", npy(descr, shape, bytes))]);
}

/// An `.npz` archive of arrays by name.
fn arrays(path: &str, arrays: &[(&str, Vec<u8>)]) {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("creates"));
    let options = zip::write::SimpleFileOptions::default();
    for (name, array) in arrays {
        archive
            .start_file(format!("{name}.npy"), options)
            .expect("starts");
        archive.write_all(array).expect("writes");
    }
    archive.finish().expect("ends");
}

/// Calibration data that is empty, of another shape, not finite, or of other classes.
#[test]
fn unusable_calibration_is_named() {
    let mut setup = Setup::new();
    let with = |setup: &mut Setup, name: &str, descr: &str, shape: &[usize], bytes: &[u8]| {
        setup.images = setup.path(name);
        npz(&setup.images, descr, shape, bytes);
    };
    let nan = vec![f32::NAN.to_le_bytes(); 2 * 32 * 32 * 3].concat();
    with(&mut setup, "nan.npz", "<f4", &[2, 32, 32, 3], &nan);
    assert_contains(&setup.fails(1, "--budget 4"), &["nan.npz", "not numbers"]);
    with(&mut setup, "empty.npz", "|u1", &[0, 32, 32, 3], &[]);
    assert_contains(&setup.fails(1, "--budget 4"), &["empty.npz", "no images"]);
    with(&mut setup, "wide.npz", "|u1", &[1, 9, 9, 3], &[0; 243]);
    assert_contains(&setup.fails(1, "--budget 4"), &["wide", "9", "32"]);
    setup.images = setup.path("labels.npz");
    let images = npy("|u1", &[2, 32, 32, 3], &[0; 2 * 32 * 32 * 3]);
    let labels = npy("|u1", &[2], &[9, 77]);
    arrays(&setup.images, &[("images", images), ("labels", labels)]);
    let error = setup.fails(1, "--budget 4");
    assert_contains(
        &error,
        &["labels.npz", "image 1 has label 77", "10 classes"],
    );
    setup.images = setup.path("folder");
    std::fs::create_dir(&setup.images).expect("creates");
    assert_contains(&setup.fails(1, "--budget 4"), &["folder", "no .png"]);
    setup.images = setup.path("absent.npz");
    assert_contains(&setup.fails(1, "--budget 4"), &["absent.npz"]);
}

/// Features in int8 need to be told what they stand for.
#[test]
fn features_need_their_scale() {
    let mut setup = Setup::new();
    setup.images = setup.path("features.npz");
    let bytes: Vec<u8> = (0..8 * 32 * 32 * 3).map(|i| (i * 7 % 256) as u8).collect();
    npz(&setup.images, "|i1", &[8, 32, 32, 3], &bytes);
    assert_contains(
        &setup.fails(1, "--budget 4"),
        &["int8 features", "--features"],
    );
    setup.json("--budget 4 --features 0.01,-128");
    let setup = Setup::new();
    for wrong in ["0.01", "0,3", "0.1,300", "nan,1"] {
        let error = setup.fails(2, &format!("--budget 4 --features {wrong}"));
        assert_contains(&error, &["SCALE,ZERO"]);
    }
}

/// A layer that everything goes through keeps some bits, however little it seems to lose, and with one width a layer all do.
#[test]
fn no_layer_is_cut_off() {
    let setup = Setup::new();
    for arguments in ["--budget 1 --per-layer", "--budget 0.4"] {
        let found = setup.json(arguments);
        for layer in found["layers"].as_array().expect("layers") {
            let name = layer["name"].as_str().expect("a name");
            let bits = layer["bits"].as_array().expect("widths");
            // Single filters of a residual branch may go, all of them.
            if arguments.contains("per-layer") || !["inner", "join"].contains(&name) {
                assert!(bits.iter().any(|b| *b != 0), "{arguments}: {name}");
            }
        }
    }
}

/// Inputs are not written over, and what cannot be written is known before the work.
#[test]
fn outputs_are_checked_first() {
    let setup = Setup::new();
    let (copy, link) = (setup.path("copy.onnx"), setup.path("link.bw"));
    std::fs::copy(&setup.model, &copy).expect("copies");
    std::os::unix::fs::symlink(&copy, &link).expect("links");
    let before = std::fs::read(&copy).expect("reads");
    let missing = setup.path("no/where.bw");
    let folder = setup.path("");
    for (out, code, part) in [
        (&copy, 1, "which is read"),
        (&link, 1, "which is read"),
        (&missing, 1, "its folder does not exist"),
        (&folder, 1, "is a folder"),
        (&setup.path("other.tflite"), 2, "bitweft export"),
    ] {
        let arguments = [
            "quantize",
            &copy,
            "--calibration",
            &setup.images,
            "--uniform",
            "8",
        ];
        let error = fails(code, &[&arguments[..], &["-o", out]].concat());
        assert!(error.contains(part), "{out}: {error}");
    }
    assert_eq!(std::fs::read(&copy).expect("reads"), before);
}

/// Weights that are no numbers are refused by every command that reads the network, with file, layer and filter.
#[test]
fn networks_with_nan_are_refused() {
    let setup = Setup::new();
    let mut bytes = std::fs::read(&setup.model).expect("reads");
    // Most of the file is weights: somewhere in these eight bytes is a whole number, which becomes NaN.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    let broken = setup.path("broken.onnx");
    std::fs::write(&broken, bytes).expect("writes");
    let images = ["--data", &setup.images];
    for arguments in [
        &["inspect", &broken][..],
        &["evaluate", &broken, images[0], images[1]],
    ] {
        assert_contains(
            &fails(1, arguments),
            &["broken.onnx", "filter", "not finite"],
        );
    }
}

#[test]
fn figures_that_mean_nothing_are_refused() {
    let setup = Setup::new();
    let (model, images) = (&*setup.model, &*setup.images);
    let evaluate = ["evaluate", model, "--data", images, "--limit", "0"];
    assert_contains(&fails(2, &evaluate), &["--limit"]);
    let objective = [
        "experiment",
        "objective",
        model,
        "--calibration",
        images,
        "--data",
        images,
    ];
    for option in ["--tolerance=nan", "--tolerance=-1", "--losses=1,nan"] {
        let error = fails(2, &[&objective[..], &[option]].concat());
        assert_contains(&error, &["from 0 to 100"]);
    }
}
