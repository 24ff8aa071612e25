//! From a stored reply to the document that its outputs are made of.

use std::path::Path;

use rust_decimal::Decimal;

use super::elsewhere::seen_from;
use crate::domain::audio::AudioDuration;
use crate::domain::captions::{CaptionLanguage, Captions};
use crate::domain::format::Format;
use crate::domain::glossary::Applied;
use crate::domain::job::Job;
use crate::domain::pieces;
use crate::domain::render::{self, Cost, Document, JobInfo, JobSettings, SourceInfo};
use crate::domain::style::Style;
use crate::domain::transcript::{HeardPiece, Transcript};
use crate::notes::{Noted, Notes};
use crate::queue::{Named, ReplyKind, StoredReply};
use crate::speech::replies_of;

/// What people add to a recording's reply: the names that were given to itself before those of its
/// folders; blocks for a look at the folders.
pub fn style(notes: &Notes, source: &Path, names: Vec<Named>) -> Noted {
    let noted = notes.of(source);
    let mut own = Style::default();
    own.cast.lay_below(names);
    Noted {
        style: Style {
            cast: own.cast.above(&noted.style.cast),
            glossary: noted.style.glossary,
        },
        ..noted
    }
}

/// The document of a job and its stored reply, in a style.
///
/// # Errors
/// [`render::Unread`] for a transcript that was taken up and cannot be read any more.
pub fn document(job: &Job, stored: StoredReply, style: &Style) -> Result<Document, render::Unread> {
    let mut document = plain(job, stored)?;
    let applied = style.apply(&mut document.transcript);
    for one in applied {
        let known = |earlier: &&mut _| same_entry(earlier, &one);
        match document.glossary.iter_mut().find(known) {
            Some(earlier) => earlier.count += one.count,
            None => document.glossary.push(one),
        }
    }
    Ok(document)
}

fn same_entry(one: &Applied, other: &Applied) -> bool {
    (&one.from, &one.to) == (&other.from, &other.to)
}

/// The document of a job and its stored reply, as it came.
///
/// # Errors
/// [`render::Unread`] for a transcript that was taken up and cannot be read any more.
pub fn plain(job: &Job, mut stored: StoredReply) -> Result<Document, render::Unread> {
    let listened = stored.listened.take().unwrap_or_default();
    let mut document = match stored.kind {
        ReplyKind::Service => from_service(job, stored.body),
        ReplyKind::Adopted => adopted(job, &stored)?,
        ReplyKind::Composite => stitched(job, stored.body)?,
    };
    document.transcript.doubt(&listened);
    Ok(Document {
        captions: job.publication.captions,
        caption_language: job.publication.caption_language,
        is_film: job.has_video,
        ..document
    })
}

/// What is written: the formats asked for, the speakers whenever the reply tells them apart, since they
/// are paid for; `json` last, so that its presence says that all is there.
pub(super) fn to_write(formats: &[Format], transcript: &Transcript) -> Vec<Format> {
    let mut formats = formats.to_vec();
    let told = transcript.tells_speakers() || !transcript.presences.is_empty();
    if told && !formats.contains(&Format::Diarization) {
        formats.push(Format::Diarization);
    }
    formats.sort_by_key(|format| *format == Format::Json);
    formats
}

fn from_service(job: &Job, raw: Vec<u8>) -> Document {
    let heard = replies_of(job.settings.provider).heard(&raw);
    let seconds = job.duration.map(AudioDuration::seconds);
    document_of(job, Transcript::from_heard(heard, seconds), raw)
}

/// The document of a recording that was cut, out of the replies to its pieces.
fn stitched(job: &Job, raw: Vec<u8>) -> Result<Document, serde_json::Error> {
    let replies = replies_of(job.settings.provider);
    let pieces = pieces::take_apart(&raw)?.into_iter().map(|piece| {
        let seconds = piece.stretch.duration().seconds();
        let heard = piece.reply.map(|body| {
            let heard = replies.heard(&body);
            Transcript::from_heard(heard, Some(seconds))
        });
        HeardPiece {
            stretch: piece.stretch,
            heard: heard.map_err(|reason| reason.text),
        }
    });
    let transcript = Transcript::stitched(pieces.collect());
    Ok(document_of(job, transcript, raw))
}

fn document_of(job: &Job, transcript: Transcript, raw: Vec<u8>) -> Document {
    let cost = job.cost.as_ref().map(|cost| Cost {
        amount: cost.value,
        currency: cost.currency.code().to_owned(),
    });
    let paid = job.settings.provider.is_paid() && job.attempts > 0;
    Document {
        transcript,
        source: source_info(job),
        job: job_info(job),
        cost: if paid { cost } else { Some(free()) },
        glossary: Vec::new(),
        captions: Captions::default(),
        caption_language: CaptionLanguage::default(),
        is_film: None,
        raw: Some(raw),
    }
}

/// The document of a transcript that was taken up, by this job or by one whose copy this is; the names
/// in it are kept in the table, where they can be taken away again.
fn adopted(job: &Job, stored: &StoredReply) -> Result<Document, render::Unread> {
    let mut document = render::read(&stored.body)?;
    for speaker in &mut document.transcript.speakers {
        speaker.name = None;
    }
    Ok(Document {
        source: source_info(job),
        job: job_info(job),
        cost: if stored.job == job.id {
            document.cost
        } else {
            Some(free())
        },
        ..document
    })
}

fn source_info(job: &Job) -> SourceInfo {
    let name = job.source.file_name().unwrap_or_default();
    SourceInfo {
        path: seen_from(&job.base, &job.source),
        file_name: name.to_string_lossy().into_owned(),
        size: job.size,
        blake3: job.hash.to_string(),
    }
}

fn job_info(job: &Job) -> JobInfo {
    JobInfo {
        id: job.id.0,
        provider: job.settings.provider.name().to_owned(),
        model: job.settings.model.clone(),
        run_id: job.run_id.clone(),
        settings: JobSettings {
            language: job.settings.language.clone(),
            diarize: job.settings.diarize,
            tag_audio_events: job.settings.tag_audio_events,
        },
    }
}

fn free() -> Cost {
    Cost {
        amount: Decimal::ZERO,
        currency: "USD".to_owned(),
    }
}
