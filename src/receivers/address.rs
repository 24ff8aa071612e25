//! Which addresses are out on the internet, and names that lead only there.
//!
//! Names are looked up for every connection and judged by what that very look-up says, so that a name cannot
//! lead elsewhere after it was judged.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The machine's own way to find addresses.
pub(super) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    })
}

/// Finds addresses that are out on the internet, or any where private ones are allowed.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) lookup: Lookup,
    pub(super) allow_private: bool,
}

/// A name leads to nobody out on the internet.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} leads to {address}, which is on this machine or in a private network; notify.allow_private = true allows that"
)]
pub(super) struct Private {
    pub(super) name: String,
    pub(super) address: IpAddr,
}

impl Resolver {
    /// The addresses of `name` that may be told something.
    ///
    /// # Errors
    /// Where the name is not known, or leads to private addresses alone and these are not allowed.
    pub(super) async fn find(
        self,
        name: String,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(name.clone()).await?;
        let allowed: Vec<SocketAddr> = found
            .iter()
            .filter(|found| self.allow_private || is_public(found.ip()))
            .copied()
            .collect();
        match (allowed.is_empty(), found.first()) {
            (true, Some(first)) => Err(Box::new(Private {
                name,
                address: first.ip(),
            })),
            (true, None) => Err(Box::new(io::Error::other(format!("{name} has no address")))),
            (false, _) => Ok(allowed),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let finding = self.clone().find(name.as_str().to_owned());
        Box::pin(async move {
            let found: Addrs = Box::new(finding.await?.into_iter());
            Ok(found)
        })
    }
}

/// Whether an address is out on the internet: not this machine, its networks, what is reserved, or an address
/// of the sixth version behind which one of these stands (the registries of RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match (first, second, third) {
        // "This network", multicast and what is reserved.
        (0, ..) | (224.., ..) => true,
        // Shared by customers of a provider (RFC 6598).
        (100, 64..128, _) => true,
        // Assignments of protocols, and of benchmarks.
        (192, 0, 0) | (198, 18..20, _) => true,
        _ => false,
    };
    !(is_special
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [.., high, low] = segments;
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    let last = Ipv4Addr::new(a, b, c, d);
    match segments {
        // Unspecified, loopback, and one of the fourth version in the last four bytes.
        [0, 0, 0, 0, 0, 0 | 0xFFFF, ..] => {
            !address.is_loopback() && !address.is_unspecified() && is_public_v4(last)
        }
        // NAT64 (RFC 6052): the same.
        [0x64, 0xFF9B, 0, 0, 0, 0, ..] => is_public_v4(last),
        // 6to4 (RFC 3056): behind the first two bytes.
        [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo and other protocols, and documentation.
        [0x2001, 0..0x200, ..] | [0x2001, 0xDB8, ..] => false,
        // Only this block is given out so far (RFC 4291, section 2.4).
        [first, ..] => first & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_out_on_the_internet_are_told_apart() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:192.168.1.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn of_a_name_with_both_kinds_only_public_addresses_are_used() {
        let lookup: Lookup = Arc::new(|_| {
            Box::pin(async {
                Ok(vec![
                    "127.0.0.1:0".parse().unwrap(),
                    "1.1.1.1:0".parse().unwrap(),
                ])
            })
        });
        let find = |allow_private| {
            let resolver = Resolver {
                lookup: lookup.clone(),
                allow_private,
            };
            resolver.find("both.example".to_owned())
        };
        let public = find(false).await.unwrap();
        assert_eq!(public, ["1.1.1.1:0".parse().unwrap()]);
        assert_eq!(find(true).await.unwrap().len(), 2);
    }
}
