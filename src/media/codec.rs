//! One codec's decoder: a packet in, samples of one channel out.
//!
//! All channels are averaged. A packet that cannot be decoded is damaged, which is no error here:
//! the caller decides how much damage is too much.

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::packet::Packet;
use symphonia::default::get_codecs;

use super::decode::RATE;
use super::layout::Container;
use super::opus;
use super::track::Track;

/// No decoder for a codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoDecoder {
    /// The codec, in words.
    pub(super) codec: String,
}

/// What became of a packet.
#[derive(Debug)]
pub(super) enum Decoded<'d> {
    /// Samples of one channel, so many a second.
    Sound(&'d [f32], u32),
    /// The packet is damaged.
    Damaged,
}

/// Decodes the packets of one track.
pub(super) struct Codec {
    engine: Engine,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    /// A packet showed a kind of the codec that is not supported, or damage that looks like it.
    unsupported: bool,
}

enum Engine {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(opus::Decoder),
}

impl Codec {
    /// The decoder for `track`.
    ///
    /// # Errors
    /// [`NoDecoder`] when there is none for its codec, or for its kind of it.
    pub(super) fn new(track: &Track, container: Container) -> Result<Self, NoDecoder> {
        let engine = if track.parameters.codec == CODEC_ID_OPUS {
            Engine::Opus(opus_decoder(track)?)
        } else {
            // Only the trims of Ogg are exact; elsewhere the delay and padding are cut off later.
            let options = AudioDecoderOptions::default().gapless(container == Container::Ogg);
            let decoder = get_codecs().make_audio_decoder(&track.parameters, &options);
            Engine::Symphonia(decoder.map_err(|_| no_decoder(track))?)
        };
        Ok(Self {
            engine,
            interleaved: Vec::new(),
            mono: Vec::new(),
            unsupported: false,
        })
    }

    /// Decodes `packet`.
    pub(super) fn decode(&mut self, packet: &Packet, track: &Track) -> Decoded<'_> {
        let rate = match &mut self.engine {
            Engine::Opus(decoder) => {
                let channels = decoder.channels();
                let Some(samples) = decoder.decode(&packet.data) else {
                    return Decoded::Damaged;
                };
                mix(samples, channels, &mut self.mono);
                let padding = track.frames_at(packet.trim_end.get(), RATE);
                let padding = usize::try_from(padding).unwrap_or(usize::MAX);
                self.mono.truncate(self.mono.len().saturating_sub(padding));
                RATE
            }
            // What stands for a frame that is not there.
            Engine::Symphonia(_) if packet.data.is_empty() => return Decoded::Damaged,
            Engine::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(buffer) => mix_buffer(&buffer, &mut self.interleaved, &mut self.mono),
                Err(error) => {
                    self.unsupported |= matches!(error, Error::Unsupported(_));
                    return Decoded::Damaged;
                }
            },
        };
        Decoded::Sound(&self.mono, rate)
    }

    /// The reason for packets that could not be decoded, when it is the codec and not the damage.
    pub(super) fn shortcoming(&self, track: &Track) -> Option<NoDecoder> {
        self.unsupported.then(|| no_decoder(track))
    }
}

fn no_decoder(track: &Track) -> NoDecoder {
    let codec = match track.codec_name() {
        "aac" => "this kind of AAC (HE-AAC, or more than two channels)".to_owned(),
        name => name.to_owned(),
    };
    NoDecoder { codec }
}

fn opus_decoder(track: &Track) -> Result<opus::Decoder, NoDecoder> {
    let channels = track
        .channels()
        .and_then(|channels| u8::try_from(channels).ok());
    let stated = track
        .parameters
        .extra_data
        .as_deref()
        .and_then(opus::Head::parse);
    // Without a header the stream is mono or stereo, by RFC 7845.
    let plain = |channels| opus::Head {
        channels,
        pre_skip: 0,
        family: 0,
    };
    let head = stated.or(channels.filter(|channels| *channels <= 2).map(plain));
    head.and_then(opus::Decoder::new).ok_or_else(|| NoDecoder {
        codec: "this kind of Opus (its mapping of channels)".to_owned(),
    })
}

/// Mixes a decoded buffer to one channel and gives its rate.
fn mix_buffer(
    buffer: &GenericAudioBufferRef<'_>,
    interleaved: &mut Vec<f32>,
    mono: &mut Vec<f32>,
) -> u32 {
    let spec = buffer.spec();
    buffer.copy_to_vec_interleaved(interleaved);
    mix(interleaved, spec.channels().count(), mono);
    spec.rate()
}

/// The average of all channels; what is no number becomes silence.
fn mix(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    mono.clear();
    match channels {
        0 => {}
        1 => mono.extend_from_slice(interleaved),
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
            let share = 1.0 / channels as f32;
            let frames = interleaved.chunks_exact(channels);
            mono.extend(frames.map(|frame| frame.iter().sum::<f32>() * share));
        }
    }
    for sample in mono {
        *sample = if sample.is_finite() {
            sample.clamp(-4.0, 4.0)
        } else {
            0.0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_averaged_and_nonsense_is_silence() {
        let mut mono = vec![9.0];
        mix(&[0.5, -0.5, 1.0, 0.0, 0.25], 2, &mut mono);
        assert_eq!(mono, [0.0, 0.5]);
        mix(&[f32::NAN, 0.25, f32::INFINITY, -100.0], 1, &mut mono);
        assert_eq!(mono, [0.0, 0.25, 0.0, -4.0]);
        mix(&[1.0], 0, &mut mono);
        assert!(mono.is_empty());
    }
}
