//! `stenod plan`: what a run would do and cost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::consent::{anew, beyond, repeated};
use super::output::{clean, shown};
use super::report::Teller;
use super::summary::is_unreadable;
use super::text::{LEAST, Page};
use super::unsettled::PATIENCE;
use super::unsettled::is_incomplete;
use super::{Failure, RunArguments, Session, elsewhere, exit, orders, view};
use crate::clock::Calendar;
use crate::config::Config;
use crate::control::{Answer, Order, RunOrder};
use crate::domain::audio::AudioDuration;
use crate::domain::job::Provider;
use crate::domain::money::Amount;
use crate::domain::pace::{Outlook, Work, outlook, words};
use crate::domain::price::{self, Catalogue};
use crate::domain::route::{Chosen, Route};
use crate::pipeline::plan::{Fate, Plan, PlanTerms, Planned, plan};
use crate::pipeline::prospect::{allowance, by_route};
use crate::queue::{Allowance, QueueError, Reader, holder};
use crate::session::{self, Places};
use crate::speech::services;
use crate::supervise;

pub(super) async fn execute(session: &mut Session, arguments: RunArguments) -> Result<u8, Failure> {
    arguments.transcribe.override_in(&mut session.overrides);
    let config = session.config_to_work_with()?;
    let provider = session::meant(&config)?;
    say_what_run_lacks(session, &config, provider)?;
    let places = session::places(&config, &arguments.paths, provider)?;
    let (paths, force, limit) = (&arguments.paths, arguments.force, arguments.limit);
    let order = elsewhere::order(&session.overrides, paths, force, limit)?;
    say_whose_settings(session, &config, &places, order).await?;
    let terms = terms(session, &config, provider, arguments.force, arguments.limit).await?;
    let model = model_of(&places);
    let forecast = make(
        session,
        &config,
        places,
        terms,
        provider,
        arguments.max_cost,
    )
    .await?;
    if session.output.json() {
        session
            .output
            .document(&document(&forecast, provider.name(), &model))?;
    } else {
        session
            .output
            .data(&text(session.output.page(), &forecast))?;
    }
    Ok(exit::DONE)
}

/// A plan needs no key, and says that a run does.
fn say_what_run_lacks(
    session: &Session,
    config: &Config,
    provider: Provider,
) -> Result<(), Failure> {
    if let Some(error) = session::key_wanted(config, provider) {
        let hint = error.hint().map(|hint| format!("\n  {hint}"));
        let hint = hint.unwrap_or_default();
        session
            .output
            .say(&format!("warning: `stenod run` would stop: {error}{hint}"))?;
    }
    Ok(())
}

/// Says that a run would go by other settings than this plan, where whoever holds the state has others.
async fn say_whose_settings(
    session: &Session,
    config: &Config,
    places: &Places,
    order: RunOrder,
) -> Result<(), Failure> {
    let Some(instance) = holder(&config.state_dir)? else {
        return Ok(());
    };
    let asked = timeout(PATIENCE, orders::ask(config, &Order::Terms(order))).await;
    // Who does not answer, or is no daemon, takes on no run.
    let Ok(Ok(Ok(Answer::Terms(terms)))) = asked else {
        return Ok(());
    };
    if terms != session::terms(config, places) {
        session.output.say(&format!(
            "warning: the running stenod (process {}) has other settings, folders or prices than this plan: \
             `stenod run` beside it goes by those, and says its price before anything is sent",
            instance.pid
        ))?;
    }
    Ok(())
}

fn model_of(places: &Places) -> String {
    let first = places.places.first();
    first
        .map(|place| place.settings.model.clone())
        .unwrap_or_default()
}

/// A plan, how long it will take, and what the limits leave for it.
struct Forecast {
    plan: Plan,
    time: Outlook,
    allowance: Option<Allowance>,
    /// How many places were looked at.
    places: usize,
    /// Whether these were named instead of configured.
    is_named: bool,
}

