//! What can be wrong with a bucket, told apart by status and code of the answer, never by its words.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The longest code of an answer that is repeated, in characters.
const LONGEST_CODE: usize = 64;

/// Why the storage did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// No credentials were found, or they cannot be used.
    #[error("there are no credentials for the bucket: {0}")]
    NoCredentials(String),
    /// The storage does not accept the credentials.
    #[error("the storage refuses the credentials ({0})")]
    Refused(Said),
    /// The credentials are good and do not allow this.
    #[error("the credentials do not allow it ({0})")]
    Denied(Said),
    /// There is no such bucket.
    #[error("there is no such bucket ({0})")]
    NoSuchBucket(Said),
    /// The bucket is in another region.
    #[error("{}", match .0 {
        Some(region) => format!("the bucket is in the region {region}"),
        None => "the bucket is in another region".to_owned(),
    })]
    WrongRegion(Option<String>),
    /// There is no room, or no money for more.
    #[error("the storage is full ({0})")]
    Full(Said),
    /// No name, no connection, no TLS.
    #[error("the storage cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke, or something on the way took the answer.
    #[error("the connection to the storage broke: {0}")]
    Broken(String),
    /// Nothing moved for too long.
    #[error("the storage took nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// It asks to come back later.
    #[error("the storage is busy ({said})")]
    Busy {
        /// What it said.
        said: Said,
        /// When to come back, if it says so.
        retry_after: Option<Duration>,
    },
    /// What was asked for is not there.
    #[error("it is not there ({0})")]
    NotThere(Said),
    /// The unfinished upload is not known any more, or not all of its parts.
    #[error("the unfinished upload is gone ({0})")]
    UploadGone(Said),
    /// Any other refusal.
    #[error("the storage refuses it ({0})")]
    Rejected(Said),
    /// The answer makes no sense.
    #[error("the storage gave an answer that makes no sense: {0}")]
    Unreadable(String),
}

/// Status and code of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The status of HTTP.
    pub status: u16,
    /// The storage's own code, if it gave one.
    pub code: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} {code}", self.status),
            None => write!(f, "status {}", self.status),
        }
    }
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Everything waits for the network; no try is used up.
    Offline,
    /// Again, later.
    Later,
    /// Nothing goes until a person has changed something.
    Person,
}

impl BucketError {
    /// What follows from it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Unreachable(_) => Fate::Offline,
            Self::Broken(_)
            | Self::Stalled(_)
            | Self::Busy { .. }
            | Self::NotThere(_)
            | Self::UploadGone(_)
            | Self::Unreadable(_) => Fate::Later,
            Self::NoCredentials(_)
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::NoSuchBucket(_)
            | Self::WrongRegion(_)
            | Self::Full(_)
            | Self::Rejected(_) => Fate::Person,
        }
    }

    /// Whether the same request may well succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Broken(_) | Self::Stalled(_) | Self::Busy { .. } | Self::Unreadable(_)
        )
    }

    /// When to come back, if the storage says so.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Busy { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }

    /// How a person mends it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::NoCredentials(_) => {
                "set bucket.access_key_id and bucket.secret_access_key_file, or the variables of the storage's own tools"
            }
            Self::Refused(said) if said.code.as_deref() == Some("RequestTimeTooSkewed") => {
                "set this machine's clock: the storage measures a difference of minutes"
            }
            Self::Refused(_) => {
                "check bucket.access_key_id and the secret in bucket.secret_access_key_file"
            }
            Self::Denied(_) => {
                "allow reading, writing and deleting objects under the prefix of bucket.url (README, \"Buckets\")"
            }
            Self::NoSuchBucket(_) => "make the bucket, or correct bucket.url",
            Self::WrongRegion(Some(_)) => "set bucket.region to that region",
            Self::WrongRegion(None) => "set bucket.region to the region of the bucket",
            Self::Full(_) => "make room, or raise the limit of the account",
            Self::Unreachable(_) => "check bucket.endpoint and the connection",
            Self::Broken(_) | Self::Stalled(_) | Self::Busy { .. } => {
                "check the connection; stenod tries again by itself"
            }
            Self::NotThere(_) | Self::UploadGone(_) => {
                "look for a lifecycle rule that deletes within the hour, or for somebody else who does"
            }
            Self::Rejected(_) | Self::Unreadable(_) => {
                "check that bucket.endpoint is the address of the storage's interface"
            }
        }
    }

    /// What an answer with this status, code and region means.
    pub(super) fn of_answer(
        said: Said,
        region: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let code = said.code.as_deref().unwrap_or_default();
        match (said.status, code) {
            (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect")
            | (300..=399, _) => Self::WrongRegion(region),
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "AccountProblem") => {
                Self::Full(said)
            }
            (401, _)
            | (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidSignature"
                | "AuthenticationFailed"
                | "InvalidAuthenticationInfo"
                | "InvalidSecurity"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired"
                | "RequestTimeTooSkewed",
            ) => Self::Refused(said),
            (403, _) => Self::Denied(said),
            (_, "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName") => {
                Self::NoSuchBucket(said)
            }
            (_, "NoSuchUpload" | "InvalidPart" | "InvalidPartOrder" | "InvalidBlockList") => {
                Self::UploadGone(said)
            }
            (404 | 410, _) => Self::NotThere(said),
            (501 | 505, _) => Self::Rejected(said),
            (408 | 425 | 429 | 500..=599, _) | (_, "RequestTimeout" | "SlowDown") => {
                Self::Busy { said, retry_after }
            }
            _ => Self::Rejected(said),
        }
    }

    /// The failure inside an error of the crate that speaks to storages; never its address.
    pub(super) fn of_store(error: &object_store::Error) -> Self {
        let mut inner: &dyn Error = error;
        loop {
            if let Some(found) = inner.downcast_ref::<Self>() {
                return found.clone();
            }
            match inner.source() {
                Some(source) => inner = source,
                None => return Self::Unreadable(inner.to_string()),
            }
        }
    }
}

