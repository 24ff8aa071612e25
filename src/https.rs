//! What all who speak HTTPS share: by which cryptography, and what a failure says.

use std::error::Error as _;

/// Names the cryptography that TLS uses, once for the whole program.
pub fn install_tls() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // Whoever was quicker installed the same.
        drop(ring::default_provider().install_default());
    }
}

/// The innermost cause, which says most, without the address, which may hold secrets.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
