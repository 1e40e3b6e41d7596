use ndarray::{Array1, Array3, Array4};

use super::*;
use crate::model::float::{
    Clamp, ConvolutionKind, FloatLayer, FloatOp, FloatTensor, InputTransform, Padding, Shape,
    Window,
};
use crate::model::integer::{IntegerConvolution, IntegerOp};

/// Uniform in -1..1, replayable.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn convolution(
    noise: &mut Noise,
    kind: ConvolutionKind,
    weights: (usize, usize, usize, usize),
    stride: usize,
    clamp: Clamp,
) -> FloatOp {
    let pad = weights.1 / 2;
    let padding = match kind {
        ConvolutionKind::FullyConnected => Padding::default(),
        _ => Padding {
            top: pad,
            bottom: pad,
            left: pad,
            right: pad,
        },
    };
    let deviation = 1.0 / ((weights.1 * weights.2 * weights.3) as f32).sqrt();
    FloatOp::Convolution {
        kind,
        window: Window {
            kernel_height: weights.1,
            kernel_width: weights.2,
            stride_height: stride,
            stride_width: stride,
            padding,
        },
        weights: Array4::from_shape_simple_fn(weights, || {
            2.0 * deviation * (noise.next() + noise.next())
        }),
        bias: Array1::from_shape_simple_fn(weights.0, || 0.2 * noise.next()),
        clamp,
    }
}

/// Two branches, an addition, depthwise, pooling and a classifier: every operation once.
pub(super) fn network() -> FloatNetwork {
    use ConvolutionKind::{Dense, Depthwise, FullyConnected};
    let mut noise = Noise(1);
    let mut tensors = Vec::new();
    let mut tensor = |height, width, channels| {
        let name = format!("t{}", tensors.len());
        tensors.push(FloatTensor {
            name,
            shape: Shape {
                height,
                width,
                channels,
            },
        });
        tensors.len() - 1
    };
    let mut layers = Vec::new();
    let mut layer = |op, inputs: &[usize], output| {
        let name = format!("layer{}", layers.len());
        layers.push(FloatLayer {
            name,
            op,
            inputs: inputs.to_vec(),
            output,
        });
        output
    };
    let mut conv =
        |kind, weights, stride, clamp| convolution(&mut noise, kind, weights, stride, clamp);
    let input = tensor(8, 8, 3);
    let a = layer(
        conv(Dense, (16, 3, 3, 3), 1, Clamp::RELU),
        &[input],
        tensor(8, 8, 16),
    );
    let b = layer(
        conv(Dense, (16, 3, 3, 16), 1, Clamp::NONE),
        &[a],
        tensor(8, 8, 16),
    );
    let c = layer(
        FloatOp::Add { clamp: Clamp::RELU },
        &[a, b],
        tensor(8, 8, 16),
    );
    let d = layer(
        conv(Depthwise, (16, 3, 3, 1), 1, Clamp::RELU6),
        &[c],
        tensor(8, 8, 16),
    );
    let window = Window {
        kernel_height: 2,
        kernel_width: 2,
        stride_height: 2,
        stride_width: 2,
        padding: Padding::default(),
    };
    let e = layer(FloatOp::MaxPool { window }, &[d], tensor(4, 4, 16));
    let f = layer(FloatOp::AveragePool { window }, &[e], tensor(2, 2, 16));
    let g = layer(FloatOp::GlobalAverage, &[f], tensor(1, 1, 16));
    let h = layer(FloatOp::Reshape, &[g], tensor(1, 1, 16));
    let i = layer(
        conv(FullyConnected, (10, 1, 1, 16), 1, Clamp::NONE),
        &[h],
        tensor(1, 1, 10),
    );
    let output = layer(FloatOp::Softmax, &[i], tensor(1, 1, 10));
    FloatNetwork {
        name: "all".into(),
        tensors,
        layers,
        input,
        output,
        input_transform: InputTransform::default(),
        input_steps: None,
    }
}

