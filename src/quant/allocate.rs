//! Which width for which filter: the least total sensitivity within a budget of MACs x bits.
//!
//! The Lagrangian `min_b S(b) + lambda c(b)` visits, as lambda falls, the steps of every unit's lower
//! convex hull in order of falling gain a cost. Taking those steps one by one until the budget is met
//! is the bisection of lambda carried to its end; what the last step leaves is filled greedily.

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

struct Step {
    unit: usize,
    to: u8,
    cost: u64,
    slope: f64,
}

/// The allocation of `low..=high` bits to every unit with the least total sensitivity whose cost is at
/// most `limit`. `None` when even `low` bits everywhere cost more.
#[must_use]
pub fn allocate(units: &[Unit], limit: u64, low: u8, high: u8) -> Option<Allocation> {
    let mut bits = vec![low; units.len()];
    let mut cost: u64 = units
        .iter()
        .map(|unit| unit.cost_per_bit * u64::from(low))
        .sum();
    if cost > limit {
        return None;
    }
    let mut steps: Vec<Step> = units
        .iter()
        .enumerate()
        .flat_map(|(index, unit)| hull_steps(index, unit, low, high))
        .collect();
    // Stable: the steps of one unit have strictly falling slopes and stay in order.
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut lambda = 0.0;
    let mut closed = vec![false; units.len()];
    for step in &steps {
        if closed[step.unit] {
            continue;
        }
        if cost + step.cost > limit {
            lambda = f64::max(lambda, step.slope);
            closed[step.unit] = true;
            continue;
        }
        cost += step.cost;
        bits[step.unit] = step.to;
    }
    fill(units, &mut bits, &mut cost, limit, high);
    let sensitivity = units
        .iter()
        .zip(&bits)
        .map(|(unit, b)| unit.sensitivity[usize::from(*b)])
        .sum();
    let dual: f64 = units
        .iter()
        .map(|unit| {
            (low..=high)
                .map(|b| {
                    unit.sensitivity[usize::from(b)]
                        + lambda * unit.cost_per_bit as f64 * f64::from(b)
                })
                .fold(f64::INFINITY, f64::min)
        })
        .sum();
    Some(Allocation {
        bits,
        cost,
        sensitivity,
        lower_bound: dual - lambda * limit as f64,
    })
}

/// The steps along the lower convex hull of sensitivity against width that lower the sensitivity.
fn hull_steps(index: usize, unit: &Unit, low: u8, high: u8) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut from = low;
    loop {
        let here = unit.sensitivity[usize::from(from)];
        let mut best: Option<(f64, u8)> = None;
        for to in from + 1..=high {
            let slope = (here - unit.sensitivity[usize::from(to)]) / f64::from(to - from);
            if slope > 0.0 && best.is_none_or(|(known, _)| slope > known) {
                best = Some((slope, to));
            }
        }
        let Some((slope, to)) = best else {
            return steps;
        };
        let cost = unit.cost_per_bit * u64::from(to - from);
        let slope = slope / unit.cost_per_bit.max(1) as f64;
        steps.push(Step {
            unit: index,
            to,
            cost,
            slope,
        });
        from = to;
    }
}

/// Spends what is left on the widening with the largest gain a cost that still fits, until none does.
fn fill(units: &[Unit], bits: &mut [u8], cost: &mut u64, limit: u64, high: u8) {
    loop {
        let room = limit - *cost;
        let mut best: Option<(f64, usize, u8, u64)> = None;
        for (index, unit) in units.iter().enumerate() {
            let from = bits[index];
            for to in from + 1..=high {
                let extra = unit.cost_per_bit * u64::from(to - from);
                if extra > room {
                    break;
                }
                let gain = unit.sensitivity[usize::from(from)] - unit.sensitivity[usize::from(to)];
                let rate = gain / extra.max(1) as f64;
                if gain > 0.0 && best.is_none_or(|(known, ..)| rate > known) {
                    best = Some((rate, index, to, extra));
                }
            }
        }
        let Some((_, index, to, extra)) = best else {
            return;
        };
        bits[index] = to;
        *cost += extra;
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
