//! Adam (Kingma and Ba, ICLR 2015) on plain arrays, with the unit of every parameter stated: an update moves
//! a parameter by about `rate` units, whatever the scale of its layer.

use serde::{Deserialize, Serialize};

const MEAN_DECAY: f64 = 0.9;
const SQUARE_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-12;

/// Running moments of the gradients of one array of parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f32>,
    pub(crate) square: Vec<f32>,
}

/// The present update's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    /// Units.
    pub(crate) rate: f64,
    /// This update's number, from 1.
    pub(crate) update: u32,
}

impl Moments {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            mean: vec![0.0; count],
            square: vec![0.0; count],
        }
    }

    /// Moves `values` against `gradients`; `unit` gives the unit of each value.
    #[allow(clippy::cast_possible_truncation)] // Moments and parameters are kept as f32.
    pub(crate) fn update(
        &mut self,
        values: &mut [f32],
        gradients: &[f32],
        unit: impl Fn(usize) -> f32,
        Rate { rate, update }: Rate,
    ) {
        let update = i32::try_from(update).unwrap_or(i32::MAX);
        let mean_part = 1.0 - MEAN_DECAY.powi(update);
        let square_part = 1.0 - SQUARE_DECAY.powi(update);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for (index, ((value, gradient), (mean, square))) in
            values.iter_mut().zip(gradients).zip(moments).enumerate()
        {
            let gradient = f64::from(*gradient);
            *mean = (MEAN_DECAY * f64::from(*mean) + (1.0 - MEAN_DECAY) * gradient) as f32;
            *square = (SQUARE_DECAY * f64::from(*square)
                + (1.0 - SQUARE_DECAY) * gradient * gradient) as f32;
            let direction = (f64::from(*mean) / mean_part)
                / ((f64::from(*square) / square_part).sqrt() + EPSILON);
            *value -= (rate * direction) as f32 * unit(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_update_is_one_rate_against_the_gradient_and_the_minimum_is_found() {
        let mut values = [5.0_f32, -3.0];
        let mut moments = Moments::new(2);
        for update in 1..=2000 {
            let gradients = [values[0] - 1.0, 10.0 * (values[1] - 2.0)];
            let rate = Rate { rate: 0.01, update };
            moments.update(&mut values, &gradients, |_| 1.0, rate);
            if update == 1 {
                assert!((values[0] - 4.99).abs() < 1e-5 && (values[1] + 2.99).abs() < 1e-5);
            }
        }
        assert!((values[0] - 1.0).abs() < 0.02 && (values[1] - 2.0).abs() < 0.02);
    }
}
