//! Experiments on the embedded network: what they print, draw and refuse.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn asset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets")
        .join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn bitweft(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args(arguments)
        .output()
        .expect("starts")
}

/// An experiment on the embedded network, few images; `more` are further arguments.
fn experiment(what: &str, more: &[&str]) -> Output {
    let (network, images) = (asset("default.onnx"), asset("default-images.npz"));
    let study = [
        "experiment",
        what,
        &network,
        "--calibration",
        &images,
        "--images",
        "24",
    ];
    bitweft(&[&study[..], more].concat())
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn fails(code: i32, output: &Output, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

fn points(found: &Value) -> &Vec<Value> {
    found["points"].as_array().expect("points")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// `name` of a folder that is removed at the end of the test.
fn file(folder: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().expect("UTF-8").to_owned();
    (path, text)
}

/// On the simulated processor, too.
#[test]
fn cycles_follow_complexity_and_not_size() {
    let folder = tempfile::tempdir().expect("folder");
    let (svg, svg_text) = file(&folder, "chart.svg");
    let arguments = ["--allocations", "8", "--measure", "1", "--svg", &svg_text];
    let found = json(&experiment(
        "correlation",
        &[&arguments[..], &["--json"]].concat(),
    ));
    assert_eq!(found["experiment"], "correlation");
    let points = points(&found);
    assert_eq!(points.len(), 8);
    let (c, size) = (&found["r_cycles_mac_bits"], &found["r_cycles_weight_bits"]);
    assert!(number(c) >= 0.99 && number(size) < number(c), "{c} {size}");
    let measured: Vec<&Value> = points.iter().filter(|p| !p["measured"].is_null()).collect();
    assert_eq!(measured.len(), 1);
    assert_eq!(measured[0]["measured"]["cycles"], measured[0]["cycles"]);
    assert_eq!(measured[0]["measured"]["mismatches"], 0);
    assert_eq!(measured[0]["measured"]["counter_mismatches"], 0);
    for point in points {
        let layers = point["layers"].as_array().expect("layers");
        let cycles: u64 = layers
            .iter()
            .filter_map(|l| l["cycles_predicted"].as_u64())
            .sum();
        assert_eq!(point["cycles"], cycles);
        assert!(number(&point["cycles"]) >= number(&point["bound_cycles"]));
        let filters = point["widths"][0]["bits"].as_array().expect("bits").len();
        assert_eq!(filters, 16);
    }
    let svg = std::fs::read_to_string(svg).expect("written");
    let marks = svg.matches("C: MACs x bits: ").count();
    assert!(svg.starts_with("<svg") && marks == 8, "{marks} marks");
}

#[test]
fn unusable_arguments_are_named() {
    let one = ["--allocations", "2"];
    fails(2, &experiment("correlation", &one), &["--allocations"]);
    let arch = ["--arch", "huge"];
    fails(2, &experiment("correlation", &arch), &["huge", "ulx3s-85f"]);
    let images = asset("default-images.npz");
    let absent = [
        "experiment",
        "correlation",
        "absent.onnx",
        "--calibration",
        &images,
    ];
    fails(1, &bitweft(&absent), &["absent.onnx"]);
    let network = asset("default.onnx");
    let absent = [
        "experiment",
        "correlation",
        &network,
        "--calibration",
        "absent.npz",
    ];
    fails(1, &bitweft(&absent), &["absent.npz"]);
    let nowhere = ["--allocations", "3", "--svg", "/absent/chart.svg"];
    fails(
        1,
        &experiment("correlation", &nowhere),
        &["/absent/chart.svg"],
    );
}
