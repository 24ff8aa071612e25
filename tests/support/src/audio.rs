//! Recordings made on the spot: small, valid, and no two alike unless asked for.

/// The sample rate of everything made here, in Hz.
const RATE: u32 = 16_000;

/// A WAV of `seconds` of quiet noise, 16 kHz, mono, 16 bits; another `seed` is another recording.
pub fn wav(seed: u64, seconds: f64) -> Vec<u8> {
    let samples = (seconds * f64::from(RATE)).round() as usize;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = std::iter::repeat_with(|| {
        // xorshift64 (Marsaglia 2003): enough to be different, and the same everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 52) as i16 - 2048
    });
    pcm(noise.take(samples))
}

/// A WAV of these samples: 16 kHz, mono, 16 bits.
pub fn pcm(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    let data: Vec<u8> = samples.into_iter().flat_map(i16::to_le_bytes).collect();
    [header(data.len() as u32).as_slice(), &data].concat()
}

/// A WAV whose header promises `seconds` but which ends after half of them.
pub fn cut_wav(seed: u64, seconds: f64) -> Vec<u8> {
    let mut bytes = wav(seed, seconds);
    bytes.truncate(44 + (bytes.len() - 44) / 2);
    bytes
}

/// The 44 bytes before the samples (RIFF WAVE, PCM).
fn header(bytes: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(44);
    header.extend(b"RIFF");
    header.extend((36 + bytes).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16u32.to_le_bytes());
    header.extend(1u16.to_le_bytes());
    header.extend(1u16.to_le_bytes());
    header.extend(RATE.to_le_bytes());
    header.extend((RATE * 2).to_le_bytes());
    header.extend(2u16.to_le_bytes());
    header.extend(16u16.to_le_bytes());
    header.extend(b"data");
    header.extend(bytes.to_le_bytes());
    header
}
