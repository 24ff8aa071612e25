//! One request with a notice, and what its answer means.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Url};
use tokio_util::sync::CancellationToken;

use super::Told;
use super::address::{self, Lookup, Resolver};
use crate::clock::SharedClock;
use crate::domain::timing::retry_after;
use crate::https::{self, install_tls};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a notice may take altogether.
const TELL_LIMIT: Duration = Duration::from_secs(20);

/// How receivers are reached over the network.
#[derive(Clone)]
pub struct Network {
    /// Whether they may be on this machine or in a private network; proxies are used then, too.
    pub allow_private: bool,
    /// The clock.
    pub clock: SharedClock,
    lookup: Lookup,
}

impl Network {
    /// The network of this machine.
    pub fn new(allow_private: bool, clock: SharedClock) -> Self {
        Self {
            allow_private,
            clock,
            lookup: address::system(),
        }
    }
}

/// Why a receiver cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// It is an address on this machine or in a private network.
    #[error(
        "{0} is on this machine or in a private network; notify.allow_private = true allows that"
    )]
    Private(IpAddr),
    /// No name leads there.
    #[error("{0}")]
    Name(String),
    /// TLS or the trusted certificates are missing.
    #[error("cannot set up HTTPS (are the system's trusted certificates installed?)")]
    Tls(#[source] reqwest::Error),
}

/// Sends notices to one address.
pub(super) struct Poster {
    client: Client,
    url: Url,
    shown: String,
    resolver: Resolver,
    clock: SharedClock,
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Poster").field(&self.shown).finish()
    }
}

impl Poster {
    /// Sends to `url`, which is http or https.
    ///
    /// # Errors
    /// [`Unreachable`] for an address that is not allowed, and where no client can be made.
    pub(super) fn new(url: Url, network: &Network) -> Result<Self, Unreachable> {
        if let Some(address) = literal(&url)
            && !network.allow_private
            && !address::is_public(address)
        {
            return Err(Unreachable::Private(address));
        }
        let resolver = Resolver {
            lookup: network.lookup.clone(),
            allow_private: network.allow_private,
        };
        install_tls();
        let mut client = Client::builder()
            .user_agent(concat!("stenod/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TELL_LIMIT)
            .pool_max_idle_per_host(0)
            .dns_resolver(resolver.clone());
        if !network.allow_private {
            // A proxy would look names up itself, and nobody could judge where they lead.
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(Unreachable::Tls)?,
            shown: shown(&url),
            url,
            resolver,
            clock: network.clock.clone(),
        })
    }

    /// Where it is, without path and query, which may be secret.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Looks whether its name leads somewhere that is allowed; nothing is sent.
    ///
    /// # Errors
    /// [`Unreachable`] where it does not.
    pub(super) async fn look_up(&self) -> Result<(), Unreachable> {
        let Some(name) = self.url.host_str().filter(|_| literal(&self.url).is_none()) else {
            return Ok(());
        };
        let finding = self.resolver.clone().find(name.to_owned());
        match finding.await {
            Ok(_) => Ok(()),
            Err(error) => Err(Unreachable::Name(error.to_string())),
        }
    }

    /// The seconds since 1970 by the clock.
    pub(super) fn seconds(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Sends a notice, once.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: String,
        stop: &CancellationToken,
    ) -> Told {
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .body(body);
        tokio::select! {
            biased;
            answer = request.send() => match answer {
                Ok(answer) => self.judge(answer.status().as_u16(), answer.headers()),
                Err(error) => Told::Refused { why: cause(error), retry_after: None },
            },
            () = stop.cancelled() => Told::Interrupted,
        }
    }

    /// What an answer means; nothing of its body is read.
    fn judge(&self, status: u16, headers: &HeaderMap) -> Told {
        let asked = headers
            .get(RETRY_AFTER)
            .and_then(|text| text.to_str().ok())
            .and_then(|text| retry_after(text, self.clock.now()));
        match status {
            200..300 => Told::Taken,
            410 => Told::Gone {
                why: "it says that it is gone for good (status 410)".to_owned(),
            },
            300..400 => Told::Refused {
                why: format!("it leads to another address (status {status}): set that one"),
                retry_after: None,
            },
            _ => Told::Refused {
                why: format!("it answered with status {status}"),
                retry_after: asked,
            },
        }
    }
}

/// The address that a URL has in the place of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Scheme, host and port.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}"));
    format!(
        "{}://{}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        port.unwrap_or_default()
    )
}

/// Why nobody answered.
fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it did not answer within {} s", TELL_LIMIT.as_secs());
    }
    https::cause(error)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::SystemClock;

    /// A network in which every name leads to these addresses in turn.
    pub(in super::super) fn leading_to(
        allow_private: bool,
        addresses: Vec<Vec<SocketAddr>>,
    ) -> Network {
        let turn = AtomicUsize::new(0);
        Network {
            allow_private,
            clock: Arc::new(SystemClock),
            lookup: Arc::new(move |_| {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                let found = addresses[turn.min(addresses.len() - 1)].clone();
                Box::pin(async move { Ok(found) })
            }),
        }
    }

    #[test]
    fn an_address_of_this_network_is_refused_however_it_is_written() {
        let network = |allow| leading_to(allow, vec![Vec::new()]);
        for url in [
            "http://127.0.0.1/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
            "http://[::1]/x",
            "http://[::ffff:10.0.0.1]/x",
            "http://169.254.169.254/latest/meta-data",
        ] {
            let url: Url = url.parse().unwrap();
            let refused = Poster::new(url.clone(), &network(false));
            assert!(matches!(refused, Err(Unreachable::Private(_))), "{url}");
            assert!(Poster::new(url, &network(true)).is_ok());
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_after_it_was_judged_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let public = vec!["1.1.1.1:0".parse().unwrap()];
        let home = vec!["127.0.0.1:0".parse().unwrap()];
        let network = leading_to(false, vec![public, home]);
        let url: Url = format!("http://hooks.example:{port}/T0/secret")
            .parse()
            .unwrap();
        let poster = Poster::new(url, &network).unwrap();
        poster.look_up().await.unwrap();
        let stop = CancellationToken::new();
        let told = poster.post(HeaderMap::new(), String::new(), &stop).await;
        let Told::Refused { why, .. } = told else {
            panic!("{told:?}");
        };
        assert!(why.contains("hooks.example leads to 127.0.0.1"), "{why}");
        assert!(!why.contains("secret"), "{why}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody has called");
        assert_eq!(poster.shown(), format!("http://hooks.example:{port}"));
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let poster = Poster::new(
            "https://hooks.example/".parse().unwrap(),
            &leading_to(false, vec![Vec::new()]),
        )
        .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "90".parse().unwrap());
        for status in [200, 202, 204] {
            assert_eq!(poster.judge(status, &headers), Told::Taken);
        }
        assert!(matches!(poster.judge(410, &headers), Told::Gone { .. }));
        for status in [301, 302, 307, 308, 400, 401, 404, 500, 502] {
            assert!(
                matches!(
                    poster.judge(status, &HeaderMap::new()),
                    Told::Refused {
                        retry_after: None,
                        ..
                    }
                ),
                "{status}"
            );
        }
        for status in [429, 503] {
            assert!(matches!(
                poster.judge(status, &headers),
                Told::Refused { retry_after: Some(wait), .. } if wait.as_secs() == 90
            ));
        }
    }
}
