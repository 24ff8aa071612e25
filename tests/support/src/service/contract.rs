//! What a submit must look like by the wire contract, and what it says when it does.
//!
//! Two kinds of wrong: what the real service would refuse becomes an error reply; what it would
//! let pass although the contract forbids it becomes a violation, which the tests look at.

use serde_json::Value;

use super::fetch::{FOLLOWED, fetch};
use super::http::Head;
use super::multipart;

/// The largest file part that the service takes, in bytes: 3 MiB.
pub const LARGEST_AUDIO: usize = 3 * 1024 * 1024;

/// File name extensions that are promised to work, with their MIME types.
const FORMATS: [(&str, &str); 5] = [
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("aac", "audio/aac"),
];

/// A submit taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submit {
    /// Every field but the file, in order; JSON values as JSON text unless they are strings.
    pub fields: Vec<(String, String)>,
    /// The name of the file part's field (`audio` or `file`).
    pub file_field: String,
    /// The file part's file name.
    pub file_name: String,
    /// The file part's MIME type.
    pub mime: String,
    /// The file part's length in bytes.
    pub bytes: usize,
    /// BLAKE3 of the file part (or of the link), in hexadecimal.
    pub content: String,
}

impl Submit {
    /// The value of a field, when it was sent.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names of all fields but the file, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.fields.iter().map(|(key, _)| key.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn model(&self) -> &str {
        self.field("model").unwrap_or("Whisper-Large-V3")
    }

    pub(super) fn wants_times(&self) -> bool {
        self.field("response_format") == Some("verbose_json")
    }

    pub(super) fn diarize(&self) -> bool {
        self.field("diarize") == Some("true")
    }

    /// The billed length in ten-thousandths of a minute: what was sent, else a guess by size.
    pub(super) fn length(&self) -> u64 {
        let sent = self
            .field("actualDuration")
            .filter(|text| is_four_decimals(text));
        let digits = sent.and_then(|text| text.replace('.', "").parse().ok());
        digits.unwrap_or(self.bytes as u64 / 192)
    }
}

/// A request that the service refuses: status and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub u16, pub String);

/// Takes a submit apart: the submit, what it violates quietly, or why it is refused.
pub(super) fn submit(
    head: &Head,
    body: &[u8],
    openai: bool,
) -> Result<(Submit, Vec<String>), Refusal> {
    let content_type = head.header("content-type").unwrap_or("");
    let mut violations = Vec::new();
    if head.chunked() {
        violations.push("the body came in chunks instead of with its length".to_owned());
    }
    let submit = if content_type.starts_with("application/json") {
        from_json(body, openai, &mut violations)?
    } else {
        from_form(content_type, body, openai, &mut violations)?
    };
    check_names(&submit, openai)?;
    check_values(&submit, &mut violations)?;
    Ok((submit, violations))
}

fn from_form(
    content_type: &str,
    body: &[u8],
    openai: bool,
    violations: &mut Vec<String>,
) -> Result<Submit, Refusal> {
    let parts = multipart::parse(content_type, body).map_err(|why| Refusal(400, why))?;
    let mut submit = Submit::default();
    let wanted = if openai { "file" } else { "audio" };
    for part in parts {
        if part.name != wanted {
            if part.file_name.is_some() {
                violations.push(format!("the field {:?} came with a file name", part.name));
            }
            let value = String::from_utf8(part.bytes)
                .map_err(|_| Refusal(400, format!("{} is not UTF-8", part.name)))?;
            submit.fields.push((part.name, value));
            continue;
        }
        if !submit.file_field.is_empty() {
            return Err(Refusal(400, format!("the field {wanted:?} came twice")));
        }
        submit.file_name = part
            .file_name
            .ok_or(Refusal(400, "the file part has no file name".to_owned()))?;
        submit.mime = part.content_type.unwrap_or_default();
        submit.bytes = part.bytes.len();
        submit.content = blake3::hash(&part.bytes).to_hex().to_string();
        check_file(&submit, &part.bytes, violations)?;
        submit.file_field = part.name;
    }
    if submit.file_field.is_empty() {
        return Err(Refusal(400, format!("the field {wanted:?} is missing")));
    }
    if let Some(bytes) = submit.field("actualDuration").map(str::to_owned) {
        check_duration(&bytes, &submit, body, violations);
    }
    Ok(submit)
}

fn from_json(body: &[u8], openai: bool, violations: &mut Vec<String>) -> Result<Submit, Refusal> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return Err(Refusal(400, "the body is no JSON object".to_owned()));
    };
    let wanted = if openai { "file_url" } else { "audioUrl" };
    let mut submit = Submit::default();
    for (key, value) in object {
        if key == wanted {
            let link = value.as_str().unwrap_or("").to_owned();
            if !link.starts_with("https://") && !link.starts_with(FOLLOWED) {
                violations.push(format!("{wanted} is {link:?}, not an https link"));
            }
            if link.starts_with(FOLLOWED) {
                follow(&link, &mut submit)?;
            } else {
                submit.content = blake3::hash(link.as_bytes()).to_hex().to_string();
            }
            submit.file_field = key;
            continue;
        }
        let fits = match key.as_str() {
            "diarize" | "tagAudioEvents" => value.is_boolean(),
            _ => value.is_string(),
        };
        if !fits {
            return Err(Refusal(400, format!("{key} has the wrong type: {value}")));
        }
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        submit.fields.push((key, text));
    }
    if submit.file_field.is_empty() {
        return Err(Refusal(400, format!("{wanted} is missing")));
    }
    Ok(submit)
}

