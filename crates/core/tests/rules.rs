//! Runs the text scripts: inputs as written, effects as the rules decide.
//!
//! A script is a list of scenarios (`== title`). A line `<millis> <input>` is an input at that time; the indented lines below it are what came of it:
//! `+` an entry, `!` an action, `x` a rejection, `=` the state after it and when the rules want to be asked again. After
//! every input the journal is encoded, decoded and replayed, and must give the same state.
//! `UPDATE_SCRIPTS=1 cargo test -p cairn-core` writes the answers into the scripts; read the diff.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // test helpers outside of #[test] functions

mod script;

use std::fs;
use std::path::Path;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "the scripts are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let answered = script::run(&written);
        if answered == written {
            continue;
        }
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, answered).unwrap();
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!(
                "{name}: {}",
                script::first_difference(&written, &answered)
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
