//! What clients ask for (behaviour §2).

use super::{Instance, Turn};
use crate::{Action, Command, Record, Rejected, RestartFrom, Status, Undo};

impl Instance {
    pub(super) fn command(&mut self, turn: &mut Turn<'_>, command: Command) -> Result<(), Rejected> {
        match command {
            Command::Event { event_type, bytes } => self.event(turn, event_type, bytes),
            Command::Pause => {
                self.pause(turn);
                Ok(())
            }
            Command::Resume => self.resume(turn),
            Command::Terminate(undo) => self.terminate(turn, undo),
            Command::Restart(from) => self.restart(turn, from),
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
            | Status::RollingBack
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
            | Status::RollingBack
            | Status::Errored
            | Status::Terminated
            | Status::Complete) => Err(Rejected::CannotResume(status.as_str())),
        }
    }

    /// Also of a rollback, which then stays as it is (behaviour §2).
    fn terminate(&mut self, turn: &mut Turn<'_>, undo: Undo) -> Result<(), Rejected> {
        if self.durable.status.is_final() {
            return Err(Rejected::CannotTerminate);
        }
        let undoes = undo == Undo::Steps && self.durable.status != Status::RollingBack;
        if undoes && self.begin_rollback(turn, None) {
            // A run under way may not have come as far as earlier ones: the handlers are registered by a new one.
            self.leave(turn, Some(turn.now));
            return Ok(());
        }
        self.push(turn, Record::Terminated);
        self.leave(turn, None);
        Ok(())
    }

    fn restart(&mut self, turn: &mut Turn<'_>, from: RestartFrom) -> Result<(), Rejected> {
        let record = match from {
            RestartFrom::Beginning => Record::Restarted,
            RestartFrom::Step(key) => match self.durable.find(&key) {
                Some(step) => Record::RestartedFrom { step },
                None => return Err(Rejected::CannotRestart(key.name)),
            },
        };
        self.push(turn, record);
        self.leave(turn, Some(turn.now));
        Ok(())
    }
}
