//! Linear scales with round ticks, and numbers as ticks write them.

use crate::cli::console::grouped;

/// Which values an axis has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// From zero to the values.
    FromZero,
    /// The values.
    Around,
    /// The values, all above zero, by their logarithms.
    Logarithmic,
}

/// From values to places.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// Ends, as logarithms where the scale is logarithmic.
    low: f64,
    high: f64,
    step: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale over all values, `from` and `to` being the places of its round ends.
    pub(super) fn new(values: impl Iterator<Item = f64>, range: Range, from: f64, to: f64) -> Self {
        let logarithmic = range == Range::Logarithmic;
        let from_zero = range == Range::FromZero;
        let (mut low, mut high) = values
            .map(|value| if logarithmic { value.log10() } else { value })
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if from_zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= f64::EPSILON * high.abs() {
            let room = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
            (low, high) = (low - if from_zero { 0.0 } else { room }, high + room);
        }
        let step = if logarithmic {
            1.0
        } else {
            round_step((high - low) / 6.0)
        };
        Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
            logarithmic,
            from,
            to,
        }
    }

    /// Place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.log10()
        } else {
            value
        };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values that are marked, each with the distance that its number has to tell apart.
    pub(super) fn ticks(&self) -> Vec<(f64, f64)> {
        let count = ((self.high - self.low) / self.step).round();
        // At most about ten.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = count as usize;
        let at = |index: usize| self.low + index as f64 * self.step;
        if !self.logarithmic {
            return (0..=count).map(|index| (at(index), self.step)).collect();
        }
        let decade = |index: usize| {
            let power = 10_f64.powf(at(index));
            let last = index == count;
            let factors = [1.0, 2.0, 5.0].into_iter().take(if last { 1 } else { 3 });
            factors.map(move |factor| (factor * power, power))
        };
        (0..=count).flat_map(decade).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Digits after the point that multiples of `step` need.
fn digits(step: f64) -> usize {
    let digits = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0);
    // 0..=9.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let digits = digits as usize;
    digits
}

/// A tick: thousands as k, millions as M.
pub(super) fn short(value: f64, step: f64) -> String {
    let largest = value.abs().max(step);
    let (unit, letter) = match largest {
        value if value >= 1e6 => (1e6, "M"),
        value if value >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    if value.abs() < step * 1e-6 {
        return "0".into();
    }
    format!("{:.*}{letter}", digits(step / unit), value / unit)
}

/// A part of one in percent.
pub(super) fn percent(value: f64, step: f64) -> String {
    format!("{:.*} %", digits(step * 100.0), value * 100.0)
}

/// A value in full: whole where it is a count.
pub(super) fn exact(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
        // A whole number in the range.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return grouped(value as u64);
    }
    if value.abs() >= 1000.0 {
        return format!("{value:.0}");
    }
    format!("{value:.4}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[f64], from_zero: bool) -> Vec<f64> {
        let range = if from_zero {
            Range::FromZero
        } else {
            Range::Around
        };
        let scale = Scale::new(values.iter().copied(), range, 0.0, 1.0);
        scale.ticks().into_iter().map(|(tick, _)| tick).collect()
    }

    #[test]
    fn ticks_are_round_and_around_the_values() {
        assert_eq!(
            ticks(&[3.0, 11.0], true),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
        );
        assert_eq!(ticks(&[3.0, 5.5], false), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5]);
        assert_eq!(ticks(&[], true), ticks(&[0.0, 1.0], true));
        assert!(ticks(&[7.0, 7.0], false).len() > 2);
        assert!(
            ticks(&[f64::NAN, 2.0], true)
                .iter()
                .all(|tick| tick.is_finite())
        );
    }

    #[test]
    fn places_run_from_end_to_end() {
        let scale = Scale::new([0.0, 10.0].into_iter(), Range::FromZero, 100.0, 0.0);
        assert!((scale.at(0.0) - 100.0).abs() < 1e-9);
        assert!((scale.at(10.0) - 0.0).abs() < 1e-9);
        assert!((scale.at(5.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn logarithms_have_ticks_in_every_decade() {
        let scale = Scale::new([0.03, 0.4].into_iter(), Range::Logarithmic, 0.0, 2.0);
        let ticks: Vec<String> = scale
            .ticks()
            .iter()
            .map(|(tick, step)| short(*tick, *step))
            .collect();
        assert_eq!(ticks, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert!((scale.at(0.1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(short(0.0, 5e6), "0");
        assert_eq!(short(1.5e6, 5e5), "1.5M");
        assert_eq!(short(400_000.0, 1e5), "400k");
        assert_eq!(short(0.25, 0.05), "0.25");
        assert_eq!(percent(0.865, 0.005), "86.5 %");
        assert_eq!(percent(0.8567, 1e-4), "85.67 %");
        assert_eq!(exact(12_501_632.0), "12,501,632");
        assert_eq!(exact(2.5), "2.5000");
    }
}
