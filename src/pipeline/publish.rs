//! Making something of a stored reply: the ledger first, then the outputs, then `done`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use super::away::{LOOK_EVERY, away};
use super::document::{document, style, to_write};
use super::elsewhere::{Others, others};
use super::room::Disk;
use super::{Pipeline, PipelineError};
use crate::domain::format::Format;
use crate::domain::job::{ContentHash, Job, JobId, Reason, ReplyId, Stage, Trouble};
use crate::domain::money::Amount;
use crate::domain::render::{self, Document, Unread};
use crate::domain::timing::after;
use crate::domain::verdict::Shape;
use crate::durable::{self, Existing};
use crate::outputs::{self, WriteError, Written};
use crate::queue::{Output, Rendered, ReplyKind, StoredReply};
use crate::speech::replies_of;
use crate::supervise;

/// How long an output that could not be written is left alone at first; each time twice as long.
const FIRST_OUTPUT_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between two tries to write it.
const LONGEST_OUTPUT_WAIT: Duration = Duration::from_secs(600);

/// What was paid between two sums, if anything was.
fn since(before: Option<&Amount>, after: Option<&Amount>) -> Option<Amount> {
    let after = after?;
    let same = before.filter(|before| before.currency == after.currency);
    let value = after.value - same.map_or(Decimal::ZERO, |before| before.value);
    let currency = after.currency.clone();
    (!value.is_zero()).then_some(Amount { value, currency })
}

impl Pipeline {
    /// Makes a ticket or a transcript of the reply that is stored for a job.
    pub(super) async fn interpret(
        self: &Arc<Self>,
        job: Job,
        reply: ReplyId,
    ) -> Result<(), PipelineError> {
        let stored = self.queue.reply(reply).await?;
        let replies = replies_of(job.settings.provider);
        if stored.kind == ReplyKind::Service
            && replies.shape(&stored.body) == Shape::Ticket
            && let Some(ticket) = replies.ticket(&stored.body)
        {
            let now = self.now();
            let cost = replies.cost(&stored.body);
            let poll_at = after(now, self.pace.poll_interval);
            self.kept(|| {
                self.queue
                    .await_ticket(job.id, ticket.clone(), cost.clone(), poll_at, now)
            })
            .await?;
            return self.tell(job.id).await;
        }
        let id = job.id;
        #[cfg(test)]
        if crate::faults::planted(crate::faults::Bug::LedgerAfterDone) {
            self.publish(job.clone(), reply, stored.clone()).await?;
            return self.settle(&job, &stored).await;
        }
        let before = job.cost.clone();
        self.settle(&job, &stored).await?;
        let job = self.queue.job(id).await?;
        let paid = since(before.as_ref(), job.cost.as_ref());
        if job.piece.is_some() {
            self.done(&job, reply).await?;
            self.bell.notify_one();
            return self.tell(id).await;
        }
        let stored = self.listened(&job, reply, stored).await?;
        // What could not be written at once was not told yet.
        let stuck = trouble_of(&job.stage).cloned();
        let is_again = stuck.is_none() && !self.queue.outputs(id).await?.is_empty();
        self.publish(job, reply, stored).await?;
        if is_again {
            return self.tell_again(id, paid).await;
        }
        let job = self.queue.job(id).await?;
        if is_told_already(stuck.as_ref(), trouble_of(&job.stage)) {
            return Ok(());
        }
        self.tell_of(job).await
    }

    /// Puts what the submit cost into the ledger; a reply that another job paid for costs nothing.
    async fn settle(&self, job: &Job, stored: &StoredReply) -> Result<(), PipelineError> {
        // The pieces of a recording were charged each by itself.
        let is_service = stored.kind == ReplyKind::Service;
        let is_free = !is_service || !job.settings.provider.is_paid();
        if is_free || stored.job != job.id {
            return Ok(());
        }
        match replies_of(job.settings.provider).cost(&stored.body) {
            Some(cost) => {
                let note = "as the reply says";
                let charge = || {
                    self.queue
                        .charge(job.id, cost.clone(), note.to_owned(), self.now())
                };
                self.kept(charge).await
            }
            None => {
                self.kept(|| self.queue.charge_unnamed(job.id, self.now()))
                    .await
            }
        }
    }

