//! The ledger: every reservation, charge and doubt, only ever added to.
//!
//! A submit's estimate is reserved in the transaction that claims it and released when nothing was
//! sent or when the charge is known. What may have been paid counts against the budgets like what was.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use rust_decimal::Decimal;

use super::row::millis;
use super::{QueueError, outbox};
use crate::domain::job::{Job, JobId, Settings};
use crate::domain::money::{Amount, Currency, from_nanos, to_nanos};
use crate::domain::price::{Catalogue, Price};

/// What one currency has been spent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// Of which currency.
    pub currency: Currency,
    /// Since midnight.
    pub today: Decimal,
    /// Since the first of the month.
    pub month: Decimal,
    /// Ever.
    pub total: Decimal,
    /// What may have been paid on top, by submits whose reply was lost.
    pub in_doubt: Decimal,
}

/// Sets an amount aside for a submit: its estimate, or else what is left of the limits, because nobody
/// knows its cost.
pub(super) fn reserve(
    connection: &Connection,
    job: &Job,
    amount: Decimal,
    is_estimate: bool,
    now: Timestamp,
) -> Result<(), QueueError> {
    let amount = Amount::usd(amount);
    let note = if is_estimate {
        "estimate"
    } else {
        "its cost is not known: what is left of the limits"
    };
    add(
        connection,
        job.id,
        job.attempts,
        "reserve",
        &amount,
        note,
        now,
    )?;
    set_reserved(connection, job.id, amount.nanos(), !is_estimate)
}

/// Gives back what is set aside for a job, if anything is.
pub(super) fn release(
    connection: &Connection,
    id: JobId,
    note: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    #[cfg(test)]
    if note != "charged" && crate::faults::planted(crate::faults::Bug::KeepReservation) {
        return Ok(());
    }
    let (reserved, submit) = reserved(connection, id)?;
    if reserved > 0 {
        let amount = Amount::usd(from_nanos(reserved));
        add(connection, id, submit, "release", &amount, note, now)?;
    }
    set_reserved(connection, id, 0, false)
}

/// The estimate that is set aside for a job, in dollars; nothing where it is none.
pub(super) fn set_aside(connection: &Connection, id: JobId) -> Result<Decimal, QueueError> {
    let is_open = is_open(connection, id)?;
    let (reserved, _) = reserved(connection, id)?;
    Ok(from_nanos(if is_open { 0 } else { reserved }))
}

