//! The usual behaviour: what the service answers when nobody scripted anything else.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::contract::{LARGEST_AUDIO, Refusal, Submit};
use super::http::{Head, Reply};
use super::ledger::{Charge, Ledger, decimal, parse_decimal, price};
use super::script::Endpoint;

/// How the stand-in behaves; tests change it at any time.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The only key accepted; none accepts every key that is not empty.
    pub key: Option<String>,
    /// How many polls of a run answer `pending` or `processing` before it is completed.
    pub polls: u32,
    /// The status that a ticket comes with: what is asynchronous is said by the body alone.
    pub ticket_status: u16,
    /// The largest file part that is taken, in bytes.
    pub largest: usize,
    /// Whether tickets carry their optional fields.
    pub full_tickets: bool,
    /// Whether replies carry more metadata than is promised.
    pub full_metadata: bool,
    /// What the OpenAI address makes of `verbose_json`.
    pub verbose: Verbose,
    /// Transcripts by content (BLAKE3 in hexadecimal) instead of the usual ones.
    pub texts: HashMap<String, String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            key: None,
            polls: 2,
            ticket_status: 202,
            largest: LARGEST_AUDIO,
            full_tickets: true,
            full_metadata: true,
            verbose: Verbose::Ignored,
            texts: HashMap::new(),
        }
    }
}

/// What the OpenAI address makes of a request for times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbose {
    /// The text alone is answered.
    Ignored,
    /// Segments and words are answered.
    Answered,
    /// The request is refused, naming the field.
    RefusedByName,
    /// The request is refused without saying what is wrong with it.
    Refused,
}

/// A run that was accepted with a ticket.
#[derive(Clone, Debug)]
struct Run {
    ticket: Map<String, Value>,
    submit: Submit,
    polls: u32,
}

/// Everything that the service remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) behaviour: Behaviour,
    pub(super) ledger: Ledger,
    pub(super) violations: Vec<String>,
    runs: BTreeMap<String, Run>,
}

impl Memory {
    /// Whether the request carries the key; `Authorization: Bearer` counts on `/v1/*` only.
    pub(super) fn authorised(&self, head: &Head, endpoint: Endpoint) -> Result<(), Refusal> {
        if matches!(endpoint, Endpoint::Models | Endpoint::Unknown) {
            return Ok(());
        }
        let bearer = head
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer "));
        let bearer = bearer.filter(|_| endpoint == Endpoint::OpenAi);
        let key = head.header("x-api-key").or(bearer).unwrap_or("");
        let right = match &self.behaviour.key {
            Some(wanted) => key == wanted,
            None => !key.is_empty(),
        };
        if right {
            Ok(())
        } else {
            Err(Refusal(401, "Invalid API key".to_owned()))
        }
    }

    /// Charges a valid submit; the refusal is the empty balance.
    pub(super) fn charge(&mut self, submit: &Submit, request: usize) -> Result<u64, Refusal> {
        let is_link = matches!(submit.file_field.as_str(), "audioUrl" | "file_url");
        if submit.bytes > self.behaviour.largest && !is_link {
            return Err(Refusal(413, format!("the file has {} bytes", submit.bytes)));
        }
        let model = submit.model().to_owned();
        let Some(price) = price(&model) else {
            return Err(Refusal(400, format!("Unknown model {model}")));
        };
        let amount = price * submit.length();
        let content = submit.content.clone();
        let charge = Charge {
            content,
            model,
            amount,
            request,
        };
        let booked = self.ledger.charge(charge);
        booked.map_err(|needed| Refusal(402, decimal(needed)))?;
        Ok(amount)
    }

    /// Refuses a request for times, if the behaviour says so.
    pub(super) fn refuse_times(&self, submit: &Submit) -> Option<Reply> {
        let error = match self.behaviour.verbose {
            Verbose::Ignored | Verbose::Answered => return None,
            Verbose::RefusedByName => {
                json!({"error": {"message": "not with this model", "param": "response_format"}})
            }
            Verbose::Refused => json!({"error": {"message": "bad request"}}),
        };
        submit.wants_times().then(|| Reply::json(400, &error))
    }

