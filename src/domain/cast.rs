//! Who the voices are: names that people give to the labels of a service.
//!
//! Names come in layers, the nearest first: those of the recording itself, then those of its folder and
//! of the folders above. Labels that are given one name are one person.

use std::collections::BTreeMap;

use super::transcript::{Speaker, SpeakerId, Transcript, sentences};

/// The longest name, in characters.
pub const LONGEST_NAME: usize = 80;
/// The most labels that are named to somebody who has written another.
const MOST_MET: usize = 12;

/// A text that cannot be somebody's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// It has a line end or another control character.
    #[error("a name is one line without control characters")]
    Control,
    /// It is too long.
    #[error("a name has at most {LONGEST_NAME} characters")]
    Long,
}

/// A name without white space around it; empty for none.
///
/// # Errors
/// [`NotAName`] for what no output could show on one line.
pub fn name(text: &str) -> Result<String, NotAName> {
    let text = text.trim();
    if text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(NotAName::Control);
    }
    if text.chars().count() > LONGEST_NAME {
        return Err(NotAName::Long);
    }
    Ok(text.to_owned())
}

/// Names by label, in layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cast {
    layers: Vec<BTreeMap<String, String>>,
}

impl Cast {
    /// Lays names below those that are there; an empty name is no name, whatever stands further below.
    pub fn lay_below<L: AsRef<str>, N: Into<String>>(
        &mut self,
        names: impl IntoIterator<Item = (L, N)>,
    ) {
        let layer: BTreeMap<String, String> = names
            .into_iter()
            .map(|(label, name)| (plain(label.as_ref()), name.into()))
            .collect();
        if !layer.is_empty() {
            self.layers.push(layer);
        }
    }

    /// The layers, the nearest first.
    pub fn layers(&self) -> &[BTreeMap<String, String>] {
        &self.layers
    }

    /// These names above those of another cast.
    #[must_use]
    pub fn above(mut self, below: &Self) -> Self {
        self.layers.extend(below.layers.iter().cloned());
        self
    }

    /// What a speaker is called, by the service's label or else by the number.
    pub fn name_of(&self, speaker: &Speaker) -> Option<&str> {
        let (label, id) = (plain(&speaker.label), plain(&speaker.id.to_string()));
        let name = self
            .layers
            .iter()
            .find_map(|layer| layer.get(&label).or_else(|| layer.get(&id)))?;
        Some(name.as_str()).filter(|name| !name.is_empty())
    }

    /// Names the speakers of a transcript, and makes one of those who have the same name.
    pub fn name_speakers(&self, transcript: &mut Transcript) {
        for speaker in &mut transcript.speakers {
            if let Some(name) = self.name_of(speaker) {
                speaker.name = Some(name.to_owned());
            }
        }
        transcript.unite_namesakes();
    }
}

/// Somebody who speaks, as people know them: perhaps under several labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The number in the outputs.
    pub id: SpeakerId,
    /// What the service calls them.
    pub labels: Vec<String>,
    /// What people call them.
    pub name: Option<String>,
    /// How long they speak, in seconds.
    pub seconds: f64,
    /// How often they take the word.
    pub turns: usize,
    /// Their first sentence.
    pub first: String,
}

/// Everybody who speaks in a transcript without names, as a cast names them.
pub fn people(transcript: &Transcript, cast: &Cast) -> Vec<Person> {
    let called = |speaker: &Speaker| cast.name_of(speaker).unwrap_or(&speaker.label).to_owned();
    let labels: Vec<(String, String)> = transcript
        .speakers
        .iter()
        .map(|speaker| (called(speaker), speaker.label.clone()))
        .collect();
    let mut named = transcript.clone();
    cast.name_speakers(&mut named);
    let first = |id: SpeakerId| {
        let turn = named.turns().find(|turn| turn.speaker == Some(id));
        let text = turn.map(|turn| turn.text()).unwrap_or_default();
        sentences(&text)
            .first()
            .copied()
            .unwrap_or_default()
            .to_owned()
    };
    let person = |speaker: &Speaker| Person {
        id: speaker.id,
        labels: labels
            .iter()
            .filter(|(name, _)| name == speaker.display_name())
            .map(|(_, label)| label.clone())
            .collect(),
        name: speaker.name.clone(),
        seconds: speaker.seconds,
        turns: speaker.turns,
        first: first(speaker.id),
    };
    named.speakers.iter().map(person).collect()
}

