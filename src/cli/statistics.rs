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

#[cfg(test)]
mod tests {
    use super::pearson;

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
