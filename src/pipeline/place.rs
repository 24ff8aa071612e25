//! Where recordings are looked for, and what is made of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::discover::{LocalRules, Root, SettingsFile};
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Publication, Reason, Settings};
use crate::domain::language;

/// A folder (or a file) and what is to be made of the recordings in it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where, and by which rules.
    pub root: Arc<Root>,
    /// The settings to freeze into its jobs.
    pub settings: Settings,
    /// What to write.
    pub publication: Publication,
    /// Where to write it instead of beside the recordings.
    pub output_dir: Option<PathBuf>,
    /// How long a file stays unchanged before it counts as complete.
    pub settle: Duration,
    /// The shortest recording that is worth transcribing.
    pub min_length: Duration,
    /// Whether what was there before the first start is left alone.
    pub leave_existing: bool,
    /// Whether a person named it, instead of its standing in the configuration.
    pub is_named: bool,
    /// Whether a recording's name may ask for a language: `talk.de.mp3`.
    pub names_ask: bool,
    /// What understands a `stenod.toml` inside the folder.
    pub folder_files: Arc<dyn FolderFiles>,
}

/// Whoever understands a `stenod.toml` inside a folder.
pub trait FolderFiles: fmt::Debug + Send + Sync {
    /// The place with what the files set, the outermost first.
    ///
    /// # Errors
    /// The mistake in one of them, with its file, line and column.
    fn lay_over(&self, place: &Place, files: &[&SettingsFile]) -> Result<Place, Mistaken>;
}

/// A file of rules that pauses its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistaken {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, with the file, line and column.
    pub text: String,
    /// Whether it cannot be read at all.
    pub is_closed: bool,
}

impl Mistaken {
    /// The same as the reason for which a recording waits.
    pub fn reason(&self) -> Reason {
        let text = format!("its folder is paused until this is mended: {}", self.text);
        Reason::new("folder_settings", text)
    }
}

impl Place {
    /// The settings of a recording in it.
    pub fn settings_of(&self, source: &Path) -> Settings {
        let asked = language::of_file_name(source).filter(|_| self.names_ask);
        Settings {
            language: asked.map_or_else(|| self.settings.language.clone(), str::to_owned),
            ..self.settings.clone()
        }
    }

    /// Where outputs of what lies right in the root are written, if not beside it: as far inside of the output
    /// folder as the root lies inside of the folder that it belongs to, which somebody may not have named.
    pub fn output_root(&self) -> Option<PathBuf> {
        let output_dir = self.output_dir.as_ref()?;
        let (root, folder) = (self.root.path(), self.root.rules_from());
        let within = if self.root.is_folder() {
            root.strip_prefix(folder).ok()
        } else {
            root.parent()
                .and_then(|around| around.strip_prefix(folder).ok())
        };
        Some(match within {
            Some(within) if within != Path::new("") => output_dir.join(within),
            Some(_) | None => output_dir.clone(),
        })
    }

    /// The place as it is where the `local` rules hold.
    ///
    /// # Errors
    /// The mistake in one of the files of rules.
    pub fn below(self: &Arc<Self>, local: &LocalRules) -> Result<Arc<Self>, Mistaken> {
        if let Some(mistake) = local.mistake() {
            let text = format!("{}: {}", mistake.file.display(), mistake.text);
            let file = mistake.file.clone();
            return Err(Mistaken {
                file,
                text,
                is_closed: mistake.is_closed,
            });
        }
        let files = local.settings();
        if files.is_empty() {
            return Ok(self.clone());
        }
        self.folder_files.lay_over(self, &files).map(Arc::new)
    }

    /// Why a recording of this length is too short to be transcribed here, if it is; one of unknown
    /// length is not.
    pub fn too_short(&self, duration: Option<AudioDuration>) -> Option<Reason> {
        let length = Duration::from_micros(duration?.micros());
        (length < self.min_length).then(|| {
            let text = format!(
                "it is {:.1} s long, and folders.min_length is {}",
                length.as_secs_f64(),
                humantime::format_duration(self.min_length)
            );
            Reason::new("too_short", text)
        })
    }
}

/// A place, the rules that were laid over it, and what came of that.
type Understood = (Arc<Place>, LocalRules, Result<Arc<Place>, Mistaken>);

/// Places as they are where local rules hold, understood once for each folder in turn.
#[derive(Debug, Default)]
pub(super) struct Below {
    last: Option<Understood>,
}

impl Below {
    /// The same as [`Place::below`].
    ///
    /// # Errors
    /// The mistake in one of the files of rules.
    pub(super) fn of(
        &mut self,
        place: &Arc<Place>,
        local: &LocalRules,
    ) -> Result<Arc<Place>, Mistaken> {
        if let Some((last, rules, below)) = &self.last
            && Arc::ptr_eq(last, place)
            && rules.is_same(local)
        {
            return below.clone();
        }
        let below = place.below(local);
        self.last = Some((place.clone(), local.clone(), below.clone()));
        below
    }
}
