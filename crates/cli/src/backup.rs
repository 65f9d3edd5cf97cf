//! `cairn backup` and `cairn restore`.

use crate::Exit;
use crate::args::{BackupArguments, RestoreArguments};
use crate::failure::Failure;
use crate::terminal::Terminal;
use cairn_server::backup::{self, BackupError, Existing, Manifest, Progress, Restored, Stage};
use indicatif::ProgressBar;
use std::time::Instant;

/// Backs up a data directory.
///
/// # Errors
/// When there is no backup; nothing is left behind then.
pub(crate) async fn backup(arguments: &BackupArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let (data_dir, to) = (arguments.data_dir.clone(), arguments.to.clone());
    let bar = terminal.spinner("backing up");
    let shown = bar.clone();
    let manifest =
        off_the_loop(move || backup::backup(&data_dir, &to, |progress| show(&shown, progress))).await;
    bar.finish_and_clear();
    let Manifest { bytes, sha256, .. } = manifest?;
    terminal.line(&format!(
        "{} of {} are in {}, checked, after {:.1} s.\nSHA-256 of cairn.db: {sha256}\n\
         The key of the secrets is not in it: keep it elsewhere (docs/operations.md).",
        size(bytes),
        arguments.data_dir.display(),
        arguments.to.display(),
        begun.elapsed().as_secs_f32(),
    ));
    Ok(Exit::Complete)
}

/// Puts a backup back.
///
/// # Errors
/// When it was not restored; what was there is there then.
pub(crate) async fn restore(arguments: &RestoreArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (from, data_dir) = (arguments.from.clone(), arguments.data_dir.clone());
    let existing = if arguments.force {
        Existing::PutAside
    } else {
        Existing::Refuse
    };
    let bar = terminal.spinner("restoring");
    let shown = bar.clone();
    let restored =
        off_the_loop(move || backup::restore(&from, &data_dir, existing, |progress| show(&shown, progress)))
            .await;
    bar.finish_and_clear();
    let Restored { manifest, aside } = restored?;
    terminal.line(&format!(
        "{} as of {} are in {}, checked.",
        size(manifest.bytes),
        manifest.taken_at,
        arguments.data_dir.display()
    ));
    if let Some(aside) = aside {
        terminal.line(&format!("What was there before is in {}.", aside.display()));
    }
    terminal.line(
        "Start the server with `cairn serve` on this data directory. Instances go on where they were at that time; make sure that the server \
         they come from does not run any more.",
    );
    Ok(Exit::Complete)
}

async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let failed = |what: String| {
        Failure::new(
            what,
            "Nothing was changed. docs/operations.md has the steps of backups and restorations.",
        )
    };
    done.map_err(|error| failed(format!("The work stopped: {error}.")))?
        .map_err(|error| failed(sentence(&error.to_string())))
}

/// A message as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.starts_with('/') => {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        }
        _ => format!("{text}."),
    }
}

fn show(bar: &ProgressBar, progress: Progress) {
    let doing = match progress.stage {
        Stage::Copy => "copying",
        Stage::Check => "checking",
    };
    bar.set_message(format!(
        "{doing}: {} of {}",
        size(progress.done),
        size(progress.total)
    ));
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < 10 * MIB {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{} MiB", bytes.div_ceil(MIB))
    }
}
