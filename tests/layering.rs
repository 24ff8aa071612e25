//! The map of modules, enforced: reads `src/` and fails on an import that crosses an arrow.
//!
//! Reads tokens, not types: `use` trees and inline paths, without comments, strings and test
//! modules. That is enough for honest code, and a new module must be put on the map here first.

#![cfg(test)]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use stenod::speech::services::SERVICES;

/// Modules that everything but `domain` may know: clocks, files, tasks, logs.
const ROOTS: [&str; 8] = [
    "clock",
    "disk",
    "durable",
    "faults",
    "https",
    "source",
    "supervise",
    "telemetry",
];

/// Modules that each own one outside thing and never know each other.
const ADAPTERS: [&str; 11] = [
    "discover",
    "queue",
    "media",
    "delivery",
    "speech",
    "outputs",
    "notes",
    "control",
    "systemd",
    "web",
    "receivers",
];

/// Who stands above the adapters, and what of each other they may know.
const ABOVE: [(&str, &[&str]); 7] = [
    ("config", &[]),
    ("pipeline", &["config"]),
    ("session", &["config", "pipeline"]),
    ("desk", &["config", "pipeline", "session"]),
    ("daemon", &["config", "pipeline", "session", "desk"]),
    ("batch", &["config", "pipeline", "session", "desk"]),
    (
        "cli",
        &["config", "pipeline", "session", "desk", "daemon", "batch"],
    ),
];

/// Crates with one place each, and that place.
const OWNED: [(&str, &[&str]); 12] = [
    ("hyper", &["web"]),
    ("hyper_util", &["web"]),
    ("rusqlite", &["queue"]),
    ("reqwest", &["speech", "delivery", "receivers", "https"]),
    ("object_store", &["delivery"]),
    ("notify", &["discover"]),
    ("figment", &["config"]),
    ("toml_edit", &["config", "notes"]),
    ("clap", &["cli", "main"]),
    ("symphonia", &["media"]),
    ("unsafe_libopus", &["media"]),
    ("stenod_recogniser", &["speech"]),
];

/// Plain values of those crates, which everybody may name: no client, no connection.
const VALUES: [&[&str]; 1] = [&["reqwest", "Url"]];

/// Data of an adapter that the configuration may ask for as well: what each service is like.
const DESCRIPTIONS: &[&str] = &["crate", "speech", "services"];

/// What the pure core must not touch: its inputs are arguments, its outputs are values.
const IMPURE: [&[&str]; 9] = [
    &["std", "fs"],
    &["std", "net"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio"],
    &["tempfile"],
];

/// One path that a file names, and where.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    path: Vec<String>,
}

#[test]
fn no_import_crosses_an_arrow_of_the_map() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut crossings = Vec::new();
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).unwrap();
        let module = module_of(file.strip_prefix(&source).unwrap());
        let here = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        for (line, why) in crossings_of(&module, &text) {
            crossings.push(format!("{}:{line}: {why}", here.display()));
        }
    }
    assert!(crossings.is_empty(), "\n{}\n", crossings.join("\n"));
}

/// Every crossing in one file: the line and what is wrong with it.
fn crossings_of(module: &[String], text: &str) -> Vec<(usize, String)> {
    let from = module.first().map_or("lib", String::as_str);
    let mut found: Vec<_> = named(module, text)
        .into_iter()
        .filter_map(|named| Some((named.line, crossing(from, &named.path)?)))
        .collect();
    if !on_the_map(from) {
        found.push((
            1,
            format!("`{from}` is not on the map of tests/layering.rs"),
        ));
    }
    found.dedup();
    found
}

fn on_the_map(module: &str) -> bool {
    ["lib", "main", "domain"].contains(&module)
        || ROOTS.contains(&module)
        || ADAPTERS.contains(&module)
        || ABOVE.iter().any(|(name, _)| *name == module)
}

/// Why `from` must not name `path`; none when it may.
fn crossing(from: &str, path: &[String]) -> Option<String> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        described if from == "config" && described.starts_with(DESCRIPTIONS) => None,
        ["crate", to, ..] => (!may_know(from, to))
            .then(|| format!("`{from}` must not know `{to}` ({})", parts.join("::"))),
        _ if from == "domain" && impure(&parts) => Some(format!(
            "`domain` is pure, and `{}` is not",
            parts.join("::")
        )),
        [name, ..] => {
            let (name, owners) = OWNED.iter().find(|(owned, _)| owned == name)?;
            let home = owners.join("` and `");
            let value = VALUES.iter().any(|value| parts.starts_with(value));
            let stranger = !value && !owners.contains(&from);
            stranger.then(|| format!("`{name}` belongs to `{home}`, not to `{from}`"))
        }
        [] => None,
    }
}

