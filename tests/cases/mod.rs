//! One list of cases, many machines: small integer networks with every operation, kernel, stride,
//! padding, width and rounding that the processor takes, each drawn from a seed.

#![allow(dead_code)]

pub(crate) mod check;
pub(crate) mod faults;
pub(crate) mod soak;

use bitweft::model::{
    float::{ConvolutionKind, InputTransform, Padding, Shape, TensorId, Window},
    integer::{
        IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Multiplier,
        Rounding,
    },
};
use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    descriptor::IMAGE_SIDE_MAX,
};
use ndarray::{Array1, Array3, Array4};

/// A reproducible stream of numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20
    }

    /// A number in `low..=high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).expect("low <= high"))
            .expect("small")
    }

    pub(crate) fn count(&mut self, low: usize, high: usize) -> usize {
        usize::try_from(self.range(low as i64, high as i64)).expect("not negative")
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.range(0, 255)).expect("a byte")
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.count(0, items.len() - 1)]
    }
}

/// A network under construction.
pub(crate) struct Builder {
    pub(crate) network: IntegerNetwork,
    pub(crate) random: Random,
}

impl Builder {
    pub(crate) fn new(name: &str, seed: u64, rounding: Rounding, shape: Shape) -> Self {
        let mut random = Random::new(seed);
        let tensor = tensor("input", shape, &mut random);
        Self {
            network: IntegerNetwork {
                name: name.into(),
                rounding,
                tensors: vec![tensor],
                layers: Vec::new(),
                input: 0,
                output: 0,
                input_transform: InputTransform::default(),
            },
            random,
        }
    }

    fn layer(
        &mut self,
        kind: &str,
        op: IntegerOp,
        inputs: Vec<TensorId>,
        shape: Shape,
    ) -> TensorId {
        let name = format!("{kind}{}", self.network.layers.len());
        let output = self.network.tensors.len();
        let tensor = tensor(&name, shape, &mut self.random);
        self.network.tensors.push(tensor);
        self.network.layers.push(IntegerLayer {
            name,
            op,
            inputs,
            output,
        });
        self.network.output = output;
        output
    }

    /// A convolution with filters of random widths (0 to 8, or as given).
    pub(crate) fn convolution(
        &mut self,
        input: TensorId,
        kind: ConvolutionKind,
        filters: usize,
        window: Window,
        bits: Option<u8>,
    ) -> TensorId {
        let from = self.network.tensors[input].shape;
        let channels = if kind == ConvolutionKind::Depthwise {
            1
        } else {
            from.channels
        };
        let dim = (filters, window.kernel_height, window.kernel_width, channels);
        let widths: Vec<u8> = (0..filters)
            .map(|_| bits.unwrap_or_else(|| u8::try_from(self.random.range(0, 8)).expect("small")))
            .collect();
        let random = &mut self.random;
        let weights = Array4::from_shape_fn(dim, |(filter, ..)| weight(widths[filter], random));
        let per_filter = dim.1 * dim.2 * dim.3;
        let multiplier = widths
            .iter()
            .map(|&bits| {
                let spread =
                    60.0 * (f64::from(1_u32 << bits)) * (per_filter as f64).sqrt() / 4.0 + 1.0;
                let jitter = 0.5 + self.random.range(0, 1000) as f64 / 1000.0;
                Multiplier::from_real(40.0 * jitter / spread)
            })
            .collect();
        let bias = Array1::from_shape_fn(filters, |_| {
            i32::try_from(self.random.range(-3000, 3000)).expect("small")
        });
        let (clamp_low, clamp_high) = self.clamp();
        let op = IntegerConvolution {
            kind,
            window,
            weights,
            weight_scale: vec![0.01; filters],
            bits: widths,
            bias,
            multiplier,
            clamp_low,
            clamp_high,
        };
        let shape = Shape {
            channels: filters,
            ..windowed(from, &window)
        };
        self.layer(
            "conv",
            IntegerOp::Convolution(Box::new(op)),
            vec![input],
            shape,
        )
    }

    pub(crate) fn fully_connected(&mut self, input: TensorId, filters: usize) -> TensorId {
        let from = self.network.tensors[input].shape;
        let whole = window(from.height, from.width, 1, Padding::default());
        self.convolution(input, ConvolutionKind::FullyConnected, filters, whole, None)
    }

