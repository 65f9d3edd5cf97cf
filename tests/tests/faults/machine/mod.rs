//! Faults of the machine: its disk and its clock.
//!
//! `faults.c` is preloaded into cairn and makes system calls fail as a file says, which a test writes anew while the server runs. A file system that is
//! really full is tried as well where the test may mount one.

mod clock;
mod damage;
mod full;
mod io;
mod world;
