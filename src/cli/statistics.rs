//! Statistics of measurements.

use serde::{Deserialize, Serialize};

/// Pearson's r; `None` where one of the two does not vary.
pub(crate) fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let [mut xx, mut yy, mut xy] = [0.0; 3];
    for (x, y) in pairs {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// The rising curve nearest to points `(x, y)` in the squares of y's differences (pool adjacent violators); points in
/// order of x.
pub(crate) fn rising(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Pools: sum of y, count.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &(_, y) in &points {
        pools.push((y, 1));
        while let [.., (sum_a, count_a), (sum_b, count_b)] = pools[..] {
            if sum_a * count_b as f64 <= sum_b * count_a as f64 {
                break;
            }
            pools.pop();
            pools.pop();
            pools.push((sum_a + sum_b, count_a + count_b));
        }
    }
    let heights = pools
        .into_iter()
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count));
    points
        .into_iter()
        .zip(heights)
        .map(|((x, _), y)| (x, y))
        .collect()
}

/// The first x at which a rising curve, straight between its points, reaches `level`; `None` where it starts above
/// or ends below.
pub(crate) fn reaches(curve: &[(f64, f64)], level: f64) -> Option<f64> {
    if curve.first()?.1 > level {
        return None;
    }
    let at = curve.iter().position(|(_, y)| *y >= level)?;
    let (x, y) = curve[at];
    let Some((x_before, y_before)) = at.checked_sub(1).map(|before| curve[before]) else {
        return Some(x);
    };
    Some(x_before + (level - y_before) / (y - y_before) * (x - x_before))
}

/// A mean difference over the same images, and whether it may be chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Mean of the first less the second.
    pub(crate) mean: f64,
    /// Standard error over images.
    pub(crate) error: f64,
    /// How often images of equal means would differ by as much or more (two-sided, normal; for right or wrong
    /// answers this is McNemar's test).
    pub(crate) p: f64,
}

impl Difference {
    /// Of values for the same images, in the same order.
    pub(crate) fn of(first: &[f64], second: &[f64]) -> Self {
        let count = first.len().max(1) as f64;
        let differences = || first.iter().zip(second).map(|(a, b)| a - b);
        let mean = differences().sum::<f64>() / count;
        let variance = differences().map(|d| (d - mean).powi(2)).sum::<f64>() / count;
        let error = (variance / count).sqrt();
        Self {
            mean,
            error,
            p: if error > 0.0 {
                two_sided(mean / error)
            } else {
                1.0
            },
        }
    }

    /// In points, as text.
    pub(crate) fn points(&self) -> String {
        let (mean, error) = (100.0 * self.mean, 100.0 * self.error);
        format!("{mean:+.2} ± {error:.2} (p = {:.2})", self.p)
    }
}

/// Part of a normal distribution that is farther from the mean than `z` deviations, to 2e-7. Abramowitz and
/// Stegun, Handbook of Mathematical Functions, 7.1.26.
fn two_sided(z: f64) -> f64 {
    let x = z.abs() / 2.0_f64.sqrt();
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let factors = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let sum = factors.iter().rev().fold(0.0, |sum, a| (sum + a) * t);
    sum * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_falls_is_levelled() {
        let points = vec![(3.0, 2.0), (1.0, 0.0), (2.0, 4.0), (4.0, 5.0)];
        let curve = rising(points);
        assert_eq!(curve, [(1.0, 0.0), (2.0, 3.0), (3.0, 3.0), (4.0, 5.0)]);
        assert_eq!(reaches(&curve, 1.5), Some(1.5));
        assert_eq!(reaches(&curve, 3.0), Some(2.0));
        assert_eq!(reaches(&curve, 4.0), Some(3.5));
        assert_eq!(reaches(&curve, 5.1), None);
        assert_eq!(reaches(&curve, -0.1), None);
        assert_eq!(reaches(&[], 0.0), None);
    }

    #[test]
    fn correlation_of_lines_and_of_constants() {
        let line = |slope: f64| [1.0, 2.0, 4.0].map(|x| (x, 3.0 + slope * x));
        let close = |found: Option<f64>, r: f64| found.is_some_and(|f| (f - r).abs() < 1e-12);
        assert!(close(pearson(&line(2.0)), 1.0));
        assert!(close(pearson(&line(-2.0)), -1.0));
        assert_eq!(pearson(&line(0.0)), None);
        assert_eq!(pearson(&[]), None);
        assert!(close(pearson(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]), 0.0));
    }

    #[test]
    fn differences_and_their_chance() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_31),
            (1.959_96, 0.05),
            (3.0, 0.002_7),
        ] {
            assert!((two_sided(z) - p).abs() < 1e-5, "{z}: {}", two_sided(z));
            assert!((two_sided(-z) - p).abs() < 1e-5);
        }
        // 20 images right for the first alone, 10 for the second alone, 70 alike.
        let first: Vec<f64> = (0..100).map(|i| f64::from(i < 20)).collect();
        let second: Vec<f64> = (0..100).map(|i| f64::from((20..30).contains(&i))).collect();
        let found = Difference::of(&first, &second);
        assert!((found.mean - 0.1).abs() < 1e-12);
        assert!((found.error - (0.3_f64 - 0.01).sqrt() / 10.0).abs() < 1e-12);
        assert!((0.05..0.08).contains(&found.p), "{}", found.p);
        assert_eq!(Difference::of(&first, &first).p, 1.0);
    }
}