    pub(crate) fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let scale =
            |random: &mut Random| Multiplier::from_real(random.range(100, 500) as f64 / 1000.0);
        let input = [scale(&mut self.random), scale(&mut self.random)];
        let output = Multiplier::from_real(
            self.random.range(500, 3000) as f64 / 1000.0 / f64::from(1 << 19),
        );
        let (clamp_low, clamp_high) = self.clamp();
        let shape = self.network.tensors[a].shape;
        self.layer(
            "add",
            IntegerOp::Add {
                input,
                output,
                clamp_low,
                clamp_high,
            },
            vec![a, b],
            shape,
        )
    }

    pub(crate) fn pool(&mut self, input: TensorId, window: Window, maximum: bool) -> TensorId {
        let from = self.network.tensors[input].shape;
        let (clamp_low, clamp_high) = self.clamp();
        let op = if maximum {
            IntegerOp::MaxPool {
                window,
                clamp_low,
                clamp_high,
            }
        } else {
            IntegerOp::AveragePool {
                window,
                clamp_low,
                clamp_high,
            }
        };
        let output = self.layer(
            "pool",
            op,
            vec![input],
            Shape {
                channels: from.channels,
                ..windowed(from, &window)
            },
        );
        let (scale, zero_point) = (
            self.network.tensors[input].scale,
            self.network.tensors[input].zero_point,
        );
        self.network.tensors[output].scale = scale;
        self.network.tensors[output].zero_point = zero_point;
        output
    }

    pub(crate) fn global_average(&mut self, input: TensorId) -> TensorId {
        let from = self.network.tensors[input].shape;
        let count = (from.height * from.width) as f64;
        let factor = self.random.range(500, 2500) as f64 / 1000.0;
        let op = IntegerOp::GlobalAverage {
            multiplier: Multiplier::from_real(factor / count),
        };
        self.layer(
            "mean",
            op,
            vec![input],
            Shape {
                height: 1,
                width: 1,
                channels: from.channels,
            },
        )
    }

    fn clamp(&mut self) -> (u8, u8) {
        if self.random.range(0, 2) > 0 {
            (0, 255)
        } else {
            (self.random.byte() / 4, 255 - self.random.byte() / 4)
        }
    }

    pub(crate) fn input(&mut self) -> Array3<u8> {
        let shape = self.network.tensors[self.network.input].shape;
        let random = &mut self.random;
        Array3::from_shape_fn((shape.height, shape.width, shape.channels), |_| {
            random.byte()
        })
    }
}

fn tensor(name: &str, shape: Shape, random: &mut Random) -> IntegerTensor {
    let zero_point = random.pick(&[0, 128, 255, 7, 131]);
    IntegerTensor {
        name: name.into(),
        shape,
        scale: 0.05,
        zero_point,
    }
}

fn weight(bits: u8, random: &mut Random) -> i8 {
    let value = match bits {
        0 => 0,
        1 => 2 * random.range(0, 1) - 1,
        _ => random.range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    };
    i8::try_from(value).expect("eight bits")
}

pub(crate) fn window(height: usize, width: usize, stride: usize, padding: Padding) -> Window {
    Window {
        kernel_height: height,
        kernel_width: width,
        stride_height: stride,
        stride_width: stride,
        padding,
    }
}

/// Padding of TFLite's SAME for an even or odd kernel at stride 1.
pub(crate) fn same(kernel: usize) -> Padding {
    let all = kernel - 1;
    Padding {
        top: all / 2,
        bottom: all - all / 2,
        left: all / 2,
        right: all - all / 2,
    }
}

fn windowed(from: Shape, window: &Window) -> Shape {
    let span = |size: usize, a: usize, b: usize, kernel: usize, stride: usize| {
        (size + a + b - kernel) / stride + 1
    };
    let p = window.padding;
    Shape {
        height: span(
            from.height,
            p.top,
            p.bottom,
            window.kernel_height,
            window.stride_height,
        ),
        width: span(
            from.width,
            p.left,
            p.right,
            window.kernel_width,
            window.stride_width,
        ),
        channels: from.channels,
    }
}

/// One case: a network and inputs for it.
pub(crate) struct Case {
    pub(crate) network: IntegerNetwork,
    pub(crate) inputs: Vec<Array3<u8>>,
}

fn shape(height: usize, width: usize, channels: usize) -> Shape {
    Shape {
        height,
        width,
        channels,
    }
}

