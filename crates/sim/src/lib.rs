//! Simulated worlds that try to break the engine.
//!
//! A seed decides everything: the programs that instances run, how long each message takes, when the store fails, when processes and the whole
//! node die. The engine in it is the real one (dispatcher, drivers, rules) on the memory store with faults; the runtime is scripted;
//! the clock is stepped. An independent model watches what user code sees and does. The same seed gives the same world.

mod faults;
mod model;
mod program;
mod random;
mod runtime;
mod world;

pub use world::{Failure, Report, run};
