//! What a run came to, as its last lines and as its last line of JSON, however it ended.

use std::io;

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::ahead::UnderWay;
use super::output::clean;
use super::report::Told;
use super::run::Charged;
use super::unsettled::is_incomplete;
use super::{Failure, Session, exit, view};
use crate::clock::rfc3339;
use crate::domain::job::{Job, Obstacle, Reason, Stage, StageName, State};
use crate::domain::mend::{Mend, mend};
use crate::domain::money::{Amount, Currency};
use crate::pipeline::Ended;
use crate::pipeline::prospect::WithService;
use crate::queue::{Pause, PauseReason};

/// What is said where nobody agreed to the price, or a signal came before anybody was asked.
pub(super) const NOTHING_SENT: &str = "nothing was sent, and nothing was spent";

/// Why a run came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    /// Nothing was left to do.
    Finished,
    /// The whole queue waits, longer than a run waits.
    Paused(&'a Pause),
    /// The signal that is worth this exit code asked for it.
    Stopped(u8),
    /// A second signal did, or the first one's patience is over.
    Abandoned(u8),
    /// The signal came while somebody else did the work, who goes on with it.
    LetGo(u8),
    /// Nobody agreed to the price.
    Declined,
}

impl<'a> End<'a> {
    /// How a run ended that no signal ended.
    pub(super) fn of(ended: &'a Ended) -> Self {
        match ended {
            Ended::Finished | Ended::Stopped => Self::Finished,
            Ended::Paused(pause) => Self::Paused(pause),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Paused(_) => "paused",
            Self::Stopped(_) | Self::Abandoned(_) => "stopped",
            Self::LetGo(_) => "let_go",
            Self::Declined => "declined",
        }
    }

    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Finished => None,
            Self::Paused(pause) => Some(pause.reason.as_str()),
            Self::Stopped(exit::TERMINATED)
            | Self::Abandoned(exit::TERMINATED)
            | Self::LetGo(exit::TERMINATED) => Some("terminate"),
            Self::Stopped(_) | Self::Abandoned(_) | Self::LetGo(_) => Some("interrupt"),
            Self::Declined => Some("no_consent"),
        }
    }
}

/// What became of the recordings of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    done: usize,
    done_before: usize,
    failed: usize,
    in_doubt: usize,
    waiting: usize,
    /// Recordings among them that were cut, pieces of which wait for a limit.
    held: usize,
    /// To be sent, and not sent so far.
    queued: usize,
    /// Handed over when a second signal came: nobody knows whether they were billed.
    handed_over: usize,
    /// Answered, and not written so far.
    answered: usize,
    /// What is left to be paid, where that is known.
    left: Option<Decimal>,
    with_service: WithService,
    /// Files that were passed over and may have been recordings.
    unreadable: usize,
    /// Those that lack their end and may still become whole.
    settling: usize,
    cancelled: usize,
    /// All that was passed over.
    skipped: usize,
    cost: Charged,
}

impl Summary {
    pub(super) fn of(jobs: &[Job], told: &Told, under_way: UnderWay, cost: Charged) -> Self {
        let count = |state: State| jobs.iter().filter(|job| job.stage.state() == state).count();
        let at = |stage| jobs.iter().filter(|job| job.stage.name() == stage).count();
        let is_new = |job: &&Job| told.stages.contains_key(&job.id);
        let is_done = |job: &&Job| matches!(job.stage, Stage::Done { .. });
        let done = jobs.iter().filter(is_done).filter(is_new).count();
        let skipped = |is: fn(&Reason) -> bool| {
            let reasons = told.skipped.iter().map(|(_, reason)| reason);
            reasons.filter(|reason| is(reason)).count()
        };
        Self {
            done,
            done_before: count(State::Done).saturating_sub(done),
            failed: count(State::Failed),
            in_doubt: count(State::InDoubt),
            waiting: count(State::Waiting) + under_way.held,
            held: under_way.held,
            // What was begun and let go is queued again by the next start.
            queued: count(State::Queued) + at(StageName::Submitting) + under_way.cut,
            handed_over: at(StageName::Committing),
            answered: at(StageName::Received),
            left: None,
            with_service: under_way.with_service,
            unreadable: skipped(is_unreadable),
            settling: skipped(is_incomplete),
            cancelled: count(State::Cancelled),
            skipped: told.skipped_count,
            cost,
        }
    }

