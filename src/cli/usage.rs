//! `stenod usage`: money and minutes by day, folder and model.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use humantime::parse_duration;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::output::clean;
use super::text::Page;
use super::{Failure, Session, exit, view};
use crate::clock::{before, day_start, local_day, rfc3339};
use crate::config::Config;
use crate::domain::audio::AudioDuration;
use crate::domain::money::{Amount, Currency};
use crate::queue::{Reader, Use};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// From this day (2026-03-15), or this long ago (7days)
    #[arg(long, value_name = "WHEN", default_value = "30days")]
    since: String,
    /// Up to this day, itself not counted
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// Only these tables
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<By>,
}

/// What is added up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Each day, where the machine stands
    Day,
    /// Each folder of recordings
    Folder,
    /// Each model
    Model,
}

impl By {
    const ALL: [Self; 3] = [Self::Day, Self::Folder, Self::Model];

    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Folder => "folder",
            Self::Model => "model",
        }
    }

    fn key(self, one: &Use, config: &Config) -> String {
        match self {
            Self::Day => local_day(one.at),
            // What was named inside of a folder belongs to that.
            Self::Folder => view::path(config.around(&one.folder).unwrap_or(&one.folder)),
            Self::Model => format!("{} {}", one.provider, one.model),
        }
    }
}

/// What was used under one key.
#[derive(Debug, Default)]
struct Sum {
    recordings: usize,
    micros: u64,
    money: BTreeMap<Currency, Money>,
}

#[derive(Debug, Default)]
struct Money {
    cost: Decimal,
    in_doubt: Decimal,
}

impl Sum {
    fn add(&mut self, one: &Use) {
        self.recordings += usize::from(one.is_whole);
        self.micros = self.micros.saturating_add(one.duration.micros());
        let money = self.money.entry(one.cost.currency.clone()).or_default();
        money.cost += one.cost.value;
        money.in_doubt += one.in_doubt;
    }

    fn duration(&self) -> AudioDuration {
        AudioDuration::from_micros(self.micros)
    }

    fn json(&self) -> Value {
        let cost = |of: fn(&Money) -> Decimal| -> Map<String, Value> {
            let named = self.money.iter().map(|(currency, money)| {
                (
                    currency.code().to_owned(),
                    json!(of(money).normalize().to_string()),
                )
            });
            named.collect()
        };
        json!({
            "recordings": self.recordings,
            "minutes": self.duration().minutes(),
            "cost": cost(|money| money.cost),
            "in_doubt": cost(|money| money.in_doubt),
        })
    }

    fn cost(&self) -> String {
        let amounts = self.money.iter().map(|(currency, money)| {
            let amount = |value| {
                Amount {
                    value,
                    currency: currency.clone(),
                }
                .to_string()
            };
            match money.in_doubt.is_zero() {
                true => amount(money.cost),
                false => format!(
                    "{} (+ {} in doubt)",
                    amount(money.cost),
                    amount(money.in_doubt)
                ),
            }
        });
        let amounts: Vec<String> = amounts.collect();
        if amounts.is_empty() {
            "$0".to_owned()
        } else {
            amounts.join(", ")
        }
    }
}

pub(super) fn execute(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let since = moment(&arguments.since, now)?;
    let until = match &arguments.until {
        Some(until) => moment(until, now)?,
        None => Timestamp::MAX,
    };
    let used = match Reader::open(&config.state_dir)? {
        Some(reader) => reader.usage(since, until)?,
        None => Vec::new(),
    };
    let mut total = Sum::default();
    used.iter().for_each(|one| total.add(one));
    let tables = if arguments.by.is_empty() {
        &By::ALL[..]
    } else {
        &arguments.by
    };
    let tables: Vec<(By, BTreeMap<String, Sum>)> = tables
        .iter()
        .map(|by| (*by, table(*by, &used, &config)))
        .collect();
    if session.output.json() {
        let mut document = json!({
            "since": rfc3339(since),
            "until": arguments.until.as_ref().map(|_| rfc3339(until)),
            "total": total.json(),
        });
        for (by, rows) in &tables {
            document[format!("by_{}", by.name())] =
                rows.iter().map(|row| json_row(*by, row)).collect();
        }
        session.output.document(&document)?;
    } else {
        let page = session.output.page();
        session
            .output
            .data(&text(page, &total, &tables, since, arguments))?;
    }
    Ok(exit::DONE)
}

/// A day's midnight, or so long before now.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let found = day_start(text).or_else(|| parse_duration(text).ok().map(|back| before(now, back)));
    found.ok_or_else(|| {
        let error = anyhow::anyhow!("`{}` is neither a day nor a length of time", clean(text));
        Failure::new(exit::USAGE, error)
            .hint("a day is written 2026-03-15, a length of time 7days or 12h")
    })
}

fn table(by: By, used: &[Use], config: &Config) -> BTreeMap<String, Sum> {
    let mut rows: BTreeMap<String, Sum> = BTreeMap::new();
    for one in used {
        rows.entry(by.key(one, config)).or_default().add(one);
    }
    rows
}

fn json_row(by: By, (key, sum): (&String, &Sum)) -> Value {
    let mut row = json!({by.name(): key});
    if let (By::Model, Some((provider, model))) = (by, key.split_once(' ')) {
        row = json!({"provider": provider, "model": model});
    }
    if let (Some(row), Value::Object(sum)) = (row.as_object_mut(), sum.json()) {
        row.extend(sum);
    }
    row
}

fn text(
    page: Page,
    total: &Sum,
    tables: &[(By, BTreeMap<String, Sum>)],
    since: Timestamp,
    arguments: &Arguments,
) -> String {
    let until = arguments
        .until
        .as_deref()
        .map(|until| format!(" to {until}"))
        .unwrap_or_default();
    let mut text = format!("since {}{until}\n", local_day(since));
    for (by, rows) in tables {
        if rows.is_empty() {
            continue;
        }
        text.push_str(&format!(
            "\n{:>10}  {:>10}  by {}\n",
            "recordings",
            "audio",
            by.name()
        ));
        for (key, sum) in rows {
            text.push_str(&line(page, sum, key));
        }
    }
    text.push_str(&format!("\n{}", line(page, total, "in all")));
    text
}

fn line(page: Page, sum: &Sum, name: &str) -> String {
    let start = format!(
        "{:>10}  {:>10}  ",
        sum.recordings,
        sum.duration().to_string()
    );
    let cost = sum.cost();
    let name = page.path(name.as_ref(), start.len() + 2 + cost.len());
    format!("{start}{name}  {cost}\n")
}
