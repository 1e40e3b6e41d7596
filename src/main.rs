//! The `bitweft` command.
fn main() {}
