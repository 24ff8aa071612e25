//! Changes the rate of a stream of samples to 16 kHz, chunk by chunk.
//!
//! The delay of the filter is taken out, and the end is flushed, so that a stream of n samples at a
//! rate r becomes n · 16000 ÷ r samples, each in its place.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

use super::decode::RATE;

/// The rates that are accepted, in Hz.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;
/// The length of a chunk, as a part of a second.
const CHUNKS_PER_SECOND: u32 = 20;

/// A stream of samples on its way to [`RATE`].
pub(super) struct Resampler {
    rate: u32,
    /// `None`: the rate is right already.
    filter: Option<Fft<f32>>,
    waiting: Vec<f32>,
    chunk: Vec<f32>,
    /// Samples at the start that are only the filter's delay.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A resampler from `rate`; `None` when the rate is none of [`RATES`].
    pub(super) fn new(rate: u32) -> Option<Self> {
        if !RATES.contains(&rate) {
            return None;
        }
        let chunk = chunk_size(rate) as usize;
        let filter = match rate {
            RATE => None,
            _ => Some(Fft::new(rate as usize, RATE as usize, chunk, 1, FixedSync::Both).ok()?),
        };
        let longest = filter
            .as_ref()
            .map_or(0, |filter| filter.output_frames_max());
        Some(Self {
            rate,
            delay: filter.as_ref().map_or(0, |filter| filter.output_delay()),
            filter,
            waiting: Vec::new(),
            chunk: vec![0.0; longest],
            taken: 0,
            given: 0,
        })
    }

    /// The rate of the samples that [`Self::push`] takes, in Hz.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes `samples` and appends to `output` what is ready.
    pub(super) fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let Some(filter) = &mut self.filter else {
            self.given += samples.len() as u64;
            output.extend_from_slice(samples);
            return;
        };
        self.waiting.extend_from_slice(samples);
        let size = filter.input_frames_next();
        let mut done = 0;
        while let Some(chunk) = self.waiting.get(done..done + size) {
            let made = run(filter, chunk, None, &mut self.chunk);
            done += size;
            append(made, &mut self.delay, &mut self.given, u64::MAX, output);
        }
        self.waiting.drain(..done);
    }

    /// Appends what is left, up to the length that the stream must have.
    pub(super) fn finish(&mut self, output: &mut Vec<f32>) {
        let Some(filter) = &mut self.filter else {
            return;
        };
        let total = scaled(self.taken, self.rate);
        let mut rest = std::mem::take(&mut self.waiting);
        let partial = rest.len();
        rest.resize(filter.input_frames_next(), 0.0);
        let mut partial = Some(partial);
        while self.given < total {
            // The filter's memory is as long as its delay, so that this ends after a few chunks.
            let length = partial.take().unwrap_or(0);
            let made = run(filter, &rest, Some(length), &mut self.chunk);
            if made.is_empty() {
                return;
            }
            append(made, &mut self.delay, &mut self.given, total, output);
        }
    }
}

/// About a [`CHUNKS_PER_SECOND`]th of a second that both rates can divide; even, because the delay
/// of the filter, half a chunk, must be whole samples.
fn chunk_size(rate: u32) -> u32 {
    let (mut divisor, mut rest) = (rate, RATE);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let block = rate / divisor.max(1);
    let blocks = (rate / CHUNKS_PER_SECOND).div_ceil(block).max(1);
    block * (blocks + (block * blocks) % 2)
}

/// The number of samples at [`RATE`] that last as long as `samples` at `rate`, rounded.
fn scaled(samples: u64, rate: u32) -> u64 {
    let (samples, rate) = (u128::from(samples), u128::from(rate));
    u64::try_from((samples * u128::from(RATE) + rate / 2) / rate).unwrap_or(u64::MAX)
}

fn run<'c>(
    filter: &mut Fft<f32>,
    input: &[f32],
    partial: Option<usize>,
    chunk: &'c mut [f32],
) -> &'c [f32] {
    let indexing = partial.map(|length| Indexing::new().partial_len(length));
    let frames = chunk.len();
    let made = InterleavedSlice::new(input, 1, input.len())
        .ok()
        .and_then(|input| {
            let mut output = InterleavedSlice::new_mut(chunk, 1, frames).ok()?;
            filter
                .process_into_buffer(&input, &mut output, indexing.as_ref())
                .ok()
        });
    // Sizes are the only thing that can be wrong, and they are the filter's own.
    chunk
        .get(..made.map_or(0, |(_, made)| made))
        .unwrap_or_default()
}

/// Appends `made` without the filter's delay and without what exceeds `total`.
fn append(made: &[f32], delay: &mut usize, given: &mut u64, total: u64, output: &mut Vec<f32>) {
    let skipped = made.len().min(*delay);
    *delay -= skipped;
    let room = usize::try_from(total - *given).unwrap_or(usize::MAX);
    let sound = made.get(skipped..).unwrap_or_default();
    let sound = sound.get(..room).unwrap_or(sound);
    *given += sound.len() as u64;
    output.extend_from_slice(sound);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_precision_loss, reason = "short test signals")]
    fn sine(frequency: f32, rate: u32, samples: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * frequency / rate as f32;
        (0..samples)
            .map(|index| (step * index as f32).sin() * 0.5)
            .collect()
    }

    fn resample(rate: u32, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut output = Vec::new();
        for piece in samples.chunks(piece) {
            resampler.push(piece, &mut output);
        }
        resampler.finish(&mut output);
        output
    }

    /// The largest difference in the middle, away from the filter's edges.
    fn distance(left: &[f32], right: &[f32]) -> f32 {
        let middle = 800..left.len() - 800;
        let pairs = left[middle.clone()].iter().zip(&right[middle]);
        pairs
            .map(|(left, right)| (left - right).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_keeps_its_pitch_level_and_place() {
        for rate in [
            8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
        ] {
            let output = resample(rate, &sine(440.0, rate, rate as usize), 777);
            let expected = sine(440.0, RATE, RATE as usize);
            assert_eq!(output.len(), expected.len(), "{rate} Hz");
            let distance = distance(&output, &expected);
            assert!(distance < 0.002, "{rate} Hz: off by {distance}");
        }
    }

    #[test]
    fn what_16_khz_cannot_carry_is_gone_instead_of_folded_back() {
        let output = resample(48_000, &sine(11_000.0, 48_000, 48_000), 1000);
        let silence = vec![0.0; output.len()];
        assert!(distance(&output, &silence) < 0.001);
    }

    #[test]
    fn the_size_of_the_pieces_does_not_matter() {
        let samples = sine(300.0, 44_100, 10_000);
        let whole = resample(44_100, &samples, samples.len());
        assert_eq!(resample(44_100, &samples, 1), whole);
        assert_eq!(resample(44_100, &samples, 4097), whole);
    }

    #[test]
    fn odd_lengths_and_rates_come_out_right() {
        assert!(resample(44_100, &[], 1).is_empty());
        assert_eq!(
            resample(48_000, &[0.5], 1).len(),
            0,
            "a third of a sample is none"
        );
        assert_eq!(resample(48_000, &[0.5; 100], 1).len(), 33);
        assert_eq!(resample(22_254, &[0.5; 22_254], 100).len(), 16_000);
        assert!(Resampler::new(999).is_none());
        assert!(Resampler::new(u32::MAX).is_none());
    }
}
