//! Sets stenod's captions beside those of a greedy writer, on the same words: `benches/compare/captions.sh`.
//!
//! `cargo run --release --example captions -- TRANSCRIPT.json…` prints the table of `docs/captions.md`.
//! The greedy writer follows what openai-whisper does with `--max_line_width 42 --max_line_count 2`: lines
//! are filled one after the other, two make a caption, and only a pause of three seconds ends one early.
//! Without these flags a caption is a segment.

use anyhow::Context as _;
use stenod::domain::captions::{Naming, Profile, cues};
use stenod::domain::render;
use stenod::domain::transcript::{Heard, HeardWord, Segment, Transcript};

/// The pause that ends a greedy caption, in milliseconds.
const GREEDY_PAUSE: u64 = 3000;
/// The pause that ends any caption people like to read, in milliseconds.
const PAUSE: u64 = 800;
/// Words that belong to what follows: a break behind them tears a phrase apart.
const LEADING: [&str; 40] = [
    "a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "from", "with", "into", "upon",
    "over", "and", "or", "but", "nor", "that", "which", "who", "as", "if", "than", "my", "your",
    "his", "her", "its", "our", "their", "i", "he", "she", "it", "we", "they", "was", "were",
];

/// A word and when it is said, in milliseconds.
#[derive(Debug, Clone)]
struct Spoken {
    text: String,
    start: u64,
    end: u64,
}

/// A caption of any writer.
#[derive(Debug, Clone)]
struct Caption {
    start: u64,
    end: u64,
    lines: Vec<String>,
}

/// A recording's words in their segments.
struct Talk(Vec<Vec<Spoken>>);

fn main() -> anyhow::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!files.is_empty(), "usage: captions TRANSCRIPT.json…");
    let talks = files
        .iter()
        .map(|file| talk(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ours: Vec<_> = talks.iter().map(dynamic).collect::<anyhow::Result<_>>()?;
    let greedy: Vec<_> = talks.iter().map(greedy).collect();
    let segments: Vec<_> = talks.iter().map(segments).collect();
    let words: Vec<Vec<Spoken>> = talks.iter().map(|talk| talk.0.concat()).collect();
    let mut table =
        String::from("| | stenod | Whisper, 42 × 2 | Whisper, unset |\n|---|---:|---:|---:|\n");
    for (name, measure) in MEASURES {
        let all = |captions: &[Vec<Caption>]| measure(captions, &words);
        table.push_str(&format!(
            "| {name} | {} | {} | {} |\n",
            all(&ours),
            all(&greedy),
            all(&segments)
        ));
    }
    #[expect(clippy::print_stdout, reason = "this is its result")]
    {
        print!("{table}");
    }
    Ok(())
}

/// The words of a transcript; where only segments have times they are spread over them by length.
fn talk(file: &str) -> anyhow::Result<Talk> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
    let document = render::read(&bytes).with_context(|| format!("{file} is no transcript"))?;
    let spread = |segment: Segment| {
        if let Some(words) = timed(&segment) {
            return Ok(words);
        }
        let span = segment.span.context("a segment has no times")?;
        let (start, end) = (span.start_milliseconds(), span.end_milliseconds());
        let length = |text: &str| text.chars().count() as u64 + 1;
        let whole: u64 = segment.text.split_whitespace().map(length).sum();
        let mut passed = 0;
        let words = segment.text.split_whitespace().map(|text| {
            let moment = |passed: u64| start + (end - start) * passed / whole;
            let begin = moment(passed);
            passed += length(text);
            Spoken {
                text: text.to_owned(),
                start: begin,
                end: moment(passed),
            }
        });
        Ok(words.collect())
    };
    let segments = document.transcript.segments.into_iter().map(spread);
    Ok(Talk(segments.collect::<anyhow::Result<_>>()?))
}

/// The words of a segment, where each has times of its own.
fn timed(segment: &Segment) -> Option<Vec<Spoken>> {
    let words = segment.words.iter().map(|word| {
        let span = word.span?;
        Some(Spoken {
            text: word.text.clone(),
            start: span.start_milliseconds(),
            end: span.end_milliseconds(),
        })
    });
    (!segment.words.is_empty()).then(|| words.collect())?
}

fn dynamic(talk: &Talk) -> anyhow::Result<Vec<Caption>> {
    let seconds = |milliseconds: u64| Some(milliseconds as f64 / 1000.0);
    let words = talk.0.concat().into_iter().map(|word| HeardWord {
        text: word.text,
        start: seconds(word.start),
        end: seconds(word.end),
        ..HeardWord::default()
    });
    let heard = Heard {
        words: words.collect(),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    let cues = cues(&transcript, &Profile::STANDARD, Naming::Apart).context("no times")?;
    let captions = cues.into_iter().map(|cue| Caption {
        start: cue.start,
        end: cue.end,
        lines: cue.lines().into_iter().map(str::to_owned).collect(),
    });
    Ok(captions.collect())
}

fn greedy(talk: &Talk) -> Vec<Caption> {
    let mut captions: Vec<Caption> = Vec::new();
    let mut last_start = None;
    for word in talk.0.iter().flatten() {
        let paused = last_start.is_some_and(|last| word.start > last + GREEDY_PAUSE);
        last_start = Some(word.start);
        if let Some(caption) = captions.last_mut().filter(|_| !paused) {
            let columns = Profile::STANDARD.columns;
            let is_full = caption.lines.len() > 1;
            match caption.lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.text.chars().count() <= columns => {
                    line.push(' ');
                    line.push_str(&word.text);
                    caption.end = word.end;
                    continue;
                }
                Some(_) | None if !is_full => {
                    caption.lines.push(word.text.clone());
                    caption.end = word.end;
                    continue;
                }
                Some(_) | None => {}
            }
        }
        captions.push(Caption {
            start: word.start,
            end: word.end,
            lines: vec![word.text.clone()],
        });
    }
    captions
}

