//! What a disk says when it fails, in words, and how often the log repeats it.

use rusqlite::{Connection, ffi};
use std::time::{Duration, Instant};

/// SQLite's word for whatever the system refuses, for whatever reason.
const IO_ERROR: &str = "disk I/O error";
/// How often the log says that it goes on.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// An error of SQLite, in words.
pub(super) fn words(error: &rusqlite::Error) -> String {
    let what = match error.sqlite_error().map(|failure| failure.extended_code) {
        Some(ffi::SQLITE_FULL) => "the disk is full; make room, and all goes on by itself",
        Some(ffi::SQLITE_IOERR_WRITE) => "the disk does not take what is written",
        Some(ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ) => "the disk cannot be read",
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
            "the disk does not confirm that it has what was written"
        }
        Some(code) if code & 0xff == ffi::SQLITE_READONLY => "the file or its disk is read-only",
        Some(code) if code & 0xff == ffi::SQLITE_IOERR => "the disk refuses",
        Some(_) | None => return error.to_string(),
    };
    format!("{what} (SQLite: {error})")
}

/// Whether a commit that failed with this may be found done at the next start: all of it was written to the log, and only what comes after that failed.
pub(super) fn may_be_kept(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| {
        failure.extended_code & 0xff == ffi::SQLITE_IOERR && failure.extended_code != ffi::SQLITE_IOERR_WRITE
    })
}

/// Whether the disk did not confirm what was written.
pub(super) fn is_unconfirmed(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|failure| failure.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

/// The words with what the system said, if it is the system that refused.
pub(super) fn with_cause(words: &str, connection: &Connection) -> String {
    if !words.contains(IO_ERROR) {
        return words.to_owned();
    }
    // SAFETY: the handle is that of an open connection, and this only reads a number from it.
    let number = unsafe { ffi::sqlite3_system_errno(connection.handle()) };
    if number == 0 {
        words.to_owned()
    } else {
        format!("{words}: {}", std::io::Error::from_raw_os_error(number))
    }
}

/// A time in which something fails: the log hears of its begin, now and then that it goes on, and of its end.
pub(super) struct Trouble {
    what: &'static str,
    times: u64,
    begun: Option<Begun>,
}

struct Begun {
    at: Instant,
    told: Instant,
}

impl Trouble {
    /// None so far; `what` fails, as in "writing".
    pub(super) fn none(what: &'static str) -> Self {
        Self {
            what,
            times: 0,
            begun: None,
        }
    }

    /// It failed.
    pub(super) fn again(&mut self, error: &dyn std::fmt::Display) {
        let now = Instant::now();
        self.times += 1;
        match &mut self.begun {
            None => {
                self.begun = Some(Begun { at: now, told: now });
                tracing::error!(%error, "{} fails; it is tried again and again", self.what);
            }
            Some(begun) if now - begun.told >= REMIND_EVERY => {
                begun.told = now;
                let seconds = (now - begun.at).as_secs();
                tracing::error!(%error, times = self.times, seconds, "{} still fails", self.what);
            }
            Some(_) => {}
        }
    }

    /// It did not fail.
    pub(super) fn over(&mut self) {
        if let Some(Begun { at, .. }) = self.begun.take() {
            let seconds = at.elapsed().as_secs_f32();
            tracing::warn!(times = self.times, seconds, "{} works again", self.what);
            self.times = 0;
        }
    }
}
