//! The rules of a workflow instance: pure, no clock, no I/O.
//!
//! [`Instance::handle`] is the whole interface: the time and one [`Input`] go in, [`Effects`] come out (journal
//! entries to keep, actions to perform). The state is a fold of the journal ([`Durable::evolve`]), so an
//! instance that is replayed from its entries is the instance that wrote them.

mod cron;
mod durable;
mod duration;
mod entry;
mod error;
mod events;
mod input;
mod instance;
mod limits;
mod names;
mod retry;
mod rollback;
mod skips;
mod step;
mod time;
mod view;

pub use cron::{Cron, CronError, CronField};
pub use durable::{BufferedEvent, Corrupt, Durable, Step, StepState};
pub use duration::{DurationInput, InvalidDuration, parse_duration};
pub use entry::{Entry, EntryDecodeError, Record, Seq, StepNo};
pub use error::ErrorInfo;
pub use events::{EventKind, EventTeller, EventType, InstanceEvent, Restart, Visibility};
pub use input::{
    Action, CallId, CallRequest, Callback, Command, Effects, FailedAttempt, Input, Origin, Outcome, Outcomes,
    OutputKind, Purpose, Raised, Rejected, RestartFrom, RollbackReport, RollbackResult, StepCall, Undo,
};
pub use instance::{Instance, Slot, Summary};
pub use limits::{Limits, NonRetryableMessage};
pub use names::{
    InvalidName, check_addressable_id, check_event_type, check_instance_id, check_step_name,
    check_workflow_name,
};
pub use retry::{Backoff, ConfigInput, DelayInput, InvalidConfig, RetriesInput, RetryDelay, StepConfig};
pub use rollback::{Rollback, RollbackState};
pub use skips::{Selection, Skips};
pub use step::{Status, StepKey, StepKind};
pub use time::Timestamp;
pub use view::{AttemptView, InstanceView, RollbackView, RolledBackStep, StepDetail, StepView};
