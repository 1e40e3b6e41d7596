//! One choice a group with the least total loss within a limit of cost (the multiple-choice knapsack).
//!
//! The Lagrangian `min loss + price x cost` visits, as the price falls, the steps of every group's lower
//! convex hull in order of falling gain a cost. Taking those steps one by one until the limit is met is the
//! bisection of the price carried to its end; what the last step leaves is filled greedily. At any price
//! the Lagrangian less price x limit is a lower bound of every solution: that is the reported gap.
//! [`exact`] closes it: choices that the bound rules out are left away, and what remains is merged group by
//! group, keeping the undominated pairs of cost and loss.
//!
//! Sources: Shoham and Gersho, Efficient bit allocation for an arbitrary set of quantizers (1988); Pisinger,
//! A minimal algorithm for the multiple-choice knapsack problem (1995).

/// Something that one group may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// What it costs.
    pub cost: u64,
    /// What it loses.
    pub loss: f64,
}

/// One choice a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Index of the choice of each group.
    pub picks: Vec<usize>,
    /// Sum of costs, at most the limit.
    pub cost: u64,
    /// Sum of losses.
    pub loss: f64,
    /// No solution within the limit has a smaller loss than this.
    pub lower_bound: f64,
    /// Loss that a unit of cost is worth at the limit.
    price: f64,
}

struct Step {
    group: usize,
    to: usize,
    cost: u64,
    slope: f64,
}

/// The Lagrangian solution. `None` when even the cheapest choices exceed the limit, or a group has none.
#[must_use]
pub fn solve(groups: &[Vec<Choice>], limit: u64) -> Option<Solution> {
    let mut picks: Vec<usize> = groups
        .iter()
        .map(|group| cheapest(group))
        .collect::<Option<_>>()?;
    let mut cost: u64 = picks.iter().zip(groups).map(|(p, g)| g[*p].cost).sum();
    if cost > limit {
        return None;
    }
    let steps = all_steps(groups, &picks);
    let mut price = 0.0;
    let mut closed = vec![false; groups.len()];
    for step in &steps {
        if closed[step.group] {
            continue;
        }
        if cost + step.cost > limit {
            price = f64::max(price, step.slope);
            closed[step.group] = true;
            continue;
        }
        cost += step.cost;
        picks[step.group] = step.to;
    }
    fill(groups, &mut picks, &mut cost, limit);
    let loss = picks.iter().zip(groups).map(|(p, g)| g[*p].loss).sum();
    let dual: f64 = groups.iter().map(|group| least(group, price)).sum();
    Some(Solution {
        picks,
        cost,
        loss,
        lower_bound: dual - price * limit as f64,
        price,
    })
}

/// The cheapest choice of every group, and the steps `(group, choice)` that follow as the price falls.
/// Groups without a choice are left out of the steps.
pub(super) fn walk(groups: &[Vec<Choice>]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let start: Vec<usize> = groups
        .iter()
        .map(|group| cheapest(group).unwrap_or(0))
        .collect();
    let steps = all_steps(groups, &start);
    let steps = steps.iter().map(|step| (step.group, step.to)).collect();
    (start, steps)
}

/// The steps of all groups, in order of falling slope.
fn all_steps(groups: &[Vec<Choice>], start: &[usize]) -> Vec<Step> {
    let mut steps: Vec<Step> = groups
        .iter()
        .zip(start)
        .enumerate()
        .flat_map(|(index, (group, start))| hull_steps(index, group, *start))
        .collect();
    // Stable: the steps of one group have strictly falling slopes and stay in order.
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    steps
}

/// The least loss plus price x cost of a group.
fn least(group: &[Choice], price: f64) -> f64 {
    group
        .iter()
        .map(|choice| choice.loss + price * choice.cost as f64)
        .fold(f64::INFINITY, f64::min)
}

/// The choice of least cost; among those, of least loss.
fn cheapest(group: &[Choice]) -> Option<usize> {
    let order = |a: &Choice, b: &Choice| a.cost.cmp(&b.cost).then(a.loss.total_cmp(&b.loss));
    (0..group.len()).min_by(|a, b| order(&group[*a], &group[*b]))
}

