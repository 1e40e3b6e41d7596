#![allow(clippy::unwrap_used)]

use ndarray::{Array1, Array3, Array4, array};

use super::{Error, classes, evaluate, run, run_given, run_selected};
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatNetwork, FloatOp, FloatTensor, InputTransform,
    Padding, Shape, Window,
};

/// A value that differs from element to element and is exact in `f32`.
fn value(seed: usize) -> f32 {
    let hash = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
    (hash as f32 - 128.0) / 64.0
}

fn shape(height: usize, width: usize, channels: usize) -> Shape {
    Shape {
        height,
        width,
        channels,
    }
}

fn network(input: Shape, op: FloatOp, output: Shape) -> FloatNetwork {
    let tensor = |name: &str, shape| FloatTensor {
        name: name.to_owned(),
        shape,
    };
    FloatNetwork {
        name: "test".to_owned(),
        tensors: vec![tensor("in", input), tensor("out", output)],
        layers: vec![FloatLayer {
            name: "layer".to_owned(),
            op,
            inputs: vec![0],
            output: 1,
        }],
        input: 0,
        output: 1,
        input_transform: InputTransform::default(),
        input_steps: None,
    }
}

fn window(kernel: (usize, usize), stride: (usize, usize), padding: Padding) -> Window {
    Window {
        kernel_height: kernel.0,
        kernel_width: kernel.1,
        stride_height: stride.0,
        stride_width: stride.1,
        padding,
    }
}

/// The definition, one multiplication at a time in `f64`.
fn naive(
    kind: ConvolutionKind,
    w: &Window,
    weights: &Array4<f32>,
    bias: &Array1<f32>,
    x: &Array3<f32>,
) -> Array3<f32> {
    let (h, wd, c) = x.dim();
    let oh = (h + w.padding.top + w.padding.bottom - w.kernel_height) / w.stride_height + 1;
    let ow = (wd + w.padding.left + w.padding.right - w.kernel_width) / w.stride_width + 1;
    let filters = weights.dim().0;
    Array3::from_shape_fn((oh, ow, filters), |(row, column, filter)| {
        let mut sum = f64::from(bias[filter]);
        for r in 0..w.kernel_height {
            for k in 0..w.kernel_width {
                let y = (row * w.stride_height + r) as isize - w.padding.top as isize;
                let xx = (column * w.stride_width + k) as isize - w.padding.left as isize;
                if y < 0 || xx < 0 || y >= h as isize || xx >= wd as isize {
                    continue;
                }
                let pixel = |channel: usize| f64::from(x[[y as usize, xx as usize, channel]]);
                if kind == ConvolutionKind::Depthwise {
                    sum += pixel(filter / (filters / c)) * f64::from(weights[[filter, r, k, 0]]);
                } else {
                    for channel in 0..c {
                        sum += pixel(channel) * f64::from(weights[[filter, r, k, channel]]);
                    }
                }
            }
        }
        sum as f32
    })
}

