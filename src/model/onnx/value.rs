//! Values of a file while it is read: constants, and activations with the layout the file gives them.

use std::rc::Rc;

use super::constant::Constant;
use crate::model::float::{Padding, Shape, TensorId};

/// An axis of a batch of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Images.
    Batch,
    /// Channels.
    Channel,
    /// Rows.
    Row,
    /// Columns.
    Column,
}

/// What a name of the file stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A constant.
    Constant(Rc<Constant>),
    /// An activation.
    Activation(Activation),
    /// The result of an operator that is not supported.
    Unknown,
}

/// Strided and zero-padded views of a tensor that no layer computes yet: first every `row_stride`-th row and
/// `column_stride`-th column, then channels picked (`None`: a channel of zeros), then rows and columns of zeros
/// around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
    pub(super) channels: Option<Vec<Option<usize>>>,
    pub(super) padding: Padding,
}

impl View {
    /// The tensor itself.
    pub(super) fn whole() -> Self {
        Self {
            row_stride: 1,
            column_stride: 1,
            channels: None,
            padding: Padding::default(),
        }
    }

    /// Whether pixels or channels are picked.
    pub(super) fn selects(&self) -> bool {
        self.row_stride != 1 || self.column_stride != 1 || self.channels.is_some()
    }

    /// Shape of the view of a tensor of `shape`.
    pub(super) fn shape(&self, shape: Shape) -> Shape {
        let pad = self.padding;
        Shape {
            height: shape.height.div_ceil(self.row_stride) + pad.top + pad.bottom,
            width: shape.width.div_ceil(self.column_stride) + pad.left + pad.right,
            channels: self.channels.as_ref().map_or(shape.channels, Vec::len),
        }
    }
}

/// An activation as the file has it: a view of a tensor, and for each of the file's dimensions the tensor's axes
/// that it runs over, outermost first. Axes of size 1 are left out.
#[derive(Debug, Clone)]
pub(super) struct Activation {
    pub(super) tensor: TensorId,
    pub(super) dims: Vec<Vec<Axis>>,
    pub(super) view: View,
    /// Shape of the view.
    pub(super) shape: Shape,
    /// Images in the batch, as the file declares it (1 where it leaves it open).
    pub(super) batch: usize,
}

impl Activation {
    /// A tensor with the axes `dims` (those of size 1 are dropped here).
    pub(super) fn new(tensor: TensorId, shape: Shape, batch: usize, dims: &[&[Axis]]) -> Self {
        let dims = dims.iter().map(|group| group.to_vec()).collect();
        let mut activation = Self {
            tensor,
            dims,
            view: View::whole(),
            shape,
            batch,
        };
        activation.drop_ones();
        activation
    }

    /// As `[batch, channels, rows, columns]`.
    pub(super) fn image(tensor: TensorId, shape: Shape, batch: usize) -> Self {
        Self::new(tensor, shape, batch, &IMAGE)
    }

    /// The same layout over another tensor of the same shape.
    pub(super) fn with_tensor(&self, tensor: TensorId) -> Self {
        Self {
            tensor,
            view: View::whole(),
            ..self.clone()
        }
    }

    fn drop_ones(&mut self) {
        let (shape, batch) = (self.shape, self.batch);
        for group in &mut self.dims {
            group.retain(|axis| size_of(*axis, shape, batch) > 1);
        }
    }

    /// Size along an axis.
    pub(super) fn size(&self, axis: Axis) -> usize {
        size_of(axis, self.shape, self.batch)
    }