fn may_know(from: &str, to: &str) -> bool {
    let in_crate = on_the_map(to) && !matches!(to, "lib" | "main");
    if from == to || !in_crate {
        // Not a module: an item of the crate's root, a macro.
        return true;
    }
    match from {
        "lib" | "main" => true,
        "domain" => false,
        _ if to == "domain" || ROOTS.contains(&to) => true,
        _ if ROOTS.contains(&from) || ADAPTERS.contains(&from) => false,
        _ => {
            let known = ABOVE
                .iter()
                .find(|(name, _)| *name == from)
                .map(|(_, known)| *known);
            let adapter = ADAPTERS.contains(&to) && from != "config";
            adapter || known.is_some_and(|known| known.contains(&to))
        }
    }
}

/// Whether the path is something impure, holds it, or takes everything around it.
fn impure(parts: &[&str]) -> bool {
    IMPURE.iter().any(|banned| {
        let inside = parts.starts_with(banned);
        let whole = parts == ["std"] || parts == ["std", "time"];
        let glob = parts.last() == Some(&"*") && banned.starts_with(&parts[..parts.len() - 1]);
        inside || whole || glob
    })
}

/// Every file of Rust below `folder` that is no test module.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = VecDeque::from([folder.to_owned()]);
    while let Some(folder) = folders.pop_front() {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            if stem == "tests" || stem.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                folders.push_back(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no sources found");
    files.sort();
    files
}

/// The path of the module in a file: `a/b.rs` is `a::b`, `a/mod.rs` is `a`, `lib.rs` the root.
fn module_of(file: &Path) -> Vec<String> {
    let plain = file.with_extension("");
    let mut parts: Vec<_> = plain
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        parts.pop();
    }
    parts
}

/// All paths that the text names, with `super` and `self` resolved to `crate::…`.
fn named(module: &[String], text: &str) -> Vec<Named> {
    let mut tokens = without_tests(&tokens(text));
    tokens.retain(|(_, token)| !is_string(token));
    let mut found = Vec::new();
    let mut inner: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while let Some((line, token)) = tokens.get(at) {
        let text = |offset: usize| {
            tokens
                .get(at + offset)
                .map_or("", |(_, text)| text.as_str())
        };
        let mut paths = Vec::new();
        match token.as_str() {
            "mod" if text(2) == "{" => inner.push((text(1).to_owned(), depth)),
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.retain(|(_, opened)| *opened < depth);
            }
            "use" => at = use_tree(&tokens, at + 1, &[], &mut paths),
            _ if is_name(token) && at > 0 && tokens[at - 1].1 != "::" => {
                at = inline_path(&tokens, at, &mut paths);
            }
            _ => {}
        }
        let here = module
            .iter()
            .cloned()
            .chain(inner.iter().map(|(name, _)| name.clone()));
        let here: Vec<String> = here.collect();
        for path in paths {
            found.push(Named {
                line: *line,
                path: absolute(&here, path),
            });
        }
        at += 1;
    }
    found
}

/// Reads `a::{b, c::d as e, *}` from `at`; returns the index of its last token.
fn use_tree(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    while let Some((_, token)) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, token)| token != "}") {
                    at = use_tree(tokens, at, &path, paths) + 1;
                    at += usize::from(tokens.get(at).is_some_and(|(_, token)| token == ","));
                }
                return at;
            }
            "as" => at += 1,
            "::" => {}
            "self" if !before.is_empty() || path.len() > before.len() => {}
            name if is_name(name) || name == "*" => path.push(name.to_owned()),
            _ => break,
        }
        at += 1;
    }
    paths.push(path);
    at - 1
}

/// Reads `a::b::c` from `at`; returns the index of its last token. A lone name is no path.
fn inline_path(tokens: &[(usize, String)], at: usize, paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = vec![tokens[at].1.clone()];
    let mut last = at;
    while let [(_, colons), (_, name), ..] = &tokens[last + 1..]
        && colons == "::"
        && is_name(name)
    {
        path.push(name.clone());
        last += 2;
    }
    if path.len() > 1 {
        paths.push(path);
    }
    last
}

/// Resolves `self` and `super` against the module, and the library's own name from `main.rs`.
fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = VecDeque::from(path);
    match rest.front().map(String::as_str) {
        Some("stenod") => base.clear(),
        Some("self") => {}
        Some("super") => {
            while rest.front().is_some_and(|part| part == "super") {
                base.pop();
                rest.pop_front();
            }
            rest.push_front("super".to_owned());
        }
        _ => return rest.into(),
    }
    rest.pop_front();
    ["crate".to_owned()]
        .into_iter()
        .chain(base)
        .chain(rest)
        .collect()
}

