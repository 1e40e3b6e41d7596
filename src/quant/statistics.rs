//! Second moments of a convolution's inputs and targets over the calibration images.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::filter::Metric;
use crate::model::float::{ConvolutionKind, Shape, Window};

/// Where the filters of a convolution take their inputs from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patches {
    kind: ConvolutionKind,
    window: Window,
    kernel: (usize, usize),
    inputs: usize,
    channels: usize,
    filters: usize,
}

impl Patches {
    /// Of a convolution over an input of `channels` channels.
    pub(crate) fn new(
        kind: ConvolutionKind,
        window: Window,
        weights: &Array4<f32>,
        channels: usize,
    ) -> Self {
        let (filters, rows, columns, inputs) = weights.dim();
        Self {
            kind,
            window,
            kernel: (rows, columns),
            inputs,
            channels,
            filters,
        }
    }

    /// Groups of filters that share their inputs.
    fn groups(&self) -> usize {
        match self.kind {
            // One a channel.
            ConvolutionKind::Depthwise => self.channels,
            _ => 1,
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

/// What moments are made of, for one group.
#[derive(Clone)]
pub(crate) struct Sums {
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
            squares(x).insert_axis(Axis(0))
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

    /// Of a block of images, from number `first` on: as [`Moments::measure`], one for each group.
    pub(crate) fn of_block(
        patches: &Patches,
        sampling: Sampling,
        first: usize,
        images: &[&Array3<f32>],
        targets: ArrayView2<f32>,
    ) -> Vec<Self> {
        let groups = patches.groups();
        let filters = patches.filters / groups.max(1);
        let mut x = Array2::zeros((targets.nrows(), patches.elements()));
        (0..groups)
            .map(|group| {
                let mut row = x.outer_iter_mut();
                for (index, image) in images.iter().enumerate() {
                    for (place, mut row) in sampling.places(first + index).zip(row.by_ref()) {
                        if let Some(row) = row.as_slice_mut() {
                            patches.gather(&image.view(), place, group, row);
                        }
                    }
                }
                let own = group * filters..(group + 1) * filters;
                Self::of(&x, &targets.slice(s![.., own]).to_owned())
            })
            .collect()
    }

    /// Adds the sums of a block to those of all blocks before.
    pub(crate) fn merge(total: &mut Vec<Self>, block: &[Self]) {
        if total.is_empty() {
            *total = block.to_vec();
        } else {
            total.iter_mut().zip(block).for_each(|(t, b)| t.add(b));
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

    pub(crate) fn moments(self) -> Moments {
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

/// The output pixels of each image that count: at most so many, evenly spread, others in every image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    width: usize,
    pixels: usize,
    /// Pixels of an image that count.
    pub(crate) count: usize,
}

impl Sampling {
    pub(crate) fn new(output: Shape, pixels_max: usize) -> Self {
        let pixels = output.height * output.width;
        Self {
            width: output.width.max(1),
            pixels,
            count: pixels.min(pixels_max),
        }
    }

    /// Row and column of the pixels of image number `image`.
    fn places(self, image: usize) -> impl Iterator<Item = (usize, usize)> {
        // Another offset for each image, so that all pixels are seen.
        let offset = image * 7919;
        (0..self.count).map(move |index| {
            let pixel = (index * self.pixels / self.count + offset) % self.pixels;
            (pixel / self.width, pixel % self.width)
        })
    }

    /// What counts of `outputs` `[h, w, filters]`, images from number `first` on: `[images x count, filters]`.
    pub(crate) fn gather(self, first: usize, outputs: &[Array3<f32>]) -> Array2<f32> {
        let filters = outputs.first().map_or(0, |output| output.dim().2);
        let mut rows = Array2::zeros((outputs.len() * self.count, filters));
        let mut row = rows.outer_iter_mut();
        for (image, output) in outputs.iter().enumerate() {
            for (place, mut row) in self.places(first + image).zip(row.by_ref()) {
                row.assign(&output.slice(s![place.0, place.1, ..]));
            }
        }
        rows
    }
}

impl Moments {
    /// Over the pixels that `sampling` takes of `images` (inputs `[h, w, c]`), with the `targets` at these
    /// pixels `[images x count, filters]`; one result for each group of filters that share their inputs (one,
    /// or one a channel for depthwise). The result does not depend on the number of threads.
    pub(crate) fn measure(
        patches: &Patches,
        sampling: Sampling,
        images: &[&Array3<f32>],
        targets: ArrayView2<f32>,
    ) -> Vec<Self> {
        let step = (ROWS_PER_BLOCK / sampling.count.max(1)).max(1);
        let blocks: Vec<usize> = (0..images.len()).step_by(step).collect();
        let mut total = Vec::new();
        for round in blocks.chunks(rayon::current_num_threads().max(1)) {
            let found: Vec<Vec<Sums>> = round
                .par_iter()
                .map(|&start| {
                    let end = (start + step).min(images.len());
                    let rows = start * sampling.count..end * sampling.count;
                    let targets = targets.slice(s![rows, ..]);
                    Sums::of_block(patches, sampling, start, &images[start..end], targets)
                })
                .collect();
            found
                .iter()
                .for_each(|found| Sums::merge(&mut total, found));
        }
        total.into_iter().map(Sums::moments).collect()
    }

    /// As [`Moments::measure`] of inputs that are all 0: the means of the targets alone.
    pub(crate) fn of_targets(patches: &Patches, targets: ArrayView2<f32>) -> Vec<Self> {
        let groups = patches.groups();
        let filters = patches.filters / groups.max(1);
        let rows = targets.nrows().max(1) as f64;
        let mean: Vec<f64> = targets
            .axis_iter(Axis(1))
            .map(|values| values.iter().map(|v| f64::from(*v)).sum::<f64>() / rows)
            .collect();
        mean.chunks(filters.max(1))
            .map(|mean| Self {
                input_mean: Array1::zeros(patches.elements()),
                covariance: Array2::zeros((1, patches.elements())),
                target_mean: mean.iter().copied().collect(),
                target_variance: Array1::zeros(mean.len()),
                cross: Array2::zeros((mean.len(), patches.elements())),
            })
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

    /// On all pixels.
    fn measure(patches: &Patches, inputs: &[Array3<f32>], targets: &[Array3<f32>]) -> Vec<Moments> {
        let (height, width, channels) = targets[0].dim();
        let shape = Shape {
            height,
            width,
            channels,
        };
        let sampling = Sampling::new(shape, 100);
        let rows = sampling.gather(0, targets);
        Moments::measure(
            patches,
            sampling,
            &inputs.iter().collect::<Vec<_>>(),
            rows.view(),
        )
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
        let patches = Patches::new(ConvolutionKind::Dense, window, &weights, 2);
        let (inputs, targets) = (images(3, (4, 4, 2)), images(3, (2, 2, 2)));
        let found = &measure(&patches, &inputs, &targets)[0];

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
        let patches = Patches::new(ConvolutionKind::Depthwise, window, &weights, 3);
        let (inputs, targets) = (images(2, (3, 3, 3)), images(2, (3, 3, 6)));
        let found = measure(&patches, &inputs, &targets);
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
        let shape = Shape {
            height: 8,
            width: 8,
            channels: 1,
        };
        let sampling = Sampling::new(shape, 7);
        let mut seen = std::collections::HashSet::new();
        for image in 0..64 {
            let places: Vec<_> = sampling.places(image).collect();
            assert_eq!(places.len(), 7);
            seen.extend(places);
        }
        assert_eq!(seen.len(), 64);
    }

    #[test]
    fn means_of_targets_need_no_inputs() {
        let window = Window {
            kernel_height: 1,
            kernel_width: 1,
            stride_height: 1,
            stride_width: 1,
            padding: Padding::default(),
        };
        let patches = Patches::new(
            ConvolutionKind::Depthwise,
            window,
            &Array4::zeros((6, 1, 1, 1)),
            3,
        );
        let targets = Array2::from_shape_fn((4, 6), |(row, filter)| (row * filter) as f32);
        let found = Moments::of_targets(&patches, targets.view());
        assert_eq!(found.len(), 3);
        for (filter, mean) in (0..6).map(|filter| (filter, 1.5 * filter as f64)) {
            assert_eq!(
                found[filter / 2].bias(filter % 2, Array1::ones(1).view()),
                mean
            );
        }
    }
}
