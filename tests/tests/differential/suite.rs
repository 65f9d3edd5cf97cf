//! The run of the whole suite, or of some cases.

use crate::compare::{Difference, differences};
use crate::engines::{Engine, Kind};
use crate::table::{Seen, Table, glob};
use cairn_tests::{Wrangler, root};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases that one engine runs at a time.
const AT_A_TIME: usize = 12;

/// Names the cases to run, with spaces between them and `*` standing for anything, so that `*` alone is the whole suite. Without it, every
/// [`SAMPLE`]th case is run.
const SELECTION: &str = "CAIRN_DIFFERENTIAL";

/// What a sample leaves out is most of it; it is what continuous integration has time for.
const SAMPLE: usize = 5;

/// When it is set, nothing is run: the results of the last run are compared again.
const AGAIN: &str = "CAIRN_DIFFERENTIAL_AGAIN";

const KINDS: [Kind; 3] = [Kind::Cairn, Kind::Wrangler, Kind::Workerd];

/// What is added to the name of a case that runs at an older compatibility date.
const DATED: &str = "@2026-05-01";

/// A case, as the Worker lists it.
#[derive(Debug, Clone, Deserialize)]
struct Case {
    name: String,
    subject: String,
    /// Whether the engine is killed within it.
    crashes: bool,
    /// Whether it runs at an older compatibility date as well.
    dated: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Differences that the table does not know.
    pub(crate) unknown: Vec<String>,
    /// Rows of the table that did not show.
    pub(crate) stale: Vec<String>,
    /// For people.
    pub(crate) summary: String,
}

/// Results by case, and the subject of each.
type Results = BTreeMap<String, (String, Value)>;

fn source() -> PathBuf {
    root().join("tests/differential")
}

/// The table of known differences.
pub(crate) fn table() -> Table {
    Table::read(&fs::read_to_string(source().join("differences.toml")).unwrap())
}

/// Runs what is selected on all engines and compares.
pub(crate) async fn run() -> Option<Outcome> {
    let wrangler = Wrangler::installed()?;
    let begun = Instant::now();
    let results = match std::env::var_os(AGAIN) {
        Some(_) => kept(),
        None => run_everywhere(&wrangler).await,
    };
    keep(&results);
    let mut outcome = judge(&results);
    outcome.summary += &format!("\n{:.0} s", begun.elapsed().as_secs_f64());
    Some(outcome)
}

async fn run_everywhere(wrangler: &Wrangler) -> BTreeMap<Kind, Results> {
    let mut engines = JoinSet::new();
    for kind in KINDS {
        let wrangler = wrangler.clone();
        engines.spawn(async move { (kind, run_on(kind, &wrangler).await) });
    }
    engines.join_all().await.into_iter().collect()
}

fn kept_at(kind: Kind) -> PathBuf {
    let name = kind.name().replace(' ', "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential-{name}.json"))
}

/// Leaves the results where a curious person can look at them.
fn keep(results: &BTreeMap<Kind, Results>) {
    for (kind, results) in results {
        fs::write(kept_at(*kind), serde_json::to_string_pretty(results).unwrap()).unwrap();
    }
}

/// The results of the last run.
fn kept() -> BTreeMap<Kind, Results> {
    let read = |kind| serde_json::from_slice(&fs::read(kept_at(kind)).unwrap()).unwrap();
    KINDS.into_iter().map(|kind| (kind, read(kind))).collect()
}

/// Compares the other engines with cairn.
fn judge(results: &BTreeMap<Kind, Results>) -> Outcome {
    let (table, mut seen, mut outcome) = (table(), Seen::default(), Outcome::default());
    let ours = &results[&Kind::Cairn];
    let ran: BTreeSet<String> = ours.keys().cloned().collect();
    // By subject: cases, the very same on either engine.
    let mut same: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (column, kind) in [Kind::Wrangler, Kind::Workerd].into_iter().enumerate() {
        for (case, (subject, cairn)) in ours {
            let theirs = results[&kind]
                .get(case)
                .map_or(&Value::Null, |(_, result)| result);
            let found = differences(&comparable(cairn, theirs), theirs);
            let counts = same.entry(subject).or_default();
            counts[0] += usize::from(column == 0);
            counts[column + 1] += usize::from(found.is_empty());
            for one in found {
                if !table.explains(case, kind, &one, &mut seen) {
                    outcome.unknown.push(told(case, kind, &one));
                }
            }
        }
    }
    outcome.summary = summary(&same);
    outcome.stale = table.stale(&ran, is_whole(), &seen);
    outcome
}

/// What cairn shows, without the lists of steps that the other engine has no way to show.
fn comparable(cairn: &Value, theirs: &Value) -> Value {
    let mut cairn = cairn.clone();
    let has_lists = theirs["instances"]
        .as_object()
        .is_some_and(|all| all.values().any(|instance| instance.get("listed").is_some()));
    if !has_lists {
        let instances = cairn.get_mut("instances").and_then(Value::as_object_mut);
        for instance in instances.into_iter().flat_map(|all| all.values_mut()) {
            if let Some(instance) = instance.as_object_mut() {
                instance.remove("listed");
            }
        }
    }
    cairn
}

fn told(case: &str, kind: Kind, found: &Difference) -> String {
    let Difference { field, cairn, theirs } = found;
    let name = kind.name();
    format!("{case} · {name} · {field}\n    cairn:  {cairn}\n    theirs: {theirs}")
}

