//! The inner loops that are not matrix products, written so that the compiler vectorises them.
//!
//! Each is compiled for plain x86-64 and for AVX2, the better chosen at run time; elsewhere (NEON on
//! aarch64) the baseline has the vectors already. No loop fuses a multiplication with an addition,
//! so all versions give the same bits.

use multiversion::multiversion;

/// Partial sums of a dot product: enough for four registers of eight lanes.
const LANES: usize = 32;

/// `out[i]` = codes of row `i` · `vector` × scale of row `i`.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn rows_times_vector(codes: &[u8], scales: &[f32], vector: &[f32], out: &mut [f32]) {
    let rows = codes.chunks_exact(vector.len().max(1)).zip(scales);
    for ((row, scale), out) in rows.zip(out) {
        *out = dot_codes(row, vector) * scale;
    }
}

#[inline(always)]
fn dot_codes(codes: &[u8], vector: &[f32]) -> f32 {
    let mut sums = [0_f32; LANES];
    let (codes, codes_left) = codes.as_chunks::<LANES>();
    let (vector, vector_left) = vector.as_chunks::<LANES>();
    for (codes, vector) in codes.iter().zip(vector) {
        for lane in 0..LANES {
            sums[lane] += f32::from(codes[lane].cast_signed()) * vector[lane];
        }
    }
    let left = codes_left.iter().zip(vector_left);
    sum(&sums)
        + left
            .map(|(code, value)| f32::from(code.cast_signed()) * value)
            .sum::<f32>()
}

#[inline(always)]
fn sum(lanes: &[f32; LANES]) -> f32 {
    let mut folded = *lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            folded[lane] += folded[lane + width];
        }
        width /= 2;
    }
    folded[0]
}

/// `out` = codes × scale.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn expand(codes: &[u8], scale: f32, out: &mut [f32]) {
    for (code, out) in codes.iter().zip(out) {
        *out = f32::from(code.cast_signed()) * scale;
    }
}

/// `out` += codes × scale.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn add_scaled(codes: &[u8], scale: f32, out: &mut [f32]) {
    for (code, out) in codes.iter().zip(out) {
        *out += f32::from(code.cast_signed()) * scale;
    }
}

/// `out` += `other`, place by place.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn add(out: &mut [f32], other: &[f32]) {
    for (out, other) in out.iter_mut().zip(other) {
        *out += other;
    }
}

/// `out` = `values` normalised to mean 0 and variance 1, then scaled and shifted (epsilon 1e-5).
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn normalise(values: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    let count = values.len().max(1) as f32;
    let mean = total(values, |value| value) / count;
    let variance = total(values, |value| (value - mean) * (value - mean)) / count;
    let inverse = 1.0 / (variance + 1e-5).sqrt();
    for (((out, value), scale), shift) in out.iter_mut().zip(values).zip(scale).zip(shift) {
        *out = (value - mean) * inverse * scale + shift;
    }
}

#[inline(always)]
fn total(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0_f32; LANES];
    let (chunks, left) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += of(chunk[lane]);
        }
    }
    sum(&sums) + left.iter().map(|&value| of(value)).sum::<f32>()
}

/// The largest value, or minus infinity for none.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn largest(values: &[f32]) -> f32 {
    largest_of(values)
}

#[inline(always)]
fn largest_of(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    let (chunks, left) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            best[lane] = if chunk[lane] > best[lane] {
                chunk[lane]
            } else {
                best[lane]
            };
        }
    }
    best.iter()
        .chain(left)
        .fold(f32::NEG_INFINITY, |best, &value| best.max(value))
}

/// Turns scores into probabilities that sum to one.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn softmax(values: &mut [f32]) {
    let largest = largest_of(values);
    for value in values.iter_mut() {
        *value = exponential(*value - largest);
    }
    let inverse = 1.0 / total(values, |value| value);
    for value in values.iter_mut() {
        *value *= inverse;
    }
}

/// The logarithm of the sum of the exponentials, minus infinity for none.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn log_sum_exp(values: &[f32]) -> f32 {
    let largest = largest_of(values);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + total(values, |value| exponential(value - largest)).ln()
}

