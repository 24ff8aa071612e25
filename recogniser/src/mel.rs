//! The log-mel spectrogram of a window of 30 s, as Whisper was trained on it.
//!
//! Frames of 25 ms every 10 ms under a Hann window, mel filters as librosa makes them by default
//! (Slaney's scale and norm), the logarithm clamped to 80 dB under the window's loudest place.

use std::sync::Arc;

use ndarray::Array2;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Samples a second.
pub(crate) const RATE: usize = 16_000;
/// Samples from one frame to the next: 10 ms.
pub(crate) const HOP: usize = 160;
/// Frames of a window.
pub(crate) const FRAMES: usize = 3000;
/// Samples of a window: 30 s.
pub(crate) const WINDOW: usize = FRAMES * HOP;
/// Samples of a frame: 25 ms.
const FRAME: usize = 400;
/// Samples that the frames at the edges reach beyond the window.
pub(crate) const MARGIN: usize = FRAME / 2;
/// Frequencies of a frame's spectrum.
const FREQUENCIES: usize = FRAME / 2 + 1;

/// The tables for one number of mel bins.
pub(crate) struct Mel {
    bins: Vec<Filter>,
    hann: Vec<f32>,
    transform: Arc<dyn RealToComplex<f32>>,
}

/// A triangle over the spectrum: where it begins, and its weights.
#[derive(Debug, PartialEq)]
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

impl std::fmt::Debug for Mel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Mel")
            .field("bins", &self.bins.len())
            .finish_non_exhaustive()
    }
}

impl Mel {
    /// The tables for 80 or 128 bins.
    pub(crate) fn new(bins: usize) -> Self {
        let angle = |i: usize| 2.0 * std::f64::consts::PI * i as f64 / FRAME as f64;
        Self {
            bins: filters(bins),
            hann: (0..FRAME)
                .map(|i| narrow(0.5 - 0.5 * angle(i).cos()))
                .collect(),
            transform: RealFftPlanner::new().plan_fft_forward(FRAME),
        }
    }

    /// A row of bins for each frame; `padded` is the window with [`MARGIN`] samples on both sides,
    /// and may end early, which is silence.
    pub(crate) fn spectrogram(&self, padded: &[f32]) -> Array2<f32> {
        let mut rows = Array2::from_elem((FRAMES, self.bins.len()), -10.0);
        let mut samples = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut power = [0.0; FREQUENCIES];
        for (start, mut row) in (0..padded.len()).step_by(HOP).zip(rows.rows_mut()) {
            let frame = padded.get(start..).unwrap_or_default();
            samples.fill(0.0);
            for ((sample, value), weight) in samples.iter_mut().zip(frame).zip(&self.hann) {
                *sample = value * weight;
            }
            if self.transform.process(&mut samples, &mut spectrum).is_err() {
                continue; // Only wrong lengths fail, and these come from the transform itself.
            }
            for (power, value) in power.iter_mut().zip(&spectrum) {
                *power = Complex::norm_sqr(value);
            }
            for (value, filter) in row.iter_mut().zip(&self.bins) {
                *value = filter.of(&power).max(1e-10).log10();
            }
        }
        compress(&mut rows);
        rows
    }
}

impl Filter {
    fn of(&self, power: &[f32]) -> f32 {
        let reached = power.iter().skip(self.first);
        self.weights
            .iter()
            .zip(reached)
            .map(|(weight, power)| weight * power)
            .sum()
    }
}

/// Clamps to 80 dB under the loudest place and brings the values to about −1 to 1.
fn compress(rows: &mut Array2<f32>) {
    let floor = rows
        .iter()
        .fold(f32::NEG_INFINITY, |largest, &value| largest.max(value))
        - 8.0;
    rows.mapv_inplace(|value| (value.max(floor) + 4.0) / 4.0);
}

/// librosa's `filters.mel` with its defaults: triangles of equal area on Slaney's scale up to 8 kHz.
fn filters(bins: usize) -> Vec<Filter> {
    let top = mel_of(RATE as f64 / 2.0);
    let edge = |i: usize| hertz_of(top * i as f64 / (bins + 1) as f64);
    let hertz = |frequency: usize| frequency as f64 * RATE as f64 / FRAME as f64;
    (0..bins)
        .map(|bin| {
            let (low, middle, high) = (edge(bin), edge(bin + 1), edge(bin + 2));
            let weight = |frequency: usize| {
                let rising = (hertz(frequency) - low) / (middle - low);
                let falling = (high - hertz(frequency)) / (high - middle);
                narrow(rising.min(falling).max(0.0) * 2.0 / (high - low))
            };
            let reached = |&frequency: &usize| weight(frequency) > 0.0;
            let first = (0..FREQUENCIES).find(reached).unwrap_or(0);
            let weights = (first..FREQUENCIES)
                .take_while(reached)
                .map(weight)
                .collect();
            Filter { first, weights }
        })
        .collect()
}

/// Slaney's scale: linear to 1 kHz, then logarithmic.
const LINEAR_STEP: f64 = 200.0 / 3.0;
const BEND_HERTZ: f64 = 1000.0;
const BEND_MEL: f64 = BEND_HERTZ / LINEAR_STEP;

fn logarithmic_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn mel_of(hertz: f64) -> f64 {
    if hertz < BEND_HERTZ {
        return hertz / LINEAR_STEP;
    }
    BEND_MEL + (hertz / BEND_HERTZ).ln() / logarithmic_step()
}

fn hertz_of(mel: f64) -> f64 {
    if mel < BEND_MEL {
        return mel * LINEAR_STEP;
    }
    BEND_HERTZ * ((mel - BEND_MEL) * logarithmic_step()).exp()
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is wanted")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bins, bin, first frequency that it reaches, weights.
    const FILTERS: [(usize, usize, usize, &[f32]); 6] = [
        (80, 0, 1, &[0.024_862_595]),
        (80, 30, 29, &[0.015_856_039, 0.008_962_771]),
        (
            80,
            60,
            90,
            &[
                0.001_434_534_3,
                0.003_441_219_2,
                0.005_447_903_7,
                0.006_591_093,
                0.004_660_012,
                0.002_728_930_4,
                0.000_797_849_15,
            ],
        ),
        (128, 0, 1, &[0.012_373_986]),
        (128, 5, 3, &[0.005_644_592, 0.006_729_394]),
        (
            128,
            127,
            191,
            &[
                0.000_475_695_08,
                0.001_617_171_7,
                0.002_758_648_4,
                0.003_900_125,
                0.005_041_601_7,
                0.004_457_121,
                0.003_342_840_6,
                0.002_228_560_4,
                0.001_114_280_2,
            ],
        ),
    ];

    /// The values for 80 bins are those of the file that OpenAI publishes, those for 128 bins were made
    /// with NumPy after librosa's `filters.mel(sr=16000, n_fft=400)`.
    #[test]
    fn filters_have_the_values_of_librosa() {
        for (bins, bin, first, weights) in FILTERS {
            let filters = filters(bins);
            let filter = &filters[bin];
            assert_eq!(
                (filter.first, filter.weights.len()),
                (first, weights.len()),
                "{bins} {bin}"
            );
            for (got, wanted) in filter.weights.iter().zip(weights) {
                assert!(
                    (got - wanted).abs() < 1e-7,
                    "{bins} {bin}: {got}, not {wanted}"
                );
            }
        }
    }
}