    /// The same with what is left to be paid.
    pub(super) fn leaving(self, left: Option<Decimal>) -> Self {
        Self { left, ..self }
    }

    /// The exit code of a run that ended by itself, in which so many folders could not be looked at.
    pub(super) fn code(&self, end: End<'_>, jobs: &[Job], missing: usize) -> u8 {
        let is_stuck =
            |job: &&Job| matches!(job.stage, Stage::Received { .. } | Stage::Awaiting { .. });
        let stuck = jobs.iter().filter(is_stuck).count();
        let nowhere_to_go = jobs.iter().filter(has_no_way).count();
        let failed = self.failed
            + self.in_doubt
            + stuck
            + nowhere_to_go
            + self.unreadable
            + self.settling
            + missing;
        let pause = match end {
            End::Stopped(code) | End::Abandoned(code) | End::LetGo(code) => return code,
            End::Paused(pause) => Some(pause.reason),
            End::Finished | End::Declined => None,
        };
        match pause {
            Some(PauseReason::Key) => exit::KEY,
            Some(PauseReason::Balance | PauseReason::Budget) => exit::MONEY,
            Some(PauseReason::Offline | PauseReason::RateLimit) => exit::OUT_OF_REACH,
            Some(PauseReason::Disk) => exit::UNEXPECTED,
            Some(PauseReason::Operator) | None if failed > 0 => exit::SOME_FAILED,
            None if self.held > 0 || jobs.iter().any(is_over_file_budget) => exit::MONEY,
            Some(PauseReason::Operator) | None => exit::DONE,
        }
    }

    /// Says it, as the last lines of the run.
    pub(super) fn say(&self, session: &Session, end: End<'_>) -> Result<(), Failure> {
        let output = session.output;
        if output.json() {
            return Ok(output.line(&self.json(end))?);
        }
        let went_on = self.done + self.failed + self.in_doubt > 0;
        match end {
            End::Finished => {
                output.say(&self.line())?;
                self.hints().try_for_each(|hint| output.say(hint))?;
            }
            End::Paused(pause) => {
                output.say(&self.line())?;
                say_pause(session, pause, self.left)?;
            }
            End::Stopped(_) => {
                if went_on {
                    output.say(&self.line())?;
                }
                output.say(&self.stopped())?;
                say_command(session)?;
            }
            End::Abandoned(_) => {
                if went_on {
                    output.say(&self.line())?;
                }
                output.say(&self.stopped_at_once())?;
                say_command(session)?;
            }
            End::LetGo(_) => output.say(LET_GO)?,
            End::Declined => output.say(NOTHING_SENT)?,
        }
        Ok(())
    }

    fn json(&self, end: End<'_>) -> Value {
        let pause = match end {
            End::Paused(pause) => Some(pause),
            End::Finished | End::Stopped(_) | End::Abandoned(_) | End::LetGo(_) | End::Declined => {
                None
            }
        };
        let cost = self.cost.iter();
        let cost = cost.map(|(currency, sum)| {
            let sum = sum.normalize().to_string();
            (currency.clone(), json!(sum))
        });
        json!({
            "type": "summary", "ended": end.name(), "reason": end.reason(),
            "at_once": matches!(end, End::Abandoned(_)),
            "done": self.done, "done_before": self.done_before, "failed": self.failed,
            "in_doubt": self.in_doubt + self.handed_over,
            "waiting": self.waiting + self.queued + self.answered,
            "with_service": view::with_service(self.with_service),
            "skipped": self.skipped, "unreadable": self.unreadable + self.settling, "settling": self.settling,
            "cost": cost.collect::<serde_json::Map<_, _>>(),
            "paused": pause.map(|pause| json!({
                "reason": pause.reason.as_str(), "message": pause.text,
                "until": pause.until.map(rfc3339),
            })),
        })
    }

