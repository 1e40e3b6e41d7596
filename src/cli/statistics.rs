//! Statistics of measurements.

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
}
