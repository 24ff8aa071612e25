//! What a file is and which of its bytes the demuxer gets to see.
//!
//! The format comes from the content. Tags around a stream, streaming headers and the stated
//! lengths are dealt with here, so that the demuxer starts on the first byte of the container.

use std::fs::File;

use crate::domain::audio::{
    AudioFormat, MpegLayer, Resemblance, SNIFF_BYTES, Sniffed, find_mpeg_audio, sniff,
};

use super::mp4::{self, Movie};
use super::probe::ProbeError;
use super::source::{Source, read_at};
use super::{matroska, ogg, riff, tags};

/// Tags at the start of a file that are skipped.
const MAX_LEADING_TAGS: usize = 8;
/// How far junk before the first frame of an MP3 may reach, in bytes.
const MAX_JUNK_BYTES: usize = 256 * 1024;

/// The formats by the structure of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// Frames of MPEG audio one after the other.
    Mpeg,
    /// Frames of AAC one after the other.
    Adts,
    Wave,
    Aiff,
    Caf,
    Movie,
    Ogg,
    Flac,
    Matroska,
    /// No reader for it.
    Foreign,
}

impl Container {
    pub(super) fn of(format: AudioFormat) -> Self {
        match format {
            AudioFormat::Mp3 | AudioFormat::Mp2 => Self::Mpeg,
            AudioFormat::Aac => Self::Adts,
            AudioFormat::Wav => Self::Wave,
            AudioFormat::Aiff => Self::Aiff,
            AudioFormat::Caf => Self::Caf,
            AudioFormat::M4a | AudioFormat::Alac | AudioFormat::Mp4 | AudioFormat::QuickTime => {
                Self::Movie
            }
            AudioFormat::Ogg | AudioFormat::OggOther => Self::Ogg,
            AudioFormat::Flac => Self::Flac,
            AudioFormat::WebM | AudioFormat::Matroska => Self::Matroska,
            AudioFormat::Wma | AudioFormat::Amr | AudioFormat::Avi => Self::Foreign,
        }
    }
}

/// A file, understood from the outside.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) format: AudioFormat,
    pub(super) source: Source,
    /// How the file is shorter than it says, if it is.
    pub(super) cut: Option<String>,
    /// What an MP4 says about itself.
    pub(super) movie: Option<Movie>,
    /// Frames that the Xing header of an MP3 counts.
    pub(super) xing_frames: Option<u32>,
    /// Whether it has moving pictures, where the demuxer does not know.
    pub(super) has_pictures: bool,
    /// Parts of it do not lie where the ones before them say: it is damaged, and not shorter than it says.
    pub(super) is_torn: bool,
}

/// Where the container begins, and what it is.
struct Begin {
    format: AudioFormat,
    start: u64,
}

/// Looks at `file` from the outside.
pub(super) fn lay_out(file: File) -> Result<Layout, ProbeError> {
    let length = file.metadata()?.len();
    let begin = begin(&file, length)?;
    match Container::of(begin.format) {
        Container::Foreign => Err(ProbeError::unsupported(begin.format.name())),
        Container::Wave => lay_out_wave(file, &begin, length),
        Container::Mpeg | Container::Adts => lay_out_stream(file, &begin, length),
        Container::Movie => lay_out_movie(file, &begin, length),
        Container::Ogg => {
            // Behind an ID3 tag it is looked at by the demuxer alone.
            let pages = match begin.start {
                0 => ogg::pages(&file, length)?,
                _ => ogg::Pages::Whole,
            };
            let cut = (pages == ogg::Pages::Cut).then(|| "the Ogg ends inside a page".to_owned());
            let has_pictures = begin.start == 0 && ogg::has_pictures(&file)?;
            Ok(Layout {
                has_pictures,
                is_torn: pages == ogg::Pages::Torn,
                ..Layout::plain(file, &begin, length, cut)
            })
        }
        Container::Flac | Container::Aiff | Container::Caf | Container::Matroska => {
            let cut = shortage(&file, &begin, length)?;
            Ok(Layout::plain(file, &begin, length, cut))
        }
    }
}

impl Layout {
    fn plain(file: File, begin: &Begin, end: u64, cut: Option<String>) -> Self {
        Self {
            format: begin.format,
            source: Source::new(file, Vec::new(), begin.start, end),
            cut,
            movie: None,
            xing_frames: None,
            has_pictures: false,
            is_torn: false,
        }
    }
}

