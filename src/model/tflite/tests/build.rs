//! Files made for tests, operator by operator.

use super::super::schema::tflite as fb;

/// A float file under construction; input and output are the tensors named `input` and `output`.
pub(super) struct FloatFile {
    tensors: Vec<fb::Tensor>,
    buffers: Vec<fb::Buffer>,
    operators: Vec<fb::Operator>,
    codes: Vec<fb::OperatorCode>,
}

impl FloatFile {
    pub(super) fn new(input: &[i32]) -> Self {
        let mut file = Self {
            tensors: Vec::new(),
            buffers: vec![fb::Buffer { data: None }],
            operators: Vec::new(),
            codes: Vec::new(),
        };
        file.activation("input", input);
        file
    }

    fn push(&mut self, name: &str, shape: &[i32], type_: i8, data: Option<Vec<u8>>) {
        let buffer = match data {
            Some(data) => {
                self.buffers.push(fb::Buffer { data: Some(data) });
                u32::try_from(self.buffers.len() - 1).expect("few")
            }
            None => 0,
        };
        self.tensors.push(fb::Tensor {
            name: Some(name.to_owned()),
            shape: Some(shape.to_vec()),
            type_,
            buffer,
            ..fb::Tensor::default()
        });
    }

    pub(super) fn activation(&mut self, name: &str, shape: &[i32]) {
        self.push(name, shape, 0, None);
    }

    pub(super) fn reals(&mut self, name: &str, shape: &[i32], values: &[f32]) {
        let data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.push(name, shape, 0, Some(data));
    }

    pub(super) fn integers(&mut self, name: &str, shape: &[i32], values: &[i32]) {
        let data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.push(name, shape, 2, Some(data));
    }

    fn index(&self, name: &str) -> i32 {
        let named = |tensor: &fb::Tensor| tensor.name.as_deref() == Some(name);
        i32::try_from(self.tensors.iter().position(named).expect("a tensor")).expect("few")
    }

    /// An operator whose output is an activation of this shape, named `output`.
    pub(super) fn operator(
        &mut self,
        code: i32,
        options: Option<fb::BuiltinOptions>,
        inputs: &[&str],
        (output, shape): (&str, &[i32]),
    ) {
        let inputs = inputs.iter().map(|input| self.index(input)).collect();
        self.activation(output, shape);
        self.codes.push(fb::OperatorCode {
            deprecated_builtin_code: i8::try_from(code).expect("an old operator"),
            builtin_code: code,
            ..fb::OperatorCode::default()
        });
        self.operators.push(fb::Operator {
            opcode_index: u32::try_from(self.codes.len() - 1).expect("few"),
            inputs: Some(inputs),
            outputs: Some(vec![self.index(output)]),
            builtin_options: options,
        });
    }

    pub(super) fn bytes(self, output: &str) -> Vec<u8> {
        let graph = fb::SubGraph {
            inputs: Some(vec![self.index("input")]),
            outputs: Some(vec![self.index(output)]),
            tensors: Some(self.tensors),
            operators: Some(self.operators),
            name: None,
        };
        super::super::write::file_bytes(&fb::Model {
            version: 3,
            operator_codes: Some(self.codes),
            subgraphs: Some(vec![graph]),
            buffers: Some(self.buffers),
            ..fb::Model::default()
        })
    }
}

/// A convolution with stride 1 and VALID padding.
pub(super) fn conv_2d(fused_activation_function: i8) -> Option<fb::BuiltinOptions> {
    Some(fb::BuiltinOptions::Conv2DOptions(Box::new(
        fb::Conv2DOptions {
            padding: 1,
            stride_w: 1,
            stride_h: 1,
            fused_activation_function,
            dilation_w_factor: 1,
            dilation_h_factor: 1,
        },
    )))
}

/// MUL or ADD.
pub(super) fn elementwise(fused_activation_function: i8) -> Option<fb::BuiltinOptions> {
    Some(fb::BuiltinOptions::AddOptions(Box::new(fb::AddOptions {
        fused_activation_function,
    })))
}

/// MEAN.
pub(super) fn reducer() -> Option<fb::BuiltinOptions> {
    Some(fb::BuiltinOptions::ReducerOptions(Box::new(
        fb::ReducerOptions { keep_dims: true },
    )))
}
