//! One audio track of a file, packet by packet, over symphonia's demuxers.
//!
//! The track and what of it is sound ([`Trim`]) are chosen here, for probe and decode alike. The
//! demuxer is picked by the format that the content showed, so nothing is guessed twice.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, Track as FormatTrack, TrackType};
use symphonia::core::io::{MediaSourceStream, ReadBytes as _};
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;
use symphonia::default::formats as readers;

use crate::domain::audio::{AudioDuration, AudioFormat};

use super::layout::{Container, Layout};
use super::mp4::Movie;
use super::probe::ProbeError;
use super::source::{ReadInCircles, Source};
use super::trim::Trim;

/// The most packets of all tracks together that are read from one file: 15 days of 20 ms packets.
pub(super) const MAX_PACKETS: u64 = 1 << 26;

/// The audio track that is read.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) parameters: AudioCodecParameters,
    /// Which ticks are sound.
    pub(super) trim: Trim,
    time_base: TimeBase,
    frames: Option<u64>,
}

impl Track {
    /// Channels, when the header says so.
    pub(super) fn channels(&self) -> Option<u16> {
        let count = self.parameters.channels.as_ref()?.count();
        u16::try_from(count).ok()
    }

    /// Which frames at `rate` a second are sound.
    #[expect(dead_code, reason = "for decoding")]
    pub(super) fn trim_at(&self, rate: u32) -> Trim {
        let (numerator, denominator) = (self.time_base.numer.get(), self.time_base.denom.get());
        let (from, to) = (
            u64::from(denominator),
            u64::from(rate) * u64::from(numerator),
        );
        if from == to {
            self.trim.clone()
        } else {
            self.trim.rescaled(from, to)
        }
    }

    fn duration(&self, ticks: u64) -> Option<AudioDuration> {
        let micros = u128::from(ticks) * u128::from(self.time_base.numer.get()) * 1_000_000
            / u128::from(self.time_base.denom.get());
        u64::try_from(micros).ok().map(AudioDuration::from_micros)
    }

    /// The codec's name for people.
    pub(super) fn codec_name(&self) -> &'static str {
        match self.parameters.codec {
            codec::CODEC_ID_MP1 => "mp1",
            codec::CODEC_ID_MP2 => "mp2",
            codec::CODEC_ID_MP3 => "mp3",
            codec::CODEC_ID_AAC => "aac",
            codec::CODEC_ID_ALAC => "alac",
            codec::CODEC_ID_FLAC => "flac",
            codec::CODEC_ID_VORBIS => "vorbis",
            codec::CODEC_ID_OPUS => "opus",
            codec::CODEC_ID_SPEEX => "speex",
            codec::CODEC_ID_AC3 => "ac3",
            codec::CODEC_ID_EAC3 => "eac3",
            codec::CODEC_ID_DCA => "dts",
            codec::CODEC_ID_TRUEHD => "truehd",
            codec::CODEC_ID_WAVPACK => "wavpack",
            codec::CODEC_ID_ADPCM_MS
            | codec::CODEC_ID_ADPCM_IMA_WAV
            | codec::CODEC_ID_ADPCM_IMA_QT => "adpcm",
            codec::CODEC_ID_PCM_ALAW => "alaw",
            codec::CODEC_ID_PCM_MULAW => "mulaw",
            id if (codec::CODEC_ID_PCM_S32LE..=codec::CODEC_ID_PCM_F64BE_PLANAR).contains(&id) => {
                "pcm"
            }
            _ => "an unknown codec",
        }
    }
}

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
    packets: u64,
}

impl Demuxer {
    /// Opens the file behind `layout`.
    pub(super) fn open(layout: Layout) -> Result<Self, ProbeError> {
        let Layout {
            format,
            source,
            movie,
            xing_frames,
            cut: _,
        } = layout;
        let reader = open_reader(format, source).map_err(|error| opening_error(format, error))?;
        let track = choose_track(reader.as_ref(), format, movie.as_ref())?;
        let mut demuxer = Self {
            reader,
            format,
            track,
            movie,
            xing_frames,
            packets: 0,
        };
        demuxer.refine_format();
        Ok(demuxer)
    }

    pub(super) fn format(&self) -> AudioFormat {
        self.format
    }

