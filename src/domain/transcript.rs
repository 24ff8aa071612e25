//! The transcript: one document model for every reply shape.
