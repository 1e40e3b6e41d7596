//! The golden model against CMSIS-NN's published test vectors, every output byte.

use bitweft::golden::network::Executor;
use bitweft::model::float::Padding;
use bitweft::model::integer::{
    ConvolutionKind, IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor,
    Multiplier, Rounding, Window,
};
use ndarray::{Array1, Array3, Array4};

mod cases;
#[path = "../support.rs"]
mod support;
mod vectors;

use cases::{CONVOLUTIONS, FULLY_CONNECTED, OTHERS, OUT_OF_SCOPE, POOLS};
use support::{data, one_layer, tensor};
use vectors::{Case, Vectors, byte};

fn open(test: &str) -> Option<Vectors> {
    data(test, "vectors/cmsis-nn-vectors.zip").map(|path| Vectors::open(&path))
}

/// The zero point that `INPUT_OFFSET` = -z stands for, in bytes.
fn input_zero_point(case: &Case) -> i32 {
    i32::from(byte(-case.constant("INPUT_OFFSET")))
}

fn output_zero_point(case: &Case) -> i32 {
    i32::from(byte(case.constant("OUTPUT_OFFSET")))
}

/// Padding behind the image so that `output` windows fit.
fn behind(output: usize, stride: usize, kernel: usize, size: usize, before: usize) -> usize {
    ((output - 1) * stride + kernel).saturating_sub(size + before)
}

fn window(
    kernel: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
    input: [usize; 3],
    output: [usize; 3],
) -> Window {
    Window {
        kernel_height: kernel[0],
        kernel_width: kernel[1],
        stride_height: stride[0],
        stride_width: stride[1],
        padding: Padding {
            top: before[0],
            bottom: behind(output[0], stride[0], kernel[0], input[0], before[0]),
            left: before[1],
            right: behind(output[1], stride[1], kernel[1], input[1], before[1]),
        },
    }
}

/// `mult` and `shift` of each filter.
fn multipliers(mantissas: &[i64], shifts: &[i64]) -> Vec<Multiplier> {
    let narrow = |value: i64| i32::try_from(value).expect("32 bits");
    mantissas
        .iter()
        .zip(shifts)
        .map(|(&mantissa, &shift)| Multiplier {
            mantissa: narrow(mantissa),
            shift: narrow(shift),
        })
        .collect()
}

fn biases(case: &Case, filters: usize) -> Array1<i32> {
    let biases = case.array(&["biases", "input_bias", "bias"]);
    let biases = biases.map_or_else(|| vec![0; filters], <[i64]>::to_vec);
    biases
        .into_iter()
        .map(|bias| i32::try_from(bias).expect("32 bits"))
        .collect()
}

/// A convolution, depthwise where the case has a channel multiplier.
fn convolution(case: &Case, rounding: Rounding) -> IntegerNetwork {
    let input = [
        case.size("INPUT_H"),
        case.size("INPUT_W"),
        case.size("IN_CH"),
    ];
    let filters = case.size("OUT_CH");
    let output = [case.size("OUTPUT_H"), case.size("OUTPUT_W"), filters];
    let taps = [case.size("FILTER_Y"), case.size("FILTER_X")];
    let dilation = [case.size("DILATION_Y"), case.size("DILATION_X")];
    let kernel = [
        (taps[0] - 1) * dilation[0] + 1,
        (taps[1] - 1) * dilation[1] + 1,
    ];
    let depthwise = case.optional("CH_MULT").is_some();
    // Input channels of a filter in the file, and in the network.
    let inputs = if depthwise {
        1
    } else {
        case.optional("FILTER_CH")
            .map_or(input[2], |_| case.size("FILTER_CH"))
    };
    let stored = case.weights("weights", filters * taps[0] * taps[1] * inputs);
    let network_inputs = if depthwise { 1 } else { input[2] };
    let mut weights = Array4::zeros((filters, kernel[0], kernel[1], network_inputs));
    for filter in 0..filters {
        let group = filter / (filters * inputs / network_inputs);
        for (row, column, channel) in ndarray::indices((taps[0], taps[1], inputs)) {
            let position = if depthwise {
                (row * taps[1] + column) * filters + filter
            } else {
                ((filter * taps[0] + row) * taps[1] + column) * inputs + channel
            };
            let target = [
                filter,
                row * dilation[0],
                column * dilation[1],
                group * inputs + channel,
            ];
            weights[target] = stored[position];
        }
    }
    let stride = [case.size("STRIDE_Y"), case.size("STRIDE_X")];
    let convolution = IntegerConvolution {
        kind: if depthwise {
            ConvolutionKind::Depthwise
        } else {
            ConvolutionKind::Dense
        },
        window: window(
            kernel,
            stride,
            [case.size("PAD_Y"), case.size("PAD_X")],
            input,
            output,
        ),
        weights,
        bits: vec![8; filters],
        weight_scale: vec![1.0; filters],
        bias: biases(case, filters),
        multiplier: multipliers(
            &case.values(&["output_mult", "output_multiplier"]),
            &case.values(&["output_shift"]),
        ),
        clamp_low: byte(case.constant("OUT_ACTIVATION_MIN")),
        clamp_high: byte(case.constant("OUT_ACTIVATION_MAX")),
    };
    one_layer(
        IntegerOp::Convolution(Box::new(convolution)),
        rounding,
        tensor(input, input_zero_point(case)),
        tensor(output, output_zero_point(case)),
    )
}