fn summary(same: &BTreeMap<&str, [usize; 3]>) -> String {
    let mut text = format!(
        "{:14} {:>6} {:>16} {:>16}\n",
        "subject", "cases", "same on wrangler", "same on workerd"
    );
    let mut all = [0; 3];
    for (subject, counts) in same {
        text += &format!(
            "{subject:14} {:>6} {:>16} {:>16}\n",
            counts[0], counts[1], counts[2]
        );
        for (sum, count) in all.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    text + &format!("{:14} {:>6} {:>16} {:>16}", "all", all[0], all[1], all[2])
}

fn selection() -> Option<Vec<String>> {
    let names = std::env::var(SELECTION).ok()?;
    Some(names.split_whitespace().map(str::to_owned).collect())
}

fn is_whole() -> bool {
    selection().is_some_and(|names| names == ["*"])
}

/// Runs the selected cases on one engine.
async fn run_on(kind: Kind, wrangler: &Wrangler) -> Results {
    let engine = Engine::new(kind, &source(), "wrangler.jsonc", wrangler.clone());
    let (cases, mut results) = run_now(engine).await;
    let dated: Vec<Case> = cases.into_iter().filter(|case| case.dated).collect();
    if !dated.is_empty() {
        let mut engine = Engine::new(kind, &source(), "dated.jsonc", wrangler.clone());
        engine.start().await;
        let (_, older) = run_all(engine, "run", dated).await;
        results.extend(older.into_iter().map(|(name, result)| (name + DATED, result)));
    }
    results
}

/// Runs the selected cases at the latest date, with a crash of the engine.
async fn run_now(mut engine: Engine) -> (Vec<Case>, Results) {
    engine.start().await;
    let cases = engine.ask("/cases").await.expect("the Worker names its cases");
    let mut cases: Vec<Case> = serde_json::from_value(cases).unwrap();
    match selection() {
        Some(wanted) => cases.retain(|case| wanted.iter().any(|name| glob(name, &case.name))),
        None => cases = cases.into_iter().step_by(SAMPLE).collect(),
    }
    let (crashing, plain): (Vec<Case>, Vec<Case>) = cases.iter().cloned().partition(|case| case.crashes);
    let (mut engine, mut results) = run_all(engine, "run", plain).await;
    if !crashing.is_empty() {
        let broken;
        (engine, broken) = run_all(engine, "before", crashing.clone()).await;
        engine.kill().await;
        engine.start().await;
        results.extend(run_all(engine, "after", crashing).await.1);
        // A first half that went wrong is told as well.
        for (name, (subject, result)) in broken {
            if result.get("broken").is_some() {
                results.insert(name, (subject, result));
            }
        }
    }
    (cases, results)
}

/// Runs cases at the same time, some at once.
async fn run_all(engine: Engine, verb: &'static str, cases: Vec<Case>) -> (Engine, Results) {
    let engine = Arc::new(engine);
    let (turns, mut running) = (Arc::new(Semaphore::new(AT_A_TIME)), JoinSet::new());
    for Case { name, subject, .. } in cases {
        let (engine, turns) = (Arc::clone(&engine), Arc::clone(&turns));
        running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let result = run_case(&engine, verb, &name).await;
            (name, (subject, result))
        });
    }
    let results = running.join_all().await.into_iter().collect();
    (Arc::into_inner(engine).expect("all cases have ended"), results)
}

/// What distinguishes the ids of this run from those of others.
fn nonce() -> u128 {
    static STARTED: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis())
}

/// Runs one case, and adds what the engine's own API lists.
async fn run_case(engine: &Engine, verb: &str, name: &str) -> Value {
    let nonce = nonce();
    let Some(mut result) = engine.ask(&format!("/{verb}/{name}?nonce={nonce}")).await else {
        return json!({ "broken": "no answer" });
    };
    let ids = result.as_object_mut().and_then(|result| result.remove("ids"));
    for (label, at) in ids.iter().flat_map(|ids| ids.as_object().into_iter().flatten()) {
        let (workflow, id) = (at["workflow"].as_str().unwrap(), at["id"].as_str().unwrap());
        if let Some(details) = engine.describe(workflow, id).await {
            result["instances"][label]["listed"] = listed(engine.kind(), &details);
        }
    }
    result
}

/// The steps that an API lists, without their times. Cairn gives outputs as Cloudflare's REST API does, as JSON in a text, the local explorer as
/// they are: here they are as they are. Where one gives `null` and the other nothing, nothing.
fn listed(kind: Kind, details: &Value) -> Value {
    let mut steps = details["steps"].clone();
    for step in steps.as_array_mut().into_iter().flatten() {
        let text = step["output"].as_str().filter(|_| kind == Kind::Cairn);
        if let Some(output) = text.and_then(|text| serde_json::from_str(text).ok()) {
            step["output"] = output;
        }
        let Some(step) = step.as_object_mut() else {
            continue;
        };
        step.remove("start");
        let has_ended = step.remove("end").is_some_and(|end| !end.is_null());
        step.insert("ended".to_owned(), has_ended.into());
        step.retain(|_, value| !value.is_null());
        let attempts = step.get_mut("attempts").and_then(Value::as_array_mut);
        for attempt in attempts.into_iter().flatten() {
            let attempt = attempt.as_object_mut().unwrap();
            attempt.remove("start");
            attempt.remove("end");
        }
    }
    steps
}