/// The steps along the lower convex hull of loss against cost that lower the loss.
fn hull_steps(index: usize, group: &[Choice], start: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut from = start;
    while let Some(&here) = group.get(from) {
        let mut best: Option<Step> = None;
        for (to, there) in group.iter().enumerate() {
            // Choices of no cost have no say in the order: one unit stands for it.
            let cost = match there.cost.checked_sub(here.cost) {
                Some(cost) if to != from => cost,
                _ => continue,
            };
            let slope = (here.loss - there.loss) / cost.max(1) as f64;
            if slope > 0.0 && best.as_ref().is_none_or(|known| slope > known.slope) {
                best = Some(Step {
                    group: index,
                    to,
                    cost,
                    slope,
                });
            }
        }
        let Some(step) = best else {
            break;
        };
        from = step.to;
        steps.push(step);
    }
    steps
}

/// Spends what is left on the change with the largest gain a cost that still fits, until none does.
fn fill(groups: &[Vec<Choice>], picks: &mut [usize], cost: &mut u64, limit: u64) {
    loop {
        let room = limit - *cost;
        let mut best: Option<Step> = None;
        for (index, group) in groups.iter().enumerate() {
            let here = group[picks[index]];
            for (to, there) in group.iter().enumerate() {
                let extra = match there.cost.checked_sub(here.cost) {
                    Some(extra) if extra <= room => extra,
                    _ => continue,
                };
                let gain = here.loss - there.loss;
                let slope = gain / extra.max(1) as f64;
                if gain > 0.0 && best.as_ref().is_none_or(|known| slope > known.slope) {
                    best = Some(Step {
                        group: index,
                        to,
                        cost: extra,
                        slope,
                    });
                }
            }
        }
        let Some(step) = best else {
            return;
        };
        picks[step.group] = step.to;
        *cost += step.cost;
    }
}

/// A partial solution: one choice in each group so far.
#[derive(Clone, Copy)]
struct Label {
    cost: u64,
    loss: f64,
    /// How far it is above the Lagrangian's least.
    excess: f64,
    parent: usize,
    choice: usize,
}

/// The solution of least loss. `None` as in [`solve`], or when more than `labels_max` partial solutions
/// have to be held at once.
#[must_use]
pub fn exact(groups: &[Vec<Choice>], limit: u64, labels_max: usize) -> Option<Solution> {
    let start = solve(groups, limit)?;
    let price = start.price;
    // Nothing that exceeds the Lagrangian's least by more than this can be better than `start`.
    let slack = (start.loss - start.lower_bound) * (1.0 + 1e-9) + 1e-15 * start.loss.abs();
    let mut cheapest_rest: u64 = groups
        .iter()
        .filter_map(|group| group.iter().map(|choice| choice.cost).min())
        .sum();
    let mut layers: Vec<Vec<Label>> = Vec::with_capacity(groups.len());
    let mut labels = vec![Label {
        cost: 0,
        loss: 0.0,
        excess: 0.0,
        parent: 0,
        choice: 0,
    }];
    for group in groups {
        cheapest_rest -= group.iter().map(|choice| choice.cost).min()?;
        let least = least(group, price);
        let mut next = Vec::new();
        for (index, choice) in group.iter().enumerate() {
            let excess = choice.loss + price * choice.cost as f64 - least;
            if excess > slack {
                continue;
            }
            next.extend(labels.iter().enumerate().filter_map(|(parent, label)| {
                let label = Label {
                    cost: label.cost + choice.cost,
                    loss: label.loss + choice.loss,
                    excess: label.excess + excess,
                    parent,
                    choice: index,
                };
                (label.excess <= slack && label.cost + cheapest_rest <= limit).then_some(label)
            }));
        }
        undominated(&mut next);
        if next.len() > labels_max {
            return None;
        }
        layers.push(std::mem::replace(&mut labels, next));
    }
    // None is left, not even that of `start`, where its excess and the slack are rounding errors.
    let better = (0..labels.len())
        .filter(|&label| labels[label].loss < start.loss)
        .min_by(|a, b| labels[*a].loss.total_cmp(&labels[*b].loss));
    let Some(best) = better else {
        let lower_bound = start.loss;
        return Some(Solution {
            lower_bound,
            ..start
        });
    };
    let (cost, loss) = (labels[best].cost, labels[best].loss);
    let mut picks = vec![0; groups.len()];
    let mut at = labels[best];
    for group in (0..groups.len()).rev() {
        picks[group] = at.choice;
        at = layers[group][at.parent];
    }
    Some(Solution {
        picks,
        cost,
        loss,
        lower_bound: loss,
        price,
    })
}

