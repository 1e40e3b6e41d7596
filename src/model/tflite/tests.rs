//! Facts about published networks, and refusals. Data tests read `$BITWEFT_DATA`.

mod build;
mod ends;
mod folding;

use super::*;
use crate::model::float::{ConvolutionKind, FloatLayer, FloatOp, Shape};
use crate::model::integer::{IntegerConvolution, IntegerOp, Rounding};
use crate::model::testing::{Seeds, data_folder, sample_network};

/// A file of the data folder, or `None` where the folder is absent.
fn data(file: &str) -> Option<Vec<u8>> {
    let path = data_folder(file)?.join(file);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn convolutions(network: &IntegerNetwork) -> impl Iterator<Item = &IntegerConvolution> {
    network.layers.iter().filter_map(|layer| match &layer.op {
        IntegerOp::Convolution(convolution) => Some(&**convolution),
        _ => None,
    })
}

#[test]
fn int8_networks_have_their_published_sizes() {
    // File, layers, convolutions, weights, MACs, input, output channels.
    let cases = [
        (
            "pretrainedResnet_quant.tflite",
            16,
            10,
            77_360,
            12_501_632,
            [32, 32, 3],
            10,
        ),
        (
            "kws_ref_model.tflite",
            13,
            10,
            22_016,
            2_656_768,
            [49, 10, 1],
            12,
        ),
        (
            "vww_96_int8.tflite",
            31,
            28,
            208_112,
            7_489_664,
            [96, 96, 3],
            2,
        ),
        (
            "ad01_int8.tflite",
            10,
            10,
            264_192,
            264_192,
            [1, 1, 640],
            640,
        ),
    ];
    for (file, layers, filters, weights, macs, [height, width, channels], outputs) in cases {
        let Some(bytes) = data(&format!("mlperf-tiny/{file}")) else {
            return;
        };
        let network = read_integer(&bytes, file).expect(file);
        assert_eq!(network.rounding, Rounding::Double);
        assert_eq!(network.layers.len(), layers, "{file}");
        assert_eq!(convolutions(&network).count(), filters, "{file}");
        let found: usize = convolutions(&network).map(|c| c.weights.len()).sum();
        assert_eq!(found, weights, "{file}: weights");
        assert_eq!(network.macs(), macs, "{file}: MACs");
        assert_eq!(
            network.tensors[network.input].shape,
            Shape {
                height,
                width,
                channels
            }
        );
        let output = network.tensors[network.output].shape;
        assert_eq!(
            output,
            Shape {
                height: 1,
                width: 1,
                channels: outputs
            }
        );
    }
}

#[test]
fn legacy_uint8_networks_are_refused_operator_by_operator() {
    for file in [
        "mobilenet_v1_0.25_128_quant.tflite",
        "mobilenet_v1_0.5_160_quant.tflite",
    ] {
        let Some(bytes) = data(&format!("imagenet-models/{file}")) else {
            return;
        };
        let Err(TfliteError::Unsupported(report)) = read_integer(&bytes, file) else {
            panic!("{file} was not refused");
        };
        assert_eq!(report.entries.len(), 28, "{report}");
        for entry in &report.entries {
            assert!(
                entry.reason.starts_with("uint8 asymmetric weights"),
                "{report}"
            );
            assert!(entry.operator.ends_with("CONV_2D"), "{report}");
        }
    }
}

#[test]
fn resnet8_is_read_as_tflite_computes_it() {
    let Some(bytes) = data("mlperf-tiny/pretrainedResnet_quant.tflite") else {
        return;
    };
    let network = read_integer(&bytes, "resnet8").expect("reads");
    let input = &network.tensors[network.input];
    // Raw pixels: the byte of the image is the byte of the network.
    assert_eq!((input.scale, input.zero_point), (1.0, 0));
    let first = &network.layers[0];
    assert_eq!(first.name, "model/activation/Relu");
    let IntegerOp::Convolution(convolution) = &first.op else {
        panic!("{first:?}")
    };
    assert_eq!(convolution.kind, ConvolutionKind::Dense);
    assert_eq!(convolution.weights.dim(), (16, 3, 3, 3));
    assert_eq!(convolution.bits, vec![8; 16]);
    assert_eq!((convolution.clamp_low, convolution.clamp_high), (0, 255));
    // SAME with stride 2 on an even image pads below and to the right only.
    let strided = convolutions(&network).nth(3).expect("fourth convolution");
    let padding = strided.window.padding;
    assert_eq!(
        (padding.top, padding.bottom, padding.left, padding.right),
        (0, 1, 0, 1)
    );
    // Every int8 filter of a min-max quantizer reaches 8 bits.
    assert!(convolutions(&network).all(|c| c.bits.iter().all(|bits| *bits >= 7)));
}

#[test]
fn damage_is_named() {
    assert!(matches!(
        read_integer(b"", "x"),
        Err(TfliteError::NotTflite)
    ));
    assert!(matches!(
        read_integer(b"\x04\0\0\0TFL2", "x"),
        Err(TfliteError::NotTflite)
    ));
    let Some(bytes) = data("mlperf-tiny/kws_ref_model.tflite") else {
        return;
    };
    let text = read_integer(&bytes[..bytes.len() / 2], "x")
        .expect_err("truncated")
        .to_string();
    assert!(text.starts_with("damaged FlatBuffer at "), "{text}");
}

#[test]
fn float_networks_have_the_sizes_of_their_int8_twins() {
    // File, layers, weights, MACs, input.
    let cases = [
        (
            "mlperf-tiny/pretrainedResnet.tflite",
            16,
            77_360,
            12_501_632,
            [32, 32, 3],
        ),
        (
            "mlperf-tiny/kws_ref_model_float32.tflite",
            13,
            22_016,
            2_656_768,
            [49, 10, 1],
        ),
        (
            "mlperf-tiny/vww_96_float.tflite",
            31,
            208_112,
            7_489_664,
            [96, 96, 3],
        ),
        (
            "mlperf-tiny/ad01_fp32.tflite",
            10,
            264_192,
            264_192,
            [1, 1, 640],
        ),
        (
            "imagenet-models/mobilenet_v1_0.25_224_float.tflite",
            31,
            463_856,
            41_030_528,
            [224, 224, 3],
        ),
    ];
    for (file, layers, weights, macs, [height, width, channels]) in cases {
        let Some(bytes) = data(file) else { return };
        let Model::Float(network) = read(&bytes, file).unwrap_or_else(|e| panic!("{file}: {e}"))
        else {
            panic!("{file}")
        };
        assert_eq!(network.layers.len(), layers, "{file}");
        let count = |layer: &FloatLayer| match &layer.op {
            FloatOp::Convolution { weights, bias, .. } => {
                assert_eq!(bias.len(), weights.dim().0);
                weights.len()
            }
            _ => 0,
        };
        assert_eq!(
            network.layers.iter().map(count).sum::<usize>(),
            weights,
            "{file}: weights"
        );
        assert_eq!(network.macs(), macs, "{file}: MACs");
        assert_eq!(
            network.tensors[network.input].shape,
            Shape {
                height,
                width,
                channels
            }
        );
    }
}

#[test]
fn a_float_network_is_not_read_as_integers() {
    let Some(bytes) = data("mlperf-tiny/pretrainedResnet.tflite") else {
        return;
    };
    let Err(TfliteError::Unsupported(report)) = read_integer(&bytes, "x") else {
        panic!("read")
    };
    assert_eq!(report.entries.len(), 16, "{report}");
    assert_eq!(
        report.entries[0].reason,
        "FLOAT32 input with FLOAT32 weights; INT8 with INT8 is taken"
    );
}

#[test]
fn published_networks_survive_the_writer() {
    for file in [
        "pretrainedResnet_quant",
        "kws_ref_model",
        "vww_96_int8",
        "ad01_int8",
    ] {
        let Some(bytes) = data(&format!("mlperf-tiny/{file}.tflite")) else {
            return;
        };
        let network = read_integer(&bytes, file).expect(file);
        let written = write(&network).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(read_integer(&written, file).expect(file), network, "{file}");
    }
}

#[test]
fn records_keep_what_the_format_cannot_say() {
    for seed in 0..100 {
        let mut network = sample_network(&mut Seeds::new(seed));
        network.rounding = if seed % 2 == 0 {
            Rounding::Double
        } else {
            Rounding::Single
        };
        let IntegerOp::Convolution(first) = &mut network.layers[0].op else {
            panic!("no convolution")
        };
        // A filter that is wider than its weights need.
        first.bits[0] = 8;
        if first.weights.iter().all(|weight| weight.abs() == 1) {
            first.bits[0] = 1;
        }
        let written = write(&network).expect("writes");
        assert_eq!(
            read_integer(&written, "sample").expect("reads"),
            network,
            "seed {seed}"
        );
    }
}

#[test]
fn networks_beyond_the_format_are_not_written() {
    type Change = fn(&mut IntegerNetwork);
    let cases: [(Change, &str); 3] = [
        (
            |n| {
                let IntegerOp::Convolution(first) = &mut n.layers[0].op else {
                    panic!("no convolution")
                };
                first.multiplier[0].mantissa ^= 1;
            },
            "layer `layer0`: its multipliers do not follow from the scales of its weights and tensors",
        ),
        (
            |n| {
                let IntegerOp::MaxPool { window, .. } = &mut n.layers[1].op else {
                    panic!("no pool")
                };
                window.padding.top += 1;
            },
            "layer `layer1`: the format's pooling cannot pad as",
        ),
        (
            |n| {
                let IntegerOp::Add { clamp_high, .. } = &mut n.layers[2].op else {
                    panic!("no sum")
                };
                *clamp_high = 254;
            },
            "layer `layer2`: no activation of the format clamps to 0..=254",
        ),
    ];
    for (change, reason) in cases {
        let mut network = sample_network(&mut Seeds::new(1));
        change(&mut network);
        let error = write(&network).expect_err(reason).to_string();
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn a_padding_that_is_neither_same_nor_valid_is_a_pad_operator() {
    let mut network = sample_network(&mut Seeds::new(5));
    network.layers.truncate(1);
    network.tensors.truncate(2);
    network.output = 1;
    let IntegerOp::Convolution(first) = &mut network.layers[0].op else {
        panic!("no convolution")
    };
    first.window.padding.left += 2;
    network.tensors[1].shape.width += 2;
    let written = write(&network).expect("writes");
    let file = file::File::parse(&written).expect("parses");
    let names: Vec<&str> = file
        .operators
        .iter()
        .map(|operator| operator.name.as_str())
        .collect();
    assert_eq!(names, ["PAD", "CONV_2D"]);
    assert_eq!(read_integer(&written, "sample").expect("reads"), network);
}

#[test]
fn seeds_are_what_the_writers_write() {
    let seeds = [
        (
            "tflite/sample.tflite",
            write(&sample_network(&mut Seeds::new(1))).expect("writes"),
        ),
        ("tflite/float.tflite", folding::seed()),
        (
            "bw/sample.bw",
            crate::model::bwfile::encode(&sample_network(&mut Seeds::new(2))).expect("encodes"),
        ),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (name, bytes) in seeds {
        assert!(bytes.len() < 20_000, "{name}: {}", bytes.len());
        let path = folder.join(name);
        if std::env::var_os("BITWEFT_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes the folder");
            std::fs::write(&path, &bytes).expect("writes");
        }
        let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            found == bytes,
            "{name} is out of date: run this test with BITWEFT_WRITE_SEEDS=1"
        );
    }
}
