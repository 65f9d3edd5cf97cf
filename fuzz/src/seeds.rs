//! The seeds: real inputs, one a file in `fuzz/seeds`.

use std::path::Path;
use std::{fs, io};

/// The seeds of a target, by order of their names.
///
/// # Errors
/// Where the folder cannot be read.
pub fn seeds(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}