#[test]
fn convolutions_equal_the_definition() {
    let asymmetric = Padding {
        top: 0,
        bottom: 2,
        left: 2,
        right: 1,
    };
    let even = Padding {
        top: 1,
        bottom: 1,
        left: 1,
        right: 1,
    };
    let cases = [
        (ConvolutionKind::Dense, (7, 6, 3), 5, (3, 3), (1, 1), even),
        (
            ConvolutionKind::Dense,
            (7, 9, 4),
            2,
            (3, 2),
            (2, 3),
            asymmetric,
        ),
        (
            ConvolutionKind::Dense,
            (5, 5, 8),
            3,
            (1, 1),
            (1, 1),
            Padding::default(),
        ),
        (
            ConvolutionKind::Dense,
            (6, 6, 2),
            3,
            (1, 1),
            (2, 2),
            Padding::default(),
        ),
        (
            ConvolutionKind::Dense,
            (2, 2, 1),
            1,
            (5, 5),
            (1, 1),
            Padding {
                top: 4,
                bottom: 4,
                left: 4,
                right: 4,
            },
        ),
        (
            ConvolutionKind::Depthwise,
            (7, 6, 3),
            3,
            (3, 3),
            (2, 1),
            asymmetric,
        ),
        (
            ConvolutionKind::Depthwise,
            (7, 6, 3),
            6,
            (3, 3),
            (1, 1),
            even,
        ),
        (
            ConvolutionKind::Dense,
            (40, 40, 32),
            3,
            (5, 5),
            (1, 1),
            even,
        ),
    ];
    for (kind, (h, w, c), filters, kernel, stride, padding) in cases {
        let window = window(kernel, stride, padding);
        let inputs = if kind == ConvolutionKind::Depthwise {
            1
        } else {
            c
        };
        let mut seed = 0;
        let mut next = || {
            seed += 1;
            value(seed)
        };
        let weights =
            Array4::from_shape_simple_fn((filters, kernel.0, kernel.1, inputs), &mut next);
        let bias = Array1::from_shape_simple_fn(filters, &mut next);
        let input = Array3::from_shape_simple_fn((h, w, c), &mut next);
        let expected = naive(kind, &window, &weights, &bias, &input);
        let (oh, ow, _) = expected.dim();
        let op = FloatOp::Convolution {
            kind,
            window,
            weights,
            bias,
            clamp: Clamp::NONE,
        };
        let network = network(shape(h, w, c), op, shape(oh, ow, filters));
        let found = run(&network, input.view()).unwrap().pop().unwrap();
        let worst = (&found - &expected).fold(0.0, |a: f32, b| a.max(b.abs()));
        assert!(
            worst < 1e-4,
            "{kind:?} {kernel:?} {stride:?}: differs by {worst}"
        );
    }
}

#[test]
fn fully_connected_uses_the_whole_image_and_the_clamp() {
    let weights =
        Array4::from_shape_fn(
            (2, 1, 2, 2),
            |(f, _, x, c)| if f == 0 { (x * 2 + c) as f32 } else { -1.0 },
        );
    let op = FloatOp::Convolution {
        kind: ConvolutionKind::FullyConnected,
        window: window((1, 2), (1, 1), Padding::default()),
        weights,
        bias: array![0.5, 0.25],
        clamp: Clamp::RELU,
    };
    let network = network(shape(1, 2, 2), op, shape(1, 1, 2));
    let input = array![[[1.0, 2.0], [3.0, 4.0]]];
    let outputs = run(&network, input.view()).unwrap();
    assert_eq!(outputs[0], input);
    assert_eq!(outputs[1], array![[[20.5, 0.0]]]);
}

#[test]
fn pooling_does_not_count_padding() {
    let input = array![[[1.0], [2.0]], [[3.0], [-5.0]]];
    let padded = window(
        (2, 2),
        (1, 1),
        Padding {
            top: 1,
            bottom: 0,
            left: 1,
            right: 0,
        },
    );
    let average = network(
        shape(2, 2, 1),
        FloatOp::AveragePool { window: padded },
        shape(2, 2, 1),
    );
    assert_eq!(
        run(&average, input.view()).unwrap()[1],
        array![[[1.0], [1.5]], [[2.0], [0.25]]]
    );
    let negative = input.mapv(|v: f32| v - 10.0);
    let maximum = network(
        shape(2, 2, 1),
        FloatOp::MaxPool { window: padded },
        shape(2, 2, 1),
    );
    assert_eq!(
        run(&maximum, negative.view()).unwrap()[1],
        array![[[-9.0], [-8.0]], [[-7.0], [-7.0]]]
    );
    let global = network(shape(2, 2, 1), FloatOp::GlobalAverage, shape(1, 1, 1));
    assert_eq!(run(&global, input.view()).unwrap()[1], array![[[0.25]]]);
}

