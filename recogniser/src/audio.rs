//! The stretch of audio around the window at hand, pulled from the caller's source as it is needed.
//!
//! Never more than a window with its margins and one block is held; what lies before is let go.

use crate::mel::{MARGIN, RATE, WINDOW};

/// Samples that are asked of the source at once: 1 s.
const BLOCK: usize = RATE;
/// Samples of which the loudness is measured: 10 ms.
const BEAT: usize = RATE / 100;
/// Mean power under which everything is silence: −75 dB of full scale.
const SILENT: f32 = 3.2e-8;
/// Mean power under which a beat is silence beside the loudest of its window: −50 dB.
const SILENT_BESIDE: f32 = 1e-5;
/// What stays before the first sound, in beats: 0.3 s.
const LEAD_IN: usize = 30;
/// Mean power over which a beat is as loud as speech beside the louder beats of speech: −12 dB.
const LOUD_BESIDE: f32 = 0.063;
/// Which of the beats of speech, from the loudest on, stands for its loudness: the one at a quarter.
const LOUDER: usize = 4;
/// How many beats as loud as speech cannot be the end of a last word or a noise: 1 s.
const LOUD_LEAST: usize = 100;

/// Gives samples into a buffer and tells how many; none means the end.
pub(crate) type Samples<'a, E> = &'a mut dyn FnMut(&mut [f32]) -> Result<usize, E>;

/// The buffered stretch.
pub(crate) struct Audio<'a, E> {
    source: Samples<'a, E>,
    block: Vec<f32>,
    buffer: Vec<f32>,
    /// The sample that `buffer` begins with, counted from the start of the audio.
    start: usize,
    ended: bool,
}

impl<'a, E> Audio<'a, E> {
    pub(crate) fn new(source: Samples<'a, E>) -> Self {
        Self {
            source,
            block: vec![0.0; BLOCK],
            buffer: Vec::new(),
            start: 0,
            ended: false,
        }
    }

    /// Lets go of what lies before sample `at` and its margin, and reads its window with the margin after it.
    pub(crate) fn seek(&mut self, at: usize) -> Result<(), E> {
        self.let_go(at);
        while !self.ended && self.start + self.buffer.len() < at + WINDOW + MARGIN {
            let read = (self.source)(&mut self.block)?.min(self.block.len());
            self.ended = read == 0;
            let read = self.block.iter().take(read);
            // Damaged audio must not poison a whole window.
            self.buffer
                .extend(read.map(|&sample| if sample.is_finite() { sample } else { 0.0 }));
            self.let_go(at);
        }
        Ok(())
    }

    fn let_go(&mut self, at: usize) {
        let past = at.saturating_sub(MARGIN).saturating_sub(self.start);
        let past = past.min(self.buffer.len());
        self.buffer.drain(..past);
        self.start += past;
    }

    /// The samples from `at` on that are there, at most a window.
    pub(crate) fn window(&self, at: usize) -> &[f32] {
        let rest = self
            .buffer
            .get(at.saturating_sub(self.start)..)
            .unwrap_or_default();
        rest.get(..WINDOW).unwrap_or(rest)
    }

    /// Samples known so far, counted from the start of the audio.
    pub(crate) fn known(&self) -> usize {
        self.start + self.buffer.len()
    }

    /// The window from `at` on with a margin on both sides; at the very start the margin is a mirror.
    pub(crate) fn padded(&self, at: usize) -> Vec<f32> {
        let from = at.saturating_sub(MARGIN).saturating_sub(self.start);
        let rest = self.buffer.get(from..).unwrap_or_default();
        let mut padded = Vec::with_capacity(WINDOW + 2 * MARGIN);
        if at < MARGIN {
            let missing = MARGIN - at;
            let mirror = (1..=missing).rev();
            padded.extend(mirror.map(|i| rest.get(i).copied().unwrap_or_default()));
        }
        let room = WINDOW + 2 * MARGIN - padded.len();
        padded.extend(rest.iter().take(room));
        padded
    }
}

/// How many samples of silence a window begins with, all of them if it is silent.
pub(crate) fn leading_silence(window: &[f32]) -> usize {
    let loudest = window.chunks(BEAT).map(power).fold(0.0, f32::max);
    let threshold = SILENT.max(loudest * SILENT_BESIDE);
    let first = window.chunks(BEAT).position(|beat| power(beat) > threshold);
    first.map_or(window.len(), |first| first.saturating_sub(LEAD_IN) * BEAT)
}

