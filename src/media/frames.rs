//! Streams without a container: frames of MPEG audio or AAC (ADTS), one after the other.
//!
//! Each frame states its own rate and channels. Files that were joined change them in the middle;
//! that is told like another track. A change is believed when two frames in a row state it: one
//! header that differs is a damaged one. Tags and counts of frames between the parts are no sound.
//! In the place of frames that damaged bytes have taken come empty packets, so that times stay true.

use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};

use symphonia::core::audio::{Channels, layouts};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, well_known as codec};
use symphonia::core::errors::{Error, SeekErrorKind};
use symphonia::core::formats::{
    FormatInfo, FormatOptions, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track,
};
use symphonia::core::io::{MediaSource as _, MediaSourceStream, ReadBytes as _};
use symphonia::core::meta::{Metadata, MetadataLog};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::{AdtsReader, MpaReader};

use crate::domain::audio::{AdtsFrame, MpegFrame, MpegLayer};

use super::tags;

/// Bytes that are read at once.
const CHUNK: u64 = 32 * 1024;
/// The longest header of a frame, in bytes.
const HEADER_BYTES: usize = 7;
/// The most frames whose place damaged bytes may have taken; more bytes are no sound.
const MOST_MISSING: usize = 250;

/// The kind of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// MPEG audio, layers I to III.
    Mpeg,
    /// AAC.
    Adts,
}

/// What all frames of one part have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signal {
    codec: AudioCodecId,
    rate: u32,
    channels: Option<u16>,
    /// Samples of each channel in a frame.
    samples: u32,
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    signal: Signal,
    /// Bytes from this header to the next.
    length: usize,
    /// Bytes at its start that are not for the decoder.
    envelope: usize,
    /// For MPEG audio, the header as it stands there.
    mpeg: Option<MpegFrame>,
}

impl Frames {
    /// The header that `bytes` begin with.
    fn header(self, bytes: &[u8]) -> Option<Header> {
        match self {
            Self::Mpeg => MpegFrame::parse(*bytes.first_chunk()?).map(Header::from),
            Self::Adts => AdtsFrame::parse(*bytes.first_chunk()?)
                .filter(|frame| frame.packets == 1)
                .map(Header::from),
        }
    }
}

impl From<MpegFrame> for Header {
    fn from(frame: MpegFrame) -> Self {
        Self {
            signal: Signal {
                codec: match frame.layer {
                    MpegLayer::One => codec::CODEC_ID_MP1,
                    MpegLayer::Two => codec::CODEC_ID_MP2,
                    MpegLayer::Three => codec::CODEC_ID_MP3,
                },
                rate: frame.rate,
                channels: Some(frame.channels),
                samples: frame.samples,
            },
            length: frame.length,
            envelope: 0,
            mpeg: Some(frame),
        }
    }
}

impl From<AdtsFrame> for Header {
    fn from(frame: AdtsFrame) -> Self {
        Self {
            signal: Signal {
                codec: codec::CODEC_ID_AAC,
                rate: frame.rate,
                channels: frame.channels,
                samples: AdtsFrame::SAMPLES,
            },
            length: frame.length,
            envelope: frame.header,
            mpeg: None,
        }
    }
}

impl Signal {
    fn track(self) -> Track {
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(self.codec).with_sample_rate(self.rate);
        if let Some(count) = self.channels {
            parameters.with_channels(match count {
                1 => layouts::CHANNEL_LAYOUT_MONO,
                2 => layouts::CHANNEL_LAYOUT_STEREO,
                more => Channels::Discrete(more),
            });
        }
        let mut track = Track::new(0);
        track.with_codec_params(CodecParameters::Audio(parameters));
        track
    }
}

/// Bytes of a stream from a place on.
struct Ahead {
    stream: MediaSourceStream<'static>,
    bytes: Vec<u8>,
    /// How many of `bytes` are done with.
    done: usize,
}

