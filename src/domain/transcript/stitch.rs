//! Puts the transcripts of a recording's pieces together into one, with the times of the whole.
//!
//! Every word stands there once and in order. A piece without a transcript is a hole: a segment that
//! is marked and says so in the text, and a warning. Speakers are told apart within a piece only, so
//! `speaker_0` of piece 2 is called `2:speaker_0`: nobody knows whether it is that of piece 1. The
//! times are as exact as those of the weakest piece.

use std::collections::HashMap;

use super::align::letters;
use super::sentences::append;
use super::{
    AudioEvent, Presence, Segment, Span, Speaker, SpeakerId, Timing, Transcript, Warning,
    WarningCode, Word,
};
use crate::domain::cut::Stretch;

/// A piece of a recording and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeardPiece {
    /// What it holds.
    pub stretch: Stretch,
    /// Its transcript, with times from its own start; or why there is none, in a few words.
    pub heard: Result<Transcript, String>,
}

impl Transcript {
    /// The transcript of a whole recording out of its pieces, in any order.
    #[must_use]
    pub fn stitched(mut pieces: Vec<HeardPiece>) -> Self {
        pieces.sort_by_key(|piece| piece.stretch.start);
        if let [only] = pieces.as_mut_slice()
            && let Ok(transcript) = &mut only.heard
            && only.stretch.start == 0
        {
            return give_piece_times(std::mem::replace(transcript, empty()), whole(only.stretch));
        }
        let mut stitcher = Stitcher::of(&pieces);
        for (position, piece) in pieces.into_iter().enumerate() {
            let place = Place {
                number: position + 1,
                span: whole(piece.stretch),
            };
            match piece.heard {
                Ok(transcript) => stitcher.take(&place, transcript),
                Err(reason) => stitcher.leave_hole(&place, &reason),
            }
        }
        stitcher.end()
    }

    /// Whether a piece is missing.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.segments.iter().any(|segment| segment.missing)
    }
}

/// From the start to the end of a stretch.
fn whole(stretch: Stretch) -> Span {
    Span::new(stretch.begins().seconds(), stretch.ends().seconds())
}

fn empty() -> Transcript {
    Transcript {
        text: String::new(),
        language: None,
        duration: None,
        segments: Vec::new(),
        speakers: Vec::new(),
        presences: Vec::new(),
        events: Vec::new(),
        timing: Timing::None,
        warnings: Vec::new(),
    }
}

/// Gives what has no times those of its piece, whose own times begin at 0; several segments share
/// them by the length of their text.
fn give_piece_times(mut transcript: Transcript, piece: Span) -> Transcript {
    if transcript.timing != Timing::None || transcript.is_empty() {
        return transcript;
    }
    transcript.timing = Timing::Pieces;
    if transcript.segments.is_empty() {
        let text = transcript.text.clone();
        transcript.segments.push(segment(text, None));
    }
    let weight = |segment: &Segment| to_number(segment.text.chars().count() + 1);
    let all: f64 = transcript.segments.iter().map(weight).sum();
    let mut passed = 0.0;
    for segment in &mut transcript.segments {
        let start = passed;
        passed += weight(segment);
        let moment = |part: f64| piece.seconds() * part / all;
        segment.span = Some(Span::new(moment(start), moment(passed)));
    }
    transcript
}

/// A count as a number to reckon with.
fn to_number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn segment(text: String, span: Option<Span>) -> Segment {
    Segment {
        id: 0,
        span,
        speaker: None,
        text,
        spaced: false,
        words: Vec::new(),
        missing: false,
    }
}

/// Where a piece lies in the recording.
struct Place {
    /// Counts from 1.
    number: usize,
    span: Span,
}

impl Place {
    /// The same moments from the start of the recording, none outside of the piece.
    fn shifted(&self, span: Span) -> Span {
        let shift =
            |moment: f64| (self.span.start() + moment).clamp(self.span.start(), self.span.end());
        Span::new(shift(span.start()), shift(span.end()))
    }

    /// `10:00 to 20:00`.
    fn times(&self) -> String {
        format!("{} to {}", clock(self.span.start()), clock(self.span.end()))
    }
}