    fn container(&self) -> Container {
        Container::of(self.format)
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    pub(super) fn has_video(&self) -> bool {
        match &self.movie {
            Some(movie) => movie.tracks.iter().any(super::mp4::MovieTrack::is_video),
            None => self.reader.first_track(TrackType::Video).is_some(),
        }
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
                    if packet.track_id == self.track.id {
                        return Ok(Next::Packet(packet));
                    }
                }
                Ok(None) => return Ok(Next::End),
                Err(Error::ResetRequired) => {
                    self.track =
                        choose_track(self.reader.as_ref(), self.format, self.movie.as_ref())?;
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

    /// Walks the packets, or takes the word of an index that was held against the file.
    pub(super) fn measure(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        if let (Container::Wave, Some(frames)) = (self.container(), self.track.frames) {
            return Ok(self.track.duration(frames));
        }
        if self.container() == Container::Matroska {
            return self.walk_by_time();
        }
        match self.listed_ticks() {
            Some(ticks) => Ok(self.track.duration(ticks)),
            None => self.walk(),
        }
    }

    /// The length by the index of an MP4 that lists all samples.
    fn listed_ticks(&self) -> Option<u64> {
        let movie = self.movie.as_ref().filter(|movie| !movie.fragmented)?;
        let track = movie
            .tracks
            .iter()
            .find(|track| track.id == self.track.id)?;
        (track.sounding_ticks() > 0).then(|| track.sounding_ticks())
    }

    /// Adds up what is sound in every packet.
    fn walk(&mut self) -> Result<Option<AudioDuration>, ProbeError> {
        let mut trim = self.track.trim.clone();
        let (mut done, mut ticks, mut all): (u64, u64, u64) = (0, 0, 0);
        let cut = loop {
            match self.next()? {
                Next::Packet(packet) => {
                    let kept = trim.take(packet.dur.get());
                    ticks = ticks.saturating_add(kept.end - kept.start);
                    all = all.saturating_add(packet.dur.get());
                }
                Next::NewTrack => {
                    // Streams that follow each other may differ in rate: count in microseconds.
                    done += self.track.duration(ticks).map_or(0, AudioDuration::micros);
                    trim = self.track.trim.clone();
                    ticks = 0;
                }
                Next::End => break false,
                Next::Cut => break true,
            }
        };
        self.refuse_shortage(all, cut)?;
        let last = self.track.duration(ticks).map_or(0, AudioDuration::micros);
        Ok(Some(AudioDuration::from_micros(done.saturating_add(last))))
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
        Ok(self.track.duration(span.saturating_add(step)))
    }

    /// Holds the walked ticks against what the header promised.
    fn refuse_shortage(&self, walked: u64, cut: bool) -> Result<(), ProbeError> {
        let promised = self.promised_ticks();
        if walked == 0 {
            return Err(ProbeError::cut("it has a header and no sound yet"));
        }
        if walked < promised {
            let length = |ticks| self.track.duration(ticks).unwrap_or_default();
            let (promised, there) = (length(promised), length(walked));
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

    /// Ticks that the header counts; 0 when it does not.
    fn promised_ticks(&self) -> u64 {
        if self.format == AudioFormat::Flac {
            return self.track.frames.unwrap_or(0);
        }
        // A Xing header may or may not count its own frame. MPEG-1 has 1152 samples a frame, MPEG-2
        // half of that.
        let frames = u64::from(self.xing_frames.unwrap_or(0).saturating_sub(2));
        let one = self.track.parameters.sample_rate >= Some(32_000);
        frames * if one { 1152 } else { 576 }
    }
}

fn open_reader(format: AudioFormat, source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let mut stream = MediaSourceStream::new(Box::new(source), Default::default());
    let options = FormatOptions::default();
    Ok(match Container::of(format) {
        Container::Mpeg => Box::new(readers::MpaReader::try_new(stream, options)?),
        Container::Adts => Box::new(readers::AdtsReader::try_new(stream, options)?),
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

fn choose_track(
    reader: &dyn FormatReader,
    format: AudioFormat,
    movie: Option<&Movie>,
) -> Result<Track, ProbeError> {
    let track = reader
        .default_track(TrackType::Audio)
        .or(reader.first_track(TrackType::Audio));
    let Some(track) = track else {
        return Err(
            match reader
                .tracks()
                .iter()
                .any(|track| track.codec_params.is_none())
            {
                true => ProbeError::unsupported(format!("the codec inside this {format} file")),
                false => ProbeError::NoAudioTrack,
            },
        );
    };
    let Some(CodecParameters::Audio(parameters)) = track.codec_params.clone() else {
        return Err(ProbeError::NoAudioTrack);
    };
    let from_rate = || parameters.sample_rate.and_then(TimeBase::try_from_recip);
    let Some(time_base) = track.time_base.or_else(from_rate) else {
        return Err(ProbeError::damaged("it does not say its sample rate"));
    };
    let trim = trim_of(track, &parameters, format, movie);
    Ok(Track {
        id: track.id,
        parameters,
        trim,
        time_base,
        frames: track.num_frames,
    })
}

fn trim_of(
    track: &FormatTrack,
    parameters: &AudioCodecParameters,
    format: AudioFormat,
    movie: Option<&Movie>,
) -> Trim {
    let delay = track.delay.map(u64::from);
    match Container::of(format) {
        // Only the LAME tag states a delay; without one the number of frames is a guess.
        Container::Mpeg => match (delay, track.num_frames) {
            (Some(delay), Some(frames)) => {
                let end = delay.saturating_add(frames);
                Trim::new(
                    delay,
                    end..end.saturating_add(track.padding.unwrap_or(0).into()),
                )
            }
            _ => Trim::none(),
        },
        Container::Caf => Trim::keep(delay.unwrap_or(0), track.num_frames),
        // The padding is trimmed packet by packet, by the granule position.
        Container::Ogg if parameters.codec == codec::CODEC_ID_OPUS => {
            Trim::keep(delay.unwrap_or(0), None)
        }
        Container::Movie => movie
            .and_then(|movie| movie.tracks.iter().find(|listed| listed.id == track.id))
            .map_or_else(Trim::none, |listed| Trim::keep(listed.skip, listed.keep)),
        Container::Ogg
        | Container::Adts
        | Container::Wave
        | Container::Aiff
        | Container::Flac
        | Container::Matroska
        | Container::Foreign => Trim::none(),
    }
}

fn opening_error(format: AudioFormat, error: Error) -> ProbeError {
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
