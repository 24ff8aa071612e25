//! By which route a recording reaches whoever recognises it, as one pure function.

use super::audio::AudioFormat;
use super::job::{Obstacle, Provider, Reason, Stage};

/// How a recording's bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// In the body of the request.
    Direct,
    /// Nowhere: the built-in recogniser reads them.
    Local,
}

impl Route {
    /// The name in `plan`, `list` and `show`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Local => "local",
        }
    }
}

/// No route leads to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoute {
    /// What is in the way.
    pub obstacle: Obstacle,
    /// The same as a sentence with the way out.
    pub text: String,
}

impl NoRoute {
    /// The code and the sentence.
    pub fn reason(&self) -> Reason {
        Reason::new(self.obstacle.code(), self.text.clone())
    }
}

/// The route of a recording of `size` bytes in `format`; `direct_limit` is the largest direct body, in
/// bytes.
///
/// # Errors
/// [`NoRoute`] where none leads there as things are.
pub fn choose(
    provider: Provider,
    format: AudioFormat,
    size: u64,
    direct_limit: u64,
) -> Result<Route, NoRoute> {
    if provider == Provider::Local {
        return Ok(Route::Local);
    }
    if !format.accepted_directly() {
        let text = format!(
            "waiting for a route: the service does not promise to read {format}; convert it to MP3, M4A, Ogg or WAV"
        );
        return Err(NoRoute {
            obstacle: Obstacle::ForeignFormat,
            text,
        });
    }
    if size > direct_limit {
        let text = format!(
            "waiting for a route: it has {}, and the service takes {} directly",
            bytes(size),
            bytes(direct_limit)
        );
        return Err(NoRoute {
            obstacle: Obstacle::TooLarge,
            text,
        });
    }
    Ok(Route::Direct)
}

/// The stage in which a recording begins: to be sent, or waiting for a route.
pub fn first_stage(provider: Provider, format: AudioFormat, size: u64, direct_limit: u64) -> Stage {
    match choose(provider, format, size, direct_limit) {
        Ok(_) => Stage::queued(),
        Err(none) => Stage::Waiting {
            obstacle: none.obstacle,
            text: none.text,
        },
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
mod tests {
    use super::*;

    const LIMIT: u64 = 3 << 20;

    #[test]
    fn what_fits_and_is_accepted_goes_directly() {
        for format in [
            AudioFormat::Mp3,
            AudioFormat::Wav,
            AudioFormat::M4a,
            AudioFormat::Ogg,
        ] {
            assert_eq!(
                choose(Provider::NanoGpt, format, LIMIT, LIMIT),
                Ok(Route::Direct)
            );
        }
    }

    #[test]
    fn a_byte_too_many_waits_and_a_foreign_format_waits_whatever_its_size() {
        let large = choose(Provider::NanoGpt, AudioFormat::Mp3, LIMIT + 1, LIMIT).unwrap_err();
        assert_eq!(large.obstacle, Obstacle::TooLarge);
        let foreign = choose(Provider::NanoGpt, AudioFormat::Flac, 1, LIMIT).unwrap_err();
        assert_eq!(foreign.obstacle, Obstacle::ForeignFormat);
    }

    #[test]
    fn the_built_in_recogniser_takes_everything() {
        assert_eq!(
            choose(Provider::Local, AudioFormat::Flac, 1 << 40, LIMIT),
            Ok(Route::Local)
        );
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(LIMIT), "3.0 MiB");
        assert_eq!(bytes(500_000_000), "476.8 MiB");
    }
}