fn is_string(token: &str) -> bool {
    token.starts_with('"')
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Takes out every item that is marked `#[cfg(test)]`.
fn without_tests(tokens: &[(usize, String)]) -> Vec<(usize, String)> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens[at..]
            .iter()
            .map(|(_, text)| text.as_str())
            .take(7)
            .eq(marker);
        if marked {
            at = end_of_item(tokens, at + marker.len());
        } else {
            kept.push(tokens[at].clone());
        }
        at += 1;
    }
    kept
}

/// The index of the `;` or the closing brace that ends the item at `at`, or of what stands before the end of
/// the list that it is the last entry of.
fn end_of_item(tokens: &[(usize, String)], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some((_, token)) = tokens.get(at) {
        match token.as_str() {
            ";" if depth == 0 => return at,
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" if depth == 0 => return at - 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && token == "}" {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// Names, `::`, single marks and strings, from their quote on, with their lines; comments and numbers left out.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            '"' => {
                let length = 1 + quoted(&rest[1..]);
                found.push((line, rest[..length].to_owned()));
                length
            }
            '\'' => character(rest),
            _ if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                if is_name(name) && !rest[name.len()..].starts_with('"') {
                    found.push((line, name.to_owned()));
                }
                name.len()
            }
            _ if rest.starts_with("::") => {
                found.push((line, "::".to_owned()));
                2
            }
            _ => {
                if !first.is_whitespace() {
                    found.push((line, first.to_string()));
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else if let Some(next) = rest.chars().next() {
            at += next.len_utf8();
        }
        if depth == 0 || at >= text.len() {
            return at;
        }
    }
}

