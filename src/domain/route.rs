//! By which route a recording reaches whoever recognises it, as one pure function.
//!
//! The choice is made when a recording is queued, frozen into its job, and made anew only where the
//! configuration no longer allows what was chosen.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::audio::{AudioDuration, AudioFormat, Bitrate, best_bitrate};
use super::cut::Cutting;
use super::job::{Obstacle, Provider, Reason, Stage};

/// How a recording's bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "route", rename_all = "snake_case")]
pub enum Route {
    /// In the body of the request.
    Direct,
    /// Its speech, encoded again as Opus, in the body of the request.
    Shrink {
        /// The bit rate at which it is expected to fit.
        bitrate: Bitrate,
    },
    /// By a link into a bucket.
    Bucket {
        /// The bit rate at which its speech is encoded again before; none: as it is.
        shrink: Option<Bitrate>,
    },
    /// Cut at silences, each piece in the body of a request of its own.
    Pieces(Cut),
    /// Nowhere: the built-in recogniser reads them.
    Local,
}

/// How a recording is cut; the same cut of the same recording gives the same pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The length of a piece that is aimed at, in microseconds.
    pub piece_us: u64,
    /// The most bytes of a piece.
    pub most_bytes: u64,
}

/// A route and why it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The route.
    #[serde(flatten)]
    pub route: Route,
    /// Why this one, as a sentence.
    pub why: String,
}

/// What a person wants of recordings that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// Shrunk, else by the bucket, else in pieces.
    Auto,
    /// By the bucket.
    Bucket,
    /// In pieces, also what would fit but is longer than one piece.
    Pieces,
}

/// By which terms a route is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTerms {
    /// The largest body of a direct submit, in bytes.
    pub direct_limit: u64,
    /// The largest file behind a link, in bytes.
    pub link_limit: u64,
    /// Whether speech may be encoded again.
    pub shrink: bool,
    /// What is wanted of recordings that do not fit.
    pub preference: Preference,
    /// Whether there is a bucket.
    pub has_bucket: bool,
    /// Whether the service fetches by a link.
    pub takes_links: bool,
    /// What the service promises to read as it is.
    pub formats: &'static [AudioFormat],
    /// The length of a piece that is aimed at.
    pub piece: AudioDuration,
}

/// What a route depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Who recognises.
    pub provider: Provider,
    /// What the recording is by its content.
    pub format: AudioFormat,
    /// Its size in bytes.
    pub size: u64,
    /// Its measured length.
    pub duration: Option<AudioDuration>,
    /// Whether its sound can be decoded here, as far as anybody knows.
    pub is_decodable: bool,
}

/// No route leads to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoute {
    /// What is in the way.
    pub obstacle: Obstacle,
    /// The same as a sentence with the ways out.
    pub text: String,
}

impl Route {
    /// The name in `plan`, `list` and `show`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Shrink { .. } => "shrink",
            Self::Bucket { .. } => "bucket",
            Self::Pieces(_) => "pieces",
            Self::Local => "local",
        }
    }
}

impl RouteTerms {
    /// Whether a recording can go by a link at all.
    fn has_way_by_link(&self) -> bool {
        self.has_bucket && self.takes_links
    }

    /// Why one does not that has to be cut.
    fn no_link(&self) -> String {
        if !self.takes_links {
            "the service fetches nothing by a link".to_owned()
        } else if !self.has_bucket {
            "there is no bucket".to_owned()
        } else if self.preference == Preference::Pieces {
            "large.route is \"pieces\"".to_owned()
        } else {
            format!("a link takes {}", bytes(self.link_limit))
        }
    }

    fn takes(&self, format: AudioFormat) -> bool {
        self.formats.contains(&format)
    }
}

impl Chosen {
    /// Whether the sound of the recording has to be decoded here.
    pub fn decodes(&self) -> bool {
        match self.route {
            Route::Direct | Route::Bucket { shrink: None } => false,
            Route::Shrink { .. }
            | Route::Bucket { shrink: Some(_) }
            | Route::Pieces(_)
            | Route::Local => true,
        }
    }

    /// Whether the recording is cut into pieces.
    pub fn cuts(&self) -> bool {
        matches!(self.route, Route::Pieces(_))
    }
}

impl Cut {
    /// The same for whoever cuts; nothing where the bytes are too few for any piece.
    pub fn cutting(self) -> Option<Cutting> {
        Cutting::new(AudioDuration::from_micros(self.piece_us), self.most_bytes)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |bitrate: Bitrate| bitrate.bits_per_second() / 1000;
        match self {
            Self::Direct | Self::Bucket { shrink: None } | Self::Local => {
                f.write_str(self.as_str())
            }
            Self::Shrink { bitrate } => write!(f, "shrink, Opus at {} kbit/s", rate(*bitrate)),
            Self::Bucket {
                shrink: Some(bitrate),
            } => write!(f, "bucket, as Opus at {} kbit/s", rate(*bitrate)),
            Self::Pieces(cut) => {
                let wanted = AudioDuration::from_micros(cut.piece_us);
                let (piece, bitrate) = cut.cutting().map_or((wanted, Bitrate::Kbps16), |cutting| {
                    (cutting.wanted(), cutting.bitrate())
                });
                write!(
                    f,
                    "pieces of about {piece}, Opus at {} kbit/s",
                    rate(bitrate)
                )
            }
        }
    }
}

