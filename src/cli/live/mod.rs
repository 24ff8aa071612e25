//! What is going on, drawn on a terminal while it goes on: one bar in minutes of audio, with the money
//! and the time left, and a line for each recording in flight.
//!
//! Only drawn, never asked: what is told at the end comes from the table.

mod hush;
mod overall;
mod row;
mod screen;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rust_decimal::Decimal;

use crate::domain::audio::AudioDuration;
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::pace::{Outlook, Work, outlook};
use crate::domain::route::Chosen;
use crate::pipeline::prospect::Price;
use crate::telemetry;
use hush::Hush;
use overall::Overall;
use row::{Phase, Row};
use screen::Screen;

/// How often elapsed times are drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// How the spinner turns where only ASCII is shown.
const ASCII_TICKS: &str = "|/-\\ ";
/// The most lines for recordings in flight; further ones are counted in the overall bar alone.
const MOST_ROWS: usize = 12;

/// Seconds of waiting for a second of audio, by model, as earlier runs have measured it.
pub(super) type Paces = HashMap<String, f64>;

/// The bars.
pub(super) struct Live {
    bars: MultiProgress,
    overall: ProgressBar,
    rows: HashMap<JobId, Row>,
    /// Files that are read, before they have a job.
    reading: HashMap<PathBuf, Row>,
    price: Option<Price>,
    /// What the overall bar says.
    saying: Arc<Mutex<Overall>>,
    paces: Paces,
    /// Microseconds of audio that have ended.
    done: u64,
    /// The same of those pieces whose whole has not ended, by the whole.
    in_pieces: HashMap<JobId, u64>,
    spent: Decimal,
    /// Seconds waited, and seconds of audio waited for, by what has ended.
    waited: (f64, f64),
    found: usize,
    /// Files that are watched until they stay as they are.
    settling: usize,
    /// Whether nothing that is typed is to be shown beside the bars, and that it is not just now.
    hushes: bool,
    hush: Option<Hush>,
    /// Whether the bars are gone for good: whatever comes then is drawn no more.
    is_over: bool,
}

impl Live {
    /// Bars on standard error, of ASCII alone where that is all it shows.
    pub(super) fn new(is_ascii: bool) -> Self {
        let target = ProgressDrawTarget::term_like(Box::<Screen>::default());
        Self::on(target, is_ascii)
    }

    /// The same for what listens to signals by itself: what is typed is not shown.
    pub(super) fn hushed(is_ascii: bool) -> Self {
        Self {
            hushes: true,
            hush: Hush::begin(),
            ..Self::new(is_ascii)
        }
    }

