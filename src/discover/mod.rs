//! Finds recordings: scanning is the truth, watching gives hints.