    /// The file's sizes.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.dims
            .iter()
            .map(|group| group.iter().map(|axis| self.size(*axis)).product())
            .collect()
    }

    /// Whether the file's dimensions run over just these axes.
    pub(super) fn is(&self, dims: &[&[Axis]]) -> bool {
        self.dims == Self::new(self.tensor, self.shape, self.batch, dims).dims
    }

    /// Fails unless the layout is `[batch, channels, rows, columns]`.
    pub(super) fn expect_image(&self) -> Result<(), String> {
        if self.is(&IMAGE) {
            return Ok(());
        }
        Err(format!(
            "needs an image [batch, channels, rows, columns], got {}",
            self.describe()
        ))
    }

    /// The layout, for messages.
    pub(super) fn describe(&self) -> String {
        let name = |axis: &Axis| match axis {
            Axis::Batch => "batch",
            Axis::Channel => "channels",
            Axis::Row => "rows",
            Axis::Column => "columns",
        };
        let group = |(group, size): (&Vec<Axis>, usize)| match group.as_slice() {
            [] => size.to_string(),
            axes => axes.iter().map(name).collect::<Vec<_>>().join("*"),
        };
        let dims: Vec<_> = self.dims.iter().zip(self.sizes()).map(group).collect();
        format!("[{}]", dims.join(", "))
    }

    /// All axes of more than one element but the batch, outermost first; `None` unless the batch is outermost.
    pub(super) fn order(&self) -> Option<Vec<Axis>> {
        let all: Vec<Axis> = self.dims.iter().flatten().copied().collect();
        let rest = all.strip_prefix(&[Axis::Batch]).unwrap_or(&all);
        (!rest.contains(&Axis::Batch)).then(|| rest.to_vec())
    }

    /// Whether elements follow each other as in a tensor: by rows, columns, channels.
    pub(super) fn is_in_tensor_order(&self) -> bool {
        let wanted = [Axis::Row, Axis::Column, Axis::Channel]
            .into_iter()
            .filter(|axis| self.size(*axis) > 1);
        self.order()
            .is_some_and(|order| order.into_iter().eq(wanted))
    }

    /// The same elements under other sizes, where every new dimension runs over whole axes; else `None`.
    pub(super) fn regrouped(&self, sizes: &[usize]) -> Option<Self> {
        let mut axes = self.dims.iter().flatten();
        let mut dims = Vec::with_capacity(sizes.len());
        for size in sizes {
            let mut group = Vec::new();
            let mut product = 1;
            while product < *size {
                let axis = *axes.next()?;
                product *= self.size(axis);
                group.push(axis);
            }
            if product != *size {
                return None;
            }
            dims.push(group);
        }
        axes.next().is_none().then(|| Self {
            dims,
            ..self.clone()
        })
    }
}

/// Axes of an image in ONNX.
pub(super) const IMAGE: [&[Axis]; 4] = [
    &[Axis::Batch],
    &[Axis::Channel],
    &[Axis::Row],
    &[Axis::Column],
];

fn size_of(axis: Axis, shape: Shape, batch: usize) -> usize {
    match axis {
        Axis::Batch => batch,
        Axis::Channel => shape.channels,
        Axis::Row => shape.height,
        Axis::Column => shape.width,
    }
}

#[cfg(test)]
mod tests {
    use super::{Activation, Axis};
    use crate::model::float::Shape;

    #[test]
    fn regrouping_keeps_axes_whole() {
        let image = Activation::image(
            0,
            Shape {
                height: 4,
                width: 1,
                channels: 3,
            },
            1,
        );
        assert_eq!(image.sizes(), [1, 3, 4, 1]);
        let flat = image.regrouped(&[1, 12]).map(|flat| flat.dims);
        assert_eq!(flat, Some(vec![vec![], vec![Axis::Channel, Axis::Row]]));
        assert!(image.regrouped(&[1, 4, 3]).is_none());
        assert!(image.regrouped(&[1, 6, 2]).is_none());
        assert!(image.regrouped(&[1, 3]).is_none());
        assert!(!image.is_in_tensor_order());
        let back = image
            .regrouped(&[3, 1, 4])
            .and_then(|split| split.regrouped(&[1, 3, 4, 1]));
        assert!(back.is_some_and(|back| back.expect_image().is_ok()));
    }
}