    async fn publish(
        &self,
        job: Job,
        reply: ReplyId,
        stored: StoredReply,
    ) -> Result<(), PipelineError> {
        let _turn = self.pen.publishing().await;
        if self.queue.is_superseded(job.id).await? {
            tracing::info!(
                job_id = job.id.0,
                source = %job.source.display(),
                "its recording was replaced meanwhile: the transcript is kept in the table alone"
            );
            return self.done(&job, reply).await;
        }
        // In the empty folder below a disk that was taken away nobody would look for it.
        if let Some(folder) = self.outputs_away(&job).await? {
            return self.publish_when_back(&job, &folder, reply).await;
        }
        let (base, source) = (job.base.clone(), job.source.clone());
        let ours = self.queue.written_under(base, source).await?;
        let writing = job.clone();
        let (names, notes) = (self.queue.names(job.id).await?, self.notes.clone());
        let known = self.queue.every_output(job.id).await?;
        let written = supervise::blocking(move || {
            let style = style(&notes, &writing.source, names).style;
            let document = document(&writing, stored, &style)?;
            let formats = &writing.publication.formats;
            let written = write_document(&writing.base, &document, formats, &ours);
            let left_out = left_out(formats, &document);
            let others = match &written {
                Ok(written) => bring_up(written, known, &writing, document),
                Err(_) => Others::default(),
            };
            Ok::<_, Unread>((written, others, left_out, style.mark()))
        });
        let (written, others, left_out, mark) = match written.await? {
            Ok(written) => written,
            Err(error) => {
                let text = format!("the stored transcript cannot be read: {error}");
                let reason = Reason::new("reply_damaged", text);
                let fail = || {
                    let (reason, now) = (reason.clone(), self.now());
                    self.queue.fail(job.id, reason, None, now)
                };
                return self.kept(fail).await;
            }
        };
        let (written, error) = match written {
            Ok(written) => (written, None),
            Err((written, error)) => (written, Some(error)),
        };
        let rendered = self.rendered(job.id, written, others);
        match error {
            None => {
                self.room_again(Disk::Outputs).await?;
                let rendered = Rendered {
                    mark: Some(mark),
                    ..rendered
                };
                self.kept(|| {
                    let (rendered, notes) = (rendered.clone(), left_out.clone());
                    self.queue.published(rendered, notes, reply, self.now())
                })
                .await
            }
            Some(error) => {
                self.kept(|| self.queue.remember_rendered(vec![rendered.clone()]))
                    .await?;
                self.output_failed(&job, reply, error).await
            }
        }
    }

    /// What lies there of a job by now, at home and aside.
    fn rendered(&self, job: JobId, written: AllWritten, others: Others) -> Rendered {
        let at_home = written
            .into_iter()
            .map(|(format, written)| self.output(format, written, false));
        let strays = others.strays.into_iter();
        let aside = strays.map(|stray| self.output(stray.format, stray.written, true));
        Rendered {
            job,
            outputs: at_home.chain(aside).chain(others.edited).collect(),
            gone: others.gone,
            mark: None,
            publication: None,
        }
    }

    /// What the table is to know of a file.
    fn output(&self, format: Format, written: Written, aside: bool) -> Output {
        Output {
            path: written.path,
            format: format.name().to_owned(),
            hash: written.hash,
            note: written.note,
            written_at: self.now(),
            aside,
        }
    }

    async fn done(&self, job: &Job, reply: ReplyId) -> Result<(), PipelineError> {
        self.kept(|| self.queue.done(job.id, reply, self.now()))
            .await
    }

    async fn output_failed(
        &self,
        job: &Job,
        reply: ReplyId,
        error: WriteError,
    ) -> Result<(), PipelineError> {
        let is_full = error.is_disk_full();
        let code = if is_full {
            "disk_full"
        } else {
            "output_unwritable"
        };
        let text = format!(
            "{:#}: the transcript is kept and written later",
            anyhow::Error::new(error)
        );
        let tries = trouble_of(&job.stage).map_or(0, |trouble| trouble.tries);
        let trouble = Trouble {
            reason: Reason::new(code, text),
            retry_at: after(self.now(), self.chance.about(output_wait(tries))),
            tries: tries.saturating_add(1),
        };
        if is_full {
            self.no_room(Disk::Outputs, trouble.retry_at, trouble.reason.text.clone())
                .await?;
        }
        self.kept_back(job.id, reply, trouble).await
    }

    /// The folder of the outputs of a job, if its disk is not there.
    async fn outputs_away(&self, job: &Job) -> Result<Option<PathBuf>, PipelineError> {
        if !job.base.starts_with(&job.root) {
            return self.output_folder_away(&job.base).await;
        }
        let is_away = self.has_gone_with_its_disk(job.id).await?;
        Ok(is_away.then(|| job.root.clone()))
    }

