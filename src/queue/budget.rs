//! Budgets: what may be set aside for the next submit.
//!
//! An estimate has to fit under every limit together with what is spent, may have been spent and is set
//! aside. Where nobody knows what a recording costs, all that is left of the limits is set aside for it, and
//! no second one of its kind is sent beside it: so a limit is crossed by one such recording at most.

use jiff::Timestamp;
use rusqlite::Connection;
use rust_decimal::Decimal;

use super::QueueError;
use super::ledger;
use crate::clock::Calendar;
use crate::domain::money::{from_nanos, to_nanos};

/// What limits the spending, in US dollars; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// From midnight to midnight.
    pub per_day: Option<Decimal>,
    /// From the first to the last of a month.
    pub per_month: Option<Decimal>,
    /// For one recording.
    pub per_file: Option<Decimal>,
    /// For this run, and since when it has been running.
    pub per_run: Option<(Decimal, Timestamp)>,
}

const PER_DAY: &str = "budget.per_day";
const PER_MONTH: &str = "budget.per_month";
const PER_RUN: &str = "--max-cost of this run";

impl Limits {
    /// The name of a limit on sums, if `name` is one.
    pub fn name(name: &str) -> Option<&'static str> {
        let names = [PER_DAY, PER_MONTH, PER_RUN];
        names.into_iter().find(|known| *known == name)
    }

    /// The limits on sums, each with its beginning, its end if it ends by itself, and its name.
    pub(super) fn sums(&self, calendar: Calendar) -> impl Iterator<Item = Sum> {
        let run = self.per_run.map(|(limit, since)| Sum {
            limit,
            since,
            until: None,
            name: PER_RUN,
        });
        let month = self.per_month.map(|limit| Sum {
            limit,
            since: calendar.month_start,
            until: Some(calendar.month_end),
            name: PER_MONTH,
        });
        let day = self.per_day.map(|limit| Sum {
            limit,
            since: calendar.day_start,
            until: Some(calendar.day_end),
            name: PER_DAY,
        });
        [run, month, day].into_iter().flatten()
    }
}

/// A limit on what is spent from one moment to another.
pub(super) struct Sum {
    pub(super) limit: Decimal,
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) name: &'static str,
}

/// The limit that has least left, and how much that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The limit's name: a key of the configuration, or a flag.
    pub name: &'static str,
    /// The limit in dollars.
    pub limit: Decimal,
    /// Dollars that can still be set aside; nought where it is crossed already.
    pub left: Decimal,
    /// When it begins anew, if it does by itself.
    pub until: Option<Timestamp>,
}

/// What the limits on sums leave for all that is to be sent; `None` without a limit.
pub(super) fn allowance(
    connection: &Connection,
    limits: &Limits,
    calendar: Calendar,
) -> Result<Option<Allowance>, QueueError> {
    let mut least: Option<Allowance> = None;
    for sum in limits.sums(calendar) {
        let committed = ledger::committed_since(connection, sum.since)?;
        let left = from_nanos(to_nanos(sum.limit).saturating_sub(committed).max(0));
        if least.is_none_or(|least| left < least.left) {
            least = Some(Allowance {
                name: sum.name,
                limit: sum.limit,
                left,
                until: sum.until,
            });
        }
    }
    Ok(least)
}

/// What the limits leave where nothing was spent so far.
pub fn untouched(limits: &Limits, calendar: Calendar) -> Option<Allowance> {
    let sums = limits.sums(calendar).map(|sum| Allowance {
        name: sum.name,
        limit: sum.limit,
        left: sum.limit,
        until: sum.until,
    });
    sums.min_by_key(|allowance| allowance.left)
}

/// Whether there is room for the next submit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Room {
    /// There is; so many dollars are to be set aside.
    For(Decimal),
    /// There is, for one submit whose cost nobody knows; all that is left is to be set aside.
    ForOne(Decimal),
    /// Perhaps, when what is in flight has its cost.
    Later,
    /// A limit would be crossed, which ends at `until` if it ends by itself.
    Over {
        /// Which limit, as a sentence.
        text: String,
        /// When it begins anew.
        until: Option<Timestamp>,
    },
}

/// Whether a submit of this estimate may be sent; `None` is a cost that nobody knows.
pub(super) fn room(
    connection: &Connection,
    limits: &Limits,
    calendar: Calendar,
    estimate: Option<Decimal>,
) -> Result<Room, QueueError> {
    if estimate.is_none() && ledger::has_open_reservation(connection)? {
        return Ok(Room::Later);
    }
    let in_flight = ledger::in_flight(connection)?;
    // The least amount that counts, where the cost is not known.
    let wanted = estimate.map_or(1, to_nanos);
    let mut left = limits.per_file.map(to_nanos).filter(|_| estimate.is_none());
    let mut later = false;
    for sum in limits.sums(calendar) {
        let committed = ledger::committed_since(connection, sum.since)?;
        let rest = to_nanos(sum.limit).saturating_sub(committed);
        if rest.saturating_add(in_flight) < wanted {
            return Ok(over(&sum, committed, estimate));
        }
        later |= rest < wanted;
        left = Some(left.map_or(rest, |left| left.min(rest)));
    }
    if later {
        return Ok(Room::Later);
    }
    Ok(match (estimate, left) {
        (Some(estimate), _) => Room::For(estimate),
        (None, Some(left)) => Room::ForOne(from_nanos(left)),
        (None, None) => Room::For(Decimal::ZERO),
    })
}

fn over(sum: &Sum, committed: i64, estimate: Option<Decimal>) -> Room {
    let (name, limit, spent) = (sum.name, sum.limit, from_nanos(committed));
    let next = match estimate {
        Some(estimate) => format!("the next recording would cost about ${estimate}"),
        None => "nobody knows what the next recording costs (where the service tells no prices, service.price_per_minute does)".to_owned(),
    };
    Room::Over {
        text: format!("{name} is ${limit}: ${spent} is spent or set aside, and {next}"),
        until: sum.until,
    }
}
