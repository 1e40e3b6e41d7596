//! Pooling on real numbers. Padding is never counted.

use ndarray::{Array1, Array3, ArrayView3, Axis, s};

use super::{Error, describe, expect_shape, shape_of};
use crate::model::float::{Shape, Window};

/// Rows and columns that a window makes of an image; `None` where it does not fit once.
pub(super) fn output_size(window: &Window, image: Shape) -> Option<(usize, usize)> {
    let along = |size: usize, before: usize, after: usize, kernel: usize, stride: usize| {
        let room = size
            .checked_add(before)?
            .checked_add(after)?
            .checked_sub(kernel)?;
        if kernel == 0 {
            None
        } else {
            Some(room.checked_div(stride)? + 1)
        }
    };
    let padding = window.padding;
    let rows = along(
        image.height,
        padding.top,
        padding.bottom,
        window.kernel_height,
        window.stride_height,
    )?;
    let columns = along(
        image.width,
        padding.left,
        padding.right,
        window.kernel_width,
        window.stride_width,
    )?;
    Some((rows, columns))
}

/// Mean over the pixels of each window that lie inside the image.
pub(super) fn average(
    layer: &str,
    window: &Window,
    input: &Array3<f32>,
    shape: Shape,
) -> Result<Array3<f32>, Error> {
    over_windows(layer, window, input, shape, |pixels| {
        let (rows, columns, channels) = pixels.dim();
        let mut sum = Array1::zeros(channels);
        for pixel in pixels.lanes(Axis(2)) {
            sum += &pixel;
        }
        #[allow(clippy::cast_precision_loss)]
        let count = (rows * columns) as f32;
        sum / count
    })
}

/// Maximum over the pixels of each window that lie inside the image.
pub(super) fn maximum(
    layer: &str,
    window: &Window,
    input: &Array3<f32>,
    shape: Shape,
) -> Result<Array3<f32>, Error> {
    over_windows(layer, window, input, shape, |pixels| {
        let mut largest = Array1::from_elem(pixels.dim().2, f32::NEG_INFINITY);
        for pixel in pixels.lanes(Axis(2)) {
            largest.zip_mut_with(&pixel, |a, b| *a = a.max(*b));
        }
        largest
    })
}

/// Mean over all rows and columns.
pub(super) fn global_average(
    layer: &str,
    input: &Array3<f32>,
    shape: Shape,
) -> Result<Array3<f32>, Error> {
    let image = shape_of(&input.view());
    expect_shape(
        layer,
        "the output",
        Shape {
            height: 1,
            width: 1,
            channels: image.channels,
        },
        shape,
    )?;
    let window = Window {
        kernel_height: image.height,
        kernel_width: image.width,
        stride_height: 1,
        stride_width: 1,
        padding: crate::model::float::Padding::default(),
    };
    average(layer, &window, input, shape)
}

/// One `[channels]` result for the part of each window that lies inside the image.
fn over_windows(
    layer: &str,
    window: &Window,
    input: &Array3<f32>,
    shape: Shape,
    reduce: impl Fn(ArrayView3<'_, f32>) -> Array1<f32>,
) -> Result<Array3<f32>, Error> {
    let image = shape_of(&input.view());
    let expected = output_size(window, image);
    if expected != Some((shape.height, shape.width)) || image.channels != shape.channels {
        return Err(Error::Shape {
            layer: layer.to_owned(),
            what: "the output",
            expected: format!("{expected:?} rows and columns, {} channels", image.channels),
            found: describe(shape),
        });
    }
    let inside = |index: usize, stride: usize, before: usize, kernel: usize, size: usize| {
        let start = index * stride;
        let end = (start + kernel).saturating_sub(before).min(size);
        start.saturating_sub(before).min(end)..end
    };
    let mut output = Array3::zeros((shape.height, shape.width, shape.channels));
    for row in 0..shape.height {
        let rows = inside(
            row,
            window.stride_height,
            window.padding.top,
            window.kernel_height,
            image.height,
        );
        for column in 0..shape.width {
            let columns = inside(
                column,
                window.stride_width,
                window.padding.left,
                window.kernel_width,
                image.width,
            );
            if rows.is_empty() || columns.is_empty() {
                return Err(Error::Shape {
                    layer: layer.to_owned(),
                    what: "the padding",
                    expected: "smaller than the kernel".to_owned(),
                    found: format!("{:?}", window.padding),
                });
            }
            let pixels = input.slice(s![rows.clone(), columns, ..]);
            output
                .slice_mut(s![row, column, ..])
                .assign(&reduce(pixels));
        }
    }
    Ok(output)
}
