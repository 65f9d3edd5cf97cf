//! Projects: the examples as they are, and ones made for a test.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder of an example.
pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// A folder with files, removed at the end.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let scratch = Self::new();
        for (name, text) in files {
            scratch.write(name, text);
        }
        scratch
    }

    /// A wrangler project with one workflow, whose class has this body.
    pub fn project(name: &str, class: &str, source: &str) -> Self {
        let configuration = format!(
            r#"{{ "name": "{name}", "main": "index.ts", "compatibility_date": "2026-11-01",
               "workflows": [{{ "binding": "FLOW", "name": "{name}", "class_name": "{class}" }}] }}"#
        );
        Self::with(&[("wrangler.jsonc", &configuration), ("index.ts", source)])
    }

    /// Writes a file, over the old one.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Its path as text.
    pub fn text(&self) -> &str {
        self.path().to_str().unwrap()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
