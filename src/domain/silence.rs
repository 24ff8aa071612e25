//! Where a recording is silent, told from its samples: what is said to be spoken there is doubtful.
//!
//! Silent is what is far quieter than the speech of the same recording, and quiet in itself: a hum under a
//! loud voice counts, a whisper in a quiet room does not.

use std::cmp::Ordering;

use super::audio::{Damage, SPEECH_RATE};

/// Samples in a block: 100 ms.
const BLOCK: usize = SPEECH_RATE as usize / 10;
/// Seconds in a block.
const BLOCK_SECONDS: f64 = 0.1;
/// The blocks of the shortest stretch that is told: 3 s.
const SHORTEST: usize = 30;
/// One block in so many is louder than what counts as the loudness of the speech.
const LOUDER: usize = 20;
/// What is silent is this part of the power of the speech at most: 40 decibels below.
const BELOW_SPEECH: f32 = 1e-4;
/// The power that is silent whatever the speech is like: 75 decibels below full scale.
const ALWAYS: f32 = 3.2e-8;
/// The power that is never silent: 50 decibels below full scale.
const NEVER: f32 = 1e-5;

/// What is known of a recording to whose samples somebody listened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listened {
    /// Where it is silent, from when to when in seconds.
    pub silences: Vec<(f64, f64)>,
    /// What of it could not be decoded; absent where nobody looked.
    pub damage: Option<Damage>,
}

/// Listens to the samples of a recording, one channel at [`SPEECH_RATE`].
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// The mean power of every whole block.
    powers: Vec<f32>,
    sum: f32,
    count: usize,
}

impl Listening {
    /// Takes in the next samples.
    pub fn hear(&mut self, samples: &[f32]) {
        for sample in samples {
            self.sum += sample * sample;
            self.count += 1;
            if self.count == BLOCK {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        self.powers.push(self.sum / f32::from(count.max(1)));
        (self.sum, self.count) = (0.0, 0);
    }

    /// The silent stretches of 3 s and more, from when to when in seconds.
    #[must_use]
    pub fn silences(mut self) -> Vec<(f64, f64)> {
        if self.count > 0 {
            self.end_block();
        }
        let limit = (loudness(&self.powers) * BELOW_SPEECH).clamp(ALWAYS, NEVER);
        let mut silences = Vec::new();
        let mut at = 0;
        for run in self
            .powers
            .chunk_by(|one, next| (*one <= limit) == (*next <= limit))
        {
            let is_silent = run.first().is_some_and(|power| *power <= limit);
            if is_silent && run.len() >= SHORTEST {
                silences.push((seconds(at), seconds(at + run.len())));
            }
            at += run.len();
        }
        silences
    }
}

/// The power that one block in [`LOUDER`] exceeds.
fn loudness(powers: &[f32]) -> f32 {
    let mut sorted = powers.to_vec();
    sorted.sort_by(|one, other| other.partial_cmp(one).unwrap_or(Ordering::Equal));
    sorted
        .get(sorted.len() / LOUDER)
        .copied()
        .unwrap_or_default()
}

fn seconds(blocks: usize) -> f64 {
    f64::from(u32::try_from(blocks).unwrap_or(u32::MAX)) * BLOCK_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listened(parts: &[(f32, usize)]) -> Vec<(f64, f64)> {
        let mut listening = Listening::default();
        for (loudness, seconds) in parts {
            // Odd lengths, so that blocks and calls do not fall together.
            let samples = vec![*loudness; *seconds * 16_000];
            samples.chunks(999).for_each(|some| listening.hear(some));
        }
        let rounded = |moment: f64| (moment * 10.0).round() / 10.0;
        let silences = listening.silences().into_iter();
        silences
            .map(|(start, end)| (rounded(start), rounded(end)))
            .collect()
    }

    #[test]
    fn a_long_silence_between_speech_is_found_and_a_short_one_is_not() {
        let parts = [(0.1, 4), (0.0, 5), (0.1, 3), (0.0, 2), (0.1, 1)];
        assert_eq!(listened(&parts), [(4.0, 9.0)]);
    }

    #[test]
    fn a_hum_far_below_the_speech_is_silence_and_a_whisper_is_not() {
        assert_eq!(listened(&[(0.5, 4), (0.003, 4)]), [(4.0, 8.0)]);
        assert_eq!(listened(&[(0.02, 4), (0.003, 4)]), []);
    }

    #[test]
    fn a_recording_of_nothing_is_one_silence_and_none_at_all_has_none() {
        assert_eq!(listened(&[(0.0, 7)]), [(0.0, 7.0)]);
        assert_eq!(listened(&[]), []);
    }
}
