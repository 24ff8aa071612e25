//! `stenod speakers`: who speaks in a recording, and what they are called.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::output::{clean, quoted, shown};
use super::{Failure, Session, SpeakersArguments, exit, nobody, orders, render, show, view};
use crate::config::{self, Config};
use crate::control::{Answer, Order};
use crate::domain::audio::AudioDuration;
use crate::domain::cast::{self, Cast, Person};
use crate::domain::job::{Job, Stage};
use crate::domain::style::Style;
use crate::domain::transcript::{Span, Transcript};
use crate::notes::Notes;
use crate::pipeline::plain;
use crate::queue::Reader;
use crate::speech::services;

/// How much of a first sentence is shown, in characters.
const SHOWN_OF_A_SENTENCE: usize = 60;

/// A recording without names, and the names that it has by now.
struct Talk {
    job: Job,
    transcript: Transcript,
    own: BTreeMap<String, String>,
    noted: Style,
    warnings: Vec<String>,
    /// What has to be done before a service can be asked, where there is no key for it.
    key_wanted: Option<String>,
    /// The service to be named, where the configuration asks for none that tells speakers apart.
    provider: Option<&'static str>,
}

pub(super) async fn execute(
    session: &Session,
    arguments: &SpeakersArguments,
) -> Result<u8, Failure> {
    let config = session.config()?;
    let Some(reader) = Reader::open(&config.state_dir)? else {
        return Err(show::unknown(&arguments.job));
    };
    let mut talk = Talk::read(&reader, &arguments.job)?;
    drop(reader);
    let jobs = vec![talk.job.clone()];
    talk.warnings = nobody::warnings(&config, &jobs)?;
    talk.key_wanted = lacks_key(&config);
    talk.provider = asks_another(&config);
    if arguments.names.is_empty() {
        talk.say(session)?;
        return Ok(exit::DONE);
    }
    if talk.transcript.speakers.is_empty() {
        let error = anyhow::anyhow!(
            "the transcript of {} tells nobody apart, so there is nobody to name",
            shown(&talk.job.source)
        );
        let first = talk.key_wanted.as_ref();
        let first = first.map_or(String::new(), |wanted| format!("; for that {wanted} first"));
        return Err(Failure::new(exit::USAGE, error).hint(format!(
            "`{}` asks a model that does, and pays for it once more{first}",
            talk.told_apart()
        )));
    }
    let mut changes: BTreeMap<String, String> = BTreeMap::new();
    for text in &arguments.names {
        let given =
            cast::assign(&talk.people(), text).map_err(|error| Failure::new(exit::USAGE, error))?;
        changes.extend(given.iter().cloned());
        talk.own.extend(given);
    }
    let order = Order::Speakers {
        job: talk.job.id,
        names: changes.into_iter().collect(),
    };
    let Answer::Speakers = orders::carry_out(session, &config, &order).await? else {
        return Err(orders::unexpected());
    };
    let report = render::render(session, &config, jobs, &render::How::default()).await?;
    if session.output.json() {
        let mut document = talk.json();
        if let (Value::Object(document), Value::Object(written)) =
            (&mut document, render::document(&report, 0, &talk.warnings))
        {
            document.extend(written);
        }
        session.output.document(&document)?;
    } else {
        session.output.say(&talk.text())?;
        render::say(session, &report, 0, &talk.warnings)?;
    }
    Ok(render::code(&report))
}

impl Talk {
    fn read(reader: &Reader<'_>, named: &Path) -> Result<Self, Failure> {
        let job = show::find(reader, named)?.ok_or_else(|| {
            let unknown = show::unknown(named);
            if named.is_dir() {
                unknown.hint("a folder has a file speakers.toml: see `stenod speakers --help`")
            } else {
                unknown
            }
        })?;
        // What was asked for once more with other settings leaves what is there.
        let job = match reader.done_at(&job.source)? {
            Some(done) if !matches!(job.stage, Stage::Done { .. }) => done,
            Some(_) | None => job,
        };
        let Stage::Done { reply } = job.stage else {
            let state = job.stage.state();
            let error = anyhow::anyhow!(
                "{} is not transcribed yet: it is {state}",
                shown(&job.source)
            );
            let failure = Failure::new(exit::UNEXPECTED, error).named("not_transcribed");
            return Err(match view::way_out(&job) {
                Some(way) => failure.hint(format!("`{}`: {}", way.command, way.note)),
                None => failure.hint(format!(
                    "`stenod show {}` says where it is; the names can be given when it is done",
                    job.id
                )),
            });
        };
        let document = plain(&job, reader.reply(reply)?).map_err(anyhow::Error::new)?;
        Ok(Self {
            transcript: document.transcript,
            own: reader.names(job.id)?.into_iter().collect(),
            noted: Notes::default().of(&job.source).style,
            warnings: Vec::new(),
            key_wanted: None,
            provider: None,
            job,
        })
    }

