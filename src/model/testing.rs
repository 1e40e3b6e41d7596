//! What the tests of this module share.

use std::path::PathBuf;

use ndarray::Array4;

use super::float::Padding;
use super::integer::{
    ConvolutionKind, InputTransform, IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerOp,
    IntegerTensor, Multiplier, Rounding, Shape, TensorId, Window, filter_width,
};

/// The data folder, `$BITWEFT_DATA` or `../shared/data`; `None` where it is absent, with a line that names
/// what is skipped.
pub(crate) fn data_folder(wanted: &str) -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("BITWEFT_DATA").map_or_else(default, PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "skipped: {wanted}: there is no data folder {}",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// A small deterministic generator of numbers (splitmix64).
pub(crate) struct Seeds(u64);

impl Seeds {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low + 1).expect("low <= high");
        low + i64::try_from(self.next() % span).expect("fits")
    }

    fn size(&mut self, low: i64, high: i64) -> usize {
        usize::try_from(self.within(low, high)).expect("not negative")
    }

    fn scale(&mut self) -> f32 {
        let mantissa = f32::from(u16::try_from(self.within(1000, 60_000)).expect("fits"));
        mantissa / 1e6
    }
}

/// A network with one layer of every kind and consistent shapes, with TFLite's multipliers: an image of up to
/// 7 x 7 x 3, a padded convolution, a depthwise one of stride 2, both pools, an addition, a global average,
/// a reshape, a fully connected layer and a softmax.
pub(crate) fn sample_network(seeds: &mut Seeds) -> IntegerNetwork {
    let (height, width, channels) = (seeds.size(4, 7), seeds.size(4, 7), seeds.size(1, 3));
    let filters = seeds.size(1, 5);
    let mut sample = Sample {
        seeds,
        network: IntegerNetwork {
            name: "sample".into(),
            rounding: Rounding::Double,
            tensors: Vec::new(),
            layers: Vec::new(),
            input: 0,
            output: 0,
            input_transform: InputTransform {
                mean: vec![0.5; channels],
                factor: vec![1.0 / 255.0],
            },
        },
    };
    let image = Shape {
        height,
        width,
        channels,
    };
    let inner = Shape {
        channels: filters,
        ..image
    };
    let half = Shape {
        height: height.div_ceil(2),
        width: width.div_ceil(2),
        channels: filters,
    };
    let vector = |channels| Shape {
        height: 1,
        width: 1,
        channels,
    };

    let input = sample.tensor(image, None);
    let first = sample.tensor(inner, None);
    sample.convolution(ConvolutionKind::Dense, same(image, 3, 1), input, first);
    let second = sample.tensor(inner, Some(first));
    sample.layer(
        IntegerOp::MaxPool {
            window: same(inner, 3, 1),
            clamp_low: 0,
            clamp_high: 255,
        },
        &[first],
        second,
    );
    let third = sample.tensor(inner, None);
    let add = sample.add(first, second, third);
    sample.layer(add, &[first, second], third);
    let fourth = sample.tensor(half, None);
    sample.convolution(ConvolutionKind::Depthwise, same(inner, 3, 2), third, fourth);
    let fifth = sample.tensor(half, Some(fourth));
    sample.layer(
        IntegerOp::AveragePool {
            window: same(half, 2, 1),
            clamp_low: 0,
            clamp_high: 255,
        },
        &[fourth],
        fifth,
    );
    let sixth = sample.tensor(vector(filters), None);
    let multiplier = crate::model::tflite::mean_multiplier(
        sample.network.tensors[fifth].scale,
        sample.network.tensors[sixth].scale,
        half.height * half.width,
    );
    sample.layer(IntegerOp::GlobalAverage { multiplier }, &[fifth], sixth);
    let seventh = sample.tensor(vector(filters), Some(sixth));
    sample.layer(IntegerOp::Reshape, &[sixth], seventh);
    let eighth = sample.tensor(vector(4), None);
    sample.convolution(
        ConvolutionKind::FullyConnected,
        same(vector(filters), 1, 1),
        seventh,
        eighth,
    );
    let output = sample.tensor(vector(4), None);
    (
        sample.network.tensors[output].scale,
        sample.network.tensors[output].zero_point,
    ) = (1.0 / 256.0, 0);
    sample.layer(IntegerOp::Softmax, &[eighth], output);
    sample.network.output = output;
    sample.network
}

