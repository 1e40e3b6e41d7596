//! What each filter loses at each width, and the widths chosen from it.

use ndarray::{Array2, Array3, ArrayView2, s};
use rayon::prelude::*;

use super::allocate::{self, Unit, WIDTHS};
use super::calibration::Calibration;
use super::distribution::{self, Spread};
use super::filter::{FilterMethod, Metric};
use super::rounding::filter_rows;
use super::statistics::Moments;
use super::{Allocation, Objective, Options, QuantError};
use crate::model::float::{FloatNetwork, FloatOp};

/// What makes the losses of different layers comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Squared error of the weights, each rounded to nearest, as a part of the layer's weights: no image counts.
    Weights,
    /// Output variance that the rounding adds, whatever the layer.
    Output,
    /// Output variance that the rounding adds, as a part of the layer's output variance.
    Energy,
    /// Loss of the network's output distribution (Kullback-Leibler divergence to second order): added
    /// variance times the Fisher information of each filter's output.
    Fisher,
}

/// Losses of one convolution's filters.
#[derive(Debug, Clone)]
pub(crate) struct LayerLoss {
    pub(crate) macs_per_filter: u64,
    pub(crate) weights_per_filter: u64,
    /// Output variance added at each width, a filter.
    error: Vec<[f64; WIDTHS]>,
    /// Variance of the layer's output, summed over filters.
    energy: f64,
    /// Spread of the weights, a filter.
    pub(crate) spread: Vec<Spread>,
    /// Loss at each width, a filter.
    loss: Vec<[f64; WIDTHS]>,
    /// Every way from the network's input to its output goes through this layer.
    on_every_path: bool,
}

impl LayerLoss {
    /// Added variance over output variance at the given widths.
    pub(crate) fn relative_error(&self, bits: &[u8]) -> f64 {
        let added: f64 = self
            .error
            .iter()
            .zip(bits)
            .map(|(e, b)| e[usize::from(*b)])
            .sum();
        if self.energy > 0.0 {
            added / self.energy
        } else {
            0.0
        }
    }

    pub(crate) fn units(&self, objective: Objective) -> impl Iterator<Item = Unit> + '_ {
        let cost_per_bit = match objective {
            Objective::Time => self.macs_per_filter,
            Objective::Size => self.weights_per_filter,
        };
        self.loss.iter().map(move |loss| Unit {
            cost_per_bit,
            sensitivity: *loss,
        })
    }
}

/// The losses of every convolution after rounding as `options` has it; `None` for other layers.
pub(crate) fn measure(
    network: &FloatNetwork,
    images: &[Array3<f32>],
    found: &Calibration,
    options: &Options,
) -> Result<Vec<Option<LayerLoss>>, QuantError> {
    let information = match options.weighting {
        Weighting::Fisher => found.information(network, images)?,
        _ => &[],
    };
    let losses: Vec<Option<LayerLoss>> = network
        .layers
        .iter()
        .zip(&found.moments)
        .enumerate()
        .map(|(index, (layer, moments))| {
            let FloatOp::Convolution { weights, .. } = &layer.op else {
                return None;
            };
            let rows = filter_rows(weights);
            let error = added_variance(&rows, moments, options);
            let shape = network.tensors[layer.output].shape;
            let variance = moments.iter().map(|moments| moments.target_variance.sum());
            let energy: f64 = variance.sum();
            let part_of = |whole: f64| if whole > 0.0 { 1.0 / whole } else { 0.0 };
            let scaled = |errors: &[[f64; WIDTHS]], factor: f64| {
                errors.iter().map(|e| e.map(|e| e * factor)).collect()
            };
            let loss = match options.weighting {
                Weighting::Weights => {
                    let whole = rows.iter().map(|w| w * w).sum();
                    scaled(&weight_errors(&rows), part_of(whole))
                }
                Weighting::Output => error.clone(),
                Weighting::Energy => scaled(&error, part_of(energy)),
                Weighting::Fisher => error
                    .iter()
                    .zip(&information[index])
                    .map(|(error, information)| error.map(|e| 0.5 * e * information))
                    .collect(),
            };
            Some(LayerLoss {
                macs_per_filter: (shape.height * shape.width * rows.ncols()) as u64,
                weights_per_filter: rows.ncols() as u64,
                spread: rows
                    .outer_iter()
                    .map(|row| Spread::of(row.iter()))
                    .collect(),
                loss,
                error,
                energy,
                on_every_path: on_every_path(network, index),
            })
        })
        .collect();
    if options.weighting == Weighting::Fisher && pruned(&losses) == 0.0 {
        return Err(QuantError::NothingToLose);
    }
    Ok(losses)
}

/// Loss of all filters at 0 bits.
fn pruned(losses: &[Option<LayerLoss>]) -> f64 {
    let filters = losses.iter().flatten().flat_map(|layer| &layer.loss);
    filters.map(|loss| loss[0]).sum()
}

