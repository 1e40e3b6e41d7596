//! What is folded into convolutions of a float file, and what is refused.

use super::super::operators::code;
use super::super::*;
use super::build::{FloatFile, conv_2d, elementwise, reducer};
use crate::model::float::{Clamp, ConvolutionKind, FloatNetwork, FloatOp, Padding};

const IMAGE: &[i32] = &[1, 4, 4, 2];
const INNER: &[i32] = &[1, 4, 4, 3];

/// A file whose first operator is a 1 x 1 convolution to the activation `conv`.
fn file() -> FloatFile {
    let mut file = FloatFile::new(IMAGE);
    file.reals("weights", &[3, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    file.operator(
        code::CONV_2D,
        conv_2d(0),
        &["input", "weights"],
        ("conv", INNER),
    );
    file.reals("factor", &[1, 1, 1, 3], &[10.0, 100.0, -1.0]);
    file.reals("summand", &[], &[0.5]);
    file
}

/// A file with what the other tests fold, as a seed for damage.
pub(super) fn seed() -> Vec<u8> {
    let mut file = file();
    file.operator(
        code::MUL,
        elementwise(0),
        &["conv", "factor"],
        ("scaled", INNER),
    );
    file.operator(
        code::ADD,
        elementwise(1),
        &["summand", "scaled"],
        ("shifted", INNER),
    );
    file.integers("amounts", &[4, 2], &[0, 0, 1, 0, 0, 1, 0, 0]);
    file.operator(
        code::PAD,
        None,
        &["shifted", "amounts"],
        ("padded", &[1, 5, 5, 3]),
    );
    file.reals("more", &[2, 2, 2, 3], &[0.25; 24]);
    file.operator(
        code::CONV_2D,
        conv_2d(0),
        &["padded", "more"],
        ("conv2", &[1, 4, 4, 2]),
    );
    file.operator(code::RELU6, None, &["conv2"], ("clamped", &[1, 4, 4, 2]));
    file.integers("axes", &[2], &[1, -2]);
    file.operator(
        code::MEAN,
        reducer(),
        &["clamped", "axes"],
        ("mean", &[1, 1, 1, 2]),
    );
    file.integers("shape", &[2], &[1, 2]);
    file.operator(code::RESHAPE, None, &["mean", "shape"], ("vector", &[1, 2]));
    file.bytes("vector")
}

fn network(file: FloatFile, output: &str) -> FloatNetwork {
    read_float(&file.bytes(output), "test").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn constants_and_clamps_behind_a_convolution_are_folded_into_it() {
    let mut file = file();
    file.operator(
        code::MUL,
        elementwise(0),
        &["conv", "factor"],
        ("scaled", INNER),
    );
    file.operator(
        code::ADD,
        elementwise(0),
        &["summand", "scaled"],
        ("shifted", INNER),
    );
    file.operator(code::RELU6, None, &["shifted"], ("clamped", INNER));
    let network = network(file, "clamped");
    let [layer] = &network.layers[..] else {
        panic!("{:?}", network.layers)
    };
    let FloatOp::Convolution {
        weights,
        bias,
        clamp,
        ..
    } = &layer.op
    else {
        panic!("{layer:?}")
    };
    assert_eq!(
        weights.as_slice(),
        Some(&[10.0, 20.0, 300.0, 400.0, -5.0, -6.0][..])
    );
    assert_eq!(bias.as_slice(), Some(&[0.5, 0.5, 0.5][..]));
    assert_eq!(*clamp, Clamp::RELU6);
    assert_eq!(network.tensors.len(), 2);
    assert_eq!(
        (layer.inputs[0], layer.output),
        (network.input, network.output)
    );
}

#[test]
fn what_another_layer_reads_is_not_changed() {
    let mut file = file();
    file.operator(
        code::MUL,
        elementwise(1),
        &["conv", "factor"],
        ("scaled", INNER),
    );
    file.operator(
        code::ADD,
        elementwise(0),
        &["conv", "scaled"],
        ("sum", INNER),
    );
    let network = network(file, "sum");
    let kinds = network.layers.iter().map(|layer| match &layer.op {
        FloatOp::Convolution { kind, clamp, .. } => Some((*kind, *clamp)),
        _ => None,
    });
    let expected = [
        Some((ConvolutionKind::Dense, Clamp::NONE)),
        Some((ConvolutionKind::Depthwise, Clamp::RELU)),
        None,
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let FloatOp::Convolution { weights, .. } = &network.layers[1].op else {
        panic!("no layer")
    };
    assert_eq!(weights.as_slice(), Some(&[10.0, 100.0, -1.0][..]));
}

#[test]
fn pads_join_the_padding_of_convolutions() {
    let mut file = FloatFile::new(IMAGE);
    file.integers("one", &[4, 2], &[0, 0, 1, 0, 0, 0, 0, 0]);
    file.integers("two", &[4, 2], &[0, 0, 0, 2, 3, 0, 0, 0]);
    file.operator(code::PAD, None, &["input", "one"], ("first", &[1, 5, 4, 2]));
    file.operator(
        code::PAD,
        None,
        &["first", "two"],
        ("second", &[1, 7, 7, 2]),
    );
    file.reals("weights", &[1, 7, 7, 2], &[1.0; 98]);
    file.operator(
        code::CONV_2D,
        conv_2d(1),
        &["second", "weights"],
        ("conv", &[1, 1, 1, 1]),
    );
    let network = network(file, "conv");
    let [layer] = &network.layers[..] else {
        panic!("{:?}", network.layers)
    };
    let FloatOp::Convolution { window, .. } = &layer.op else {
        panic!("{layer:?}")
    };
    assert_eq!(
        window.padding,
        Padding {
            top: 1,
            bottom: 2,
            left: 3,
            right: 0
        }
    );
    assert_eq!(layer.inputs, [network.input]);
}

#[test]
fn everything_unsupported_is_listed_at_once() {
    let mut file = file();
    file.integers("amounts", &[4, 2], &[0, 0, 1, 1, 1, 1, 0, 0]);
    file.integers("channels", &[1], &[3]);
    file.reals("grouped", &[2, 1, 1, 1], &[1.0; 2]);
    file.operator(
        code::CONV_2D,
        conv_2d(4),
        &["input", "weights"],
        ("tanh;fused", INNER),
    );
    file.operator(
        code::CONV_2D,
        conv_2d(0),
        &["input", "grouped"],
        ("groups", &[1, 4, 4, 2]),
    );
    file.operator(
        code::PAD,
        None,
        &["conv", "amounts"],
        ("padded", &[1, 6, 6, 3]),
    );
    file.operator(code::RELU, None, &["padded"], ("clamped", &[1, 6, 6, 3]));
    file.operator(
        code::MEAN,
        reducer(),
        &["conv", "channels"],
        ("mean", &[1, 4, 4, 1]),
    );
    file.operator(code::QUANTIZE, None, &["conv"], ("quantized", INNER));
    file.operator(14, None, &["conv"], ("sigmoid", INNER));
    let bytes = file.bytes("sigmoid");
    let Err(TfliteError::Unsupported(report)) = read(&bytes, "test") else {
        panic!("read")
    };
    let expected = "6 unsupported operators
  #1 CONV_2D `tanh`: fused activation TANH; RELU, RELU6 and RELU_N1_TO_1 are taken
  #2 CONV_2D `groups`: grouped convolution (weights for 1 channels on an input of 2)
  #3 PAD `padded`: RELU `clamped` reads it; only convolutions pad
  #5 MEAN `mean`: mean over axes [3] of 4; rows and columns (1, 2) of 4 are taken
  #6 QUANTIZE `quantized`: quantization inside a float network
  #7 LOGISTIC `sigmoid`: no such operation in the processor";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn contradictions_are_errors_that_name_the_operator() {
    let shifted = |shape: &[i32]| {
        let mut file = FloatFile::new(IMAGE);
        file.reals("weights", &[3, 1, 1, 2], &[1.0; 6]);
        file.operator(
            code::CONV_2D,
            conv_2d(0),
            &["input", "weights"],
            ("conv", shape),
        );
        read(&file.bytes("conv"), "test")
            .expect_err("refused")
            .to_string()
    };
    let text = shifted(&[1, 4, 5, 3]);
    assert!(
        text.starts_with("field `operators[0]`: CONV_2D `conv`: output declared as "),
        "{text}"
    );
    let text = shifted(&[2, 4, 4, 3]);
    assert!(
        text.contains("has shape [2, 4, 4, 3]; one image [1, height, width, channels]"),
        "{text}"
    );

    let mut file = file();
    file.reals("short", &[3, 1, 1, 2], &[1.0; 5]);
    file.operator(
        code::CONV_2D,
        conv_2d(0),
        &["input", "short"],
        ("other", INNER),
    );
    let text = read(&file.bytes("other"), "test")
        .expect_err("refused")
        .to_string();
    assert!(
        text.ends_with("tensor `short` (FLOAT32) has 20 bytes for 6 values"),
        "{text}"
    );
}

#[test]
fn small_files_that_ask_for_much_memory_are_refused() {
    let wide: &[i32] = &[1, 1 << 27];
    let mut file = FloatFile::new(wide);
    file.reals("summand", &[], &[0.5]);
    file.operator(
        code::ADD,
        elementwise(0),
        &["input", "summand"],
        ("sum", wide),
    );
    let text = read(&file.bytes("sum"), "test")
        .expect_err("refused")
        .to_string();
    assert!(
        text.contains("operators share tensors until they are many times the file's size"),
        "{text}"
    );

    let mut file = FloatFile::new(&[1, 4, 4, 64]);
    file.reals("weights", &[64, 1, 1, 64], &[0.0; 4096]);
    let mut last = "input".to_owned();
    for layer in 0..500 {
        let name = format!("layer{layer}");
        let output: (&str, &[i32]) = (&name, &[1, 4, 4, 64]);
        file.operator(code::CONV_2D, conv_2d(0), &[&last, "weights"], output);
        last = name;
    }
    let text = read(&file.bytes(&last), "test")
        .expect_err("refused")
        .to_string();
    assert!(text.contains("operators share tensors"), "{text}");
}
