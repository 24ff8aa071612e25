//! One audio track of a file, packet by packet, over symphonia's demuxers.
//!
//! The demuxer is picked by the format that the content showed, so nothing is guessed twice. It
//! ends after a bounded number of packets, and its failures are told apart: the end of the file,
//! damage, the operating system.

use std::io::ErrorKind;

use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, ReadBytes as _};
use symphonia::core::packet::Packet;
use symphonia::default::formats as readers;

use crate::domain::audio::{AudioDuration, AudioFormat};

use super::frames::{FrameReader, Frames};
use super::layout::{Container, Layout};
use super::mp4::Movie;
use super::probe::ProbeError;
use super::source::{ReadInCircles, Source};
use super::track::Track;

/// The most packets of all tracks together that are read from one file: 15 days of 20 ms packets.
pub(super) const MAX_PACKETS: u64 = 1 << 26;

/// How late sound may begin at the most, in microseconds: 12 hours; more is not believed.
const LATEST: u64 = 12 * 3600 * 1_000_000;

/// What comes next out of a file.
#[derive(Debug)]
pub(super) enum Next {
    /// A packet of the track.
    Packet(Packet),
    /// Another stream begins in the same file, with parameters of its own.
    NewTrack,
    /// Nothing more.
    End,
    /// Nothing more, although the file promised more.
    Cut,
}

/// Reads one audio track of a file.
pub(super) struct Demuxer {
    reader: Box<dyn FormatReader>,
    format: AudioFormat,
    track: Track,
    movie: Option<Movie>,
    xing_frames: Option<u32>,
    has_pictures: bool,
    packets: u64,
    /// How much later than the pictures the sound begins, in microseconds, until that is taken.
    lead: u64,
    /// The first time of another track before the first packet of the sound, in ticks.
    others_begin: Option<i64>,
    /// A packet of the sound was read.
    has_begun: bool,
}

impl Demuxer {
    /// Opens the file behind `layout`.
    pub(super) fn open(layout: Layout) -> Result<Self, ProbeError> {
        let Layout {
            format,
            source,
            movie,
            xing_frames,
            has_pictures,
            is_torn,
            cut: _,
        } = layout;
        let reader =
            open_reader(format, source).map_err(|error| opening_error(format, is_torn, error))?;
        let track = Track::choose(reader.as_ref(), format, movie.as_ref())?;
        let mut demuxer = Self {
            reader,
            format,
            track,
            movie,
            xing_frames,
            has_pictures,
            packets: 0,
            lead: 0,
            others_begin: None,
            has_begun: false,
        };
        demuxer.refine_format();
        if let Some(movie) = &demuxer.movie {
            let mut tracks = movie.tracks.iter();
            let own = tracks.find(|track| track.id == demuxer.track.id);
            demuxer.lead = own.map_or(0, |track| track.late);
        }
        Ok(demuxer)
    }

    pub(super) fn format(&self) -> AudioFormat {
        self.format
    }

    pub(super) fn container(&self) -> Container {
        Container::of(self.format)
    }

    /// What an MP4 says about itself.
    pub(super) fn movie(&self) -> Option<&Movie> {
        self.movie.as_ref()
    }

