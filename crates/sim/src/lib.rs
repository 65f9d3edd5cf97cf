//! Simulated worlds that try to break the engine.
//!
//! A seed decides everything: the programs that instances run, how long each message takes, what clients do, when the store fails, when
//! processes and the whole node die. The engine in it is the real one (dispatcher, drivers, rules) on the memory store with faults; the
//! runtime is scripted; the clock is stepped. An independent model follows what the store writes, and watches user code and clients:
//! every entry of a journal must be legal and have a cause, and nobody is told what is not durable. The same seed gives the same world.

mod check;
mod client;
mod faults;
mod follower;
mod harsh;
mod link;
mod model;
mod program;
mod random;
mod run;
mod runtime;
mod world;

pub use world::{Failure, Report, log, run, run_twice};
