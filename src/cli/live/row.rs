//! A line of the bars: one recording, and where it is on its road.

use std::io;
use std::path::Path;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};
use unicode_width::UnicodeWidthStr as _;

use super::super::output::shown;
use super::super::text::{LEAST, without_middle};
use super::screen::columns;
use super::{TICK, style};
use crate::domain::audio::AudioDuration;
use crate::domain::job::Job;
use crate::domain::pace::{Outlook, words};
use crate::domain::route;

/// The columns before what a row says: how long it has lasted.
const ELAPSED: usize = "   12s  ".len();
/// Stands for what is left out of a name, on every terminal.
const GAP: &str = "...";

/// A recording in flight.
pub(super) struct Row {
    bar: ProgressBar,
    name: String,
    /// With which model; none before it is a job.
    model: String,
    audio: AudioDuration,
    phase: Phase,
    /// Whether this run saw it from its beginning on.
    is_seen_whole: bool,
}

/// What is done with it right now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// It is read, to know what it is and its hash; bytes.
    Hash { read: u64, size: u64 },
    /// It is encoded again, or cut; seconds of audio.
    Encode { seconds: f64 },
    /// It is on its way; bytes, `size` being 0 while nobody knows it.
    Upload { sent: u64, size: u64 },
    /// The service is at work on it, which takes about so long.
    Wait { usual: Outlook },
    /// The built-in recogniser is at work on it; seconds of audio.
    Recognise { seconds: f64 },
}

impl Row {
    /// The line of a job.
    pub(super) fn of(job: &Job, bars: &MultiProgress) -> Self {
        let name = job.source.file_name().map(|name| shown(name.as_ref()));
        let mut name = name.unwrap_or_default();
        if let Some(piece) = job.piece {
            name.push_str(&format!(", piece {}", piece.number));
        }
        let phase = if job.settings.provider.is_paid() {
            Phase::Upload {
                sent: 0,
                size: job.size,
            }
        } else {
            Phase::Recognise { seconds: 0.0 }
        };
        let row = Self {
            bar: Self::line(bars),
            name,
            model: job.settings.model.clone(),
            audio: job.duration.unwrap_or_default(),
            phase,
            is_seen_whole: true,
        };
        row.draw();
        row
    }

    /// The line of a job that an earlier run has sent.
    pub(super) fn taken_over(job: &Job, bars: &MultiProgress) -> Self {
        Self {
            is_seen_whole: false,
            ..Self::of(job, bars)
        }
    }

    /// The line of a file that is being read.
    pub(super) fn read(path: &Path, bars: &MultiProgress, phase: Phase) -> Self {
        let name = path.file_name().map(|name| shown(name.as_ref()));
        let row = Self {
            bar: Self::line(bars),
            name: name.unwrap_or_default(),
            model: String::new(),
            audio: AudioDuration::default(),
            phase,
            is_seen_whole: true,
        };
        row.draw();
        row
    }

