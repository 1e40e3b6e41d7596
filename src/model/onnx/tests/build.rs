//! Files built operator by operator.

use prost::Message as _;

use crate::model::onnx::schema::dimension_proto::Value as Size;
use crate::model::onnx::schema::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// A file with one input `x`.
pub(super) struct File {
    graph: GraphProto,
}

/// Adds attributes to an operator.
pub(super) struct Attributes<'f>(&'f mut NodeProto);

fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|size| DimensionProto {
            value: Some(Size::DimValue(*size)),
        })
        .collect();
    let tensor = TensorTypeProto {
        elem_type: 1,
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor),
        }),
    }
}

impl File {
    pub(super) fn new(input: &[i64]) -> Self {
        Self {
            graph: GraphProto {
                input: vec![port("x", input)],
                ..Default::default()
            },
        }
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        output: &str,
    ) -> Attributes<'_> {
        self.graph.node.push(NodeProto {
            op_type: operator.to_owned(),
            name: name.to_owned(),
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        });
        Attributes(self.graph.node.last_mut().unwrap())
    }

    pub(super) fn reals(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        self.constant(
            name,
            TensorProto {
                data_type: 1,
                dims: dims.to_vec(),
                float_data: values.to_vec(),
                ..Default::default()
            },
        );
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        let dims = vec![values.len() as i64];
        self.constant(
            name,
            TensorProto {
                data_type: 7,
                dims,
                int64_data: values.to_vec(),
                ..Default::default()
            },
        );
    }

    pub(super) fn bytes_constant(&mut self, name: &str, dims: &[i64], values: &[u8]) {
        self.constant(
            name,
            TensorProto {
                data_type: 2,
                dims: dims.to_vec(),
                raw_data: values.to_vec(),
                ..Default::default()
            },
        );
    }

    /// Another constant of the same name.
    pub(super) fn replace(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        self.graph.initializer.retain(|tensor| tensor.name != name);
        self.reals(name, dims, values);
    }

    fn constant(&mut self, name: &str, tensor: TensorProto) {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            ..tensor
        });
    }

    pub(super) fn bytes(&self, output: &str) -> Vec<u8> {
        let mut graph = self.graph.clone();
        graph.output.push(ValueInfoProto {
            name: output.to_owned(),
            r#type: None,
        });
        let model = ModelProto {
            ir_version: 8,
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 13,
            }],
            ..Default::default()
        };
        model.encode_to_vec()
    }
}

impl Attributes<'_> {
    fn push(self, attribute: AttributeProto) -> Self {
        self.0.attribute.push(attribute);
        self
    }

    pub(super) fn int(self, name: &str, i: i64) -> Self {
        self.push(AttributeProto {
            name: name.to_owned(),
            i,
            r#type: 2,
            ..Default::default()
        })
    }

    pub(super) fn domain(self, domain: &str) -> Self {
        self.0.domain = domain.to_owned();
        self
    }

    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.push(AttributeProto {
            name: name.to_owned(),
            s: text.as_bytes().to_vec(),
            r#type: 3,
            ..Default::default()
        })
    }

    pub(super) fn ints(self, name: &str, ints: &[i64]) -> Self {
        self.push(AttributeProto {
            name: name.to_owned(),
            ints: ints.to_vec(),
            r#type: 7,
            ..Default::default()
        })
    }

    pub(super) fn float(self, name: &str, f: f32) -> Self {
        self.push(AttributeProto {
            name: name.to_owned(),
            f,
            r#type: 1,
            ..Default::default()
        })
    }
}

/// A file with one metadata entry in place of another.
pub(super) fn with_record(file: &[u8], key: &str, value: &str) -> Vec<u8> {
    let mut model = ModelProto::decode(file).unwrap();
    model.metadata_props.retain(|entry| entry.key != key);
    model.metadata_props.push(StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    });
    model.encode_to_vec()
}
