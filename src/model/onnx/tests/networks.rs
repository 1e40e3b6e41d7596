//! Integer networks with every kind of layer.

use ndarray::{Array1, Array4};

use crate::model::float::{ConvolutionKind, InputTransform, Padding, Shape, Window};
use crate::model::integer::{
    IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Multiplier,
    Rounding,
};
use crate::model::tflite::scaling;

struct Builder {
    network: IntegerNetwork,
    seed: u64,
}

fn window(kernel: usize, stride: usize, padding: usize) -> Window {
    let padding = Padding {
        top: padding,
        bottom: padding,
        left: padding,
        right: padding,
    };
    Window {
        kernel_height: kernel,
        kernel_width: kernel,
        stride_height: stride,
        stride_width: stride,
        padding,
    }
}

impl Builder {
    fn new(name: &str, rounding: Rounding, shape: [usize; 3], scale: f32, zero_point: i32) -> Self {
        let [height, width, channels] = shape;
        let input = IntegerTensor {
            name: "x".to_owned(),
            shape: Shape {
                height,
                width,
                channels,
            },
            scale,
            zero_point,
        };
        let network = IntegerNetwork {
            name: name.to_owned(),
            rounding,
            tensors: vec![input],
            layers: vec![],
            input: 0,
            output: 0,
            input_transform: InputTransform {
                mean: vec![127.5],
                factor: vec![0.25],
            },
        };
        Self { network, seed: 1 }
    }

    fn random(&mut self, count: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % count
    }

    fn scale(&self, tensor: usize) -> f32 {
        self.network.tensors[tensor].scale
    }

    fn layer(
        &mut self,
        name: &str,
        op: IntegerOp,
        inputs: &[usize],
        shape: [usize; 3],
        like: Result<usize, (f32, i32)>,
    ) -> usize {
        let (scale, zero_point) = match like {
            Ok(tensor) => (self.scale(tensor), self.network.tensors[tensor].zero_point),
            Err(own) => own,
        };
        let [height, width, channels] = shape;
        let output = self.network.tensors.len();
        let tensor = IntegerTensor {
            name: format!("{name}_out"),
            shape: Shape {
                height,
                width,
                channels,
            },
            scale,
            zero_point,
        };
        self.network.tensors.push(tensor);
        self.network.layers.push(IntegerLayer {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            output,
        });
        self.network.output = output;
        output
    }

    /// Filters of 0 to 8 bits in turn.
    fn convolution(
        &mut self,
        name: &str,
        (kind, window): (ConvolutionKind, Window),
        input: usize,
        shape: [usize; 3],
        (scale, zero_point): (f32, i32),
        clamp: (u8, u8),
    ) -> usize {
        let inputs = if kind == ConvolutionKind::Depthwise {
            1
        } else {
            self.network.tensors[input].shape.channels
        };
        let mut weights =
            Array4::zeros((shape[2], window.kernel_height, window.kernel_width, inputs));
        let mut bits = vec![];
        for (index, mut filter) in weights.outer_iter_mut().enumerate() {
            let width = u8::try_from((index + 1) % 9).unwrap();
            filter.map_inplace(|weight| {
                *weight = match width {
                    0 => 0,
                    1 => i8::try_from(2 * self.random(2)).unwrap() - 1,
                    _ => i8::try_from(
                        i64::try_from(self.random(1 << width)).unwrap() - (1 << (width - 1)),
                    )
                    .unwrap(),
                };
            });
            bits.push(width);
        }
        let weight_scale: Vec<f32> = bits
            .iter()
            .map(|bits| 0.01 + 0.003 * f32::from(*bits))
            .collect();
        let bias = Array1::from_shape_fn(shape[2], |_| {
            i32::try_from(self.random(40_000_001)).unwrap() - 20_000_000
        });
        let input_scale = f64::from(self.scale(input));
        let multiplier = |weight: &f32| {
            Multiplier::from_real(input_scale * f64::from(*weight) / f64::from(scale))
        };
        let op = IntegerOp::Convolution(Box::new(IntegerConvolution {
            kind,
            window,
            weights,
            bits,
            multiplier: weight_scale.iter().map(multiplier).collect(),
            weight_scale,
            bias,
            clamp_low: clamp.0,
            clamp_high: clamp.1,
        }));
        self.layer(name, op, &[input], shape, Err((scale, zero_point)))
    }
}

