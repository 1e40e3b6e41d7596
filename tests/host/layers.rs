//! The golden model's layers against nested loops that follow their definitions word by word.

use bitweft::golden::network::{GoldenError, argmax, run};
use bitweft::golden::requantize::requantize;
use bitweft::model::float::Padding;
use bitweft::model::integer::{
    ConvolutionKind, IntegerConvolution, IntegerNetwork, IntegerOp, Multiplier, Rounding, Window,
};
use ndarray::{Array1, Array3, Array4, array};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

mod support;

use support::{hash, one_layer, tensor};

fn random(seed: u64, position: usize, low: i64, high: i64) -> i64 {
    low + (hash(seed, position) % (high - low + 1) as u64) as i64
}

#[derive(Debug, Clone)]
struct Case {
    kind: ConvolutionKind,
    input: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    /// Filters, or with `Depthwise` filters an input channel.
    filters: usize,
    rounding: Rounding,
    /// Weights of one magnitude, 128: the longest chunks and largest sums.
    extreme: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        3 => Just(ConvolutionKind::Dense),
        2 => Just(ConvolutionKind::Depthwise),
        1 => Just(ConvolutionKind::FullyConnected),
    ];
    let rounding = prop_oneof![Just(Rounding::Double), Just(Rounding::Single)];
    // Some layers have so many inputs that they are summed in more than one chunk.
    let channels = prop_oneof![8 => 1..9_usize, 1 => 500..700_usize];
    (
        kind,
        (1..9_usize, 1..9_usize, channels),
        [1..4_usize, 1..4],
        [1..4_usize, 1..4],
        [0..3_usize, 0..3, 0..3, 0..3],
        1..5_usize,
        rounding,
        prop::bool::weighted(0.2),
        any::<u64>(),
    )
        .prop_map(
            |(kind, input, kernel, stride, padding, filters, rounding, extreme, seed)| {
                let input = [input.0, input.1, input.2];
                let full = kind == ConvolutionKind::FullyConnected;
                let kernel = if full { [input[0], input[1]] } else { kernel };
                let padding = if full { [0; 4] } else { padding };
                Case {
                    kind,
                    input,
                    kernel,
                    stride,
                    padding,
                    filters,
                    rounding,
                    extreme,
                    seed,
                }
            },
        )
        .prop_filter("the window fits", |case| {
            case.kernel[0] <= case.input[0] + case.padding[0] + case.padding[1]
                && case.kernel[1] <= case.input[1] + case.padding[2] + case.padding[3]
        })
}

impl Case {
    fn output(&self) -> [usize; 3] {
        let [height, width, channels] = self.input;
        let [top, bottom, left, right] = self.padding;
        let filters = match self.kind {
            ConvolutionKind::Depthwise => channels * self.filters,
            _ => self.filters,
        };
        [
            (height + top + bottom - self.kernel[0]) / self.stride[0] + 1,
            (width + left + right - self.kernel[1]) / self.stride[1] + 1,
            filters,
        ]
    }

    fn window(&self) -> Window {
        let [top, bottom, left, right] = self.padding;
        Window {
            kernel_height: self.kernel[0],
            kernel_width: self.kernel[1],
            stride_height: self.stride[0],
            stride_width: self.stride[1],
            padding: Padding {
                top,
                bottom,
                left,
                right,
            },
        }
    }

    fn convolution(&self) -> IntegerConvolution {
        let [_, _, filters] = self.output();
        let inputs = if self.kind == ConvolutionKind::Depthwise {
            1
        } else {
            self.input[2]
        };
        let elements = self.kernel[0] * self.kernel[1] * inputs;
        let mut position = 0;
        let weights =
            Array4::from_shape_simple_fn((filters, self.kernel[0], self.kernel[1], inputs), || {
                position += 1;
                if self.extreme {
                    -128
                } else {
                    random(self.seed, position, -128, 127) as i8
                }
            });
        // Multipliers that spread the sums over a few hundred steps.
        let shift = -(elements.ilog2() as i32 / if self.extreme { 1 } else { 2 }) - 6;
        let multiplier = (0..filters)
            .map(|filter| Multiplier {
                mantissa: random(self.seed ^ 1, filter, 1 << 30, i64::from(i32::MAX)) as i32,
                shift,
            })
            .collect();
        let clamp = random(self.seed ^ 2, 0, 0, 40) as u8;
        IntegerConvolution {
            kind: self.kind,
            window: self.window(),
            weights,
            bits: vec![8; filters],
            weight_scale: vec![1.0; filters],
            bias: Array1::from_shape_fn(filters, |filter| {
                random(self.seed ^ 3, filter, -30_000, 30_000) as i32
            }),
            multiplier,
            clamp_low: clamp,
            clamp_high: 255 - clamp,
        }
    }

