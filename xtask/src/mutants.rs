//! Mutants: small faults put into the rules on purpose, to see that the tests notice.
//!
//! `crates/sim/mutants.toml` says where text is replaced. All mutants are compiled into one copy of the tree, each behind a switch that
//! `CAIRN_MUTANT` turns on, so that one build serves all. Then the tests of the rules and of the engine and the simulator run once for each.
//! White space does not count when text is looked for: formatting does not break a mutant.

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIST: &str = "crates/sim/mutants.toml";
/// How long a mutant may take: one that hangs is caught.
const PATIENCE: Duration = Duration::from_secs(180);
/// Worlds that are tried on each mutant.
const SEEDS: &str = "3000";
/// What the copy of the tree has more than the tree.
const SWITCH: &str = r#"
/// Whether this mutant is turned on.
pub fn mutant(name: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("CAIRN_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// One fault.
struct Mutant {
    name: String,
    file: PathBuf,
    /// Text that is there once; the search begins behind it.
    after: Option<String>,
    find: String,
    replace: String,
    /// A world that is known to notice.
    seed: Option<i64>,
}

/// A part of a file that mutants replace.
struct Region {
    begin: usize,
    end: usize,
    /// Name and replacement of each.
    mutants: Vec<(String, String)>,
}

/// All mutants that do not apply any more.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mutants = read(root)?;
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for mutant in &mutants {
        if !names.insert(&mutant.name) {
            faults.push(format!("{LIST}: two mutants are called {}", mutant.name));
        }
        if let Err(error) = fs::read_to_string(root.join(&mutant.file))
            .map_err(Into::into)
            .and_then(|text| mutant.place(&text))
        {
            faults.push(format!("{LIST}: mutant {}: {error}", mutant.name));
        }
    }
    Ok(faults)
}

fn read(root: &Path) -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("{LIST} cannot be read"))?;
    let list: toml::Table = toml::from_str(&text)?;
    let mutants = list
        .get("mutant")
        .and_then(toml::Value::as_array)
        .context("it has no mutants")?;
    let word =
        |mutant: &toml::Value, key: &str| mutant.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    mutants
        .iter()
        .map(|mutant| {
            let need =
                |key| word(mutant, key).with_context(|| format!("{LIST}: a mutant has no {key}: {mutant}"));
            Ok(Mutant {
                name: need("name")?,
                file: need("file")?.into(),
                after: word(mutant, "after"),
                find: need("find")?,
                replace: need("replace")?,
                seed: mutant.get("seed").and_then(toml::Value::as_integer),
            })
        })
        .collect()
}

/// A text without white space, with the place of each character in the original.
fn squeeze(text: &str) -> (String, Vec<usize>) {
    let (mut squeezed, mut places) = (String::new(), Vec::new());
    for (place, character) in text
        .char_indices()
        .filter(|(_, character)| !character.is_whitespace())
    {
        squeezed.push(character);
        places.extend(std::iter::repeat_n(place, character.len_utf8()));
    }
    (squeezed, places)
}

impl Mutant {
    /// Where the text lies that it replaces.
    fn place(&self, text: &str) -> Result<(usize, usize)> {
        let (squeezed, places) = squeeze(text);
        let from = match &self.after {
            None => 0,
            Some(after) => {
                let (after, _) = squeeze(after);
                let found: Vec<_> = squeezed.match_indices(&after).collect();
                ensure!(
                    found.len() == 1,
                    "its `after` is there {} times instead of once",
                    found.len()
                );
                found[0].0 + after.len()
            }
        };
        let (find, _) = squeeze(&self.find);
        let mut found = squeezed[from..].match_indices(&find);
        let (at, _) = found.next().context("its `find` is not there")?;
        ensure!(
            self.after.is_some() || found.next().is_none(),
            "its `find` is there more than once; say `after` what"
        );
        let last = places[from + at + find.len() - 1];
        let width = text[last..].chars().next().map_or(1, char::len_utf8);
        Ok((places[from + at], last + width))
    }
}

/// A file with switches in the place of what mutants replace.
fn switched(text: &str, regions: &[Region], switch: &str) -> String {
    let mut out = text.to_owned();
    for region in regions.iter().rev() {
        let original = &text[region.begin..region.end];
        let mut code = String::new();
        for (name, replace) in &region.mutants {
            code.push_str(&format!("if {switch}(\"{name}\") {{ {replace} }} else "));
        }
        code.push_str(&format!("{{ {original} }}"));
        if !original.ends_with([';', '}']) {
            code = format!("({code})");
        }
        out.replace_range(region.begin..region.end, &code);
    }
    out
}

