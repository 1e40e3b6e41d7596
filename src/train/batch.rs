//! Batches: the images in a new order each epoch, flipped and shifted.

use ndarray::{Array4, ArrayViewMut3, Axis};
use serde::{Deserialize, Serialize};

use crate::model::data::{DataError, Dataset, Images};
use crate::model::float::FloatNetwork;

/// How images are changed, so that a network is not trained on the same ones every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// Not at all.
    None,
    /// By up to an eighth of the sides, the border repeated.
    Shift,
    /// As `Shift`, and mirrored left to right half the time.
    FlipShift,
}

impl Augmentation {
    /// The strongest that a data set allows: features that are no pixels are taken as they are, and
    /// pictures of one channel (digits, letters) are not mirrored.
    #[must_use]
    pub fn for_data(data: &Dataset) -> Self {
        match (&data.images, data.shape().channels) {
            (Images::Pixels(_), 3) => Self::FlipShift,
            (Images::Pixels(_), _) => Self::Shift,
            _ => Self::None,
        }
    }
}

/// SplitMix64 (Steele et al., OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of one epoch.
    pub(crate) fn of_epoch(seed: u64, epoch: usize) -> Self {
        let mut random = Self(seed);
        let start = random.next() ^ epoch as u64;
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// In `0..count`; 0 for none. (The modulo's bias is below 2^-32 for any data set.)
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % (count.max(1) as u64)).unwrap_or(0)
    }

    /// `0..count` in random order (Fisher and Yates).
    pub(crate) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            order.swap(place, self.below(place + 1));
        }
        order
    }
}

/// The real inputs `[n, h, w, c]` of some images, changed.
///
/// # Errors
/// As [`Dataset::reals_for`].
pub(crate) fn load(
    network: &FloatNetwork,
    data: &Dataset,
    indices: &[usize],
    augmentation: Augmentation,
    random: &mut Random,
) -> Result<Array4<f32>, DataError> {
    let shape = network.tensors[network.input].shape;
    let dim = (indices.len(), shape.height, shape.width, shape.channels);
    let mut batch = Array4::zeros(dim);
    for (index, mut to) in indices.iter().zip(batch.outer_iter_mut()) {
        let image = data.reals_for(network, *index..*index + 1)?;
        let image = image.index_axis(Axis(0), 0);
        to.assign(&image);
        if augmentation != Augmentation::None {
            let mut shift = |side: usize| {
                let most = side / 8;
                let drawn = random.below(2 * most + 1);
                (drawn, most)
            };
            let (rows, columns) = (shift(shape.height), shift(shape.width));
            let mirrored = random.below(2) == 1 && augmentation == Augmentation::FlipShift;
            change(&mut to, rows, columns, mirrored);
        }
    }
    Ok(batch)
}

/// Shifts by `drawn - most` rows and columns, and mirrors.
fn change(
    image: &mut ArrayViewMut3<'_, f32>,
    rows: (usize, usize),
    columns: (usize, usize),
    mirrored: bool,
) {
    let (height, width, channels) = image.dim();
    let source = image.to_owned();
    let from = |at: usize, (drawn, most): (usize, usize), side: usize| {
        (at + drawn).saturating_sub(most).min(side - 1)
    };
    for row in 0..height {
        let source_row = from(row, rows, height);
        for column in 0..width {
            let mut source_column = from(column, columns, width);
            if mirrored {
                source_column = width - 1 - source_column;
            }
            for channel in 0..channels {
                image[[row, column, channel]] = source[[source_row, source_column, channel]];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn an_order_holds_every_image_once_and_depends_on_seed_and_epoch() {
        let order = |seed, epoch| Random::of_epoch(seed, epoch).order(100);
        let mut sorted = order(1, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    #[test]
    fn images_are_shifted_with_their_border_and_mirrored() {
        let image = |values: [f32; 4]| {
            Array3::from_shape_vec((1, 4, 1), values.to_vec()).expect("four pixels")
        };
        let mut shifted = image([1.0, 2.0, 3.0, 4.0]);
        change(&mut shifted.view_mut(), (0, 0), (2, 1), false);
        assert_eq!(shifted, image([2.0, 3.0, 4.0, 4.0]));
        change(&mut shifted.view_mut(), (0, 0), (0, 1), true);
        assert_eq!(shifted, image([4.0, 4.0, 4.0, 3.0]));
    }
}
