//! Every code that the program can give as a reason has a way out in `domain::mend`.

use std::fs;
use std::path::{Path, PathBuf};

use stenod::domain::job::JobId;
use stenod::domain::mend::{NOTHING_TO_MEND, mend};

/// Codes of rules that a person wrote or the program keeps: nothing is wrong with them.
const RULES: [&str; 2] = ["not_audio", "unknown"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "simulation" && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The first string in `text`, if it looks like a code.
fn first_code(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let code = text.strip_prefix('"')?.split('"').next()?;
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    (!code.is_empty() && code.chars().all(plain)).then_some(code)
}

/// Codes in `text`: the first argument of a reason, and every string of a function that names codes.
fn codes(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = Vec::new();
    for start in ["Reason::new(", " reason("] {
        found.extend(text.split(start).skip(1).filter_map(first_code));
    }
    for start in ["fn code(", "_code("] {
        for body in text.split(start).skip(1) {
            // Only definitions have an arrow before their body.
            let Some((head, body)) = body.split_once('{') else {
                continue;
            };
            if !head.contains("-> &'static str") || head.contains(';') {
                continue;
            }
            let end = body
                .find("\n    }\n")
                .into_iter()
                .chain(body.find("\n}\n"))
                .min();
            let body = &body[..end.unwrap_or(body.len())];
            found.extend(body.split("=> ").skip(1).filter_map(first_code));
            found.extend(body.lines().filter_map(first_code));
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_code_has_a_way_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut seen = 0;
    let mut missing = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for code in codes(&text) {
            seen += 1;
            let known = mend(&code, Some(JobId(1)), "a.mp3").is_some();
            if !known
                && !NOTHING_TO_MEND.contains(&code.as_str())
                && !RULES.contains(&code.as_str())
            {
                missing.push(format!(
                    "{code} ({})",
                    file.strip_prefix(&root).unwrap().display()
                ));
            }
        }
    }
    assert!(
        seen > 60,
        "only {seen} codes were found: the reader of the source is broken"
    );
    assert!(
        missing.is_empty(),
        "no row in domain/mend.rs for:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_way_out_names_the_job_and_its_recording() {
    let way = mend("service_failed", Some(JobId(7)), "/a.mp3").unwrap();
    assert_eq!(way.command, "stenod retry 7");
    let way = mend("damaged", None, "'/a b.mp3'").unwrap();
    assert_eq!(way.command, "ffmpeg -i '/a b.mp3' '/a b.mp3'.mp3");
}