    fn on(target: ProgressDrawTarget, is_ascii: bool) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let around = bars.clone();
        telemetry::write_around(move |write| around.suspend(write));
        let overall = bars.add(ProgressBar::new_spinner());
        let looking = style("{spinner} {wide_msg}");
        overall.set_style(if is_ascii {
            looking.tick_chars(ASCII_TICKS)
        } else {
            looking
        });
        overall.set_message("looking for recordings");
        overall.enable_steady_tick(TICK);
        Self {
            bars,
            overall,
            rows: HashMap::new(),
            reading: HashMap::new(),
            price: None,
            saying: Arc::default(),
            paces: Paces::new(),
            done: 0,
            in_pieces: HashMap::new(),
            spent: Decimal::ZERO,
            waited: (0.0, 0.0),
            found: 0,
            settling: 0,
            hushes: false,
            hush: None,
            is_over: false,
        }
    }

    /// Prints a line above the bars.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.bars
            .suspend(|| writeln!(io::stderr().lock(), "{text}"))
    }

    /// Takes the bars away, for a question.
    pub(super) fn clear(&mut self) {
        let rows = self.rows.drain().map(|(_, row)| row);
        let rows = rows.chain(self.reading.drain().map(|(_, row)| row));
        rows.for_each(|row| row.end(&self.bars));
        self.overall.finish_and_clear();
        self.bars.remove(&self.overall);
        drop(self.hush.take());
    }

    /// Takes the bars away for good.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.clear();
    }

    /// Begins the bar of a run whose price is known.
    pub(super) fn begin(&mut self, price: Price, paces: Paces) {
        self.price = Some(price);
        self.paces = paces;
        if price.recordings + price.with_service.recordings == 0 {
            return;
        }
        self.overall = self
            .bars
            .insert(0, ProgressBar::new(price.audio().micros()));
        self.hush = self.hushes.then(Hush::begin).flatten();
        let looks = style("[{bar:16}] {saying}").progress_chars("=> ");
        self.overall
            .set_style(looks.with_key("saying", overall::said(self.saying.clone())));
        self.overall.enable_steady_tick(TICK);
        self.draw();
    }

    /// One more recording was found.
    pub(super) fn found(&mut self) {
        self.found += 1;
        self.say_what_is_found();
    }

    /// So many files are watched until they stay as they are.
    pub(super) fn settling(&mut self, files: usize) {
        if files != self.settling && self.price.is_none() {
            self.settling = files;
            self.say_what_is_found();
        }
    }

    fn say_what_is_found(&self) {
        let waits = match self.settling {
            0 => String::new(),
            files => format!(", {files} new: waiting whether they stay as they are"),
        };
        let text = format!("looking for recordings: {} found{waits}", self.found);
        self.overall.set_message(text);
    }

    /// So much of a file was read, to know what it is; all of it ends its line.
    pub(super) fn read(&mut self, path: &Path, read: u64, size: u64) {
        if read >= size {
            if let Some(row) = self.reading.remove(path) {
                row.end(&self.bars);
            }
            return;
        }
        let phase = Phase::Hash { read, size };
        if let Some(row) = self.reading.get_mut(path) {
            row.now(phase);
        } else if self.has_room() {
            let row = Row::read(path, &self.bars, phase);
            self.reading.insert(path.to_owned(), row);
        }
    }

    /// Draws where a job is now.
    pub(super) fn job(&mut self, job: &Job) {
        if self.is_over {
            return;
        }
        match &job.stage {
            Stage::Submitting => self.start(job),
            Stage::Committing => self.wait(job.id),
            Stage::Awaiting { overdue: None, .. } => {
                // An earlier run may have sent it.
                self.take_over(job);
                self.wait(job.id);
            }
            Stage::Received { trouble: None, .. } => {}
            Stage::Done { .. } => {
                // What a recording in pieces costs is the sum of theirs.
                let was_cut = job.route.as_ref().is_some_and(Chosen::cuts);
                self.end_job(job);
                if !was_cut {
                    self.spent += job.cost.as_ref().map_or(Decimal::ZERO, |cost| cost.value);
                }
            }
            Stage::Failed { .. } | Stage::Cancelled => self.end_job(job),
            Stage::Queued { .. } if self.price.is_none() => self.found(),
            // Its pieces have lines of their own.
            Stage::Split { .. } => {
                self.in_pieces.entry(job.id).or_default();
                self.drop_row(job.id);
            }
            Stage::Queued { .. }
            | Stage::Waiting { .. }
            | Stage::Awaiting {
                overdue: Some(_), ..
            }
            | Stage::Received {
                trouble: Some(_), ..
            }
            | Stage::InDoubt { .. } => self.drop_row(job.id),
        }
        self.draw();
    }

    /// Bytes of a recording have left.
    pub(super) fn sent(&mut self, id: JobId, bytes: u64) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let (sent, size) = match row.phase() {
            Phase::Upload { sent, size } => (sent + bytes, size),
            // What comes of encoding is smaller by an amount that nobody knows yet.
            Phase::Encode { .. } => (bytes, 0),
            Phase::Hash { .. } | Phase::Wait { .. } | Phase::Recognise { .. } => return,
        };
        row.now(Phase::Upload { sent, size });
        if size > 0 && sent >= size {
            self.wait(id);
        }
    }

    /// So much of a recording has been encoded again, in seconds of audio.
    pub(super) fn encoded(&mut self, id: JobId, seconds: f64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.now(Phase::Encode { seconds });
        }
    }

    /// So many of `size` bytes are in the bucket.
    pub(super) fn uploaded(&mut self, id: JobId, sent: u64, size: u64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.now(Phase::Upload { sent, size });
        }
    }

    /// The recogniser has come so far, in seconds of audio.
    pub(super) fn heard(&mut self, id: JobId, seconds: f64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.now(Phase::Recognise { seconds });
            self.draw();
        }
    }

    fn has_room(&self) -> bool {
        !self.is_over && self.rows.len() + self.reading.len() < MOST_ROWS
    }

    fn start(&mut self, job: &Job) {
        if self.has_room() && !self.rows.contains_key(&job.id) {
            let row = Row::of(job, &self.bars);
            self.rows.insert(job.id, row);
        }
    }

    fn take_over(&mut self, job: &Job) {
        if self.has_room() && !self.rows.contains_key(&job.id) {
            let row = Row::taken_over(job, &self.bars);
            self.rows.insert(job.id, row);
        }
    }

    fn wait(&mut self, id: JobId) {
        let Some(row) = self.rows.get(&id) else {
            return;
        };
        let usual = self.usual(row);
        if let Some(row) = self.rows.get_mut(&id)
            && row.waits().is_none()
        {
            row.now(Phase::Wait { usual });
        }
    }

    /// What is usual is known better by now.
    fn renew_usual(&mut self) {
        let waiting = self.rows.iter().filter(|(_, row)| row.waits().is_some());
        let usual: Vec<_> = waiting.map(|(id, row)| (*id, self.usual(row))).collect();
        for (id, usual) in usual {
            if let Some(row) = self.rows.get_mut(&id) {
                row.now(Phase::Wait { usual });
            }
        }
    }

    /// How long the service takes for a recording: by what this run has seen, else by earlier ones.
    fn usual(&self, row: &Row) -> Outlook {
        let (waited, audio) = self.waited;
        let seen = (audio > 0.0).then(|| waited / audio);
        outlook(Work {
            recordings: 1,
            audio: row.audio(),
            jobs: 1,
            is_paid: true,
            measured: seen.or_else(|| self.paces.get(row.model()).copied()),
        })
    }

    fn end_job(&mut self, job: &Job) {
        let micros = job.duration.map_or(0, AudioDuration::micros);
        if let Some(piece) = job.piece {
            *self.in_pieces.entry(piece.parent).or_default() += micros;
            self.done += micros;
        } else {
            let counted = self.in_pieces.remove(&job.id).unwrap_or(0);
            self.done += micros.saturating_sub(counted);
        }
        if let Some(row) = self.rows.get(&job.id)
            && row.is_seen_whole()
            && let Some(waited) = row.waits()
        {
            self.waited.0 += waited.as_secs_f64();
            self.waited.1 += row.audio().seconds();
        }
        self.drop_row(job.id);
        self.renew_usual();
    }

    fn drop_row(&mut self, id: JobId) {
        if let Some(row) = self.rows.remove(&id) {
            row.end(&self.bars);
        }
    }

    fn draw(&self) {
        let Some(price) = self.price else { return };
        let position = self.position(price);
        self.overall.set_position(position);
        let elapsed = self.overall.elapsed();
        {
            let saying = self.saying.lock();
            let mut saying = saying.unwrap_or_else(PoisonError::into_inner);
            saying.tell(price, position, self.spent, elapsed);
        }
        // Has it drawn, as often as a terminal bears.
        self.overall.set_message(String::new());
    }

    /// Microseconds of audio that are done.
    fn position(&self, price: Price) -> u64 {
        let heard: f64 = self.rows.values().map(Row::heard).sum();
        let heard = Duration::try_from_secs_f64(heard).unwrap_or_default();
        let heard = u64::try_from(heard.as_micros()).unwrap_or(0);
        self.done.saturating_add(heard).min(price.audio().micros())
    }
}