    /// The usual reply to a submit that was charged.
    pub(super) fn accepted(&mut self, submit: &Submit, amount: u64, openai: bool) -> Reply {
        if openai {
            let text = self.text(submit);
            let mut reply = json!({"text": text, "language": "en"});
            if self.behaviour.verbose == Verbose::Answered && submit.wants_times() {
                let words = words(&text, false);
                let spoken = words.as_array().into_iter().flatten();
                let spoken = spoken.filter(|word| word["type"] == "word");
                reply["words"] = spoken
                    .map(|word| json!({"word": word["text"], "start": word["start"], "end": word["end"]}))
                    .collect();
                reply["segments"] = segments(&text);
                reply["language"] = json!("english");
            }
            return Reply::json(200, &reply);
        }
        if submit.model() != "Elevenlabs-STT" {
            let text = self.text(submit);
            let metadata = self.metadata(submit, amount);
            return Reply::json(200, &json!({"transcription": text, "metadata": metadata}));
        }
        let run_id = format!("run-{:04}", self.runs.len() + 1);
        let mut ticket = Map::new();
        ticket.insert("runId".into(), json!(run_id));
        ticket.insert("status".into(), json!("pending"));
        ticket.insert("model".into(), json!(submit.model()));
        ticket.insert("cost".into(), number(amount));
        ticket.insert("paymentSource".into(), json!("USD"));
        if self.behaviour.full_tickets {
            ticket.insert("isApiRequest".into(), json!(true));
            ticket.insert("fileName".into(), json!(submit.file_name));
            ticket.insert("fileSize".into(), json!(submit.bytes));
            ticket.insert("chargedDuration".into(), minutes(submit));
            ticket.insert("diarize".into(), json!(submit.diarize()));
        }
        let run = Run {
            ticket: ticket.clone(),
            submit: submit.clone(),
            polls: 0,
        };
        self.runs.insert(run_id, run);
        Reply::json(self.behaviour.ticket_status, &Value::Object(ticket))
    }

    /// The usual reply to a poll: every field of the ticket must come back.
    pub(super) fn poll(&mut self, body: &[u8]) -> Reply {
        let Ok(Value::Object(sent)) = serde_json::from_slice(body) else {
            self.violations
                .push("a poll whose body is no JSON object".to_owned());
            return refuse(&Refusal(400, "no JSON object".to_owned()));
        };
        let run_id = sent
            .get("runId")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned();
        let Some(run) = self.runs.get_mut(&run_id) else {
            return refuse(&Refusal(404, format!("Unknown run {run_id:?}")));
        };
        run.polls += 1;
        let run = run.clone();
        self.check_echo(&sent, &run.ticket);
        match run.polls {
            polls if polls > self.behaviour.polls => self.completed(&run),
            1 => Reply::json(200, &json!({"status": "pending"})),
            _ => Reply::json(200, &json!({"status": "processing"})),
        }
    }

    fn check_echo(&mut self, sent: &Map<String, Value>, ticket: &Map<String, Value>) {
        if sent.get("isApiRequest") != Some(&json!(true)) {
            self.violations
                .push("a poll without isApiRequest: true".to_owned());
        }
        for (key, value) in sent {
            let known = key == "isApiRequest" || ticket.contains_key(key);
            if value.is_null() || !known {
                self.violations
                    .push(format!("a poll with {key}: {value}, not in the ticket"));
            }
        }
        for (key, value) in ticket {
            if sent.get(key) != Some(value) {
                let sent = sent.get(key);
                self.violations
                    .push(format!("the ticket's {key}: {value} came back as {sent:?}"));
            }
        }
    }

    fn completed(&self, run: &Run) -> Reply {
        let text = self.text(&run.submit);
        let amount = price(run.submit.model()).unwrap_or(0) * run.submit.length();
        let mut reply = json!({
            "status": "completed",
            "transcription": text,
            "metadata": self.metadata(&run.submit, amount),
            "words": words(&text, run.submit.diarize()),
        });
        if run.submit.diarize() {
            reply["diarization"] = json!({"segments": segments(&text)});
        }
        Reply::json(200, &reply)
    }

    fn text(&self, submit: &Submit) -> String {
        let scripted = self.behaviour.texts.get(&submit.content).cloned();
        scripted.unwrap_or_else(|| usual_text(&submit.content))
    }

