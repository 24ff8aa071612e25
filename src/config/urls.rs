//! Values that are URLs: of a service, and of a bucket. None may hold a secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::mistake::Fault;
use super::redact;
use super::values::{Given, echo, text};
use crate::speech::services::{Description, SERVICES};

/// Ends of names that no public name server answers for.
const PRIVATE_ZONES: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".lan"];

/// An absolute http or https URL without user, password, query and fragment; no slash at its end.
pub(super) fn web_url(given: Given<'_>) -> Result<String, Fault> {
    let allowed = "an absolute URL such as \"https://nano-gpt.com/api\"";
    let written = text(given).map_err(|fault| fault.allowed(allowed))?;
    let url = plain_url(&written).map_err(|fault| fault.allowed(allowed))?;
    if !["http", "https"].contains(&url.scheme()) {
        let fault = Fault::new(format!("{} is neither http nor https", echo(&written)));
        return Err(fault.allowed(allowed));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A bucket and a prefix in it: `s3://bucket/prefix`, `gs://…`, `az://…`.
pub(super) fn bucket_url(given: Given<'_>) -> Result<String, Fault> {
    let allowed =
        "a URL such as \"s3://bucket/prefix\", \"gs://bucket/prefix\" or \"az://container/prefix\"";
    let written = text(given).map_err(|fault| fault.allowed(allowed))?;
    let url = plain_url(&written).map_err(|fault| fault.allowed(allowed))?;
    if !["s3", "gs", "az"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        let fault = Fault::new(format!("{} does not name a bucket", echo(&written)));
        return Err(fault.allowed(allowed));
    }
    let plain = url.as_str().trim_end_matches('/');
    if url.path().trim_end_matches('/').contains("//") {
        let (kind, rest) = plain.split_once("://").unwrap_or_default();
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let meant = format!("{kind}://{}", parts.join("/"));
        let fault = Fault::new(format!(
            "{} has nothing between two slashes",
            echo(&written)
        ));
        return Err(fault.allowed(allowed).nearest(Some(&meant)));
    }
    Ok(plain.to_owned())
}

fn plain_url(written: &str) -> Result<Url, Fault> {
    let written = written.trim();
    if !written.contains("://") {
        let fault = Fault::new(format!("{} is not an absolute URL", echo(written)));
        let guess = format!("https://{written}");
        let is_likely = Url::parse(&guess).is_ok() && !redact::looks_like_key(written);
        return Err(fault.nearest(is_likely.then_some(guess.as_str())));
    }
    let url = Url::parse(written)
        .map_err(|error| Fault::new(format!("{} is not a URL: {error}", echo(written))))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("must not hold a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(
            "must not hold a query (`?`) or a fragment (`#`)",
        ));
    }
    Ok(url)
}

/// The service to whose own host a URL leads.
pub(super) fn server(url: &str) -> Option<&'static Description> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let is_of = |own: &str| host == own || host.ends_with(&format!(".{own}"));
    let mut services = SERVICES.iter().copied();
    services.find(|service| service.host.is_some_and(is_of))
}

/// Whether a URL's host is this machine or stands in a private network, out of a cloud
/// service's reach (RFC 1918, 4193, 6598, 6761, 6762).
pub(super) fn is_private_host(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_private_v4(address),
        Ok(IpAddr::V6(address)) => is_private_v6(address),
        Err(_) => !host.contains('.') || PRIVATE_ZONES.iter().any(|zone| host.ends_with(zone)),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

    use super::*;

    fn read(url: &str) -> Result<String, Fault> {
        web_url(Given {
            value: &Value::from(url),
            written: None,
            loose: false,
        })
    }

    #[test]
    fn a_web_url_loses_its_slashes_at_the_end() {
        assert_eq!(
            read("https://nano-gpt.com/api/").unwrap(),
            "https://nano-gpt.com/api"
        );
        assert_eq!(
            read("http://127.0.0.1:8080").unwrap(),
            "http://127.0.0.1:8080"
        );
    }

    #[test]
    fn what_is_no_plain_web_url_is_refused_without_its_secrets() {
        for (url, what) in [
            (
                "https://ada:hunter2@host/",
                "must not hold a user name or a password",
            ),
            (
                "https://host/?key=hunter2",
                "must not hold a query (`?`) or a fragment (`#`)",
            ),
            (
                "https://host/#x",
                "must not hold a query (`?`) or a fragment (`#`)",
            ),
            ("ftp://host/", "\"ftp://host/\" is neither http nor https"),
            (
                "ftp://ada:hunter2@host/",
                "must not hold a user name or a password",
            ),
            ("https://", "\"https://\" is not a URL: empty host"),
            ("", "\"\" is not an absolute URL"),
        ] {
            assert_eq!(read(url).unwrap_err().what, what);
        }
        let fault = read("nano-gpt.com/api").unwrap_err();
        assert_eq!(fault.nearest.as_deref(), Some("https://nano-gpt.com/api"));
    }

    #[test]
    fn a_bucket_url_names_a_bucket() {
        let read = |url: &str| {
            bucket_url(Given {
                value: &Value::from(url),
                written: None,
                loose: false,
            })
        };
        for (url, kept) in [
            ("s3://my-bucket/stenod/", "s3://my-bucket/stenod"),
            ("gs://b", "gs://b"),
            ("az://c/p", "az://c/p"),
        ] {
            assert_eq!(read(url).unwrap(), kept);
        }
        for url in [
            "s3://",
            "https://my-bucket",
            "my-bucket",
            "s3://key:secret@bucket",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
        for (url, meant) in [
            ("s3://bucket//x", "s3://bucket/x"),
            ("gs://bucket/a//b/", "gs://bucket/a/b"),
        ] {
            let fault = read(url).unwrap_err();
            assert!(fault.what.ends_with("has nothing between two slashes"));
            assert_eq!(fault.nearest.as_deref(), Some(meant));
        }
        assert_eq!(read("s3://bucket//").unwrap(), "s3://bucket");
    }

    #[test]
    fn hosts_out_of_a_cloud_services_reach_are_told_apart() {
        for url in [
            "http://localhost:9000",
            "http://127.0.0.1",
            "http://[::1]:9000",
            "http://10.0.0.5",
            "http://100.64.0.1",
            "http://[fd00::1]",
            "http://nas.local",
            "http://minio:9000",
        ] {
            assert!(is_private_host(url), "{url}");
        }
        for url in [
            "https://s3.example.org",
            "http://8.8.8.8",
            "http://100.128.0.1",
            "http://[2001:db8::1]",
        ] {
            assert!(!is_private_host(url), "{url}");
        }
    }
}