    /// Where to look for what did not come to its transcript, and how to mend it.
    fn hints(&self) -> impl Iterator<Item = &'static str> {
        let hints = [
            (
                self.failed,
                "see `stenod list --state failed` and `stenod show ID`; `stenod retry --failed` queues them again",
            ),
            (
                self.in_doubt,
                "see `stenod list --state in_doubt`; `stenod retry --in-doubt` queues them again, which may pay twice",
            ),
            (
                self.waiting,
                "see `stenod list --state waiting`: it says for what they wait, and the way out",
            ),
            (
                self.unreadable + self.settling,
                "see those files above; `stenod explain FILE` says more of one",
            ),
        ];
        hints
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, hint)| hint)
    }

    /// What a stop leaves, and what the next run makes of it.
    fn stopped(&self) -> String {
        let taken = self.with_service.text();
        let taken = taken.map(|text| {
            format!("{text}; the next run fetches what it made of them and pays nothing again")
        });
        let queued = (self.queued > 0).then(|| format!("{} not done so far", self.queued));
        let parts: Vec<String> = taken.into_iter().chain(self.kept()).chain(queued).collect();
        match parts.is_empty() {
            true => "stopped: nothing is lost, and nothing is on its way".to_owned(),
            false => format!("stopped, and nothing is lost: {}", parts.join("; ")),
        }
    }

    /// What is answered and waits to be written.
    fn kept(&self) -> Option<String> {
        let answered = self.answered;
        (answered > 0).then(|| format!("{answered} answered and kept, written by the next run"))
    }

    /// What a second signal leaves.
    fn stopped_at_once(&self) -> String {
        let doubt = match self.handed_over {
            0 => return self.stopped().replacen("stopped", "stopped at once", 1),
            1 => "1 was handed over and may have been paid for".to_owned(),
            more => format!("{more} were handed over and may have been paid for"),
        };
        let taken = self.with_service.text();
        let queued = (self.queued > 0).then(|| format!("{} not done so far", self.queued));
        let parts = taken.into_iter().chain(self.kept()).chain(queued);
        let parts: String = parts.map(|part| format!("; {part}")).collect();
        format!("stopped at once: {doubt}: `stenod status` tells what is in doubt{parts}")
    }

    fn line(&self) -> String {
        let others = self.skipped.saturating_sub(self.unreadable + self.settling);
        let parts = [
            (self.done, "done"),
            (self.failed, "failed"),
            (self.in_doubt + self.handed_over, "in doubt"),
            (self.with_service.recordings, "with the service"),
            (self.answered, "answered"),
            (self.waiting + self.queued, "waiting"),
            (self.cancelled, "cancelled before"),
            (self.settling, "settling"),
            (self.unreadable, "unreadable"),
            (others, "skipped"),
            (self.done_before, "done before"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let tried = self.done + self.failed + self.in_doubt + self.waiting + self.queued;
        let tried = tried + self.handed_over + self.answered;
        let found = self.with_service.recordings + self.unreadable + self.settling;
        match (tried + found == 0, parts.is_empty()) {
            (true, true) => "nothing to do: no recordings found".to_owned(),
            (true, false) => format!("nothing to do: {}", parts.join(", ")),
            (false, _) => format!("{}{}", parts.join(", "), self.paid()),
        }
    }

    fn paid(&self) -> String {
        let sums = self.cost.iter().map(|(currency, sum)| Amount {
            value: *sum,
            currency: Currency::new(currency),
        });
        sums.filter(|sum| !sum.value.is_zero())
            .map(|sum| match sum.value.is_sign_negative() {
                // An earlier run was told a higher price than was charged in the end.
                true => {
                    let value = sum.value.abs();
                    format!(", {} less than was told before", Amount { value, ..sum })
                }
                false => format!(", for {sum}"),
            })
            .collect()
    }
}

/// What is said to whoever stops following.
const LET_GO: &str = "let go: the running stenod goes on with it; `stenod status` shows how far, `stenod cancel` stops jobs";

fn is_over_file_budget(job: &Job) -> bool {
    matches!(
        job.stage,
        Stage::Waiting {
            obstacle: Obstacle::OverFileBudget,
            ..
        }
    )
}

/// Whether a recording waits for something that a person has to change, and not for money.
fn has_no_way(job: &&Job) -> bool {
    matches!(job.stage, Stage::Waiting { .. }) && !is_over_file_budget(job)
}

/// Says what a run did not wait for, and how to go on.
fn say_pause(session: &Session, pause: &Pause, left: Option<Decimal>) -> io::Result<()> {
    session.output.say(&format!(
        "stopped: {}; the work is kept, and the same command goes on with it",
        clean(&pause.text)
    ))?;
    match after(session, pause, left) {
        Some(way) => session.output.say(&view::fix(session.output, &way)),
        None => Ok(()),
    }
}

/// The way on after a run that did not wait for a pause to end: nothing goes on by itself now.
fn after(session: &Session, pause: &Pause, left: Option<Decimal>) -> Option<Mend> {
    let again = |note: &str| {
        session.typed.as_ref().map(|typed| Mend {
            command: typed.clone(),
            note: note.to_owned(),
        })
    };
    match (pause.reason, pause.until) {
        (PauseReason::Budget, None) => session
            .typed
            .as_deref()
            .map(|typed| sufficient(typed, left)),
        (PauseReason::Budget, Some(until)) => again(&format!(
            "from {} on, or now with a higher limit in [budget]",
            rfc3339(until)
        )),
        (PauseReason::Balance, _) => again("top up the balance first"),
        (PauseReason::RateLimit, _) => {
            again("in a while; a lower service.requests_per_second avoids it")
        }
        (PauseReason::Offline, _) => Some(Mend {
            command: "stenod doctor".to_owned(),
            note: "says what is in the way".to_owned(),
        }),
        (PauseReason::Disk, _) => Some(Mend {
            command: "stenod doctor".to_owned(),
            note: "says which disk is full: make room there".to_owned(),
        }),
        (PauseReason::Key | PauseReason::Operator, _) => mend(pause.reason.as_str(), None, ""),
    }
}

/// The command that goes on after a limit of its own: with a sum that suffices, where that is known.
fn sufficient(typed: &str, left: Option<Decimal>) -> Mend {
    let enough = left
        .and_then(|left| left.round_sf_with_strategy(SUM_DIGITS, RoundingStrategy::AwayFromZero));
    let command = |limit: &str| {
        let mut words: Vec<&str> = typed.split(' ').collect();
        if let Some(at) = words.iter().position(|word| *word == "--max-cost") {
            words.splice(at..(at + 2).min(words.len()), []);
        }
        words.retain(|word| !word.starts_with("--max-cost="));
        format!("{} {limit}", words.join(" "))
    };
    match enough {
        Some(enough) => Mend {
            command: command(&format!("--max-cost {}", enough.normalize())),
            note: "is enough for all that is left".to_owned(),
        },
        None => Mend {
            command: command("--yes"),
            note: "has no limit: what is left has a price that nobody knows".to_owned(),
        },
    }
}

/// The digits of a sum that suffices.
const SUM_DIGITS: u32 = 2;

/// The command that goes on with this run, to be copied.
fn say_command(session: &Session) -> io::Result<()> {
    match &session.typed {
        Some(typed) => {
            let page = session.output.page_for_talk();
            session.output.say_whole(&page.command("  ", typed, ""))
        }
        None => Ok(()),
    }
}

/// Whether a file that was passed over may have been a recording that somebody misses.
pub(super) fn is_unreadable(reason: &Reason) -> bool {
    matches!(
        reason.code.as_str(),
        "permission_denied" | "unreadable" | "damaged" | "decoder_failed" | "protected"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audio::AudioDuration;

    #[test]
    fn after_a_limit_the_command_names_a_sum_that_suffices() {
        let way = |typed, left: Option<&str>| {
            sufficient(typed, left.map(|left| left.parse().unwrap())).command
        };
        assert_eq!(
            way("stenod run --max-cost 0.01 -j 2", Some("0.012345")),
            "stenod run -j 2 --max-cost 0.013"
        );
        assert_eq!(
            way("stenod run 'a b' --max-cost=5", Some("120.5")),
            "stenod run 'a b' --max-cost 130"
        );
        assert_eq!(way("stenod run --max-cost 1", None), "stenod run --yes");
    }

    #[test]
    fn what_a_second_signal_leaves_is_counted_whole() {
        let summary = Summary {
            done: 1,
            handed_over: 1,
            answered: 1,
            queued: 3,
            ..Summary::default()
        };
        assert_eq!(summary.line(), "1 done, 1 in doubt, 1 answered, 3 waiting");
        assert_eq!(
            summary.stopped_at_once(),
            "stopped at once: 1 was handed over and may have been paid for: `stenod status` tells what is in doubt; \
             1 answered and kept, written by the next run; 3 not done so far"
        );
        let free = Summary {
            handed_over: 0,
            ..summary
        };
        assert_eq!(
            free.stopped_at_once(),
            "stopped at once, and nothing is lost: 1 answered and kept, written by the next run; 3 not done so far"
        );
    }

    #[test]
    fn a_second_run_says_that_nothing_is_to_do() {
        let summary = Summary {
            done_before: 7,
            ..Summary::default()
        };
        assert_eq!(summary.line(), "nothing to do: 7 done before");
    }

    #[test]
    fn a_summary_names_what_it_cost() {
        let summary = Summary {
            done: 2,
            failed: 1,
            cost: Charged::from([("USD".to_owned(), Decimal::new(4010, 5))]),
            ..Summary::default()
        };
        assert_eq!(summary.line(), "2 done, 1 failed, for $0.0401");
    }

    #[test]
    fn what_cost_less_than_an_earlier_run_was_told_is_no_negative_price() {
        let summary = Summary {
            done: 1,
            cost: Charged::from([("USD".to_owned(), Decimal::new(-64, 2))]),
            ..Summary::default()
        };
        assert_eq!(summary.line(), "1 done, $0.64 less than was told before");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_something_to_do() {
        let summary = Summary {
            unreadable: 1,
            settling: 1,
            skipped: 4,
            ..Summary::default()
        };
        assert_eq!(summary.line(), "1 settling, 1 unreadable, 2 skipped");
        assert_eq!(summary.hints().count(), 1);
    }

    #[test]
    fn a_stop_says_what_the_service_has_and_what_it_cost() {
        let mut with_service = WithService::default();
        for _ in 0..2 {
            let minute = AudioDuration::from_micros(60_000_000);
            with_service.add(Some(minute), Decimal::new(5, 3), Decimal::ZERO);
        }
        let summary = Summary {
            with_service,
            queued: 3,
            ..Summary::default()
        };
        assert_eq!(
            summary.stopped(),
            "stopped, and nothing is lost: 2 are with the service, 2:00 of audio, and are paid for ($0.01); \
             the next run fetches what it made of them and pays nothing again; 3 not done so far"
        );
        assert_eq!(
            Summary::default().stopped(),
            "stopped: nothing is lost, and nothing is on its way"
        );
    }
}