/// Minutes and seconds, and hours where there are some: `1:02:03`.
pub(super) fn clock(moment: f64) -> String {
    let seconds = Span::new(moment, moment).start_milliseconds() / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The transcript that grows piece by piece.
struct Stitcher {
    stitched: Transcript,
    /// All pieces.
    count: usize,
    /// Pieces in which speakers are told apart.
    with_speakers: usize,
    /// The timing of the weakest piece in which something was said.
    weakest: Option<Timing>,
    /// Letters by the name of their language, in the order of first words.
    languages: Vec<(String, usize)>,
    /// The warnings of the pieces: the first of each kind, and how many more pieces have it.
    warned: Vec<(Warning, usize)>,
}

impl Stitcher {
    fn of(pieces: &[HeardPiece]) -> Self {
        let duration = pieces.last().map(|last| whole(last.stretch).end());
        Self {
            stitched: Transcript {
                duration,
                ..empty()
            },
            count: pieces.len(),
            with_speakers: 0,
            weakest: None,
            languages: Vec::new(),
            warned: Vec::new(),
        }
    }

    fn take(&mut self, place: &Place, transcript: Transcript) {
        let piece = Span::new(0.0, place.span.seconds());
        let transcript = give_piece_times(transcript, piece);
        self.weigh(&transcript);
        self.warn(place, &transcript.warnings);
        if !transcript.text.is_empty() {
            append(&mut self.stitched.text, &transcript.text);
        }
        let renamed = self.add_speakers(place, transcript.speakers);
        let speaker = |id: Option<SpeakerId>| renamed.get(&id?).copied();
        for segment in transcript.segments {
            let words = segment.words.into_iter().map(|word| Word {
                span: word.span.map(|span| place.shifted(span)),
                speaker: speaker(word.speaker),
                ..word
            });
            self.push(Segment {
                span: segment.span.map(|span| place.shifted(span)),
                speaker: speaker(segment.speaker),
                words: words.collect(),
                ..segment
            });
        }
        let presences = transcript.presences.into_iter().filter_map(|presence| {
            Some(Presence {
                span: place.shifted(presence.span),
                speaker: speaker(Some(presence.speaker))?,
            })
        });
        self.stitched.presences.extend(presences);
        let events = transcript.events.into_iter().map(|event| AudioEvent {
            span: event.span.map(|span| place.shifted(span)),
            ..event
        });
        self.stitched.events.extend(events);
    }

    fn leave_hole(&mut self, place: &Place, reason: &str) {
        let times = place.times();
        let text = format!("[missing from {times}.]");
        append(&mut self.stitched.text, &text);
        self.push(Segment {
            missing: true,
            ..segment(text, Some(place.span))
        });
        let (number, count) = (place.number, self.count);
        self.stitched.warnings.push(Warning {
            code: WarningCode::PieceMissing,
            message: format!("piece {number} of {count} ({times}) is missing: {reason}"),
        });
    }

    fn push(&mut self, segment: Segment) {
        let id = self.stitched.segments.len();
        self.stitched.segments.push(Segment { id, ..segment });
    }

    /// Notes how exact the times of a piece are, and its language.
    fn weigh(&mut self, transcript: &Transcript) {
        if transcript.is_empty() {
            return;
        }
        let timing = transcript.timing;
        self.weakest = Some(
            self.weakest
                .map_or(timing, |weakest| weaker(weakest, timing)),
        );
        let Some(language) = &transcript.language else {
            return;
        };
        let count = letters(&transcript.text).count();
        match self.languages.iter_mut().find(|(name, _)| name == language) {
            Some((_, sum)) => *sum += count,
            None => self.languages.push((language.clone(), count)),
        }
    }

    /// Takes the speakers of a piece as others than those before, and gives their new numbers.
    fn add_speakers(
        &mut self,
        place: &Place,
        speakers: Vec<Speaker>,
    ) -> HashMap<SpeakerId, SpeakerId> {
        self.with_speakers += usize::from(!speakers.is_empty());
        let mut renamed = HashMap::new();
        for speaker in speakers {
            let id = SpeakerId(self.stitched.speakers.len());
            renamed.insert(speaker.id, id);
            let label = format!("{}:{}", place.number, speaker.label);
            self.stitched.speakers.push(Speaker {
                id,
                label,
                ..speaker
            });
        }
        renamed
    }

    fn warn(&mut self, place: &Place, warnings: &[Warning]) {
        for warning in warnings {
            let mut known = self.warned.iter_mut();
            match known.find(|(known, _)| known.code == warning.code) {
                Some((_, more)) => *more += 1,
                None => {
                    let message = format!("piece {}: {}", place.number, warning.message);
                    let code = warning.code;
                    self.warned.push((Warning { code, message }, 0));
                }
            }
        }
    }

    fn end(self) -> Transcript {
        let Self {
            mut stitched,
            with_speakers,
            weakest,
            languages,
            warned,
            ..
        } = self;
        let holes = stitched.is_incomplete().then_some(Timing::Pieces);
        stitched.timing = weakest.or(holes).unwrap_or(Timing::None);
        let most = languages
            .into_iter()
            .reduce(|most, next| if next.1 > most.1 { next } else { most });
        stitched.language = most.map(|(name, _)| name);
        stitched.warnings.extend(kept_apart(with_speakers));
        let warned = warned.into_iter().map(|(warning, more)| match more {
            0 => warning,
            _ => Warning {
                message: format!("{} (and {more} more of the kind)", warning.message),
                ..warning
            },
        });
        stitched.warnings.extend(warned);
        stitched.mark_spaces();
        stitched
    }
}

fn kept_apart(pieces: usize) -> Option<Warning> {
    let message = format!(
        "speakers are told apart within each of {pieces} pieces only: one person has a label in \
         every piece; give all of them the same name"
    );
    (pieces > 1).then_some(Warning {
        code: WarningCode::SpeakersUnmatched,
        message,
    })
}

/// The less exact of two.
fn weaker(left: Timing, right: Timing) -> Timing {
    let rank = |timing: Timing| match timing {
        Timing::Words => 0,
        Timing::Segments => 1,
        Timing::Pieces => 2,
        Timing::None => 3,
    };
    if rank(right) > rank(left) {
        right
    } else {
        left
    }
}

#[cfg(test)]
mod tests;
