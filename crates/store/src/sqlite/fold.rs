//! Folding the log into the database, after the answers of a transaction, so that nobody waits for it.
//!
//! When the disk does not confirm what was folded, there is no going on: the system may have dropped pages that it could not write, and says so
//! once. SQLite remembers in shared memory how far it has folded, also of what no confirmation was asked for yet, and would not write that again. Only
//! a start reads the whole log, all of which was confirmed, and writes all of it.

use super::open::CHECKPOINT_PAGES;
use super::trouble::{self, Trouble};
use crate::StoreError;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Pages that were written since the last look before a log is looked at again that readers keep from beginning anew.
const MORE_PAGES: u32 = CHECKPOINT_PAGES / 4;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// When the log is folded.
pub(super) struct Folding {
    /// Its pages, as of the last commit.
    pages: Arc<AtomicU32>,
    seen: u32,
    due: u32,
    not_before: Option<Instant>,
    trouble: Trouble,
}

impl Folding {
    /// Takes this over from SQLite, which would do it within a commit and tell nobody of a failure.
    pub(super) fn take_over(connection: &mut Connection) -> Result<Self, StoreError> {
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        connection.wal_hook(Some(
            move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
                counted.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            },
        ))?;
        Ok(Self {
            pages,
            seen: 0,
            due: CHECKPOINT_PAGES,
            not_before: None,
            trouble: Trouble::none("folding the log into the database"),
        })
    }

    /// Whether the log is long enough, and folding it has not failed a moment ago.
    pub(super) fn is_due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.due
            && self.not_before.is_none_or(|moment| Instant::now() >= moment)
    }

    /// Folds the log if it is long enough.
    ///
    /// # Errors
    /// When the database cannot be used any more until the next start. Another failure is tried again later.
    pub(super) fn fold(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.seen {
            // It has begun anew.
            self.due = CHECKPOINT_PAGES;
        }
        self.seen = pages;
        if !self.is_due() {
            return Ok(());
        }
        match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => {
                self.due = pages + MORE_PAGES;
                self.not_before = None;
                self.trouble.over();
                Ok(())
            }
            Err(error) => {
                let words = trouble::with_cause(&trouble::words(&error), connection);
                if trouble::is_unconfirmed(&error) {
                    // Nor may it be tried when the connection closes.
                    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                    return Err(StoreError::Unavailable(format!(
                        "{words}; what was confirmed before is in the log, and the next start writes it anew: check the disk, and start the server again"
                    )));
                }
                self.not_before = Some(Instant::now() + PAUSE);
                self.trouble.again(&words);
                Ok(())
            }
        }
    }
}
