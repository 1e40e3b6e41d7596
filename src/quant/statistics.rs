//! Second moments of a convolution's inputs and targets over the calibration images.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1, ArrayView3, s};
use rayon::prelude::*;

use super::filter::Metric;
use crate::model::float::{ConvolutionKind, Window};

/// Where the filters of a convolution take their inputs from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patches {
    kind: ConvolutionKind,
    window: Window,
    kernel: (usize, usize),
    inputs: usize,
    filters: usize,
}

impl Patches {
    pub(crate) fn new(kind: ConvolutionKind, window: Window, weights: &Array4<f32>) -> Self {
        let (filters, rows, columns, inputs) = weights.dim();
        Self {
            kind,
            window,
            kernel: (rows, columns),
            inputs,
            filters,
        }
    }

    /// Weights of a filter.
    fn elements(&self) -> usize {
        self.kernel.0 * self.kernel.1 * self.inputs
    }

    /// The patch of one output pixel in the order of the weights; 0 outside the image. `channel` is the
    /// first input channel.
    fn gather(
        &self,
        image: &ArrayView3<f32>,
        pixel: (usize, usize),
        channel: usize,
        to: &mut [f32],
    ) {
        let (height, width, _) = image.dim();
        let padding = self.window.padding;
        for (place, values) in to.chunks_exact_mut(self.inputs).enumerate() {
            let (row, column) = (place / self.kernel.1, place % self.kernel.1);
            let y = (pixel.0 * self.window.stride_height + row).checked_sub(padding.top);
            let x = (pixel.1 * self.window.stride_width + column).checked_sub(padding.left);
            match (y, x) {
                (Some(y), Some(x)) if y < height && x < width => {
                    let from = image.slice(s![y, x, channel..channel + self.inputs]);
                    values
                        .iter_mut()
                        .zip(from)
                        .for_each(|(to, from)| *to = *from);
                }
                _ => values.fill(0.0),
            }
        }
    }

    /// The converse of gathering: adds `values`, in the order of the weights, to the inputs of one
    /// output pixel.
    pub(crate) fn scatter(
        &self,
        values: &[f32],
        pixel: (usize, usize),
        channel: usize,
        image: &mut Array3<f32>,
    ) {
        let (height, width, _) = image.dim();
        let padding = self.window.padding;
        for (place, values) in values.chunks_exact(self.inputs).enumerate() {
            let (row, column) = (place / self.kernel.1, place % self.kernel.1);
            let y = (pixel.0 * self.window.stride_height + row).checked_sub(padding.top);
            let x = (pixel.1 * self.window.stride_width + column).checked_sub(padding.left);
            if let (Some(y), Some(x)) = (y, x)
                && y < height
                && x < width
            {
                let to = image.slice_mut(s![y, x, channel..channel + self.inputs]);
                to.into_iter()
                    .zip(values)
                    .for_each(|(to, from)| *to += from);
            }
        }
    }
}

/// Moments of the inputs of filters that share them, and of those filters' targets.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    /// Mean of each input, `[K]`.
    pub(crate) input_mean: Array1<f64>,
    /// Covariance of the inputs, `[K, K]`; `[1, K]`, variances only, above [`INPUTS_MAX`].
    pub(crate) covariance: Array2<f64>,
    /// Mean of each filter's target, `[F]`.
    pub(crate) target_mean: Array1<f64>,
    /// Variance of each filter's target, `[F]`.
    pub(crate) target_variance: Array1<f64>,
    /// Covariance of targets and inputs, `[F, K]`.
    pub(crate) cross: Array2<f64>,
}

/// Filters with more inputs are measured by variances alone: a covariance would not fit in memory.
const INPUTS_MAX: usize = 3072;

/// Rows multiplied at a time.
const ROWS_PER_BLOCK: usize = 1024;

#[derive(Clone)]
struct Sums {
    rows: f64,
    input: Array1<f64>,
    input_square: Array2<f64>,
    target: Array1<f64>,
    target_square: Array1<f64>,
    cross: Array2<f64>,
}

