//! QUANTIZE and DEQUANTIZE at a network's ends and in it, and clamps that stand alone, in int8 files.

use super::super::operators::{code, element};
use super::super::schema::tflite as fb;
use super::super::*;
use crate::model::integer::{ConvolutionKind, IntegerOp, Multiplier};
use crate::model::testing::{Seeds, sample_network};

/// A written sample network, to be changed.
struct Edit {
    model: fb::Model,
}

impl Edit {
    fn new(network: &IntegerNetwork) -> Self {
        let bytes = write(network).expect("writes");
        let root = <fb::ModelRef<'_> as planus::ReadAsRoot<'_>>::read_as_root(&bytes);
        let mut model = fb::Model::try_from(root.expect("a model")).expect("decodes");
        // The names and widths of another list of layers do not apply.
        model.metadata = None;
        Self { model }
    }

    fn graph(&mut self) -> &mut fb::SubGraph {
        &mut self.model.subgraphs.as_mut().expect("graphs")[0]
    }

    /// A tensor like another, changed.
    fn tensor_like(&mut self, tensor: i32, change: impl Fn(&mut fb::Tensor)) -> i32 {
        let tensors = self.graph().tensors.as_mut().expect("tensors");
        let mut copy = tensors[usize::try_from(tensor).expect("an index")].clone();
        copy.name = Some(format!("copy{}", tensors.len()));
        change(&mut copy);
        tensors.push(copy);
        i32::try_from(tensors.len() - 1).expect("few")
    }

    fn operator(&mut self, place: usize, code: i32, input: i32, output: i32) {
        let codes = self.model.operator_codes.as_mut().expect("codes");
        codes.push(fb::OperatorCode {
            builtin_code: code,
            ..fb::OperatorCode::default()
        });
        let operator = fb::Operator {
            opcode_index: u32::try_from(codes.len() - 1).expect("few"),
            inputs: Some(vec![input]),
            outputs: Some(vec![output]),
            builtin_options: None,
        };
        self.graph()
            .operators
            .as_mut()
            .expect("operators")
            .insert(place, operator);
    }

    /// Puts an operator before the network, whose new input is like the old one.
    fn before(&mut self, code: i32, change: impl Fn(&mut fb::Tensor)) {
        let input = self.graph().inputs.as_ref().expect("inputs")[0];
        let first = self.tensor_like(input, change);
        self.operator(0, code, first, input);
        self.graph().inputs = Some(vec![first]);
    }

    /// Puts an operator behind the network, whose new output is like the old one.
    fn behind(&mut self, code: i32, change: impl Fn(&mut fb::Tensor)) {
        let output = self.graph().outputs.as_ref().expect("outputs")[0];
        let last = self.tensor_like(output, change);
        let place = self.graph().operators.as_ref().expect("operators").len();
        self.operator(place, code, output, last);
        self.graph().outputs = Some(vec![last]);
    }

    fn read(&self) -> IntegerNetwork {
        let bytes = super::super::write::file_bytes(&self.model);
        read_integer(&bytes, "sample").unwrap_or_else(|error| panic!("{error}"))
    }
}

fn real(tensor: &mut fb::Tensor) {
    tensor.type_ = element::FLOAT32;
    tensor.quantization = None;
}

/// The same bytes `u`, as uint8.
fn unsigned(tensor: &mut fb::Tensor) {
    tensor.type_ = element::UINT8;
    let quantization = tensor.quantization.as_mut().expect("quantization");
    for zero_point in quantization.zero_point.as_mut().expect("zero point") {
        *zero_point += 128;
    }
}

fn twice_the_scale(tensor: &mut fb::Tensor) {
    let quantization = tensor.quantization.as_mut().expect("quantization");
    for scale in quantization.scale.as_mut().expect("scale") {
        *scale *= 2.0;
    }
}

/// The sample's first layer alone, without what the records add.
fn one_layer() -> IntegerNetwork {
    let mut network = sample_network(&mut Seeds::new(3));
    network.layers.truncate(1);
    network.tensors.truncate(2);
    network.output = 1;
    network.input_transform = crate::model::integer::InputTransform::default();
    network.layers[0].name.clone_from(&network.tensors[1].name);
    network
}

#[test]
fn conversions_at_the_ends_are_no_layers() {
    let network = one_layer();
    let mut floats = Edit::new(&network);
    floats.before(code::QUANTIZE, real);
    floats.behind(code::DEQUANTIZE, real);
    assert_eq!(floats.read(), network);
    let mut bytes = Edit::new(&network);
    bytes.before(code::QUANTIZE, unsigned);
    bytes.behind(code::QUANTIZE, unsigned);
    let read = bytes.read();
    assert_eq!(read.layers.len(), 1);
    let (found, expected) = (&read.tensors[read.input], &network.tensors[network.input]);
    assert_eq!(
        (found.scale, found.zero_point),
        (expected.scale, expected.zero_point)
    );
}

#[test]
fn a_rescaling_is_a_depthwise_convolution_by_one() {
    let network = one_layer();
    let channels = network.tensors[1].shape.channels;
    for (code, clamp_low) in [
        (code::QUANTIZE, 0),
        (code::RELU, network.tensors[1].zero_point),
    ] {
        let mut edit = Edit::new(&network);
        edit.behind(code, twice_the_scale);
        let read = edit.read();
        assert_eq!(read.layers.len(), 2);
        let IntegerOp::Convolution(rescaling) = &read.layers[1].op else {
            panic!("no convolution")
        };
        assert_eq!(rescaling.kind, ConvolutionKind::Depthwise);
        assert_eq!(
            rescaling.weights,
            ndarray::Array4::<i8>::ones((channels, 1, 1, 1))
        );
        assert_eq!(
            rescaling.multiplier,
            vec![
                Multiplier {
                    mantissa: 1 << 30,
                    shift: 0
                };
                channels
            ]
        );
        assert_eq!(i32::from(rescaling.clamp_low), clamp_low);
        assert_eq!(rescaling.clamp_high, 255);
        assert_eq!(
            read.tensors[read.output].scale,
            2.0 * network.tensors[1].scale
        );
    }
}

#[test]
fn a_scale_that_changes_without_arithmetic_is_refused() {
    let network = sample_network(&mut Seeds::new(3));
    let mut edit = Edit::new(&network);
    // The output of the second layer, a pool.
    twice_the_scale(&mut edit.graph().tensors.as_mut().expect("tensors")[2]);
    let bytes = super::super::write::file_bytes(&edit.model);
    let Err(TfliteError::Unsupported(report)) = read_integer(&bytes, "sample") else {
        panic!("read")
    };
    assert_eq!(report.entries.len(), 1, "{report}");
    assert_eq!(report.entries[0].operator, "MAX_POOL_2D");
    assert!(
        report.entries[0]
            .reason
            .starts_with("input and output differ in scale or zero point")
    );
}
