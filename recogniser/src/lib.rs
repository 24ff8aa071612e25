//! Whisper speech recognition on the CPU in plain Rust.
