//! The graphs of all examples, from their sources. `UPDATE_EXPECT=1` writes the trees.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod tree;

use cairn_graph::graph;
use std::fs;
use std::path::{Path, PathBuf};
use tree::{Conditions, tree};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries
        .filter(|path| path.join("src/index.ts").is_file())
        .collect();
    folders.sort();
    folders
}

/// The names of the workflow classes in a source.
fn classes(source: &str) -> Vec<&str> {
    let words: Vec<&str> = source.split_whitespace().collect();
    words
        .windows(5)
        .filter(|words| {
            words[0] == "export" && words[1] == "class" && words[4].starts_with("WorkflowEntrypoint")
        })
        .map(|words| words[2])
        .collect()
}

#[test]
fn every_example_has_its_graph() {
    let examples = examples();
    assert!(examples.len() >= 8, "{examples:?}");
    let mut drawn = String::new();
    for folder in examples {
        let source = fs::read_to_string(folder.join("src/index.ts")).unwrap();
        let classes = classes(&source);
        assert!(!classes.is_empty(), "{} has no workflow", folder.display());
        for class in classes {
            let found = graph(&[("index.ts", &source)], "index.ts", class);
            let found = found.unwrap_or_else(|| panic!("no graph of {class} in {}", folder.display()));
            drawn += &format!("# {}\n", folder.file_name().unwrap().to_string_lossy());
            drawn += &tree(&found, Conditions::Shown);
        }
    }
    expect_test::expect_file!["examples.trees"].assert_eq(&drawn);
}