/// Labels of a file of names that nobody was found to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// Those that are still without an owner, as they are written.
    pub labels: Vec<String>,
    /// Who there is, in the order in which they were met.
    pub met: Vec<String>,
}

impl Unclaimed {
    /// All of these labels, before anybody is met.
    pub fn of(labels: impl IntoIterator<Item = String>) -> Self {
        Self {
            labels: labels.into_iter().collect(),
            met: Vec::new(),
        }
    }

    /// Meets the speakers of a transcript without names.
    pub fn meet(&mut self, transcript: &Transcript) {
        for speaker in &transcript.speakers {
            let (label, id) = (plain(&speaker.label), plain(&speaker.id.to_string()));
            self.labels
                .retain(|wanted| ![&label, &id].contains(&&plain(wanted)));
            if self.met.len() < MOST_MET && !self.met.contains(&speaker.label) {
                self.met.push(speaker.label.clone());
            }
        }
    }
}

/// What cannot be assigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAssignment {
    /// There is no equals sign.
    #[error("`{0}` gives no name: write LABEL=NAME, or LABEL= to take one away")]
    NoEquals(String),
    /// Nobody is called so.
    #[error("nobody here is called `{label}`: there are {known}")]
    Unknown {
        /// What was asked for.
        label: String,
        /// Who there is.
        known: String,
    },
    /// The name cannot be used.
    #[error("`{label}`: {error}")]
    Name {
        /// Whose it would be.
        label: String,
        /// Why not.
        error: NotAName,
    },
}

/// The labels that `LABEL=NAME` names, each with its name, which is empty where one is taken away.
///
/// LABEL is a label, a number such as `SPEAKER_00`, or a name; and so may NAME be: then both are one.
///
/// # Errors
/// [`BadAssignment`] for what names nobody.
pub fn assign(people: &[Person], text: &str) -> Result<Vec<(String, String)>, BadAssignment> {
    let (label, given) = text
        .split_once('=')
        .ok_or_else(|| BadAssignment::NoEquals(text.to_owned()))?;
    let label = label.trim();
    let labels = labels_of(people, label).ok_or_else(|| BadAssignment::Unknown {
        label: label.to_owned(),
        known: known(people),
    })?;
    let given = name(given).map_err(|error| BadAssignment::Name {
        label: label.to_owned(),
        error,
    })?;
    let same = find(people, &given).map(Person::display_name);
    let named = same.unwrap_or(&given);
    let is_own = |label: &String| label.as_str() == named;
    let pairs = labels.iter().map(|label| {
        // A label that is called as it is has no name.
        let name = if is_own(label) { "" } else { named };
        (label.clone(), name.to_owned())
    });
    Ok(pairs.collect())
}

impl Person {
    /// Their name, else their first label.
    pub fn display_name(&self) -> &str {
        let label = self.labels.first().map_or("", String::as_str);
        self.name.as_deref().unwrap_or(label)
    }
}

/// The labels that are meant: one by its own name, else all of a person.
fn labels_of(people: &[Person], wanted: &str) -> Option<Vec<String>> {
    let labels = people.iter().flat_map(|person| &person.labels);
    let one = labels.clone().find(|label| is_same_label(label, wanted));
    match one {
        Some(label) => Some(vec![label.clone()]),
        None => find(people, wanted).map(|person| person.labels.clone()),
    }
}