/// A square window that pads as TFLite's SAME does.
fn same(shape: Shape, kernel: usize, stride: usize) -> Window {
    let along = |extent: usize| {
        let total = ((extent.div_ceil(stride) - 1) * stride + kernel).saturating_sub(extent);
        (total / 2, total - total / 2)
    };
    let ((top, bottom), (left, right)) = (along(shape.height), along(shape.width));
    Window {
        kernel_height: kernel,
        kernel_width: kernel,
        stride_height: stride,
        stride_width: stride,
        padding: Padding {
            top,
            bottom,
            left,
            right,
        },
    }
}

struct Sample<'a> {
    seeds: &'a mut Seeds,
    network: IntegerNetwork,
}

impl Sample<'_> {
    /// A tensor with its own quantization, or with another's.
    fn tensor(&mut self, shape: Shape, like: Option<TensorId>) -> TensorId {
        let (scale, zero_point) = match like {
            Some(other) => (
                self.network.tensors[other].scale,
                self.network.tensors[other].zero_point,
            ),
            None => (
                self.seeds.scale(),
                i32::try_from(self.seeds.within(0, 255)).expect("fits"),
            ),
        };
        let name = format!("tensor{}", self.network.tensors.len());
        self.network.tensors.push(IntegerTensor {
            name,
            shape,
            scale,
            zero_point,
        });
        self.network.tensors.len() - 1
    }

    fn layer(&mut self, op: IntegerOp, inputs: &[TensorId], output: TensorId) {
        let name = format!("layer{}", self.network.layers.len());
        self.network.layers.push(IntegerLayer {
            name,
            op,
            inputs: inputs.to_vec(),
            output,
        });
    }

    fn add(&self, first: TensorId, second: TensorId, output: TensorId) -> IntegerOp {
        let scale = |tensor: TensorId| self.network.tensors[tensor].scale;
        let twice = 2.0 * f64::from(scale(first).max(scale(second)));
        let input =
            [first, second].map(|tensor| Multiplier::from_real(f64::from(scale(tensor)) / twice));
        let output = Multiplier::from_real(twice / (f64::from(1 << 20) * f64::from(scale(output))));
        IntegerOp::Add {
            input,
            output,
            clamp_low: 0,
            clamp_high: 255,
        }
    }

    /// Filters of random widths 0..=8, no wider than they need to be.
    fn convolution(
        &mut self,
        kind: ConvolutionKind,
        window: Window,
        input: TensorId,
        output: TensorId,
    ) {
        let out = self.network.tensors[output].shape.channels;
        let inputs = match kind {
            ConvolutionKind::Depthwise => 1,
            _ => self.network.tensors[input].shape.channels,
        };
        let mut weights = Array4::zeros((out, window.kernel_height, window.kernel_width, inputs));
        for mut filter in weights.outer_iter_mut() {
            let bits = self.seeds.within(0, 8);
            let high = if bits == 0 { 0 } else { (1 << (bits - 1)) - 1 };
            filter.mapv_inplace(|_: i8| match bits {
                0 => 0,
                1 => i8::try_from(2 * self.seeds.within(0, 1) - 1).expect("fits"),
                _ => i8::try_from(self.seeds.within(-high - 1, high)).expect("fits"),
            });
        }
        let weight_scale: Vec<f32> = (0..out).map(|_| self.seeds.scale()).collect();
        let scales = (
            self.network.tensors[input].scale,
            self.network.tensors[output].scale,
        );
        let multiplier = weight_scale
            .iter()
            .map(|w| {
                Multiplier::from_real(f64::from(scales.0) * f64::from(*w) / f64::from(scales.1))
            })
            .collect();
        let bias = (0..out)
            .map(|_| i32::try_from(self.seeds.within(-5000, 5000)).expect("fits"))
            .collect();
        let convolution = IntegerConvolution {
            kind,
            window,
            bits: weights
                .outer_iter()
                .map(|filter| filter_width(filter.iter().copied()))
                .collect(),
            weights,
            weight_scale,
            bias,
            multiplier,
            clamp_low: 0,
            clamp_high: 255,
        };
        self.layer(
            IntegerOp::Convolution(Box::new(convolution)),
            &[input],
            output,
        );
    }
}