/// Every kind of layer on its own, then chains with residual additions.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut seed = 1;
    let mut finish = |mut builder: Builder| {
        let inputs = vec![builder.input()];
        cases.push(Case {
            network: builder.network,
            inputs,
        });
    };
    for rounding in [Rounding::Double, Rounding::Single] {
        for (kernel, stride) in [
            (1, 1),
            (3, 1),
            (5, 1),
            (7, 1),
            (1, 2),
            (3, 2),
            (5, 2),
            (7, 2),
        ] {
            seed += 1;
            let mut random = Random::new(seed);
            let size = (random.count(kernel, 11), random.count(kernel, 13));
            let mut b = Builder::new(
                &format!("conv{kernel}s{stride}"),
                seed,
                rounding,
                shape(size.0, size.1, random.count(1, 18)),
            );
            let padding = if random.range(0, 1) == 1 {
                same(kernel)
            } else {
                Padding::default()
            };
            b.convolution(
                0,
                ConvolutionKind::Dense,
                random.count(1, 21),
                window(kernel, kernel, stride, padding),
                None,
            );
            finish(b);
        }
        for (stride, multiplier) in [(1, 1), (2, 1), (1, 2), (1, 3)] {
            seed += 1;
            let mut b = Builder::new(
                &format!("depthwise{stride}m{multiplier}"),
                seed,
                rounding,
                shape(9, 7, 6),
            );
            b.convolution(
                0,
                ConvolutionKind::Depthwise,
                6 * multiplier,
                window(3, 3, stride, same(3)),
                None,
            );
            finish(b);
        }
        for bits in 0..=8 {
            seed += 1;
            let mut b = Builder::new(&format!("uniform{bits}"), seed, rounding, shape(4, 4, 16));
            b.convolution(
                0,
                ConvolutionKind::Dense,
                8,
                window(1, 1, 1, Padding::default()),
                Some(bits),
            );
            finish(b);
        }
        seed += 1;
        let mut b = Builder::new("pools", seed, rounding, shape(9, 10, 7));
        let padded = window(
            3,
            3,
            2,
            Padding {
                top: 0,
                bottom: 1,
                left: 1,
                right: 1,
            },
        );
        let t = b.pool(0, padded, true);
        let t = b.pool(t, window(2, 2, 1, Padding::default()), true);
        let t = b.pool(t, window(2, 3, 1, Padding::default()), false);
        b.global_average(t);
        finish(b);
        seed += 1;
        // A stride that leads to no second position.
        let mut b = Builder::new("whole", seed, rounding, shape(5, 4, 6));
        let t = b.pool(0, window(5, 4, 16, Padding::default()), false);
        b.fully_connected(t, 5);
        finish(b);
        seed += 1;
        let mut b = Builder::new("residual", seed, rounding, shape(8, 8, 3));
        let stem = b.convolution(
            0,
            ConvolutionKind::Dense,
            16,
            window(3, 3, 1, same(3)),
            None,
        );
        let t = b.convolution(
            stem,
            ConvolutionKind::Dense,
            16,
            window(3, 3, 1, same(3)),
            None,
        );
        let t = b.convolution(
            t,
            ConvolutionKind::Dense,
            16,
            window(3, 3, 1, same(3)),
            None,
        );
        let sum = b.add(t, stem);
        let t = b.convolution(
            sum,
            ConvolutionKind::Dense,
            20,
            window(
                3,
                3,
                2,
                Padding {
                    top: 0,
                    bottom: 1,
                    left: 0,
                    right: 1,
                },
            ),
            None,
        );
        let shortcut = b.convolution(
            sum,
            ConvolutionKind::Dense,
            20,
            window(1, 1, 2, Padding::default()),
            None,
        );
        let sum = b.add(shortcut, t);
        let t = b.global_average(sum);
        b.fully_connected(t, 10);
        finish(b);
        seed += 1;
        let mut b = Builder::new("mobile", seed, rounding, shape(12, 9, 3));
        let t = b.convolution(0, ConvolutionKind::Dense, 8, window(3, 3, 2, same(3)), None);
        let t = b.convolution(
            t,
            ConvolutionKind::Depthwise,
            8,
            window(3, 3, 1, same(3)),
            None,
        );
        let t = b.convolution(
            t,
            ConvolutionKind::Dense,
            24,
            window(1, 1, 1, Padding::default()),
            None,
        );
        let t = b.convolution(
            t,
            ConvolutionKind::Depthwise,
            24,
            window(3, 3, 2, same(3)),
            None,
        );
        let t = b.pool(t, window(3, 2, 1, Padding::default()), false);
        b.fully_connected(t, 12);
        finish(b);
    }
    cases
}

/// A processor of table lanes with memories that every case fits, some of them only in several phases.
pub(crate) fn architecture(columns: usize, quads: usize) -> Architecture {
    let architecture = Architecture {
        lane_rows: 8,
        columns,
        quads,
        lane: LaneKind::Table,
        fill_words: 1,
        control_groups: 1,
        compact: false,
        image_side_max: IMAGE_SIDE_MAX,
        accumulator_bits: 32,
        accumulator_depth: 64,
        accumulator_storage: Storage::Block,
        small_storage: Storage::Distributed,
        activation_storage: Storage::Block,
        plane_storage: Storage::Block,
        drain_ways: 1,
        activation_words: 4096,
        plane_words: 3072,
        record_count: 48,
        descriptor_count: 16,
    };
    architecture.check().expect("valid");
    architecture
}
