//! The log-mel spectrogram of a window of 30 s, as Whisper was trained on it.
//!
//! Frames of 25 ms every 10 ms under a Hann window, mel filters as librosa makes them by default
//! (Slaney's scale and norm), the logarithm clamped to 80 dB under the window's loudest place.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ShapeBuilder, Zip};

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
///
/// The spectrum of 400 samples is a product with a table of waves: for a whole window that is as fast as a
/// Fourier transform by a library, whose many variants take longer to build than all the rest.
#[derive(Debug)]
pub(crate) struct Mel {
    /// Sample × frequency: cosines and sines under the Hann window.
    waves: [Array2<f32>; 2],
    /// Bin × frequency.
    filters: Array2<f32>,
}

impl Mel {
    /// The tables for 80 or 128 bins.
    pub(crate) fn new(bins: usize) -> Self {
        let turn = |i: usize| 2.0 * std::f64::consts::PI * (i % FRAME) as f64 / FRAME as f64;
        let hann = |i: usize| 0.5 - 0.5 * turn(i).cos();
        let waves = |wave: fn(f64) -> f64| {
            let value =
                |(i, frequency): (usize, usize)| narrow(hann(i) * wave(turn(i * frequency)));
            Array2::from_shape_fn((FRAME, FREQUENCIES), value)
        };
        Self {
            waves: [waves(f64::cos), waves(f64::sin)],
            filters: filters(bins),
        }
    }

    /// A row of bins for each frame; `padded` is the window with [`MARGIN`] samples on both sides,
    /// and may end early, which is silence.
    pub(crate) fn spectrogram(&self, mut padded: Vec<f32>) -> Array2<f32> {
        padded.resize(WINDOW + 2 * MARGIN, 0.0);
        let mut rows = Array2::zeros((FRAMES, self.filters.nrows()));
        // Frames overlap, so the table of frames is a view into the samples themselves.
        if let Ok(frames) = ArrayView2::from_shape((FRAMES, FRAME).strides((HOP, 1)), &padded) {
            general_mat_mul(1.0, &self.power(&frames), &self.filters.t(), 0.0, &mut rows);
        }
        rows.mapv_inplace(|value: f32| value.max(1e-10).log10());
        compress(&mut rows);
        rows
    }

    /// The power of each frame's frequencies.
    fn power(&self, frames: &ArrayView2<'_, f32>) -> Array2<f32> {
        let [mut power, mut other] = [(); 2].map(|()| Array2::zeros((FRAMES, FREQUENCIES)));
        general_mat_mul(1.0, frames, &self.waves[0], 0.0, &mut power);
        general_mat_mul(1.0, frames, &self.waves[1], 0.0, &mut other);
        Zip::from(&mut power)
            .and(&other)
            .for_each(|power: &mut f32, other| {
                *power = *power * *power + other * other;
            });
        power
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
fn filters(bins: usize) -> Array2<f32> {
    let top = mel_of(RATE as f64 / 2.0);
    let edge = |i: usize| hertz_of(top * i as f64 / (bins + 1) as f64);
    Array2::from_shape_fn((bins, FREQUENCIES), |(bin, frequency)| {
        let (low, middle, high) = (edge(bin), edge(bin + 1), edge(bin + 2));
        let hertz = frequency as f64 * RATE as f64 / FRAME as f64;
        let rising = (hertz - low) / (middle - low);
        let falling = (high - hertz) / (high - middle);
        narrow(rising.min(falling).max(0.0) * 2.0 / (high - low))
    })
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
            let reached: Vec<(usize, f32)> = filters
                .row(bin)
                .iter()
                .copied()
                .enumerate()
                .filter(|(_, w)| *w > 0.0)
                .collect();
            assert_eq!(
                (reached[0].0, reached.len()),
                (first, weights.len()),
                "{bins} {bin}"
            );
            for ((_, got), wanted) in reached.iter().zip(weights) {
                assert!(
                    (got - wanted).abs() < 1e-7,
                    "{bins} {bin}: {got}, not {wanted}"
                );
            }
        }
    }
}
