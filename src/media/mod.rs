//! Looks into audio files: format, true duration, samples.