impl NoRoute {
    /// The code and the sentence.
    pub fn reason(&self) -> Reason {
        Reason::new(self.obstacle.code(), self.text.clone())
    }
}

/// The route of a recording.
///
/// # Errors
/// [`NoRoute`] where none leads there as things are.
pub fn choose(shape: &Shape, terms: &RouteTerms) -> Result<Chosen, NoRoute> {
    if !shape.provider.is_local() {
        return to_service(shape, terms);
    }
    if shape.is_decodable {
        return Ok(chosen(Route::Local, "it is recognised here".to_owned()));
    }
    Err(NoRoute {
        obstacle: Obstacle::NoDecoder,
        text: format!(
            "waiting for a route: this kind of {} cannot be decoded here: set up the service, or convert it to MP3 or WAV",
            shape.format
        ),
    })
}

fn to_service(shape: &Shape, asked: &RouteTerms) -> Result<Chosen, NoRoute> {
    let terms = &RouteTerms {
        shrink: asked.shrink && shape.is_decodable,
        ..*asked
    };
    if wants_pieces(shape, terms)
        && let Some(route) = pieces(terms).filter(|_| terms.shrink)
    {
        let why = format!(
            "it is longer than {}, and large.route is \"pieces\"",
            terms.piece
        );
        return Ok(chosen(route, why));
    }
    let obstacle = obstacle(shape, terms);
    let Some((obstacle, in_the_way)) = obstacle else {
        return Ok(chosen(Route::Direct, fits(shape, terms)));
    };
    if terms.shrink
        && !prefers_link(shape, terms)
        && let Some(bitrate) = shrunk_to(shape, terms.direct_limit)
    {
        let limit = bytes(terms.direct_limit);
        let why = format!("{in_the_way}; encoded again it fits {limit}");
        return Ok(chosen(Route::Shrink { bitrate }, why));
    }
    if let Some(route) = by_bucket(shape, terms) {
        return Ok(chosen(
            route,
            format!("{in_the_way}, and there is a bucket"),
        ));
    }
    if terms.shrink
        && terms.preference != Preference::Bucket
        && let Some(route) = pieces(terms)
    {
        let why = match shape.duration {
            Some(duration) => {
                let no_link = terms.no_link();
                format!("{in_the_way}; {duration} fit no single request, and {no_link}")
            }
            None => format!(
                "{in_the_way}; its length is unknown, and {}",
                terms.no_link()
            ),
        };
        return Ok(chosen(route, why));
    }
    let by_link = if terms.has_way_by_link() && shape.size > terms.link_limit {
        format!(", {} by a link", bytes(terms.link_limit))
    } else {
        String::new()
    };
    let (obstacle, undecodable) = match shape.is_decodable {
        true => (obstacle, ""),
        false => (
            Obstacle::NoDecoder,
            ", and its sound cannot be decoded here",
        ),
    };
    let ways = ways_out(asked, |terms| to_service(shape, terms).is_ok());
    Err(NoRoute {
        obstacle,
        text: format!("waiting for a route: {in_the_way}{by_link}{undecodable}: {ways}"),
    })
}

fn chosen(route: Route, why: String) -> Chosen {
    Chosen { route, why }
}

/// Whether a person asks for pieces of what is longer than one, so that each has its own time.
fn wants_pieces(shape: &Shape, terms: &RouteTerms) -> bool {
    terms.preference == Preference::Pieces
        && shape.duration.is_some_and(|length| length > terms.piece)
}

/// What keeps a recording from being sent as it is, if anything does.
fn obstacle(shape: &Shape, terms: &RouteTerms) -> Option<(Obstacle, String)> {
    let Shape { format, size, .. } = shape;
    if !terms.takes(*format) {
        let kind = if *format == AudioFormat::OggOther {
            "Ogg with anything but Vorbis or Opus"
        } else {
            format.name()
        };
        let text = format!("the service does not promise to read {kind}");
        return Some((Obstacle::ForeignFormat, text));
    }
    let text = || {
        format!(
            "it has {}, and the service takes {} directly",
            bytes(*size),
            bytes(terms.direct_limit)
        )
    };
    (*size > terms.direct_limit).then(|| (Obstacle::TooLarge, text()))
}

fn fits(shape: &Shape, terms: &RouteTerms) -> String {
    let Shape { format, size, .. } = shape;
    let limit = bytes(terms.direct_limit);
    format!(
        "the service reads {format}, and {} fit {limit}",
        bytes(*size)
    )
}

/// Whether a person asks for the bucket, and the recording can go there as it is.
fn prefers_link(shape: &Shape, terms: &RouteTerms) -> bool {
    terms.preference == Preference::Bucket
        && terms.has_way_by_link()
        && links_as_it_is(shape, terms)
}

