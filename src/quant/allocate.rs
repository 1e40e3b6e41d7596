//! Which width for which filter: the least total sensitivity within a budget of MACs x bits.

use super::knapsack::{self, Choice, Solution};

/// Widths 0..=8.
pub const WIDTHS: usize = 9;

/// Something that gets one width: a filter, or a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Cost of one bit (multiply-accumulates an image).
    pub cost_per_bit: u64,
    /// Loss at each width.
    pub sensitivity: [f64; WIDTHS],
}

/// Widths and how good they provably are.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// One width a unit.
    pub bits: Vec<u8>,
    /// Sum of cost_per_bit x bits; at most the limit.
    pub cost: u64,
    /// Sum of sensitivities.
    pub sensitivity: f64,
    /// No allocation within the limit has a smaller sum of sensitivities than this (Lagrangian dual).
    pub lower_bound: f64,
}

/// The allocation of `low..=high` bits to every unit with the least total sensitivity whose cost is at
/// most `limit`, up to the gap to its bound. `None` when even `low` bits everywhere cost more.
#[must_use]
pub fn allocate(units: &[Unit], limit: u64, low: u8, high: u8) -> Option<Allocation> {
    knapsack::solve(&groups(units, low, high), limit).map(|found| widths(found, low))
}

/// As [`allocate`], without a gap. `None` also when more than `labels_max` partial solutions have to be held
/// at once ([`knapsack::exact`]).
#[must_use]
pub fn allocate_exactly(
    units: &[Unit],
    limit: u64,
    (low, high): (u8, u8),
    labels_max: usize,
) -> Option<Allocation> {
    knapsack::exact(&groups(units, low, high), limit, labels_max).map(|found| widths(found, low))
}

fn groups(units: &[Unit], low: u8, high: u8) -> Vec<Vec<Choice>> {
    let choices = |unit: &Unit| {
        (low..=high)
            .map(|bits| Choice {
                cost: unit.cost_per_bit * u64::from(bits),
                loss: unit.sensitivity[usize::from(bits)],
            })
            .collect()
    };
    units.iter().map(choices).collect()
}

fn widths(found: Solution, low: u8) -> Allocation {
    // A pick is at most 8.
    #[allow(clippy::cast_possible_truncation)]
    let bits = found.picks.iter().map(|pick| low + *pick as u8).collect();
    Allocation {
        bits,
        cost: found.cost,
        sensitivity: found.loss,
        lower_bound: found.lower_bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best_by_enumeration(units: &[Unit], limit: u64, high: u8) -> f64 {
        let mut best = f64::INFINITY;
        let choices = usize::from(high) + 1;
        for code in 0..choices.pow(u32::try_from(units.len()).expect("few units")) {
            let (mut rest, mut cost, mut loss) = (code, 0, 0.0);
            for unit in units {
                let b = rest % choices;
                rest /= choices;
                cost += unit.cost_per_bit * b as u64;
                loss += unit.sensitivity[b];
            }
            if cost <= limit {
                best = best.min(loss);
            }
        }
        best
    }

    proptest! {
        #[test]
        fn within_budget_and_between_the_bounds(
            raw in prop::collection::vec((1_u64..20, prop::array::uniform9(0.0_f64..1.0)), 1..5),
            part in 0.0_f64..1.2,
        ) {
            let units: Vec<Unit> = raw
                .into_iter()
                .map(|(cost_per_bit, sensitivity)| Unit { cost_per_bit, sensitivity })
                .collect();
            let total: u64 = units.iter().map(|unit| unit.cost_per_bit * 4).sum();
            let limit = (total as f64 * part) as u64;
            let found = allocate(&units, limit, 0, 4).expect("zero bits always fit");
            let cost: u64 = units.iter().zip(&found.bits).map(|(u, b)| u.cost_per_bit * u64::from(*b)).sum();
            prop_assert_eq!(cost, found.cost);
            prop_assert!(cost <= limit);
            let best = best_by_enumeration(&units, limit, 4);
            prop_assert!(found.lower_bound <= best + 1e-9);
            prop_assert!(found.sensitivity >= best - 1e-9);
        }
    }

    #[test]
    fn convex_units_get_the_optimum() {
        let unit = |cost, scale: f64| Unit {
            cost_per_bit: cost,
            sensitivity: std::array::from_fn(|b| scale * 0.25_f64.powi(b as i32)),
        };
        let units = [unit(1, 1.0), unit(1, 64.0), unit(1, 4.0)];
        let found = allocate(&units, 13, 0, 8).expect("fits");
        assert_eq!(found.bits, [3, 6, 4]);
        let best = best_by_enumeration(&units, 13, 8);
        assert!((found.sensitivity - best).abs() < 1e-12);
    }

    #[test]
    fn the_minimum_may_not_fit() {
        let units = [Unit {
            cost_per_bit: 10,
            sensitivity: [0.0; WIDTHS],
        }];
        assert!(allocate(&units, 19, 2, 8).is_none());
        assert_eq!(allocate(&units, 20, 2, 8).expect("fits").bits, [2]);
    }
}
