//! Repository checks that run as tests.

fn main() {}