    /// `u_out = clamp(z_out + requantize(sum (u_in - z_in) * w + bias))`, padding filled with `z_in`.
    fn expected(
        &self,
        convolution: &IntegerConvolution,
        input: &Array3<u8>,
        zero_points: [i32; 2],
    ) -> Array3<u8> {
        let [height, width, channels] = self.output();
        Array3::from_shape_fn((height, width, channels), |(row, column, filter)| {
            let mut sum = i64::from(convolution.bias[filter]);
            for ((_, y, x, c), &weight) in convolution
                .weights
                .indexed_iter()
                .filter(|((f, ..), _)| *f == filter)
            {
                let y = (row * self.stride[0] + y).checked_sub(self.padding[0]);
                let x = (column * self.stride[1] + x).checked_sub(self.padding[2]);
                let c = if self.kind == ConvolutionKind::Depthwise {
                    filter / self.filters
                } else {
                    c
                };
                let byte = y.zip(x).and_then(|(y, x)| input.get([y, x, c]));
                let value = byte.map_or(0, |&byte| i64::from(byte) - i64::from(zero_points[0]));
                sum += value * i64::from(weight);
            }
            let sum = i32::try_from(sum).expect("no overflow");
            let steps = requantize(sum, convolution.multiplier[filter], self.rounding);
            let low = i32::from(convolution.clamp_low);
            let high = i32::from(convolution.clamp_high);
            (steps + zero_points[1]).clamp(low, high) as u8
        })
    }
}

/// The same cases in every run.
fn seeded(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn convolutions_equal_nested_loops(case in cases()) {
        let convolution = case.convolution();
        let zero_points = [random(case.seed ^ 4, 0, 0, 255) as i32, random(case.seed ^ 4, 1, 0, 255) as i32];
        let [height, width, channels] = case.input;
        let mut position = 0;
        let input = Array3::from_shape_simple_fn((height, width, channels), || {
            position += 1;
            if case.extreme { 255 * (hash(case.seed ^ 5, 0) % 2) as u8 } else { hash(case.seed ^ 5, position) as u8 }
        });
        let expected = case.expected(&convolution, &input, zero_points);
        let network = one_layer(
            IntegerOp::Convolution(Box::new(convolution)),
            case.rounding,
            tensor(case.input, zero_points[0]),
            tensor(case.output(), zero_points[1]),
        );
        let activations = run(&network, input.view()).expect("a valid network");
        prop_assert_eq!(&activations[0], &input);
        prop_assert_eq!(&activations[1], &expected);
    }

    #[test]
    fn global_averages_are_means(
        height in 1..9_usize, width in 1..9_usize, channels in 1..9_usize, seed: u64
    ) {
        let count = height * width;
        let multiplier = Multiplier::from_real(1.0 / count as f64);
        let network = one_layer(
            IntegerOp::GlobalAverage { multiplier },
            Rounding::Single,
            tensor([height, width, channels], 77),
            tensor([1, 1, channels], 77),
        );
        let mut position = 0;
        let input = Array3::from_shape_simple_fn((height, width, channels), || {
            position += 1;
            hash(seed, position) as u8
        });
        let output = run(&network, input.view()).expect("a valid network").swap_remove(1);
        for channel in 0..channels {
            let values = input.index_axis(ndarray::Axis(2), channel);
            let mean = values.iter().map(|&u| f64::from(u)).sum::<f64>() / count as f64;
            prop_assert!((f64::from(output[[0, 0, channel]]) - mean).abs() <= 0.5 + 1e-6);
        }
    }
}

