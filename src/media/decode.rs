//! The sound of a recording as one channel at 16 kHz, in pieces of any size.
//!
//! Memory is bounded by one packet, whatever the length. Before sound that begins later than the
//! pictures of its film is silence. Damaged packets become silence of their
//! length, so that times stay true; they are counted, and so many in a row that nothing can come of
//! it is an error. A missing end is a remark in the [`Report`], not an error.

use std::fs::File;
use std::path::Path;

use symphonia::core::packet::Packet;

use crate::domain::audio::{Damage, SPEECH_RATE};

use super::codec::{Codec, Decoded, NoDecoder};
use super::demux::{Demuxer, Next};
use super::guard::guarded;
use super::layout::lay_out;
use super::probe::ProbeError;
use super::resample::{RATES, Resampler};
use super::source::{open_regular, refuse_special};
use super::track::Track;
use super::trim::Trim;

/// Samples a second.
pub const RATE: u32 = SPEECH_RATE;

/// Damaged packets in a row after which a recording is given up: 20 s of the usual 20 ms.
const MAX_DAMAGED_IN_A_ROW: u64 = 1_000;
/// The longest silence that is put in the place of one damaged packet, in samples: 10 s.
const MAX_SILENCE: u64 = 10 * RATE as u64;

/// Why a recording cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no recording that can be used.
    #[error(transparent)]
    Source(#[from] ProbeError),
    /// There is no decoder for its codec.
    #[error("{codec} cannot be decoded; convert it to MP3, M4A, FLAC or WAV")]
    NoDecoder {
        /// The codec, in words.
        codec: String,
    },
    /// A sample rate that nothing records with.
    #[error("it claims {rate} samples a second; {lowest} to {highest} can be decoded", lowest = RATES.start(), highest = RATES.end())]
    Rate {
        /// The stated rate in Hz.
        rate: u32,
    },
    /// Hardly a packet of it can be decoded.
    #[error("it is damaged: {packets} of its packets in a row cannot be decoded")]
    TooDamaged {
        /// Damaged packets.
        packets: u64,
    },
}

impl DecodeError {
    /// A stable name for scripts and for counting by reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.code(),
            Self::NoDecoder { .. } => "no_decoder",
            Self::Rate { .. } => "sample_rate",
            Self::TooDamaged { .. } => "damaged",
        }
    }
}

impl From<NoDecoder> for DecodeError {
    fn from(NoDecoder { codec }: NoDecoder) -> Self {
        Self::NoDecoder { codec }
    }
}

/// What was remarkable about the decoded sound; complete once everything was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Samples given so far.
    pub samples: u64,
    /// Packets that could not be decoded and became silence.
    pub damaged_packets: u64,
    /// How the recording is shorter than it should be, if it is.
    pub cut_short: Option<String>,
}

impl Report {
    /// What of the sound is lost.
    #[must_use]
    pub fn damage(&self) -> Damage {
        Damage {
            packets: self.damaged_packets,
            cut_short: self.cut_short.clone(),
        }
    }
}

/// The samples of a recording: one channel, [`RATE`] a second, full scale at ±1.
pub struct Samples {
    /// `None` once it has failed.
    stream: Option<Stream>,
    ready: Vec<f32>,
    /// How much of `ready` has been given.
    given: usize,
    report: Report,
}

