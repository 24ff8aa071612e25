//! The folder of a case: recordings, copies among them, and files of other people.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::format::Format;
use crate::domain::job::{Candidate, ContentHash, Publication, Settings, Stage};
use crate::domain::naming::output_path;
use crate::domain::route::{RouteTerms, Shape, first_stage};
use crate::speech::services::USUAL;

/// The model of every case.
pub(super) const MODEL: &str = "sim";
/// How many pieces a recording is cut into.
pub(super) const PIECES: u64 = 3;
/// Above the numbers of all recordings.
const FIRST_PIECE: u64 = 100_000;
/// What is in a file of somebody else.
pub(super) const FOREIGN: &str = "my own notes";

/// The bytes of a recording, told by a number; copies have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Content(pub(super) u64);

/// What lies in the folder.
#[derive(Debug)]
pub(super) struct Scene {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The recordings.
    pub(super) sources: Vec<(PathBuf, Content)>,
    /// Files that are not stenod's.
    pub(super) foreign: Vec<PathBuf>,
    /// How many bytes a recording has.
    pub(super) length: usize,
    /// Whether recordings are cut into pieces.
    pub(super) cuts: bool,
    /// The recording with which the process goes down whenever it is decoded.
    pub(super) guilty: Option<Content>,
    /// How often a recording was changed.
    changes: u64,
}

impl Content {
    /// The bytes.
    pub(super) fn bytes(self, length: usize) -> Vec<u8> {
        let mut bytes = format!("recording {} ", self.0).into_bytes();
        bytes.resize(length.max(bytes.len()), b'.');
        bytes
    }

    /// What the service hears in it.
    pub(super) fn words(self) -> String {
        format!("These are the words of recording {}.", self.0)
    }

    /// Its pieces, when it is cut.
    pub(super) fn pieces(self) -> impl Iterator<Item = Self> {
        (1..=PIECES).map(move |number| Self(FIRST_PIECE + self.0 * 10 + number))
    }
}

impl Scene {
    /// Lays out recordings of these contents, each of `length` bytes.
    pub(super) fn new(folder: &Path, contents: &[u64], length: usize) -> Self {
        let mut sources = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let path = folder.join(format!("talk{number}.mp3"));
            put(&path, &Content(*content).bytes(length));
            sources.push((path, Content(*content)));
        }
        Self {
            folder: folder.to_owned(),
            sources,
            foreign: Vec::new(),
            length,
            cuts: false,
            guilty: None,
            changes: 0,
        }
    }

    /// Somebody records over one of the recordings.
    pub(super) fn change(&mut self, number: u64) {
        self.changes += 1;
        let content = Content(1000 + self.changes);
        let bytes = content.bytes(self.length);
        if let Some((path, is)) = pick(&mut self.sources, number) {
            put(path, &bytes);
            *is = content;
        }
    }

    /// Somebody puts a file where an output would go, unless something is there.
    pub(super) fn put_foreign(&mut self, number: u64) {
        if let Some((source, _)) = pick(&mut self.sources, number) {
            let path = output_path(&source.with_extension(""), 1, "txt");
            if !path.exists() {
                put(&path, FOREIGN.as_bytes());
                self.foreign.push(path);
            }
        }
    }

    /// The content that hashes to this, if any recording ever had it.
    pub(super) fn content_of(&self, hash: ContentHash) -> Option<Content> {
        let original = self.sources.iter().map(|(_, content)| *content);
        original
            .chain((0..8).map(Content))
            .chain((1..=self.changes).map(|change| Content(1000 + change)))
            .flat_map(|content| std::iter::once(content).chain(content.pieces()))
            .find(|content| self.hash(*content) == hash)
    }

    /// What stands in the transcript of a content.
    pub(super) fn words(&self, content: Content) -> String {
        if self.cuts {
            let words: Vec<String> = content.pieces().map(Content::words).collect();
            words.join(" ")
        } else {
            content.words()
        }
    }

    /// What a content hashes to.
    pub(super) fn hash(&self, content: Content) -> ContentHash {
        ContentHash(*blake3::hash(&content.bytes(self.length)).as_bytes())
    }

    /// Whether this is the recording with which the process goes down.
    pub(super) fn is_guilty(&self, hash: ContentHash) -> bool {
        self.guilty.is_some_and(|guilty| self.hash(guilty) == hash)
    }

    /// The recordings as a scan would offer them.
    pub(super) fn candidates(&self, formats: &[Format], terms: &RouteTerms) -> Vec<Candidate> {
        let shape = |content: &Content| Shape {
            is_decodable: true,
            provider: USUAL.provider,
            format: AudioFormat::Mp3,
            size: content.bytes(self.length).len() as u64,
            duration: Some(AudioDuration::from_micros(60_000_000)),
        };
        let candidate = |(path, content): &(PathBuf, Content)| Candidate {
            source: path.clone(),
            root: self.folder.clone(),
            ground: None,
            hash: self.hash(*content),
            size: content.bytes(self.length).len() as u64,
            duration: Some(AudioDuration::from_micros(60_000_000)),
            format: AudioFormat::Mp3,
            has_video: Some(false),
            settings: Settings {
                provider: USUAL.provider,
                model: MODEL.to_owned(),
                language: "auto".to_owned(),
                diarize: false,
                tag_audio_events: false,
            },
            publication: Publication {
                formats: formats.to_vec(),
                ..Publication::default()
            },
            output_dir: None,
            route: first_stage(&shape(content), terms).1,
            stage: Stage::queued(),
        };
        self.sources.iter().map(candidate).collect()
    }

    /// What is wrong with the recordings, if anybody but the scene itself touched them.
    pub(super) fn touched(&self) -> Option<String> {
        self.sources.iter().find_map(|(path, content)| {
            let is = std::fs::read(path).ok();
            (is != Some(content.bytes(self.length)))
                .then(|| format!("{} was changed", path.display()))
        })
    }
}

fn pick<T>(all: &mut [T], number: u64) -> Option<&mut T> {
    let index = usize::try_from(number).ok()?.checked_rem(all.len())?;
    all.get_mut(index)
}

/// Writes a file as anybody would.
pub(super) fn put(path: &Path, bytes: &[u8]) {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .expect("a file can be made");
    file.write_all(bytes).expect("it can be filled");
}
