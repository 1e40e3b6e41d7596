//! Widths within a budget that the processor's own cost function counts: the fill of tables, tiles that are
//! not full and chunks are seen, and planes that cost nothing are given away.
//!
//! Layers cost independently of each other. Within a layer all filters cost the same a plane, so the filters
//! take their planes in order of falling gain, whatever the price of a plane is: a layer has one row of
//! candidates, from its smallest widths to its largest. Every candidate's cost is asked for, and one
//! candidate a layer is chosen as a knapsack. Last, single filters are widened wherever that still fits,
//! which fills tiles whose time the tables' fill decides.

use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::allocate::Unit;
use super::distribution;
use super::knapsack::{self, Choice};
use super::sensitivity::{LayerLoss, Plan};
use super::{Objective, Options, QuantError};

/// What a network costs at given widths.
pub trait Cost: Sync {
    /// Planes that a filter of `layer` (an index into the network's layers, a convolution) takes at a width.
    fn planes(&self, layer: usize, bits: u8) -> u64;
    /// Cost an image of the convolution `layer` at these widths, one a filter; `None` where it cannot run.
    fn layer(&self, layer: usize, bits: &[u8]) -> Option<u64>;
    /// Cost an image of everything else.
    fn rest(&self) -> u64;
}

/// How widths are given to filters within a budget of cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// One width a layer.
    PerLayer,
    /// A width for every filter.
    PerFilter,
    /// A width for every filter from the weights' distribution alone.
    Distribution,
}

/// Candidates of a layer at most: the widening of single filters reaches what lies between them.
const CANDIDATES_MAX: usize = 160;
/// Partial solutions that the exact choice of candidates may hold at once.
const LABELS_MAX: usize = 1 << 16;

/// Widths of a layer's filters.
struct Candidate {
    bits: Vec<u8>,
    choice: Choice,
}

/// Widths whose cost is at most `limit`.
pub(crate) fn plan(
    losses: &[Option<LayerLoss>],
    options: &Options,
    scheme: Scheme,
    cost: &dyn Cost,
    limit: u64,
) -> Result<Plan, QuantError> {
    if scheme == Scheme::Distribution {
        let total = |bits: &[Vec<u8>]| total(losses, cost, bits);
        let bits = distribution::widths(losses, limit, options, &total)
            .map_err(|lowest| QuantError::Cost { limit, lowest })?;
        return Ok(Plan::fixed(bits, losses, options));
    }
    let layers: Vec<(usize, Vec<Unit>)> = losses
        .iter()
        .enumerate()
        .filter_map(|(layer, loss)| Some((layer, loss.as_ref()?.units(Objective::Time).collect())))
        .collect();
    let candidates: Vec<Vec<Candidate>> = layers
        .par_iter()
        .map(|(layer, units)| {
            let rows = match scheme {
                Scheme::PerLayer => (options.bits_min..=options.bits_max)
                    .map(|bits| vec![bits; units.len()])
                    .collect(),
                _ => row(units, options, &|bits| cost.planes(*layer, bits)),
            };
            let priced = |bits: Vec<u8>| {
                let choice = Choice {
                    cost: cost.layer(*layer, &bits)?,
                    loss: loss_of(units, &bits),
                };
                Some(Candidate { bits, choice })
            };
            rows.into_par_iter().filter_map(priced).collect()
        })
        .collect();
    let groups: Vec<Vec<Choice>> = candidates
        .iter()
        .map(|layer| layer.iter().map(|candidate| candidate.choice).collect())
        .collect();
    let unreachable = || {
        let least = |group: &Vec<Choice>| group.iter().map(|choice| choice.cost).min();
        let lowest = groups.iter().map(least).sum::<Option<u64>>();
        QuantError::Cost {
            limit,
            lowest: lowest.map(|sum| sum + cost.rest()),
        }
    };
    let room = limit.checked_sub(cost.rest()).ok_or_else(unreachable)?;
    let found = knapsack::exact(&groups, room, LABELS_MAX)
        .or_else(|| knapsack::solve(&groups, room))
        .ok_or_else(unreachable)?;
    let mut chosen: Vec<Chosen> = layers
        .into_iter()
        .zip(candidates)
        .zip(&found.picks)
        .map(|(((layer, units), mut candidates), pick)| {
            let Candidate { bits, choice } = candidates.swap_remove(*pick);
            Chosen {
                layer,
                units,
                bits,
                cost: choice.cost,
            }
        })
        .collect();
    if scheme == Scheme::PerFilter {
        widen(&mut chosen, cost, room, options.bits_max);
    }
    let sensitivity = chosen.iter().map(|c| loss_of(&c.units, &c.bits)).sum();
    let mut bits = vec![Vec::new(); losses.len()];
    for layer in chosen {
        bits[layer.layer] = layer.bits;
    }
    Ok(Plan {
        bits,
        sensitivity,
        sensitivity_bound: f64::min(found.lower_bound, sensitivity),
    })
}

