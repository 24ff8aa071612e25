//! Whatever the bytes, decoding gives samples or an error, and after its end nothing more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stenod::media::decode::Samples;
use stenod_fuzz::file_of;

/// Samples that are decoded at most: a minute.
const MOST: u64 = 60 * 16_000;

fuzz_target!(|bytes: &[u8]| {
    let file = file_of(bytes).expect("a file in memory");
    let Ok(mut samples) = Samples::from_file(&file) else {
        return;
    };
    let mut block = vec![0.0; 4_000];
    let mut given = 0;
    while given < MOST {
        let count = samples.read(&mut block).unwrap_or(0);
        given += count as u64;
        if count < block.len() {
            assert_eq!(samples.read(&mut block).unwrap_or(0), 0);
            break;
        }
    }
    assert!(samples.report().samples >= given);
});
