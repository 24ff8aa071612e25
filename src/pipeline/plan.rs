//! What a run would do, found out without sending or recording anything.

mod twins;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::Place;
use super::adopt;
use super::intake::{
    EXISTING, Examined, consider_skip, examine, existing, first_sight, follower,
    may_be_undecodable, no_answer, unsettled_reason, was_only_touched,
};
use super::place::Below;
use crate::discover::{Found, RootState, Scope, scan};
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::existing::FirstSight;
use crate::domain::job::{
    Candidate, ContentHash, JobId, Obstacle, Provider, Reason, Settings, Stage, State,
};
use crate::domain::money;
use crate::domain::price::{Catalogue, Price};
use crate::domain::route::{Chosen, NoRoute, RouteTerms, Shape, choose, still_leads};
use crate::domain::settle::{CUT_SHORT, Fingerprint, PREALLOCATED, Unsettled};
use crate::media::probe::is_decodable;
use crate::queue::{Known, QueueError, Reader};
use twins::{Twins, by_state, is_repeated};

/// What would become of one recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It would be sent, or recognised here.
    Send {
        /// By which route, and why.
        route: Chosen,
        /// What that is expected to cost in dollars, if anybody knows.
        cost: Option<Decimal>,
        /// Whether it may have been paid for already, and is repeated once.
        repeats: bool,
        /// Whether it has a transcript already, and gets another one.
        anew: bool,
    },
    /// Its transcript is there.
    Done,
    /// It is the same recording as another one, whose transcript it takes.
    Duplicate {
        /// The other one.
        of: PathBuf,
    },
    /// It is on its way already.
    UnderWay,
    /// It cannot be sent as things are.
    Wait(Reason),
    /// It is no recording, or one that cannot be used.
    Skip(Reason),
    /// It failed, or was stopped, and a person has to ask for it again.
    Ended(Reason),
}

/// A recording and what would become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The recording.
    pub source: PathBuf,
    /// The folder under which it was found.
    pub root: PathBuf,
    /// Who would recognise it.
    pub provider: Provider,
    /// With which model.
    pub model: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its measured length.
    pub duration: Option<AudioDuration>,
    /// The hash of its content, if it is a recording.
    pub hash: Option<ContentHash>,
    /// What would become of it.
    pub fate: Fate,
}

/// What a run would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Every file that was found, folder by folder.
    pub items: Vec<Planned>,
    /// Folders that cannot be looked at, and why.
    pub troubles: BTreeMap<PathBuf, String>,
    /// What a minute costs with each model that would be paid, if anybody knows.
    pub prices: BTreeMap<String, Option<Price>>,
}

/// What somebody has agreed to who agreed to a plan.
#[derive(Debug, Default)]
pub struct Agreed(HashMap<PathBuf, Promise>);

/// What the plan said of a recording.
#[derive(Debug)]
struct Promise {
    hash: ContentHash,
    provider: Provider,
    model: String,
    consent: Consent,
}

/// To what somebody has agreed with a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// That it is sent.
    Send {
        /// Though it has a transcript.
        anew: bool,
    },
    /// That it takes the transcript of another one.
    Copy,
    /// To nothing that is paid.
    Nothing,
}

impl Agreed {
    /// What was agreed to with a recording: by this content and model, or nothing.
    pub fn of(&self, candidate: &Candidate) -> Consent {
        let settings = &candidate.settings;
        let promise = self.0.get(&candidate.source).filter(|promise| {
            (promise.hash, promise.provider, &promise.model)
                == (candidate.hash, settings.provider, &settings.model)
        });
        promise.map_or(Consent::Nothing, |promise| promise.consent)
    }
}

impl Plan {
    /// What somebody agrees to who agrees to this plan.
    pub fn agreed(&self) -> Agreed {
        let promises = self.items.iter().filter_map(|item| {
            let consent = match item.fate {
                Fate::Send { anew, .. } => Consent::Send { anew },
                Fate::Duplicate { .. } => Consent::Copy,
                Fate::Done | Fate::UnderWay | Fate::Wait(_) | Fate::Skip(_) | Fate::Ended(_) => {
                    Consent::Nothing
                }
            };
            let promise = Promise {
                hash: item.hash?,
                provider: item.provider,
                model: item.model.clone(),
                consent,
            };
            Some((item.source.clone(), promise))
        });
        Agreed(promises.collect())
    }

