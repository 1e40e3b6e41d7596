//! Whole files: networks written and read back, files built operator by operator, and damaged files.

#![allow(clippy::unwrap_used)]

mod build;
mod hostile;
mod networks;

use ndarray::{Array3, Axis, array};

use self::build::File;
use super::{Error, read_float, read_integer, write, write_qonnx};
use crate::golden::float::run_selected;
use crate::model::float::{Clamp, ConvolutionKind, FloatNetwork, FloatOp, Padding};
use crate::model::integer::IntegerOp;

#[test]
fn what_is_written_is_read_back() {
    for network in [networks::all_layers(), networks::classifier()] {
        let file = write(&network).unwrap();
        assert_eq!(read_integer(&file, &network.name).unwrap(), network);
        assert_eq!(write(&network).unwrap(), file);
    }
}

#[test]
fn what_is_written_as_qonnx_is_read_back() {
    for mut network in [networks::all_layers(), networks::classifier()] {
        // Pruned and binary filters have widths that only the record can say.
        let first = network
            .layers
            .iter_mut()
            .find_map(|layer| match &mut layer.op {
                IntegerOp::Convolution(convolution) => Some(convolution),
                _ => None,
            });
        let first = first.unwrap();
        first.weights.index_axis_mut(Axis(0), 0).fill(0);
        first.bits[0] = 0;
        first.weights.index_axis_mut(Axis(0), 1).fill(-1);
        first.bits[1] = 1;
        let file = write_qonnx(&network).unwrap();
        assert_eq!(read_integer(&file, &network.name).unwrap(), network);
        assert!(String::from_utf8_lossy(&file).contains("qonnx.custom_op.general"));
    }
}

/// A 1x1 convolution of two filters behind `Quant` nodes, with attributes and parameters of the weights'.
fn quant_file(edit: impl Fn(&mut File), narrow: i64, rounding: &str, operator: &str) -> Vec<u8> {
    let mut file = File::new(&[1, 1, 2, 2]);
    file.reals("one", &[], &[1.0]);
    file.reals("none", &[], &[0.0]);
    file.reals("eight", &[], &[8.0]);
    file.reals("w", &[2, 1, 1, 1], &[-5.0, 0.75]);
    file.reals("b", &[2], &[0.0, 0.0]);
    file.reals("step", &[2, 1, 1, 1], &[1.0, 0.5]);
    file.reals("width", &[2, 1, 1, 1], &[3.0, 2.0]);
    edit(&mut file);
    let quant = |file: &mut File, inputs: [&str; 4], output: &str, signed: i64| {
        file.node("Quant", "", &inputs, output)
            .domain("qonnx.custom_op.general")
            .int("signed", signed);
    };
    quant(&mut file, ["x", "one", "none", "eight"], "xq", 1);
    file.node(operator, "weights", &["w", "step", "none", "width"], "wq")
        .domain("qonnx.custom_op.general")
        .int("signed", 1)
        .int("narrow", narrow)
        .text("rounding_mode", rounding);
    file.node("Conv", "conv", &["xq", "wq", "b"], "c");
    file.node("Relu", "relu", &["c"], "r");
    quant(&mut file, ["r", "one", "none", "eight"], "y", 0);
    file.bytes("y")
}

#[test]
fn quant_clips_and_rounds_weights_at_their_own_widths() {
    let weights = |narrow| {
        let file = quant_file(|_| (), narrow, "ROUND", "Quant");
        let network = read_integer(&file, "qonnx").unwrap();
        // Signed bytes have their zero in the middle, unsigned ones at 0.
        assert_eq!(network.tensors[network.input].zero_point, 128);
        assert_eq!(network.tensors[network.output].zero_point, 0);
        let IntegerOp::Convolution(convolution) = &network.layers[0].op else {
            panic!("a convolution")
        };
        assert_eq!(convolution.weight_scale, [1.0, 0.5]);
        convolution.weights.iter().copied().collect::<Vec<_>>()
    };
    // -5 is clipped at 3 bits; 0.75 / 0.5 is clipped to 1 before it is rounded.
    assert_eq!(weights(0), [-4, 1]);
    assert_eq!(weights(1), [-3, 1]);
}

