//! Quantized networks on the golden model and in ONNX Runtime: files that its quantizer made, and files that
//! bitweft wrote.
//!
//! ONNX Runtime requantizes in `f32` with ties to even, the golden model in fixed point with ties upwards: bytes
//! may differ where a sum lies next to the middle of two steps.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use bitweft::golden::float;
use bitweft::golden::network::Executor;
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::float::InputTransform;
use bitweft::model::integer::{IntegerNetwork, Rounding};
use bitweft::model::load::{Model, load_model};
use bitweft::model::onnx;
use bitweft::quant::{Allocation, Options, Quantizer};
use ndarray::{Array2, Array4, ArrayView2, Axis};
use ndarray_npy::{NpzReader, read_npy, write_npy};

/// Real numbers `[image, channel, row, column]` as a network's input bytes `[image, row, column, channel]`.
fn input_bytes(network: &IntegerNetwork, images: &Array4<f32>) -> Array4<u8> {
    let input = &network.tensors[network.input];
    let byte = |real: f32| (real / input.scale).round_ties_even() + input.zero_point as f32;
    images
        .mapv(|real| byte(real) as u8)
        .permuted_axes([0, 2, 3, 1])
        .as_standard_layout()
        .into_owned()
}

/// The reverse of [`input_bytes`].
fn reals(network: &IntegerNetwork, bytes: &Array4<u8>) -> Array4<f32> {
    let input = &network.tensors[network.input];
    let real = |byte: u8| (f32::from(byte) - input.zero_point as f32) * input.scale;
    bytes
        .mapv(real)
        .permuted_axes([0, 3, 1, 2])
        .as_standard_layout()
        .into_owned()
}

/// What two runs have in common.
#[derive(Debug)]
struct Agreement {
    /// Share of outputs that are the same byte.
    same: f64,
    /// Share of images of the same class.
    class: f64,
    /// Largest difference in steps.
    worst: u8,
}

/// Compares bytes with real outputs.
fn agreement(
    network: &IntegerNetwork,
    found: &Array2<u8>,
    expected: ArrayView2<'_, f32>,
) -> Agreement {
    let output = &network.tensors[network.output];
    let expected = expected.mapv(|real| (real / output.scale).round() as i32 + output.zero_point);
    assert_eq!(found.dim(), expected.dim());
    let pairs = || found.iter().zip(&expected);
    let difference = |(found, expected): (&u8, &i32)| (i32::from(*found) - expected).unsigned_abs();
    let best = |row: Vec<i32>| {
        row.iter()
            .position(|value| value == row.iter().max().unwrap())
    };
    let classes = found
        .outer_iter()
        .zip(expected.outer_iter())
        .filter(|(found, expected)| best(found.mapv(i32::from).to_vec()) == best(expected.to_vec()))
        .count();
    Agreement {
        same: pairs().filter(|pair| difference(*pair) == 0).count() as f64 / found.len() as f64,
        class: classes as f64 / found.dim().0 as f64,
        worst: u8::try_from(pairs().map(difference).max().unwrap()).unwrap(),
    }
}

#[test]
fn files_of_onnx_runtimes_quantizer_have_its_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/onnxruntime");
    let mut answers = NpzReader::new(File::open(folder.join("answers.npz")).unwrap()).unwrap();
    let images: Array4<f32> = answers.by_name("images").unwrap();
    for name in ["qdq", "qoperator"] {
        let file = fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        let network = onnx::read_integer(&file, name).unwrap();
        assert_eq!(network.rounding, Rounding::Single);
        let inputs = input_bytes(&network, &images);
        let found = Executor::new(&network)
            .unwrap()
            .run_outputs(inputs.view())
            .unwrap();
        let expected: Array2<f32> = answers.by_name(name).unwrap();
        let agreement = agreement(&network, &found, expected.view());
        println!("{name}: {agreement:?}");
        assert!(agreement.worst <= 1, "{name}: {agreement:?}");
        assert!(agreement.same >= 0.99, "{name}: {agreement:?}");
    }
}