fn links_as_it_is(shape: &Shape, terms: &RouteTerms) -> bool {
    terms.takes(shape.format) && shape.size <= terms.link_limit
}

/// The best bit rate at which it fits; none for a length that nobody knows.
fn shrunk_to(shape: &Shape, limit: u64) -> Option<Bitrate> {
    best_bitrate(shape.duration?, limit)
}

fn by_bucket(shape: &Shape, terms: &RouteTerms) -> Option<Route> {
    if !terms.has_way_by_link() || terms.preference == Preference::Pieces {
        return None;
    }
    if links_as_it_is(shape, terms) {
        return Some(Route::Bucket { shrink: None });
    }
    let bitrate = match shape.duration {
        Some(duration) => best_bitrate(duration, terms.link_limit),
        // It is looked at again when its length has been measured.
        None => Some(Bitrate::Kbps16),
    };
    let shrink = bitrate.filter(|_| terms.shrink)?;
    Some(Route::Bucket {
        shrink: Some(shrink),
    })
}

/// Pieces, unless the direct limit is too low for any.
fn pieces(terms: &RouteTerms) -> Option<Route> {
    let cut = Cut {
        piece_us: terms.piece.micros(),
        most_bytes: terms.direct_limit,
    };
    cut.cutting().map(|_| Route::Pieces(cut))
}

/// What a person may change so that a way leads to the service: each change that is enough by itself, else both.
fn ways_out(terms: &RouteTerms, leads: impl Fn(&RouteTerms) -> bool) -> String {
    let shrinks = RouteTerms {
        shrink: true,
        ..*terms
    };
    let has_bucket = RouteTerms {
        has_bucket: true,
        ..*terms
    };
    let is_auto = RouteTerms {
        preference: Preference::Auto,
        ..*terms
    };
    let changes = [
        (
            shrinks,
            "set large.shrink = true to have its speech encoded again",
        ),
        (has_bucket, "set up a [bucket]"),
        (is_auto, "set large.route = \"auto\""),
    ];
    let alone = changes
        .into_iter()
        .filter(|(changed, _)| changed != terms && leads(changed));
    let mut ways: Vec<&str> = alone.map(|(_, way)| way).collect();
    let both = RouteTerms {
        shrink: true,
        ..has_bucket
    };
    if ways.is_empty() && both != shrinks && both != has_bucket && leads(&both) {
        ways.push("set large.shrink = true and set up a [bucket]");
    }
    ways.push("convert it to a short enough MP3, M4A, Ogg or WAV");
    ways.join(", or ")
}

/// The route of a recording that is not sent by `route` after all: shrunk it is larger than its length
/// promised, or it cannot be decoded here and so neither be shrunk nor cut.
///
/// # Errors
/// [`NoRoute`] where no other leads there.
pub fn choose_other(
    shape: &Shape,
    terms: &RouteTerms,
    in_the_way: &str,
) -> Result<Chosen, NoRoute> {
    let other = |asked: &RouteTerms| {
        let terms = RouteTerms {
            shrink: asked.shrink && shape.is_decodable,
            ..*asked
        };
        match by_bucket(shape, &terms) {
            None if terms.shrink && terms.preference != Preference::Bucket => pieces(&terms),
            bucket => bucket,
        }
    };
    match other(terms) {
        Some(route) => Ok(chosen(route, in_the_way.to_owned())),
        None => {
            let ways = ways_out(terms, |terms| other(terms).is_some());
            Err(NoRoute {
                obstacle: match shape.is_decodable {
                    true => Obstacle::TooLarge,
                    false => Obstacle::NoDecoder,
                },
                text: format!("waiting for a route: {in_the_way}: {ways}"),
            })
        }
    }
}

/// The stage in which a recording begins, and by which route it will go: to be sent, or waiting for a
/// route.
pub fn first_stage(shape: &Shape, terms: &RouteTerms) -> (Stage, Option<Chosen>) {
    match choose(shape, terms) {
        Ok(chosen) => (Stage::queued(), Some(chosen)),
        Err(none) => {
            let stage = Stage::Waiting {
                obstacle: none.obstacle,
                text: none.text,
            };
            (stage, None)
        }
    }
}

/// Whether a route that was chosen earlier may still be taken.
pub fn still_leads(route: Route, shape: &Shape, terms: &RouteTerms) -> bool {
    match route {
        Route::Local => shape.provider.is_local(),
        Route::Direct => obstacle(shape, terms).is_none(),
        Route::Shrink { .. } => terms.shrink && shrunk_to(shape, terms.direct_limit).is_some(),
        Route::Bucket { shrink: None } => terms.has_way_by_link() && links_as_it_is(shape, terms),
        Route::Bucket { shrink: Some(_) } => terms.has_way_by_link() && terms.shrink,
        Route::Pieces(cut) => terms.shrink && cut.most_bytes <= terms.direct_limit,
    }
}

/// A number of bytes for people: `3.0 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!(
        "{}.{} {}",
        tenths / 10,
        tenths % 10,
        UNITS.get(unit).unwrap_or(&"TiB")
    )
}

#[cfg(test)]
mod tests;
