//! Log lines for whoever has called a command: a sentence, and a word before it if something is wrong.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::journal::Fields;

/// The form of these lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    /// With colour codes.
    pub(super) colour: bool,
    /// Breaks a sentence where the terminal would.
    pub(super) fit: fn(&str) -> String,
}

impl<S, N> FormatEvent<S, N> for Talk
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let sentence: String = sentence(&fields).chars().map(harmless).collect();
        let (word, paint) = match *event.metadata().level() {
            Level::ERROR => ("error: ", "\u{1b}[31m"),
            Level::WARN => ("warning: ", "\u{1b}[33m"),
            Level::INFO | Level::DEBUG | Level::TRACE => ("", ""),
        };
        let text = (self.fit)(&format!("{word}{sentence}"));
        match text
            .strip_prefix(word)
            .filter(|_| self.colour && !word.is_empty())
        {
            Some(rest) => writeln!(writer, "{paint}{word}\u{1b}[0m{rest}"),
            None => writeln!(writer, "{text}"),
        }
    }
}

/// What is said, and in brackets of what: a job by its number, a file by its name.
fn sentence(fields: &Fields) -> String {
    let about = fields.named.iter().map(|(name, value)| match *name {
        "job_id" => format!("job {value}"),
        "source" | "folder" | "object" => value.clone(),
        other => format!("{} {value}", other.replace('_', " ")),
    });
    let about: Vec<String> = about.collect();
    match (fields.message.as_str(), about.is_empty()) {
        (message, true) => message.to_owned(),
        ("", false) => about.join(", "),
        (message, false) => format!("{message} ({})", about.join(", ")),
    }
}

/// No name in a log line can steer a terminal.
fn harmless(c: char) -> char {
    if c.is_control() && c != '\n' {
        '\u{fffd}'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_person_reads_sentences_without_times() {
        let heard = Heard::default();
        let (writer, colour) = (heard.clone(), false);
        let fit = |text: &str| text.to_owned();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Talk { colour, fit })
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(job_id = 7, folder = "/a\u{1b}[2J", "it does not answer");
            tracing::info!("it answers again");
        });
        let text = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "warning: it does not answer (job 7, /a\u{fffd}[2J)\nit answers again\n"
        );
    }
}