/// ONNX Runtime's outputs for images.
fn run(file: &[u8], images: &Array4<f32>) -> Array2<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("network.onnx"), file).unwrap();
    write_npy(path("inputs.npy"), images).unwrap();
    let status = Command::new(support::python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/oracle/onnx_runtime.py"))
        .args([
            path("network.onnx"),
            path("inputs.npy"),
            path("outputs.npy"),
        ])
        .status()
        .unwrap();
    assert!(
        status.success(),
        "the oracle failed; help: run scripts/setup"
    );
    read_npy(path("outputs.npy")).unwrap()
}

#[test]
fn onnx_runtime_runs_what_is_written() {
    let test = "onnx_runtime_runs_what_is_written";
    let Some(model) = support::data(test, "mlperf-tiny/pretrainedResnet_quant.tflite") else {
        return;
    };
    let Some(data) = support::data(test, "cifar10/test-dev-3000.npz") else {
        return;
    };
    let Model::Integer(mut network) = load_model(model).unwrap() else {
        panic!("a float network")
    };
    network.rounding = Rounding::Single;
    let file = onnx::write(&network).unwrap();
    let images = 1000;
    let set = Dataset::load(data, &DataOptions::default()).unwrap();
    let inputs = set.bytes_for(&network, 0..images).unwrap();
    let found = Executor::new(&network)
        .unwrap()
        .run_outputs(inputs.view())
        .unwrap();
    let expected = run(&file, &reals(&network, &inputs));
    let agreement = agreement(&network, &found, expected.view());
    println!("{agreement:?}");
    assert!(agreement.class >= 0.99, "{agreement:?}");
}

#[test]
fn mixed_widths_keep_their_classes_in_onnx_runtime() {
    let test = "mixed_widths_keep_their_classes_in_onnx_runtime";
    let Some(model) = support::data(test, "resnet-cifar10/resnet20-12fca82f.onnx") else {
        return;
    };
    let Some(data) = support::data(test, "cifar10/test-dev-3000.npz") else {
        return;
    };
    let Model::Float(mut float) = load_model(model).unwrap() else {
        panic!("an integer network")
    };
    let stated =
        InputTransform::from_mean_std("123.675,116.28,103.53", "58.395,57.12,57.375").unwrap();
    float.input_transform = stated.then(&float.input_transform);
    let set = Dataset::load(data, &DataOptions::default()).unwrap();
    let calibration: Vec<_> = set
        .reals_for(&float, 0..24)
        .unwrap()
        .outer_iter()
        .map(|image| image.to_owned())
        .collect();
    let quantizer = Quantizer::new(&float, &calibration, Options::default()).unwrap();
    let (network, _) = quantizer.quantize(Allocation::PerFilter(4.0)).unwrap();
    let file = onnx::write(&network).unwrap();
    assert_eq!(onnx::read_integer(&file, &network.name).unwrap(), network);

    let inputs = set.bytes_for(&network, 0..200).unwrap();
    let found = Executor::new(&network)
        .unwrap()
        .run_outputs(inputs.view())
        .unwrap();
    let expected = run(&file, &reals(&network, &inputs));
    let agreement = agreement(&network, &found, expected.view());
    println!("{agreement:?}");
    assert!(agreement.class >= 0.98, "{agreement:?}");
}

#[test]
fn tiny_darknet_has_onnx_runtimes_logits() {
    let test = "tiny_darknet_has_onnx_runtimes_logits";
    let Some(model) = support::data(test, "imagenet-models/tiny-darknet.onnx") else {
        return;
    };
    let file = fs::read(model).unwrap();
    let network = onnx::read_float(&file, "network").unwrap();
    let noise = |(_, y, x, c): (usize, usize, usize, usize)| {
        (support::hash(5, (y * 224 + x) * 3 + c) >> 40) as f32 / (1 << 24) as f32
    };
    let images = Array4::from_shape_fn((1, 224, 224, 3), noise);
    let by_channel = images
        .view()
        .permuted_axes([0, 3, 1, 2])
        .as_standard_layout()
        .into_owned();
    let expected = run(&file, &by_channel);
    let found =
        float::run_selected(&network, images.index_axis(Axis(0), 0), &[network.output]).unwrap();
    for (found, expected) in found[0].iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 1e-3 * expected.abs().max(1.0),
            "{found} {expected}"
        );
    }
}
