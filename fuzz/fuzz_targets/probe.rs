//! Whatever the bytes, a probe gives an answer of moderate length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stenod::media::probe::probe_file;
use stenod_fuzz::file_of;

/// The longest message that a person should have to read, in bytes.
const LONGEST_MESSAGE: usize = 400;

fuzz_target!(|bytes: &[u8]| {
    let file = file_of(bytes).expect("a file in memory");
    if let Err(error) = probe_file(&file) {
        let message = error.to_string();
        assert!(message.len() < LONGEST_MESSAGE, "{message}");
    }
});