    fn people(&self) -> Vec<Person> {
        let names = self.own.iter().filter(|(_, name)| !name.is_empty());
        let mut cast = Cast::default();
        cast.lay_below(names.map(|(label, name)| (label, name.as_str())));
        cast::people(&self.transcript, &cast.above(&self.noted.cast))
    }

    fn say(&self, session: &Session) -> Result<(), Failure> {
        if session.output.json() {
            session.output.document(&self.json())?;
        } else if self.transcript.speakers.is_empty() {
            session
                .output
                .say("the transcript tells nobody apart; a model that does is asked with:")?;
            let again = self.told_apart();
            let page = session.output.page_for_talk();
            let note = match &self.key_wanted {
                Some(wanted) => format!("pays for it; {wanted} first"),
                None => "pays for it once more".to_owned(),
            };
            let line = page.command("  ", &again, &note);
            session.output.say_whole(&line)?;
        } else {
            session.output.data(&(self.text() + "\n"))?;
        }
        if !session.output.json() {
            nobody::say(session, &self.warnings)?;
        }
        Ok(())
    }

    /// The command that has the speakers of this recording told apart.
    fn told_apart(&self) -> String {
        let provider = self.provider.map(|name| format!("--provider {name} "));
        format!(
            "stenod run --force {}-m Elevenlabs-STT --diarize {}",
            provider.unwrap_or_default(),
            quoted(&self.job.source)
        )
    }

    /// A line for each speaker.
    fn text(&self) -> String {
        let people = self.people();
        let called = |person: &Person| {
            let labels = person
                .labels
                .iter()
                .map(|label| clean(label))
                .collect::<Vec<_>>()
                .join(", ");
            match &person.name {
                Some(name) => format!("{} ({labels})", clean(name)),
                None => labels,
            }
        };
        let width = people
            .iter()
            .map(|person| called(person).chars().count())
            .max();
        let lines = people.iter().map(|person| {
            let time = AudioDuration::from_micros(
                Span::new(0.0, person.seconds).end_milliseconds() * 1000,
            );
            let turns = if person.turns == 1 { "turn " } else { "turns" };
            format!(
                "{}  {:<width$}  {:>8}  {:>4} {turns}  {}",
                person.id,
                called(person),
                time.to_string(),
                person.turns,
                begin(&person.first),
                width = width.unwrap_or_default(),
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> Value {
        let speakers: Value = self
            .people()
            .iter()
            .map(|person| {
                json!({
                    "id": person.id, "labels": person.labels, "name": person.name,
                    "seconds": person.seconds, "turns": person.turns, "first": person.first,
                })
            })
            .collect();
        json!({
            "id": self.job.id.0, "source": view::path(&self.job.source), "speakers": speakers,
            "warnings": self.warnings,
        })
    }
}

/// The begin of a sentence.
fn begin(sentence: &str) -> String {
    let mut begin: String = clean(sentence).chars().take(SHOWN_OF_A_SENTENCE).collect();
    if begin.chars().count() < sentence.chars().count() {
        begin.push('…');
    }
    begin
}

/// What has to be done before the service can be asked.
fn lacks_key(config: &Config) -> Option<String> {
    let has_key = config.service.key.is_some();
    (!has_key).then(|| {
        format!(
            "put a key into {}, or `stenod init --key-file -`,",
            services::USUAL.key_variable
        )
    })
}

/// The usual service, where the configuration names somebody else to recognise.
fn asks_another(config: &Config) -> Option<&'static str> {
    let provider = config.service.provider;
    let is_usual = [
        config::Provider::Auto,
        config::Provider::Service(services::USUAL),
    ];
    (!is_usual.contains(&provider)).then(|| services::USUAL.provider.name())
}
