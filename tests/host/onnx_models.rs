//! Float networks from ONNX files against what ONNX Runtime answers.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use bitweft::golden::float;
use bitweft::model::float::{FloatNetwork, FloatOp, InputTransform};
use bitweft::model::onnx;
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzReader;

fn read(path: PathBuf) -> FloatNetwork {
    onnx::read_float(&fs::read(&path).unwrap(), "network").unwrap()
}

#[test]
fn resnet20_has_onnx_runtimes_logits_and_accuracy() {
    let Some(data) = support::data("resnet20_has_onnx_runtimes_logits_and_accuracy", ".") else {
        return;
    };
    let mut network = read(data.join("resnet-cifar10/resnet20-12fca82f.onnx"));
    // 19 convolutions, 2 shortcuts as convolutions, 9 additions, mean, fully connected: nothing else is left.
    assert_eq!(network.layers.len(), 32);
    let stated =
        InputTransform::from_mean_std("123.675,116.28,103.53", "58.395,57.12,57.375").unwrap();
    network.input_transform = stated.then(&network.input_transform);

    let mut set =
        NpzReader::new(fs::File::open(data.join("cifar10/test-dev-3000.npz")).unwrap()).unwrap();
    let images: Array4<u8> = set.by_name("images").unwrap();
    let labels: Array1<u8> = set.by_name("labels").unwrap();
    let logits = float::evaluate(&network, images.view()).unwrap();
    let classes = float::classes(&logits);
    let right = classes
        .iter()
        .zip(&labels)
        .filter(|(class, label)| **class == usize::from(**label))
        .count();
    let top1 = right as f64 / labels.len() as f64;
    println!("top1 {top1:.4}");
    assert!(
        (top1 - 0.9127).abs() <= 0.001,
        "top1 {top1}, ONNX Runtime 0.9127"
    );

    let stored = data.join("resnet-cifar10/resnet20-12fca82f.logits.npz");
    let expected: Array2<f32> = NpzReader::new(fs::File::open(&stored).unwrap())
        .unwrap()
        .by_name("logits")
        .unwrap();
    let files = strings(&stored, "files");
    let row: HashMap<&str, usize> = files
        .iter()
        .enumerate()
        .map(|(i, file)| (file.trim_end_matches(".png"), i))
        .collect();
    let names = strings(&data.join("cifar10/test-dev-3000.npz"), "names");
    assert_eq!(names.len(), logits.dim().0);
    for (name, found) in names.iter().zip(logits.outer_iter()) {
        let expected = expected.row(row[name.rsplit('/').next().unwrap().trim_end_matches(".png")]);
        let worst = (&found - &expected).fold(0.0, |worst: f32, value| worst.max(value.abs()));
        assert!(worst < 1e-3, "{name}: a logit differs by {worst}");
    }
}

/// An array of fixed-width strings (`S` or `U`), which `ndarray-npy` does not read.
fn strings(archive: &Path, array: &str) -> Vec<String> {
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let mut bytes = vec![];
    archive
        .by_name(&format!("{array}.npy"))
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, data) = (
        String::from_utf8_lossy(&bytes[10..10 + length]),
        &bytes[10 + length..],
    );
    let kind = header
        .split("'descr': '")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let width: usize = kind[2..].parse().unwrap();
    let unit = if &kind[1..2] == "U" { 4 } else { 1 };
    // Every character here is ASCII: the first byte of four is the character.
    let text = |item: &[u8]| {
        item.chunks(unit)
            .map(|c| char::from(c[0]))
            .filter(|c| *c != '\0')
            .collect()
    };
    data.chunks_exact(width * unit).map(text).collect()
}

#[test]
fn selection_convolutions_stand_for_the_shortcuts_of_resnet20() {
    let Some(data) = support::data(
        "selection_convolutions_stand_for_the_shortcuts_of_resnet20",
        ".",
    ) else {
        return;
    };
    let network = read(data.join("resnet-cifar10/resnet20-12fca82f.onnx"));
    let layer = network
        .layers
        .iter()
        .find(|layer| layer.name == "layer2.0.sp")
        .unwrap();
    let FloatOp::Convolution {
        window,
        weights,
        bias,
        ..
    } = &layer.op
    else {
        panic!("{layer:?}")
    };
    assert_eq!((window.stride_height, window.stride_width), (2, 2));
    assert_eq!(weights.dim(), (32, 1, 1, 16));
    assert!(bias.iter().all(|value| *value == 0.0));
    for filter in 0..32 {
        for channel in 0..16 {
            let expected = if filter == channel + 8 { 1.0 } else { 0.0 };
            assert_eq!(weights[[filter, 0, 0, channel]], expected);
        }
    }
}

#[test]
fn mnist_has_the_stored_logits() {
    let Some(data) = support::data("mnist_has_the_stored_logits", ".") else {
        return;
    };
    let network = read(data.join("mnist/mnist-conv.onnx"));
    let tensor = |name: &str| {
        onnx::read_tensor(&fs::read(data.join("mnist/test_data_set_0").join(name)).unwrap())
            .unwrap()
    };
    let image = tensor("input_0.pb")
        .into_shape_with_order((28, 28, 1))
        .unwrap();
    let expected = tensor("output_0.pb");
    let outputs = float::run_selected(&network, image.view(), &[network.output]).unwrap();
    for (found, expected) in outputs[0].iter().zip(&expected) {
        assert!(
            (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
            "{found} {expected}"
        );
    }
}
