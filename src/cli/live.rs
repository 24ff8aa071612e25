//! What is going on, drawn on a terminal while it goes on: one bar in minutes of audio, with the money
//! and the time left, and a line for each recording in flight.
//!
//! Only drawn, never asked: what is told at the end comes from the table.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rust_decimal::Decimal;

use super::consent::Price;
use super::output::shown;
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::money::Amount;
use crate::domain::pace::words;
use crate::domain::route;

/// How often elapsed times are drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// The most lines for recordings in flight; further ones are counted in the overall bar alone.
const MOST_ROWS: usize = 12;
/// The width taken where bars are wanted and no terminal tells its own, in columns.
const USUAL_WIDTH: u16 = 80;

/// The bars.
pub(super) struct Live {
    bars: MultiProgress,
    overall: ProgressBar,
    rows: HashMap<JobId, Row>,
    price: Option<Price>,
    done: u64,
    spent: Decimal,
    /// Seconds waited, and seconds of audio waited for, by what has ended.
    waited: (f64, f64),
    found: usize,
}

/// A recording in flight.
struct Row {
    bar: ProgressBar,
    name: String,
    audio: AudioDuration,
    is_paid: bool,
    /// Bytes that are to be sent; 0 while that is not known.
    size: u64,
    sent: u64,
    heard: f64,
    /// Seconds of audio that were encoded again, if it is not sent as it is.
    encoded: Option<f64>,
    waits: bool,
}

impl Live {
    pub(super) fn new() -> Self {
        let target = if io::IsTerminal::is_terminal(&io::stderr()) {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::term_like(Box::new(Blind))
        };
        let bars = MultiProgress::with_draw_target(target);
        let overall = bars.add(ProgressBar::new_spinner());
        overall.set_style(style("{spinner} {wide_msg}"));
        overall.set_message("looking for recordings");
        overall.enable_steady_tick(TICK);
        Self {
            bars,
            overall,
            rows: HashMap::new(),
            price: None,
            done: 0,
            spent: Decimal::ZERO,
            waited: (0.0, 0.0),
            found: 0,
        }
    }