fn small(kind: ConvolutionKind, weights: Array4<i8>, bits: u8, bias: i32) -> IntegerNetwork {
    let (filters, rows, columns, _) = weights.dim();
    let window = Window {
        kernel_height: rows,
        kernel_width: columns,
        stride_height: 1,
        stride_width: 1,
        padding: Padding::default(),
    };
    let channels = if kind == ConvolutionKind::Depthwise {
        filters
    } else {
        weights.dim().3
    };
    let convolution = IntegerConvolution {
        kind,
        window,
        bits: vec![bits; filters],
        weight_scale: vec![1.0; filters],
        bias: Array1::from_elem(filters, bias),
        multiplier: vec![Multiplier::from_real(0.01); filters],
        clamp_low: 0,
        clamp_high: 255,
        weights,
    };
    one_layer(
        IntegerOp::Convolution(Box::new(convolution)),
        Rounding::Single,
        tensor([rows, columns, channels], 0),
        tensor([1, 1, filters], 0),
    )
}

fn refusal(network: &IntegerNetwork) -> GoldenError {
    let shape = network.tensors[0].shape;
    let image = Array3::zeros((shape.height, shape.width, shape.channels));
    run(network, image.view()).expect_err("the network must be refused")
}

#[test]
fn networks_that_break_the_contract_are_refused() {
    let weights = || Array4::from_elem((1, 1, 1, 2), 3_i8);
    let good = small(ConvolutionKind::Dense, weights(), 3, 0);
    run(&good, array![[[1, 2]]].view()).expect("a valid network");

    let narrow = small(ConvolutionKind::Dense, weights(), 2, 0);
    assert!(matches!(
        refusal(&narrow),
        GoldenError::WeightRange {
            filter: 0,
            weight: 3,
            bits: 2,
            ..
        }
    ));
    let binary = small(ConvolutionKind::Dense, Array4::zeros((1, 1, 1, 2)), 1, 0);
    assert!(matches!(
        refusal(&binary),
        GoldenError::WeightRange {
            weight: 0,
            bits: 1,
            ..
        }
    ));
    let wide = small(ConvolutionKind::Dense, weights(), 9, 0);
    assert!(matches!(
        refusal(&wide),
        GoldenError::WeightRange { bits: 9, .. }
    ));

    let bound = i64::from(i32::MAX - 255 * 6);
    let full = small(ConvolutionKind::Dense, weights(), 8, bound as i32);
    run(&full, array![[[255, 255]]].view()).expect("just no overflow");
    let overflow = small(ConvolutionKind::Dense, weights(), 8, bound as i32 + 1);
    let beyond = i64::from(i32::MAX) + 1;
    assert!(
        matches!(refusal(&overflow), GoldenError::AccumulatorOverflow { bound, .. } if bound == beyond)
    );

    let mut unordered = good.clone();
    unordered.layers[0].inputs[0] = 1;
    assert!(matches!(
        refusal(&unordered),
        GoldenError::NotYetWritten { .. }
    ));
    let mut unknown = good.clone();
    unknown.layers[0].output = 2;
    assert!(matches!(
        refusal(&unknown),
        GoldenError::UnknownTensor {
            tensor: 2,
            tensors: 2,
            ..
        }
    ));
    let mut overwriting = good.clone();
    overwriting.layers[0].output = 0;
    assert!(matches!(
        refusal(&overwriting),
        GoldenError::WrittenTwice { .. }
    ));
    let mut misshapen = good.clone();
    misshapen.tensors[1].shape.channels = 2;
    assert!(matches!(
        refusal(&misshapen),
        GoldenError::LayerShape { what: "output", .. }
    ));
    let mut zero = good.clone();
    zero.tensors[1].zero_point = 256;
    assert!(matches!(
        refusal(&zero),
        GoldenError::ZeroPoint {
            zero_point: 256,
            ..
        }
    ));
    assert!(matches!(
        run(&good, array![[[1, 2, 3]]].view()),
        Err(GoldenError::InputShape { .. })
    ));
}

#[test]
fn argmax_is_the_first_maximum() {
    assert_eq!(argmax(array![1, 7, 7, 3].view()), 1);
    assert_eq!(argmax(array![0, 0].view()), 0);
    assert_eq!(argmax(array![3, 2, 4].view()), 2);
}