impl Sums {
    /// Of `x` `[R, K]` and `t` `[R, F]`.
    fn of(x: &Array2<f32>, t: &Array2<f32>) -> Self {
        let wide = |m: Array2<f32>| m.mapv(f64::from);
        let sum = |m: &Array2<f32>| {
            let mut sum = Array1::<f64>::zeros(m.ncols());
            for row in m.outer_iter() {
                sum.zip_mut_with(&row, |s, v| *s += f64::from(*v));
            }
            sum
        };
        let squares = |m: &Array2<f32>| sum(&m.mapv(|v| v * v));
        let input_square = if x.ncols() > INPUTS_MAX {
            squares(x).insert_axis(ndarray::Axis(0))
        } else {
            wide(x.t().dot(x))
        };
        Self {
            rows: x.nrows() as f64,
            input: sum(x),
            input_square,
            target: sum(t),
            target_square: squares(t),
            cross: wide(t.t().dot(x)),
        }
    }

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.input += &other.input;
        self.input_square += &other.input_square;
        self.target += &other.target;
        self.target_square += &other.target_square;
        self.cross += &other.cross;
    }

    fn moments(self) -> Moments {
        let input_mean = self.input / self.rows;
        let target_mean = self.target / self.rows;
        let mut covariance = self.input_square / self.rows;
        let full = covariance.nrows() == input_mean.len();
        for ((i, j), value) in covariance.indexed_iter_mut() {
            *value -= input_mean[if full { i } else { j }] * input_mean[j];
        }
        let mut cross = self.cross / self.rows;
        for ((f, k), value) in cross.indexed_iter_mut() {
            *value -= target_mean[f] * input_mean[k];
        }
        let target_variance = (self.target_square / self.rows - &target_mean * &target_mean)
            .mapv(|v| f64::max(v, 0.0));
        Moments {
            input_mean,
            covariance,
            target_mean,
            target_variance,
            cross,
        }
    }
}

impl Moments {
    /// Over `images` (inputs `[h, w, c]`) and the `targets` `[h, w, filters]` of the same images, one
    /// result for each group of filters that share their inputs (one, or one a channel for
    /// depthwise). Of each image at most `pixels_max` output pixels count, evenly spread; the result
    /// does not depend on the number of threads.
    pub(crate) fn measure(
        patches: &Patches,
        images: &[Array3<f32>],
        targets: &[Array3<f32>],
        pixels_max: usize,
    ) -> Vec<Self> {
        let groups = match patches.kind {
            ConvolutionKind::Depthwise => images.first().map_or(0, |image| image.dim().2),
            _ => 1,
        };
        let pixels = targets.first().map_or(1, |t| t.dim().0 * t.dim().1);
        let images_per_block = (ROWS_PER_BLOCK / pixels.min(pixels_max).max(1)).max(1);
        let blocks: Vec<usize> = (0..images.len()).step_by(images_per_block).collect();
        let mut total: Option<Vec<Sums>> = None;
        for round in blocks.chunks(rayon::current_num_threads().max(1)) {
            let sums: Vec<Vec<Sums>> = round
                .par_iter()
                .map(|&start| {
                    let end = (start + images_per_block).min(images.len());
                    let rows = sample(&targets[start..end], start, pixels_max);
                    let block = Block {
                        patches,
                        images: &images[start..end],
                        rows: &rows,
                    };
                    (0..groups)
                        .map(|g| block.sums(&targets[start..end], g, groups))
                        .collect()
                })
                .collect();
            for block in sums {
                match &mut total {
                    None => total = Some(block),
                    Some(total) => total.iter_mut().zip(&block).for_each(|(t, b)| t.add(b)),
                }
            }
        }
        total
            .unwrap_or_default()
            .into_iter()
            .map(Sums::moments)
            .collect()
    }

    /// The error measure of the filters of this group.
    pub(crate) fn metric(&self) -> Metric {
        if self.covariance.nrows() == self.input_mean.len() {
            Metric::full(self.covariance.view())
        } else {
            Metric::diagonal(&self.covariance.row(0).to_vec())
        }
    }

    /// Target mean of filter `filter` of the group less what `weights` make of the mean input: the bias
    /// that leaves no mean error.
    pub(crate) fn bias(&self, filter: usize, weights: ArrayView1<f64>) -> f64 {
        self.target_mean[filter] - weights.dot(&self.input_mean)
    }
}

/// Image and pixel of each sampled row.
fn sample(targets: &[Array3<f32>], first: usize, pixels_max: usize) -> Vec<(usize, usize, usize)> {
    let mut rows = Vec::new();
    for (image, target) in targets.iter().enumerate() {
        let (height, width, _) = target.dim();
        let pixels = height * width;
        let count = pixels.min(pixels_max);
        // Another offset for each image, so that all pixels are seen.
        let offset = (first + image) * 7919;
        for index in 0..count {
            let pixel = (index * pixels / count + offset) % pixels;
            rows.push((image, pixel / width, pixel % width));
        }
    }
    rows
}

struct Block<'a> {
    patches: &'a Patches,
    images: &'a [Array3<f32>],
    rows: &'a [(usize, usize, usize)],
}

