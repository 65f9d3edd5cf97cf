//! The graph as it is told: the node types of the API (behaviour §1.2).

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A graph with the version of its form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    /// Always 1.
    pub version: u32,
    /// What the class does.
    pub workflow: Workflow,
}

/// What a workflow class does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workflow {
    /// The class.
    pub class_name: String,
    /// Functions with steps, by the names in [`Node::FunctionCall`].
    pub functions: BTreeMap<String, Function>,
    /// What `run()` does.
    pub nodes: Vec<Node>,
    /// The parameters; their shape is not known.
    pub payload: Payload,
}

/// The shape of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Payload {
    /// It is not known.
    Unknown,
}

/// A function that runs steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "function_def")]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub nodes: Vec<Node>,
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Node {
    /// `step.do`
    StepDo {
        /// Its name; parts that only a run knows are `${...}`.
        name: String,
        /// Retries and timeout.
        config: Config,
        /// Steps within its callback.
        nodes: Vec<Self>,
        /// When it starts and when it is waited for.
        #[serde(flatten)]
        times: Times,
    },
    /// `step.sleep`
    StepSleep {
        /// Its name.
        name: String,
        /// How long.
        duration: Duration,
        /// When it starts and when it is waited for.
        #[serde(flatten)]
        times: Times,
    },
    /// `step.sleepUntil`
    StepSleepUntil {
        /// Its name.
        name: String,
        /// Until when, as text; `unknown` when only a run knows.
        timestamp: String,
        /// When it starts and when it is waited for.
        #[serde(flatten)]
        times: Times,
    },
    /// `step.waitForEvent`
    StepWaitForEvent {
        /// Its name.
        name: String,
        /// What it waits for; absent when the options are not an object that can be read.
        options: Option<EventOptions>,
        /// When it starts and when it is waited for.
        #[serde(flatten)]
        times: Times,
    },
    /// A call of a function that runs steps.
    FunctionCall {
        /// Which one, in [`Workflow::functions`].
        name: String,
        /// When it starts and when it is waited for.
        #[serde(flatten)]
        times: Times,
    },
    /// What may happen many times.
    Loop {
        /// The body.
        nodes: Vec<Self>,
    },
    /// What happens at the same time.
    Parallel {
        /// How its end is waited for.
        kind: ParallelKind,
        /// The branches.
        nodes: Vec<Self>,
    },
    /// One after the other, within [`Node::Parallel`].
    Block {
        /// What happens.
        nodes: Vec<Self>,
    },
    /// `try`
    Try {
        /// What is tried.
        try_block: Option<Block>,
        /// What happens after an error.
        catch_block: Option<Block>,
        /// What happens in the end.
        finally_block: Option<Block>,
    },
    /// One branch, or none.
    If {
        /// The branches; the last one without a condition is the `else`.
        branches: Vec<Branch>,
    },
    /// `switch`
    Switch {
        /// What decides, as in the source.
        discriminant: String,
        /// The cases; the one without a condition is the `default`.
        branches: Vec<Branch>,
    },
    /// The end of a loop, or of everything, before its last node.
    Break {
        /// Which.
        kind: BreakKind,
    },
}

/// When a promise begins and when it is waited for, counted from the first that others overtake. Absent where one follows the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Times {
    /// The place at which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<u32>,
    /// The place at which it is over; absent where nothing waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolves: Option<u32>,
}

/// A block of [`Node::Try`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "block")]
pub struct Block {
    /// What happens.
    pub nodes: Vec<Node>,
}

/// A branch of [`Node::If`] or [`Node::Switch`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Branch {
    /// As in the source, shortened.
    pub condition: Option<String>,
    /// What happens.
    pub nodes: Vec<Node>,
}

/// Retries and timeout of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Retries.
    pub retries: Retries,
    /// How long an attempt may take.
    pub timeout: Duration,
}

/// Retries of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retries {
    /// How many.
    #[serde(serialize_with = "number")]
    pub limit: f64,
    /// How long before each.
    pub delay: Duration,
    /// How the delay grows.
    pub backoff: Backoff,
}

/// How a delay grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the API")]
pub enum Backoff {
    Constant,
    Linear,
    Exponential,
}

/// Whole numbers have no point.
fn number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// Beyond it not all whole numbers are told apart.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < LARGEST {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        return serializer.serialize_i64(*number as i64);
    }
    serializer.serialize_f64(*number)
}

/// Milliseconds, or text such as `3 days`; `unknown` when only a run knows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Duration {
    /// Milliseconds.
    Millis(#[serde(serialize_with = "number")] f64),
    /// Text.
    Text(String),
}

/// What `step.waitForEvent` waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventOptions {
    /// The type of the event; `unknown` when only a run knows.
    pub event_type: String,
    /// For how long.
    pub timeout: Duration,
}

/// How the end of parallel branches is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the methods of Promise")]
pub enum ParallelKind {
    All,
    Any,
    AllSettled,
    Race,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// The loop.
    Break,
    /// The function.
    Return,
}
