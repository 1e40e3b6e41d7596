//! The golden model against LiteRT's reference kernels: every byte of every activation of the
//! MLPerf Tiny networks, and a softmax of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use bitweft::golden::network::Executor;
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::integer::{ConvolutionKind, IntegerLayer, IntegerNetwork, IntegerOp, Rounding};
use bitweft::model::load::{Model, load_model};
use bitweft::model::tflite::{self, read_integer};
use bitweft::quant::{Allocation, Options, quantize};
use ndarray::{Array2, Array3, Array4, ArrayView1, Axis, s};
use ndarray_npy::{NpzReader, write_npy};

mod support;

use support::{data, hash, python};

/// Images for each network.
const IMAGES: usize = 200;

/// LiteRT's bytes of the named activations: `[image, element]` for each.
fn oracle(model: &Path, inputs: &Array4<u8>, names: &[&str], options: &[&str]) -> Vec<Array2<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |file: &str| folder.path().join(file);
    write_npy(path("inputs.npy"), inputs).expect("written");
    fs::write(path("names.txt"), names.join("\n")).expect("written");
    let status = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/oracle/litert.py"))
        .args(options)
        .arg(model)
        .args([path("inputs.npy"), path("names.txt"), path("outputs.npz")])
        .status()
        .expect("python runs");
    assert!(
        status.success(),
        "the oracle failed; help: run scripts/setup, then scripts/oracle/litert.py --help"
    );
    let mut archive =
        NpzReader::new(File::open(path("outputs.npz")).expect("outputs")).expect("npz");
    (0..names.len())
        .map(|line| archive.by_name(&line.to_string()).expect("an array"))
        .collect()
}

fn read(model: &Path) -> IntegerNetwork {
    read_integer(&fs::read(model).expect("readable"), "network").expect("a supported network")
}

/// The network before its first fully connected layer, and the rest. LiteRT's reference kernels
/// round twice, but its fully connected layers once: the rest is given single rounding. (TFLite Micro
/// and CMSIS-NN round twice throughout; see the tests against their vectors and devices.)
fn split(network: &IntegerNetwork) -> [IntegerNetwork; 2] {
    let connected = |layer: &IntegerLayer| match &layer.op {
        IntegerOp::Convolution(convolution) => convolution.kind == ConvolutionKind::FullyConnected,
        _ => false,
    };
    let first = network
        .layers
        .iter()
        .position(connected)
        .expect("a fully connected layer");
    let between = network.layers[first].inputs[0];
    let front = IntegerNetwork {
        layers: network.layers[..first].to_vec(),
        output: between,
        ..network.clone()
    };
    let rest = IntegerNetwork {
        layers: network.layers[first..].to_vec(),
        input: between,
        rounding: Rounding::Single,
        ..network.clone()
    };
    [front, rest]
}

/// Compares all activations of all images; the first byte that differs is named.
fn check(model: &Path, inputs: &Array4<u8>) {
    let network = read(model);
    assert_eq!(network.rounding, Rounding::Double);
    let parts = split(&network);
    let executors = parts
        .each_ref()
        .map(|part| Executor::new(part).expect("a valid network"));
    let name = |layer: &IntegerLayer| network.tensors[layer.output].name.as_str();
    let names: Vec<&str> = network.layers.iter().map(name).collect();
    let mut expected = oracle(model, inputs, &names, &[]).into_iter();
    let mut inputs = inputs.clone();
    for (part, executor) in parts.iter().zip(&executors) {
        let expected: Vec<Array2<u8>> = expected.by_ref().take(part.layers.len()).collect();
        for (image, input) in inputs.axis_iter(Axis(0)).enumerate() {
            let activations = executor.run(input).expect("an image of this shape");
            for (layer, expected) in part.layers.iter().zip(&expected) {
                same(
                    image,
                    &layer.name,
                    &activations[layer.output],
                    expected.row(image),
                );
            }
        }
        let output = executor
            .run_outputs(inputs.view())
            .expect("images of this shape");
        let shape = part.tensors[part.output].shape;
        let shape = (output.nrows(), shape.height, shape.width, shape.channels);
        inputs = output
            .into_shape_with_order(shape)
            .expect("the output's elements");
    }
    println!(
        "{}: {} layers of {} images equal",
        model.display(),
        names.len(),
        inputs.dim().0
    );
}

/// Compares one activation.
fn same(image: usize, layer: &str, found: &Array3<u8>, expected: ArrayView1<'_, u8>) {
    assert_eq!(found.len(), expected.len(), "{layer}: elements");
    for (((row, column, channel), found), expected) in found.indexed_iter().zip(expected) {
        assert_eq!(
            found, expected,
            "image {image}, layer {layer}, row {row}, column {column}, channel {channel}"
        );
    }
}

