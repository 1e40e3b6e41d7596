//! Access to the operators of a file and their attributes.

use super::schema::{AttributeProto, NodeProto, TensorProto};

/// An operator of the file and its position.
#[derive(Clone, Copy)]
pub(super) struct Node<'m> {
    pub(super) index: usize,
    pub(super) proto: &'m NodeProto,
}

impl<'m> Node<'m> {
    /// The operator with its domain, where that is not ONNX's own.
    pub(super) fn operator(&self) -> String {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => self.proto.op_type.clone(),
            domain => format!("{domain}.{}", self.proto.op_type),
        }
    }

    /// Its name, or where it has none that of its first output.
    pub(super) fn label(&self) -> &'m str {
        if self.proto.name.is_empty() {
            self.output()
        } else {
            &self.proto.name
        }
    }

    /// Name of the first output.
    pub(super) fn output(&self) -> &'m str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// Name of an input; `None` where it is left out.
    pub(super) fn input(&self, index: usize) -> Option<&'m str> {
        self.proto
            .input
            .get(index)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'m AttributeProto> {
        self.proto
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'m [i64]> {
        self.attribute(name)
            .map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'m [f32]> {
        self.attribute(name)
            .map(|attribute| attribute.floats.as_slice())
    }

    pub(super) fn string(&self, name: &str, default: &'m str) -> Result<&'m str, String> {
        self.attribute(name).map_or(Ok(default), |attribute| {
            std::str::from_utf8(&attribute.s).map_err(|_| format!("attribute {name} is not UTF-8"))
        })
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'m TensorProto> {
        self.attribute(name)
            .and_then(|attribute| attribute.t.as_ref())
    }
}

/// An axis counted from the end where negative, as an index.
pub(super) fn axis_index(axis: i64, rank: usize) -> Result<usize, String> {
    let rank_signed = i64::try_from(rank).map_err(|_| "too many axes".to_owned())?;
    let index = if axis < 0 {
        axis.saturating_add(rank_signed)
    } else {
        axis
    };
    match usize::try_from(index) {
        Ok(index) if index < rank => Ok(index),
        _ => Err(format!("axis {axis} of a tensor with {rank}")),
    }
}

/// A list of sizes without negatives.
pub(super) fn sizes(values: &[i64], what: &str) -> Result<Vec<usize>, String> {
    /// Larger kernels, strides and paddings have no use, and sums of smaller ones cannot overflow.
    const LARGEST: i64 = 1 << 20;
    values
        .iter()
        .map(|value| match value {
            0..=LARGEST => usize::try_from(*value).map_err(|_| String::new()),
            _ => Err(format!("{what} of {value}")),
        })
        .collect()
}