pub(super) fn images(count: usize) -> Vec<Array3<f32>> {
    let mut noise = Noise(2);
    (0..count)
        .map(|_| {
            let base = noise.next();
            Array3::from_shape_simple_fn((8, 8, 3), || base + 0.5 * noise.next())
        })
        .collect()
}

fn convolutions(network: &IntegerNetwork) -> Vec<&IntegerConvolution> {
    network
        .layers
        .iter()
        .filter_map(|layer| match &layer.op {
            IntegerOp::Convolution(convolution) => Some(convolution.as_ref()),
            _ => None,
        })
        .collect()
}

fn run(allocation: Allocation) -> (IntegerNetwork, Report) {
    let options = Options {
        allocation,
        ..Options::default()
    };
    quantize(&network(), &images(24), &options).expect("quantizes")
}

#[test]
fn widths_and_levels_agree() {
    let (integer, report) = run(Allocation::PerFilter(3.0));
    let convolutions = convolutions(&integer);
    assert_eq!(convolutions.len(), report.layers.len());
    for (convolution, layer) in convolutions.iter().zip(&report.layers) {
        assert_eq!(convolution.bits, layer.bits);
        for (filter, weights) in convolution.weights.outer_iter().enumerate() {
            let (low, high) = filter::levels(convolution.bits[filter]);
            assert!(weights.iter().all(|q| (low..=high).contains(q)));
            assert!(convolution.bits[filter] != 1 || weights.iter().all(|q| *q != 0));
            let bound: i64 = weights.iter().map(|q| i64::from(*q).abs() * 255).sum();
            let bound = bound + i64::from(convolution.bias[filter]).abs();
            assert!(bound <= i64::from(i32::MAX));
        }
    }
}

#[test]
fn the_budget_holds_and_is_used() {
    for budget in [0.0, 0.7, 2.0, 3.3, 5.0, 8.0] {
        for allocation in [
            Allocation::PerFilter(budget),
            Allocation::PerLayer(budget),
            Allocation::Distribution(budget.max(2.0)),
        ] {
            let (_, report) = run(allocation);
            let budget = if matches!(allocation, Allocation::Distribution(_)) {
                budget.max(2.0)
            } else {
                budget
            };
            assert!(report.mac_bits as f64 <= budget * report.macs as f64);
            if matches!(allocation, Allocation::PerFilter(_)) {
                assert!(
                    report.average_bits > budget - 0.1,
                    "{budget}: {}",
                    report.average_bits
                );
            }
            assert!(report.sensitivity >= report.sensitivity_bound - 1e-9);
        }
    }
}

#[test]
fn a_size_budget_counts_weights() {
    let options = Options {
        objective: Objective::Size,
        ..Options::default()
    };
    let (network, images) = (network(), images(24));
    let quantizer = Quantizer::new(&network, &images, options).expect("calibrates");
    let report = quantizer.plan(Allocation::PerFilter(3.0)).expect("fits");
    assert!(report.average_weight_bits <= 3.0 && report.average_weight_bits > 2.9);
    let (_, time) = run(Allocation::PerFilter(3.0));
    assert!(time.average_bits <= 3.0 && report.layers != time.layers);
    assert!(matches!(
        quantizer.plan(Allocation::Uniform(9)),
        Err(QuantError::Widths { .. })
    ));
}

#[test]
fn given_widths_are_kept() {
    let (network, images) = (network(), images(24));
    let quantizer = Quantizer::new(&network, &images, Options::default()).expect("calibrates");
    let plan = quantizer
        .plan_for(Allocation::PerFilter(3.0), Objective::Size)
        .expect("fits");
    assert!(plan.average_weight_bits <= 3.0 && plan.average_bits != plan.average_weight_bits);
    let mut bits: Vec<Vec<u8>> = plan.layers.iter().map(|l| l.bits.clone()).collect();
    let (integer, report) = quantizer.quantize_to(&bits).expect("quantizes");
    assert_eq!(report.layers, plan.layers);
    for (convolution, bits) in convolutions(&integer).iter().zip(&bits) {
        assert_eq!(&convolution.bits, bits);
    }
    let refused = |bits: &[Vec<u8>]| {
        quantizer
            .quantize_to(bits)
            .expect_err("refused")
            .to_string()
    };
    assert!(refused(&bits[1..]).contains("convolution, the network has"));
    bits[0][1] = 9;
    assert!(refused(&bits).contains("to 9 bits"));
    bits[0].pop();
    assert!(refused(&bits).contains("filter of layer 'layer0'"));
}

