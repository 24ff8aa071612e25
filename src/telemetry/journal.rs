//! Log lines for systemd's journal: a sentence for people, and every field under a name of its own.
//!
//! By the native protocol of journald: a datagram an entry, `NAME=value` a line, and values of more than one
//! line with their length before them.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// The longest value that is sent, in bytes; what is longer ends in an ellipsis.
const LONGEST_VALUE: usize = 16 * 1024;

/// The journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// The journal that listens at `path`.
    ///
    /// # Errors
    /// Where nobody does.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let sentence = fields.sentence();
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", &sentence);
        put(&mut entry, "PRIORITY", priority(*metadata.level()));
        put(&mut entry, "SYSLOG_IDENTIFIER", "stenod");
        put(&mut entry, "TARGET", metadata.target());
        for (name, value) in &fields.named {
            put(&mut entry, &name.to_ascii_uppercase(), value);
        }
        if self.socket.send(&entry).is_err() {
            // Standard error leads to the journal too, by way of the service manager.
            super::to_standard_error(&sentence);
        }
    }
}

/// The fields of an event.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) named: Vec<(&'static str, String)>,
}

impl Fields {
    /// All of it as one line.
    fn sentence(&self) -> String {
        let mut sentence = self.message.clone();
        for (name, value) in &self.named {
            let space = if sentence.is_empty() { "" } else { " " };
            sentence.push_str(&format!("{space}{name}={value}"));
        }
        sentence
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing into a string cannot fail but by the value itself, which is left out then.
            if write!(self.message, "{value:?}").is_err() {
                self.message.clear();
            }
        } else {
            self.named.push((field.name(), format!("{value:?}")));
        }
    }
}

/// The priority of syslog for a level.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = shortened(value);
    entry.extend(name.bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend(u64::try_from(value.len()).unwrap_or(0).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.bytes());
    entry.push(b'\n');
}

fn shortened(value: &str) -> String {
    if value.len() <= LONGEST_VALUE {
        return value.to_owned();
    }
    let mut end = LONGEST_VALUE;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", value.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What arrives where the journal listens when `act` logs.
    fn heard(act: impl FnOnce()) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, act);
        let mut datagram = vec![0; 64 * 1024];
        let length = listener.recv(&mut datagram).unwrap();
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    #[test]
    fn an_entry_has_a_sentence_a_priority_and_each_field_by_name() {
        let source = "/srv/talk one.mp3";
        let entry =
            heard(|| tracing::warn!(job_id = 7, source, cost = "$0.01", "failed: no answer"));
        let lines: Vec<&str> = entry.lines().collect();
        for wanted in [
            "MESSAGE=failed: no answer job_id=7 source=/srv/talk one.mp3 cost=$0.01",
            "PRIORITY=4",
            "SYSLOG_IDENTIFIER=stenod",
            "JOB_ID=7",
            "SOURCE=/srv/talk one.mp3",
            "COST=$0.01",
        ] {
            assert!(lines.contains(&wanted), "{wanted} is missing in {entry}");
        }
    }

    #[test]
    fn a_value_of_two_lines_cannot_pretend_to_be_another_field() {
        let entry = heard(|| tracing::info!(source = "a\nPRIORITY=0", "done"));
        let length = "\u{c}\0\0\0\0\0\0\0";
        assert!(
            entry.contains(&format!("SOURCE\n{length}a\nPRIORITY=0\n")),
            "{entry:?}"
        );
        assert!(entry.starts_with("MESSAGE\n"), "{entry:?}");
    }

    #[test]
    fn a_value_without_end_is_cut_between_characters() {
        let long = "ü".repeat(LONGEST_VALUE);
        let entry = heard(|| tracing::info!(source = long.as_str(), "done"));
        assert!(entry.len() < 3 * LONGEST_VALUE, "{}", entry.len());
        assert!(entry.contains("ü…\n"));
    }
}
