//! One pure function an output format.