    fn metadata(&self, submit: &Submit, amount: u64) -> Value {
        let mut metadata = json!({
            "cost": number(amount), "currency": "USD", "model": submit.model(),
        });
        if self.behaviour.full_metadata {
            metadata["fileName"] = json!(submit.file_name);
            metadata["fileSize"] = json!(submit.bytes);
            metadata["chargedDuration"] = minutes(submit);
            metadata["actualDuration"] = minutes(submit);
            metadata["language"] = json!("en");
        }
        metadata
    }

    /// The usual reply of `POST /check-balance`.
    pub(super) fn balance(&self) -> Reply {
        let balance = self.ledger.balance.unwrap_or(parse_decimal("129.46"));
        let usd = decimal(balance);
        Reply::json(
            200,
            &json!({"usd_balance": usd, "nano_balance": "26.7", "address": "x"}),
        )
    }
}

/// The usual transcript of a content: two sentences that only this content has.
pub fn usual_text(content: &str) -> String {
    format!(
        "Recording {} says hello. Somebody answers.",
        &content[..8.min(content.len())]
    )
}

/// The usual reply of `GET /v1/audio-models`.
pub(super) fn models() -> Reply {
    let model = |id: &str| {
        let per_minute = number(price(id).unwrap_or(0) * 10_000);
        let limits = json!({"max_request_body_mb": 3});
        json!({
            "id": id, "object": "model", "supported_parameters": limits,
            "pricing": {"per_minute": per_minute, "currency": "USD"},
        })
    };
    let ids = [
        "Whisper-Large-V3",
        "Wizper",
        "Elevenlabs-STT",
        "gpt-4o-mini-transcribe",
    ];
    let mut data: Vec<Value> = ids.into_iter().map(model).collect();
    data.push(json!({"id": "qwen-voice-clone", "pricing": {"per_run": 0.25}}));
    Reply::json(200, &json!({"object": "list", "data": data}))
}

/// The error reply of a refusal, in the shape that the service uses for its status.
pub(super) fn refuse(refusal: &Refusal) -> Reply {
    let Refusal(status, message) = refusal;
    let body = match status {
        401 | 403 => json!({"error": {
            "message": message, "type": "authentication_error", "code": "invalid_api_key",
        }}),
        402 => json!({
            "error": "Insufficient balance", "status": 402,
            "requiredBalance": message.parse::<f64>().unwrap_or(0.0),
        }),
        _ => json!({"error": status, "message": message}),
    };
    Reply::json(*status, &body)
}

/// Words with times in seconds, labelled `speaker_0` and `speaker_1` by sentence.
fn words(text: &str, diarize: bool) -> Value {
    let mut words = Vec::new();
    let (mut at, mut speaker) = (0.25, 0);
    for (number, word) in text.split_whitespace().enumerate() {
        if number > 0 {
            words.push(json!({"text": " ", "start": at - 0.05, "end": at, "type": "spacing"}));
        }
        words.push(json!({"text": word, "start": at, "end": at + 0.2, "type": "word"}));
        if diarize {
            let label = format!("speaker_{speaker}");
            words.last_mut().expect("just pushed")["speaker_id"] = json!(label);
        }
        at += 0.25;
        if word.ends_with('.') {
            speaker = 1 - speaker;
        }
    }
    Value::Array(words)
}

/// One segment a sentence, labelled `Speaker 1` and `Speaker 2`: the other label space.
fn segments(text: &str) -> Value {
    let mut segments = Vec::new();
    let mut at = 0.25;
    for (number, sentence) in text.split_inclusive(". ").enumerate() {
        let end = at + 0.25 * sentence.split_whitespace().count() as f64 - 0.05;
        let speaker = format!("Speaker {}", number % 2 + 1);
        let text = sentence.trim();
        segments.push(json!({"speaker": speaker, "text": text, "start": at, "end": end}));
        at = end + 0.05;
    }
    Value::Array(segments)
}

fn minutes(submit: &Submit) -> Value {
    number(submit.length() * 1_000_000)
}

fn number(amount: u64) -> Value {
    serde_json::from_str(&decimal(amount)).expect("a decimal is JSON")
}