#[test]
fn what_quant_says_beyond_the_processor_is_refused_by_name() {
    let message = |file: Vec<u8>| read_integer(&file, "qonnx").unwrap_err().to_string();
    let none = |_: &mut File| ();
    for operator in ["BipolarQuant", "Trunc"] {
        assert!(message(quant_file(none, 0, "ROUND", operator)).contains(operator));
    }
    assert!(message(quant_file(none, 0, "FLOOR", "Quant")).contains("FLOOR"));
    for (name, dims, values, part) in [
        ("width", &[][..], &[9.0][..], "9 bits"),
        ("width", &[], &[2.5], "2.5 bits"),
        ("width", &[2, 1], &[2.0, 2.0], "does not run along one axis"),
        ("step", &[], &[-1.0], "a step of -1"),
        ("none", &[], &[1.5], "zero point 1.5"),
        ("none", &[], &[1.0], "weights with zero point 1"),
        ("eight", &[], &[4.0], "activations of 4 bits"),
        ("w", &[2, 1, 1, 1], &[f32::NAN, 0.0], "not finite"),
    ] {
        let file = quant_file(|file| file.replace(name, dims, values), 0, "ROUND", "Quant");
        let found = message(file);
        assert!(found.contains(part), "{name}: {found}");
    }
}

#[test]
fn multipliers_that_do_not_follow_from_the_steps_are_recorded() {
    let mut network = networks::all_layers();
    for layer in &mut network.layers {
        match &mut layer.op {
            IntegerOp::Convolution(convolution) => convolution.multiplier[0].mantissa ^= 1,
            IntegerOp::Add { output, .. } => output.mantissa ^= 1,
            _ => {}
        }
    }
    assert_eq!(
        read_integer(&write(&network).unwrap(), &network.name).unwrap(),
        network
    );
}

#[test]
fn a_quantized_file_is_also_the_float_network_it_stands_for() {
    let network = networks::all_layers();
    let float = read_float(&write(&network).unwrap(), "float").unwrap();
    let IntegerOp::Convolution(integers) = &network.layers[0].op else {
        panic!()
    };
    let FloatOp::Convolution { weights, .. } = &float.layers[0].op else {
        panic!()
    };
    let expected = f32::from(integers.weights[[2, 1, 0, 1]]) * integers.weight_scale[2];
    assert_eq!(weights[[2, 1, 0, 1]], expected);
}

#[test]
fn records_that_do_not_fit_are_refused() {
    for (key, value) in [
        ("bitweft.bits", "[[1]]"),
        ("bitweft.bits", "{"),
        ("bitweft.network", "{}"),
        (
            "bitweft.network",
            r#"{"rounding": "single", "input_transform": {"mean": [1, 2], "factor": [1]}}"#,
        ),
        (
            "bitweft.multipliers",
            r#"{"conv": [{"mantissa": 1, "shift": 0}]}"#,
        ),
        (
            "bitweft.multipliers",
            r#"{"conv": [{"mantissa": -1, "shift": 900}]}"#,
        ),
    ] {
        let file = build::with_record(&write(&networks::all_layers()).unwrap(), key, value);
        let error = read_integer(&file, "network").unwrap_err();
        assert!(
            matches!(error, Error::Record { key: found, .. } if found == key),
            "{key} {value}: {error}"
        );
    }
}

