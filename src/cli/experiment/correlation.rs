//! `bitweft experiment correlation`.

use anyhow::Result;
use bitweft::quant::{Allocation, Objective};
use clap::Args;

use super::record::{Correlation, Method, Outcome, Point, Record, Setting, series_by_method};
use super::study::{Candidate, Study, StudyArguments};
use crate::cli::chart::{Axis, Chart};
use crate::cli::console::{Console, grouped, table};
use crate::cli::exit::Exit;
use crate::cli::statistics::pearson;

/// Narrowest and widest budget, in bits on average.
const BUDGETS: (f64, f64) = (2.0, 6.0);
/// Seed of the random widths.
const SEED: u64 = 1;

/// Cycles against MACs x bits (C) and against weight size, over many allocations of one network.
///
/// A half of the allocations takes budgets of 2 to 6 bits with every method, counting time or size; the other half
/// draws a width for the first layer, its opposite for the last and what lies between for those between, each
/// filter's up to one bit more or less: first layers have many MACs a weight, last ones few, so that C and size part.
#[derive(Args)]
pub(super) struct CorrelationExperiment {
    #[command(flatten)]
    study: StudyArguments,
    /// Networks.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(3..))]
    allocations: u16,
}

impl CorrelationExperiment {
    pub(super) fn run(&self, console: &Console) -> Result<Exit> {
        let subject = self.study.subject(1)?;
        let study = Study::new(&subject, 0, None, console)?;
        let candidates = candidates(&study, usize::from(self.allocations))?;
        let points = study.points(&candidates)?;
        let record = Record::Correlation(summary(study.setting()?, points));
        self.study.finish(console, &record)
    }
}

/// Half with budgets, half at random.
fn candidates(study: &Study<'_>, count: usize) -> Result<Vec<Candidate>> {
    type Family = (fn(f64) -> Allocation, Objective);
    // Rounded and within 2..=8.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let uniform = |budget: f64| Allocation::Uniform(budget.round() as u8);
    let families: [Family; 7] = [
        (uniform, Objective::Time),
        (Allocation::PerLayer, Objective::Time),
        (Allocation::PerLayer, Objective::Size),
        (Allocation::PerFilter, Objective::Time),
        (Allocation::PerFilter, Objective::Size),
        (Allocation::Distribution, Objective::Time),
        (Allocation::Distribution, Objective::Size),
    ];
    let budgeted = count / 2;
    let mut candidates = Vec::with_capacity(count);
    for index in 0..budgeted {
        let part = (index as f64 + 0.5) / budgeted as f64;
        let budget = BUDGETS.0 + (BUDGETS.1 - BUDGETS.0) * part;
        let (allocation, objective) = families[index % families.len()];
        candidates.push(study.candidate(allocation(budget), objective)?);
    }
    let template = study.candidate(Allocation::Uniform(8), Objective::Time)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    candidates.extend((budgeted..count).map(|_| Candidate {
        method: Method::Random,
        objective: None,
        budget: None,
        bits: random_widths(&template.bits, &mut random),
    }));
    Ok(candidates)
}

/// Widths that go evenly from a drawn one in the first layer to its opposite (9 less it, one bit more or less) in the
/// last, each filter's up to one bit more or less.
fn random_widths(like: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let first = random.u8(1..=8);
    let last = (9 - first + random.u8(0..=2)).saturating_sub(1).clamp(1, 8);
    let steps = like.len().saturating_sub(1).max(1) as f64;
    like.iter()
        .enumerate()
        .map(|(layer, filters)| {
            let part = layer as f64 / steps;
            let middle = f64::from(first) + part * (f64::from(last) - f64::from(first));
            let mut bits = |_: &u8| {
                let bits = middle.round() + f64::from(random.i8(-1..=1));
                // 1..=8.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let bits = bits.clamp(1.0, 8.0) as u8;
                bits
            };
            filters.iter().map(&mut bits).collect()
        })
        .collect()
}

fn summary(setting: Setting, points: Vec<Point>) -> Correlation {
    let r = |x: fn(&Point) -> u64, y: fn(&Point) -> u64| {
        let pairs: Vec<(f64, f64)> = points.iter().map(|p| (x(p) as f64, y(p) as f64)).collect();
        pearson(&pairs)
    };
    Correlation {
        setting,
        r_cycles_mac_bits: r(|p| p.mac_bits, |p| p.cycles),
        r_cycles_weight_bits: r(|p| p.weight_bits, |p| p.cycles),
        r_mac_bits_weight_bits: r(|p| p.mac_bits, |p| p.weight_bits),
        points,
    }
}

fn r_text(r: Option<f64>) -> String {
    r.map_or("-".to_owned(), |r| format!("{r:.4}"))
}

impl Outcome for Correlation {
    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn points(&self) -> &[Point] {
        &self.points
    }

    fn text(&self) -> String {
        let rows = self.points.iter().map(|point| {
            vec![
                point.label(),
                format!("{:.3}", point.average_bits),
                format!("{:.3}", point.average_weight_bits),
                grouped(point.mac_bits),
                grouped(point.weight_bits.div_ceil(8)),
                grouped(point.cycles),
                point
                    .measured
                    .as_ref()
                    .map_or(String::new(), |m| grouped(m.cycles)),
            ]
        });
        let header = [
            "widths",
            "bits a MAC",
            "bits a weight",
            "C",
            "weight bytes",
            "cycles",
            "measured",
        ];
        format!(
            "{}\n{} on {}, {} allocations: r(cycles, C) = {}, r(cycles, weight size) = {}; r(C, weight size) = {}",
            table(&header, 1, rows.collect()),
            self.setting.network,
            self.setting.architecture.as_deref().unwrap_or("-"),
            self.points.len(),
            r_text(self.r_cycles_mac_bits),
            r_text(self.r_cycles_weight_bits),
            r_text(self.r_mac_bits_weight_bits),
        )
    }

    fn title(&self) -> &'static str {
        "Cycles against complexity and weight size"
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |what: &str, r: Option<f64>, label: &str, x: fn(&Point) -> f64| Chart {
            title: format!("Cycles against {what}: r = {}", r_text(r)),
            caption: self.setting.caption(),
            x: Axis::from_zero(label),
            y: Axis::from_zero("cycles an image"),
            reference: None,
            series: series_by_method(&self.points, |point| Some((x(point), point.cycles as f64))),
        };
        vec![
            chart(
                "MACs x bits",
                self.r_cycles_mac_bits,
                "C: MACs x bits",
                |p| p.mac_bits as f64,
            ),
            chart(
                "weight size",
                self.r_cycles_weight_bits,
                "weight data in bytes",
                |p| p.weight_bits as f64 / 8.0,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_widths_stay_near_their_layer() {
        let like = vec![vec![8; 40], vec![8; 8]];
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50 {
            let bits = random_widths(&like, &mut random);
            assert_eq!(bits.iter().map(Vec::len).collect::<Vec<_>>(), [40, 8]);
            for layer in bits {
                let (least, most) = (layer.iter().min(), layer.iter().max());
                assert!(least >= Some(&1) && most <= Some(&8));
                assert!(
                    most.zip(least)
                        .is_some_and(|(most, least)| most - least <= 2)
                );
            }
        }
    }
}
