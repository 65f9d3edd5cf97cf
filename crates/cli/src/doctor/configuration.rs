//! The configuration of the server, as it would start in this folder and environment.

use super::Finding;
use crate::args::{Command, DoctorArguments};
use crate::configuration::of_serve;
use std::path::PathBuf;

const CHECK: &str = "config";
/// Where a server keeps its data that was told nothing.
const DATA_DIR: &str = ".cairn";

/// Checks it; with the data directory that it names, unless one is given.
pub(super) fn check(arguments: &DoctorArguments) -> (Finding, PathBuf) {
    let given = arguments.data_dir.clone();
    match of_serve(arguments.config.as_deref()) {
        Ok(configured) => {
            let named = match configured.arguments.command {
                Command::Serve(serve) => Some(serve.data_dir),
                _ => None,
            };
            let what = match &configured.sources.file {
                Some(file) => format!("{} and the environment are right", file.display()),
                None => "no file, and the environment is right".to_owned(),
            };
            let data_dir = given.or(named).unwrap_or_else(|| DATA_DIR.into());
            (Finding::ok(CHECK, what), data_dir)
        }
        Err(mistakes) => {
            let finding = Finding::problem(
                CHECK,
                mistakes.lines().collect::<Vec<_>>().join("; "),
                "Correct it, or `cairn serve` does not start; docs/configuration.md has all keys.",
            );
            (finding, given.unwrap_or_else(|| DATA_DIR.into()))
        }
    }
}