impl Ahead {
    fn new(stream: MediaSourceStream<'static>) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            done: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    /// The next `count` bytes; fewer only at the end.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.rest().len() < count {
            self.bytes.drain(..self.done);
            self.done = 0;
            let mut chunk = self.stream.by_ref().take(CHUNK);
            if chunk.read_to_end(&mut self.bytes)? == 0 {
                break;
            }
        }
        let rest = self.rest();
        Ok(rest.get(..count).unwrap_or(rest))
    }

    /// Goes on by so many bytes; false when the stream has not so many more, and nothing was done.
    fn skip(&mut self, count: u64) -> io::Result<bool> {
        let beyond = count.saturating_sub(self.rest().len() as u64);
        if beyond == 0 {
            self.done += usize::try_from(count).unwrap_or_default();
            return Ok(true);
        }
        let target = self.stream.pos().saturating_add(beyond);
        if self.stream.byte_len().is_some_and(|end| target > end) {
            return Ok(false);
        }
        self.bytes.clear();
        self.done = 0;
        self.stream.seek(SeekFrom::Start(target))?;
        Ok(true)
    }
}

/// Reads frames.
pub(super) struct FrameReader {
    frames: Frames,
    ahead: Ahead,
    /// The one track: that of the part which is read.
    tracks: Vec<Track>,
    /// `None` until the first frame.
    signal: Option<Signal>,
    /// The last frame ended here.
    in_step: bool,
    /// Bytes of a usual frame, and of the last one.
    usual: usize,
    last: usize,
    /// Bytes since the last frame that are neither a frame nor a tag nor zeros.
    junk: usize,
    /// Frames that are still to be given for those that are missing.
    missing: usize,
    time: Timestamp,
    format: FormatInfo,
    media: MediaInfo,
    metadata: MetadataLog,
}

impl FrameReader {
    /// Opens a stream of such frames; what its beginning says of delay and length is read.
    pub(super) fn open(frames: Frames, stream: MediaSourceStream<'static>) -> Result<Self, Error> {
        let options = FormatOptions::default();
        let reader: Box<dyn FormatReader> = match frames {
            Frames::Mpeg => Box::new(MpaReader::try_new(stream, options)?),
            Frames::Adts => Box::new(AdtsReader::try_new(stream, options)?),
        };
        let tracks = reader.tracks().to_vec();
        let (format, media) = (*reader.format_info(), *reader.media_info());
        Ok(Self {
            frames,
            // It stands on the first frame that is sound.
            ahead: Ahead::new(reader.into_inner()),
            signal: tracks.first().and_then(signal_of),
            tracks,
            in_step: true,
            usual: 0,
            last: 0,
            junk: 0,
            missing: 0,
            time: Timestamp::ZERO,
            format,
            media,
            metadata: MetadataLog::default(),
        })
    }

