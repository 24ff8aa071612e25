//! `stenod doctor`: checks each thing that has to work, and says how to mend what does not.
//!
//! What is looked at here is judged in [`judge`], by values alone.

mod bucket;
mod judge;
mod look;
mod notify;

use clap::Args;
use serde_json::{Value, json};

use super::output::{clean, placed};
use super::text::{Page, Tone};
use super::{Failure, Session, exit};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check nothing that needs the network
    #[arg(long)]
    offline: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    Note,
    Problem,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

impl Grade {
    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Note => Tone::Care,
            Self::Problem => Tone::Bad,
        }
    }
}

/// A check and how it ended.
#[derive(Debug, Clone)]
struct Check {
    name: &'static str,
    grade: Grade,
    text: String,
    mend: Option<String>,
}

/// On fewer columns the text of a check stands below its name.
const NARROW: usize = 60;
/// Where the text of a check begins, in columns.
const MARGIN: usize = 18;

impl Check {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            grade: Grade::Ok,
            text: text.into(),
            mend: None,
        }
    }

    fn note(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            grade: Grade::Note,
            mend: Some(mend.into()),
            ..Self::ok(name, text)
        }
    }

    fn problem(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            grade: Grade::Problem,
            mend: Some(mend.into()),
            ..Self::ok(name, text)
        }
    }

    fn json(&self) -> Value {
        json!({
            "check": self.name, "result": self.grade.name(), "message": self.text,
            "fix": self.mend.as_deref().map(placed),
        })
    }

    fn line(&self, page: Page) -> String {
        let grade = self.grade.name();
        let is_narrow = page.width().is_some_and(|columns| columns < NARROW);
        let margin = if is_narrow { 2 } else { MARGIN };
        let mut start = format!("{grade:<8} {:<8} ", self.name);
        let mut lines = Vec::new();
        if is_narrow {
            lines.push(start.trim_end().to_owned());
            start = " ".repeat(margin);
        }
        for text in self.text.lines() {
            lines.push(page.text(&start, &clean(text)));
            start = " ".repeat(margin);
        }
        if let Some(mend) = &self.mend {
            let start = format!("{}fix: ", " ".repeat(margin));
            let (command, note) = mend.split_once("   # ").unwrap_or((mend, ""));
            lines.push(if command.contains("stenod ") || !note.is_empty() {
                page.command(&start, &clean(command), &clean(note))
            } else {
                page.text(&start, &clean(mend))
            });
        }
        page.painted(&lines.join("\n"), grade, self.grade.tone())
    }
}

pub(super) async fn execute(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    let loaded = Config::load(
        &session.environment,
        session.config_file.as_deref(),
        &session.overrides,
    );
    let checks = match loaded {
        Ok(config) => look::at_everything(session, &config, arguments.offline).await?,
        Err(errors) => {
            let mend = "stenod config example   # shows every setting";
            let mistakes = errors.mistakes().iter();
            mistakes
                .map(|mistake| Check::problem("config", mistake.to_string(), mend))
                .collect()
        }
    };
    let failed = checks.iter().any(|check| check.grade == Grade::Problem);
    if session.output.json() {
        let list: Vec<Value> = checks.iter().map(Check::json).collect();
        session
            .output
            .document(&json!({"ok": !failed, "checks": list}))?;
    } else {
        let page = session.output.page();
        let lines: String = checks.iter().map(|check| check.line(page) + "\n").collect();
        session.output.data(&lines)?;
    }
    Ok(if failed { exit::UNEXPECTED } else { exit::DONE })
}