fn fully_connected(case: &Case) -> IntegerNetwork {
    let (inputs, filters) = (case.size("ACCUMULATION_DEPTH"), case.size("OUT_CH"));
    let stored = case.weights("weights", filters * inputs);
    let weights = Array4::from_shape_vec((filters, 1, 1, inputs), stored).expect("all weights");
    let multiplier = match case.array(&["output_multiplier"]) {
        Some(mantissas) => multipliers(mantissas, &case.values(&["output_shift"])),
        None => {
            let (mantissa, shift) = (
                case.constant("OUTPUT_MULTIPLIER"),
                case.constant("OUTPUT_SHIFT"),
            );
            multipliers(&vec![mantissa; filters], &vec![shift; filters])
        }
    };
    let convolution = IntegerConvolution {
        kind: ConvolutionKind::FullyConnected,
        window: window([1, 1], [1, 1], [0, 0], [1, 1, inputs], [1, 1, filters]),
        weights,
        bits: vec![8; filters],
        weight_scale: vec![1.0; filters],
        bias: biases(case, filters),
        multiplier,
        clamp_low: byte(case.constant("OUT_ACTIVATION_MIN")),
        clamp_high: byte(case.constant("OUT_ACTIVATION_MAX")),
    };
    one_layer(
        IntegerOp::Convolution(Box::new(convolution)),
        Rounding::Double,
        tensor([1, 1, inputs], input_zero_point(case)),
        tensor([1, 1, filters], output_zero_point(case)),
    )
}

fn pool(case: &Case) -> IntegerNetwork {
    let input = [
        case.size("INPUT_H"),
        case.size("INPUT_W"),
        case.size("INPUT_C"),
    ];
    let output = [
        case.size("OUTPUT_H"),
        case.size("OUTPUT_W"),
        case.size("OUTPUT_C"),
    ];
    let window = window(
        [case.size("FILTER_H"), case.size("FILTER_W")],
        [case.size("STRIDE_H"), case.size("STRIDE_W")],
        [case.size("PADDING_H"), case.size("PADDING_W")],
        input,
        output,
    );
    let clamp_low = byte(case.constant("ACTIVATION_MIN"));
    let clamp_high = byte(case.constant("ACTIVATION_MAX"));
    let op = if case.name.starts_with("avg") {
        IntegerOp::AveragePool {
            window,
            clamp_low,
            clamp_high,
        }
    } else {
        IntegerOp::MaxPool {
            window,
            clamp_low,
            clamp_high,
        }
    };
    one_layer(
        op,
        Rounding::Double,
        tensor(input, 128),
        tensor(output, 128),
    )
}

/// The first byte that differs between the network's answers to a case's inputs (one image after
/// another) and the case's outputs.
fn difference(case: &Case, network: &IntegerNetwork) -> Option<String> {
    let shape = network.tensors[0].shape;
    let inputs = case.bytes(&["input", "input_tensor"]);
    let expected = case.bytes(&["output_ref", "output"]);
    let executor = Executor::new(network).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut found = Vec::new();
    for image in inputs.chunks(shape.elements()) {
        let dim = (shape.height, shape.width, shape.channels);
        let image = Array3::from_shape_vec(dim, image.to_vec()).expect("whole images");
        found.extend(
            executor
                .run_output(image.view())
                .expect("an image of this shape"),
        );
    }
    assert_eq!(
        found.len(),
        expected.len(),
        "{}: number of outputs",
        case.name
    );
    let position = found
        .iter()
        .zip(&expected)
        .position(|(found, expected)| found != expected)?;
    let (expected, found) = (expected[position], found[position]);
    Some(format!(
        "{}: byte {position} is {found}, expected {expected}",
        case.name
    ))
}