/// What was charged for a job, and for the pieces of it, since `since`.
pub(super) fn charges(
    connection: &Connection,
    id: JobId,
    since: Timestamp,
) -> Result<Vec<Amount>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT nanos, currency FROM ledger WHERE kind = 'charge' AND at_ms >= ?2
         AND job IN (SELECT id FROM jobs WHERE id = ?1 OR parent = ?1)",
    )?;
    let rows = statement.query_map(params![id.0, millis(since)], |row| {
        Ok(Amount {
            value: from_nanos(row.get(0)?),
            currency: Currency::new(&row.get::<_, String>(1)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a job was charged for, or may have been.
pub(super) fn may_be_paid(connection: &Connection, id: JobId) -> Result<bool, QueueError> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM ledger WHERE job = ?1 AND kind IN ('charge', 'doubt')")?;
    Ok(statement.exists([id.0])?)
}

/// Records what a submit has cost altogether; what is recorded already is not recorded again.
pub(super) fn charge(
    connection: &Connection,
    id: JobId,
    total: &Amount,
    note: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    release(connection, id, "charged", now)?;
    let submit = submit_number(connection, id)?;
    let known = charged(connection, id, submit, &total.currency)?;
    let rest = Amount {
        value: total.value - known,
        currency: total.currency.clone(),
    };
    if !rest.value.is_zero() {
        add(connection, id, submit, "charge", &rest, note, now)?;
    }
    update_cost(connection, id, &total.currency)
}

/// Records the cost of a submit whose reply does not name it: its estimate; and where there is none, that
/// what was set aside may have been paid.
pub(super) fn charge_unnamed(
    connection: &Connection,
    id: JobId,
    now: Timestamp,
) -> Result<(), QueueError> {
    let (reserved, _) = reserved(connection, id)?;
    if is_open(connection, id)? {
        return doubt(connection, id, "the reply names no cost", now).map(drop);
    }
    if reserved == 0 {
        return Ok(());
    }
    let amount = Amount::usd(from_nanos(reserved));
    charge(
        connection,
        id,
        &amount,
        "estimated: the reply names no cost",
        now,
    )
}

/// Records that what was set aside for a submit may have been paid; gives back how much that is.
pub(super) fn doubt(
    connection: &Connection,
    id: JobId,
    note: &str,
    now: Timestamp,
) -> Result<Amount, QueueError> {
    let (reserved, submit) = reserved(connection, id)?;
    let amount = Amount::usd(from_nanos(reserved));
    #[cfg(test)]
    if crate::faults::planted(crate::faults::Bug::DoubtWithoutEntry) {
        release(connection, id, "in doubt", now)?;
        return Ok(amount);
    }
    add(connection, id, submit, "doubt", &amount, note, now)?;
    release(connection, id, "in doubt", now)?;
    Ok(amount)
}

/// What is set aside, and what was spent or may have been since `since`, in billionths of a dollar.
pub(super) fn committed_since(
    connection: &Connection,
    since: Timestamp,
) -> Result<i64, QueueError> {
    let reserved: i64 = connection
        .prepare_cached("SELECT coalesce(sum(reserved), 0) FROM jobs WHERE reserved > 0")?
        .query_row([], |row| row.get(0))?;
    Ok(reserved.saturating_add(spent_since(connection, since)?))
}

/// What was spent or may have been since `since`, in billionths of a dollar.
pub(super) fn spent_since(connection: &Connection, since: Timestamp) -> Result<i64, QueueError> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(sum(nanos), 0) FROM ledger
             WHERE currency = 'USD' AND kind IN ('charge', 'doubt') AND at_ms >= ?1",
        )?
        .query_row([millis(since)], |row| row.get(0))?)
}

/// What is set aside for submits that will be settled soon, in billionths of a dollar: a run that is
/// overdue may never be.
pub(super) fn in_flight(connection: &Connection) -> Result<i64, QueueError> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(sum(reserved), 0) FROM jobs WHERE reserved > 0 AND state = 'active'",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Whether a submit whose cost nobody knows is in flight.
pub(super) fn has_open_reservation(connection: &Connection) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM jobs WHERE open = 1 AND state = 'active'")?
        .exists([])?)
}

/// Whether what is set aside for a job is no estimate.
pub(super) fn is_open(connection: &Connection, id: JobId) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached("SELECT open FROM jobs WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?)
}

