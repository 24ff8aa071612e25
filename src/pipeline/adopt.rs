//! Taking up the transcript that already lies where a new recording's outputs would be.
//!
//! That is how a lost or damaged table is made up for: the JSON file says which recording and which
//! settings it was made from. Only what stenod wrote and nobody edited counts; nothing is written here.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::elsewhere::seen_from;
use super::{Pipeline, PipelineError, Place};
use crate::domain::format::Format;
use crate::domain::job::{Candidate, ContentHash, JobId, Publication, Settings};
use crate::domain::money::{Amount, Currency};
use crate::domain::naming;
use crate::domain::render::{self, Document};
use crate::domain::style::Style;
use crate::outputs;
use crate::queue::{Adoption, Named, Output};
use crate::supervise::blocking;

/// The largest JSON file that is looked into, in bytes: far more than a day of speech with every word.
const LARGEST_TRANSCRIPT: u64 = 64 * 1024 * 1024;
/// How many numbered names of a JSON file are looked at.
const MOST_NAMES: u32 = 9;

/// A transcript of stenod that belongs to a recording.
pub(super) struct Found {
    /// The path that its outputs begin with.
    pub(super) base: PathBuf,
    file: PathBuf,
    body: Vec<u8>,
    document: Document,
}

/// The transcript of the recording at `source`, by its hash and the settings of its place, if it lies
/// where its outputs would be; blocks for as long as reading it takes.
pub(super) fn find(place: &Place, source: &Path, hash: ContentHash) -> Option<Found> {
    let base = |stem_is_taken| {
        let name = naming::base_name(source, stem_is_taken);
        let output_dir = place.output_root();
        naming::base_path(source, place.root.path(), output_dir.as_deref(), &name)
    };
    let (stem, whole) = (base(false), base(true));
    let other = (whole != stem).then_some(whole);
    let bases = std::iter::once(stem).chain(other);
    let settings = place.settings_of(source);
    bases
        .filter_map(|base| find_under(base, source, hash, &settings))
        .next()
}

fn find_under(
    base: PathBuf,
    source: &Path,
    hash: ContentHash,
    settings: &Settings,
) -> Option<Found> {
    for number in 1..=MOST_NAMES {
        let file = naming::output_path(&base, number, Format::Json.suffix());
        if file.symlink_metadata().is_err() {
            return None;
        }
        let Some(body) = readable(&file) else {
            continue;
        };
        match render::read(&body) {
            Ok(document) if document.transcript.is_incomplete() => {
                tracing::debug!(file = %file.display(), "pieces of it are missing");
            }
            Ok(mut document) if belongs(&document, source, hash, settings) => {
                document.source.path = seen_from(&base, source);
                return Some(Found {
                    base,
                    file,
                    body,
                    document,
                });
            }
            Ok(_) => {
                tracing::debug!(file = %file.display(), "of another recording or settings");
            }
            Err(error) => tracing::debug!(file = %file.display(), "not taken up: {error}"),
        }
    }
    None
}

/// The bytes of a file, if it is one that is looked into.
fn readable(file: &Path) -> Option<Vec<u8>> {
    match outputs::read(file, LARGEST_TRANSCRIPT) {
        Ok(body) => body,
        Err(error) => {
            tracing::debug!(file = %file.display(), "not taken up: {error}");
            None
        }
    }
}

/// Whether a document is what these settings would make of this recording, and not its neighbour's.
fn belongs(document: &Document, source: &Path, hash: ContentHash, settings: &Settings) -> bool {
    let job = &document.job;
    let same_settings = job.provider == settings.provider.name()
        && job.model == settings.model
        && job.settings.language == settings.language
        && job.settings.diarize == settings.diarize
        && job.settings.tag_audio_events == settings.tag_audio_events;
    same_settings
        && document.source.blake3 == hash.to_string()
        && !is_neighbours(Path::new(&document.source.file_name), source)
}

/// Whether the recording that a document names is another one that still lies there: a copy beside it.
fn is_neighbours(named: &Path, source: &Path) -> bool {
    let Some(name) = named.file_name() else {
        return false;
    };
    let is_other = source.file_name() != Some(name);
    is_other && source.with_file_name(name).symlink_metadata().is_ok()
}

impl Found {
    /// What the table keeps of it, by what is asked for and what is noted in its folders.
    fn adoption(
        mut self,
        wanted: &Publication,
        is_film: Option<bool>,
        noted: &Style,
        now: Timestamp,
    ) -> Adoption {
        self.document.captions = wanted.captions;
        self.document.caption_language = wanted.caption_language;
        self.document.is_film = is_film;
        let names = self.names(noted);
        let mut own = Style::default();
        own.cast.lay_below(names.iter().cloned());
        let style = Style {
            cast: own.cast.above(&noted.cast),
            glossary: noted.glossary.clone(),
        };
        let mut outputs: Vec<Output> = Format::ALL
            .into_iter()
            .filter(|format| *format != Format::Json)
            .filter_map(|format| {
                let bytes = render::render(format, &self.document)?;
                let suffix = render::suffix(format, &self.document);
                let found = outputs::find(&self.base, &suffix, &bytes)?;
                // What is not as stenod would write it may be anybody's, unless it was asked for.
                let counts = found.is_same || wanted.formats.contains(&format);
                counts.then(|| output(format, found.written, now))
            })
            .collect();
        let json = outputs::Written {
            path: self.file.clone(),
            hash: ContentHash(*blake3::hash(&self.body).as_bytes()),
            note: None,
        };
        outputs.push(output(Format::Json, json, now));
        let cost = self.document.cost.filter(|cost| !cost.amount.is_zero());
        Adoption {
            cost: cost.map(|cost| Amount {
                value: cost.amount,
                currency: Currency::new(&cost.currency),
            }),
            run_id: self.document.job.run_id,
            base: self.base,
            file: self.file,
            body: self.body,
            names,
            mark: style.mark(),
            outputs,
        }
    }

    /// The names in it that its folders do not give.
    fn names(&self, noted: &Style) -> Vec<Named> {
        let speakers = self.document.transcript.speakers.iter();
        let own = speakers.filter(|speaker| noted.cast.name_of(speaker) != speaker.name.as_deref());
        own.filter_map(|speaker| Some((speaker.label.clone(), speaker.name.clone()?)))
            .collect()
    }
}

fn output(format: Format, written: outputs::Written, now: Timestamp) -> Output {
    Output {
        path: written.path,
        format: format.name().to_owned(),
        hash: written.hash,
        note: written.note,
        written_at: now,
        aside: false,
    }
}

impl Pipeline {
    /// Makes a done job of a recording that is new to the table, if its transcript lies there already.
    pub(super) async fn adopt(
        &self,
        place: &Place,
        candidate: &Candidate,
    ) -> Result<Option<JobId>, PipelineError> {
        let (place, notes, now) = (place.clone(), self.notes.clone(), self.now());
        let (source, hash) = (candidate.source.clone(), candidate.hash);
        let is_film = candidate.has_video;
        let adoption = blocking(move || {
            let found = find(&place, &source, hash)?;
            let noted = notes.of(&source).style;
            Some(found.adoption(&place.publication, is_film, &noted, now))
        });
        match adoption.await? {
            Some(adoption) => Ok(self.queue.adopt(candidate.clone(), adoption, now).await?),
            None => Ok(None),
        }
    }
}
