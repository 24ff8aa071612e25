//! Configuration: layers of settings, read once into types that cannot be wrong.