async fn make(
    session: &Session,
    config: &Config,
    places: Places,
    terms: PlanTerms,
    provider: Provider,
    max_cost: Option<Decimal>,
) -> Result<Forecast, Failure> {
    let model = model_of(&places);
    let teller = Teller::new(session.output);
    let now = session.clock.now();
    let limits = session::limits(config, max_cost, now);
    let (state_dir, policy) = (config.state_dir.clone(), session::doubt_policy(config));
    let jobs = config.service.jobs.get();
    let planned = supervise::blocking(move || {
        let reader = Reader::open_as_found(&state_dir, policy)?;
        let measured = match &reader {
            Some(reader) => reader.pace(&model)?,
            None => None,
        };
        let plan = plan(&places.places, reader.as_ref(), terms, &teller)?;
        teller.end();
        let sum = Sum::of(plan.items.iter());
        let time = outlook(Work {
            recordings: sum.recordings,
            audio: AudioDuration::from_micros(sum.micros),
            jobs,
            is_paid: provider.is_paid(),
            measured,
        });
        let allowance = allowance(reader.as_ref(), &limits, Calendar::around(now))?;
        Ok::<_, QueueError>(Forecast {
            plan,
            time,
            allowance,
            places: places.places.len(),
            is_named: places.places.iter().any(|place| place.is_named),
        })
    });
    Ok(planned.await??)
}

/// What a run with this configuration would do, as JSON and in one line.
pub(super) async fn summary(
    session: &Session,
    config: &Config,
) -> Result<(Value, String), Failure> {
    let provider = session::meant(config)?;
    let places = session::places(config, &[], provider)?;
    let terms = terms(session, config, provider, false, None).await?;
    let forecast = make(session, config, places, terms, provider, None).await?;
    let sum = Sum::of(forecast.plan.items.iter());
    let text = if sum.recordings == 0 {
        "nothing to transcribe".to_owned()
    } else {
        format!("{} to transcribe, {}", sum.text(), takes(forecast.time))
    };
    Ok((sum.json(), text))
}

/// For people: how long it takes, and how that is known.
pub(super) fn takes(time: Outlook) -> String {
    let basis = if time.is_measured {
        "by earlier runs"
    } else {
        "a guess: nothing was measured yet"
    };
    format!("about {} ({basis})", words(time.time))
}

/// By which terms a run with this configuration would plan.
pub(super) async fn terms(
    session: &Session,
    config: &Config,
    provider: Provider,
    force: bool,
    limit: Option<usize>,
) -> Result<PlanTerms, Failure> {
    let catalogue = if provider.is_paid() {
        session::catalogue(config, session.clock.clone()).await?
    } else {
        Catalogue::default()
    };
    Ok(PlanTerms {
        routes: session::route_terms(config),
        force,
        limit,
        per_file: config.budget.per_file,
        catalogue,
        now: session.clock.now(),
    })
}

/// Before what is said of a recording below its line.
const BELOW: &str = "           ";

/// Recordings to send: how many, how long, how large, for how much.
#[derive(Debug, Clone)]
struct Sum {
    recordings: usize,
    micros: u64,
    bytes: u64,
    cost: Option<Decimal>,
    repeats: usize,
    anew: usize,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            recordings: 0,
            micros: 0,
            bytes: 0,
            cost: Some(Decimal::ZERO),
            repeats: 0,
            anew: 0,
        }
    }
}

impl Sum {
    fn of<'a>(items: impl Iterator<Item = &'a Planned>) -> Self {
        let mut sum = Self::default();
        items.for_each(|item| sum.add(item));
        sum
    }

    fn add(&mut self, item: &Planned) {
        if let Fate::Send {
            cost,
            repeats,
            anew,
            ..
        } = &item.fate
        {
            self.recordings += 1;
            self.repeats += usize::from(*repeats);
            self.anew += usize::from(*anew);
            self.micros += item.duration.map_or(0, AudioDuration::micros);
            self.bytes += item.size;
            self.cost = self.cost.zip(*cost).map(|(sum, cost)| sum + cost);
        }
    }

    fn json(&self) -> Value {
        json!({
            "recordings": self.recordings,
            "minutes": AudioDuration::from_micros(self.micros).minutes(),
            "bytes": self.bytes,
            "cost": self.cost.map(|cost| cost.normalize().to_string()),
            "currency": "USD",
        })
    }

    fn text(&self) -> String {
        let duration = AudioDuration::from_micros(self.micros);
        let cost = match self.cost {
            Some(cost) if cost.is_zero() => "free of charge".to_owned(),
            Some(cost) => format!("about {}", Amount::usd(cost)),
            None => "price unknown".to_owned(),
        };
        let bytes = crate::domain::route::bytes(self.bytes);
        match self.recordings {
            0 => "nothing".to_owned(),
            1 => format!("1 recording, {duration}, {bytes}, {cost}"),
            recordings => format!("{recordings} recordings, {duration}, {bytes}, {cost}"),
        }
    }
}