#[test]
fn everything_unsupported_is_listed_at_once() {
    let mut file = File::new(&[1, 2, 4, 4]);
    file.node("LSTM", "first", &["x"], "a");
    file.node("Relu", "fine", &["x"], "b");
    file.node("Tanh", "behind", &["a"], "c");
    file.node("Conv", "", &["b", "missing"], "d");
    file.node("Relu", "after", &["d"], "y");
    let Err(Error::Unsupported(report)) = read_float(&file.bytes("y"), "network") else {
        panic!()
    };
    let found: Vec<_> = report
        .entries
        .iter()
        .map(|entry| (entry.operator.as_str(), entry.index, entry.layer.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("LSTM", 0, "first"),
            ("Tanh", 2, "behind"),
            ("Conv", 3, "d")
        ]
    );
    assert!(report.to_string().contains("reads 'missing'"), "{report}");
}

#[test]
fn unquantized_parts_are_listed_by_layer() {
    let mut file = File::new(&[1, 1, 2, 2]);
    file.reals("step", &[], &[0.5]);
    file.bytes_constant("zero", &[], &[3]);
    file.reals("w", &[1, 1, 1, 1], &[0.3]);
    file.reals("v", &[2, 1, 1, 1], &[0.3, 0.4]);
    file.node("QuantizeLinear", "", &["x", "step", "zero"], "q");
    file.node("DequantizeLinear", "", &["q", "step", "zero"], "r");
    file.node("Conv", "one", &["r", "w"], "a");
    file.node("Conv", "two", &["a", "v"], "y");
    let Err(Error::Unsupported(report)) = read_integer(&file.bytes("y"), "network") else {
        panic!()
    };
    let layers: Vec<_> = report
        .entries
        .iter()
        .map(|entry| entry.layer.as_str())
        .collect();
    assert_eq!(layers, ["one", "two"]);
}

fn answer(network: &FloatNetwork, input: &Array3<f32>) -> Array3<f32> {
    run_selected(network, input.view(), &[network.output])
        .unwrap()
        .remove(0)
}

#[test]
fn normalization_and_clamps_fold_into_the_convolution() {
    let mut file = File::new(&[1, 1, 1, 2]);
    file.reals("w", &[2, 1, 1, 1], &[2.0, -1.0]);
    for (name, values) in [
        ("gamma", [3.0, 1.0]),
        ("beta", [0.5, 0.25]),
        ("mean", [1.0, 0.0]),
        ("variance", [4.0, 0.25]),
    ] {
        file.reals(name, &[2], &values);
    }
    file.node("Conv", "conv", &["x", "w"], "a");
    file.node(
        "BatchNormalization",
        "",
        &["a", "gamma", "beta", "mean", "variance"],
        "b",
    )
    .float("epsilon", 0.0);
    file.node("Relu", "", &["b"], "c");
    file.reals("high", &[], &[6.0]);
    file.node("Clip", "", &["c", "", "high"], "y");
    let network = read_float(&file.bytes("y"), "network").unwrap();
    assert_eq!(network.layers.len(), 1);
    let FloatOp::Convolution {
        weights,
        bias,
        clamp,
        ..
    } = &network.layers[0].op
    else {
        panic!()
    };
    assert_eq!(weights.iter().copied().collect::<Vec<_>>(), [3.0, -2.0]);
    assert_eq!(bias, array![-1.0, 0.25]);
    assert_eq!(*clamp, Clamp::RELU6);
    assert_eq!(
        (
            network.layers[0].name.as_str(),
            network.tensors[network.output].name.as_str()
        ),
        ("conv", "y")
    );
}

#[test]
fn arithmetic_at_the_input_becomes_the_transform() {
    let mut file = File::new(&[1, 2, 1, 1]);
    file.reals("mean", &[2, 1, 1], &[10.0, 20.0]);
    file.reals("deviation", &[1, 2, 1, 1], &[2.0, 4.0]);
    file.reals("w", &[1, 2, 1, 1], &[1.0, 1.0]);
    file.node("Sub", "", &["x", "mean"], "a");
    file.node("Div", "", &["a", "deviation"], "b");
    file.node("Conv", "", &["b", "w"], "y");
    let network = read_float(&file.bytes("y"), "network").unwrap();
    assert_eq!(network.layers.len(), 1);
    assert_eq!(network.input_transform.mean, [10.0, 20.0]);
    assert_eq!(network.input_transform.factor, [0.5, 0.25]);
}

