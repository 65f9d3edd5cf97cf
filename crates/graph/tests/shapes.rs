//! Shapes of code, each with the tree of its graph beside it (`shapes/*.js`, `shapes/*.tree`). `UPDATE_EXPECT=1` writes the trees.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod tree;

use cairn_graph::graph;
use std::fs;
use std::path::{Path, PathBuf};
use tree::{Conditions, tree};

/// The class of every shape.
const CLASS: &str = "Flow";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Names and paths of the shapes, in order.
fn shapes(folder_name: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder(folder_name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

/// A file holds the main module, and others after lines that name them.
fn modules(text: &str) -> Vec<(&str, &str)> {
    let mut modules = Vec::new();
    for (index, part) in text.split("// module: ").enumerate() {
        if index == 0 {
            modules.push(("index.js", part));
        } else {
            modules.push(part.split_once('\n').unwrap());
        }
    }
    modules
}

fn drawn(text: &str, conditions: Conditions) -> String {
    match graph(&modules(text), "index.js", CLASS) {
        Some(graph) => tree(&graph, conditions),
        None => "no graph\n".into(),
    }
}

#[test]
fn every_shape_has_its_tree() {
    let shapes = shapes("shapes");
    assert!(shapes.len() >= 30, "only {} shapes", shapes.len());
    for (name, path) in shapes {
        let text = fs::read_to_string(&path).unwrap();
        let expected = path.with_file_name(format!("{name}.tree"));
        expect_test::expect_file![expected].assert_eq(&drawn(&text, Conditions::Shown));
    }
}

/// Shapes that a minifier changes to something that runs the same and looks otherwise; their own trees are in `minified/*.tree`.
const CHANGED: [&str; 3] = ["early-return", "methods", "recursion"];

/// What `esbuild --bundle --minify --keep-names` makes of every shape has the same graph, but for the text of conditions.
/// `minified/write` makes the bundles.
#[test]
fn a_minified_bundle_has_the_same_graph() {
    let plain = shapes("shapes");
    let minified = shapes("minified");
    assert_eq!(
        plain.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        minified.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "run crates/graph/tests/minified/write"
    );
    let mut different = Vec::new();
    for ((name, plain), (_, minified)) in plain.iter().zip(&minified) {
        let [plain, small] = [plain, minified].map(|path| fs::read_to_string(path).unwrap());
        assert!(small.lines().count() <= 3, "{name} is not minified");
        if CHANGED.contains(&name.as_str()) {
            let expected = minified.with_file_name(format!("{name}.tree"));
            expect_test::expect_file![expected].assert_eq(&drawn(&small, Conditions::Shown));
            continue;
        }
        let [plain, small] = [plain, small].map(|text| drawn(&text, Conditions::Hidden));
        if plain != small {
            different.push(format!("{name}\n{plain}\nminified\n{small}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}
