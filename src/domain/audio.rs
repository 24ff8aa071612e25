//! The audio formats that stenod knows, by name, media type and extension.