impl Block<'_> {
    fn sums(&self, targets: &[Array3<f32>], group: usize, groups: usize) -> Sums {
        let filters = self.patches.filters / groups.max(1);
        let mut x = Array2::zeros((self.rows.len(), self.patches.elements()));
        let mut t = Array2::zeros((self.rows.len(), filters));
        let places = x.outer_iter_mut().zip(t.outer_iter_mut()).zip(self.rows);
        for ((mut x, mut t), &(image, row, column)) in places {
            if let Some(x) = x.as_slice_mut() {
                let image = self.images[image].view();
                let channel = if groups == 1 { 0 } else { group };
                self.patches.gather(&image, (row, column), channel, x);
            }
            let first = group * filters;
            t.assign(&targets[image].slice(s![row, column, first..first + filters]));
        }
        Sums::of(&x, &t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::float::Padding;

    fn images(count: usize, shape: (usize, usize, usize)) -> Vec<Array3<f32>> {
        (0..count)
            .map(|n| {
                Array3::from_shape_fn(shape, |(y, x, c)| {
                    ((n * 31 + y * 17 + x * 7 + c * 5) % 23) as f32 / 4.0 - 2.0
                })
            })
            .collect()
    }

    /// All moments by definition, pixel by pixel.
    #[test]
    fn moments_are_those_of_the_patches() {
        let window = Window {
            kernel_height: 3,
            kernel_width: 3,
            stride_height: 2,
            stride_width: 2,
            padding: Padding {
                top: 1,
                bottom: 0,
                left: 1,
                right: 0,
            },
        };
        let weights = Array4::zeros((2, 3, 3, 2));
        let patches = Patches::new(ConvolutionKind::Dense, window, &weights);
        let (inputs, targets) = (images(3, (4, 4, 2)), images(3, (2, 2, 2)));
        let found = &Moments::measure(&patches, &inputs, &targets, 100)[0];

        let at = |n: usize, pixel: usize, k: usize| {
            let (row, column, c) = (k / 6, k / 2 % 3, k % 2);
            let (y, x) = (pixel / 2 * 2 + row, pixel % 2 * 2 + column);
            if y == 0 || x == 0 {
                0.0
            } else {
                f64::from(inputs[n][[y - 1, x - 1, c]])
            }
        };
        let rows: Vec<(usize, usize)> = (0..3).flat_map(|n| (0..4).map(move |p| (n, p))).collect();
        let mean = |f: &dyn Fn(usize, usize) -> f64| {
            rows.iter().map(|(n, p)| f(*n, *p)).sum::<f64>() / 12.0
        };
        for k in 0..18 {
            let m = mean(&|n, p| at(n, p, k));
            assert!((found.input_mean[k] - m).abs() < 1e-5);
            for j in 0..18 {
                let expected =
                    mean(&|n, p| at(n, p, k) * at(n, p, j)) - m * mean(&|n, p| at(n, p, j));
                assert!((found.covariance[[k, j]] - expected).abs() < 1e-4);
            }
            let t = |n: usize, p: usize| f64::from(targets[n][[p / 2, p % 2, 1]]);
            let expected = mean(&|n, p| at(n, p, k) * t(n, p)) - m * mean(&t);
            assert!((found.cross[[1, k]] - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn depthwise_filters_see_their_channel() {
        let window = Window {
            kernel_height: 1,
            kernel_width: 1,
            stride_height: 1,
            stride_width: 1,
            padding: Padding::default(),
        };
        let weights = Array4::zeros((6, 1, 1, 1));
        let patches = Patches::new(ConvolutionKind::Depthwise, window, &weights);
        let (inputs, targets) = (images(2, (3, 3, 3)), images(2, (3, 3, 6)));
        let found = Moments::measure(&patches, &inputs, &targets, 100);
        assert_eq!(found.len(), 3);
        let mean = inputs
            .iter()
            .map(|i| i.slice(s![.., .., 2]).sum())
            .sum::<f32>()
            / 18.0;
        assert!((found[2].input_mean[0] - f64::from(mean)).abs() < 1e-5);
        let mean = targets
            .iter()
            .map(|i| i.slice(s![.., .., 5]).sum())
            .sum::<f32>()
            / 18.0;
        assert!((found[2].target_mean[1] - f64::from(mean)).abs() < 1e-5);
    }

    #[test]
    fn a_sample_of_pixels_covers_the_image() {
        let targets = images(64, (8, 8, 1));
        let rows = sample(&targets, 0, 7);
        assert_eq!(rows.len(), 64 * 7);
        let seen: std::collections::HashSet<_> = rows.iter().map(|r| (r.1, r.2)).collect();
        assert_eq!(seen.len(), 64);
    }
}
