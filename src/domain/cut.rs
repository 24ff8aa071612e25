//! Where a long recording is cut into pieces, as one pure function of how loud it is.
//!
//! Everything counts in packets of [`OPUS_PACKET_MILLIS`]. A cut lies in the middle of a pause near
//! the wanted length; where nobody pauses, in the middle of the quietest moment. No piece needs more
//! bytes than allowed, and none is a mere scrap: a short rest shifts the cut before it.

use std::cmp::Reverse;
use std::ops::{Range, RangeInclusive};

use super::audio::{AudioDuration, Bitrate, OPUS_PACKET_MILLIS, SPEECH_RATE};

/// Packets in a second.
const PACKETS_PER_SECOND: usize = 1000 / OPUS_PACKET_MILLIS as usize;
/// The shortest length that can be wanted of a piece, in packets: 10 s.
const SHORTEST_WANTED: usize = 10 * PACKETS_PER_SECOND;
/// How far a cut may lie from the wanted length at most, in packets: 30 s.
const FARTHEST: usize = 30 * PACKETS_PER_SECOND;
/// The shortest piece at the end at most, in packets: 10 s.
const SHORTEST_REST: usize = 10 * PACKETS_PER_SECOND;
/// Both are at most this part of a shorter piece.
const PART: usize = 4;

/// Stretches of quiet that are looked for, in packets: a pause between sentences or phrases
/// (300 ms), and a gap that is longer than any stop inside a word (200 ms).
const PAUSES: [usize; 2] = [15, 10];
/// The length of the quietest moment, in packets: 100 ms.
const MOMENT: usize = 5;
/// A longer pause is no better than this one, in packets: 1 s.
const LONG_PAUSE: usize = PACKETS_PER_SECOND;
/// What a pause at the edge of the window must be longer than one at the wanted length, in packets:
/// 500 ms.
const EDGE_COSTS: usize = PACKETS_PER_SECOND / 2;

/// Quiet is what lies in this lowest part of the range, in decibels, from the quietest 200 ms to what
/// one packet in twenty exceeds.
const QUIET_PART: f32 = 0.25;
/// What is always quiet, in decibels below full scale.
const ALWAYS_QUIET: f32 = -75.0;
/// The least power that counts: -90 decibels.
const LEAST_POWER: f32 = 1e-9;

/// A stretch of a recording, in samples of one channel at [`SPEECH_RATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first sample.
    pub start: u64,
    /// The first sample behind it.
    pub end: u64,
}

impl Stretch {
    /// When it begins, from the start of the recording.
    #[must_use]
    pub fn begins(self) -> AudioDuration {
        length(self.start)
    }

    /// When it ends, from the start of the recording.
    #[must_use]
    pub fn ends(self) -> AudioDuration {
        length(self.end)
    }

    /// What lies between two moments.
    #[must_use]
    pub fn between(start: AudioDuration, end: AudioDuration) -> Self {
        Self {
            start: sample(start),
            end: sample(end),
        }
    }

    /// How long it is.
    #[must_use]
    pub fn duration(self) -> AudioDuration {
        length(self.end.saturating_sub(self.start))
    }
}

/// The sample that is nearest to a moment.
fn sample(moment: AudioDuration) -> u64 {
    let samples = u128::from(moment.micros()) * u128::from(SPEECH_RATE) + 500_000;
    u64::try_from(samples / 1_000_000).unwrap_or(u64::MAX)
}

fn length(samples: u64) -> AudioDuration {
    AudioDuration::from_frames(samples, SPEECH_RATE).unwrap_or_default()
}

/// How a recording is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    bitrate: Bitrate,
    /// The packets of a piece.
    wanted: usize,
    /// How far a cut may lie from there, in packets.
    reach: usize,
    /// The packets of the last piece at least.
    rest: usize,
}

impl Cutting {
    /// Pieces of about `wanted`, of which none has more than `limit_bytes`, at the best bit rate that
    /// allows such pieces; where none does, shorter pieces at the lowest. `None` when the limit is too
    /// low for pieces of 10 s.
    #[must_use]
    pub fn new(wanted: AudioDuration, limit_bytes: u64) -> Option<Self> {
        let packets = wanted.micros() / (u64::from(OPUS_PACKET_MILLIS) * 1000);
        let packets = usize::try_from(packets).unwrap_or(usize::MAX / 2);
        let wanted = packets.clamp(SHORTEST_WANTED, usize::MAX / 2);
        let most = |bitrate: Bitrate| {
            usize::try_from(bitrate.packets_within(limit_bytes)).unwrap_or(usize::MAX)
        };
        let fits = |bitrate: &Bitrate| wanted + reach(wanted) <= most(*bitrate);
        if let Some(bitrate) = Bitrate::BEST_FIRST.into_iter().find(fits) {
            return Some(Self::of(bitrate, wanted));
        }
        let bitrate = Bitrate::BEST_FIRST.into_iter().next_back()?;
        let most = most(bitrate);
        // What is a fourth of this or less may be added to it.
        let shorter = (most * PART / (PART + 1)).max(most.saturating_sub(FARTHEST));
        (shorter >= SHORTEST_WANTED).then(|| Self::of(bitrate, shorter))
    }

