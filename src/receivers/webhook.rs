//! A webhook, signed as Standard Webhooks has it (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use super::Told;
use super::http::{Network, Poster, Unreachable};
use crate::domain::notice::Notice;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The fewest bytes of a key, by the specification.
const SHORTEST_KEY: usize = 24;
/// The most.
const LONGEST_KEY: usize = 64;

/// A text is no secret of a webhook; nothing of it is repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// It does not begin with `whsec_`.
    #[error("does not begin with whsec_")]
    Prefix,
    /// What follows is no base64.
    #[error("is no base64 after whsec_")]
    Base64,
    /// Its key is too short or too long.
    #[error("has a key of {0} bytes, and {SHORTEST_KEY} to {LONGEST_KEY} are allowed")]
    Length(usize),
}

/// The key that is in a secret (`whsec_` and base64).
///
/// # Errors
/// [`SecretError`] where there is none.
pub fn key_in(secret: &SecretString) -> Result<Key, SecretError> {
    let text = secret.expose_secret().trim();
    let text = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
    let bytes = STANDARD.decode(text).map_err(|_| SecretError::Base64)?;
    if !(SHORTEST_KEY..=LONGEST_KEY).contains(&bytes.len()) {
        return Err(SecretError::Length(bytes.len()));
    }
    Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

/// What requests are signed with; never shown.
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The header `webhook-signature` of a message.
    fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        let tag = hmac::sign(&self.0, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    poster: Poster,
    key: Key,
}

impl Webhook {
    /// The webhook at `url` whose messages are signed with `key`.
    ///
    /// # Errors
    /// [`Unreachable`] for an address that is not allowed, and where no client can be made.
    pub fn new(url: Url, key: Key, network: &Network) -> Result<Self, Unreachable> {
        let poster = Poster::new(url, network)?;
        Ok(Self { poster, key })
    }

    /// Where it is, without path and query.
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
        let seconds = self.poster.seconds();
        let signature = self.key.sign(&notice.name, seconds, &notice.body);
        let values = [
            ("webhook-id", notice.name.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in values {
            match HeaderValue::from_str(&value) {
                Ok(value) => headers.insert(name, value),
                Err(_) => {
                    let why = format!("{name} cannot be sent");
                    return Told::Gone { why };
                }
            };
        }
        self.poster.post(headers, notice.body.clone(), stop).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<Key, SecretError> {
        key_in(&SecretString::from(text.to_owned()))
    }

    #[test]
    fn a_message_is_signed_as_the_specifications_own_example_is() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{key:?}"), "Key");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_a_word_of_it() {
        for (text, why) in [
            ("hunter2", "does not begin with whsec_"),
            ("whsec_hunter2!", "is no base64 after whsec_"),
            (
                "whsec_aHVudGVyMg==",
                "has a key of 7 bytes, and 24 to 64 are allowed",
            ),
        ] {
            assert_eq!(key(text).unwrap_err().to_string(), why);
        }
    }
}
