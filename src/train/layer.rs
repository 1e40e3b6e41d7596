//! A convolution in training: what it learns, and what it is rounded to.

use ndarray::{Array1, Array4};

use super::cost::Cost;
use super::filters::{Grid, RANGE_STEPS_MAX, weight_behind};
use super::optimizer::{Moments, Rate};
use crate::model::float::{FloatLayer, FloatNetwork};
use crate::model::integer::IntegerConvolution;
use crate::quant::emit::{RoundedConvolution, round_bias, smallest_step, step_of_zeros};
use crate::quant::filter::levels;
use crate::quant::range::Affine;

/// Unit of a bias' updates, in levels of the layer's output.
const BIAS_UNIT: f32 = 16.0;
/// Updates of a step of fixed width, against those of its weights: a step moves all weights of its filter at once and in
/// proportion, so at their pace its noise outweighs what the weights learn. While widths are learned steps have to
/// double within an epoch, and keep the full pace.
const STEP_PACE: f32 = 0.05;

/// Filters in training; weights are in the order `[out, row, column, in]`.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) dim: [usize; 4],
    pub(crate) macs_per_filter: u64,
    input: Affine,
    output: Affine,
    pub(crate) learned: Learned,
    /// Width of each filter; of learned widths those that the ranges stand for.
    pub(crate) bits: Vec<u8>,
    /// Whether the widths follow the ranges.
    pub(crate) widths_learned: bool,
}

/// What changes in training, with the moments of its gradients: exactly what a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Learned {
    /// Weights, biases (real), steps, ranges.
    pub(crate) values: [Vec<f32>; 4],
    pub(crate) moments: [Moments; 4],
}

const WEIGHTS: usize = 0;
const BIASES: usize = 1;
const STEPS: usize = 2;
const RANGES: usize = 3;

impl Layer {
    /// From a convolution and the integers that a post-training quantization made of it.
    pub(crate) fn new(
        network: &FloatNetwork,
        layer: &FloatLayer,
        weights: &Array4<f32>,
        start: &IntegerConvolution,
        affine: &[Affine],
        widths_learned: bool,
    ) -> Self {
        let (out, row, column, inputs) = start.weights.dim();
        let elements = row * column * inputs;
        let input = affine[layer.inputs[0]];
        let mut values = [const { Vec::new() }; 4];
        values[STEPS].clone_from(&start.weight_scale);
        let behind =
            weights
                .iter()
                .zip(&start.weights)
                .enumerate()
                .map(|(index, (weight, level))| {
                    let filter = index / elements;
                    weight_behind(
                        *weight,
                        *level,
                        start.weight_scale[filter],
                        start.bits[filter],
                    )
                });
        values[WEIGHTS] = behind.collect();
        values[BIASES] = start
            .bias
            .iter()
            .zip(&start.weight_scale)
            .map(|(bias, step)| *bias as f32 * input.scale * step)
            .collect();
        values[RANGES] = start
            .weight_scale
            .iter()
            .zip(&start.bits)
            .map(|(step, bits)| step * f32::from(levels(*bits).1))
            .collect();
        let moments = [0, 1, 2, 3].map(|part: usize| Moments::new(values[part].len()));
        let mut layer = Self {
            name: layer.name.clone(),
            dim: [out, row, column, inputs],
            macs_per_filter: network.layer_macs(layer) / out.max(1) as u64,
            input,
            output: affine[layer.output],
            learned: Learned { values, moments },
            bits: start.bits.clone(),
            widths_learned,
        };
        layer.follow_ranges();
        layer
    }

    /// Weights of one filter.
    pub(crate) fn elements(&self) -> usize {
        self.dim[1] * self.dim[2] * self.dim[3]
    }

    pub(crate) fn add_cost(&self, cost: &mut Cost) {
        cost.add(self.macs_per_filter, self.elements() as u64, &self.bits);
    }

    fn grid(&self, filter: usize) -> Grid {
        if self.widths_learned {
            let range = self.learned.values[RANGES][filter];
            Grid::Learned { range }
        } else {
            Grid::Fixed(self.bits[filter])
        }
    }

    /// The integers that the layer stands for now.
    pub(crate) fn rounded(&self) -> RoundedConvolution {
        let [weights, biases, steps, _] = &self.learned.values;
        let elements = self.elements();
        let [out, row, column, inputs] = self.dim;
        let mut integers = Array4::zeros((out, row, column, inputs));
        let places = integers.iter_mut().zip(weights).enumerate();
        for (index, (to, weight)) in places {
            let filter = index / elements;
            *to = self.grid(filter).level(*weight, steps[filter]);
        }
        let step: Vec<f32> = (0..out).map(|filter| self.step(filter)).collect();
        let bias: Array1<i32> = biases
            .iter()
            .zip(&step)
            .map(|(bias, step)| {
                let unit = f64::from(self.input.scale) * f64::from(*step);
                round_bias(f64::from(*bias), unit)
            })
            .collect();
        RoundedConvolution {
            weights: integers,
            bits: self.bits.clone(),
            step,
            bias,
        }
    }

