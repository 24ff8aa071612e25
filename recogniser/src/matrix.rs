//! Weight matrices in 8 bits: a row of signed codes and one scale a row.
//!
//! The codes may lie in the program itself, so that only those pages are resident that are used.
//! Nothing here changes after loading; products read the codes directly or turn a whole matrix into
//! `f32` once for many rows.

use std::borrow::Cow;

use ndarray::ArrayViewMut2;

use crate::kernels;

/// `rows` × `columns` weights, row-wise symmetric: weight = code × scale of the row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    columns: usize,
    /// Two's complement codes, row after row.
    codes: Cow<'static, [u8]>,
    scales: Vec<f32>,
}

impl Matrix {
    /// A matrix of codes and scales that were checked to belong together.
    pub(crate) fn new(columns: usize, codes: Cow<'static, [u8]>, scales: Vec<f32>) -> Option<Self> {
        let fits = columns > 0 && scales.len().checked_mul(columns) == Some(codes.len());
        fits.then_some(Self {
            columns,
            codes,
            scales,
        })
    }

    /// Quantises rows of finite weights; the largest weight of a row becomes ±127.
    pub(crate) fn quantise<'a>(columns: usize, rows: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut codes = Vec::new();
        let mut scales = Vec::new();
        for row in rows {
            scales.push(quantise_row(row, &mut codes));
        }
        Self {
            columns,
            codes: Cow::Owned(codes),
            scales,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.scales.len()
    }

    pub(crate) fn codes(&self) -> &[u8] {
        &self.codes
    }

    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Writes the weights of all rows as `f32`.
    pub(crate) fn expand_into(&self, mut out: ArrayViewMut2<'_, f32>) {
        let rows = self.codes.chunks_exact(self.columns).zip(&self.scales);
        for ((codes, &scale), mut row) in rows.zip(out.rows_mut()) {
            if let Some(row) = row.as_slice_mut() {
                kernels::expand(codes, scale, row);
            }
        }
    }

    /// Adds the weights of one row to `out`.
    pub(crate) fn add_row(&self, row: usize, out: &mut [f32]) {
        let codes = self.codes.chunks_exact(self.columns).nth(row);
        if let (Some(codes), Some(&scale)) = (codes, self.scales.get(row)) {
            kernels::add_scaled(codes, scale, out);
        }
    }

    /// `out` = this matrix × `vector`.
    pub(crate) fn times(&self, vector: &[f32], out: &mut [f32]) {
        kernels::rows_times_vector(&self.codes, &self.scales, vector, out);
    }

    /// `out` = rows `first..` of this matrix × `vector`, as many as `out` has places.
    pub(crate) fn times_from(&self, first: usize, vector: &[f32], out: &mut [f32]) {
        let codes = self.codes.get(first * self.columns..).unwrap_or_default();
        let scales = self.scales.get(first..).unwrap_or_default();
        kernels::rows_times_vector(codes, scales, vector, out);
    }
}

/// Appends the codes of one row and gives its scale.
fn quantise_row(row: &[f32], codes: &mut Vec<u8>) -> f32 {
    let largest = row
        .iter()
        .fold(0_f32, |largest, weight| largest.max(weight.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    codes.extend(row.iter().map(|&weight| code(weight * inverse)));
    scale
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to the range of the code, whose bits are kept as a byte"
)]
fn code(value: f32) -> u8 {
    value.round().clamp(-127.0, 127.0) as i8 as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn sample() -> (Vec<f32>, Matrix) {
        let weights: Vec<f32> = (0..7 * 40)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 90.0)
            .collect();
        let matrix = Matrix::quantise(40, weights.chunks_exact(40));
        (weights, matrix)
    }

    #[test]
    fn a_weight_is_kept_to_half_a_step_of_its_row() {
        let (weights, matrix) = sample();
        let mut expanded = Array2::zeros((7, 40));
        matrix.expand_into(expanded.view_mut());
        for (row, scale) in expanded
            .rows()
            .into_iter()
            .zip(matrix.scales())
            .enumerate()
            .map(|(i, r)| ((i, r.0), r.1))
        {
            for (column, value) in row.1.iter().enumerate() {
                assert!((value - weights[row.0 * 40 + column]).abs() <= scale * 0.501);
            }
        }
    }

    #[test]
    fn a_product_is_the_sum_over_the_expanded_row() {
        let (_, matrix) = sample();
        let vector: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut expanded = Array2::zeros((7, 40));
        matrix.expand_into(expanded.view_mut());
        let (mut all, mut tail) = ([0.0; 7], [0.0; 3]);
        matrix.times(&vector, &mut all);
        matrix.times_from(4, &vector, &mut tail);
        for (row, got) in expanded.rows().into_iter().zip(all) {
            let wanted: f32 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
            assert!((wanted - got).abs() < 1e-5, "{wanted} {got}");
        }
        assert_eq!(tail, all[4..]);
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let matrix = Matrix::quantise(4, [[0.0; 4].as_slice()].into_iter());
        let mut row = [1.0; 4];
        matrix.add_row(0, &mut row);
        assert_eq!(row, [1.0; 4]);
    }

    #[test]
    fn codes_and_scales_that_do_not_fit_are_refused() {
        assert!(Matrix::new(4, Cow::Owned(vec![0; 8]), vec![1.0; 2]).is_some());
        assert!(Matrix::new(4, Cow::Owned(vec![0; 9]), vec![1.0; 2]).is_none());
        assert!(Matrix::new(usize::MAX, Cow::Owned(vec![0; 9]), vec![1.0; 2]).is_none());
        assert!(Matrix::new(0, Cow::Owned(Vec::new()), Vec::new()).is_none());
    }
}
