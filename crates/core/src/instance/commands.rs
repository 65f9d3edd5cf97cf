//! What clients ask for (behaviour §2).

use super::{Instance, Turn};
use crate::{Action, Command, Record, Rejected, Status};

impl Instance {
    pub(super) fn command(&mut self, turn: &mut Turn<'_>, command: Command) -> Result<(), Rejected> {
        match command {
            Command::Event { event_type, bytes } => self.event(turn, event_type, bytes),
            Command::Pause => {
                self.pause(turn);
                Ok(())
            }
            Command::Resume => self.resume(turn),
            Command::Terminate => self.terminate(turn),
            Command::Restart => {
                self.push(turn, Record::Restarted);
                self.leave(turn, Some(turn.now));
                Ok(())
            }
        }
    }

    /// Keeps an event for the oldest wait of its type. A finished instance takes it and forgets it (behaviour §3.4).
    fn event(&mut self, turn: &mut Turn<'_>, event_type: String, bytes: usize) -> Result<(), Rejected> {
        let limit = self.limits.event_bytes;
        if bytes > limit {
            return Err(Rejected::EventTooLarge { bytes, limit });
        }
        if self.durable.status.is_final() {
            return Ok(());
        }
        let limit = self.limits.state_bytes;
        if self.durable.state_bytes.saturating_add(bytes as u64) > limit {
            return Err(Rejected::StateTooLarge { limit });
        }
        self.push(
            turn,
            Record::EventReceived {
                event_type,
                bytes: bytes as u64,
            },
        );
        self.deliver_events(turn);
        Ok(())
    }

    fn pause(&mut self, turn: &mut Turn<'_>) {
        match self.durable.status {
            Status::Paused
            | Status::WaitingForPause
            | Status::Errored
            | Status::Terminated
            | Status::Complete => {}
            Status::Queued | Status::Running | Status::Waiting => {
                if self.run.is_some() && self.executes_something() {
                    self.push(turn, Record::PauseRequested);
                    turn.effects.actions.push(Action::Hold);
                } else {
                    self.pause_now(turn);
                }
            }
        }
    }

    pub(super) fn pause_now(&mut self, turn: &mut Turn<'_>) {
        self.push(turn, Record::Paused);
        self.leave(turn, None);
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Rejected> {
        match self.durable.status {
            Status::Paused => {
                let shift_millis = self
                    .durable
                    .paused_at
                    .map_or(0, |paused_at| turn.now.millis_since(paused_at));
                self.push(turn, Record::Resumed { shift_millis });
                Ok(())
            }
            Status::WaitingForPause => {
                self.push(turn, Record::PauseCancelled);
                turn.effects.actions.push(Action::Unhold);
                self.deliver_events(turn);
                self.start_held_calls(turn);
                Ok(())
            }
            status @ (Status::Queued
            | Status::Running
            | Status::Waiting
            | Status::Errored
            | Status::Terminated
            | Status::Complete) => Err(Rejected::CannotResume(status.as_str())),
        }
    }

    fn terminate(&mut self, turn: &mut Turn<'_>) -> Result<(), Rejected> {
        if self.durable.status.is_final() {
            return Err(Rejected::CannotTerminate);
        }
        self.push(turn, Record::Terminated);
        self.leave(turn, None);
        Ok(())
    }
}
