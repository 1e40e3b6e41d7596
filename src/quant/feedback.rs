//! Rounding of one filter under the covariance H of its inputs: error feedback, then coordinate descent.
//!
//! Sources: error feedback is GPTQ (Frantar et al., ICLR 2023, algorithm 1, with inputs in order of
//! falling variance), which is Optimal Brain Surgeon for rounding; coordinate descent on the same
//! form removes what its fixed order leaves; the step is the form's least-squares solution.

use ndarray::{Array2, ArrayView2};

use super::filter::nearest_level;
use super::linear::inverse_factor;

/// H with the factor that error feedback needs.
#[derive(Debug, Clone)]
pub(super) struct Full {
    form: Array2<f64>,
    /// Inputs by falling variance.
    order: Vec<usize>,
    /// `inverse_factor` of H in this order.
    feedback: Array2<f64>,
}

impl Full {
    /// The covariance `form` (`[K, K]`) with `variance` on its diagonal; none where it has no factor.
    pub(super) fn new(form: ArrayView2<f64>, variance: &[f64]) -> Option<Self> {
        let size = form.nrows();
        let mut form = form.as_standard_layout().into_owned();
        for (i, variance) in variance.iter().enumerate() {
            form[[i, i]] = *variance;
        }
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|a, b| variance[*b].total_cmp(&variance[*a]));
        let permuted = Array2::from_shape_fn((size, size), |(i, j)| form[[order[i], order[j]]]);
        inverse_factor(permuted.view()).map(|feedback| Self {
            form,
            order,
            feedback,
        })
    }

    /// H.
    pub(super) fn form(&self) -> &Array2<f64> {
        &self.form
    }

    /// `H x`.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; x.len()];
        for (row, &value) in self.form.outer_iter().zip(x) {
            if value != 0.0 {
                product
                    .iter_mut()
                    .zip(row)
                    .for_each(|(p, h)| *p += h * value);
            }
        }
        product
    }

    /// Integers and step, from `step` on, for weights with `target` = `H w`.
    ///
    /// Error feedback, then three turns of coordinate descent and, if it is to be fitted, step fitting.
    pub(super) fn round(
        &self,
        weights: &[f64],
        target: &[f64],
        bits: u8,
        step: f64,
        fit: bool,
    ) -> (Vec<i8>, f64) {
        let mut levels = self.feed_back(weights, bits, step);
        let mut step = step;
        for _turn in 0..3 {
            let values: Vec<f64> = levels.iter().map(|q| f64::from(*q)).collect();
            let mut product = self.apply(&values);
            self.descend(&mut levels, &mut product, target, bits, step);
            let values = levels.iter().map(|q| f64::from(*q));
            let (mut cross, mut square) = (0.0, 0.0);
            for (index, q) in values.enumerate() {
                cross += q * target[index];
                square += q * product[index];
            }
            if !fit || cross <= 0.0 || square <= 0.0 {
                break;
            }
            let fitted = cross / square;
            let settled = (fitted - step).abs() < 1e-4 * step;
            step = fitted;
            if settled {
                break;
            }
        }
        (levels, step)
    }

    fn feed_back(&self, weights: &[f64], bits: u8, step: f64) -> Vec<i8> {
        let mut current: Vec<f64> = self.order.iter().map(|&index| weights[index]).collect();
        let mut levels = vec![0; weights.len()];
        for (position, row) in self.feedback.outer_iter().enumerate() {
            let level = nearest_level(current[position] / step, bits);
            levels[self.order[position]] = level;
            let error = (current[position] - step * f64::from(level)) / row[position];
            if let Some(row) = row.as_slice() {
                current[position + 1..]
                    .iter_mut()
                    .zip(&row[position + 1..])
                    .for_each(|(w, u)| *w -= error * u);
            }
        }
        levels
    }

    /// Moves single weights to their best level, the others held, until none moves (at most 20 sweeps).
    /// `product` is `H q` and is kept so.
    fn descend(&self, q: &mut [i8], product: &mut [f64], target: &[f64], bits: u8, step: f64) {
        for _sweep in 0..20 {
            let mut moved = false;
            for index in 0..q.len() {
                let curvature = self.form[[index, index]];
                let residual = step * product[index] - target[index];
                let wanted = f64::from(q[index]) - residual / (step * curvature);
                let level = nearest_level(wanted, bits);
                if level == q[index] {
                    continue;
                }
                let change = f64::from(level) - f64::from(q[index]);
                // Ties would circle: demand a fall of the error.
                let fall = -change * (2.0 * residual + change * step * curvature);
                if fall <= 1e-12 * curvature * step {
                    continue;
                }
                q[index] = level;
                moved = true;
                product
                    .iter_mut()
                    .zip(self.form.row(index))
                    .for_each(|(p, h)| *p += h * change);
            }
            if !moved {
                break;
            }
        }
    }
}