    /// Prints a line above the bars.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.bars
            .suspend(|| writeln!(io::stderr().lock(), "{text}"))
    }

    /// Takes the bars away, for a question or for good.
    pub(super) fn clear(&mut self) {
        for (_, row) in self.rows.drain() {
            row.bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
    }

    /// Begins the bar of a run whose price is known.
    pub(super) fn begin(&mut self, price: Price) {
        self.price = Some(price);
        if price.recordings == 0 {
            return;
        }
        self.overall = self
            .bars
            .insert(0, ProgressBar::new(price.duration.micros()));
        self.overall
            .set_style(style("[{bar:16}] {wide_msg}").progress_chars("=> "));
        self.overall.enable_steady_tick(TICK);
        self.draw();
    }

    /// Draws where a job is now.
    pub(super) fn job(&mut self, job: &Job) {
        match &job.stage {
            Stage::Submitting => self.start(job),
            Stage::Committing | Stage::Split { .. } | Stage::Awaiting { overdue: None, .. } => {
                self.wait(job.id);
            }
            Stage::Received { trouble: None, .. } => {}
            Stage::Done { .. } => {
                self.end(job);
                self.spent += job.cost.as_ref().map_or(Decimal::ZERO, |cost| cost.value);
            }
            Stage::Failed { .. } | Stage::Cancelled => self.end(job),
            Stage::Queued { .. } if self.price.is_none() => {
                self.found += 1;
                self.overall
                    .set_message(format!("looking for recordings: {} found", self.found));
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
        row.sent += bytes;
        if row.size > 0 && row.sent >= row.size {
            self.wait(id);
        } else {
            row.draw(None);
        }
    }

    /// So much of a recording has been encoded again, in seconds of audio.
    pub(super) fn encoded(&mut self, id: JobId, seconds: f64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.encoded = Some(seconds);
            // What comes of it is smaller by an amount that nobody knows yet.
            row.size = 0;
            row.draw(None);
        }
    }

    /// So many of `size` bytes are in the bucket.
    pub(super) fn uploaded(&mut self, id: JobId, sent: u64, size: u64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.sent = sent;
            row.size = size;
            row.draw(None);
        }
    }

    /// The recogniser has come so far, in seconds of audio.
    pub(super) fn heard(&mut self, id: JobId, seconds: f64) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.heard = seconds;
            row.draw(None);
            self.draw();
        }
    }

    fn start(&mut self, job: &Job) {
        if self.rows.len() >= MOST_ROWS || self.rows.contains_key(&job.id) {
            return;
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style("  {elapsed:>4}  {wide_msg}"));
        bar.enable_steady_tick(TICK);
        let name = job.source.file_name().map(|name| shown(name.as_ref()));
        let row = Row {
            bar,
            name: name.unwrap_or_default(),
            audio: job.duration.unwrap_or_default(),
            is_paid: job.settings.provider.is_paid(),
            size: job.size,
            sent: 0,
            heard: 0.0,
            encoded: None,
            waits: false,
        };
        row.draw(None);
        self.rows.insert(job.id, row);
    }

    fn wait(&mut self, id: JobId) {
        let usual = self.usual();
        if let Some(row) = self.rows.get_mut(&id)
            && !row.waits
        {
            row.waits = true;
            row.bar.reset_elapsed();
            row.draw(usual);
        }
    }

    /// Seconds of waiting for a second of audio, by what this run has seen.
    fn usual(&self) -> Option<f64> {
        let (waited, audio) = self.waited;
        (audio > 0.0).then(|| waited / audio)
    }

    fn end(&mut self, job: &Job) {
        self.done += job.duration.map_or(0, AudioDuration::micros);
        if let Some(row) = self.rows.get(&job.id)
            && row.waits
        {
            self.waited.0 += row.bar.elapsed().as_secs_f64();
            self.waited.1 += row.audio.seconds();
        }
        self.drop_row(job.id);
    }

    fn drop_row(&mut self, id: JobId) {
        if let Some(row) = self.rows.remove(&id) {
            row.bar.finish_and_clear();
            self.bars.remove(&row.bar);
        }
    }

    fn draw(&self) {
        let Some(price) = self.price else { return };
        let total = price.duration.micros();
        let heard: f64 = self.rows.values().map(|row| row.heard).sum();
        let heard = Duration::try_from_secs_f64(heard).unwrap_or_default();
        let heard = u64::try_from(heard.as_micros()).unwrap_or(0);
        let position = self.done.saturating_add(heard).min(total);
        self.overall.set_position(position);
        let done = AudioDuration::from_micros(position);
        let mut text = format!("{done} of {} of audio", price.duration);
        if !price.is_free() {
            let estimate = price
                .cost
                .map_or("?".to_owned(), |cost| Amount::usd(cost).to_string());
            text.push_str(&format!(", {} of {estimate}", Amount::usd(self.spent)));
        }
        if position > 0 && position < total {
            text.push_str(&format!(", {} left", words(self.left(position, total))));
        }
        self.overall.set_message(text);
    }

    fn left(&self, position: u64, total: u64) -> Duration {
        let (position, total) = (
            AudioDuration::from_micros(position).seconds(),
            AudioDuration::from_micros(total).seconds(),
        );
        let left = self.overall.elapsed().as_secs_f64() * (total - position) / position;
        Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)
    }
}

impl Row {
    fn draw(&self, usual: Option<f64>) {
        let phase = if !self.is_paid {
            format!("recognising, {:.0} s of {}", self.heard, self.audio)
        } else if self.waits {
            match usual {
                Some(usual) => {
                    let usual = Duration::try_from_secs_f64(usual * self.audio.seconds());
                    format!(
                        "waiting for the service (usually {})",
                        words(usual.unwrap_or_default())
                    )
                }
                None => "waiting for the service".to_owned(),
            }
        } else if let (Some(seconds), 0) = (self.encoded, self.sent) {
            format!("encoding, {seconds:.0} s of {}", self.audio)
        } else {
            self.uploading()
        };
        self.bar.set_message(format!("{phase}  {}", self.name));
    }

    fn uploading(&self) -> String {
        let sent = route::bytes(self.sent);
        if self.size == 0 {
            return format!("uploading, {sent}");
        }
        let elapsed = self.bar.elapsed().as_secs().max(1);
        let (size, pace) = (route::bytes(self.size), route::bytes(self.sent / elapsed));
        format!("uploading, {sent} of {size}, {pace}/s")
    }
}

/// A style by its template, which is one of ours; a wrong one would only look plain.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Standard error as a terminal that nobody vouches for.
#[derive(Debug)]
struct Blind;

impl Blind {
    fn put(text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn step(count: usize, letter: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            count => Self::put(&format!("\x1b[{count}{letter}")),
        }
    }
}

impl TermLike for Blind {
    fn width(&self) -> u16 {
        USUAL_WIDTH
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        Self::put(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        Self::put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
