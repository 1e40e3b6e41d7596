//! Shapes of activations, extents of sliding windows, layout and scales of weights.

use ndarray::Array4;

use super::file::{File, FileTensor};
use super::refusal::{Taken, invalid, unsupported};
use crate::model::float::{ConvolutionKind, Padding, Shape, Window};

/// Most elements of an activation or a weight tensor.
pub(super) const ELEMENTS_MAX: usize = 1 << 28;

/// The image that a tensor holds: batch of 1, up to three more dimensions.
pub(super) fn image_shape(tensor: &FileTensor<'_>) -> Result<Shape, String> {
    let dims: Option<Vec<usize>> = tensor
        .shape
        .iter()
        .map(|d| usize::try_from(*d).ok().filter(|d| *d > 0))
        .collect();
    let shape = match dims.as_deref() {
        Some([1, height, width, channels]) => Some(Shape {
            height: *height,
            width: *width,
            channels: *channels,
        }),
        Some([1, width, channels]) => Some(Shape {
            height: 1,
            width: *width,
            channels: *channels,
        }),
        Some([1, channels] | [channels]) => Some(Shape {
            height: 1,
            width: 1,
            channels: *channels,
        }),
        _ => None,
    };
    let Some(shape) = shape else {
        return Err(format!(
            "{} has shape {:?}; one image [1, height, width, channels] or vector [1, channels] is taken",
            tensor.describe(),
            tensor.shape
        ));
    };
    let elements = shape
        .height
        .checked_mul(shape.width)
        .and_then(|n| n.checked_mul(shape.channels));
    if elements.is_none_or(|n| n > ELEMENTS_MAX) {
        return Err(format!(
            "{} has more than {ELEMENTS_MAX} elements",
            tensor.describe()
        ));
    }
    Ok(shape)
}

/// Output extent and padding (before, after) of a window along one axis.
fn extent(input: usize, kernel: usize, stride: usize, same: bool) -> Option<(usize, usize, usize)> {
    if same {
        let output = input.div_ceil(stride);
        let padding = ((output - 1) * stride + kernel).saturating_sub(input);
        Some((output, padding / 2, padding - padding / 2))
    } else {
        Some((input.checked_sub(kernel)? / stride + 1, 0, 0))
    }
}

/// Window and output height and width of a sliding operator.
pub(super) fn window(
    shape: Shape,
    kernel: [usize; 2],
    stride: [i32; 2],
    padding: i8,
    outer: Padding,
) -> Taken<(Window, usize, usize)> {
    let same = match padding {
        0 => true,
        1 => false,
        _ => return invalid(format!("padding code {padding}")),
    };
    let positive = |n: i32| usize::try_from(n).ok().filter(|n| (1..=4096).contains(n));
    let (Some(stride_height), Some(stride_width)) = (positive(stride[0]), positive(stride[1]))
    else {
        return invalid(format!("strides {stride:?} are not in 1..=4096"));
    };
    let height = shape.height + outer.top + outer.bottom;
    let width = shape.width + outer.left + outer.right;
    let rows = extent(height, kernel[0], stride_height, same);
    let columns = extent(width, kernel[1], stride_width, same);
    let (Some((rows, top, bottom)), Some((columns, left, right))) = (rows, columns) else {
        return invalid(format!(
            "kernel {kernel:?} is larger than the {height} x {width} image"
        ));
    };
    let padding = Padding {
        top: outer.top + top,
        bottom: outer.bottom + bottom,
        left: outer.left + left,
        right: outer.right + right,
    };
    let window = Window {
        kernel_height: kernel[0],
        kernel_width: kernel[1],
        stride_height,
        stride_width,
        padding,
    };
    Ok((window, rows, columns))
}

/// Weights in the file's order as `[out, row, column, in]`: depthwise ones lie as `[row, column, out]`.
pub(super) fn arrange<T: Clone>(
    values: Vec<T>,
    kind: ConvolutionKind,
    shape: [usize; 4],
) -> Taken<Array4<T>> {
    let [filters, rows, columns, inputs] = shape;
    let file_shape = if kind == ConvolutionKind::Depthwise {
        (1, rows, columns, filters)
    } else {
        shape.into()
    };
    debug_assert!(kind != ConvolutionKind::Depthwise || inputs == 1);
    let Ok(array) = Array4::from_shape_vec(file_shape, values) else {
        return invalid("weights do not fill their shape");
    };
    if kind == ConvolutionKind::Depthwise {
        return Ok(array
            .permuted_axes([3, 1, 2, 0])
            .as_standard_layout()
            .into_owned());
    }
    Ok(array)
}

/// One scale a filter; a single scale stands for all.
pub(super) fn weight_scales(
    view: &FileTensor<'_>,
    kind: ConvolutionKind,
    filters: usize,
) -> Taken<Vec<f32>> {
    if let Some(exotic) = view.exotic {
        return unsupported(format!("{} has {exotic}", view.describe()));
    }
    if view.zero_point.iter().any(|zero_point| *zero_point != 0) {
        return unsupported(format!("{} has a zero point other than 0", view.describe()));
    }
    if view
        .scale
        .iter()
        .any(|scale| !(scale.is_finite() && *scale >= 0.0))
    {
        return invalid(format!(
            "{} has a scale that is not a positive number",
            view.describe()
        ));
    }
    let dimension = if kind == ConvolutionKind::Depthwise {
        3
    } else {
        0
    };
    match view.scale.len() {
        0 => unsupported(format!("{} is not quantized", view.describe())),
        1 => Ok(vec![view.scale[0]; filters]),
        n if n == filters && view.quantized_dimension == dimension => Ok(view.scale.clone()),
        n => unsupported(format!(
            "{} has {n} scales along dimension {}; one, or {filters} along dimension {dimension} are taken",
            view.describe(),
            view.quantized_dimension
        )),
    }
}

/// Weights and channel parameters that may still be decoded. Operators may share tensors, so that a small
/// file can ask for far more than it holds: four times its size, and a little more, is given.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn of(file: &File<'_>) -> Self {
        Self(file.bytes.saturating_mul(4).saturating_add(1 << 20))
    }

    pub(super) fn take(&mut self, elements: usize) -> Taken<()> {
        match self.0.checked_sub(elements) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                invalid("its operators share tensors until they are many times the file's size")
            }
        }
    }
}