    fn line(bars: &MultiProgress) -> ProgressBar {
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(style("  {elapsed:>4}  {wide_msg}"));
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Its length.
    pub(super) fn audio(&self) -> AudioDuration {
        self.audio
    }

    /// Whether how long it took tells how long the service takes.
    pub(super) fn is_seen_whole(&self) -> bool {
        self.is_seen_whole
    }

    /// With which model it is transcribed.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// What is done with it right now.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Seconds of audio that the built-in recogniser has done of it.
    pub(super) fn heard(&self) -> f64 {
        match self.phase {
            Phase::Recognise { seconds } => seconds,
            Phase::Hash { .. }
            | Phase::Encode { .. }
            | Phase::Upload { .. }
            | Phase::Wait { .. } => 0.0,
        }
    }

    /// How long the service has been at work on it, if it is.
    pub(super) fn waits(&self) -> Option<Duration> {
        matches!(self.phase, Phase::Wait { .. }).then(|| self.bar.elapsed())
    }

    /// Shows what is done with it now; each kind of it counts its time anew.
    pub(super) fn now(&mut self, phase: Phase) {
        if std::mem::discriminant(&phase) != std::mem::discriminant(&self.phase) {
            self.bar.reset_elapsed();
        }
        self.phase = phase;
        self.draw();
    }

    /// Takes the line away.
    pub(super) fn end(self, bars: &MultiProgress) {
        self.bar.finish_and_clear();
        bars.remove(&self.bar);
    }

    fn draw(&self) {
        let elapsed = self.bar.elapsed();
        let phase = self.phase.text(self.audio, elapsed);
        let room = usize::from(columns(io::stderr())).saturating_sub(ELAPSED);
        self.bar.set_message(message(&phase, &self.name, room));
    }
}

/// What a row says in so many columns: never without the name, which may be shortened, and with as much of the
/// phase as there is room for.
fn message(phase: &str, name: &str, room: usize) -> String {
    let plain = phase.split(',').next().unwrap_or_default();
    let in_short = phase.split([' ', ',']).next().unwrap_or_default();
    let whole = format!("{phase}  {name}");
    let beside = |phase: &str| room.saturating_sub(phase.width() + 2);
    if whole.width() <= room {
        whole
    } else if beside(phase) >= LEAST {
        format!("{phase}  {}", without_middle(name, beside(phase), GAP))
    } else if name.width() <= beside(plain) {
        format!("{plain}  {name}")
    } else if name.width() <= beside(in_short) {
        format!("{in_short}  {name}")
    } else {
        format!(
            "{in_short}  {}",
            without_middle(name, beside(in_short), GAP)
        )
    }
}

impl Phase {
    fn text(self, audio: AudioDuration, elapsed: Duration) -> String {
        match self {
            Self::Hash { read, size } => {
                format!("hashing, {} of {}", route::bytes(read), route::bytes(size))
            }
            Self::Encode { seconds } => format!("encoding, {} of {audio}", done(seconds)),
            // It waits for the encoder, its turn at the service, or the connection.
            Self::Upload { sent: 0, .. } => "waiting to be sent".to_owned(),
            Self::Upload { sent, size: 0 } => format!("uploading, {}", route::bytes(sent)),
            Self::Upload { sent, size } => {
                let pace = sent / elapsed.as_secs().max(1);
                let (sent, size) = (route::bytes(sent), route::bytes(size));
                format!("uploading, {sent} of {size}, {}/s", route::bytes(pace))
            }
            Self::Wait { usual } => {
                let how = if usual.is_measured {
                    "usually"
                } else {
                    "perhaps"
                };
                format!("waiting for the service, {how} {}", words(usual.time))
            }
            Self::Recognise { seconds } => format!("recognising, {} of {audio}", done(seconds)),
        }
    }
}

/// So many seconds of audio, written like its length.
fn done(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let micros = u64::try_from(seconds.as_micros()).unwrap_or(u64::MAX);
    AudioDuration::from_micros(micros).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_name_on_every_terminal() {
        let phase = "waiting for the service, usually 5 s";
        let said = |name, room| message(phase, name, room);
        assert_eq!(said("a.wav", 60), format!("{phase}  a.wav"));
        assert_eq!(said("a.wav", 30), "waiting for the service  a.wav");
        assert_eq!(said("a.wav", 25), "waiting  a.wav");
        let long = "A talk about the state of things.flac";
        assert_eq!(said(long, 60), format!("{phase}  A talk ab...hings.flac"));
        assert_eq!(said(long, 32), "waiting  A talk abo...hings.flac");
    }

    #[test]
    fn each_phase_says_how_far_it_is() {
        let audio = AudioDuration::from_micros(90_000_000);
        let usual = |is_measured| Outlook {
            time: Duration::from_secs(5),
            is_measured,
        };
        let said = |phase: Phase| phase.text(audio, Duration::from_secs(2));
        for (phase, text) in [
            (
                Phase::Hash {
                    read: 16 << 20,
                    size: 64 << 20,
                },
                "hashing, 16.0 MiB of 64.0 MiB",
            ),
            (Phase::Encode { seconds: 30.4 }, "encoding, 30.4 s of 1:30"),
            (
                Phase::Upload {
                    sent: 0,
                    size: 4 << 20,
                },
                "waiting to be sent",
            ),
            (
                Phase::Upload {
                    sent: 2 << 20,
                    size: 4 << 20,
                },
                "uploading, 2.0 MiB of 4.0 MiB, 1.0 MiB/s",
            ),
            (
                Phase::Upload {
                    sent: 2 << 20,
                    size: 0,
                },
                "uploading, 2.0 MiB",
            ),
            (
                Phase::Wait { usual: usual(true) },
                "waiting for the service, usually 5 s",
            ),
            (
                Phase::Wait {
                    usual: usual(false),
                },
                "waiting for the service, perhaps 5 s",
            ),
            (
                Phase::Recognise { seconds: 12.0 },
                "recognising, 12.0 s of 1:30",
            ),
        ] {
            assert_eq!(said(phase), text);
        }
    }
}
