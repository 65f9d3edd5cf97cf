//! Repository checks: which crate may import which, how long files may be, which licences
//! dependencies may have. `cargo run -p xtask` shows what is wrong; `cargo test` fails on it.

mod files;
mod imports;
mod licences;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Everything that is wrong with the repository at `root`.
fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = imports::check(root)?;
    faults.extend(files::check(root)?);
    faults.extend(licences::check(root)?);
    Ok(faults)
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn main() -> anyhow::Result<ExitCode> {
    let faults = check(root())?;
    let mut stderr = std::io::stderr();
    for fault in &faults {
        writeln!(stderr, "{fault}")?;
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        let faults = check(root()).unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
