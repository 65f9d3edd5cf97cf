//! `cairn instances`.

use super::{ConsentArgument, RemoteArguments};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// Arguments of `cairn instances`.
#[derive(Debug, Args)]
#[command(after_help = "\
WORKFLOW is a workflow's name. Where an ID is wanted, \"latest\" stands for the instance that was
created last.")]
pub(crate) struct InstancesArguments {
    #[command(subcommand)]
    pub(crate) command: InstancesCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArguments,
}

/// What to do with instances.
#[derive(Debug, Subcommand)]
pub(crate) enum InstancesCommand {
    /// List the instances of a workflow, newest first.
    #[command(visible_alias = "ls")]
    List(ListArguments),
    /// Show one instance as a timeline: its steps, their attempts and errors, what it waits for.
    Describe(DescribeArguments),
    /// Print what happened in an instance, a line an event; with --follow also what happens next.
    Logs(LogsArguments),
    /// Print the output of an instance, or of one of its steps, in full.
    Output(OutputArguments),
    /// Send an event to an instance that waits for it, or will.
    SendEvent(SendEventArguments),
    /// Pause instances: they stop after the callbacks that execute, and keep their place.
    Pause(SelectionArguments),
    /// Let paused instances go on.
    Resume(SelectionArguments),
    /// Begin instances again, from the start or from a step.
    Restart(RestartArguments),
    /// End instances now.
    Terminate(TerminateArguments),
    /// Delete instances with all they hold.
    Delete(DeleteArguments),
}

/// One instance.
#[derive(Debug, Clone, Args)]
pub(crate) struct InstanceArgument {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// The instance's id, or "latest".
    pub(crate) id: String,
}

/// Several instances.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectionArguments {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Their ids, or "latest".
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
}

/// A state, as the API says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum StatusArgument {
    Queued,
    Running,
    Paused,
    Errored,
    Terminated,
    Complete,
    WaitingForPause,
    Waiting,
    RollingBack,
}

/// Arguments of `cairn instances list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances list order --status errored --since 24h
  cairn instances list order --all --json | jq -r .id

A time is an age (90s, 30m, 24h, 7d), a date (2026-01-31, midnight UTC) or a full time
(2026-01-31T09:30:00Z).")]
pub(crate) struct ListArguments {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Only those in this state.
    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusArgument>,
    /// Only those created at this time or later.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those created at this time or earlier.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// Oldest first.
    #[arg(long)]
    pub(crate) reverse: bool,
}

/// Arguments of `cairn instances describe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances describe order order-17
  cairn instances describe order latest --outputs

The column at the left is the time since the instance was created.")]
pub(crate) struct DescribeArguments {
    #[command(flatten)]
    pub(crate) instance: InstanceArgument,
    /// Show what steps returned, as far as the API previews it.
    #[arg(long)]
    pub(crate) outputs: bool,
    /// Show every attempt of a step, not the failed ones alone.
    #[arg(long)]
    pub(crate) attempts: bool,
}

/// Arguments of `cairn instances logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances logs order order-17
  cairn instances logs order latest --follow
  cairn instances logs order order-17 --json --event step_completed --event workflow_completed

The kinds of events, and their fields in JSON, are in docs/events.md.")]
pub(crate) struct LogsArguments {
    #[command(flatten)]
    pub(crate) instance: InstanceArgument,
    /// Go on until the instance has ended; exits with 1 if it fails or is terminated.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only events with a number above this one.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) after: u64,
    /// Only this kind of event; may be given several times.
    #[arg(long = "event", value_name = "TYPE")]
    pub(crate) events: Vec<String>,
}

/// Arguments of `cairn instances output`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances output order order-17
  cairn instances output order order-17 --step charge > charge.json
  cairn instances output import latest --step fetch-1 > file.bin    the bytes of a stream

Exits with 1 when the instance or the step has failed, or has no output yet.")]
pub(crate) struct OutputArguments {
    #[command(flatten)]
    pub(crate) instance: InstanceArgument,
    /// Of this step; charge-2 is the second one named charge.
    #[arg(long, value_name = "NAME")]
    pub(crate) step: Option<String>,
    /// What kind of step it is.
    #[arg(
        long = "type",
        value_enum,
        default_value_t = OutputKind::Step,
        requires = "step"
    )]
    pub(crate) kind: OutputKind,
}

/// A step that has an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum OutputKind {
    /// step.do
    Step,
    /// step.waitForEvent: the event's payload
    WaitForEvent,
}

/// Arguments of `cairn instances send-event`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances send-event approval boat decision '{\"approved\":true}'
  cairn instances send-event approval boat decision @decision.json")]
pub(crate) struct SendEventArguments {
    #[command(flatten)]
    pub(crate) instance: InstanceArgument,
    /// The event's type, as step.waitForEvent names it.
    #[arg(value_name = "TYPE")]
    pub(crate) event_type: String,
    /// Its payload: JSON, @FILE with JSON, or - for standard input [default: undefined].
    pub(crate) payload: Option<String>,
}

/// Arguments of `cairn instances restart`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn instances restart order order-17
  cairn instances restart order order-17 --from-step charge

A restart forgets all steps; with --from-step it keeps those that began before that one. It runs the
latest version.")]
pub(crate) struct RestartArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Keep what came before this step.
    #[arg(long, value_name = "NAME")]
    pub(crate) from_step: Option<String>,
    /// Which of the steps with this name, from 1.
    #[arg(long, value_name = "N", requires = "from_step")]
    pub(crate) from_count: Option<u32>,
    /// What kind of step it is.
    #[arg(long, value_enum, requires = "from_step")]
    pub(crate) from_type: Option<StepKindArgument>,
}

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum StepKindArgument {
    /// step.do
    Do,
    /// step.sleep and step.sleepUntil
    Sleep,
    /// step.waitForEvent
    WaitForEvent,
}

/// Arguments of `cairn instances terminate`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").args(["ids", "all"]).required(true),
    after_help = "\
Examples:
  cairn instances terminate order order-17
  cairn instances terminate order order-17 --rollback
  cairn instances terminate order --all --status waiting"
)]
pub(crate) struct TerminateArguments {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Their ids, or "latest".
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All that have not ended. The server does it in the background.
    #[arg(long)]
    pub(crate) all: bool,
    /// With --all: only those in this state.
    #[arg(long, value_enum, requires = "all")]
    pub(crate) status: Option<StatusArgument>,
    /// Run the rollback handlers of their steps first.
    #[arg(long, conflicts_with = "all")]
    pub(crate) rollback: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgument,
}

/// Arguments of `cairn instances delete`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").args(["ids", "all_finished"]).required(true),
    after_help = "\
Examples:
  cairn instances delete order order-17 order-18
  cairn instances delete order --all-finished --yes

An instance that has not ended is ended by its deletion."
)]
pub(crate) struct DeleteArguments {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Their ids, or "latest".
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All that are complete, errored or terminated.
    #[arg(long)]
    pub(crate) all_finished: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgument,
}