/// Sorts by cost and keeps those that lose less than all cheaper ones.
fn undominated(labels: &mut Vec<Label>) {
    labels.sort_by(|a, b| a.cost.cmp(&b.cost).then(a.loss.total_cmp(&b.loss)));
    let mut least = f64::INFINITY;
    labels.retain(|label| {
        let keep = label.loss < least;
        least = least.min(label.loss);
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best_by_enumeration(groups: &[Vec<Choice>], limit: u64) -> Option<f64> {
        let mut sums = vec![(0, 0.0)];
        for group in groups {
            let with = |&(cost, loss): &(u64, f64)| {
                let add = move |c: &Choice| (cost + c.cost, loss + c.loss);
                group.iter().map(add).collect::<Vec<_>>()
            };
            sums = sums.iter().flat_map(with).collect();
        }
        let fitting = sums.iter().filter(|(cost, _)| *cost <= limit);
        fitting.map(|(_, loss)| *loss).min_by(f64::total_cmp)
    }

    proptest! {
        #[test]
        fn the_bound_the_greedy_and_the_exact_solution_are_in_order(
            raw in prop::collection::vec(prop::collection::vec((0_u64..20, 0.0_f64..1.0), 1..6), 1..6),
            limit in 0_u64..80,
        ) {
            let groups: Vec<Vec<Choice>> = raw
                .into_iter()
                .map(|g| g.into_iter().map(|(cost, loss)| Choice { cost, loss }).collect())
                .collect();
            let best = best_by_enumeration(&groups, limit);
            let found = solve(&groups, limit);
            prop_assert_eq!(best.is_some(), found.is_some());
            let (Some(best), Some(found)) = (best, found) else { return Ok(()) };
            prop_assert!(found.cost <= limit);
            prop_assert!(found.lower_bound <= best + 1e-9);
            prop_assert!(found.loss >= best - 1e-9);
            let exact = exact(&groups, limit, 1 << 16).expect("few labels");
            prop_assert!((exact.loss - best).abs() < 1e-9);
            prop_assert!(exact.cost <= limit);
            let again: f64 = exact.picks.iter().zip(&groups).map(|(p, g)| g[*p].loss).sum();
            prop_assert!((again - best).abs() < 1e-9);
        }
    }

    #[test]
    fn a_lagrangian_solution_without_a_gap_is_exact() {
        let choice = |cost, loss| Choice { cost, loss };
        let groups = [
            vec![choice(1, 0.0)],
            vec![choice(2, 0.617_453_372_569_054_3)],
            vec![choice(0, 0.163_551_248_535_634_85)],
            vec![
                choice(17, 0.974_144_550_572_997),
                choice(19, 0.145_117_224_961_138_07),
            ],
        ];
        let found = exact(&groups, 20, 1 << 16).expect("few labels");
        assert_eq!((found.picks, found.cost), (vec![0; 4], 20));
    }

    #[test]
    fn what_costs_nothing_is_taken() {
        let choice = |cost, loss| Choice { cost, loss };
        let group = vec![choice(5, 3.0), choice(5, 1.0), choice(6, 0.9)];
        let found = solve(&[group], 5).expect("fits");
        assert_eq!((found.picks, found.loss), (vec![1], 1.0));
        assert_eq!(found.cost, 5);
    }

    #[test]
    fn too_many_labels_are_given_up() {
        // Powers of two: every sum of costs occurs once, and none dominates another.
        let group = |n: u32| {
            let cost = 2_u64.pow(n);
            let taken = Choice {
                cost,
                loss: -(cost as f64) * (1.0 + 1e-3 * f64::from(n % 3)),
            };
            vec![Choice { cost: 0, loss: 0.0 }, taken]
        };
        let groups: Vec<_> = (4..12).map(group).collect();
        assert!(exact(&groups, 1111, 1 << 16).is_some());
        assert!(exact(&groups, 1111, 1).is_none());
    }
}