fn by_root(plan: &Plan) -> BTreeMap<&PathBuf, Vec<&Planned>> {
    let mut roots: BTreeMap<&PathBuf, Vec<&Planned>> = BTreeMap::new();
    for item in &plan.items {
        roots.entry(&item.root).or_default().push(item);
    }
    roots
}

/// What is to be sent by route, who recognises and model.
fn by_way(plan: &Plan) -> BTreeMap<(&'static str, &str, &str), Sum> {
    let mut ways = BTreeMap::new();
    for item in &plan.items {
        if let Fate::Send { route, .. } = &item.fate {
            let way = (
                route.route.as_str(),
                item.provider.name(),
                item.model.as_str(),
            );
            ways.entry(way).or_insert_with(Sum::default).add(item);
        }
    }
    ways
}

fn way_json(((route, provider, model), sum): (&(&str, &str, &str), &Sum)) -> Value {
    let mut way = json!({"route": route, "provider": provider, "model": model});
    if let (Some(way), Value::Object(sum)) = (way.as_object_mut(), sum.json()) {
        way.extend(sum);
    }
    way
}

fn document(forecast: &Forecast, provider: &str, model: &str) -> Value {
    let Forecast {
        plan,
        time,
        allowance,
        ..
    } = forecast;
    let is_skip = |fate: &Fate| matches!(fate, Fate::Skip(_));
    json!({
        "provider": provider,
        "model": model,
        "recordings": plan.count(|fate| !is_skip(fate)),
        "to_send": Sum::of(plan.items.iter()).json(),
        "repeats": Sum::of(plan.items.iter()).repeats,
        "anew": Sum::of(plan.items.iter()).anew,
        "limit": allowance.map(view::allowance),
        "prices": view::prices(&plan.prices),
        "routes": by_route(plan),
        "ways": by_way(plan).iter().map(way_json).collect::<Vec<_>>(),
        "time": {"seconds": time.time.as_secs(), "measured": time.is_measured},
        "done": plan.count(|fate| *fate == Fate::Done),
        "duplicates": plan.count(|fate| matches!(fate, Fate::Duplicate { .. })),
        "active": plan.count(|fate| *fate == Fate::UnderWay),
        "waiting": plan.count(|fate| matches!(fate, Fate::Wait(_))),
        "ended": plan.count(|fate| matches!(fate, Fate::Ended(_))),
        "skipped": plan.items.iter().filter(|item| is_skip(&item.fate)).map(item).collect::<Vec<_>>(),
        "folders": by_root(plan).iter().map(|(root, items)| {
            let mut folder = Sum::of(items.iter().copied()).json();
            folder["path"] = json!(view::path(root));
            folder
        }).collect::<Vec<_>>(),
        "troubles": plan.troubles.iter().map(|(path, text)| {
            json!({"path": view::path(path), "message": text})
        }).collect::<Vec<_>>(),
        "items": plan.items.iter().map(item).collect::<Vec<_>>(),
    })
}

fn item(item: &Planned) -> Value {
    let mut value = json!({
        "source": view::path(&item.source),
        "action": action(&item.fate),
        "bytes": item.size,
        "minutes": item.duration.map(AudioDuration::minutes),
    });
    match &item.fate {
        Fate::Send {
            route,
            cost,
            repeats,
            anew,
        } => {
            value["repeats"] = json!(repeats);
            value["anew"] = json!(anew);
            value["route"] = json!(route.route.as_str());
            value["why"] = json!(route.why);
            value["cost"] = json!(cost.map(|cost| cost.normalize().to_string()));
            value["currency"] = json!("USD");
        }
        Fate::Duplicate { of } => value["duplicate_of"] = json!(view::path(of)),
        Fate::Wait(reason) | Fate::Skip(reason) | Fate::Ended(reason) => {
            value["reason"] = json!(reason.code);
            value["message"] = json!(reason.text);
        }
        Fate::Done | Fate::UnderWay => {}
    }
    value
}