/// Who has this label, number or name.
fn find<'a>(people: &'a [Person], wanted: &str) -> Option<&'a Person> {
    let has_label = |person: &&Person| {
        person
            .labels
            .iter()
            .any(|label| is_same_label(label, wanted))
    };
    let is_called = |person: &&Person| {
        person.id.to_string().eq_ignore_ascii_case(wanted) || person.name.as_deref() == Some(wanted)
    };
    if wanted.is_empty() {
        return None;
    }
    people
        .iter()
        .find(has_label)
        .or_else(|| people.iter().find(is_called))
}

fn known(people: &[Person]) -> String {
    let each = people.iter().map(|person| {
        let labels = person.labels.join(", ");
        match &person.name {
            Some(name) => format!("{} ({labels}, now {name})", person.id),
            None => format!("{} ({labels})", person.id),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A label as it is compared: capitals and white space make no difference. All else does: services call
/// the second speaker `speaker_1` and the first one `Speaker 1`.
pub(crate) fn plain(label: &str) -> String {
    let words: Vec<String> = label.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// Whether two labels are one, but for capitals, spaces and punctuation.
pub fn is_same_label(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::{Heard, HeardWord, SpeakerId};

    fn talk(voices: &[&str]) -> Transcript {
        let words = voices.iter().zip(0_u32..).map(|(voice, at)| HeardWord {
            text: format!("word{at}."),
            start: Some(f64::from(at)),
            end: Some(f64::from(at) + 0.5),
            speaker: Some((*voice).to_owned()),
            ..HeardWord::default()
        });
        let heard = Heard {
            words: words.collect(),
            ..Heard::default()
        };
        Transcript::from_heard(heard, Some(60.0))
    }

    fn cast(names: &[(&str, &str)]) -> Cast {
        let mut cast = Cast::default();
        cast.lay_below(names.iter().copied());
        cast
    }

    fn shown(transcript: &Transcript) -> Vec<&str> {
        transcript
            .turns()
            .filter_map(|turn| transcript.speaker_name(turn.speaker?))
            .collect()
    }

    #[test]
    fn a_label_is_known_whatever_its_capitals_and_by_its_number() {
        let mut transcript = talk(&["Speaker 1", "Speaker 2"]);
        cast(&[("speaker  1", "Ada"), ("SPEAKER_01", "Bob")]).name_speakers(&mut transcript);
        assert_eq!(shown(&transcript), ["Ada", "Bob"]);
    }

    #[test]
    fn the_second_speaker_of_a_service_that_counts_from_0_is_not_the_first_of_one_that_does_not() {
        let mut transcript = talk(&["speaker_0", "speaker_1"]);
        cast(&[("Speaker 1", "Ada")]).name_speakers(&mut transcript);
        assert_eq!(shown(&transcript), ["speaker_0", "speaker_1"]);
    }

    #[test]
    fn the_nearest_name_wins_and_an_empty_one_hides_what_lies_below() {
        let mut names = cast(&[("a", "Ada"), ("b", "")]);
        names.lay_below([("a", "Eve"), ("b", "Bob"), ("c", "Cy")]);
        let mut transcript = talk(&["a", "b", "c"]);
        names.name_speakers(&mut transcript);
        assert_eq!(shown(&transcript), ["Ada", "b", "Cy"]);
    }

    #[test]
    fn labels_with_one_name_are_one_speaker() {
        let mut transcript = talk(&["a", "b", "c", "a"]);
        cast(&[("a", "Ada"), ("b", "Ada")]).name_speakers(&mut transcript);
        assert_eq!(shown(&transcript), ["Ada", "c", "Ada"]);
        let ada = &transcript.speakers[0];
        assert_eq!((ada.turns, ada.seconds), (2, 1.5));
        assert_eq!(transcript.speakers[1].id, SpeakerId(1));
        let words = transcript.segments.iter().flat_map(|one| &one.words);
        assert!(words.clone().all(|word| word.speaker.is_some()));
        assert_eq!(transcript.segments[1].words[0].speaker, Some(SpeakerId(0)));
    }

    #[test]
    fn a_label_can_be_given_to_another_label() {
        let mut transcript = talk(&["a", "b"]);
        cast(&[("b", "a")]).name_speakers(&mut transcript);
        assert_eq!(shown(&transcript), ["a"]);
    }

    /// What assignments make of the names of a talk, one after the other.
    fn assigned(transcript: &Transcript, texts: &[&str]) -> Result<Vec<String>, BadAssignment> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let cast_of = |names: &BTreeMap<String, String>| {
            let mut cast = Cast::default();
            cast.lay_below(
                names
                    .iter()
                    .filter(|(_, name)| !name.is_empty())
                    .map(|(a, b)| (a, b.as_str())),
            );
            cast
        };
        for text in texts {
            names.extend(assign(&people(transcript, &cast_of(&names)), text)?);
        }
        let shown = people(transcript, &cast_of(&names)).into_iter();
        Ok(shown
            .map(|person| format!("{}: {}", person.display_name(), person.labels.join("+")))
            .collect())
    }

    #[test]
    fn speakers_are_named_joined_and_parted_by_label_number_or_name() {
        let talk = talk(&["Speaker 1", "Speaker 2", "Speaker 3"]);
        let after = |texts: &[&str]| assigned(&talk, texts).unwrap();
        assert_eq!(
            after(&["speaker 1=Ada", "SPEAKER_01=Bob"]),
            ["Ada: Speaker 1", "Bob: Speaker 2", "Speaker 3: Speaker 3"]
        );
        let joined = ["Ada: Speaker 1+Speaker 3", "Speaker 2: Speaker 2"];
        assert_eq!(after(&["Speaker 1=Ada", "Speaker 3=Ada"]), joined);
        assert_eq!(after(&["Speaker 1=Ada", "Speaker 3=Speaker 1"]), joined);
        assert_eq!(
            after(&["Speaker 3=SPEAKER_00", "SPEAKER_00=Eve"]),
            ["Eve: Speaker 1+Speaker 3", "Speaker 2: Speaker 2"]
        );
        assert_eq!(
            after(&["Speaker 1=Ada", "Speaker 3=Ada", "Speaker 1=", "Ada=Cy"]),
            [
                "Speaker 1: Speaker 1",
                "Speaker 2: Speaker 2",
                "Cy: Speaker 3"
            ]
        );
        assert_eq!(after(&["Speaker 1=Speaker 1"])[0], "Speaker 1: Speaker 1");
    }

    #[test]
    fn an_assignment_to_nobody_says_who_there_is() {
        let talk = talk(&["a", "b"]);
        let wrong = |text: &str| assigned(&talk, &[text]).unwrap_err().to_string();
        assert!(wrong("c=Ada").contains("SPEAKER_00 (a), SPEAKER_01 (b)"));
        assert!(wrong("a").contains("LABEL=NAME"));
        assert!(wrong("a=x\ny").contains("one line"));
        assert!(assigned(&talk, &["=x"]).is_err());
    }

    #[test]
    fn labels_that_nobody_has_are_left_over_with_those_that_there_are() {
        let written = ["speaker  1", "SPEAKER_02", "Speaker 9", "speaker_1"];
        let mut unclaimed = Unclaimed::of(written.map(str::to_owned));
        unclaimed.meet(&talk(&["Speaker 1", "Speaker 2"]));
        assert_eq!(unclaimed.labels, ["SPEAKER_02", "Speaker 9", "speaker_1"]);
        unclaimed.meet(&talk(&["Speaker 2", "a", "b"]));
        assert_eq!(unclaimed.labels, ["Speaker 9", "speaker_1"]);
        assert_eq!(unclaimed.met, ["Speaker 1", "Speaker 2", "a", "b"]);
    }

    #[test]
    fn what_cannot_stand_on_a_line_is_no_name() {
        assert_eq!(name(" Ada "), Ok("Ada".to_owned()));
        assert_eq!(name("A\nB"), Err(NotAName::Control));
        assert_eq!(name("A\u{1b}[2J"), Err(NotAName::Control));
        assert_eq!(name(&"a".repeat(81)), Err(NotAName::Long));
    }
}