/// Bytes that look nothing like a picture: all values, and runs of extremes.
fn noise(network: &IntegerNetwork, images: usize) -> Array4<u8> {
    let shape = network.tensors[network.input].shape;
    let mut position = 0;
    Array4::from_shape_fn(
        (images, shape.height, shape.width, shape.channels),
        |(image, ..)| {
            position += 1;
            let value = hash(7, position).to_le_bytes();
            // From image to image the spread around a level of its own differs.
            let [level, spread, ..] = hash(8, image).to_le_bytes();
            let offset = u16::from(value[0]) * u16::from(spread) / 255;
            u8::try_from((u16::from(level) + offset).min(255)).expect("a byte")
        },
    )
}

#[test]
fn resnet_equals_litert() {
    let Some(model) = data(
        "resnet_equals_litert",
        "mlperf-tiny/pretrainedResnet_quant.tflite",
    ) else {
        return;
    };
    let images = data("resnet_equals_litert", "cifar10/test-dev-3000.npz").expect("same folder");
    let mut archive = NpzReader::new(File::open(images).expect("readable")).expect("npz");
    let images: Array4<u8> = archive.by_name("images").expect("images");
    // The network takes raw pixels: their bytes are its input bytes.
    check(&model, &images.slice(s![..IMAGES, .., .., ..]).to_owned());
}

/// Widths of 0 to 8 bits, filter by filter, written as an int8 file: every byte of every layer.
#[test]
fn mixed_widths_equal_litert() {
    let test = "mixed_widths_equal_litert";
    let Some(model) = data(test, "mlperf-tiny/pretrainedResnet.tflite") else {
        return;
    };
    let Some(images) = data(test, "cifar10/test-dev-3000.npz") else {
        return;
    };
    let Model::Float(float) = load_model(model).expect("loads") else {
        panic!("a float network")
    };
    let set = Dataset::load(images, &DataOptions::default()).expect("loads");
    let calibration = set.reals_for(&float, 0..24).expect("fits");
    let calibration: Vec<_> = calibration.outer_iter().map(|i| i.to_owned()).collect();
    let options = Options {
        allocation: Allocation::PerFilter(3.0),
        rounding: Rounding::Double,
        ..Options::default()
    };
    let (network, _) = quantize(&float, &calibration, &options).expect("quantizes");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mixed.tflite");
    fs::write(&path, tflite::write(&network).expect("written")).expect("written");
    check(&path, &set.bytes_for(&network, 0..50).expect("fits"));
}

#[test]
fn keyword_spotter_equals_litert() {
    let Some(model) = data(
        "keyword_spotter_equals_litert",
        "mlperf-tiny/kws_ref_model.tflite",
    ) else {
        return;
    };
    let inputs = data("keyword_spotter_equals_litert", "kws/kws01_1000.npz").expect("same folder");
    let mut archive = NpzReader::new(File::open(inputs).expect("readable")).expect("npz");
    let inputs: Array4<i8> = archive.by_name("X").expect("inputs");
    let inputs = inputs
        .slice(s![..IMAGES, .., .., ..])
        .mapv(|value| value.cast_unsigned() ^ 0x80);
    check(&model, &inputs);
}

#[test]
fn visual_wake_words_equal_litert() {
    if let Some(model) = data(
        "visual_wake_words_equal_litert",
        "mlperf-tiny/vww_96_int8.tflite",
    ) {
        check(&model, &noise(&read(&model), IMAGES));
    }
}

#[test]
fn anomaly_detector_equals_litert() {
    if let Some(model) = data(
        "anomaly_detector_equals_litert",
        "mlperf-tiny/ad01_int8.tflite",
    ) {
        check(&model, &noise(&read(&model), IMAGES));
    }
}

/// LiteRT has a softmax in fixed point (its reference kernel) and one with float exponentials; they
/// differ so rarely that it takes many inputs to tell them apart.
#[test]
fn softmax_equals_litert() {
    let Some(model) = data("softmax_equals_litert", "mlperf-tiny/kws_ref_model.tflite") else {
        return;
    };
    let mut network = read(&model);
    let softmax = network.layers.pop().expect("layers");
    assert_eq!(softmax.op, IntegerOp::Softmax);
    network.layers = vec![softmax.clone()];
    network.input = softmax.inputs[0];
    let channels = network.tensors[softmax.output].shape.channels;
    let mut position = 0;
    let inputs = Array4::from_shape_fn((20_000, 1, 1, channels), |(image, ..)| {
        position += 1;
        let width = 1 + hash(3, image) % 256;
        u8::try_from(hash(4, position) % width).expect("a byte")
    });
    let name = network.tensors[softmax.output].name.as_str();
    let executor = Executor::new(&network).expect("a valid network");
    let found = executor
        .run_outputs(inputs.view())
        .expect("inputs of this shape");
    assert_eq!(
        oracle(&model, &inputs, &[name], &["--last-operator"])[0],
        found
    );
    let float = &oracle(
        &model,
        &inputs,
        &[name],
        &["--last-operator", "--default-kernels"],
    )[0];
    assert_ne!(
        float, &found,
        "these inputs must tell the two kernels apart"
    );
}
