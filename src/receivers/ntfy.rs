//! A topic of an ntfy server (<https://docs.ntfy.sh/publish/>), told in its JSON form, in which any letter can
//! stand in a title.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Told;
use super::http::{Network, Poster, Unreachable};
use crate::domain::notice::{Event, Notice};

/// What a topic is set up by.
#[derive(Debug)]
pub struct NtfySettings {
    /// The server's address with the topic behind it.
    pub url: Url,
    /// The access token, if the server wants one.
    pub token: Option<SecretString>,
}

/// A topic.
#[derive(Debug)]
pub struct Ntfy {
    poster: Poster,
    topic: String,
    token: Option<HeaderValue>,
}

impl Ntfy {
    /// The topic that `settings` name.
    ///
    /// # Errors
    /// [`Unreachable`] for an address that is not allowed, one without a topic, and where no client can be made.
    pub fn new(settings: NtfySettings, network: &Network) -> Result<Self, Unreachable> {
        let mut server = settings.url.clone();
        let path = settings.url.path().trim_end_matches('/');
        let (above, topic) = path.rsplit_once('/').unwrap_or(("", path));
        if topic.is_empty() {
            return Err(Unreachable::Name("it names no topic".to_owned()));
        }
        server.set_path(&format!("{above}/"));
        let token = match settings.token {
            None => None,
            Some(token) => {
                let text = SecretString::from(format!("Bearer {}", token.expose_secret()));
                let value = HeaderValue::from_str(text.expose_secret());
                let mut value = value.map_err(|_| {
                    Unreachable::Name("its token holds characters that no token has".to_owned())
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            poster: Poster::new(server, network)?,
            topic: topic.to_owned(),
            token,
        })
    }

    /// Where the server is; the topic may be secret.
    pub fn shown(&self) -> &str {
        self.poster.shown()
    }

    /// Looks whether its name leads somewhere that is allowed; nothing is sent.
    ///
    /// # Errors
    /// [`Unreachable`] where it does not.
    pub async fn look_up(&self) -> Result<(), Unreachable> {
        self.poster.look_up().await
    }

    pub(super) async fn tell(&self, notice: &Notice, stop: &CancellationToken) -> Told {
        let (title, priority, tag) = looks(notice.event);
        let body = json!({
            "topic": self.topic, "title": title, "message": notice.message(), "priority": priority,
            "tags": [tag],
        });
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        self.poster.post(headers, body.to_string(), stop).await
    }
}

/// Title, priority (1 to 5, 3 is the usual one) and tag of an event.
fn looks(event: Event) -> (&'static str, u8, &'static str) {
    match event {
        Event::Done => ("Transcribed", 2, "white_check_mark"),
        Event::Failed => ("Not transcribed", 4, "warning"),
        Event::Paused => ("Transcribing is paused", 4, "pause_button"),
        Event::Resumed => ("Transcribing goes on", 3, "arrow_forward"),
        Event::Budget => ("Little is left of a budget", 4, "moneybag"),
        Event::Digest => ("Transcripts of the day", 2, "calendar"),
    }
}