    /// Frames that the Xing header of an MP3 counts.
    pub(super) fn xing_frames(&self) -> Option<u32> {
        self.xing_frames
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    pub(super) fn has_video(&self) -> bool {
        match &self.movie {
            Some(movie) => movie.tracks.iter().any(super::mp4::MovieTrack::is_video),
            None => self.has_pictures || self.reader.first_track(TrackType::Video).is_some(),
        }
    }

    /// How much later than the file the sound begins, in microseconds: known behind its first packet, and given
    /// once. What comes before it is silence, so that its times are those of the pictures.
    pub(super) fn take_lead(&mut self) -> u64 {
        match std::mem::take(&mut self.lead) {
            late if late <= LATEST => late,
            _ => 0,
        }
    }

    /// Notes when the tracks of a Matroska begin, which states no more of that.
    fn note_begin(&mut self, packet: &Packet) {
        let time = packet.pts.get();
        if packet.track_id != self.track.id {
            let first = self.others_begin.map_or(time, |before| before.min(time));
            self.others_begin = Some(first);
            return;
        }
        self.has_begun = true;
        let late = self
            .others_begin
            .map_or(0, |begin| time.saturating_sub(begin));
        let late = u64::try_from(late)
            .ok()
            .and_then(|late| self.track.duration(late));
        self.lead = late.map_or(0, AudioDuration::micros);
    }

    /// The demuxer knows the layer better than the first bytes.
    fn refine_format(&mut self) {
        if self.container() == Container::Mpeg {
            let layer_three = self.track.parameters.codec == codec::CODEC_ID_MP3;
            self.format = if layer_three {
                AudioFormat::Mp3
            } else {
                AudioFormat::Mp2
            };
        }
    }

    /// The next packet of the track.
    pub(super) fn next(&mut self) -> Result<Next, ProbeError> {
        loop {
            match self.reader.next_packet() {
                // Streams of unknown length end in packets of nothing.
                Ok(Some(packet)) if packet.data.is_empty() && self.is_raw() => {
                    return Ok(Next::End);
                }
                Ok(Some(packet)) => {
                    self.packets += 1;
                    if self.packets > MAX_PACKETS {
                        return Err(ProbeError::TooLong {
                            packets: MAX_PACKETS,
                        });
                    }
                    if !self.has_begun && self.container() == Container::Matroska {
                        self.note_begin(&packet);
                    }
                    if packet.track_id == self.track.id {
                        return Ok(Next::Packet(packet));
                    }
                }
                Ok(None) => return Ok(Next::End),
                Err(Error::ResetRequired) => {
                    self.track =
                        Track::choose(self.reader.as_ref(), self.format, self.movie.as_ref())?;
                    return Ok(Next::NewTrack);
                }
                Err(error) => return reading_error(error),
            }
        }
    }

    fn is_raw(&self) -> bool {
        matches!(
            self.container(),
            Container::Wave | Container::Aiff | Container::Caf
        )
    }
}

fn open_reader(format: AudioFormat, source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let mut stream = MediaSourceStream::new(Box::new(source), Default::default());
    let options = FormatOptions::default();
    Ok(match Container::of(format) {
        Container::Mpeg => Box::new(FrameReader::open(Frames::Mpeg, stream)?),
        Container::Adts => Box::new(FrameReader::open(Frames::Adts, stream)?),
        Container::Wave => Box::new(readers::WavReader::try_new(stream, options)?),
        Container::Aiff => Box::new(readers::AiffReader::try_new(stream, options)?),
        Container::Caf => Box::new(readers::CafReader::try_new(stream, options)?),
        Container::Movie => {
            // The reader expects to stand on the name of the first box.
            stream.ignore_bytes(4)?;
            Box::new(readers::IsoMp4Reader::try_new(stream, options)?)
        }
        Container::Ogg => Box::new(readers::OggReader::try_new(stream, options)?),
        Container::Flac => Box::new(readers::FlacReader::try_new(stream, options)?),
        Container::Matroska => Box::new(readers::MkvReader::try_new(stream, options)?),
        Container::Foreign => return Err(Error::Unsupported(format.name())),
    })
}

fn opening_error(format: AudioFormat, is_torn: bool, error: Error) -> ProbeError {
    if let Error::Unsupported(what) = error {
        return ProbeError::unsupported(format!("this kind of {format} ({what})"));
    }
    let Error::IoError(error) = error else {
        return ProbeError::damaged(format!("{format}: {error}"));
    };
    if error.kind() != ErrorKind::UnexpectedEof {
        io_error(error)
    } else if format == AudioFormat::OggOther {
        // A reader that knows none of the streams in an Ogg runs to its end in search of one.
        ProbeError::unsupported("the codec inside this Ogg file")
    } else if is_torn {
        ProbeError::damaged(format!("parts of the {format} cannot be found"))
    } else {
        ProbeError::cut(format!("the {format} ends inside its header"))
    }
}

/// What a failure between two packets means: most files simply end there.
fn reading_error(error: Error) -> Result<Next, ProbeError> {
    let Error::IoError(error) = error else {
        return Err(ProbeError::damaged(error.to_string()));
    };
    if error.kind() == ErrorKind::UnexpectedEof {
        return Ok(Next::Cut);
    }
    Err(io_error(error))
}

fn io_error(error: std::io::Error) -> ProbeError {
    if error
        .get_ref()
        .is_some_and(|cause| cause.is::<ReadInCircles>())
    {
        return ProbeError::damaged(ReadInCircles.to_string());
    }
    match error.raw_os_error() {
        Some(_) => ProbeError::Unreadable(error),
        // Not from the operating system: the demuxer speaks about the data.
        None => ProbeError::damaged(error.to_string()),
    }
}
