//! The audio track of a file: which one is read, what its codec is called, and which of its frames
//! are sound.

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::formats::{FormatReader, Track as ListedTrack, TrackType};
use symphonia::core::units::TimeBase;

use crate::domain::audio::{AudioDuration, AudioFormat};

use super::layout::Container;
use super::mp4::Movie;
use super::opus;
use super::probe::ProbeError;
use super::trim::Trim;

/// The audio track that is read.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) parameters: AudioCodecParameters,
    /// Frames that the header or index counts, or guesses.
    pub(super) frames: Option<u64>,
    /// Which ticks are sound.
    pub(super) trim: Trim,
    time_base: TimeBase,
    /// Ticks of [`Self::trim`] in a second, when they are not those of the packets.
    trim_rate: Option<u32>,
}

impl Track {
    /// Chooses the audio track of `reader`.
    ///
    /// # Errors
    /// There is none, or nothing is known about it.
    pub(super) fn choose(
        reader: &dyn FormatReader,
        format: AudioFormat,
        movie: Option<&Movie>,
    ) -> Result<Self, ProbeError> {
        let listed = reader
            .default_track(TrackType::Audio)
            .or(reader.first_track(TrackType::Audio))
            .ok_or_else(|| no_track(reader, format))?;
        let Some(CodecParameters::Audio(parameters)) = listed.codec_params.clone() else {
            return Err(ProbeError::NoAudioTrack);
        };
        let from_rate = || parameters.sample_rate.and_then(TimeBase::try_from_recip);
        let Some(time_base) = listed.time_base.or_else(from_rate) else {
            return Err(ProbeError::damaged("it does not say its sample rate"));
        };
        let is_opus = parameters.codec == codec::CODEC_ID_OPUS;
        // Matroska counts in milliseconds, which is too coarse for the delay of Opus.
        let fine = is_opus && Container::of(format) == Container::Matroska;
        Ok(Self {
            id: listed.id,
            trim: trim_of(listed, &parameters, format, movie),
            frames: listed.num_frames,
            parameters,
            time_base,
            trim_rate: fine.then_some(opus::GRANULE_RATE),
        })
    }

    /// Channels, when the header says so.
    pub(super) fn channels(&self) -> Option<u16> {
        let count = self.parameters.channels.as_ref()?.count();
        u16::try_from(count).ok()
    }

    /// Which frames at `rate` a second are sound.
    pub(super) fn trim_at(&self, rate: u32) -> Trim {
        let (numerator, denominator) = (self.time_base.numer.get(), self.time_base.denom.get());
        let (from, to) = match self.trim_rate {
            Some(trim_rate) => (u64::from(trim_rate), u64::from(rate)),
            None => (
                u64::from(denominator),
                u64::from(rate) * u64::from(numerator),
            ),
        };
        if from == to {
            self.trim.clone()
        } else {
            self.trim.rescaled(from, to)
        }
    }

    /// The length of so many ticks; `None` beyond 64 bits of microseconds.
    pub(super) fn duration(&self, ticks: u64) -> Option<AudioDuration> {
        let micros = u128::from(ticks) * u128::from(self.time_base.numer.get()) * 1_000_000
            / u128::from(self.time_base.denom.get());
        u64::try_from(micros).ok().map(AudioDuration::from_micros)
    }

    /// So many ticks as frames at `rate` a second.
    pub(super) fn frames_at(&self, ticks: u64, rate: u32) -> u64 {
        let frames = u128::from(ticks) * u128::from(self.time_base.numer.get()) * u128::from(rate)
            / u128::from(self.time_base.denom.get());
        u64::try_from(frames).unwrap_or(u64::MAX)
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

fn no_track(reader: &dyn FormatReader, format: AudioFormat) -> ProbeError {
    // A track without parameters may be sound in a codec that the demuxer has never heard of.
    if reader
        .tracks()
        .iter()
        .any(|track| track.codec_params.is_none())
    {
        ProbeError::unsupported(format!("the codec inside this {format} file"))
    } else {
        ProbeError::NoAudioTrack
    }
}

fn trim_of(
    listed: &ListedTrack,
    parameters: &AudioCodecParameters,
    format: AudioFormat,
    movie: Option<&Movie>,
) -> Trim {
    let delay = listed.delay.map(u64::from);
    let is_opus = parameters.codec == codec::CODEC_ID_OPUS;
    match Container::of(format) {
        // Only the LAME tag states a delay; without one the number of frames is a guess.
        Container::Mpeg => match (delay, listed.num_frames) {
            (Some(delay), Some(frames)) => {
                let end = delay.saturating_add(frames);
                Trim::new(
                    delay,
                    end..end.saturating_add(listed.padding.unwrap_or(0).into()),
                )
            }
            _ => Trim::none(),
        },
        Container::Caf => Trim::keep(delay.unwrap_or(0), listed.num_frames),
        // The padding is trimmed packet by packet, by the granule position.
        Container::Ogg if is_opus => Trim::keep(delay.unwrap_or(0), None),
        Container::Matroska if is_opus => {
            let head = parameters.extra_data.as_deref().and_then(opus::Head::parse);
            Trim::keep(head.map_or(0, |head| head.pre_skip.into()), None)
        }
        Container::Movie => movie
            .and_then(|movie| movie.tracks.iter().find(|track| track.id == listed.id))
            .map_or_else(Trim::none, |track| Trim::keep(track.skip, track.keep)),
        Container::Ogg
        | Container::Adts
        | Container::Wave
        | Container::Aiff
        | Container::Flac
        | Container::Matroska
        | Container::Foreign => Trim::none(),
    }
}