    /// Of how many files this becomes.
    pub fn count(&self, of: impl Fn(&Fate) -> bool) -> usize {
        self.items.iter().filter(|item| of(&item.fate)).count()
    }
}

/// By which terms is planned.
#[derive(Debug, Clone)]
pub struct PlanTerms {
    /// By which terms a route is chosen.
    pub routes: RouteTerms,
    /// Whether what is done would be sent again.
    pub force: bool,
    /// The most recordings that would be sent.
    pub limit: Option<usize>,
    /// The most that one recording may cost, in dollars.
    pub per_file: Option<Decimal>,
    /// What a minute costs, as the service lists it.
    pub catalogue: Catalogue,
    /// When.
    pub now: Timestamp,
}

struct Planner<'a> {
    reader: Option<&'a Reader<'static>>,
    terms: PlanTerms,
    plan: Plan,
    first: HashMap<(ContentHash, Settings), PathBuf>,
    sent: usize,
    below: Below,
    onlooker: &'a dyn Onlooker,
    /// What is known of the places whose old files are left alone.
    sights: HashMap<PathBuf, FirstSight>,
    /// Jobs that follow their recordings to new names.
    followed: HashSet<JobId>,
}

/// A recording that is planned.
struct Subject<'a> {
    path: &'a Path,
    hash: ContentHash,
    size: u64,
    duration: Option<AudioDuration>,
    format: AudioFormat,
    twins: &'a Twins,
}

/// Sees how far a plan is.
pub trait Onlooker {
    /// One more file was looked at.
    fn looked_at(&self, path: &Path);