#[test]
fn shifts_before_padding_stay_layers_and_scales_move_on() {
    for (operator, layers) in [("Add", 3), ("Mul", 2)] {
        let mut file = File::new(&[1, 1, 2, 2]);
        file.reals("w", &[1, 1, 3, 3], &[1.0; 9]);
        file.reals("by", &[], &[2.0]);
        file.node("MaxPool", "", &["x"], "a")
            .ints("kernel_shape", &[1, 1]);
        file.node(operator, "", &["a", "by"], "b");
        file.node("Conv", "", &["b", "w"], "y")
            .ints("pads", &[1, 1, 1, 1]);
        let network = read_float(&file.bytes("y"), "network").unwrap();
        assert_eq!(network.layers.len(), layers, "{operator}");
        let expected = if operator == "Add" { 18.0 } else { 20.0 };
        let input = array![[[1.0], [2.0]], [[3.0], [4.0]]];
        assert_eq!(
            answer(&network, &input),
            Array3::from_elem((2, 2, 1), expected),
            "{operator}"
        );
    }
}

#[test]
fn leaky_slopes_are_sums_of_clamped_parts() {
    let mut file = File::new(&[1, 2, 1, 2]);
    file.reals("w", &[2, 2, 1, 1], &[1.0, 0.0, 0.0, -1.0]);
    file.node("Conv", "conv", &["x", "w"], "a");
    file.node("LeakyRelu", "leaky", &["a"], "y")
        .float("alpha", 0.25);
    let network = read_float(&file.bytes("y"), "network").unwrap();
    // The slope folds into the convolution; its positive part is a layer, and so is the sum.
    assert_eq!(network.layers.len(), 3);
    let input = array![[[4.0, 4.0], [-4.0, -8.0]]];
    assert_eq!(answer(&network, &input), array![[[4.0, -1.0], [-1.0, 8.0]]]);
    for alpha in [-0.5, 2.0, f32::NAN] {
        let mut file = File::new(&[1, 2, 1, 2]);
        file.node("LeakyRelu", "leaky", &["x"], "y")
            .float("alpha", alpha);
        assert!(
            matches!(
                read_float(&file.bytes("y"), "network"),
                Err(Error::Unsupported(_))
            ),
            "{alpha}"
        );
    }
}

#[test]
fn zeros_around_images_go_to_the_convolution() {
    let mut file = File::new(&[1, 1, 2, 2]);
    file.integers("pads", &[0, 0, 1, 0, 0, 0, 0, 2]);
    file.reals("w", &[1, 1, 2, 2], &[1.0; 4]);
    file.node("Pad", "", &["x", "pads"], "a");
    file.node("Conv", "", &["a", "w"], "y");
    let network = read_float(&file.bytes("y"), "network").unwrap();
    let [layer] = &network.layers[..] else {
        panic!("{:?}", network.layers)
    };
    let FloatOp::Convolution { window, .. } = &layer.op else {
        panic!()
    };
    assert_eq!(
        window.padding,
        Padding {
            top: 1,
            bottom: 0,
            left: 0,
            right: 2
        }
    );
    let input = array![[[1.0], [2.0]], [[3.0], [4.0]]];
    let expected = array![[[3.0], [2.0], [0.0]], [[10.0], [6.0], [0.0]]];
    assert_eq!(answer(&network, &input), expected);
}

#[test]
fn zeros_around_pools_count_like_pixels() {
    for (operator, layers, expected) in [("MaxPool", 2, 0.0), ("AveragePool", 1, -2.0)] {
        let mut file = File::new(&[1, 1, 1, 1]);
        file.integers("pads", &[0, 0, 1, 0, 0, 0, 0, 0]);
        file.node("Pad", "", &["x", "pads"], "a");
        file.node(operator, "", &["a"], "y")
            .ints("kernel_shape", &[2, 1]);
        let network = read_float(&file.bytes("y"), "network").unwrap();
        assert_eq!(network.layers.len(), layers, "{operator}");
        assert_eq!(
            answer(&network, &array![[[-4.0]]]),
            array![[[expected]]],
            "{operator}"
        );
    }
}