/// Puts all mutants into the copy of the tree.
fn plant(tree: &Path, mutants: &[Mutant]) -> Result<()> {
    let mut files: BTreeMap<&Path, Vec<Region>> = BTreeMap::new();
    for mutant in mutants {
        let text = fs::read_to_string(tree.join(&mutant.file))?;
        let (begin, end) = mutant.place(&text).with_context(|| mutant.name.clone())?;
        let of_mutant = (mutant.name.clone(), mutant.replace.clone());
        let regions = files.entry(&mutant.file).or_default();
        match regions
            .iter_mut()
            .find(|region| region.begin < end && begin < region.end)
        {
            Some(region) if (region.begin, region.end) == (begin, end) => region.mutants.push(of_mutant),
            Some(_) => bail!("mutant {} overlaps with another one", mutant.name),
            None => regions.push(Region {
                begin,
                end,
                mutants: vec![of_mutant],
            }),
        }
    }
    for (file, mut regions) in files {
        regions.sort_by_key(|region| region.begin);
        let path = tree.join(file);
        let in_core = file.starts_with("crates/core/src");
        let switch = if in_core {
            "crate::mutant"
        } else {
            "cairn_core::mutant"
        };
        let text = switched(&fs::read_to_string(&path)?, &regions, switch);
        fs::write(&path, text)?;
    }
    let core = tree.join("crates/core/src/lib.rs");
    let text = fs::read_to_string(&core)?;
    fs::write(core, text + SWITCH)?;
    Ok(())
}

/// Copies what the repository holds; files that stay the same keep their time, so that little is built again.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    ensure!(
        listed.status.success(),
        "git cannot list the files of the repository"
    );
    for name in String::from_utf8(listed.stdout)?
        .split('\0')
        .filter(|name| !name.is_empty())
    {
        let (from, to) = (root.join(name), tree.join(name));
        if !from.is_file() {
            continue;
        }
        fs::create_dir_all(to.parent().context("a file has no folder")?)?;
        fs::write(&to, fs::read(&from)?)?;
    }
    Ok(())
}

/// Makes the copy with all mutants in it. A file is written only when it changes.
fn prepare(root: &Path, tree: &Path, mutants: &[Mutant]) -> Result<()> {
    let fresh = tree.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    copy(root, &fresh)?;
    plant(&fresh, mutants)?;
    let mut kept = BTreeSet::new();
    for path in files_in(&fresh)? {
        let name = path.strip_prefix(&fresh)?.to_owned();
        let (to, new) = (tree.join(&name), fs::read(&path)?);
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::create_dir_all(to.parent().context("a file has no folder")?)?;
            fs::write(&to, new)?;
        }
        kept.insert(name);
    }
    for path in files_in(tree)? {
        if !kept.contains(path.strip_prefix(tree)?) {
            fs::remove_file(path)?;
        }
    }
    fs::remove_dir_all(fresh)?;
    Ok(())
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// The tests of the rules and of the engine, and the simulator, built with all mutants.
struct Bench {
    rules: Vec<PathBuf>,
    engine: Vec<PathBuf>,
    sim: PathBuf,
    tree: PathBuf,
}

/// Builds the tests of a package.
fn tests(mut cargo: Command, package: &str) -> Result<Vec<PathBuf>> {
    let built = cargo
        .args(["test", "--no-run", "--package", package, "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        built.status.success(),
        "the tests of {package} do not build with the mutants"
    );
    let mut tests = Vec::new();
    for line in String::from_utf8(built.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if let Some(path) = message.get("executable").and_then(serde_json::Value::as_str) {
            tests.push(path.into());
        }
    }
    Ok(tests)
}

fn build(tree: &Path, target: &Path) -> Result<Bench> {
    let cargo = || {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.current_dir(tree).env("CARGO_TARGET_DIR", target);
        command
    };
    let rules = tests(cargo(), "cairn-core")?;
    let engine = tests(cargo(), "cairn-engine")?;
    let built = cargo().args(["build", "--package", "cairn-sim"]).status()?;
    ensure!(built.success(), "the simulator does not build with the mutants");
    Ok(Bench {
        rules,
        engine,
        sim: target.join("debug/cairn-sim"),
        tree: tree.into(),
    })
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    Hung,
}

fn ended(mut child: Child) -> Result<Ended> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                Ended::Passed
            } else {
                Ended::Failed
            });
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Hung);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Bench {
    fn run(&self, program: &Path, args: &[&str], mutant: &str) -> Result<Ended> {
        let output = fs::File::create(self.tree.with_extension("out"))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.tree.join("crates/core"))
            .env("CAIRN_MUTANT", mutant)
            .stdout(output)
            .stderr(Stdio::null());
        ended(command.spawn()?)
    }

    /// All of these tests, up to the first that notices.
    fn all(&self, programs: &[PathBuf], mutant: &str) -> Result<Ended> {
        for program in programs {
            let ended = self.run(program, &[], mutant)?;
            if ended != Ended::Passed {
                return Ok(ended);
            }
        }
        Ok(Ended::Passed)
    }

    /// Many worlds, or the one that is known to notice.
    fn sim(&self, (mutant, seed): (&str, Option<i64>)) -> Result<(Ended, String)> {
        let start = seed.unwrap_or(1).to_string();
        let seeds = if seed.is_some() { "1" } else { SEEDS };
        let ended = self.run(
            &self.sim,
            &["--once", "--start", &start, "--seeds", seeds],
            mutant,
        )?;
        let said = fs::read_to_string(self.tree.with_extension("out"))?;
        let seed = said.lines().find_map(|line| line.strip_prefix("seed "));
        let seed = seed.and_then(|line| line.split(' ').next());
        Ok((
            ended,
            seed.map_or_else(String::new, |seed| format!("seed {seed}")),
        ))
    }
}

