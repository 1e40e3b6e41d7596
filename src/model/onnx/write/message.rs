//! Attributes, constants and ports in the messages of the format.

use crate::model::float::{Padding, Shape, Window};
use crate::model::onnx::schema::dimension_proto::Value as Size;
use crate::model::onnx::schema::{
    AttributeProto, DimensionProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

pub(super) fn window_attributes(window: &Window) -> Vec<AttributeProto> {
    let Padding {
        top,
        bottom,
        left,
        right,
    } = window.padding;
    vec![
        ints(
            "kernel_shape",
            &signed(&[window.kernel_height, window.kernel_width]),
        ),
        ints(
            "strides",
            &signed(&[window.stride_height, window.stride_width]),
        ),
        ints("pads", &signed(&[top, left, bottom, right])),
    ]
}

/// Sizes as the format has them; an image that needs more than 63 bits does not exist.
pub(super) fn signed(sizes: &[usize]) -> Vec<i64> {
    sizes
        .iter()
        .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
        .collect()
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: value,
        r#type: 2,
        ..Default::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.to_vec(),
        r#type: 7,
        ..Default::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: value.as_bytes().to_vec(),
        r#type: 3,
        ..Default::default()
    }
}

pub(super) fn reals(dims: &[usize], values: &[f32]) -> TensorProto {
    let raw_data = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    TensorProto {
        data_type: 1,
        dims: signed(dims),
        raw_data,
        ..Default::default()
    }
}

/// int8, as its bits.
pub(super) fn bytes(dims: &[usize], values: &[u8]) -> TensorProto {
    TensorProto {
        data_type: 3,
        dims: signed(dims),
        raw_data: values.to_vec(),
        ..Default::default()
    }
}

pub(super) fn integers(values: &[i64]) -> TensorProto {
    let raw_data = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    TensorProto {
        data_type: 7,
        dims: signed(&[values.len()]),
        raw_data,
        ..Default::default()
    }
}

pub(super) fn port(name: &str, shape: Shape, flat: bool) -> ValueInfoProto {
    let fixed = |size: i64| DimensionProto {
        value: Some(Size::DimValue(size)),
    };
    let mut dim = vec![DimensionProto {
        value: Some(Size::DimParam("N".to_owned())),
    }];
    let sizes = if flat {
        vec![shape.channels]
    } else {
        vec![shape.channels, shape.height, shape.width]
    };
    dim.extend(signed(&sizes).into_iter().map(fixed));
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
