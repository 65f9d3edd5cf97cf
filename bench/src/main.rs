//! The bench: steps, creations, latency and memory of a running cairn.

fn main() {}