    async fn publish_when_back(
        &self,
        job: &Job,
        folder: &Path,
        reply: ReplyId,
    ) -> Result<(), PipelineError> {
        let trouble = Trouble {
            reason: away(folder),
            retry_at: after(self.now(), LOOK_EVERY),
            tries: trouble_of(&job.stage).map_or(0, |before| before.tries.saturating_add(1)),
        };
        self.kept_back(job.id, reply, trouble).await
    }

    /// Keeps that the outputs of a job are to be written later, and why.
    async fn kept_back(
        &self,
        id: JobId,
        reply: ReplyId,
        trouble: Trouble,
    ) -> Result<(), PipelineError> {
        self.kept(|| self.queue.trouble(id, reply, trouble.clone(), self.now()))
            .await
    }
}

fn trouble_of(stage: &Stage) -> Option<&Trouble> {
    if let Stage::Received { trouble, .. } = stage {
        trouble.as_ref()
    } else {
        None
    }
}

/// Whether what keeps a transcript from being written is the same as before, and was told lately: it is told at the
/// first try, and then after twice as many as before.
fn is_told_already(before: Option<&Trouble>, now: Option<&Trouble>) -> bool {
    let (Some(before), Some(now)) = (before, now) else {
        return false;
    };
    before.reason.code == now.reason.code && !now.tries.is_power_of_two()
}

/// The wait after an output could not be written for the time number `tries`, counted from nought.
fn output_wait(tries: u32) -> Duration {
    let factor = 1_u32.checked_shl(tries).unwrap_or(u32::MAX);
    FIRST_OUTPUT_WAIT
        .saturating_mul(factor)
        .min(LONGEST_OUTPUT_WAIT)
}

/// The formats that were asked for and for which a document has nothing, and why.
fn left_out(formats: &[Format], document: &Document) -> Vec<Reason> {
    let lacking = formats.iter().filter_map(|format| {
        let lack = render::lack(*format, document)?;
        let text = format!("no {} is written: {lack}", format.name());
        Some(Reason::new("format_left_out", text))
    });
    lacking.collect()
}

type AllWritten = Vec<(Format, Written)>;

/// Brings the files up to date that do not belong to the recording today; gives those that could be.
fn bring_up(written: &AllWritten, known: Vec<Output>, job: &Job, document: Document) -> Others {
    let at_home: Vec<PathBuf> = written.iter().map(|(_, one)| one.path.clone()).collect();
    let mut others = others(known, &at_home, job, document);
    others.strays.retain(|stray| {
        let path = &stray.written.path;
        if stray.is_same {
            return true;
        }
        match durable::write(path, &stray.bytes, Existing::Replace) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(file = %path.display(), "not brought up to date: {error}");
                false
            }
        }
    });
    others
}

/// Writes every output of a document; what was written before an error is given with it.
pub(super) fn write_document(
    base: &Path,
    document: &Document,
    formats: &[Format],
    ours: &HashMap<PathBuf, ContentHash>,
) -> Result<AllWritten, (AllWritten, WriteError)> {
    let known = |path: &Path| ours.get(path).copied();
    let files: Vec<_> = to_write(formats, &document.transcript)
        .into_iter()
        .filter_map(|format| Some((format, render::render(format, document)?)))
        .collect();
    let batch: Vec<_> = files
        .iter()
        .map(|(format, bytes)| (render::suffix(*format, document), bytes.as_slice()))
        .collect();
    let mut written: AllWritten = Vec::new();
    let mut failed = None;
    for ((format, _), result) in files.iter().zip(outputs::write_all(base, &batch, &known)) {
        match result {
            Ok(one) => written.push((*format, one)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        None => Ok(written),
        Some(error) => Err((written, error)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_keeps_a_transcript_waiting_is_told_once_and_then_at_growing_distances() {
        let trouble = |code: &str, tries| Trouble {
            reason: Reason::new(code, "why"),
            retry_at: Timestamp::UNIX_EPOCH,
            tries,
        };
        assert!(!is_told_already(None, Some(&trouble("source_away", 0))));
        assert!(!is_told_already(Some(&trouble("source_away", 3)), None));
        let other = Some(trouble("disk_full", 3));
        assert!(!is_told_already(
            other.as_ref(),
            Some(&trouble("source_away", 3))
        ));
        let again = (1..=20).filter(|tries| {
            let (before, now) = (trouble("a", tries - 1), trouble("a", *tries));
            !is_told_already(Some(&before), Some(&now))
        });
        assert_eq!(again.collect::<Vec<u32>>(), [1, 2, 4, 8, 16]);
    }
}