/// A style by its template, which is one of ours; a wrong one would only look plain.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::audio::{AudioFormat, SPEECH_RATE};
    use crate::domain::cut::Stretch;
    use crate::domain::job::{ContentHash, Provider, Publication, ReplyId, Settings};
    use crate::domain::money::Amount;
    use crate::domain::pieces::PieceOf;
    use crate::domain::route::{Cut, Route};
    use crate::pipeline::prospect::WithService;

    /// A recording of so many seconds; a piece of another job, if one is named.
    fn job(id: i64, seconds: u64, parent: Option<i64>, stage: Stage) -> Job {
        let end = seconds * u64::from(SPEECH_RATE);
        Job {
            id: JobId(id),
            source: PathBuf::from("/srv/long.wav"),
            root: PathBuf::from("/srv"),
            base: PathBuf::from("/srv/long"),
            hash: ContentHash([0; 32]),
            size: 1000,
            duration: Some(AudioDuration::from_micros(seconds * 1_000_000)),
            format: AudioFormat::Wav,
            has_video: Some(false),
            settings: Settings {
                provider: Provider::named("nanogpt"),
                model: "Whisper-Large-V3".to_owned(),
                language: "auto".to_owned(),
                diarize: false,
                tag_audio_events: false,
            },
            publication: Publication::default(),
            route: None,
            piece: parent.map(|parent| PieceOf {
                parent: JobId(parent),
                number: 1,
                stretch: Stretch { start: 0, end },
            }),
            stage,
            attempts: 0,
            failures: 0,
            doubts: 0,
            forced: false,
            run_id: None,
            request_id: None,
            cost: Some(Amount::usd(Decimal::new(1, 2))),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// The recording of a minute that was cut.
    fn whole(stage: Stage) -> Job {
        let cut = Cut {
            piece_us: 30_000_000,
            most_bytes: 1000,
        };
        let route = Chosen {
            route: Route::Pieces(cut),
            why: String::new(),
        };
        Job {
            route: Some(route),
            ..job(1, 60, None, stage)
        }
    }

    fn done() -> Stage {
        Stage::Done { reply: ReplyId(1) }
    }

    fn live(recordings: usize, seconds: u64) -> (Live, Price) {
        let price = Price {
            recordings,
            duration: AudioDuration::from_micros(seconds * 1_000_000),
            cost: Some(Decimal::new(5, 2)),
            repeats: 0,
            anew: 0,
            allowance: None,
            with_service: WithService::default(),
        };
        let mut live = Live::on(ProgressDrawTarget::hidden(), false);
        live.begin(price, Paces::from([("Whisper-Large-V3".to_owned(), 0.1)]));
        (live, price)
    }

    fn says(live: &Live, price: Price) -> String {
        let mut overall = Overall::default();
        overall.tell(price, live.position(price), live.spent, Duration::ZERO);
        overall.text(usize::MAX, Duration::ZERO)
    }

    #[test]
    fn the_minutes_and_the_money_of_pieces_count_once() {
        let (mut live, price) = live(2, 90);
        live.job(&whole(Stage::Submitting));
        live.job(&whole(Stage::Split { pieces: 2 }));
        assert_eq!(says(&live, price), "0.0 s of 1:30 of audio, $0 of $0.05");
        for piece in [2, 3] {
            live.job(&job(piece, 30, Some(1), Stage::Submitting));
            live.job(&job(piece, 30, Some(1), done()));
        }
        assert_eq!(says(&live, price), "1:00 of 1:30 of audio, $0.02 of $0.05");
        live.job(&whole(done()));
        assert_eq!(says(&live, price), "1:00 of 1:30 of audio, $0.02 of $0.05");
        live.job(&job(4, 30, None, done()));
        assert_eq!(says(&live, price), "1:30 of 1:30 of audio, $0.03 of $0.05");
    }

    #[test]
    fn what_earlier_runs_took_is_usual_until_this_one_has_seen_some() {
        let (mut live, _) = live(1, 60);
        live.job(&job(1, 60, None, Stage::Submitting));
        live.sent(JobId(1), 1000);
        let usual = Outlook {
            time: Duration::from_secs(6),
            is_measured: true,
        };
        assert_eq!(live.rows[&JobId(1)].phase(), Phase::Wait { usual });
        live.paces.clear();
        live.job(&job(2, 60, None, Stage::Submitting));
        live.job(&job(2, 60, None, Stage::Committing));
        let Phase::Wait { usual } = live.rows[&JobId(2)].phase() else {
            panic!("it is not waited for");
        };
        assert!(!usual.is_measured);
    }

    #[test]
    fn a_file_that_is_read_has_a_line_until_it_is_known() {
        let (mut live, _) = live(1, 60);
        let path = Path::new("/srv/long.wav");
        live.read(path, 10, 30);
        live.read(path, 20, 30);
        let phase = Phase::Hash { read: 20, size: 30 };
        assert_eq!(live.reading[path].phase(), phase);
        live.read(path, 30, 30);
        assert!(live.reading.is_empty());
    }

    #[test]
    fn nothing_is_drawn_after_the_end() {
        let (mut live, _) = live(1, 60);
        live.job(&job(1, 60, None, Stage::Submitting));
        live.end();
        live.job(&job(2, 60, None, Stage::Submitting));
        live.read(Path::new("/srv/long.wav"), 10, 30);
        assert!(live.rows.is_empty() && live.reading.is_empty());
    }
}