/// Every kind of layer but fully connected ones on images, with `double` rounding.
pub(super) fn all_layers() -> IntegerNetwork {
    use ConvolutionKind::{Dense, Depthwise, FullyConnected};
    let mut b = Builder::new("all", Rounding::Double, [6, 7, 3], 0.05, 128);
    let conv = b.convolution(
        "conv",
        (Dense, window(3, 1, 1)),
        0,
        [6, 7, 9],
        (0.04, 20),
        (20, 255),
    );
    let depthwise = b.convolution(
        "depthwise",
        (Depthwise, window(3, 2, 1)),
        conv,
        [3, 4, 9],
        (0.03, 7),
        (7, 207),
    );
    let point = b.convolution(
        "point",
        (Dense, window(1, 1, 0)),
        depthwise,
        [3, 4, 9],
        (0.02, 130),
        (0, 255),
    );
    let (input, output) = scaling::add([b.scale(depthwise), b.scale(point)], 0.06).unwrap();
    let op = IntegerOp::Add {
        input,
        output,
        clamp_low: 60,
        clamp_high: 255,
    };
    let add = b.layer("add", op, &[depthwise, point], [3, 4, 9], Err((0.06, 60)));
    let op = IntegerOp::MaxPool {
        window: window(2, 1, 0),
        clamp_low: 0,
        clamp_high: 255,
    };
    let maximum = b.layer("maximum", op, &[add], [2, 3, 9], Ok(add));
    let op = IntegerOp::AveragePool {
        window: window(3, 1, 1),
        clamp_low: 0,
        clamp_high: 255,
    };
    let average = b.layer("average", op, &[maximum], [2, 3, 9], Ok(maximum));
    let flat = b.layer(
        "flat",
        IntegerOp::Reshape,
        &[average],
        [1, 1, 54],
        Ok(average),
    );
    let window = window(1, 1, 0);
    let connected = b.convolution(
        "connected",
        (FullyConnected, window),
        flat,
        [1, 1, 12],
        (0.5, 0),
        (0, 255),
    );
    let image = b.layer(
        "image",
        IntegerOp::Reshape,
        &[connected],
        [2, 2, 3],
        Ok(connected),
    );
    let multiplier = scaling::mean(0.5, 0.3, 4);
    let mean = b.layer(
        "mean",
        IntegerOp::GlobalAverage { multiplier },
        &[image],
        [1, 1, 3],
        Err((0.3, 9)),
    );
    b.layer(
        "softmax",
        IntegerOp::Softmax,
        &[mean],
        [1, 1, 3],
        Err((1.0 / 256.0, 0)),
    );
    b.network
}

/// A convolution and a fully connected layer on its image, with `single` rounding.
pub(super) fn classifier() -> IntegerNetwork {
    let mut b = Builder::new("classifier", Rounding::Single, [4, 5, 2], 1.0, 0);
    let conv = b.convolution(
        "conv",
        (ConvolutionKind::Dense, window(2, 1, 0)),
        0,
        [3, 4, 3],
        (2.0, 100),
        (100, 200),
    );
    let whole = Window {
        kernel_height: 3,
        kernel_width: 4,
        ..window(1, 1, 0)
    };
    let kind = ConvolutionKind::FullyConnected;
    b.convolution(
        "connected",
        (kind, whole),
        conv,
        [1, 1, 10],
        (3.0, 128),
        (0, 255),
    );
    // Wider than the weights need: only the record can say so.
    for layer in &mut b.network.layers {
        if let IntegerOp::Convolution(convolution) = &mut layer.op {
            convolution.bits[2] = 8;
        }
    }
    b.network
}