    fn step(&self, filter: usize) -> f32 {
        if self.bits[filter] == 0 {
            step_of_zeros(self.input, self.output)
        } else {
            self.learned.values[STEPS][filter]
        }
    }

    /// The real weights and biases that the integers stand for.
    pub(crate) fn effective(&self) -> (Vec<f32>, Vec<f32>) {
        let rounded = self.rounded();
        let elements = self.elements();
        let weights = rounded
            .weights
            .iter()
            .enumerate()
            .map(|(index, level)| rounded.step[index / elements] * f32::from(*level))
            .collect();
        let biases = rounded
            .bias
            .iter()
            .zip(&rounded.step)
            .map(|(bias, step)| *bias as f32 * self.input.scale * step)
            .collect();
        (weights, biases)
    }

    /// One update from the gradients by the effective weights and biases; `bit_price` is the penalty's gradient
    /// by one bit of one filter.
    #[allow(clippy::cast_possible_truncation)] // Gradients are f32.
    pub(crate) fn update(
        &mut self,
        mut weights: Vec<f32>,
        biases: &[f32],
        bit_price: f64,
        rate: Rate,
    ) {
        let elements = self.elements();
        let filters = self.dim[0];
        let mut steps = vec![0.0; filters];
        let mut ranges = vec![0.0; filters];
        for filter in 0..filters {
            let own = filter * elements..(filter + 1) * elements;
            let grid = self.grid(filter);
            let step = self.learned.values[STEPS][filter];
            let values = &self.learned.values[WEIGHTS][own.clone()];
            let by_loss = grid.backward(values, step, &mut weights[own]);
            let by_bits = grid.bits_gradient(step);
            steps[filter] = (by_loss.step + bit_price * by_bits.step) as f32;
            ranges[filter] = (by_loss.range + bit_price * by_bits.range) as f32;
        }
        let unit = self.learned.values[STEPS].clone();
        let pace = if self.widths_learned { 1.0 } else { STEP_PACE };
        let bias_unit = BIAS_UNIT * self.output.scale;
        let Learned { values, moments } = &mut self.learned;
        moments[WEIGHTS].update(
            &mut values[WEIGHTS],
            &weights,
            |index| unit[index / elements],
            rate,
        );
        moments[BIASES].update(&mut values[BIASES], biases, |_| bias_unit, rate);
        moments[STEPS].update(
            &mut values[STEPS],
            &steps,
            |filter| unit[filter] * pace,
            rate,
        );
        if self.widths_learned {
            moments[RANGES].update(&mut values[RANGES], &ranges, |filter| unit[filter], rate);
        }
        self.hold();
        self.follow_ranges();
    }

    /// Keeps steps positive and large enough for the bias, ranges within eight bits, and weights within reach
    /// of their levels.
    #[allow(clippy::cast_possible_truncation)] // Steps are f32.
    fn hold(&mut self) {
        let elements = self.elements();
        for filter in 0..self.dim[0] {
            let grid = self.grid(filter);
            let [weights, biases, steps, ranges] = &mut self.learned.values;
            if grid == Grid::Fixed(0) {
                continue;
            }
            let least = smallest_step(f64::from(biases[filter]), self.input) as f32;
            steps[filter] = steps[filter].max(least).max(f32::MIN_POSITIVE * 1e6);
            let step = steps[filter];
            ranges[filter] = ranges[filter].clamp(0.0, step * RANGE_STEPS_MAX);
            if let Grid::Fixed(bits) = grid {
                let (low, high) = levels(bits);
                let reach = (f32::from(low) - 0.5, f32::from(high) + 0.5);
                for weight in &mut weights[filter * elements..(filter + 1) * elements] {
                    *weight = weight.clamp(reach.0 * step, reach.1 * step);
                }
            }
        }
    }

    fn follow_ranges(&mut self) {
        if self.widths_learned {
            for filter in 0..self.dim[0] {
                self.bits[filter] = self.grid(filter).bits(self.learned.values[STEPS][filter]);
            }
        }
    }

    /// How far into its width a learned filter's range reaches, in (0, 1]: the smaller, the less is lost when
    /// the filter is given one bit less. `None` where it cannot be.
    pub(crate) fn reach(&self, filter: usize) -> Option<f64> {
        let bits = self.bits[filter];
        if bits == 0 {
            return None;
        }
        let [_, _, steps, ranges] = &self.learned.values;
        let exact = f64::from(ranges[filter] / steps[filter] + 1.0).log2() + 1.0;
        Some(exact - f64::from(bits) + 1.0)
    }

    /// Gives a filter the next smaller width over the same range; from two bits none.
    pub(crate) fn narrow(&mut self, filter: usize) {
        let bits = self.bits[filter].saturating_sub(1);
        self.bits[filter] = if bits < 2 { 0 } else { bits };
        let [_, _, steps, ranges] = &mut self.learned.values;
        let most = f32::from(levels(self.bits[filter]).1);
        if most > 0.0 {
            steps[filter] = ranges[filter] / most;
        }
    }

    /// Keeps the present widths from now on.
    pub(crate) fn settle(&mut self) {
        self.widths_learned = false;
    }
}
