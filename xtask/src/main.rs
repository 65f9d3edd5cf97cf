//! Repository checks: which crate may import which, how long files may be, which licences
//! dependencies may have. `cargo run -p xtask` shows what is wrong; `cargo test` fails on it.
//! `cargo run -p xtask -- mutants` sees whether the tests notice faults.

mod files;
mod imports;
mod licences;
mod mutants;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Everything that is wrong with the repository at `root`.
fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = imports::check(root)?;
    faults.extend(files::check(root)?);
    faults.extend(licences::check(root)?);
    faults.extend(mutants::check(root)?);
    Ok(faults)
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    if let Some(what) = args.next() {
        anyhow::ensure!(
            what == "mutants",
            "xtask checks the repository, or tries `mutants`; what is `{what}`?"
        );
        mutants::run(root(), &args.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
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
