//! Linear scales with round ticks, and numbers as ticks write them.

use crate::cli::console::grouped;

/// From values to places.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale over all values (from zero, if wanted) whose ends `from` and `to` are round.
    pub(super) fn around(
        values: impl Iterator<Item = f64>,
        from_zero: bool,
        from: f64,
        to: f64,
    ) -> Self {
        let (mut low, mut high) = values
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
        let step = round_step((high - low) / 6.0);
        Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
            from,
            to,
        }
    }

    /// Place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Distance of two ticks.
    pub(super) fn step(&self) -> f64 {
        self.step
    }

    /// Values that are marked.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round();
        // At most about ten.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = count as usize;
        (0..=count)
            .map(|index| self.low + index as f64 * self.step)
            .collect()
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
        Scale::around(values.iter().copied(), from_zero, 0.0, 1.0).ticks()
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
        let scale = Scale::around([0.0, 10.0].into_iter(), true, 100.0, 0.0);
        assert!((scale.at(0.0) - 100.0).abs() < 1e-9);
        assert!((scale.at(10.0) - 0.0).abs() < 1e-9);
        assert!((scale.at(5.0) - 50.0).abs() < 1e-9);
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