/// Adds a bias to each value and applies GELU: x · ½ (1 + erf(x / √2)).
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn gelu(values: &mut [f32], bias: &[f32]) {
    for (value, bias) in values.iter_mut().zip(bias) {
        let x = *value + bias;
        *value = 0.5 * x * (1.0 + error_function(x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// erf by formula 7.1.26 of Abramowitz and Stegun; the error stays under 5e-7.
#[inline(always)]
fn error_function(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = 1.061_405_4 * t - 1.453_152_1;
    let series = series * t + 1.421_413_8;
    let series = series * t - 0.284_496_72;
    let series = series * t + 0.254_829_6;
    (1.0 - series * t * exponential(-size * size)).copysign(x)
}

/// e to the power of `x` for `x` up to 88, to about two units in the last place (as in Cephes' `expf`).
#[inline(always)]
fn exponential(x: f32) -> f32 {
    /// Adding and taking away 1.5 · 2²³ rounds to a whole number, which then stands in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let series = 1.987_569_1e-4 * rest + 1.398_199_9e-3;
    let series = series * rest + 8.333_452e-3;
    let series = series * rest + 4.166_579_6e-2;
    let series = series * rest + 1.666_666_5e-1;
    let series = series * rest + 0.5;
    let value = series * rest * rest + rest + 1.0;
    value * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Scores of one query against keys that lie one after the other.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn score(query: &[f32], keys: &[f32], scores: &mut [f32]) {
    for (key, score) in keys.chunks_exact(query.len().max(1)).zip(scores) {
        *score = dot(query, key);
    }
}

#[inline(always)]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0_f32; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sum(&sums)
        + left_rest
            .iter()
            .zip(right_rest)
            .map(|(a, b)| a * b)
            .sum::<f32>()
}

/// `out` = the sum of rows that lie one after the other, each times its weight.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(crate) fn weigh(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (row, weight) in rows.chunks_exact(out.len().max(1)).zip(weights) {
        for (out, value) in out.iter_mut().zip(row) {
            *out += value * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_a_few_millionths() {
        for step in -8600..=8800 {
            let x = step as f32 / 100.0;
            let wanted = f64::from(x).exp();
            let got = f64::from(exponential(x));
            assert!(
                ((got - wanted) / wanted).abs() < 3e-7,
                "{x}: {got} {wanted}"
            );
        }
        assert!(exponential(f32::NEG_INFINITY) < 2e-38);
    }

    /// erf by its series, summed in `f64` until the terms vanish.
    fn exact_error_function(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn gelu_is_right_to_a_millionth() {
        for step in -500..=500 {
            let x = step as f32 / 100.0;
            let mut got = [x - 0.25];
            gelu(&mut got, &[0.25]);
            let x = f64::from(x);
            let wanted = 0.5 * x * (1.0 + exact_error_function(x * 0.5_f64.sqrt()));
            assert!(
                (f64::from(got[0]) - wanted).abs() < 1.5e-6,
                "{x}: {} {wanted}",
                got[0]
            );
        }
        let mut far = [-40.0, 40.0];
        gelu(&mut far, &[0.0; 2]);
        assert_eq!(far, [0.0, 40.0]);
    }

    #[test]
    fn softmax_sums_to_one_and_hidden_scores_get_nothing() {
        let mut values = [1.0, 3.0, f32::NEG_INFINITY, 2.0];
        softmax(&mut values);
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((values[1] / values[3] - 1_f32.exp()).abs() < 1e-5);
        assert!(values[2] < 1e-30);
    }

    #[test]
    fn the_logarithm_of_a_sum_is_that_of_the_plain_formula() {
        let values: Vec<f32> = (0..100).map(|i| (i as f32).sin() * 5.0).collect();
        let wanted = values.iter().map(|value| value.exp()).sum::<f32>().ln();
        assert!((log_sum_exp(&values) - wanted).abs() < 1e-5);
        assert_eq!(log_sum_exp(&[]), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f32::NEG_INFINITY; 3]), f32::NEG_INFINITY);
    }

    #[test]
    fn normalised_values_have_mean_zero_and_variance_one() {
        let values: Vec<f32> = (0..70).map(|i| (i * i % 13) as f32).collect();
        let mut out = vec![0.0; 70];
        normalise(&values, &[1.0; 70], &[0.0; 70], &mut out);
        let mean: f32 = out.iter().sum::<f32>() / 70.0;
        let variance: f32 = out.iter().map(|value| value * value).sum::<f32>() / 70.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-4);
    }

    #[test]
    fn attention_over_two_keys_weighs_their_values() {
        let (query, rows) = ([1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        let mut scores = [0.0; 2];
        score(&query, &rows, &mut scores);
        assert_eq!(scores, [1.0, 5.0]);
        let mut out = [9.0; 3];
        weigh(&scores, &rows, &mut out);
        assert_eq!(out, [1.0, 5.0, 5.0]);
    }

    #[test]
    fn the_largest_value_is_found_in_every_place() {
        for place in 0..70 {
            let mut values = vec![-3.0; 70];
            values[place] = 4.0;
            assert_eq!(largest(&values), 4.0);
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }
}