/// The text of the element `name` in a flat XML document, if it looks like a code or a name.
pub(super) fn element(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    plain(text)
}

/// The text, if it is short and plain enough to be repeated.
pub(super) fn plain(text: &str) -> Option<String> {
    let is_plain = !text.is_empty()
        && text.len() <= LONGEST_CODE
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> BucketError {
        let said = Said {
            status,
            code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        };
        BucketError::of_answer(said, None, None)
    }

    #[test]
    fn every_status_means_something_and_only_what_may_pass_is_tried_again() {
        for status in 300..=599 {
            let error = of(status, "");
            let may_pass = matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506 | 508..=599);
            assert_eq!(error.is_passing(), may_pass, "{status}: {error}");
            assert!(!error.mend().is_empty());
        }
    }

    #[test]
    fn the_code_decides_where_the_status_says_too_little() {
        assert!(matches!(of(403, "AccessDenied"), BucketError::Denied(_)));
        for code in [
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "RequestTimeTooSkewed",
        ] {
            assert!(matches!(of(403, code), BucketError::Refused(_)), "{code}");
        }
        assert!(matches!(of(400, "ExpiredToken"), BucketError::Refused(_)));
        assert!(matches!(
            of(404, "NoSuchBucket"),
            BucketError::NoSuchBucket(_)
        ));
        for code in ["NoSuchUpload", "InvalidPart", "InvalidBlockList"] {
            assert!(
                matches!(of(400, code), BucketError::UploadGone(_)),
                "{code}"
            );
        }
        assert!(matches!(of(404, "NoSuchKey"), BucketError::NotThere(_)));
        assert!(matches!(of(403, "QuotaExceeded"), BucketError::Full(_)));
        assert!(of(400, "RequestTimeout").is_passing());
    }

    #[test]
    fn another_region_is_named() {
        let said = Said {
            status: 301,
            code: None,
        };
        let error = BucketError::of_answer(said, Some("eu-central-1".to_owned()), None);
        assert_eq!(
            error.to_string(),
            "the bucket is in the region eu-central-1"
        );
        assert_eq!(error.fate(), Fate::Person);
    }

    #[test]
    fn only_plain_words_are_taken_from_an_answer() {
        let document = "<Error><Code>AccessDenied</Code><Region>eu-west-1</Region>\
                        <Message>a <b> c</Message></Error>";
        assert_eq!(element(document, "Code").as_deref(), Some("AccessDenied"));
        assert_eq!(element(document, "Region").as_deref(), Some("eu-west-1"));
        assert_eq!(element(document, "Message"), None);
        assert_eq!(element(document, "HostId"), None);
    }
}
