//! Experiments on the embedded network: what they print, draw and refuse.

mod command;

use std::path::{Path, PathBuf};

use command::{assert_contains, fails, json};
use serde_json::Value;

fn asset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets")
        .join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// Arguments of an experiment on the embedded network, few images; `more` are further ones.
fn experiment(what: &str, more: &[&str]) -> Vec<String> {
    let (network, images) = (asset("default.onnx"), asset("default-images.npz"));
    let study = ["experiment", what, &network, "--calibration", &images];
    let all = [&study[..], &["--images", "24", "--quiet"], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn run(arguments: &[String]) -> Value {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    json(&arguments)
}

fn refused(code: i32, arguments: &[String], parts: &[&str]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_contains(&fails(code, &arguments), parts);
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
    let found = run(&experiment(
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

/// An experiment with accuracies, on few images.
fn judged(what: &str, more: &[&str]) -> Value {
    let images = asset("default-images.npz");
    let test = ["--data", &images, "--limit", "60", "--json"];
    run(&experiment(what, &[&test[..], more].concat()))
}

#[test]
fn filters_beat_layers_beat_one_width_at_equal_complexity() {
    let sets = ["--budgets", "2.5,3", "--calibration-sets", "2"];
    let found = judged("granularity", &sets);
    assert_eq!(found["setting"]["test"]["images"], 60);
    let rows = found["rows"].as_array().expect("rows");
    let divergence = |row: &Value, method: &str| number(&row[method]["divergence"]);
    for row in rows {
        let [uniform, layer, filter] =
            ["uniform", "per_layer", "per_filter"].map(|method| divergence(row, method));
        assert!(filter < layer && layer < uniform, "{row}");
        assert!(number(&row["per_filter"]["average_bits"]) <= number(&row["budget"]));
    }
    let differences = rows[0]["differences"].as_array().expect("differences");
    let [first, ..] = &differences[..] else {
        panic!("none: {found}")
    };
    assert_eq!(
        (&first["first"], &first["second"]),
        (&"per-filter".into(), &"per-layer".into())
    );
    let means = ["per_filter", "per_layer"].map(|method| number(&rows[0][method]["top1"]));
    assert!((number(&first["mean"]) - (means[0] - means[1])).abs() < 1e-9);
    assert_eq!(rows[0]["uniform"]["interpolated"], true);
    assert_eq!(rows[1]["uniform"]["interpolated"], false);
    // Uniform 2 and 3; two budgets with two methods; all for two sets.
    assert_eq!(points(&found).len(), 12);
    let (low, high) = (
        points(&found)[0]["accuracy"].clone(),
        &points(&found)[1]["accuracy"],
    );
    assert!(number(&low["divergence"]) > number(&high["divergence"]));
}

#[test]
fn time_budgets_save_cycles() {
    let budgets = [
        "--budgets",
        "2,2.5,3,3.5,4",
        "--tolerance",
        "2",
        "--losses",
        "5",
    ];
    let found = judged("objective", &budgets);
    assert_eq!(points(&found).len(), 10);
    let pairs = found["pairs"].as_array().expect("pairs");
    assert!(!pairs.is_empty());
    for pair in pairs {
        let (size, time) = (&pair["size"], &pair["time"]);
        assert!((number(&size["top1"]) - number(&time["top1"])).abs() <= 0.02 + 1e-9);
        let saved = 1.0 - number(&time["cycles"]) / number(&size["cycles"]);
        assert!((saved - number(&pair["saved"])).abs() < 1e-9);
        assert!(number(&size["average_weight_bits"]) <= number(&size["budget"]));
        assert!(number(&time["average_bits"]) <= number(&time["budget"]));
    }
    assert!(number(&found["saved_mean"]) > 0.0);
    assert_eq!(found["levels"].as_array().expect("levels").len(), 1);
}

#[test]
fn the_front_has_every_method() {
    let found = judged("pareto", &["--budgets", "2,8"]);
    let methods: Vec<&str> = points(&found)
        .iter()
        .filter_map(|point| point["method"].as_str())
        .collect();
    let each = ["per-filter", "per-layer", "distribution", "uniform"];
    assert_eq!(methods, [each, each].concat());
    let cycles = |index: usize| number(&points(&found)[index]["cycles"]);
    let divergence = |index: usize| number(&points(&found)[index]["accuracy"]["divergence"]);
    assert!(cycles(0) < cycles(4) && divergence(0) > divergence(4));
}

/// Rows of a result that names them `field`.
fn rows<'a>(found: &'a Value, field: &str) -> &'a Vec<Value> {
    found[field].as_array().expect("rows")
}

#[test]
fn budgets_are_judged_against_the_float_network() {
    let found = judged("budgets", &["--budgets", "8,2"]);
    let float = number(&found["setting"]["test"]["top1_float"]);
    let [wide, narrow] = &rows(&found, "rows")[..] else {
        panic!("two rows: {found}")
    };
    for row in [wide, narrow] {
        let relative = number(&row["accuracy"]["top1"]) / float;
        assert!((relative - number(&row["top1_relative"])).abs() < 1e-9);
        assert!(number(&row["average_bits"]) <= number(&row["budget"]));
        assert!(number(&row["seconds"]) > 0.0 && number(&row["peak_bytes"]) > 1e6);
    }
    let agreement = |row: &Value| number(&row["accuracy"]["agreement"]);
    assert!(agreement(wide) > 0.95 && agreement(wide) >= agreement(narrow));
}

#[test]
fn every_part_is_left_out_once() {
    let found = judged("ablation", &["--budget", "2"]);
    let variants = rows(&found, "variants");
    let divergence = |part: &str, choice: &str| {
        let own = |v: &&Value| v["part"] == part && v["choice"] == choice;
        let variant = variants.iter().find(own).expect("there");
        assert!(number(&variant["average_bits"]) <= 2.0);
        number(&variant["accuracy"]["divergence"])
    };
    let defaults = divergence("defaults", "");
    assert_eq!(number(&variants[0]["difference"]["mean"]), 0.0);
    for (part, choice) in [
        ("rounding", "nearest"),
        ("widths", "distribution of the weights"),
        ("all", "plain rounding to nearest"),
    ] {
        let other = divergence(part, choice);
        assert!(
            defaults < other,
            "{part}, {choice}: {other} against {defaults}"
        );
    }
}

/// Background first: every label is one more.
#[test]
fn labels_may_start_at_one() {
    let (network, images) = (asset("default.onnx"), asset("default-images.npz"));
    let evaluate = ["evaluate", &network, "--data", &images, "--limit", "50"];
    let found = json(&[&evaluate[..], &["--json"]].concat());
    assert!(number(&found["top1"]) > 0.9);
    let error = fails(1, &[&evaluate[..], &["--label-offset", "1"]].concat());
    assert_contains(&error, &["default-images.npz", "label 10", "10 classes"]);
}

#[test]
fn unusable_arguments_are_named() {
    let one = ["--allocations", "2"];
    refused(2, &experiment("correlation", &one), &["--allocations"]);
    let arch = ["--arch", "huge"];
    refused(2, &experiment("correlation", &arch), &["huge", "ulx3s-85f"]);
    let images = asset("default-images.npz");
    let absent = [
        "experiment",
        "correlation",
        "absent.onnx",
        "--calibration",
        &images,
    ];
    assert_contains(&fails(1, &absent), &["absent.onnx"]);
    let network = asset("default.onnx");
    let absent = [
        "experiment",
        "correlation",
        &network,
        "--calibration",
        "absent.npz",
    ];
    assert_contains(&fails(1, &absent), &["absent.npz"]);
    let wide = ["--budgets", "9", "--data", &images];
    refused(1, &experiment("pareto", &wide), &["budget of 9"]);
    refused(2, &experiment("granularity", &wide), &["--budgets 9"]);
    refused(2, &experiment("granularity", &[]), &["--data"]);
    let nowhere = ["--allocations", "3", "--svg", "/absent/chart.svg"];
    refused(
        1,
        &experiment("correlation", &nowhere),
        &["/absent/chart.svg"],
    );
}

/// Every kind of result on one page that stands for itself.
#[test]
fn a_report_shows_every_result() {
    let folder = tempfile::tempdir().expect("folder");
    let (results, _) = file(&folder, "results");
    std::fs::create_dir(&results).expect("creates");
    let keep = |name: &str, arguments: &[String]| {
        let text = serde_json::to_string(&run(arguments)).expect("text");
        std::fs::write(results.join(name), text).expect("writes");
    };
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let (network, images) = (asset("default.onnx"), asset("default-images.npz"));
    let ((_, bw), (_, image)) = (file(&folder, "net.bw"), file(&folder, "net.image"));
    let json = ["--json"];
    keep(
        "a.json",
        &experiment(
            "correlation",
            &[&["--allocations", "5"], &json[..]].concat(),
        ),
    );
    let quantize = [
        "quantize",
        &network,
        "--calibration",
        &images,
        "--images",
        "24",
    ];
    let budget = ["--budget", "3", "-o", &bw, "--json"];
    keep("b.json", &words(&[&quantize[..], &budget[..]].concat()));
    keep("c.json", &words(&["inspect", &bw, "--json"]));
    keep(
        "d.json",
        &words(&[
            "evaluate", &bw, "--data", &images, "--limit", "20", "--json",
        ]),
    );
    keep(
        "e.json",
        &words(&["compile", &bw, "--arch", "tiny", "-o", &image, "--json"]),
    );
    keep(
        "f.json",
        &words(&["verify", &bw, "--arch", "tiny", "--data", &images, "--json"]),
    );
    let (page, page_text) = file(&folder, "report.html");
    let results_text = results.to_str().expect("UTF-8");
    let written = run(&words(&[
        "report",
        results_text,
        "-o",
        &page_text,
        "--json",
    ]));
    let kinds: Vec<&str> = written["inputs"]
        .as_array()
        .expect("inputs")
        .iter()
        .filter_map(|input| input["kind"].as_str())
        .collect();
    let all = [
        "experiment",
        "quantize",
        "inspect",
        "evaluate",
        "compile",
        "verify",
    ];
    assert_eq!(kinds, all);
    let html = std::fs::read_to_string(page).expect("written");
    assert_eq!(written["bytes"].as_u64(), Some(html.len() as u64));
    let parts = [
        "<!DOCTYPE html>",
        "prefers-color-scheme: dark",
        "Cycles against MACs x bits: r = ",
        "filter 15: ",
        "bound of the array",
        "on the golden model",
    ];
    assert_contains(&html, &parts);
    // Nothing is fetched: no scripts, and no addresses but the namespace of SVG.
    assert!(!html.contains("<script") && !html.contains("src=") && !html.contains("@import"));
    assert_eq!(
        html.matches("http").count(),
        html.matches("http://www.w3.org/2000/svg").count()
    );
}

#[test]
fn a_report_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().expect("folder");
    let (other, other_text) = file(&folder, "other.json");
    let (_, page) = file(&folder, "report.html");
    let refused = |text: &str, parts: &[&str]| {
        std::fs::write(&other, text).expect("writes");
        assert_contains(&fails(1, &["report", &other_text, "-o", &page]), parts);
    };
    refused("{\"a\": 1}", &["other.json", "no result that report shows"]);
    refused("[1, 2]", &["other.json", "no result that report shows"]);
    refused("{", &["other.json", "not JSON"]);
    refused(
        "{\"experiment\": \"pareto\"}",
        &["other.json", "experiment", "missing field"],
    );
    refused("{\"experiment\": \"alchemy\"}", &["other.json", "alchemy"]);
    assert!(!Path::new(&page).exists());
    assert_contains(
        &fails(1, &["report", "absent.json", "-o", &page]),
        &["absent.json"],
    );
    let error = fails(1, &["report", &other_text, "-o", "/absent/report.html"]);
    assert_contains(&error, &["/absent/report.html"]);
    let empty = tempfile::tempdir().expect("folder");
    let empty = empty.path().to_str().expect("UTF-8");
    assert_contains(
        &fails(2, &["report", empty, "-o", &page]),
        &["no .json files"],
    );
    fails(2, &["report", "-o", &page]);
}
