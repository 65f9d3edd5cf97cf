//! Instances that stay in memory for a moment, for more messages to come.
//!
//! To be taken up again costs as much as the journal is long, and where one message came more often do: without this, many events for an
//! instance that waits for something else would cost the square of their number.

use super::{Abandon, Driver, Out};
use cairn_core::{Input, Status, Timestamp};
use cairn_store::InboxMessage;

/// How long an instance that a message has woken for nothing stays in memory, milliseconds.
const LINGER_MILLIS: u64 = 1_000;

impl Driver {
    /// Applies messages that have come in meanwhile.
    pub(crate) fn read(
        &mut self,
        now: Timestamp,
        inbox: Vec<InboxMessage>,
        out: &mut Out,
    ) -> Result<(), Abandon> {
        self.take(now, inbox, out)?;
        // They may be what it has been waiting for.
        if self.lingers.take().is_some() && self.is_busy() && !self.instance.has_run() {
            self.handle(now, Input::Claimed, None, out)?;
            self.linger(now);
        }
        Ok(())
    }

    /// One that was woken by a message and has nothing to do stays.
    pub(super) fn linger(&mut self, now: Timestamp) {
        let stays = matches!(self.status(), Status::Waiting | Status::Paused) && self.leaves_at.is_none();
        if stays && let Some(release) = self.release.take() {
            let until = now.plus(LINGER_MILLIS);
            let until = release.wake_at.map_or(until, |wake_at| until.min(wake_at));
            self.lingers = Some((until, release));
        }
    }

    /// Leaves, once the moment is over.
    pub(super) fn stop_lingering(&mut self, now: Timestamp) {
        if self.is_busy()
            && let Some((until, release)) = self.lingers
            && until <= now
        {
            self.release = Some(release);
        }
    }
}