/// Fetches what a link on loopback leads to, as the service would; the name is the last of its path.
fn follow(link: &str, submit: &mut Submit) -> Result<(), Refusal> {
    let audio = fetch(link).map_err(|why| Refusal(400, format!("it cannot be fetched: {why}")))?;
    let path = link.split('?').next().unwrap_or_default();
    submit.file_name = path.rsplit('/').next().unwrap_or_default().to_owned();
    submit.bytes = audio.len();
    submit.content = blake3::hash(&audio).to_hex().to_string();
    Ok(())
}

fn check_names(submit: &Submit, openai: bool) -> Result<(), Refusal> {
    let allowed: &[&str] = if openai {
        &[
            "model",
            "language",
            "response_format",
            "temperature",
            "timestamp_granularities[]",
        ]
    } else {
        &[
            "model",
            "language",
            "actualDuration",
            "diarize",
            "tagAudioEvents",
        ]
    };
    let names = submit.names();
    if let Some(pair) = names
        .windows(2)
        .find(|pair| pair[0] == pair[1] && !pair[0].ends_with("[]"))
    {
        return Err(Refusal(400, format!("the field {:?} came twice", pair[0])));
    }
    if let Some(name) = names.iter().find(|name| !allowed.contains(name)) {
        return Err(Refusal(400, format!("there is no field {name:?}")));
    }
    if openai && submit.field("model").is_none() {
        return Err(Refusal(400, "the field \"model\" is missing".to_owned()));
    }
    Ok(())
}

fn check_values(submit: &Submit, violations: &mut Vec<String>) -> Result<(), Refusal> {
    for name in ["diarize", "tagAudioEvents"] {
        let Some(value) = submit.field(name) else {
            continue;
        };
        if value != "true" && value != "false" {
            return Err(Refusal(400, format!("{name} is {value:?}")));
        }
        if submit.model() != "Elevenlabs-STT" {
            violations.push(format!("{name} was sent for {}", submit.model()));
        }
    }
    if let Some(language) = submit.field("language") {
        let code = language.len() == 2 || language.len() == 3;
        let letters = language.bytes().all(|byte| byte.is_ascii_lowercase());
        if language != "auto" && !(code && letters) {
            return Err(Refusal(422, format!("language is {language:?}")));
        }
    }
    Ok(())
}

/// The service judges by file name and MIME type: both must be promised, and agree.
fn check_file(submit: &Submit, bytes: &[u8], violations: &mut Vec<String>) -> Result<(), Refusal> {
    let extension = submit
        .file_name
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    let known = FORMATS
        .iter()
        .find(|(name, _)| extension.eq_ignore_ascii_case(name));
    let Some((_, mime)) = known else {
        return Err(Refusal(
            415,
            format!("the file name {:?} is of no format", submit.file_name),
        ));
    };
    if submit.mime != *mime {
        return Err(Refusal(
            415,
            format!("{} came as {:?}", submit.file_name, submit.mime),
        ));
    }
    let found = sniff(bytes);
    if found.is_some_and(|found| found != *mime) {
        violations.push(format!("{} holds {found:?}", submit.file_name));
    }
    Ok(())
}

/// What the first bytes say for sure; none when they say nothing.
fn sniff(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] => Some("audio/wav"),
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg"),
        [b'I', b'D', b'3', ..] => Some("audio/mpeg"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("audio/mp4"),
        _ => None,
    }
}

/// The length must be minutes with four decimals, and true where a WAV header lets us know it.
fn check_duration(text: &str, submit: &Submit, body: &[u8], violations: &mut Vec<String>) {
    if !is_four_decimals(text) {
        violations.push(format!(
            "actualDuration is {text:?}, not minutes with four decimals"
        ));
        return;
    }
    let wav = body
        .windows(4)
        .position(|four| four == b"RIFF")
        .map(|at| &body[at..]);
    let Some(minutes) = wav.and_then(|wav| wav_minutes(wav, submit.bytes)) else {
        return;
    };
    let sent: f64 = text.parse().unwrap_or(0.0);
    if (sent - minutes).abs() > 0.000_15 {
        violations.push(format!(
            "actualDuration is {text}, but the WAV has {minutes:.4} minutes"
        ));
    }
}

fn is_four_decimals(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(whole, part)| digits(whole) && digits(part) && part.len() == 4)
}

fn wav_minutes(wav: &[u8], length: usize) -> Option<f64> {
    let rate = wav
        .get(28..32)
        .filter(|_| wav.get(36..40) == Some(b"data"))?;
    let rate = u32::from_le_bytes(rate.try_into().ok()?);
    Some((length as f64 - 44.0) / f64::from(rate) / 60.0)
}
