//! The fuzz targets under libFuzzer. `CAIRN_FUZZ_TARGET` says which; `fuzz/run` sets it.
#![no_main]

use cairn_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn choose() -> Target {
    let name = std::env::var("CAIRN_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("CAIRN_FUZZ_TARGET is {name:?}, which is no target"))
}

fuzz_target!(|input: &[u8]| {
    let target = CHOSEN.get_or_init(choose);
    if let Err(fault) = (target.check)(input) {
        panic!("{}: {fault}", target.name);
    }
});