fn action(fate: &Fate) -> &'static str {
    match fate {
        Fate::Send { .. } => "send",
        Fate::Done => "done",
        Fate::Duplicate { .. } => "duplicate",
        Fate::UnderWay => "active",
        Fate::Wait(_) => "wait",
        Fate::Skip(_) => "skip",
        Fate::Ended(_) => "ended",
    }
}

fn text(page: Page, forecast: &Forecast) -> String {
    let plan = &forecast.plan;
    let mut lines: Vec<String> = plan.items.iter().map(|item| line(page, item)).collect();
    for (path, trouble) in &plan.troubles {
        let start = format!("{:<9}  {:>8}  ", "folder", "");
        lines.push(page.about(&start, path, &clean(trouble)));
    }
    let roots = by_root(plan);
    if roots.len() > 1 {
        lines.push(String::new());
        for (root, items) in roots {
            lines.push(page.about("", root, &Sum::of(items.into_iter()).text()));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let sum = Sum::of(plan.items.iter());
    lines.push(page.text("to send: ", &sum.text()));
    let ways = by_way(plan);
    let is_one = ways.len() == 1;
    for ((route, provider, model), sum) in ways {
        let way = format!("{provider} {}, {route}", clean(model));
        // The sum of one is the sum of all.
        let sum = if is_one {
            String::new()
        } else {
            format!(": {}", sum.text())
        };
        lines.push(page.text("by:      ", &(way + &sum)));
    }
    for (model, price) in &plan.prices {
        lines.push(page.text(
            "price:   ",
            &price::sentence(model, *price, services::models()),
        ));
    }
    if sum.recordings > 0 {
        lines.push(page.text("takes:   ", &takes(forecast.time)));
    }
    if sum.repeats > 0 {
        lines.push(page.text("again:   ", &repeated(sum.repeats)));
    }
    if sum.anew > 0 && sum.cost.is_none_or(|cost| !cost.is_zero()) {
        lines.push(page.text("again:   ", &anew(sum.anew)));
    }
    lines.extend(cautions(page, forecast, &sum));
    let others = besides(plan);
    if !others.is_empty() {
        lines.push(page.text("besides: ", &others));
    }
    lines.join("\n") + "\n"
}

/// What a limit leaves for a plan, and whether a run would end with a code of its own.
fn cautions(page: Page, forecast: &Forecast, sum: &Sum) -> Vec<String> {
    let plan = &forecast.plan;
    let mut lines = Vec::new();
    if let Some(limit) = forecast
        .allowance
        .and_then(|allowance| beyond(allowance, sum.cost))
    {
        let fits = fitting(plan, forecast.allowance);
        let all = sum.recordings;
        let fits = match fits {
            fits if fits == all || sum.cost.is_none() => String::new(),
            fits => format!("; {fits} of {all} recordings fit"),
        };
        lines.push(page.text("limit:   ", &(limit + &fits)));
    }
    lines.extend(code(forecast).map(|text| page.text("code:    ", &text)));
    lines
}

/// Whether a run would end with a code of its own, and why.
fn code(forecast: &Forecast) -> Option<String> {
    let plan = &forecast.plan;
    let troubles = plan.troubles.len();
    if troubles == forecast.places && troubles > 0 {
        return Some(format!(
            "`stenod run` ends with code {}: nothing that it was given can be read",
            exit::UNEXPECTED
        ));
    }
    let is_in_vain = |item: &&Planned| {
        let is_passed_over = matches!(item.fate, Fate::Skip(_));
        let is_named = forecast.is_named && item.source == item.root;
        is_missed(&item.fate) || (is_passed_over && is_named)
    };
    let misses = plan.items.iter().filter(is_in_vain).count() + troubles;
    (misses > 0).then(|| {
        format!(
            "`stenod run` ends with code {}: {misses} failed before or cannot be transcribed",
            exit::SOME_FAILED
        )
    })
}

/// How many recordings fit what a limit leaves, one after the other.
fn fitting(plan: &Plan, allowance: Option<Allowance>) -> usize {
    let Some(allowance) = allowance else {
        return Sum::of(plan.items.iter()).recordings;
    };
    let costs = plan.items.iter().filter_map(|item| match &item.fate {
        Fate::Send { cost, .. } => Some(*cost),
        Fate::Done
        | Fate::Duplicate { .. }
        | Fate::UnderWay
        | Fate::Wait(_)
        | Fate::Skip(_)
        | Fate::Ended(_) => None,
    });
    let mut sum = Decimal::ZERO;
    let fits = costs.take_while(|cost| {
        sum += cost.unwrap_or_default();
        cost.is_some() && sum <= allowance.left
    });
    fits.count()
}

/// Whether a file is passed over that may be a recording which somebody misses, or ended without a transcript.
fn is_missed(fate: &Fate) -> bool {
    match fate {
        Fate::Skip(reason) => is_incomplete(reason) || is_unreadable(reason),
        Fate::Ended(reason) => reason.code != "cancelled",
        Fate::Send { .. }
        | Fate::Done
        | Fate::Duplicate { .. }
        | Fate::UnderWay
        | Fate::Wait(_) => false,
    }
}

/// Whether a file lacks its end and may still become whole.
fn is_settling(fate: &Fate) -> bool {
    matches!(fate, Fate::Skip(reason) if is_incomplete(reason))
}

/// What is not sent, counted by what becomes of it.
fn besides(plan: &Plan) -> String {
    let others = [
        ("done", plan.count(|fate| *fate == Fate::Done)),
        (
            "free as a copy",
            plan.count(|fate| matches!(fate, Fate::Duplicate { .. })),
        ),
        ("under way", plan.count(|fate| *fate == Fate::UnderWay)),
        ("waiting", plan.count(|fate| matches!(fate, Fate::Wait(_)))),
        (
            "ended without a transcript",
            plan.count(|fate| matches!(fate, Fate::Ended(_))),
        ),
        ("settling", plan.count(is_settling)),
        (
            "skipped",
            plan.count(|fate| matches!(fate, Fate::Skip(_)) && !is_settling(fate)),
        ),
    ];
    let others: Vec<String> = others
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    others.join(", ")
}

/// The route and why it is the one, unless the recording goes as it is.
fn way(page: Page, chosen: &Chosen) -> String {
    match chosen.route {
        Route::Direct | Route::Local => String::new(),
        Route::Shrink { .. } | Route::Bucket { .. } | Route::Pieces(_) => {
            let text = format!("{}: {}", chosen.route, clean(&chosen.why));
            format!("\n{}", page.text(BELOW, &text))
        }
    }
}

fn line(page: Page, item: &Planned) -> String {
    let duration = item
        .duration
        .map(|duration| duration.to_string())
        .unwrap_or_default();
    let word = if is_settling(&item.fate) {
        "settling"
    } else {
        action(&item.fate)
    };
    let start = format!("{word:<9}  {duration:>8}  ");
    let path = |taken| page.path(&item.source, start.len() + taken);
    match &item.fate {
        Fate::Send { route, cost, .. } => {
            let cost = cost.filter(|cost| !cost.is_zero());
            let cost = cost.map_or(String::new(), |cost| format!("  {}", Amount::usd(cost)));
            let way = way(page, route);
            let beside = start.len() + LEAST + cost.len();
            match page.width() {
                Some(columns) if !cost.is_empty() && beside > columns => {
                    let cost = page.text(BELOW, cost.trim_start());
                    format!("{start}{}\n{cost}{way}", path(0))
                }
                Some(_) | None => format!("{start}{}{cost}{way}", path(cost.len())),
            }
        }
        Fate::Done | Fate::UnderWay => format!("{start}{}", path(0)),
        Fate::Duplicate { of } => {
            let text = format!("the same as {}", shown(of));
            page.about(&start, &item.source, &text)
        }
        Fate::Wait(reason) | Fate::Skip(reason) | Fate::Ended(reason) => {
            page.about(&start, &item.source, &clean(&reason.text))
        }
    }
}
