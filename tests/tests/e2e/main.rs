//! End to end: the real binary, real workerd, the examples, and what a user does wrong.

mod bad_input;
mod dev;
mod examples;
mod processes;