    fn of(bitrate: Bitrate, wanted: usize) -> Self {
        Self {
            bitrate,
            wanted,
            reach: reach(wanted),
            rest: SHORTEST_REST.min(wanted / PART),
        }
    }

    /// The length of a piece that is aimed at, which may be shorter than what was asked for.
    #[must_use]
    pub fn wanted(&self) -> AudioDuration {
        let packets = u64::try_from(self.wanted).unwrap_or(u64::MAX);
        AudioDuration::from_micros(packets.saturating_mul(u64::from(OPUS_PACKET_MILLIS) * 1000))
    }

    /// The bit rate of every piece.
    #[must_use]
    pub fn bitrate(&self) -> Bitrate {
        self.bitrate
    }

    /// The most pieces that a recording of this length becomes, at least 1.
    #[must_use]
    pub fn most_pieces(&self, duration: AudioDuration) -> u64 {
        let packets = duration.micros() / (u64::from(OPUS_PACKET_MILLIS) * 1000) + 1;
        packets.div_ceil(*self.window().start() as u64)
    }

    /// The packets that a piece may have when more follows.
    #[must_use]
    pub fn window(&self) -> RangeInclusive<usize> {
        self.wanted - self.reach..=self.wanted + self.reach
    }

    /// Packets behind the start of a piece that have to be known before it is cut; less than these
    /// when the recording ends before.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.window().end() + self.rest
    }

    /// The packets of the next piece, when `powers` are those of the packets from the start of the
    /// window on, as far as [`Self::ahead`] or the end of the recording; `None` when all is one piece.
    #[must_use]
    pub fn cut(&self, powers: &[f32]) -> Option<usize> {
        let (first, last) = self.window().into_inner();
        let known = first + powers.len();
        if known <= last {
            return None;
        }
        let last = last.min(known - self.rest);
        let window = powers.get(..last - first).unwrap_or(powers);
        Some(first + quiet_place(window, self.wanted - first))
    }
}

/// How far a cut may lie from the wanted length, in packets.
fn reach(wanted: usize) -> usize {
    FARTHEST.min(wanted / PART)
}

/// The power of a packet without its constant part.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
pub fn power(samples: &[f32]) -> f32 {
    let count = samples.len().max(1) as f32;
    let mean = samples.iter().sum::<f32>() / count;
    let sum: f32 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    sum / count
}

/// The number of packets before the best place for a cut; `wanted` is where it should be.
fn quiet_place(powers: &[f32], wanted: usize) -> usize {
    let levels: Vec<f32> = powers.iter().copied().map(decibels).collect();
    let quiet = quiet_level(&levels);
    let pause = PAUSES
        .into_iter()
        .find_map(|least| best_pause(&levels, quiet, least, wanted));
    let place = pause.or_else(|| quietest_moment(&levels, wanted));
    place.map_or(wanted.min(powers.len()), middle)
}

fn decibels(power: f32) -> f32 {
    // What is no number counts as silence.
    10.0 * power.max(LEAST_POWER).log10()
}

/// The level in decibels under which a packet is quiet.
fn quiet_level(levels: &[f32]) -> f32 {
    let [_, gap] = PAUSES;
    #[expect(clippy::cast_precision_loss, reason = "a handful of packets")]
    let mean = |stretch: &[f32]| stretch.iter().sum::<f32>() / stretch.len() as f32;
    let low = levels.windows(gap).map(mean).min_by(f32::total_cmp);
    let mut sorted = levels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let high = sorted.get(sorted.len() * 19 / 20).copied();
    let (low, high) = (low.unwrap_or(ALWAYS_QUIET), high.unwrap_or(ALWAYS_QUIET));
    (low + QUIET_PART * (high - low)).max(ALWAYS_QUIET)
}

/// The pause of at least so many packets that is long and near; of equals the nearest, the first.
fn best_pause(levels: &[f32], quiet: f32, least: usize, wanted: usize) -> Option<Range<usize>> {
    let reach = wanted.max(levels.len().saturating_sub(wanted)).max(1);
    let worth = |pause: &Range<usize>| {
        let far = middle(pause.clone()).abs_diff(wanted);
        let gain = pause.len().min(LONG_PAUSE) * reach + (reach - far.min(reach)) * EDGE_COSTS;
        (gain, Reverse(far), Reverse(pause.start))
    };
    let mut start = 0;
    levels
        .chunk_by(|before, after| (*before <= quiet) == (*after <= quiet))
        .map(|run| {
            start += run.len();
            (start - run.len()..start, run)
        })
        .filter(|(_, run)| run.len() >= least && run.iter().all(|level| *level <= quiet))
        .map(|(range, _)| range)
        .max_by_key(worth)
}

/// The quietest 100 ms; of equals the nearest.
fn quietest_moment(levels: &[f32], wanted: usize) -> Option<Range<usize>> {
    levels
        .windows(MOMENT)
        .enumerate()
        .map(|(start, moment)| (moment.iter().sum::<f32>(), start..start + MOMENT))
        .min_by(|(left, near), (right, far)| {
            let distance = |range: &Range<usize>| middle(range.clone()).abs_diff(wanted);
            left.total_cmp(right)
                .then_with(|| distance(near).cmp(&distance(far)))
        })
        .map(|(_, range)| range)
}

fn middle(range: Range<usize>) -> usize {
    range.start + range.len() / 2
}

#[cfg(test)]
mod tests;