impl Samples {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        Self::of(open_regular(path)?)
    }

    /// Decodes a recording that is open already; the position of `file` does not move.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_file(file: &File) -> Result<Self, DecodeError> {
        refuse_special(&file.metadata().map_err(ProbeError::from)?)?;
        Self::of(file.try_clone().map_err(ProbeError::from)?)
    }

    fn of(file: File) -> Result<Self, DecodeError> {
        let opened = guarded(move || Stream::open(file));
        let (stream, cut_short) = opened.unwrap_or(Err(ProbeError::DecoderFailed.into()))?;
        let report = Report {
            cut_short,
            ..Report::default()
        };
        Ok(Self {
            stream: Some(stream),
            ready: Vec::new(),
            given: 0,
            report,
        })
    }

    /// Fills `buffer` from its start and gives the number of samples in it; 0 is the end.
    ///
    /// Less than the whole buffer is filled only at the end, so that the pieces do not depend on
    /// the packets.
    ///
    /// # Errors
    /// See [`DecodeError`]; afterwards every call gives 0.
    pub fn read(&mut self, buffer: &mut [f32]) -> Result<usize, DecodeError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let ready = self.ready.get(self.given..).unwrap_or_default();
            let count = ready.len().min(rest.len());
            for (target, sample) in rest.iter_mut().zip(ready) {
                *target = *sample;
            }
            self.given += count;
            filled += count;
            if count == 0 && !self.refill()? {
                break;
            }
        }
        self.report.samples += filled as u64;
        Ok(filled)
    }

    /// What was remarkable so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Decodes on; false at the end.
    fn refill(&mut self) -> Result<bool, DecodeError> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(false);
        };
        self.ready.clear();
        self.given = 0;
        let (ready, report) = (&mut self.ready, &mut self.report);
        // A stream that failed or panicked is dropped and never used again.
        let step = guarded(move || stream.step(ready, report).map(|more| (more, stream)));
        let (more, stream) = step.unwrap_or(Err(ProbeError::DecoderFailed.into()))?;
        self.stream = more.then_some(stream);
        Ok(true)
    }
}

/// What happens to decoded samples of one rate: the codec's additions are cut off, the rest is
/// resampled.
struct Flow {
    trim: Trim,
    resampler: Resampler,
}

impl Flow {
    /// The flow for samples of this rate; one of another rate is brought to its end first.
    fn at<'f>(
        flow: &'f mut Option<Self>,
        rate: u32,
        track: &Track,
        ready: &mut Vec<f32>,
    ) -> Result<&'f mut Self, DecodeError> {
        if flow.as_ref().is_some_and(|flow| flow.rate() == rate) {
            return flow.as_mut().ok_or(DecodeError::Rate { rate });
        }
        let trim = match flow.take() {
            // In the middle of a track nothing is left to be cut off.
            Some(mut old) => {
                old.resampler.finish(ready);
                Trim::none()
            }
            None => track.trim_at(rate),
        };
        let resampler = Resampler::new(rate).ok_or(DecodeError::Rate { rate })?;
        Ok(flow.insert(Self { trim, resampler }))
    }

    fn rate(&self) -> u32 {
        self.resampler.rate()
    }

    fn push(&mut self, samples: &[f32], ready: &mut Vec<f32>) {
        let kept = self.trim.take(samples.len() as u64);
        let place = |frame: u64| usize::try_from(frame).unwrap_or(usize::MAX);
        let sound = samples.get(place(kept.start)..place(kept.end));
        self.resampler.push(sound.unwrap_or_default(), ready);
    }
}

/// From packets to samples at [`RATE`].
struct Stream {
    demuxer: Demuxer,
    codec: Codec,
    /// Set up with the first decoded packet, which shows the rate.
    flow: Option<Flow>,
    damaged_in_a_row: u64,
    /// A packet was decoded.
    sounded: bool,
    /// Samples of silence that are still to be given before what is held back.
    silence: u64,
    /// The first packet of sound that begins late.
    held: Option<Packet>,
}

impl Stream {
    fn open(file: File) -> Result<(Self, Option<String>), DecodeError> {
        let mut layout = lay_out(file)?;
        let cut = layout.cut.take();
        let demuxer = Demuxer::open(layout)?;
        let codec = Codec::new(demuxer.track(), demuxer.container())?;
        let stream = Self {
            demuxer,
            codec,
            flow: None,
            damaged_in_a_row: 0,
            sounded: false,
            silence: 0,
            held: None,
        };
        Ok((stream, cut))
    }

