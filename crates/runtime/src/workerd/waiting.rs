//! What runs are told while their process starts. User code has not begun then: a run that is stopped meanwhile never does, and one that is put on hold
//! begins on hold.

use crate::{Command, FirstAttempts, RunId, StartRun};
use std::collections::{BTreeMap, HashMap};

/// Commands in order, those of runs that have ended left out.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    commands: BTreeMap<u64, Command>,
    next: u64,
    /// The commands of each run that begins here, its start first.
    runs: HashMap<RunId, Vec<u64>>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn extend(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.push(command);
        }
    }

    fn push(&mut self, command: Command) {
        let run = command.run();
        match &command {
            Command::Stop { .. } => {
                if let Some(numbers) = self.runs.remove(&run) {
                    for number in numbers {
                        self.commands.remove(&number);
                    }
                    return;
                }
            }
            Command::Hold { .. } => {
                if let Some(start) = self.start_of(run) {
                    start.first_attempts = FirstAttempts::OnRequest;
                    return;
                }
            }
            Command::Unhold { .. } => {
                if let Some(start) = self.start_of(run) {
                    start.first_attempts = FirstAttempts::AtOnce;
                    return;
                }
            }
            Command::Start(_) => {
                self.runs.insert(run, Vec::new());
            }
            Command::Attempt { .. }
            | Command::Rollback(_)
            | Command::Settle { .. }
            | Command::Kept { .. }
            | Command::Halt { .. }
            | Command::Piece { .. } => {}
        }
        if let Some(numbers) = self.runs.get_mut(&run) {
            numbers.push(self.next);
        }
        self.commands.insert(self.next, command);
        self.next += 1;
    }

    fn start_of(&mut self, run: RunId) -> Option<&mut StartRun> {
        let number = self.runs.get(&run)?.first()?;
        match self.commands.get_mut(number)? {
            Command::Start(start) => Some(start),
            Command::Attempt { .. }
            | Command::Rollback(_)
            | Command::Settle { .. }
            | Command::Hold { .. }
            | Command::Unhold { .. }
            | Command::Kept { .. }
            | Command::Halt { .. }
            | Command::Piece { .. }
            | Command::Stop { .. } => None,
        }
    }

    /// All that is there.
    pub(super) fn take(&mut self) -> Vec<Command> {
        std::mem::take(self).commands.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Company, Value, WorkerId};
    use cairn_core::{CallId, Purpose, Timestamp};

    fn start(run: u64, first_attempts: FirstAttempts) -> Command {
        Command::Start(Box::new(StartRun {
            purpose: Purpose::Progress,
            first_attempts,
            company: Company::Any,
            run: RunId(run),
            worker: WorkerId("w".into()),
            class_name: "C".into(),
            workflow_name: "f".into(),
            instance_id: "i".into(),
            created_at: Timestamp(0),
            firing: None,
            params: Value::empty_object(),
            step_limit: 1,
            history: Vec::new(),
        }))
    }

    fn attempt(run: u64) -> Command {
        Command::Attempt {
            run: RunId(run),
            call: CallId(1),
            attempt: 1,
        }
    }

    #[test]
    fn who_is_stopped_before_it_begins_never_does() {
        let (stop, now) = (|run| Command::Stop { run: RunId(run) }, FirstAttempts::AtOnce);
        let mut waiting = Waiting::default();
        waiting.extend(vec![start(1, now), start(2, now), attempt(1)]);
        waiting.extend(vec![stop(1), stop(9)]);
        assert_eq!(waiting.take(), [start(2, now), stop(9)]);
        assert!(waiting.is_empty());
        // It is another process that will be told.
        waiting.extend(vec![stop(2)]);
        assert_eq!(waiting.take(), [stop(2)]);
    }

    #[test]
    fn who_is_put_on_hold_before_it_begins_begins_on_hold() {
        let (hold, unhold) = (
            |run| Command::Hold { run: RunId(run) },
            |run| Command::Unhold { run: RunId(run) },
        );
        let mut waiting = Waiting::default();
        waiting.extend(vec![
            start(1, FirstAttempts::AtOnce),
            start(2, FirstAttempts::AtOnce),
        ]);
        waiting.extend(vec![hold(1), hold(2), hold(9), unhold(2), attempt(1)]);
        let expected = [
            start(1, FirstAttempts::OnRequest),
            start(2, FirstAttempts::AtOnce),
            hold(9),
            attempt(1),
        ];
        assert_eq!(waiting.take(), expected);
    }
}
