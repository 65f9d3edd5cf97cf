//! Fuzz targets: what is read from outside, and what must hold whatever the bytes.
//!
//! A target takes any bytes and says what is wrong, if something is; a panic is wrong as well. `tests/short.rs` runs all of them on changed
//! seeds with the other tests, always the same ones; `fuzz/run` looks for new ways through the code with libFuzzer, for as long as it is told.

mod cron;
mod frame;
mod mutate;
mod rpc;
mod seeds;
mod upload;
mod value;

pub use mutate::Mutator;
pub use seeds::seeds;

/// What a target found: what should hold, and does not.
pub type Fault = String;

/// Something that reads bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: the folder of its seeds, the argument of `fuzz/run`.
    pub name: &'static str,
    /// Reads the bytes and checks what must hold. Gives whether they were accepted.
    pub check: fn(&[u8]) -> Result<Verdict, Fault>,
}

/// What became of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They were read.
    Accepted,
    /// They were refused, with these words.
    Refused(String),
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target {
        name: "cron",
        check: cron::check,
    },
    Target {
        name: "value",
        check: value::check,
    },
    Target {
        name: "frame",
        check: frame::check,
    },
    Target {
        name: "rpc",
        check: rpc::check,
    },
    Target {
        name: "upload",
        check: upload::check,
    },
];

/// A fault unless `holds`.
fn require(holds: bool, fault: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault()) }
}