/// Cost of all layers; `None` where one cannot run.
fn total(losses: &[Option<LayerLoss>], cost: &dyn Cost, bits: &[Vec<u8>]) -> Option<u64> {
    let layers = losses.iter().enumerate().zip(bits);
    let convolutions = layers.filter(|((_, loss), _)| loss.is_some());
    let sum: Option<u64> = convolutions
        .map(|((layer, _), bits)| cost.layer(layer, bits))
        .sum();
    Some(sum? + cost.rest())
}

fn loss_of(units: &[Unit], bits: &[u8]) -> f64 {
    let pairs = units.iter().zip(bits);
    pairs
        .map(|(unit, b)| unit.sensitivity[usize::from(*b)])
        .sum()
}

/// Widths of all filters from the smallest on, along the falling gain a plane.
fn row(units: &[Unit], options: &Options, planes: &dyn Fn(u8) -> u64) -> Vec<Vec<u8>> {
    let groups: Vec<Vec<Choice>> = units
        .iter()
        .map(|unit| {
            (options.bits_min..=options.bits_max)
                .map(|bits| Choice {
                    cost: planes(bits),
                    loss: unit.sensitivity[usize::from(bits)],
                })
                .collect()
        })
        .collect();
    let (start, steps) = knapsack::walk(&groups);
    // A pick is at most 8.
    #[allow(clippy::cast_possible_truncation)]
    let width = |pick: usize| options.bits_min + pick as u8;
    let mut bits: Vec<u8> = start.into_iter().map(width).collect();
    let stride = (steps.len() + 1).div_ceil(CANDIDATES_MAX);
    let mut rows = vec![bits.clone()];
    for (index, (filter, pick)) in steps.iter().enumerate() {
        bits[*filter] = width(*pick);
        if (index + 1) % stride == 0 || index + 1 == steps.len() {
            rows.push(bits.clone());
        }
    }
    rows
}

/// A layer and the widths it has been given so far.
struct Chosen {
    layer: usize,
    units: Vec<Unit>,
    bits: Vec<u8>,
    cost: u64,
}

/// A filter that could have a bit more.
struct Widening {
    gain: f64,
    chosen: usize,
    filter: usize,
    to: u8,
}

impl Widening {
    /// The next width of a filter that loses less.
    fn next(layers: &[Chosen], chosen: usize, filter: usize, high: u8) -> Option<Self> {
        let from = layers[chosen].bits[filter];
        let unit = &layers[chosen].units[filter];
        let loss = |bits: u8| unit.sensitivity[usize::from(bits)];
        let to = (from + 1..=high).find(|to| loss(*to) < loss(from))?;
        Some(Self {
            gain: loss(from) - loss(to),
            chosen,
            filter,
            to,
        })
    }
}

impl PartialEq for Widening {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Widening {}

impl PartialOrd for Widening {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Widening {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let places = (other.chosen, other.filter).cmp(&(self.chosen, self.filter));
        self.gain.total_cmp(&other.gain).then(places)
    }
}

/// Widens single filters in order of gain wherever the whole still costs at most `room`.
fn widen(layers: &mut [Chosen], cost: &dyn Cost, room: u64, high: u8) {
    let mut spent: u64 = layers.iter().map(|layer| layer.cost).sum();
    let mut open: BinaryHeap<Widening> = BinaryHeap::new();
    for (chosen, layer) in layers.iter().enumerate() {
        let filters = 0..layer.bits.len();
        open.extend(filters.filter_map(|filter| Widening::next(layers, chosen, filter, high)));
    }
    while let Some(Widening {
        chosen, filter, to, ..
    }) = open.pop()
    {
        let layer = &mut layers[chosen];
        let from = std::mem::replace(&mut layer.bits[filter], to);
        match cost.layer(layer.layer, &layer.bits) {
            Some(cost) if spent - layer.cost + cost <= room => {
                spent = spent - layer.cost + cost;
                layer.cost = cost;
                open.extend(Widening::next(layers, chosen, filter, high));
            }
            _ => layer.bits[filter] = from,
        }
    }
}
