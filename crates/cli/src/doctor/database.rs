//! The database: one that this release knows, and sound.

use super::{Finding, bytes};
use cairn_server::{Examined, Soundness, examine};
use std::path::Path;
use std::time::Duration;

const CHECK: &str = "database";
/// How long it is read.
const PATIENCE: Duration = Duration::from_secs(20);
/// A log of this size is not folded into the file as it should be.
const LOG_LARGE: u64 = 256 << 20;

/// Checks the database in a data directory.
pub(super) fn check(data_dir: &Path) -> Finding {
    match examine(data_dir, PATIENCE) {
        Ok(Some(found)) => of(&found),
        Ok(None) => Finding::ok(
            CHECK,
            format!("none in {} yet; `cairn serve` makes it", data_dir.display()),
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "Name the data directory of the server with --data-dir.",
        ),
    }
}

fn of(found: &Examined) -> Finding {
    let use_now = if found.in_use {
        "a server uses it"
    } else {
        "no server uses it"
    };
    let mut what = format!(
        "{}: {}, {} of it free, log {}, schema {}; {use_now}",
        found.file.display(),
        bytes(found.bytes),
        bytes(found.free_bytes),
        bytes(found.log_bytes),
        found.schema
    );
    match &found.soundness {
        Soundness::Sound => what.push_str("; sound"),
        Soundness::NotKnown => what.push_str("; too large to be read through here"),
        Soundness::Damaged(problems) => {
            return Finding::problem(
                CHECK,
                format!("{what}; damaged: {}", problems.join("; ")),
                "Stop the server, keep a copy of the folder, and restore the last backup: cairn restore --help",
            );
        }
    }
    if found.schema < found.known_schema {
        what.push_str(&format!(
            "; the next start of this release brings it to schema {}",
            found.known_schema
        ));
    }
    if found.log_bytes > LOG_LARGE {
        return Finding::warning(
            CHECK,
            what,
            "The log is large: something reads the database for very long, such as a copy or a shell of sqlite3. End that.",
        );
    }
    Finding::ok(CHECK, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn found() -> Examined {
        Examined {
            file: "/d/cairn.db".into(),
            schema: 7,
            known_schema: 7,
            bytes: 4096,
            free_bytes: 0,
            log_bytes: 0,
            in_use: true,
            soundness: Soundness::Sound,
        }
    }

    #[test]
    fn a_sound_database_is_told_with_its_size() {
        let finding = of(&found());
        assert_eq!(finding.state, State::Ok);
        assert_eq!(
            finding.what,
            "/d/cairn.db: 4.0 KiB, 0 bytes of it free, log 0 bytes, schema 7; a server uses it; sound"
        );
    }

    #[test]
    fn damage_is_a_problem_and_a_large_log_a_warning() {
        let damaged = of(&Examined {
            soundness: Soundness::Damaged(vec!["page 3 is wrong".into()]),
            ..found()
        });
        assert_eq!(damaged.state, State::Problem);
        assert!(damaged.what.contains("page 3 is wrong"));
        let large = of(&Examined {
            log_bytes: LOG_LARGE + 1,
            ..found()
        });
        assert_eq!(large.state, State::Warning);
    }

    #[test]
    fn nothing_there_is_no_problem_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check(folder.path()).state, State::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