    /// Takes one packet and appends what it gives to `ready`; false after the last one.
    fn step(&mut self, ready: &mut Vec<f32>, report: &mut Report) -> Result<bool, DecodeError> {
        if self.silence > 0 {
            let part = self.silence.min(RATE.into());
            self.silence -= part;
            let length = ready.len() + usize::try_from(part).unwrap_or_default();
            ready.resize(length, 0.0);
            return Ok(true);
        }
        let next = match self.held.take() {
            Some(packet) => Ok(Next::Packet(packet)),
            None => self.demuxer.next(),
        };
        match next {
            Ok(Next::Packet(packet)) => {
                let lead = u128::from(self.demuxer.take_lead()) * u128::from(RATE) / 1_000_000;
                if lead > 0 {
                    self.silence = u64::try_from(lead).unwrap_or_default();
                    self.held = Some(packet);
                    return Ok(true);
                }
                self.take(&packet, ready, report)?;
                Ok(true)
            }
            Ok(Next::NewTrack) => {
                self.codec = Codec::new(self.demuxer.track(), self.demuxer.container())?;
                self.finish(ready);
                Ok(true)
            }
            Ok(Next::End) => self.end(ready, report),
            Ok(Next::Cut) => {
                let missing = || "its last packets are missing".to_owned();
                report.cut_short.get_or_insert_with(missing);
                self.end(ready, report)
            }
            // Sound that was decoded already is worth more than a reason to throw it away.
            Err(ProbeError::Damaged { what }) if self.sounded => {
                report.cut_short.get_or_insert(what);
                self.end(ready, report)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take(
        &mut self,
        packet: &Packet,
        ready: &mut Vec<f32>,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        match self.codec.decode(packet, self.demuxer.track()) {
            Decoded::Sound(samples, rate) => {
                self.damaged_in_a_row = 0;
                self.sounded = true;
                let track = self.demuxer.track();
                let flow = Flow::at(&mut self.flow, rate, track, ready)?;
                flow.push(samples, ready);
            }
            Decoded::Damaged => {
                report.damaged_packets += 1;
                self.damaged_in_a_row += 1;
                if self.damaged_in_a_row > MAX_DAMAGED_IN_A_ROW {
                    return Err(self.hopeless(self.damaged_in_a_row));
                }
                self.keep_silent(packet.dur.get(), ready)?;
            }
        }
        Ok(())
    }

    /// Puts silence in the place of a damaged packet.
    fn keep_silent(&mut self, ticks: u64, ready: &mut Vec<f32>) -> Result<(), DecodeError> {
        let track = self.demuxer.track();
        let stated = track.parameters.sample_rate;
        let Some(rate) = self.flow.as_ref().map(Flow::rate).or(stated) else {
            return Ok(());
        };
        let frames = track.frames_at(ticks, rate).min(MAX_SILENCE);
        let silence = vec![0.0; usize::try_from(frames).unwrap_or_default()];
        Flow::at(&mut self.flow, rate, track, ready)?.push(&silence, ready);
        Ok(())
    }

    fn finish(&mut self, ready: &mut Vec<f32>) {
        if let Some(mut flow) = self.flow.take() {
            flow.resampler.finish(ready);
        }
    }

    /// The end, which is an error when every packet before it was damaged.
    fn end(&mut self, ready: &mut Vec<f32>, report: &Report) -> Result<bool, DecodeError> {
        if report.damaged_packets > 0 && !self.sounded {
            return Err(self.hopeless(report.damaged_packets));
        }
        self.finish(ready);
        Ok(false)
    }

    fn hopeless(&self, packets: u64) -> DecodeError {
        match self.codec.shortcoming(self.demuxer.track()) {
            Some(reason) if !self.sounded => reason.into(),
            _ => DecodeError::TooDamaged { packets },
        }
    }
}

#[cfg(test)]
mod tests;