/// The length up to and with the closing quote.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices() {
        match next {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of a character, or of the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters
                .find(|(_, next)| *next == '\'')
                .map_or(1, |(at, _)| at + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`; none when it is no raw string.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body
        .find(&close)
        .map_or(body.len(), |end| end + close.len());
    Some(text.len() - body.len() + end)
}

/// The crossings of a text in a module such as `queue::writer`, as `line: message`.
fn planted(module: &str, text: &str) -> Vec<String> {
    let module: Vec<String> = module.split("::").map(str::to_owned).collect();
    crossings_of(&module, text)
        .iter()
        .map(|(line, why)| format!("{line}: {why}"))
        .collect()
}

#[test]
fn an_adapter_that_knows_another_is_caught_however_it_is_written() {
    for text in [
        "use crate::queue::Queue;",
        "use crate::{domain::job::Job, queue::{Queue as Line}};",
        "use super::super::queue;",
        "fn a() { crate::queue::open(); }",
        "fn a(queue: &crate::queue::Queue) {}",
        "mod inner { use super::super::super::queue::Queue; }",
        "pub(crate) use crate::queue::*;",
        "use crate::pipeline::Step;",
        "use crate::config::Config;",
    ] {
        assert_eq!(planted("speech::nanogpt", text).len(), 1, "{text}");
    }
}

#[test]
fn the_line_and_both_sides_are_named() {
    let text = "// one\n/* two\n three */ use std::fmt;\nuse crate::{\n    queue::Queue,\n};\n";
    let wanted = "4: `media` must not know `queue` (crate::queue::Queue)";
    assert_eq!(planted("media::probe", text), [wanted]);
}

#[test]
fn what_is_allowed_passes() {
    for (module, text) in [
        (
            "speech::nanogpt",
            "use crate::{clock::Clock, domain::job::Job}; use super::wire::A;",
        ),
        (
            "speech",
            "use reqwest::Client; fn a() { self::b::c(); super::clock::now(); }",
        ),
        (
            "pipeline",
            "use crate::{queue::Queue, speech::Speech, config::Config};",
        ),
        (
            "cli::run",
            "use clap::Parser; use crate::{batch, pipeline};",
        ),
        ("main", "use stenod::cli; use clap::Parser;"),
        (
            "domain::step",
            "use std::time::Duration; use super::job::Job; use crate::domain::a;",
        ),
        (
            "discover",
            "// use crate::queue;\nconst A: &str = \"use crate::queue;\";",
        ),
        (
            "discover",
            "const A: &str = r#\"\" crate::queue::a \"#; const B: char = '\"';",
        ),
        (
            "discover",
            "/// See [`crate::queue::Queue`].\nfn a<'a>(b: &'a str) {}",
        ),
        (
            "discover",
            "#[cfg(test)]\nmod tests { use crate::queue::Queue; fn a() { {} } }",
        ),
        ("discover", "#[cfg(test)]\nuse crate::queue::Queue;"),
        ("config", "use reqwest::Url;"),
        ("config", "use crate::speech::services::SERVICES;"),
    ] {
        assert_eq!(planted(module, text), [""; 0], "{module}: {text}");
    }
}

#[test]
fn the_core_is_kept_pure() {
    for text in [
        "use std::fs;",
        "use std::{collections::BTreeMap, env};",
        "fn a() { std::fs::read(\"a\"); }",
        "use std::time::{Duration, Instant};",
        "use std::time::*;",
        "use std::time;",
        "use tokio::sync::mpsc;",
        "use rusqlite::Connection;",
        "use crate::clock::Clock;",
        "use crate::queue::Queue;",
        "use super::super::queue::Queue;",
    ] {
        assert_eq!(planted("domain::job", text).len(), 1, "{text}");
    }
}

#[test]
fn each_outside_thing_has_one_place() {
    for (module, text) in [
        ("pipeline", "use rusqlite::Connection;"),
        ("outputs", "fn a() -> rusqlite::Result<()> { todo() }"),
        ("pipeline", "use reqwest as http;"),
        ("pipeline", "use notify;"),
        ("cli", "use figment::Figment;"),
        ("config", "#[derive(clap::ValueEnum)] enum A {}"),
        ("speech", "use symphonia::core::a;"),
    ] {
        assert_eq!(planted(module, text).len(), 1, "{module}: {text}");
    }
}

#[test]
fn code_after_a_test_module_is_still_read() {
    for text in [
        "#[cfg(test)]\nmod tests { fn a() {} }\nuse crate::queue::Queue;",
        "const A: &[u8] = &[\n#[cfg(test)]\nB,\n];\nuse crate::queue::Queue;",
    ] {
        assert_eq!(planted("media", text).len(), 1, "{text}");
    }
}

#[test]
fn a_service_is_named_in_its_own_file_and_in_the_list_alone() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut strangers = Vec::new();
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).unwrap();
        let here = file.strip_prefix(&source).unwrap().to_str().unwrap();
        for service in SERVICES {
            let name = service.provider.name();
            let is_own = here.starts_with(&format!("speech/{name}"));
            let is_listed = ["speech/mod.rs", "speech/services.rs"].contains(&here);
            // A model may be called after another service.
            let of_another = SERVICES
                .iter()
                .any(|other| here.starts_with(&format!("speech/{}", other.provider.name())));
            let lines = lines_naming(name, &text, !of_another);
            if is_listed {
                assert!(
                    lines.len() <= 2,
                    "{here} names {name} in the lines {lines:?}"
                );
            } else if !is_own {
                strangers.extend(lines.iter().map(|line| format!("{here}:{line}: {name}")));
            }
        }
    }
    assert!(strangers.is_empty(), "\n{}\n", strangers.join("\n"));
}

/// The lines whose code, and whose strings if they count, name a service, in whatever case and with whatever
/// else in the same word.
fn lines_naming(service: &str, text: &str, in_strings: bool) -> Vec<usize> {
    let is_named = |token: &str| token.replace('_', "").to_lowercase().contains(service);
    let tokens = without_tests(&tokens(text)).into_iter();
    tokens
        .filter(|(_, token)| is_named(token) && (in_strings || !is_string(token)))
        .map(|(line, _)| line)
        .collect()
}

#[test]
fn a_named_service_is_found_however_it_is_written() {
    for text in [
        "match it { Provider::OpenAi => 1 }",
        "fn is_open_ai() {}",
        "const OPENAI_MODEL: &str = \"a\";",
        "const VARIABLE: &str = \"OPENAI_API_KEY\";",
        "use crate::speech::openai;",
    ] {
        assert_eq!(lines_naming("openai", text, true), [1], "{text}");
    }
    for text in [
        "// OpenAi",
        "#[cfg(test)]\nmod tests { use crate::speech::openai; }",
    ] {
        assert_eq!(lines_naming("openai", text, true), [0; 0], "{text}");
    }
}

#[test]
fn a_module_that_nobody_put_on_the_map_is_reported() {
    assert_eq!(planted("helpers", "").len(), 1);
    let text = "use crate::daemon::Daemon;";
    assert_eq!(planted("batch", text).len(), 1);
    assert_eq!(planted("config", "use crate::queue::Queue;").len(), 1);
}