/// Whether the network's output depends on its input through this layer alone.
fn on_every_path(network: &FloatNetwork, layer: usize) -> bool {
    let mut reached = vec![false; network.tensors.len()];
    reached[network.input] = true;
    for (index, other) in network.layers.iter().enumerate() {
        reached[other.output] |= index != layer && other.inputs.iter().any(|t| reached[*t]);
    }
    !reached[network.output]
}

/// Output variance that each width adds, a filter.
fn added_variance(
    rows: &Array2<f64>,
    moments: &[Moments],
    options: &Options,
) -> Vec<[f64; WIDTHS]> {
    let filters_per_group = rows.nrows() / moments.len().max(1);
    moments
        .par_iter()
        .enumerate()
        .flat_map_iter(|(group, moments)| {
            let first = group * filters_per_group;
            let rows = rows.slice(s![first..first + filters_per_group, ..]);
            errors(&moments.metric(), rows, options.filter_method())
        })
        .collect()
}

/// Squared error of the weights themselves at each width, a filter.
fn weight_errors(rows: &Array2<f64>) -> Vec<[f64; WIDTHS]> {
    let metric = Metric::diagonal(&vec![1.0; rows.ncols()]);
    errors(&metric, rows.view(), FilterMethod::NEAREST)
}

fn errors(metric: &Metric, rows: ArrayView2<f64>, method: FilterMethod) -> Vec<[f64; WIDTHS]> {
    (0..rows.nrows())
        .into_par_iter()
        .map(|filter| {
            let weights = rows.row(filter).to_vec();
            std::array::from_fn(|bits| {
                // 0..=8.
                #[allow(clippy::cast_possible_truncation)]
                let bits = bits as u8;
                metric.round(&weights, bits, method).error
            })
        })
        .collect()
}

/// Widths of all filters.
pub(crate) struct Plan {
    /// `[layer][filter]`; empty where the layer is no convolution.
    pub(crate) bits: Vec<Vec<u8>>,
    pub(crate) sensitivity: f64,
    pub(crate) sensitivity_bound: f64,
}

impl Plan {
    /// Widths that no search over losses has found, with the bound of the best ones of the same cost.
    pub(crate) fn fixed(
        bits: Vec<Vec<u8>>,
        losses: &[Option<LayerLoss>],
        options: &Options,
    ) -> Self {
        let filters = units(losses, options.objective);
        let cost = cost(&filters, &bits);
        let sensitivity = sensitivity(losses, &bits);
        let units: Vec<Unit> = filters.into_iter().flatten().collect();
        let best = allocate::allocate(&units, cost, 0, 8);
        let bound = best.map_or(sensitivity, |best| best.lower_bound);
        Self {
            bits,
            sensitivity,
            sensitivity_bound: f64::min(bound, sensitivity),
        }
    }
}

/// Widths `[convolution][filter]` from elsewhere, with the losses that they are estimated to cause.
pub(crate) fn given(
    network: &FloatNetwork,
    losses: &[Option<LayerLoss>],
    bits: &[Vec<u8>],
    options: &Options,
) -> Result<Plan, QuantError> {
    let expected = losses.iter().flatten().count();
    if bits.len() != expected {
        return Err(QuantError::WidthCount {
            what: "convolution".into(),
            expected,
            found: bits.len(),
        });
    }
    let mut given = bits.iter();
    let mut widths = Vec::with_capacity(losses.len());
    for (layer, loss) in network.layers.iter().zip(losses) {
        let own = loss.as_ref().and_then(|_| given.next().cloned());
        let own = own.unwrap_or_default();
        let expected = loss.as_ref().map_or(0, |loss| loss.error.len());
        if own.len() != expected {
            return Err(QuantError::WidthCount {
                what: format!("filter of layer '{}'", layer.name),
                expected,
                found: own.len(),
            });
        }
        if let Some(&highest) = own.iter().max().filter(|bits| **bits > 8) {
            let lowest = own.iter().min().copied().unwrap_or(0);
            return Err(QuantError::Widths { lowest, highest });
        }
        widths.push(own);
    }
    Ok(Plan::fixed(widths, losses, options))
}