/// Finds the container behind leading tags and junk.
fn begin(file: &File, length: u64) -> Result<Begin, ProbeError> {
    let mut start = 0;
    for _ in 0..MAX_LEADING_TAGS {
        let mut buffer = [0; SNIFF_BYTES];
        match sniff(read_at(file, start, &mut buffer)?) {
            Sniffed::Empty if start == 0 => return Err(ProbeError::Empty),
            Sniffed::Empty => return Err(ProbeError::cut("there is a tag and no sound behind it")),
            Sniffed::Audio(format) => return Ok(Begin { format, start }),
            Sniffed::Tag { length: tag } if start + tag > length => {
                return Err(ProbeError::cut("it ends inside its ID3 tag"));
            }
            Sniffed::Tag { length: tag } => start += tag,
            Sniffed::NotAudio(resembles) => return begin_behind_junk(file, start, resembles),
        }
    }
    Err(ProbeError::damaged("it begins with many tags"))
}

/// An MP3 may begin with zeros or the rest of a cut frame; a text or picture is no such thing.
fn begin_behind_junk(file: &File, start: u64, resembles: Resemblance) -> Result<Begin, ProbeError> {
    if !matches!(resembles, Resemblance::Unknown | Resemblance::Zeros) {
        return Err(ProbeError::NotAudio { resembles });
    }
    let mut buffer = vec![0; MAX_JUNK_BYTES];
    let bytes = read_at(file, start, &mut buffer)?;
    let whole = bytes.len() < MAX_JUNK_BYTES;
    let (at, frame) = find_mpeg_audio(bytes, whole).ok_or(ProbeError::NotAudio { resembles })?;
    let layer_three = frame.layer == MpegLayer::Three;
    let format = if layer_three {
        AudioFormat::Mp3
    } else {
        AudioFormat::Mp2
    };
    Ok(Begin {
        format,
        start: start + at as u64,
    })
}

fn lay_out_wave(file: File, begin: &Begin, length: u64) -> Result<Layout, ProbeError> {
    let wave = riff::wave(&file, begin.start, length)?;
    let mut layout = Layout::plain(file, begin, length, wave.cut);
    layout.source = layout.source.narrowed(wave.header, wave.start, wave.end);
    Ok(layout)
}

fn lay_out_stream(file: File, begin: &Begin, length: u64) -> Result<Layout, ProbeError> {
    let end = tags::end_of_sound(&file, begin.start, length)?;
    let xing_frames = xing_frames(&file, begin)?;
    let mut layout = Layout::plain(file, begin, end, None);
    layout.xing_frames = xing_frames;
    Ok(layout)
}

/// The frame count of a Xing or Info header, which sits in the first frame of an MP3.
fn xing_frames(file: &File, begin: &Begin) -> Result<Option<u32>, ProbeError> {
    let mut buffer = [0; 64];
    let frame = read_at(file, begin.start, &mut buffer)?;
    let Some(at) = frame
        .windows(4)
        .position(|mark| mark == b"Xing" || mark == b"Info")
    else {
        return Ok(None);
    };
    let Some([_, _, _, flags, count @ ..]) = frame.get(at + 4..).and_then(|b| b.first_chunk::<8>())
    else {
        return Ok(None);
    };
    Ok((begin.format == AudioFormat::Mp3 && flags & 1 == 1).then(|| u32::from_be_bytes(*count)))
}

fn lay_out_movie(file: File, begin: &Begin, length: u64) -> Result<Layout, ProbeError> {
    let mut movie = mp4::movie(&file, length)?;
    let audio = movie.tracks.iter().find(|track| track.is_audio());
    let Some(audio) = audio else {
        return Err(ProbeError::NoAudioTrack);
    };
    if audio.is_protected() {
        return Err(ProbeError::Protected);
    }
    let video = movie.tracks.iter().any(mp4::MovieTrack::is_video);
    let format = match &audio.codec {
        _ if video || begin.format == AudioFormat::QuickTime => begin.format,
        b"mp4a" => AudioFormat::M4a,
        b"alac" => AudioFormat::Alac,
        _ => AudioFormat::Mp4,
    };
    // A film under the brand of a music shop is a film.
    let format = if video && format == AudioFormat::M4a {
        AudioFormat::Mp4
    } else {
        format
    };
    let cut = movie.cut.take();
    // The demuxer wants the parts to be as long as they say; reading stops where the file does.
    let mut layout = Layout::plain(file, begin, length.max(movie.end), cut);
    layout.format = format;
    layout.movie = Some(movie);
    Ok(layout)
}

fn shortage(file: &File, begin: &Begin, length: u64) -> Result<Option<String>, ProbeError> {
    // Behind an ID3 tag these are looked at by the demuxer alone.
    if begin.start > 0 {
        return Ok(None);
    }
    Ok(match Container::of(begin.format) {
        Container::Aiff => riff::aiff_shortage(file, length)?,
        Container::Caf => riff::caf_shortage(file, length)?,
        Container::Matroska => matroska::shortage(file, length)?,
        Container::Mpeg
        | Container::Adts
        | Container::Wave
        | Container::Ogg
        | Container::Movie
        | Container::Flac
        | Container::Foreign => None,
    })
}
