//! Commands as frame text. Values are spliced in as they are stored.

use super::{FULL_FRAME, LARGEST_VALUE};
use crate::{Command, Firing, FirstAttempts, Known, KnownStep, Outcome, RunId, RunRollback, StartRun, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_core::{CallId, ErrorInfo, Purpose, StepKind};
use std::io::Write as _;

/// Commands after which a frame is closed: while user code goes on with them, what the frame before has brought about is being written. In one frame all
/// of it would wait for the last.
const FRAME_COMMANDS: usize = 128;

/// Collects commands into frames. What a run is told at one time stays in one frame, unless it is too large.
#[derive(Debug, Default)]
pub(crate) struct FrameWriter {
    frames: Vec<Vec<u8>>,
    open: Vec<u8>,
    /// Commands in the open frame.
    commands: usize,
    /// Whom the last one was for.
    last: Option<RunId>,
}

/// A command that no frame can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value of {bytes} bytes cannot be handed to a run: a value has at most {LARGEST_VALUE}")]
pub(crate) struct TooLarge {
    bytes: usize,
}

/// `ping` as a frame.
pub(crate) fn ping(number: u64) -> String {
    format!("[[\"ping\",{number}]]")
}

impl FrameWriter {
    /// Appends a command.
    ///
    /// # Errors
    /// [`TooLarge`] where a value does not fit; nothing of the command has been kept then.
    pub(crate) fn push(&mut self, command: &Command) -> Result<(), TooLarge> {
        let largest = largest_value(command);
        if largest > LARGEST_VALUE {
            return Err(TooLarge { bytes: largest });
        }
        if self.commands >= FRAME_COMMANDS && self.last != Some(command.run()) {
            self.close_frame();
        }
        self.commands += 1;
        self.last = Some(command.run());
        match command {
            Command::Start(start) => self.start(start),
            Command::Attempt { run, call, attempt } => {
                self.begin("attempt", *run, Some(*call));
                self.number(u64::from(*attempt));
                self.end();
            }
            Command::Rollback(rollback) => self.rollback(rollback),
            Command::Settle { run, call, outcome } => {
                self.begin(outcome_word(outcome), *run, Some(*call));
                self.outcome(outcome);
                self.end();
            }
            Command::Hold { run } => self.bare("hold", *run),
            Command::Unhold { run } => self.bare("unhold", *run),
            // Said for all runs of the connection together.
            Command::Kept { .. } => {}
            Command::Halt { run, call, attempt } => {
                self.begin("halt", *run, Some(*call));
                self.number(u64::from(*attempt));
                self.end();
            }
            Command::Piece { run, pull, bytes } => self.piece((*run, *pull), bytes.as_deref()),
            Command::Stop { run } => self.bare("stop", *run),
        }
        Ok(())
    }

    /// Appends that so many more pieces of streams may be sent.
    pub(crate) fn credit(&mut self, chunks: u32) {
        self.open.push(if self.open.is_empty() { b'[' } else { b',' });
        let _ = write!(self.open, "[\"credit\",{chunks}");
        self.end();
    }

    fn piece(&mut self, (run, pull): (RunId, u32), bytes: Option<&[u8]>) {
        self.begin("piece", run, None);
        self.number(u64::from(pull));
        match bytes {
            Some(bytes) => {
                self.open.extend_from_slice(b",\"");
                self.open.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                self.open.push(b'"');
            }
            None => self.open.extend_from_slice(b",null"),
        }
        self.end();
    }

    /// The frames so far; the writer is empty again.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        self.close_frame();
        std::mem::take(&mut self.frames)
    }

    fn close_frame(&mut self) {
        if !self.open.is_empty() {
            self.open.push(b']');
            self.frames.push(std::mem::take(&mut self.open));
            self.commands = 0;
        }
    }

    fn begin(&mut self, word: &str, run: RunId, call: Option<CallId>) {
        self.open.push(if self.open.is_empty() { b'[' } else { b',' });
        self.open.extend_from_slice(b"[\"");
        self.open.extend_from_slice(word.as_bytes());
        self.open.push(b'"');
        self.number(run.0);
        if let Some(call) = call {
            self.number(u64::from(call.0));
        }
    }

    fn end(&mut self) {
        self.open.push(b']');
        if self.open.len() >= FULL_FRAME {
            self.close_frame();
        }
    }

    fn bare(&mut self, word: &str, run: RunId) {
        self.begin(word, run, None);
        self.end();
    }

    fn number(&mut self, number: u64) {
        // Writing to memory does not fail.
        let _ = write!(self.open, ",{number}");
    }

    fn time(&mut self, time: cairn_core::Timestamp) {
        let _ = write!(self.open, ",{}", time.0);
    }

    fn text(&mut self, text: &str) {
        self.open.push(b',');
        self.quoted(text);
    }

    fn quoted(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut self.open, text);
    }

    fn value(&mut self, value: &Value) {
        let (form, body) = value.parts();
        self.open.extend_from_slice(&[b',', b'"', form, b'"', b',']);
        self.open.extend_from_slice(body);
    }

    fn error(&mut self, error: &ErrorInfo) {
        self.open.extend_from_slice(b",[");
        self.quoted(&error.name);
        self.text(&error.message);
        self.open.push(b']');
    }

    /// What follows the word of an outcome.
    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Stored | Outcome::Slept => {}
            Outcome::Value(value) => self.value(value),
            Outcome::Event {
                event_type,
                at,
                payload,
            } => {
                self.text(event_type);
                self.time(*at);
                self.value(payload);
            }
            Outcome::Failed(error) | Outcome::Refused(error) => self.error(error),
        }
    }

    fn start(&mut self, start: &StartRun) {
        self.begin("start", start.run, None);
        self.open.extend_from_slice(b",{\"class\":");
        self.quoted(&start.class_name);
        self.open.extend_from_slice(b",\"workflow\":");
        self.quoted(&start.workflow_name);
        self.open.extend_from_slice(b",\"instance\":");
        self.quoted(&start.instance_id);
        let _ = write!(
            self.open,
            ",\"created\":{},\"steps\":{}",
            start.created_at.0, start.step_limit
        );
        if let Some(Firing { cron, scheduled_at }) = &start.firing {
            self.open.extend_from_slice(b",\"schedule\":{\"cron\":");
            self.quoted(cron);
            let _ = write!(self.open, ",\"scheduledTime\":{}}}", scheduled_at.0);
        }
        if start.first_attempts == FirstAttempts::OnRequest {
            self.open.extend_from_slice(b",\"held\":true");
        }
        self.open.extend_from_slice(match start.purpose {
            Purpose::Progress => b"}".as_slice(),
            Purpose::Rollback => b",\"rollback\":true}",
        });
        self.value(&start.params);
        let mut steps = start.history.iter();
        while self.steps(&mut steps) {
            self.end();
            self.close_frame();
            self.begin("steps", start.run, None);
        }
        self.end();
    }

    fn rollback(&mut self, rollback: &RunRollback) {
        self.begin("rollback", rollback.run, None);
        self.number(u64::from(rollback.step.0));
        self.text(&rollback.key.name);
        self.number(u64::from(rollback.key.count));
        self.number(u64::from(rollback.attempt));
        self.error(&rollback.error);
        self.end();
    }

    /// Known steps up to a full frame; whether more follow.
    fn steps(&mut self, steps: &mut std::slice::Iter<'_, KnownStep>) -> bool {
        self.open.extend_from_slice(b",[");
        let mut first = true;
        while self.open.len() < FULL_FRAME {
            let Some(step) = steps.next() else { break };
            if !first {
                self.open.push(b',');
            }
            first = false;
            self.step(step);
        }
        let more = steps.len() > 0;
        self.open.push(b']');
        self.number(u64::from(more));
        more
    }

    fn step(&mut self, step: &KnownStep) {
        self.open.extend_from_slice(match step.key.kind {
            StepKind::Do => b"[\"do\"",
            StepKind::Sleep => b"[\"sleep\"",
            StepKind::WaitForEvent => b"[\"wait\"",
        });
        self.text(&step.key.name);
        self.number(u64::from(step.key.count));
        match &step.known {
            Known::Open => self.text("open"),
            // To a run that never reported it, a durable result that is not sent is one that still runs.
            Known::Ended(Outcome::Stored) => self.text("open"),
            Known::Ended(outcome) => {
                self.text(outcome_word(outcome));
                self.outcome(outcome);
            }
        }
        self.open.push(b']');
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Stored => "stored",
        Outcome::Value(_) => "value",
        Outcome::Slept => "slept",
        Outcome::Event { .. } => "event",
        Outcome::Failed(_) => "failed",
        Outcome::Refused(_) => "refused",
    }
}

fn largest_value(command: &Command) -> usize {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Value(value) => value.len(),
        Outcome::Event { payload, .. } => payload.len(),
        Outcome::Stored | Outcome::Slept => 0,
        Outcome::Failed(error) | Outcome::Refused(error) => error.message.len(),
    };
    match command {
        Command::Settle { outcome, .. } => of(outcome),
        Command::Rollback(rollback) => rollback.error.message.len(),
        Command::Start(start) => {
            let known = start.history.iter().map(|step| match &step.known {
                Known::Ended(outcome) => of(outcome),
                Known::Open => 0,
            });
            known.chain([start.params.len()]).max().unwrap_or(0)
        }
        Command::Attempt { .. }
        | Command::Hold { .. }
        | Command::Unhold { .. }
        | Command::Kept { .. }
        | Command::Halt { .. }
        | Command::Piece { .. }
        | Command::Stop { .. } => 0,
    }
}