#[test]
fn every_case_is_listed_once() {
    let Some(vectors) = open("every_case_is_listed_once") else {
        return;
    };
    for name in vectors.names() {
        let listed = [CONVOLUTIONS, FULLY_CONNECTED, POOLS, OTHERS];
        let tested = listed
            .iter()
            .flat_map(|list| list.iter())
            .filter(|&&case| case == name)
            .count();
        let refused = OUT_OF_SCOPE
            .iter()
            .any(|(beginning, _)| name.starts_with(beginning));
        assert_eq!(
            tested + usize::from(refused),
            1,
            "{name} must be in one list"
        );
    }
}

#[test]
fn convolutions_equal_cmsis_nn() {
    let Some(vectors) = open("convolutions_equal_cmsis_nn") else {
        return;
    };
    let mut other_rounding = 0;
    for name in CONVOLUTIONS {
        let case = vectors.case(name);
        assert_eq!(
            difference(&case, &convolution(&case, Rounding::Double)),
            None
        );
        let single = convolution(&case, Rounding::Single);
        other_rounding += usize::from(difference(&case, &single).is_none());
    }
    println!(
        "{other_rounding} of {} also hold with single rounding",
        CONVOLUTIONS.len()
    );
    assert!(
        other_rounding < CONVOLUTIONS.len(),
        "the vectors must tell the families apart"
    );
}

#[test]
fn fully_connected_layers_equal_cmsis_nn() {
    let Some(vectors) = open("fully_connected_layers_equal_cmsis_nn") else {
        return;
    };
    for name in FULLY_CONNECTED {
        let case = vectors.case(name);
        assert_eq!(difference(&case, &fully_connected(&case)), None);
    }
}

#[test]
fn pools_equal_cmsis_nn() {
    let Some(vectors) = open("pools_equal_cmsis_nn") else {
        return;
    };
    for name in POOLS {
        let case = vectors.case(name);
        assert_eq!(difference(&case, &pool(&case)), None);
    }
}

/// Scale of a softmax input from CMSIS-NN's multiplier, which includes 2^26.
fn softmax_scale(mantissa: i64, shift: i64) -> f32 {
    let mantissa = i32::try_from(mantissa).expect("32 bits");
    let shift = i32::try_from(shift).expect("32 bits");
    // The multiplier was made from a float.
    #[allow(clippy::cast_possible_truncation)]
    let scale = (Multiplier {
        mantissa,
        shift: shift - 26,
    })
    .to_real() as f32;
    scale
}

#[test]
fn softmax_equals_cmsis_nn() {
    let Some(vectors) = open("softmax_equals_cmsis_nn") else {
        return;
    };
    let case = vectors.case("softmax");
    let shape = [1, case.size("NUM_ROWS"), case.size("ROW_SIZE")];
    let scale = softmax_scale(
        case.constant("INPUT_MULT"),
        case.constant("INPUT_LEFT_SHIFT"),
    );
    let input = IntegerTensor {
        scale,
        ..tensor(shape, 0)
    };
    let network = one_layer(
        IntegerOp::Softmax,
        Rounding::Double,
        input,
        tensor(shape, 0),
    );
    assert_eq!(difference(&case, &network), None);
}

/// A 1x1 convolution that passes on one of its input's channels as it is.
fn select(channel: usize, channels: usize, zero_points: [i32; 2]) -> IntegerOp {
    let mut weights = Array4::zeros((1, 1, 1, channels));
    weights[[0, 0, 0, channel]] = 1;
    IntegerOp::Convolution(Box::new(IntegerConvolution {
        kind: ConvolutionKind::Dense,
        window: window([1, 1], [1, 1], [0, 0], [1, 1, channels], [1, 1, 1]),
        weights,
        bits: vec![8],
        weight_scale: vec![1.0],
        bias: Array1::from_elem(1, zero_points[0] - zero_points[1]),
        multiplier: vec![Multiplier::from_real(1.0)],
        clamp_low: 0,
        clamp_high: 255,
    }))
}

