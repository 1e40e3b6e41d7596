//! Convolution on real numbers: patches times a weight matrix (dense), or window by window (depthwise).

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Array3, Array4, ArrayView2, s};

use super::{Error, describe, shape_of};
use crate::model::float::{ConvolutionKind, Shape, Window};

/// Patch elements gathered at a time: 1 MiB of `f32`, so that a block stays in the cache.
const PATCH_BLOCK_ELEMENTS: usize = 1 << 18;

/// `weights` are `[out, row, column, in]`, `input` `[h, w, c]`; the result has `shape` and no clamp.
pub(super) fn run(
    layer: &str,
    kind: ConvolutionKind,
    window: &Window,
    weights: &Array4<f32>,
    bias: &Array1<f32>,
    input: &Array3<f32>,
    shape: Shape,
) -> Result<Array3<f32>, Error> {
    check(layer, kind, window, weights, bias, input, shape)?;
    // Row-major: the kernels below index flat slices.
    let (weights, input) = (weights.as_standard_layout(), input.as_standard_layout());
    let (weights, input) = (weights.view(), input.view());
    let filters = shape.channels;
    let pixels = shape.height * shape.width;
    let elements = weights.len() / filters.max(1);
    let matrix = shaped(layer, weights.as_slice().unwrap_or(&[]), filters, elements)?;
    let mut output = Array2::zeros((pixels, filters));
    for mut pixel in output.outer_iter_mut() {
        pixel.assign(bias);
    }
    let image = Image {
        data: input.as_slice().unwrap_or(&[]),
        shape: shape_of(&input),
    };
    match kind {
        ConvolutionKind::Depthwise => depthwise(&image, window, &matrix, shape.width, &mut output),
        ConvolutionKind::FullyConnected => {
            let row = shaped(layer, image.data, 1, elements)?;
            general_mat_mul(1.0, &row, &matrix.t(), 1.0, &mut output);
        }
        ConvolutionKind::Dense if is_pointwise(window) => {
            let all = shaped(layer, image.data, pixels, elements)?;
            general_mat_mul(1.0, &all, &matrix.t(), 1.0, &mut output);
        }
        ConvolutionKind::Dense => dense(&image, window, &matrix, shape, &mut output),
    }
    let (elements, _) = output.into_raw_vec_and_offset();
    Array3::from_shape_vec((shape.height, shape.width, filters), elements).map_err(|_| {
        Error::Shape {
            layer: layer.to_owned(),
            what: "the output",
            expected: format!("of {} elements", pixels * filters),
            found: describe(shape),
        }
    })
}

/// An activation as a row-major slice.
struct Image<'a> {
    data: &'a [f32],
    shape: Shape,
}

fn shaped<'a>(
    layer: &str,
    data: &'a [f32],
    rows: usize,
    columns: usize,
) -> Result<ArrayView2<'a, f32>, Error> {
    ArrayView2::from_shape((rows, columns), data).map_err(|_| Error::Shape {
        layer: layer.to_owned(),
        what: "a matrix",
        expected: format!("[{rows}, {columns}]"),
        found: format!("of {} elements", data.len()),
    })
}

fn is_pointwise(window: &Window) -> bool {
    window.kernel_height == 1
        && window.kernel_width == 1
        && window.stride_height == 1
        && window.stride_width == 1
        && window.padding == crate::model::float::Padding::default()
}

fn check(
    layer: &str,
    kind: ConvolutionKind,
    window: &Window,
    weights: &Array4<f32>,
    bias: &Array1<f32>,
    input: &Array3<f32>,
    shape: Shape,
) -> Result<(), Error> {
    let image = shape_of(&input.view());
    let error = |what, expected: String, found: String| {
        Err(Error::Shape {
            layer: layer.to_owned(),
            what,
            expected,
            found,
        })
    };
    let inputs = if kind == ConvolutionKind::Depthwise {
        1
    } else {
        image.channels
    };
    let (rows, columns) = if kind == ConvolutionKind::FullyConnected {
        (image.height, image.width)
    } else {
        (window.kernel_height, window.kernel_width)
    };
    let expected = (shape.channels, rows, columns, inputs);
    if weights.dim() != expected {
        return error(
            "the weights",
            format!("{expected:?}"),
            format!("{:?}", weights.dim()),
        );
    }
    if bias.len() != shape.channels {
        return error(
            "the bias",
            format!("[{}]", shape.channels),
            format!("[{}]", bias.len()),
        );
    }
    if kind == ConvolutionKind::Depthwise
        && (image.channels == 0 || !shape.channels.is_multiple_of(image.channels))
    {
        let expected = format!("a multiple of {} channels", image.channels);
        return error("the output", expected, describe(shape));
    }
    let expected = if kind == ConvolutionKind::FullyConnected {
        Some((1, 1))
    } else {
        super::pool::output_size(window, image)
    };
    if expected != Some((shape.height, shape.width)) {
        return error(
            "the output",
            format!("{expected:?} rows and columns"),
            describe(shape),
        );
    }
    Ok(())
}