    /// So many of the `size` bytes of a large file were read.
    fn reading(&self, path: &Path, read: u64, size: u64);
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Onlooker for Nobody {
    fn looked_at(&self, _path: &Path) {}

    fn reading(&self, _path: &Path, _read: u64, _size: u64) {}
}

/// Plans what a run over `places` would do; blocks for as long as reading new files takes.
///
/// # Errors
/// Any error of the table.
pub fn plan(
    places: &[Place],
    reader: Option<&Reader<'static>>,
    terms: PlanTerms,
    onlooker: &dyn Onlooker,
) -> Result<Plan, QueueError> {
    let mut planner = Planner {
        reader,
        terms,
        plan: Plan::default(),
        first: HashMap::new(),
        sent: 0,
        below: Below::default(),
        onlooker,
        sights: HashMap::new(),
        followed: HashSet::new(),
    };
    for place in places {
        planner.scan(&Arc::new(place.clone()))?;
    }
    Ok(planner.plan)
}

/// What would become of one file that counts as complete, decided as in a whole plan; blocks for as long
/// as reading it takes.
pub(super) fn plan_file(
    place: &Place,
    reader: Option<&Reader<'static>>,
    terms: PlanTerms,
    path: PathBuf,
    fingerprint: &Fingerprint,
) -> Result<Option<Planned>, QueueError> {
    let mut planner = Planner {
        reader,
        terms,
        plan: Plan::default(),
        first: HashMap::new(),
        sent: 0,
        below: Below::default(),
        onlooker: &Nobody,
        sights: HashMap::new(),
        followed: HashSet::new(),
    };
    planner.recording(place, path, fingerprint)?;
    Ok(planner.plan.items.pop())
}

/// Whether a run looks at a file again though it is known: zeros at its end are believed by now, or a person
/// names what was left alone for being there already.
pub(super) fn is_looked_at_again(
    place: &Place,
    known: &Known,
    file: &Fingerprint,
    now: Timestamp,
) -> bool {
    match known {
        Known::Skipped(reason) => {
            (reason.code == PREALLOCATED && file.zeros_are_believed(now))
                || (reason.code == EXISTING && place.is_named)
        }
        Known::Recording { .. } => false,
    }
}

impl Planner<'_> {
    fn scan(&mut self, place: &Arc<Place>) -> Result<(), QueueError> {
        let mut failed = None;
        let report = scan(
            &place.root,
            &Scope::Root,
            &mut |found| match self.consider(place, found) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
        let root = place.root.path().to_owned();
        match report.root {
            RootState::Present | RootState::SameAs(_) => {}
            RootState::Missing => drop(self.plan.troubles.insert(root, "it is not there".into())),
            RootState::Unreadable(error) => {
                drop(
                    self.plan
                        .troubles
                        .insert(root, format!("it cannot be read: {error}")),
                );
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn consider(&mut self, place: &Arc<Place>, found: Found) -> Result<(), QueueError> {
        match found {
            Found::Skipped { path, reason } => {
                if let Some(reason) = consider_skip(&place.root, &path, &reason) {
                    self.add(place, path, 0, None, Fate::Skip(reason));
                }
                Ok(())
            }
            Found::Recording {
                path,
                fingerprint,
                local,
            } => match self.below.of(place, &local) {
                Ok(place) => self.recording(&place, path, &fingerprint),
                Err(mistaken) => {
                    let fate = Fate::Wait(mistaken.reason());
                    self.add(place, path, fingerprint.size, None, fate);
                    Ok(())
                }
            },
        }
    }

    fn recording(
        &mut self,
        place: &Place,
        path: PathBuf,
        fingerprint: &Fingerprint,
    ) -> Result<(), QueueError> {
        let size = fingerprint.size;
        let known = match self.reader {
            Some(reader) => reader.known(&path, fingerprint)?,
            None => None,
        };
        let now = self.terms.now;
        let known = match known {
            Some(known) if !is_looked_at_again(place, &known, fingerprint, now) => {
                Examined::Recording(known)
            }
            None if self.is_left_alone(place, &path, fingerprint)? => {
                self.add(place, path, size, None, Fate::Skip(existing()));
                return Ok(());
            }
            Some(_) | None => examine(&path, fingerprint, now, &mut |read| {
                self.onlooker.reading(&path, read, size);
            }),
        };
        self.onlooker.looked_at(&path);
        let (hash, duration, format) = match known {
            Examined::Recording(Known::Recording {
                hash,
                duration,
                format,
                has_video: _,
            }) => (hash, duration, format),
            Examined::Recording(Known::Skipped(reason)) | Examined::Skipped { reason, .. } => {
                self.add(place, path, size, None, Fate::Skip(reason));
                return Ok(());
            }
            Examined::CutShort { what } => {
                let reason = match size {
                    0 => unsettled_reason(&Unsettled::Empty),
                    _ => Reason::new(CUT_SHORT, what),
                };
                self.add(place, path, size, None, Fate::Skip(reason));
                return Ok(());
            }
            Examined::Preallocated => {
                let reason = unsettled_reason(&Unsettled::Preallocated);
                self.add(place, path, size, None, Fate::Skip(reason));
                return Ok(());
            }
            Examined::Silent => {
                self.add(place, path, size, None, Fate::Skip(no_answer()));
                return Ok(());
            }
            Examined::Changed => {
                let reason = Reason::new("growing", "it changed while it was read");
                self.add(place, path, size, None, Fate::Wait(reason));
                return Ok(());
            }
        };
        let twins = self.twins(place, &path, hash)?;
        let subject = Subject {
            path: &path,
            hash,
            size,
            duration,
            format,
            twins: &twins,
        };
        let (fate, duration) = self.becomes(place, &subject)?;
        self.add(place, path, size, duration, fate);
        if let Some(planned) = self.plan.items.last_mut() {
            planned.hash = Some(hash);
        }
        Ok(())
    }

    /// What becomes of a recording, and how much of it that is about.
    fn becomes(
        &mut self,
        place: &Place,
        subject: &Subject<'_>,
    ) -> Result<(Fate, Option<AudioDuration>), QueueError> {
        if let Some((fate, left)) = self.half_sent(subject)? {
            return Ok((fate, Some(left)));
        }
        let fate = match place.too_short(subject.duration) {
            Some(reason) => Fate::Skip(reason),
            None => self.fate(place, subject)?,
        };
        Ok((fate, subject.duration))
    }

    /// The jobs of the same recording: its own, also where that will follow it to a new name, and those of its
    /// copies.
    fn twins(
        &mut self,
        place: &Place,
        path: &Path,
        hash: ContentHash,
    ) -> Result<Twins, QueueError> {
        let Some(reader) = self.reader else {
            return Ok(Twins::default());
        };
        let settings = place.settings_of(path);
        let all = reader.twins(hash, &settings)?;
        let mut own = all
            .iter()
            .find(|twin| twin.source == path)
            .map(|twin| twin.id);
        if own.is_none() && !all.is_empty() {
            let kin = reader.kin(path, hash, &settings)?;
            let gone = follower(&kin.elsewhere, path, &mut self.followed);
            own = gone.map(|gone| gone.id);
        }
        Ok(Twins::new(all, own))
    }

    /// What becomes of a recording that was cut, of which some pieces are to be sent: how much is left of it.
    fn half_sent(
        &mut self,
        subject: &Subject<'_>,
    ) -> Result<Option<(Fate, AudioDuration)>, QueueError> {
        let Subject { path, hash, .. } = *subject;
        let (Some(reader), Some(job)) = (self.reader, subject.twins.cut(path)) else {
            return Ok(None);
        };
        let mut left = 0_u64;
        for piece in reader.pieces(job.id)? {
            // What waits for a limit is looked at again by every start.
            if piece.stage.is_to_be_sent() || matches!(piece.stage, Stage::Waiting { .. }) {
                let length = piece.duration.map_or(0, AudioDuration::micros);
                left = left.saturating_add(length);
            }
        }
        let (Some(route), true) = (job.route.clone(), left > 0) else {
            return Ok(None);
        };
        let left = AudioDuration::from_micros(left);
        let whole = self.cost(&job.settings, job.duration)?;
        if let Some(reason) = self.over_file_budget(whole) {
            return Ok(Some((Fate::Wait(reason), left)));
        }
        let fate = Fate::Send {
            route,
            cost: self.cost(&job.settings, Some(left))?,
            repeats: false,
            anew: reader.is_transcribed(path, hash)?,
        };
        Ok(Some((fate, left)))
    }

    /// Whether a file that was never seen is left alone for being there before the first start.
    fn is_left_alone(
        &mut self,
        place: &Place,
        path: &Path,
        file: &Fingerprint,
    ) -> Result<bool, QueueError> {
        if !place.leave_existing || place.is_named {
            return Ok(false);
        }
        let (root, now) = (place.root.path(), self.terms.now);
        let sight = match self.sights.get(root) {
            Some(sight) => *sight,
            None => {
                let known = self.reader.map(|reader| reader.first_seen(root));
                let sight = first_sight(place, known.transpose()?.flatten(), now);
                self.sights.insert(root.to_owned(), sight);
                sight
            }
        };
        let renamed = self.reader.map(|reader| reader.was_left_alone(file));
        Ok(sight.is_existing(file, now)
            || renamed.transpose()?.unwrap_or(false)
            || was_only_touched(self.reader, path, file)?)
    }

    fn fate(&mut self, place: &Place, subject: &Subject<'_>) -> Result<Fate, QueueError> {
        let Subject {
            path,
            hash,
            size,
            duration,
            format,
            twins,
        } = *subject;
        let known = if self.terms.force {
            self.by_force(place, path, hash, twins)
        } else {
            self.by_twins(place, path, hash, twins)?
        };
        if let Some(fate) = known {
            return Ok(fate);
        }
        let provider = place.settings.provider;
        let shape = Shape {
            provider,
            format,
            size,
            duration,
            is_decodable: true,
        };
        let route = match self.route(path, &shape, twins) {
            Ok(route) => route,
            Err(no_route) => return Ok(Fate::Wait(no_route.reason())),
        };
        if self.terms.limit.is_some_and(|limit| self.sent >= limit) {
            let reason = Reason::new("over_limit", "it is more than --limit allows for this run");
            return Ok(Fate::Wait(reason));
        }
        self.sent += 1;
        self.first
            .insert((hash, place.settings_of(path)), path.to_owned());
        let cost = if provider.is_paid() {
            self.cost(&place.settings, duration)?
        } else {
            Some(Decimal::ZERO)
        };
        if let Some(reason) = self.over_file_budget(cost) {
            return Ok(Fate::Wait(reason));
        }
        let anew = match self.reader {
            Some(reader) => reader.is_transcribed(path, hash)?,
            None => false,
        };
        Ok(Fate::Send {
            route,
            cost,
            anew,
            repeats: twins.own().is_some_and(|job| is_repeated(&job.stage)),
        })
    }

    /// Why a recording of this cost waits, if it costs more than any may.
    fn over_file_budget(&self, cost: Option<Decimal>) -> Option<Reason> {
        let (cost, limit) = cost.zip(self.terms.per_file)?;
        let text = money::over_file_budget(cost, limit);
        (cost > limit).then(|| Reason::new(Obstacle::OverFileBudget.code(), text))
    }

    /// The route of a recording: that of its job, as long as that leads to the service, else by today's terms.
    fn route(&self, path: &Path, shape: &Shape, twins: &Twins) -> Result<Chosen, NoRoute> {
        let routes = &self.terms.routes;
        let own = twins.own();
        let frozen = own.filter(|job| !matches!(job.stage, Stage::Waiting { .. }));
        let frozen = frozen.and_then(|job| job.route.clone());
        if let Some(chosen) = frozen.filter(|chosen| still_leads(chosen.route, shape, routes)) {
            return Ok(chosen);
        }
        let lacks_decoder = own.is_some_and(|job| job.stage.lacks_decoder());
        let is_decodable =
            !lacks_decoder && (!may_be_undecodable(shape, routes) || is_decodable(path));
        let shape = Shape {
            is_decodable,
            ..*shape
        };
        choose(&shape, routes)
    }

    /// What becomes of a recording that is known, here or elsewhere, or whose transcript lies there.
    fn by_twins(
        &mut self,
        place: &Place,
        path: &Path,
        hash: ContentHash,
        twins: &Twins,
    ) -> Result<Option<Fate>, QueueError> {
        if let Some(job) = twins.own() {
            let known = by_state(job);
            if known.is_some() || job.forced || is_repeated(&job.stage) {
                return Ok(known);
            }
            // It waits, as a copy of another one perhaps: that is sent once.
            let known = twins.by_copy();
            return Ok(known.or_else(|| self.by_planned(place, path, hash)));
        }
        if self.is_adopted(place, path, hash)? {
            let identity = (hash, place.settings_of(path));
            self.first
                .entry(identity)
                .or_insert_with(|| path.to_owned());
            return Ok(Some(Fate::Done));
        }
        let known = twins.of_new();
        Ok(known.or_else(|| self.by_planned(place, path, hash)))
    }

    /// What becomes of a recording that is not sent although that is asked for whatever is known: it is on
    /// its way, or has no transcript of its own to be made again and takes that of a copy.
    fn by_force(
        &self,
        place: &Place,
        path: &Path,
        hash: ContentHash,
        twins: &Twins,
    ) -> Option<Fate> {
        let own = twins.own();
        let is_renamed = own.is_some_and(|job| job.source != path);
        let known = match own.map(|job| job.stage.state()) {
            Some(State::Active | State::InDoubt) => own.and_then(by_state),
            // What is done only goes by another name.
            Some(State::Done) if is_renamed => Some(Fate::Done),
            Some(
                State::Queued | State::Waiting | State::Done | State::Failed | State::Cancelled,
            ) => None,
            None => twins.by_copy().or_else(|| twins.by_refused()),
        };
        known.or_else(|| self.by_planned(place, path, hash))
    }

    /// What becomes of the copy of a recording that is sent by this plan.
    fn by_planned(&self, place: &Place, path: &Path, hash: ContentHash) -> Option<Fate> {
        let first = self.first.get(&(hash, place.settings_of(path)))?;
        Some(Fate::Duplicate { of: first.clone() })
    }

    /// Whether the transcript of a recording that has no job would be taken up.
    fn is_adopted(
        &self,
        place: &Place,
        path: &Path,
        hash: ContentHash,
    ) -> Result<bool, QueueError> {
        let Some(found) = adopt::find(place, path, hash) else {
            return Ok(false);
        };
        match self.reader {
            Some(reader) => Ok(!reader.is_base_taken(&found.base, path)?),
            None => Ok(true),
        }
    }

    fn cost(
        &mut self,
        settings: &Settings,
        duration: Option<AudioDuration>,
    ) -> Result<Option<Decimal>, QueueError> {
        let (model, catalogue) = (&settings.model, &self.terms.catalogue);
        let price = match (self.plan.prices.get(model), self.reader) {
            (Some(price), _) => *price,
            (None, Some(reader)) => reader.price(settings, catalogue)?,
            (None, None) => Price::of(model, catalogue, None),
        };
        self.plan.prices.insert(model.clone(), price);
        Ok(price
            .zip(duration)
            .map(|(price, duration)| money::estimate(duration, price.per_minute)))
    }

    fn add(
        &mut self,
        place: &Place,
        source: PathBuf,
        size: u64,
        duration: Option<AudioDuration>,
        fate: Fate,
    ) {
        let root = place.root.path().to_owned();
        self.plan.items.push(Planned {
            source,
            root,
            provider: place.settings.provider,
            model: place.settings.model.clone(),
            size,
            duration,
            hash: None,
            fate,
        });
    }
}