/// The addends are the two channels of one input.
#[test]
fn add_equals_cmsis_nn() {
    let Some(vectors) = open("add_equals_cmsis_nn") else {
        return;
    };
    let case = vectors.case("add");
    let count = case.size("DST_SIZE");
    let multiplier = |name: &str| {
        let mantissa = case.constant(&format!("{name}_MULT"));
        multipliers(&[mantissa], &[case.constant(&format!("{name}_SHIFT"))])[0]
    };
    let zero = |name: &str| i32::from(byte(-case.constant(&format!("{name}_OFFSET"))));
    let zeros = [zero("INPUT1"), zero("INPUT2")];
    let add = IntegerOp::Add {
        input: [multiplier("INPUT1"), multiplier("INPUT2")],
        output: multiplier("OUTPUT"),
        clamp_low: byte(case.constant("OUT_ACTIVATION_MIN")),
        clamp_high: byte(case.constant("OUT_ACTIVATION_MAX")),
    };
    let layer = |name: &str, op, inputs: &[usize], output| IntegerLayer {
        name: name.into(),
        op,
        inputs: inputs.to_vec(),
        output,
    };
    let network = IntegerNetwork {
        tensors: vec![
            tensor([1, count, 2], 0),
            tensor([1, count, 1], zeros[0]),
            tensor([1, count, 1], zeros[1]),
            tensor([1, count, 1], output_zero_point(&case)),
        ],
        layers: vec![
            layer("first", select(0, 2, [0, zeros[0]]), &[0], 1),
            layer("second", select(1, 2, [0, zeros[1]]), &[0], 2),
            layer("add", add, &[1, 2], 3),
        ],
        output: 3,
        ..one_layer(
            IntegerOp::Softmax,
            Rounding::Double,
            tensor([1, 1, 1], 0),
            tensor([1, 1, 1], 0),
        )
    };
    let addends = [case.bytes(&["input1"]), case.bytes(&["input2"])];
    let image = Array3::from_shape_fn((1, count, 2), |(_, pixel, channel)| addends[channel][pixel]);
    let output = Executor::new(&network)
        .expect("valid")
        .run_output(image.view())
        .expect("runs");
    assert_eq!(
        output.into_raw_vec_and_offset().0,
        case.bytes(&["output_ref"])
    );
}

/// A whole keyword spotter: DS-CNN Large of 15 layers.
#[test]
fn ds_cnn_equals_cmsis_nn() {
    let Some(vectors) = open("ds_cnn_equals_cmsis_nn") else {
        return;
    };
    let case = vectors.case("ds_cnn_l");
    let mut parts = Vec::new();
    for number in 1..=11 {
        let kind = if number % 2 == 1 {
            "conv_2d"
        } else {
            "depthwise_conv_2d"
        };
        let mut layer = case.layer(number, kind);
        if kind == "depthwise_conv_2d" {
            layer.set("CH_MULT", 1);
        }
        parts.push(convolution(&layer, Rounding::Double));
    }
    let mut average = case.layer(12, "average_pool_2d");
    let channels = average.constant("IN_CH");
    for (key, value) in [
        ("INPUT_C", channels),
        ("OUTPUT_C", channels),
        ("PADDING_H", 0),
        ("PADDING_W", 0),
        ("ACTIVATION_MIN", -128),
        ("ACTIVATION_MAX", 127),
    ] {
        average.set(key, value);
    }
    average.name = "avgpool".into();
    let mut averaged = pool(&average);
    averaged.tensors[1].zero_point = output_zero_point(&average);
    parts.push(averaged);
    // The names of these two are exchanged in the file.
    let mut connected = case.layer(14, "fully_connected");
    let (inputs, outputs) = (connected.constant("OUT_CH"), connected.constant("IN_CH"));
    connected.set("ACCUMULATION_DEPTH", inputs);
    connected.set("OUT_CH", outputs);
    parts.push(fully_connected(&connected));
    let last = case.layer(15, "softmax");
    let shape = [1, 1, last.size("ROW_SIZE")];
    let softmax = one_layer(
        IntegerOp::Softmax,
        Rounding::Double,
        tensor(shape, 0),
        tensor(shape, 0),
    );
    parts.push(softmax);

    let mut network = parts[0].clone();
    for (number, part) in parts.iter().enumerate().skip(1) {
        let layer = part.layers[0].clone();
        let name = format!("{number}");
        network.layers.push(IntegerLayer {
            name,
            inputs: vec![number],
            output: number + 1,
            ..layer
        });
        network.tensors.push(part.tensors[1].clone());
    }
    network.output = parts.len();
    network.tensors[parts.len() - 1].scale =
        softmax_scale(last.constant("MULT"), last.constant("SHIFT"));
    assert_eq!(difference(&case, &network), None);
}