/// Gathers patches block by block and multiplies each block with the weights.
fn dense(
    image: &Image<'_>,
    window: &Window,
    matrix: &ArrayView2<'_, f32>,
    shape: Shape,
    output: &mut Array2<f32>,
) {
    let elements = matrix.dim().1;
    let pixels = shape.height * shape.width;
    let block = (PATCH_BLOCK_ELEMENTS / elements.max(1)).clamp(1, pixels.max(1));
    let mut patches = Array2::zeros((block, elements));
    let mut first = 0;
    while first < pixels {
        let count = block.min(pixels - first);
        for (index, mut patch) in patches.outer_iter_mut().take(count).enumerate() {
            let pixel = first + index;
            if let Some(patch) = patch.as_slice_mut() {
                gather(
                    image,
                    window,
                    pixel / shape.width,
                    pixel % shape.width,
                    patch,
                );
            }
        }
        let rows = patches.slice(s![..count, ..]);
        general_mat_mul(
            1.0,
            &rows,
            &matrix.t(),
            1.0,
            &mut output.slice_mut(s![first..first + count, ..]),
        );
        first += count;
    }
}

/// Copies the `[row, column, channel]` patch under the window of one output pixel; zero outside the image.
fn gather(image: &Image<'_>, window: &Window, row: usize, column: usize, patch: &mut [f32]) {
    let Shape {
        height,
        width,
        channels,
    } = image.shape;
    let line = window.kernel_width * channels;
    let left = column * window.stride_width;
    // Kernel columns that lie inside the image.
    let first = window
        .padding
        .left
        .saturating_sub(left)
        .min(window.kernel_width);
    let end = (width + window.padding.left)
        .saturating_sub(left)
        .min(window.kernel_width)
        .max(first);
    for (kernel_row, patch_line) in patch.chunks_exact_mut(line).enumerate() {
        let y = (row * window.stride_height + kernel_row).wrapping_sub(window.padding.top);
        if y >= height || first == end {
            patch_line.fill(0.0);
            continue;
        }
        let start = (y * width + left + first - window.padding.left) * channels;
        patch_line[..first * channels].fill(0.0);
        patch_line[first * channels..end * channels]
            .copy_from_slice(&image.data[start..start + (end - first) * channels]);
        patch_line[end * channels..].fill(0.0);
    }
}

/// Filter `o` sees input channel `o / multiplier`. Weights are turned to `[row, column, out]` so that the
/// inner loop runs over filters.
fn depthwise(
    image: &Image<'_>,
    window: &Window,
    matrix: &ArrayView2<'_, f32>,
    output_width: usize,
    output: &mut Array2<f32>,
) {
    let Shape {
        height,
        width,
        channels,
    } = image.shape;
    let multiplier = matrix.dim().0 / channels;
    let taps = matrix.t().as_standard_layout().into_owned();
    for (pixel, mut result) in output.outer_iter_mut().enumerate() {
        let top = pixel / output_width * window.stride_height;
        let left = pixel % output_width * window.stride_width;
        for (tap, weights) in taps.outer_iter().enumerate() {
            let y = (top + tap / window.kernel_width).wrapping_sub(window.padding.top);
            let x = (left + tap % window.kernel_width).wrapping_sub(window.padding.left);
            if y >= height || x >= width {
                continue;
            }
            let from = &image.data[(y * width + x) * channels..][..channels];
            let (Some(to), Some(weights)) = (result.as_slice_mut(), weights.as_slice()) else {
                continue;
            };
            if multiplier == 1 {
                for ((to, from), weight) in to.iter_mut().zip(from).zip(weights) {
                    *to += from * weight;
                }
            } else {
                for (filter, (to, weight)) in to.iter_mut().zip(weights).enumerate() {
                    *to += from[filter / multiplier] * weight;
                }
            }
        }
    }
}
