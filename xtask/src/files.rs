//! Source files: short, and each begins by saying what it is about.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 800;

/// Folders with source of ours.
const FOLDERS: [&str; 5] = ["crates", "tests", "bench", "xtask", "examples"];

/// Files that are too long or do not say what they are about.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in FOLDERS {
        for (path, text) in sources(&root.join(folder))? {
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            faults.extend(
                faults_of(&path, &text)
                    .into_iter()
                    .map(|fault| format!("{shown} {fault}")),
            );
        }
    }
    Ok(faults)
}

fn faults_of(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!(
            "has {lines} lines; {LINES_MAX} are allowed: divide it by subject"
        ));
    }
    if path.extension().is_some_and(|extension| extension == "rs") && !text.starts_with("//!") {
        faults.push("does not begin with //! and its subject".to_owned());
    }
    faults
}

/// The source files below a folder, with their text; none when there is no such folder.
pub(crate) fn sources(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if name != "node_modules" && name != "target" && !name.starts_with('.') {
                found.extend(sources(&path)?);
            }
        } else if [".rs", ".js", ".ts", ".sql"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            found.push((path, text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_nameless_ones_are_found() {
        assert!(faults_of(Path::new("a.rs"), "//! A subject.\n").is_empty());
        assert_eq!(faults_of(Path::new("a.rs"), "fn main() {}\n").len(), 1);
        assert_eq!(faults_of(Path::new("a.js"), &"\n".repeat(801)).len(), 1);
    }
}