#[test]
fn the_order_of_flattening_does_not_matter_to_a_fully_connected_layer() {
    // Weight i for element i in the file's order.
    let weights: Vec<f32> = (0..12_u8).map(f32::from).collect();
    let input = Array3::from_shape_fn((2, 2, 3), |(r, c, channel)| {
        (100 * r + 10 * c + channel) as f32
    });
    for by_rows in [false, true] {
        // An input that a Transpose reads would be taken to be by rows.
        let mut file = File::new(&[1, 3, 2, 2]);
        file.reals("w", &[12, 1], &weights);
        file.integers("flat", &[1, -1]);
        file.node("Identity", "", &["x"], "i");
        if by_rows {
            file.node("Transpose", "", &["i"], "t")
                .ints("perm", &[0, 2, 3, 1]);
        } else {
            file.node("Identity", "", &["i"], "t");
        }
        file.node("Reshape", "", &["t", "flat"], "f");
        file.node("MatMul", "connected", &["f", "w"], "y");
        let network = read_float(&file.bytes("y"), "network").unwrap();
        let place = |index: usize| {
            if by_rows {
                [index / 6, index / 3 % 2, index % 3]
            } else {
                [index / 2 % 2, index % 2, index / 4]
            }
        };
        let expected: f32 = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| weight * input[place(index)])
            .sum();
        assert_eq!(answer(&network, &input), array![[[expected]]]);
        let FloatOp::Convolution { kind, .. } = &network.layers.last().unwrap().op else {
            panic!()
        };
        assert_eq!(*kind, ConvolutionKind::FullyConnected);
        // The tensor's own order is a Reshape, another is a matter of the weights.
        assert_eq!(network.layers.len(), if by_rows { 2 } else { 1 });
    }
}

#[test]
fn a_slice_and_a_concatenation_with_zeros_are_one_selecting_convolution() {
    let mut file = File::new(&[1, 1, 3, 3]);
    file.integers("starts", &[0, 0]);
    file.integers("ends", &[i64::MAX, i64::MAX]);
    file.integers("axes", &[2, 3]);
    file.integers("steps", &[2, 2]);
    file.reals("zeros", &[1, 1, 2, 2], &[0.0; 4]);
    file.node("Slice", "", &["x", "starts", "ends", "axes", "steps"], "a");
    file.node("Concat", "", &["zeros", "a"], "y").int("axis", 1);
    let network = read_float(&file.bytes("y"), "network").unwrap();
    assert_eq!(network.layers.len(), 1);
    let input = Array3::from_shape_fn((3, 3, 1), |(r, c, _)| (10 * r + c) as f32);
    let expected = array![[[0.0, 0.0], [0.0, 2.0]], [[0.0, 20.0], [0.0, 22.0]]];
    assert_eq!(answer(&network, &input), expected);
}

#[test]
fn exporters_arithmetic_on_shapes_is_resolved() {
    let mut file = File::new(&[1, 3, 2, 2]);
    file.integers("first", &[0]);
    file.integers("open", &[-1]);
    file.node("Shape", "", &["x"], "shape");
    file.node("Gather", "", &["shape", "first"], "batch");
    file.node("Concat", "", &["batch", "open"], "target")
        .int("axis", 0);
    file.node("GlobalAveragePool", "", &["x"], "mean");
    file.node("Reshape", "", &["mean", "target"], "flat");
    file.node("Softmax", "", &["flat"], "y").int("axis", -1);
    let network = read_float(&file.bytes("y"), "network").unwrap();
    assert_eq!(network.layers.len(), 2);
    assert_eq!(network.tensors[network.output].shape.channels, 3);
}