#[test]
fn softmax_survives_large_values_and_reshape_keeps_order() {
    let softmax = network(shape(1, 1, 2), FloatOp::Softmax, shape(1, 1, 2));
    assert_eq!(
        run(&softmax, array![[[1000.0, 1000.0]]].view()).unwrap()[1],
        array![[[0.5, 0.5]]]
    );
    let reshape = network(shape(1, 2, 2), FloatOp::Reshape, shape(1, 1, 4));
    let found = run(&reshape, array![[[1.0, 2.0], [3.0, 4.0]]].view()).unwrap();
    assert_eq!(found[1], array![[[1.0, 2.0, 3.0, 4.0]]]);
}

#[test]
fn a_residual_network_runs_from_its_middle() {
    let tensor = |name: &str| FloatTensor {
        name: name.to_owned(),
        shape: shape(1, 1, 2),
    };
    let layer = |name: &str, op, inputs: &[usize], output| FloatLayer {
        name: name.to_owned(),
        op,
        inputs: inputs.to_vec(),
        output,
    };
    let network = FloatNetwork {
        name: "residual".to_owned(),
        tensors: vec![tensor("a"), tensor("b"), tensor("c")],
        layers: vec![
            layer("softmax", FloatOp::Softmax, &[0], 1),
            layer(
                "add",
                FloatOp::Add {
                    clamp: Clamp {
                        low: 0.0,
                        high: 2.0,
                    },
                },
                &[0, 1],
                2,
            ),
        ],
        input: 0,
        output: 2,
        input_transform: InputTransform {
            mean: vec![1.0, 2.0],
            factor: vec![2.0, 4.0],
        },
        input_steps: None,
    };
    let input = array![[[1.0, 1.0]]];
    assert_eq!(
        run_selected(&network, input.view(), &[2, 2, 0]).unwrap(),
        vec![array![[[1.5, 1.5]]], array![[[1.5, 1.5]]], input.clone()]
    );
    let middle = array![[[-3.0, 3.0]]];
    let given = [(0, input.view()), (1, middle.view())];
    assert_eq!(
        run_given(&network, &given, &[2]).unwrap()[0],
        array![[[0.0, 2.0]]]
    );
    // (byte - mean) * factor, then 0 + softmax and a large value, clamped.
    let images = array![[[[1_u8, 255]]], [[[1, 2]]]];
    let outputs = evaluate(&network, images.view()).unwrap();
    assert_eq!(outputs, array![[0.0, 2.0], [0.5, 0.5]]);
    assert_eq!(classes(&outputs), vec![1, 0]);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let op = FloatOp::MaxPool {
        window: window((3, 3), (1, 1), Padding::default()),
    };
    let network = network(shape(2, 2, 1), op, shape(1, 1, 1));
    assert!(matches!(
        run(&network, Array3::zeros((2, 2, 1)).view()),
        Err(Error::Shape { .. })
    ));
    assert!(
        matches!(run(&network, Array3::zeros((2, 3, 1)).view()), Err(Error::Shape { layer, .. }) if layer == "input")
    );
    let mut cyclic = network.clone();
    cyclic.layers[0].inputs = vec![1];
    assert!(matches!(
        run(&cyclic, Array3::zeros((2, 2, 1)).view()),
        Err(Error::NotComputed { tensor: 1, .. })
    ));
    cyclic.layers[0].inputs = vec![7];
    assert!(matches!(
        run(&cyclic, Array3::zeros((2, 2, 1)).view()),
        Err(Error::NoTensor { tensor: 7, .. })
    ));
}

/// A clamp does not make a number of what is none.
#[test]
fn values_that_are_not_finite_are_refused() {
    for weight in [f32::NAN, f32::INFINITY, 3e38] {
        let op = FloatOp::Convolution {
            kind: ConvolutionKind::FullyConnected,
            window: window((1, 1), (1, 1), Padding::default()),
            weights: Array4::from_elem((1, 1, 1, 2), weight),
            bias: Array1::zeros(1),
            clamp: Clamp::RELU,
        };
        let network = network(shape(1, 1, 2), op, shape(1, 1, 1));
        let input = array![[[1.0, 1.0]]];
        let error = run(&network, input.view()).expect_err("refused");
        assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    }
}