#[test]
fn one_width_a_layer() {
    let (_, report) = run(Allocation::PerLayer(4.0));
    for layer in &report.layers {
        assert!(layer.bits.iter().all(|bits| *bits == layer.bits[0]));
    }
    let (_, filters) = run(Allocation::PerFilter(4.0));
    assert!(filters.sensitivity_bound <= report.sensitivity + 1e-9);
}

#[test]
fn tied_activations_share_their_scale() {
    let (integer, _) = run(Allocation::Uniform(8));
    for layer in &integer.layers {
        let (from, to) = (
            &integer.tensors[layer.inputs[0]],
            &integer.tensors[layer.output],
        );
        match layer.op {
            IntegerOp::MaxPool { .. } | IntegerOp::AveragePool { .. } | IntegerOp::Reshape => {
                assert_eq!((from.scale, from.zero_point), (to.scale, to.zero_point));
            }
            IntegerOp::Softmax => assert_eq!((to.scale, to.zero_point), (1.0 / 256.0, 0)),
            IntegerOp::Add { .. } => assert_eq!(to.zero_point, 0),
            _ => {}
        }
    }
}

/// Pixels 0..=255 with the identity as transform stay bytes.
#[test]
fn byte_images_keep_their_bytes() {
    let mut network = network();
    network.layers.truncate(1);
    network.output = network.layers[0].output;
    let image = Array3::from_shape_fn((8, 8, 3), |(y, x, c)| {
        ((y * 24 + x * 3 + c) * 4 % 256) as f32
    });
    let mut other = image.clone();
    other[[0, 0, 0]] = 255.0;
    let (integer, _) = quantize(&network, &[image, other], &Options::default()).expect("quantizes");
    let input = &integer.tensors[integer.input];
    assert_eq!((input.scale, input.zero_point), (1.0, 0));
}

/// Features that are int8 already keep their steps, in whatever part of their range the calibration images are.
#[test]
fn features_keep_their_bytes() {
    let mut network = network();
    network.input_steps = Some((0.25, 131));
    let (integer, _) = quantize(&network, &images(4), &Options::default()).expect("quantizes");
    let input = &integer.tensors[integer.input];
    assert_eq!((input.scale, input.zero_point), (0.25, 131));
}

/// Where no image's answer can change, there is nothing to choose widths by.
#[test]
fn answers_that_cannot_change_are_refused() {
    let mut network = network();
    for layer in &mut network.layers {
        if let FloatOp::Convolution {
            kind: ConvolutionKind::FullyConnected,
            weights,
            bias,
            ..
        } = &mut layer.op
        {
            weights.fill(0.0);
            bias[0] = 1e4;
        }
    }
    let error = quantize(&network, &images(4), &Options::default()).expect_err("refused");
    assert!(matches!(error, QuantError::NothingToLose), "{error}");
    let options = Options {
        weighting: Weighting::Energy,
        ..Options::default()
    };
    quantize(&network, &images(4), &options).expect("quantizes");
}