fn segments(talk: &Talk) -> Vec<Caption> {
    let whole = |words: &Vec<Spoken>| {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        Some(Caption {
            start: words.first()?.start,
            end: words.last()?.end,
            lines: vec![texts.join(" ")],
        })
    };
    talk.0.iter().filter_map(whole).collect()
}

/// What is counted, of the captions of each recording and its words.
type Measure = fn(&[Vec<Caption>], &[Vec<Spoken>]) -> String;

const MEASURES: [(&str, Measure); 13] = [
    ("captions", |all, _| all.concat().len().to_string()),
    ("that end with a sentence or a clause", |all, _| {
        part(all, |caption| ends_clause(&last_word(caption)))
    }),
    (
        "that end inside a phrase (after an article, a preposition, …)",
        |all, _| part(all, |caption| is_leading(&last_word(caption))),
    ),
    (
        "lines that end inside a phrase, within a caption",
        |all, _| {
            count(all, |caption| {
                let upper = caption.lines.iter().rev().skip(1);
                upper
                    .filter(|line| is_leading(line.split(' ').next_back().unwrap_or_default()))
                    .count()
            })
        },
    ),
    ("lines of more than 42 characters", |all, _| {
        count(all, |caption| {
            caption
                .lines
                .iter()
                .filter(|line| line.chars().count() > 42)
                .count()
        })
    }),
    ("faster than 20 characters a second", |all, _| {
        part(all, |caption| pace(caption) > 20.0)
    }),
    ("faster than 17 characters a second", |all, _| {
        part(all, |caption| pace(caption) > 17.0)
    }),
    ("shorter than 5/6 s", |all, _| {
        part(all, |caption| caption.end - caption.start < 833)
    }),
    ("longer than 7 s", |all, _| {
        part(all, |caption| caption.end - caption.start > 7000)
    }),
    ("of a single word", |all, _| {
        part(all, |caption| words_of(caption) == 1)
    }),
    (
        "with a single word on a line of its own, beside another",
        |all, _| {
            part(all, |caption| {
                caption.lines.len() > 1 && caption.lines.iter().any(|line| !line.contains(' '))
            })
        },
    ),
    ("without a gap of 1/12 s to the next", |all, _| {
        all.iter()
            .flat_map(|captions| captions.windows(2))
            .filter(|pair| matches!(pair, [one, next] if next.start < one.end + 83))
            .count()
            .to_string()
    }),
    ("that go on over a pause of 0.8 s", |all, words| {
        let over = |(captions, words): (&Vec<Caption>, &Vec<Spoken>)| bridged(captions, words);
        all.iter().zip(words).map(over).sum::<usize>().to_string()
    }),
];

/// How many captions hold words on both sides of a pause.
fn bridged(captions: &[Caption], words: &[Spoken]) -> usize {
    let mut rest = words;
    let holds_pause = |caption: &&Caption| {
        let (own, after) = rest.split_at(words_of(caption).min(rest.len()));
        rest = after;
        own.windows(2)
            .any(|pair| matches!(pair, [one, next] if next.start >= one.end + PAUSE))
    };
    captions.iter().filter(holds_pause).count()
}

fn part(all: &[Vec<Caption>], wanted: impl Fn(&Caption) -> bool) -> String {
    count(all, |caption| usize::from(wanted(caption)))
}

fn count(all: &[Vec<Caption>], number: impl Fn(&Caption) -> usize) -> String {
    all.iter().flatten().map(number).sum::<usize>().to_string()
}

fn words_of(caption: &Caption) -> usize {
    caption
        .lines
        .iter()
        .map(|line| line.split(' ').count())
        .sum()
}

fn last_word(caption: &Caption) -> String {
    let line = caption.lines.last();
    line.and_then(|line| line.split(' ').next_back())
        .unwrap_or_default()
        .to_owned()
}

fn ends_clause(word: &str) -> bool {
    word.ends_with(['.', ',', '?', '!', ';', ':'])
}

fn is_leading(word: &str) -> bool {
    LEADING.contains(&word.to_lowercase().as_str())
}

/// Characters a second.
fn pace(caption: &Caption) -> f64 {
    let characters = caption
        .lines
        .iter()
        .map(|line| line.chars().count())
        .sum::<usize>()
        + caption.lines.len()
        - 1;
    characters as f64 * 1000.0 / (caption.end - caption.start).max(1) as f64
}
