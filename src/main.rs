//! The stenod program.
fn main() {}
