//! What a first signal finds in hand, and what becomes of it.

use super::exit;
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Job, Stage, StageName};
use crate::domain::route::Route;
use crate::queue::{QueueError, Reader};

/// What a run has in hand.
#[derive(Debug, Default)]
pub(super) struct InHand {
    /// Claimed, and not handed over so far.
    begun: usize,
    /// The length of those.
    audio: AudioDuration,
    /// Being cut into pieces.
    cut: usize,
    /// Handed over; the answer is not there yet.
    handed_over: usize,
    /// Answered, and being written.
    answered: usize,
    /// With a ticket.
    with_service: usize,
}

impl InHand {
    /// What the table says of this run.
    pub(super) fn of(reader: &Reader<'_>) -> Result<Self, QueueError> {
        let mut hands = Self::default();
        for job in reader.scoped_jobs(None)? {
            if matches!(job.stage, Stage::Split { .. }) {
                let pieces = reader.pieces(job.id)?;
                pieces.iter().for_each(|piece| hands.add(piece));
            } else {
                hands.add(&job);
            }
        }
        Ok(hands)
    }

    fn add(&mut self, job: &Job) {
        let is_cut = job
            .route
            .as_ref()
            .is_some_and(|chosen| matches!(chosen.route, Route::Pieces(_)));
        match job.stage.name() {
            StageName::Submitting if is_cut && job.piece.is_none() => self.cut += 1,
            StageName::Submitting => {
                self.begun += 1;
                let audio = job.duration.unwrap_or_default().micros();
                self.audio = AudioDuration::from_micros(self.audio.micros().saturating_add(audio));
            }
            StageName::Committing => self.handed_over += 1,
            StageName::Received => self.answered += 1,
            StageName::Awaiting => self.with_service += 1,
            StageName::Queued
            | StageName::Waiting
            | StageName::Split
            | StageName::Done
            | StageName::Failed
            | StageName::InDoubt
            | StageName::Cancelled => {}
        }
    }

    /// For people: what becomes of it after this signal.
    pub(super) fn stopping(&self, signal: u8) -> String {
        let is_finished = signal == exit::INTERRUPTED;
        let begun = match is_finished {
            true => format!("begun, {} of audio (finished first)", self.audio),
            false => "begun (let go, free of charge; the next run begins it again)".to_owned(),
        };
        let handed_over = match self.handed_over {
            1 => "handed over (its answer is waited for)",
            _ => "handed over (their answers are waited for)",
        };
        let parts = [
            (self.handed_over, handed_over),
            (self.begun, begun.as_str()),
            (self.cut, "being cut (the next run goes on with it)"),
            (self.answered, "answered (written first)"),
            (
                self.with_service,
                "with the service (fetched by the next run)",
            ),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let parts = match parts.is_empty() {
            true => "nothing is in hand".to_owned(),
            false => parts.join(", "),
        };
        let again = match (is_finished && self.begun > 0, self.handed_over) {
            (true, 0) => "again stops at once and loses nothing",
            _ => "again stops at once",
        };
        format!("stopping: {parts}; {again}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_is_finished_and_what_is_let_go() {
        let mut hands = InHand {
            begun: 1,
            audio: AudioDuration::from_micros(2_656_000_000),
            ..InHand::default()
        };
        assert_eq!(
            hands.stopping(exit::INTERRUPTED),
            "stopping: 1 begun, 44:16 of audio (finished first); again stops at once and loses nothing"
        );
        assert_eq!(
            hands.stopping(exit::TERMINATED),
            "stopping: 1 begun (let go, free of charge; the next run begins it again); again stops at once"
        );
        hands.handed_over = 2;
        assert_eq!(
            hands.stopping(exit::INTERRUPTED),
            "stopping: 2 handed over (their answers are waited for), 1 begun, 44:16 of audio (finished first); \
             again stops at once"
        );
        assert_eq!(
            InHand::default().stopping(exit::INTERRUPTED),
            "stopping: nothing is in hand; again stops at once"
        );
    }
}
