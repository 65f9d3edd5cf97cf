//! Whether the server lives and whether it can do its work, from what is known anyway: a probe writes nothing and waits for nothing.

use cairn_engine::EngineHealth;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long it is believed that the program of workerd is there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const OK: &str = "ok";

/// Whether the server stops, and what of its surroundings is looked at.
#[derive(Debug)]
pub(crate) struct Health {
    phase: watch::Sender<Phase>,
    workerd: PathBuf,
    seen: Mutex<Option<(Instant, Found)>>,
}

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
}

/// What became of looking for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Program,
    Nothing,
    NoProgram,
}

/// What a probe is told: `ok` or what is wrong, by what was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report(BTreeMap<&'static str, &'static str>);

impl Report {
    /// Whether all is well.
    pub(crate) fn is_good(&self) -> bool {
        self.0.values().all(|state| *state == OK)
    }

    /// As the body of the answer. Nothing in it is from outside.
    pub(crate) fn to_json_text(&self) -> String {
        let status = if self.is_good() { OK } else { "failing" };
        let checks: Vec<String> = self
            .0
            .iter()
            .map(|(name, state)| format!("\"{name}\":\"{state}\""))
            .collect();
        format!(
            "{{\"status\":\"{status}\",\"checks\":{{{}}}}}\n",
            checks.join(",")
        )
    }
}

impl Health {
    /// Of a server that has started; `workerd` is the program it runs Workers with.
    pub(crate) fn new(workerd: PathBuf) -> Self {
        Self {
            phase: watch::Sender::new(Phase::Serving),
            workerd,
            seen: Mutex::new(None),
        }
    }

    /// From now on the server is not ready: it is going to stop.
    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Waits until the server is going to stop.
    pub(crate) async fn draining(&self) {
        // An error means that the server is gone.
        let _ = self
            .phase
            .subscribe()
            .wait_for(|phase| *phase == Phase::Draining)
            .await;
    }

    /// Whether the process lives. Who answers shows that the event loop turns.
    pub(crate) fn alive(engine: EngineHealth) -> Report {
        Report(BTreeMap::from([("engine", beat(engine))]))
    }

    /// Whether work can be done.
    pub(crate) fn ready(&self, engine: EngineHealth) -> Report {
        let database = match (engine.writes, engine.stores()) {
            (_, true) => OK,
            (false, false) => "the last write failed; the log says why",
            (true, false) => "a write has not come back for too long",
        };
        let workerd = match self.workerd() {
            Found::Program => OK,
            Found::Nothing => "the program of workerd is gone",
            Found::NoProgram => "the program of workerd cannot be executed",
        };
        let serving = match *self.phase.borrow() {
            Phase::Serving => OK,
            Phase::Draining => "the server is stopping",
        };
        Report(BTreeMap::from([
            ("database", database),
            ("engine", beat(engine)),
            ("serving", serving),
            ("workerd", workerd),
        ]))
    }

    fn workerd(&self) -> Found {
        let mut seen = self.seen.lock();
        match *seen {
            Some((at, found)) if at.elapsed() < LOOK_EVERY => found,
            _ => {
                let found = look_at(&self.workerd);
                *seen = Some((Instant::now(), found));
                found
            }
        }
    }
}

fn beat(engine: EngineHealth) -> &'static str {
    if engine.beats() {
        OK
    } else {
        "the engine has not moved for too long"
    }
}

fn look_at(program: &Path) -> Found {
    match std::fs::metadata(program) {
        Err(_) => Found::Nothing,
        Ok(metadata) if metadata.is_file() && is_executable(&metadata) => Found::Program,
        Ok(_) => Found::NoProgram,
    }
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LEASE: Duration = Duration::from_secs(30);

    fn well() -> EngineHealth {
        EngineHealth {
            beat_ago: Duration::from_secs(1),
            writes: true,
            written_ago: Duration::from_secs(1),
            lease: LEASE,
        }
    }

    fn here() -> Health {
        Health::new(std::env::current_exe().unwrap())
    }

    fn told(report: &Report) -> Value {
        serde_json::from_str(&report.to_json_text()).unwrap()
    }

    /// What is not well.
    fn wrong(report: &Report) -> Vec<&'static str> {
        assert_eq!(
            told(report)["status"],
            if report.is_good() { "ok" } else { "failing" }
        );
        let wrong = report.0.iter().filter(|(_, state)| **state != OK);
        wrong.map(|(name, _)| *name).collect()
    }

    #[test]
    fn all_is_well() {
        let report = here().ready(well());
        assert!(report.is_good());
        assert_eq!(
            told(&report),
            json!({ "status": "ok", "checks": { "database": "ok", "engine": "ok", "serving": "ok", "workerd": "ok" } })
        );
        assert_eq!(
            told(&Health::alive(well())),
            json!({ "status": "ok", "checks": { "engine": "ok" } })
        );
    }

    #[test]
    fn a_store_that_does_not_write_is_told_and_the_process_lives() {
        let failing = EngineHealth {
            writes: false,
            ..well()
        };
        let stuck = EngineHealth {
            written_ago: LEASE * 2,
            ..well()
        };
        for engine in [failing, stuck] {
            assert_eq!(wrong(&here().ready(engine)), ["database"]);
            assert!(Health::alive(engine).is_good());
        }
    }

    #[test]
    fn an_engine_that_stands_still_is_told() {
        let still = EngineHealth {
            beat_ago: LEASE * 2,
            ..well()
        };
        assert_eq!(wrong(&here().ready(still)), ["engine"]);
        assert_eq!(wrong(&Health::alive(still)), ["engine"]);
    }

    #[test]
    fn a_server_that_stops_is_not_ready_but_lives() {
        let health = here();
        health.drain();
        assert_eq!(wrong(&health.ready(well())), ["serving"]);
    }

    #[test]
    fn workerd_is_looked_at_now_and_then() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("workerd");
        let health = Health::new(file.clone());
        assert_eq!(wrong(&health.ready(well())), ["workerd"]);
        std::fs::copy(std::env::current_exe().unwrap(), &file).unwrap();
        // It has just been looked at.
        assert_eq!(wrong(&health.ready(well())), ["workerd"]);
        assert!(Health::new(file).ready(well()).is_good());
        assert_eq!(look_at(place.path()), Found::NoProgram);
    }
}
