//! The true length of a recording, by its packets.
//!
//! Every packet is read and none is decoded. Where an index lists all of them and was held against
//! the file, the index is enough. A file with less in it than its header promises is cut short.

use crate::domain::audio::{AudioDuration, AudioFormat};

use super::demux::{Demuxer, Next};
use super::layout::Container;
use super::probe::ProbeError;
use super::track::Track;
use super::trim::Trim;

/// One of the streams that follow each other in a file; usually there is only one.
struct Part {
    track: Track,
    trim: Trim,
    ticks: u64,
}

/// What a walk came by.
#[derive(Debug, Clone, Copy, Default)]
struct Walked {
    packets: u64,
    ticks: u64,
}

impl Part {
    fn of(track: &Track) -> Self {
        Self {
            track: track.clone(),
            trim: track.trim.clone(),
            ticks: 0,
        }
    }

    fn add(&mut self, ticks: u64) {
        let sound = self.trim.take(ticks);
        self.ticks = self.ticks.saturating_add(sound.end - sound.start);
    }

    fn micros(&self) -> u64 {
        self.track
            .duration(self.ticks)
            .map_or(0, AudioDuration::micros)
    }
}

impl Demuxer {
    /// Walks the packets, or takes the word of an index that was held against the file; what lies before sound that
    /// begins late counts.
    pub(super) fn measure(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        let sound = self.measure_sound()?;
        let lead = self.take_lead();
        Ok(sound.map(|sound| AudioDuration::from_micros(sound.micros().saturating_add(lead))))
    }

    fn measure_sound(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        if let (Container::Wave, Some(frames)) = (self.container(), self.track().frames) {
            return Ok(self.track().duration(frames));
        }
        if self.container() == Container::Matroska {
            return self.walk_by_time();
        }
        match self.listed_ticks() {
            Some(ticks) => Ok(self.track().duration(ticks)),
            None => self.walk(),
        }
    }

    /// The length by the index of an MP4 that lists all samples.
    fn listed_ticks(&self) -> Option<u64> {
        let movie = self.movie().filter(|movie| !movie.fragmented)?;
        let track = movie
            .tracks
            .iter()
            .find(|track| track.id == self.track().id)?;
        (track.sounding_ticks() > 0).then(|| track.sounding_ticks())
    }

    /// Adds up what is sound in every packet.
    fn walk(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        let first = self.track().clone();
        let mut part = Part::of(&first);
        let (mut done, mut walked) = (0_u64, Walked::default());
        let cut = loop {
            match self.next()? {
                Next::Packet(packet) => {
                    walked.packets += 1;
                    walked.ticks = walked.ticks.saturating_add(packet.dur.get());
                    part.add(packet.dur.get());
                }
                Next::NewTrack => {
                    // Streams that follow each other may differ in rate: add up microseconds.
                    let next = Part::of(self.track());
                    done = done.saturating_add(std::mem::replace(&mut part, next).micros());
                }
                Next::End => break false,
                Next::Cut => break true,
            }
        };
        self.refuse_shortage(&first, walked, cut)?;
        Ok(Some(AudioDuration::from_micros(
            done.saturating_add(part.micros()),
        )))
    }

    /// From the first to the end of the last packet: Matroska gives times, and rarely lengths.
    fn walk_by_time(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        let (mut first, mut last, mut step) = (None, 0, 0);
        loop {
            match self.next()? {
                Next::Packet(packet) => {
                    let (time, length) = (packet.pts.get(), packet.dur.get());
                    step = match (length, first) {
                        (1.., _) => length,
                        (0, Some(_)) => u64::try_from(time - last)
                            .ok()
                            .filter(|s| *s > 0)
                            .unwrap_or(step),
                        (0, None) => 0,
                    };
                    // Before zero lies the encoder's delay.
                    first.get_or_insert(time.max(0));
                    last = time.max(last);
                }
                Next::NewTrack => {}
                Next::End | Next::Cut => break,
            }
        }
        let Some(first) = first else {
            return Err(ProbeError::cut("it has a header and no sound yet"));
        };
        let span = u64::try_from(last - first).unwrap_or(0);
        Ok(self.track().duration(span.saturating_add(step)))
    }

    /// Holds what was walked against what the header of the first part promised.
    fn refuse_shortage(&self, first: &Track, walked: Walked, cut: bool) -> Result<(), ProbeError> {
        if walked.ticks == 0 {
            return Err(ProbeError::cut("it has a header and no sound yet"));
        }
        let (promised, there) = self.promise(first, walked);
        if there < promised {
            let length = |ticks| first.duration(ticks).unwrap_or_default();
            let (promised, there) = (length(promised), length(there));
            let what = format!("its header promises {promised} and {there} are there");
            return Err(ProbeError::cut(what));
        }
        // A frame cut in two at the end of a stream is nothing that anybody misses.
        let stream = matches!(
            self.container(),
            Container::Ogg | Container::Adts | Container::Mpeg | Container::Flac
        );
        if cut && !stream {
            return Err(ProbeError::cut("its last packets are missing"));
        }
        Ok(())
    }

    /// Ticks that the header counts, 0 when it does not, and those of them that are there.
    fn promise(&self, first: &Track, walked: Walked) -> (u64, u64) {
        if self.format() == AudioFormat::Flac {
            return (first.frames.unwrap_or(0), walked.ticks);
        }
        // A Xing header counts frames, whatever they hold, and may or may not count its own. MPEG-1
        // has 1152 samples a frame, MPEG-2 half of that.
        let frames = u64::from(self.xing_frames().unwrap_or(0).saturating_sub(2));
        let one = first.parameters.sample_rate >= Some(32_000);
        let one = if one { 1152 } else { 576 };
        (frames * one, walked.packets.saturating_mul(one))
    }
}