/// Tries all mutants, or those named, and prints who caught them. An error when one survives.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<()> {
    let mutants = read(root)?;
    let folder = root.join("target/mutants");
    let tree = folder.join("tree");
    fs::create_dir_all(&tree)?;
    prepare(root, &tree, &mutants)?;
    let bench = build(&tree, &folder.join("target"))?;
    let mut out = std::io::stdout();
    ensure!(
        bench.all(&bench.rules, "")? == Ended::Passed,
        "the tests of the rules fail without a mutant"
    );
    ensure!(
        bench.all(&bench.engine, "")? == Ended::Passed,
        "the tests of the engine fail without a mutant"
    );
    ensure!(
        bench.sim(("", None))?.0 == Ended::Passed,
        "the simulator fails without a mutant"
    );
    writeln!(out, "{:<40} {:<8} {:<8} simulator", "mutant", "rules", "engine")?;
    let mut survivors = Vec::new();
    for mutant in mutants
        .iter()
        .filter(|mutant| names.is_empty() || names.contains(&mutant.name))
    {
        let rules = bench.all(&bench.rules, &mutant.name)?;
        let engine = bench.all(&bench.engine, &mutant.name)?;
        let (sim, seed) = bench.sim((&mutant.name, mutant.seed))?;
        let word = |ended| match ended {
            Ended::Passed => "-",
            Ended::Failed => "caught",
            Ended::Hung => "hung",
        };
        writeln!(
            out,
            "{:<40} {:<8} {:<8} {} {seed}",
            mutant.name,
            word(rules),
            word(engine),
            word(sim)
        )?;
        if [rules, engine, sim] == [Ended::Passed; 3] {
            survivors.push(mutant.name.as_str());
        }
    }
    ensure!(
        survivors.is_empty(),
        "these mutants survive: {}",
        survivors.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(after: Option<&str>, find: &str) -> Mutant {
        Mutant {
            name: "m".into(),
            file: "f".into(),
            after: after.map(Into::into),
            find: find.into(),
            replace: "true".into(),
            seed: None,
        }
    }

    #[test]
    fn white_space_does_not_count() {
        let text = "fn a() { x }\nfn b() {\n    if p\n        && q {}\n}";
        let (begin, end) = mutant(Some("fn b("), "p && q").place(text).unwrap();
        assert_eq!(&text[begin..end], "p\n        && q");
    }

    #[test]
    fn what_is_there_twice_needs_to_be_told_apart() {
        assert!(mutant(None, "x").place("x x").is_err());
        assert!(mutant(Some("x"), "y").place("x x y").is_err());
        assert!(mutant(Some("a"), "b").place("a").is_err());
        assert_eq!(mutant(Some("a"), "x").place("x a x x").unwrap(), (4, 5));
    }

    #[test]
    fn a_switch_is_an_expression_or_a_statement() {
        let region = |begin, end| Region {
            begin,
            end,
            mutants: vec![("m".into(), "r".into())],
        };
        assert_eq!(
            switched("a && b", &[region(5, 6)], "on"),
            "a && (if on(\"m\") { r } else { b })"
        );
        assert_eq!(
            switched("s;", &[region(0, 2)], "on"),
            "if on(\"m\") { r } else { s; }"
        );
    }
}