/// What `plan` finds, but without layers all of whose filters have 0 bits where nothing goes past them, or (`everywhere`)
/// anywhere: losses to second order do not show that the output would be the same for every image. Where the budget has no room for
/// all their filters, those that lose most have a width.
pub(crate) fn whole(
    losses: &[Option<LayerLoss>],
    everywhere: bool,
    plan: impl Fn(&[Option<LayerLoss>]) -> Result<Plan, QuantError>,
) -> Result<Plan, QuantError> {
    let mut found = plan(losses)?;
    let more_than_all = 1.0 + pruned(losses);
    let mut spared = vec![false; losses.len()];
    loop {
        let is_cut = |layer: &Option<LayerLoss>, bits: &[u8]| {
            let must_not = layer
                .as_ref()
                .is_some_and(|l| everywhere || l.on_every_path);
            must_not && bits.iter().all(|bits| *bits == 0)
        };
        let before = spared.clone();
        for (spared, (layer, bits)) in spared.iter_mut().zip(losses.iter().zip(&found.bits)) {
            *spared |= is_cut(layer, bits);
        }
        if spared == before {
            return Ok(found);
        }
        let mut raised = losses.to_vec();
        let cut = raised
            .iter_mut()
            .zip(&spared)
            .filter(|(_, spared)| **spared);
        for loss in cut
            .filter_map(|(layer, _)| layer.as_mut())
            .flat_map(|l| &mut l.loss)
        {
            loss[0] += more_than_all;
        }
        let bits = plan(&raised)?.bits;
        let sensitivity = sensitivity(losses, &bits);
        found = Plan {
            bits,
            sensitivity,
            sensitivity_bound: f64::min(found.sensitivity_bound, sensitivity),
        };
    }
}

/// Loss of all filters at these widths.
fn sensitivity(losses: &[Option<LayerLoss>], bits: &[Vec<u8>]) -> f64 {
    let filters = losses.iter().flatten().flat_map(|layer| &layer.loss);
    filters
        .zip(bits.iter().flatten())
        .map(|(loss, bits)| loss[usize::from(*bits)])
        .sum()
}

/// The filters of every layer as units of an objective.
pub(crate) fn units(losses: &[Option<LayerLoss>], objective: Objective) -> Vec<Vec<Unit>> {
    losses
        .iter()
        .map(|loss| loss.iter().flat_map(|l| l.units(objective)).collect())
        .collect()
}

/// Sum of cost_per_bit x bits.
fn cost(filters: &[Vec<Unit>], bits: &[Vec<u8>]) -> u64 {
    let pairs = filters.iter().flatten().zip(bits.iter().flatten());
    pairs
        .map(|(unit, bits)| unit.cost_per_bit * u64::from(*bits))
        .sum()
}

/// Gives out widths as `options.allocation` asks.
pub(crate) fn plan(losses: &[Option<LayerLoss>], options: &Options) -> Result<Plan, QuantError> {
    let filters = units(losses, options.objective);
    let (budget, units): (f64, Vec<Unit>) = match options.allocation {
        Allocation::Uniform(bits) => {
            let bits = filters
                .iter()
                .map(|units| vec![bits; units.len()])
                .collect();
            return Ok(Plan::fixed(bits, losses, options));
        }
        Allocation::PerLayer(budget) => (budget, filters.iter().map(|u| merge(u)).collect()),
        Allocation::PerFilter(budget) | Allocation::Distribution(budget) => {
            (budget, filters.iter().flatten().cloned().collect())
        }
    };
    let unreachable = |lowest: f64| QuantError::Budget {
        budget,
        // Four digits, upwards: what is printed can be reached.
        lowest: (lowest * 1e4).ceil() / 1e4,
        highest: options.bits_max,
    };
    let lowest = f64::from(options.bits_min);
    if !(lowest..=f64::from(options.bits_max)).contains(&budget) {
        return Err(unreachable(lowest));
    }
    let total: u64 = units.iter().map(|unit| unit.cost_per_bit).sum();
    // At most 8 bits each: far inside u64, and positive.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let limit = (budget * total as f64).floor() as u64;
    if matches!(options.allocation, Allocation::Distribution(_)) {
        let cost = |bits: &[Vec<u8>]| Some(cost(&filters, bits));
        let bits = distribution::widths(losses, limit, options, &cost)
            .map_err(|lowest| unreachable(lowest.unwrap_or(0) as f64 / total.max(1) as f64))?;
        return Ok(Plan::fixed(bits, losses, options));
    }
    let found = allocate::allocate(&units, limit, options.bits_min, options.bits_max)
        .ok_or_else(|| unreachable(lowest))?;
    let mut widths = found.bits.iter();
    let per_layer = matches!(options.allocation, Allocation::PerLayer(_));
    let bits = filters
        .iter()
        .map(|units| {
            let take = if per_layer { 1 } else { units.len() };
            let taken: Vec<u8> = widths.by_ref().take(take).copied().collect();
            if per_layer {
                vec![taken.first().copied().unwrap_or(0); units.len()]
            } else {
                taken
            }
        })
        .collect();
    Ok(Plan {
        bits,
        sensitivity: found.sensitivity,
        sensitivity_bound: found.lower_bound,
    })
}

/// All filters of a layer as one unit.
fn merge(units: &[Unit]) -> Unit {
    Unit {
        cost_per_bit: units.iter().map(|unit| unit.cost_per_bit).sum(),
        sensitivity: std::array::from_fn(|b| units.iter().map(|unit| unit.sensitivity[b]).sum()),
    }
}
