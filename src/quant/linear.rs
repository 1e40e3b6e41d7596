//! The little linear algebra that rounding needs: Cholesky factors of symmetric positive definite
//! matrices in `f64`.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0_f64; 4];
    let (chunks_a, chunks_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = chunks_a
        .remainder()
        .iter()
        .zip(chunks_b.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in chunks_a.zip(chunks_b) {
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// The lower triangular `L` with `matrix = L L^T`, rows contiguous; `None` when the matrix is not
/// positive definite (or not finite).
#[must_use]
pub(crate) fn cholesky(matrix: ArrayView2<f64>) -> Option<Array2<f64>> {
    let size = matrix.nrows();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    for i in 0..size {
        let mut row = vec![0.0; size];
        for j in 0..i {
            let partial = dot(&row[..j], &rows[j][..j]);
            row[j] = (matrix[[i, j]] - partial) / rows[j][j];
        }
        let pivot = matrix[[i, i]] - dot(&row[..i], &row[..i]);
        if pivot.is_nan() || pivot <= 0.0 || pivot.is_infinite() {
            return None;
        }
        row[i] = pivot.sqrt();
        rows.push(row);
    }
    Array2::from_shape_vec((size, size), rows.concat()).ok()
}

/// The upper triangular `U` with `matrix^-1 = U^T U`, the factor that error feedback walks along;
/// `None` when the matrix is not positive definite.
#[must_use]
pub(crate) fn inverse_factor(matrix: ArrayView2<f64>) -> Option<Array2<f64>> {
    let size = matrix.nrows();
    // With every index reversed, matrix = R R^T for an upper triangular R, and U = R^-1.
    let reversed =
        Array2::from_shape_fn((size, size), |(i, j)| matrix[[size - 1 - i, size - 1 - j]]);
    let lower = cholesky(reversed.view())?;
    // Column j of the inverse of `lower`, by forward substitution; columns are independent.
    let columns: Vec<Vec<f64>> = (0..size)
        .into_par_iter()
        .map(|j| {
            let mut column = vec![0.0; size];
            column[j] = 1.0 / lower[[j, j]];
            for i in j + 1..size {
                let row = lower.row(i);
                let partial = row
                    .as_slice()
                    .map_or(0.0, |row| dot(&row[j..i], &column[j..i]));
                column[i] = -partial / lower[[i, i]];
            }
            column
        })
        .collect();
    Some(Array2::from_shape_fn((size, size), |(i, j)| {
        columns[size - 1 - j][size - 1 - i]
    }))
}

/// Solves `matrix x = b` for every row `b` of `right` in place.
pub(crate) fn solve_rows(lower: &Array2<f64>, right: &mut Array2<f64>) {
    let size = lower.nrows();
    let transposed = lower.t().as_standard_layout().into_owned();
    right.outer_iter_mut().into_par_iter().for_each(|mut row| {
        let mut x = row.to_vec();
        for i in 0..size {
            let partial = lower
                .row(i)
                .as_slice()
                .map_or(0.0, |l| dot(&l[..i], &x[..i]));
            x[i] = (x[i] - partial) / lower[[i, i]];
        }
        for i in (0..size).rev() {
            let partial = transposed
                .row(i)
                .as_slice()
                .map_or(0.0, |l| dot(&l[i + 1..], &x[i + 1..]));
            x[i] = (x[i] - partial) / lower[[i, i]];
        }
        row.iter_mut().zip(x).for_each(|(to, from)| *to = from);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positive_definite(size: usize) -> Array2<f64> {
        let factor = Array2::from_shape_fn((size, size + 3), |(i, j)| {
            ((i * 7 + j * 13) % 11) as f64 - 5.0
        });
        factor.dot(&factor.t()) + Array2::<f64>::eye(size)
    }

    #[test]
    fn factors_multiply_back() {
        let matrix = positive_definite(9);
        let lower = cholesky(matrix.view()).expect("positive definite");
        assert!(
            (lower.dot(&lower.t()) - &matrix)
                .iter()
                .all(|e| e.abs() < 1e-9)
        );
        let upper = inverse_factor(matrix.view()).expect("positive definite");
        let identity = matrix.dot(&upper.t().dot(&upper));
        assert!(
            (identity - Array2::<f64>::eye(9))
                .iter()
                .all(|e| e.abs() < 1e-9)
        );
        for i in 0..9 {
            for j in 0..i {
                assert_eq!(upper[[i, j]], 0.0);
            }
        }
    }

    #[test]
    fn solves_rows() {
        let matrix = positive_definite(6);
        let wanted = Array2::from_shape_fn((2, 6), |(i, j)| (i + j) as f64 - 2.5);
        let mut right = wanted.dot(&matrix);
        let lower = cholesky(matrix.view()).expect("positive definite");
        solve_rows(&lower, &mut right);
        assert!((right - wanted).iter().all(|e| e.abs() < 1e-9));
    }

    #[test]
    fn indefinite_is_refused() {
        let matrix = ndarray::array![[1.0, 2.0], [2.0, 1.0]];
        assert!(cholesky(matrix.view()).is_none());
    }
}