    /// Takes the frame with this header; `None` when it holds no sound.
    fn take(&mut self, header: Header, signal: Signal) -> Result<Option<Packet>, Error> {
        let frame = self.ahead.peek(header.length)?;
        if frame.len() < header.length {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let is_count = header.mpeg.is_some_and(|mpeg| mpeg.is_count(frame));
        let data: Box<[u8]> = frame.get(header.envelope..).unwrap_or_default().into();
        self.ahead.skip(header.length as u64)?;
        self.in_step = true;
        self.last = header.length;
        self.usual = match self.usual {
            0 => header.length,
            usual => (usual * 15 + header.length) / 16,
        };
        Ok((!is_count).then(|| self.packet(signal, data)))
    }

    fn packet(&mut self, signal: Signal, data: Box<[u8]>) -> Packet {
        let (time, length) = (self.time, Duration::from(signal.samples));
        self.time = time.saturating_add(length);
        Packet::new(0, time, length, data)
    }

    /// What the frame behind this one is; nothing at the end.
    fn follower(&mut self, header: &Header) -> io::Result<Option<Signal>> {
        let both = self.ahead.peek(header.length + HEADER_BYTES)?;
        let next = both.get(header.length..).unwrap_or_default();
        Ok(self.frames.header(next).map(|header| header.signal))
    }

    /// Whether bytes behind damage that look like a frame of this part are one.
    fn is_found(&mut self, header: &Header) -> io::Result<bool> {
        let whole = header.length + HEADER_BYTES;
        Ok(self.in_step
            || self.follower(header)?.is_some()
            || self.ahead.peek(whole)?.len() < whole)
    }

    /// How many frames lay where the damage is that has just been passed over, before one of `next` bytes.
    fn lost(&mut self, next: usize) -> usize {
        let junk = std::mem::take(&mut self.junk);
        // Where the bit rate varies, one long frame is as long as two usual ones, and its neighbours tell.
        let longest = self.usual.max(self.last).max(next);
        if junk == 0 || junk < longest / 4 {
            return 0;
        }
        if junk < longest + longest / 2 {
            return 1;
        }
        match (junk + self.usual / 2) / self.usual.max(1) {
            0 | MOST_MISSING.. => 1,
            frames => frames,
        }
    }

    /// Goes on from the header of a frame of this part.
    fn meet(&mut self, header: Header, signal: Signal) -> Result<Option<Packet>, Error> {
        if !self.is_found(&header)? {
            self.pass_over()?;
            return Ok(None);
        }
        self.missing += self.lost(header.length);
        if let Some(rest) = self.missing.checked_sub(1) {
            self.missing = rest;
            return Ok(Some(self.packet(signal, Box::default())));
        }
        self.take(header, signal)
    }

    /// Goes on from a header that is not one of this part.
    fn differ(&mut self, header: Header, signal: Signal) -> Result<Option<Packet>, Error> {
        let follower = self.follower(&header)?;
        if follower == Some(header.signal) {
            (self.junk, self.missing, self.usual, self.last) = (0, 0, 0, 0);
            self.signal = Some(header.signal);
            self.tracks = vec![header.signal.track()];
            self.time = Timestamp::ZERO;
            return Err(Error::ResetRequired);
        }
        if self.in_step && follower == Some(signal) {
            // The damage is in what the header says, and not in its length.
            return self.take(header, signal);
        }
        self.in_step = false;
        self.pass_over()?;
        Ok(None)
    }

    /// Goes on over bytes that are no frame: a tag as a whole, else to what may be the next header.
    fn pass_over(&mut self) -> io::Result<()> {
        let bytes = self.ahead.peek(tags::HEADER_BYTES)?;
        if let Some(length) = tags::length_at(bytes).filter(|_| self.in_step)
            && self.ahead.skip(length)?
        {
            return Ok(());
        }
        self.in_step = false;
        let rest = self.ahead.rest();
        let sync = rest.iter().skip(1).position(|byte| *byte == 0xff);
        let junk = sync.map_or(rest.len(), |at| at + 1);
        if rest.iter().take(junk).any(|byte| *byte != 0) {
            self.junk = self.junk.saturating_add(junk);
        }
        self.ahead.skip(junk as u64).map(|_| ())
    }
}

/// What a track that a reader lists says of its frames.
fn signal_of(track: &Track) -> Option<Signal> {
    let parameters = track.codec_params.as_ref()?.audio()?;
    let rate = parameters.sample_rate?;
    let channels = parameters.channels.as_ref().map(Channels::count);
    Some(Signal {
        codec: parameters.codec,
        rate,
        channels: channels.and_then(|count| u16::try_from(count).ok()),
        samples: match parameters.codec {
            codec::CODEC_ID_AAC => AdtsFrame::SAMPLES,
            codec::CODEC_ID_MP1 => 384,
            // MPEG-1, of which no rate is below 32 kHz, has two granules in a frame of layer III.
            codec::CODEC_ID_MP3 if rate < 32_000 => 576,
            _ => 1152,
        },
    })
}

impl FormatReader for FrameReader {
    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        let Some(signal) = self.signal else {
            return Ok(None);
        };
        loop {
            let bytes = self.ahead.peek(HEADER_BYTES)?;
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            let packet = match self.frames.header(bytes) {
                Some(header) if header.signal == signal => match self.meet(header, signal) {
                    // A stream has no end of its own; where its last frame is not whole, it ends.
                    Err(Error::IoError(error))
                        if error.kind() == ErrorKind::UnexpectedEof
                            && self.frames == Frames::Mpeg =>
                    {
                        return Ok(None);
                    }
                    taken => taken?,
                },
                Some(header) => self.differ(header, signal)?,
                None => {
                    self.pass_over()?;
                    None
                }
            };
            if packet.is_some() {
                return Ok(packet);
            }
        }
    }

    fn format_info(&self) -> &FormatInfo {
        &self.format
    }

    fn media_info(&self) -> &MediaInfo {
        &self.media
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.metadata.metadata()
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seek(&mut self, _: SeekMode, _: SeekTo) -> Result<SeekedTo, Error> {
        Err(Error::SeekError(SeekErrorKind::Unseekable))
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        self.ahead.stream
    }
}
