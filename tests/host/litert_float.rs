//! Float TensorFlow Lite networks on the golden model against LiteRT.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use bitweft::golden::float;
use bitweft::model::data::{DataOptions, Dataset, Images};
use bitweft::model::float::{FloatNetwork, Shape};
use bitweft::model::load::{Model, load_model};
use ndarray::{Array2, Array4, Axis};
use ndarray_npy::{read_npy, write_npy};

fn load(path: &Path) -> FloatNetwork {
    match load_model(path).unwrap() {
        Model::Float(network) => network,
        Model::Integer(_) => panic!("an integer network"),
    }
}

/// LiteRT's outputs, `[image, element]`.
fn oracle(model: &Path, images: &Array4<f32>) -> Array2<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_npy(path("inputs.npy"), images).unwrap();
    let status = Command::new(support::python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/oracle/litert_float.py"))
        .arg(model)
        .args([path("inputs.npy"), path("outputs.npy")])
        .status()
        .unwrap();
    assert!(
        status.success(),
        "the oracle failed; help: run scripts/setup"
    );
    read_npy(path("outputs.npy")).unwrap()
}

#[test]
fn float_networks_have_litert_s_outputs() {
    let test = "float_networks_have_litert_s_outputs";
    // With the largest value of their inputs, and the tolerance. The keyword spotter's weights are int8, for
    // which LiteRT quantizes the activations on the way.
    for (file, scale, tolerance) in [
        ("mlperf-tiny/pretrainedResnet.tflite", 255.0, 1e-4),
        ("mlperf-tiny/kws_ref_model_float32.tflite", 50.0, 5e-3),
        ("mlperf-tiny/vww_96_float.tflite", 1.0, 1e-4),
        ("mlperf-tiny/ad01_fp32.tflite", 1.0, 1e-4),
        (
            "imagenet-models/mobilenet_v1_0.25_224_float.tflite",
            1.0,
            1e-4,
        ),
    ] {
        let Some(model) = support::data(test, file) else {
            return;
        };
        let network = load(&model);
        let Shape {
            height,
            width,
            channels,
        } = network.tensors[network.input].shape;
        let mut position = 0;
        let images = Array4::from_shape_simple_fn((4, height, width, channels), || {
            position += 1;
            scale * (support::hash(11, position) >> 40) as f32 / (1 << 24) as f32
        });
        let expected = oracle(&model, &images);
        let largest = expected.fold(0.0, |most: f32, value| most.max(value.abs()));
        for (image, expected) in images.axis_iter(Axis(0)).zip(expected.outer_iter()) {
            let found = float::run_selected(&network, image, &[network.output]).unwrap();
            assert_eq!(found[0].len(), expected.len(), "{file}");
            for (found, expected) in found[0].iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= tolerance * largest,
                    "{file}: {found}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn resnet8_has_litert_s_accuracy() {
    let test = "resnet8_has_litert_s_accuracy";
    let Some(model) = support::data(test, "mlperf-tiny/pretrainedResnet.tflite") else {
        return;
    };
    let Some(data) = support::data(test, "cifar10/test-dev-3000.npz") else {
        return;
    };
    let network = load(&model);
    let set = Dataset::load(data, &DataOptions::default()).unwrap();
    let Images::Pixels(images) = &set.images else {
        panic!("pixels")
    };
    let outputs = float::evaluate(&network, images.view()).unwrap();
    let labels = set.labels.as_ref().unwrap();
    let classes = float::classes(&outputs);
    let right = classes
        .iter()
        .zip(labels)
        .filter(|(class, label)| class == label)
        .count();
    let top1 = right as f64 / labels.len() as f64;
    println!("top1 {top1:.4}");
    assert!((top1 - 0.8623).abs() <= 0.001, "top1 {top1}, LiteRT 0.8623");
}