/// Whether a window goes on as loud as before after its first `heard` samples, in which there was speech.
pub(crate) fn goes_on_as_loud(window: &[f32], heard: usize) -> bool {
    let (before, rest) = window.split_at(heard.min(window.len()));
    let mut powers: Vec<f32> = before.chunks(BEAT).map(power).collect();
    let place = powers.len() / LOUDER;
    powers.sort_unstable_by(|one, other| other.total_cmp(one));
    let speech = powers.get(place).copied().unwrap_or_default();
    let threshold = SILENT.max(speech * LOUD_BESIDE);
    let loud = rest.chunks(BEAT).filter(|beat| power(beat) > threshold);
    loud.count() >= LOUD_LEAST
}

fn power(beat: &[f32]) -> f32 {
    beat.iter().map(|sample| sample * sample).sum::<f32>() / beat.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: usize) -> impl FnMut(&mut [f32]) -> Result<usize, ()> {
        let mut next = 0;
        move |block| {
            let read = block.len().min(count - next).min(777);
            for (place, value) in block.iter_mut().zip(next..next + read) {
                *place = value as f32;
            }
            next += read;
            Ok(read)
        }
    }

    #[test]
    fn a_window_has_its_neighbours_as_margins() {
        let mut source = ramp(3 * WINDOW);
        let mut audio = Audio::new(&mut source);
        audio.seek(WINDOW + 5).unwrap();
        let padded = audio.padded(WINDOW + 5);
        assert_eq!(padded.len(), WINDOW + 2 * MARGIN);
        assert_eq!(padded[0], (WINDOW + 5 - MARGIN) as f32);
        assert_eq!(audio.window(WINDOW + 5)[0], (WINDOW + 5) as f32);
        assert!(audio.buffer.len() <= WINDOW + 2 * MARGIN + BLOCK);
    }

    #[test]
    fn the_margin_at_the_very_start_is_a_mirror_without_the_edge() {
        let mut source = ramp(1000);
        let mut audio = Audio::new(&mut source);
        audio.seek(0).unwrap();
        let padded = audio.padded(0);
        assert_eq!(padded[..3], [200.0, 199.0, 198.0]);
        assert_eq!(padded[199..202], [1.0, 0.0, 1.0]);
        assert_eq!(padded.len(), 1200);
        assert_eq!(audio.padded(50)[149..152], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_source_that_lies_about_its_count_and_gives_no_numbers_does_no_harm() {
        let mut calls = 0;
        let mut source = |block: &mut [f32]| {
            calls += 1;
            block.fill(f32::NAN);
            Ok::<_, ()>(if calls < 3 { usize::MAX } else { 0 })
        };
        let mut audio = Audio::new(&mut source);
        audio.seek(0).unwrap();
        assert_eq!(audio.window(0).len(), 2 * BLOCK);
        assert!(audio.window(0).iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn silence_ends_a_little_before_the_first_sound() {
        let mut window = vec![0.0001; 5 * RATE];
        window[2 * RATE..].fill(0.2);
        assert_eq!(leading_silence(&window), 2 * RATE - LEAD_IN * BEAT);
        assert_eq!(leading_silence(&[0.0; 100]), 100);
        assert_eq!(leading_silence(&[]), 0);
        assert_eq!(leading_silence(&[0.3; RATE]), 0);
    }

    #[test]
    fn a_rest_as_loud_as_what_was_heard_is_told_from_a_fading_one_and_from_noise() {
        let mut window = vec![0.2; 10 * RATE];
        assert!(goes_on_as_loud(&window, 3 * RATE));
        assert!(!goes_on_as_loud(&window, 9 * RATE + RATE / 10));
        window[3 * RATE + RATE / 2..].fill(0.02);
        assert!(!goes_on_as_loud(&window, 3 * RATE));
        assert!(!goes_on_as_loud(&window, 11 * RATE));
        assert!(!goes_on_as_loud(&[0.0; 5 * RATE], RATE));
        assert!(!goes_on_as_loud(&[], 0));
    }

    #[test]
    fn quiet_speech_beside_a_loud_bang_is_kept() {
        let mut window = vec![0.01; 5 * RATE];
        window[4 * RATE..4 * RATE + 400].fill(0.9);
        assert_eq!(leading_silence(&window), 0);
    }
}