#[test]
fn selection_filters_stay_exact_at_two_bits() {
    let mut network = network();
    let FloatOp::Convolution { weights, bias, .. } = &mut network.layers[1].op else {
        panic!("a convolution");
    };
    weights.fill(0.0);
    bias.fill(0.0);
    for filter in 0..16 {
        weights[[filter, 1, 1, (filter * 5) % 16]] = 1.0;
    }
    let selection = weights.clone();
    let options = Options {
        allocation: Allocation::PerFilter(6.0),
        ..Options::default()
    };
    let (integer, report) = quantize(&network, &images(24), &options).expect("quantizes");
    let found = convolutions(&integer)[1];
    assert!(report.layers[1].bits.iter().all(|bits| *bits <= 2));
    for filter in 0..16 {
        if found.bits[filter] == 2 {
            assert_eq!(found.weight_scale[filter], 1.0);
            assert_eq!(found.bias[filter], 0);
            let wanted = selection.index_axis(ndarray::Axis(0), filter);
            let found = found.weights.index_axis(ndarray::Axis(0), filter);
            assert!(wanted.iter().zip(found).all(|(w, q)| *w == f32::from(*q)));
        }
    }
    assert!(report.layers[1].bits.contains(&2));
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool");
    let many = rayon::ThreadPoolBuilder::new()
        .num_threads(5)
        .build()
        .expect("a pool");
    let allocation = Allocation::PerFilter(3.0);
    assert!(one.install(|| run(allocation)) == many.install(|| run(allocation)));
}

#[test]
fn bad_input_is_named() {
    let (network, images) = (network(), images(2));
    let options = Options::default();
    let fails = |network: &FloatNetwork, images: &[Array3<f32>], options: &Options| {
        quantize(network, images, options)
            .expect_err("refused")
            .to_string()
    };
    assert!(fails(&network, &[], &options).contains("no calibration images"));
    let wrong = vec![images[0].clone(), Array3::zeros((8, 7, 3))];
    assert!(fails(&network, &wrong, &options).contains("calibration image 1"));
    let mut nan = network.clone();
    if let FloatOp::Convolution { weights, .. } = &mut nan.layers[3].op {
        weights[[5, 0, 0, 0]] = f32::NAN;
    }
    let message = fails(&nan, &images, &options);
    assert!(message.contains("'layer3': filter 5"), "{message}");
    let mut bright = images.clone();
    bright[1][[0, 0, 0]] = f32::INFINITY;
    assert!(fails(&network, &bright, &options).contains("not finite"));
    for budget in [-1.0, 8.5, f64::NAN] {
        let options = Options {
            allocation: Allocation::PerFilter(budget),
            ..Options::default()
        };
        assert!(fails(&network, &images, &options).contains("cannot be reached"));
    }
    let least = Options {
        bits_min: 3,
        allocation: Allocation::PerLayer(2.9),
        ..Options::default()
    };
    assert!(fails(&network, &images, &least).contains("from 3 to 8"));
    let wide = Options {
        allocation: Allocation::Uniform(9),
        ..Options::default()
    };
    assert!(fails(&network, &images, &wide).contains("within 0..=8"));
}

/// The integer network, executed bit by bit, follows the float network, and the closer the wider.
#[test]
fn golden_follows_float() {
    let (network, images) = (network(), images(24));
    let mut last = f64::INFINITY;
    for (bits, bound) in [(2, 1.0), (4, 0.2), (8, 0.02)] {
        let options = Options {
            allocation: Allocation::Uniform(bits),
            ..Options::default()
        };
        let (integer, _) = quantize(&network, &images, &options).expect("quantizes");
        let input = &integer.tensors[integer.input];
        let logits = integer.layers[integer.layers.len() - 1].inputs[0];
        let (mut error, mut energy) = (0.0, 0.0);
        for image in &images {
            let bytes = image.mapv(|v| {
                ((v / input.scale).round() + input.zero_point as f32).clamp(0.0, 255.0) as u8
            });
            let found = crate::golden::network::run(&integer, bytes.view()).expect("runs");
            let wanted = float::run(&network, image.view()).expect("runs");
            let to = &integer.tensors[logits];
            for (found, wanted) in found[logits].iter().zip(&wanted[logits]) {
                let found = to.scale * (i32::from(*found) - to.zero_point) as f32;
                error += f64::from(found - wanted).powi(2);
                energy += f64::from(*wanted).powi(2);
            }
        }
        let relative = error / energy;
        assert!(
            relative < bound && relative < last,
            "{bits} bits: {relative}"
        );
        last = relative;
    }
}