/// What was spent, by currency.
pub(super) fn spend(
    connection: &Connection,
    day: Timestamp,
    month: Timestamp,
) -> Result<Vec<Spend>, QueueError> {
    let mut statement = connection.prepare_cached(
        // From currency to currency in the index, past what was only set aside.
        "WITH RECURSIVE currencies(currency) AS (
             SELECT min(currency) FROM ledger
             UNION ALL
             SELECT (SELECT min(currency) FROM ledger WHERE currency > currencies.currency) FROM currencies
             WHERE currencies.currency IS NOT NULL)
         SELECT ledger.currency,
             coalesce(sum(nanos) FILTER (WHERE kind = 'charge' AND at_ms >= ?1), 0),
             coalesce(sum(nanos) FILTER (WHERE kind = 'charge' AND at_ms >= ?2), 0),
             coalesce(sum(nanos) FILTER (WHERE kind = 'charge'), 0),
             coalesce(sum(nanos) FILTER (WHERE kind = 'doubt'), 0)
         FROM currencies CROSS JOIN ledger ON ledger.currency = currencies.currency
         WHERE kind IN ('charge', 'doubt') GROUP BY ledger.currency ORDER BY ledger.currency",
    )?;
    let rows = statement.query_map([millis(day), millis(month)], |row| {
        Ok(Spend {
            currency: Currency::new(&row.get::<_, String>(0)?),
            today: from_nanos(row.get(1)?),
            month: from_nanos(row.get(2)?),
            total: from_nanos(row.get(3)?),
            in_doubt: from_nanos(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a minute costs by these settings, if anybody knows.
pub(super) fn price(
    connection: &Connection,
    settings: &Settings,
    catalogue: &Catalogue,
) -> Result<Option<Price>, QueueError> {
    let model = &settings.model;
    match Price::of(model, catalogue, None) {
        Some(price) => Ok(Some(price)),
        None => {
            let learnt = learnt_price(connection, settings)?;
            Ok(Price::of(model, catalogue, learnt))
        }
    }
}

/// Dollars a minute that a model of this provider was last charged at, learnt from the ledger.
fn learnt_price(
    connection: &Connection,
    settings: &Settings,
) -> Result<Option<Decimal>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT l.nanos, j.duration_us FROM ledger l JOIN jobs j ON j.id = l.job
         WHERE l.kind = 'charge' AND l.currency = 'USD' AND l.nanos > 0 AND j.duration_us > 0
         AND json_extract(j.settings, '$.model') = ?1
         AND json_extract(j.settings, '$.provider') = ?2 ORDER BY l.id DESC LIMIT 1",
    )?;
    let mut rows = statement.query([settings.model.as_str(), settings.provider.name()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (nanos, micros): (i64, i64) = (row.get(0)?, row.get(1)?);
    let minutes = Decimal::from(micros) / Decimal::from(60_000_000_i64);
    Ok(from_nanos(nanos).checked_div(minutes))
}

fn add(
    connection: &Connection,
    id: JobId,
    submit: u32,
    kind: &str,
    amount: &Amount,
    note: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT INTO ledger (at_ms, job, submit, kind, amount, nanos, currency, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            millis(now),
            id.0,
            submit,
            kind,
            amount.value.to_string(),
            to_nanos(amount.value),
            amount.currency.code(),
            note,
        ])?;
    match kind {
        "charge" | "doubt" => outbox::spent(connection, now),
        _ => Ok(()),
    }
}

fn set_reserved(
    connection: &Connection,
    id: JobId,
    nanos: i64,
    is_open: bool,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET reserved = ?2, open = ?3 WHERE id = ?1")?
        .execute(params![id.0, nanos, is_open])?;
    Ok(())
}

fn reserved(connection: &Connection, id: JobId) -> Result<(i64, u32), QueueError> {
    Ok(connection
        .prepare_cached("SELECT reserved, attempts FROM jobs WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn submit_number(connection: &Connection, id: JobId) -> Result<u32, QueueError> {
    reserved(connection, id).map(|(_, submit)| submit)
}

fn charged(
    connection: &Connection,
    id: JobId,
    submit: u32,
    currency: &Currency,
) -> Result<Decimal, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT amount FROM ledger
         WHERE job = ?1 AND submit = ?2 AND kind = 'charge' AND currency = ?3",
    )?;
    let mut rows = statement.query(params![id.0, submit, currency.code()])?;
    sum(&mut rows)
}

/// The job's cost over all its submits, so that `list` need not add up; that of a piece counts for the
/// whole too.
fn update_cost(connection: &Connection, id: JobId, currency: &Currency) -> Result<(), QueueError> {
    let parent: Option<i64> = connection
        .prepare_cached("SELECT parent FROM jobs WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    set_cost(connection, id, currency)?;
    match parent {
        Some(parent) => set_cost(connection, JobId(parent), currency),
        None => Ok(()),
    }
}

fn set_cost(connection: &Connection, id: JobId, currency: &Currency) -> Result<(), QueueError> {
    let total = {
        let mut statement = connection.prepare_cached(
            "SELECT amount FROM ledger WHERE kind = 'charge' AND currency = ?2
             AND job IN (SELECT id FROM jobs WHERE id = ?1 OR parent = ?1)",
        )?;
        let mut rows = statement.query(params![id.0, currency.code()])?;
        sum(&mut rows)?
    };
    connection
        .prepare_cached("UPDATE jobs SET cost = ?2, currency = ?3 WHERE id = ?1")?
        .execute(params![
            id.0,
            total.normalize().to_string(),
            currency.code()
        ])?;
    Ok(())
}

fn sum(rows: &mut rusqlite::Rows<'_>) -> Result<Decimal, QueueError> {
    let mut total = Decimal::ZERO;
    while let Some(row) = rows.next()? {
        let amount: String = row.get(0)?;
        let amount: Decimal = amount.parse().map_err(|_| QueueError::Damaged {
            what: "a ledger entry".to_owned(),
        })?;
        total += amount;
    }
    Ok(total)
}
