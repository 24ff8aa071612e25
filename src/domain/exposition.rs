//! Measures as Prometheus reads them: its text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Names are of stenod alone and hold letters, digits and underscores; what is escaped are the values of
//! labels, which may be paths.

use std::fmt::Write as _;

/// The media type of a page.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a measure does in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until a restart.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A page of measures on its way.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds a measure with all of its samples, each with its labels; without samples there is nothing to say.
    ///
    /// A counter's name ends in `_total`, and a unit stands before that.
    pub fn add<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'a str, String)>, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.line(&format!("# HELP {name} {}", escaped(help, false)));
        self.line(&format!("# TYPE {name} {kind}"));
        for (labels, value) in samples {
            let labels: Vec<String> = labels
                .into_iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(&value, true)))
                .collect();
            if labels.is_empty() {
                self.line(&format!("{name} {}", number(value)));
            } else {
                self.line(&format!("{name}{{{}}} {}", labels.join(","), number(value)));
            }
        }
    }

    /// The same for one sample without labels.
    pub fn add_one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.add(name, kind, help, [(Vec::new(), value)]);
    }

    /// The text.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        if writeln!(self.0, "{line}").is_err() {
            self.0.push('\n');
        }
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_measure_has_its_help_its_type_and_a_line_for_each_sample() {
        let mut page = Page::default();
        page.add(
            "stenod_jobs",
            Kind::Gauge,
            "Jobs by state.",
            [
                (vec![("state", "done".to_owned())], 3.0),
                (vec![("state", "failed".to_owned())], 0.5),
            ],
        );
        page.add_one("stenod_scans_total", Kind::Counter, "Scans.", 1e9);
        page.add("stenod_nothing", Kind::Gauge, "Nothing.", []);
        assert_eq!(
            page.text(),
            "# HELP stenod_jobs Jobs by state.\n\
             # TYPE stenod_jobs gauge\n\
             stenod_jobs{state=\"done\"} 3\n\
             stenod_jobs{state=\"failed\"} 0.5\n\
             # HELP stenod_scans_total Scans.\n\
             # TYPE stenod_scans_total counter\n\
             stenod_scans_total 1000000000\n"
        );
    }

    proptest! {
        #[test]
        fn any_path_stays_on_its_line_and_can_be_read_back(path in any::<String>()) {
            let mut page = Page::default();
            let labels = vec![("folder", path.clone())];
            page.add("stenod_folder_up", Kind::Gauge, "Up.", [(labels, 1.0)]);
            let text = page.text();
            prop_assert_eq!(text.matches('\n').count(), 3);
            let line = text.trim_end_matches('\n').rsplit('\n').next().unwrap();
            let value = line
                .strip_prefix("stenod_folder_up{folder=\"")
                .and_then(|rest| rest.strip_suffix("\"} 1"))
                .unwrap();
            let mut read = String::new();
            let mut characters = value.chars();
            while let Some(character) = characters.next() {
                match (character, character == '\\') {
                    (_, false) => read.push(character),
                    (_, true) => match characters.next() {
                        Some('n') => read.push('\n'),
                        Some(other) => read.push(other),
                        None => prop_assert!(false, "a lone backslash"),
                    },
                }
            }
            prop_assert_eq!(read, path);
        }
    }
}
