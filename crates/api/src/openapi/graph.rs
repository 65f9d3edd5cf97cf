//! The graph of a workflow as a schema: the crate that draws it has the types, which are written here once more in the words of the wire. The server's
//! tests hold graphs against them.
#![expect(dead_code, reason = "shapes, of which no value is ever made")]

use super::words::Backoff;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a version does; the version of its form is 1.
#[derive(Serialize, ToSchema)]
pub(crate) struct Graph {
    version: u32,
    workflow: GraphWorkflow,
}

/// What a class does.
#[derive(Serialize, ToSchema)]
struct GraphWorkflow {
    class_name: String,
    /// Functions with steps, by the names in calls.
    functions: BTreeMap<String, GraphFunction>,
    /// What `run()` does.
    nodes: Vec<GraphNode>,
    payload: GraphPayload,
}

/// The shape of the parameters.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum GraphPayload {
    /// It is not known.
    Unknown,
}

/// A function that runs steps.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum GraphFunction {
    /// A function.
    FunctionDef {
        name: String,
        #[schema(no_recursion)]
        nodes: Vec<GraphNode>,
    },
}

/// A node of a graph. `starts` and `resolves` say when a promise begins and when it is waited for.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum GraphNode {
    /// `step.do`
    StepDo {
        name: String,
        config: GraphStepConfig,
        #[schema(no_recursion)]
        nodes: Vec<Self>,
        #[schema(required = false)]
        starts: u32,
        #[schema(required = false)]
        resolves: u32,
    },
    /// `step.sleep`
    StepSleep {
        name: String,
        duration: GraphDuration,
        #[schema(required = false)]
        starts: u32,
        #[schema(required = false)]
        resolves: u32,
    },
    /// `step.sleepUntil`
    StepSleepUntil {
        name: String,
        timestamp: String,
        #[schema(required = false)]
        starts: u32,
        #[schema(required = false)]
        resolves: u32,
    },
    /// `step.waitForEvent`
    StepWaitForEvent {
        name: String,
        /// Null when they cannot be read.
        #[schema(required)]
        options: Option<GraphEventOptions>,
        #[schema(required = false)]
        starts: u32,
        #[schema(required = false)]
        resolves: u32,
    },
    /// A call of a function that runs steps.
    FunctionCall {
        name: String,
        #[schema(required = false)]
        starts: u32,
        #[schema(required = false)]
        resolves: u32,
    },
    /// What may happen many times.
    Loop {
        #[schema(no_recursion)]
        nodes: Vec<Self>,
    },
    /// What happens at the same time.
    Parallel {
        kind: GraphParallel,
        #[schema(no_recursion)]
        nodes: Vec<Self>,
    },
    /// One after the other, within what happens at the same time.
    Block {
        #[schema(no_recursion)]
        nodes: Vec<Self>,
    },
    /// `try`
    Try {
        #[schema(required)]
        try_block: Option<GraphBlock>,
        #[schema(required)]
        catch_block: Option<GraphBlock>,
        #[schema(required)]
        finally_block: Option<GraphBlock>,
    },
    /// One branch, or none.
    If { branches: Vec<GraphBranch> },
    /// `switch`
    Switch {
        discriminant: String,
        branches: Vec<GraphBranch>,
    },
    /// The end of a loop or of a function.
    Break { kind: GraphBreak },
}

/// A block of `try`.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum GraphBlock {
    /// What happens.
    Block {
        #[schema(no_recursion)]
        nodes: Vec<GraphNode>,
    },
}

/// A branch; without a condition it is the `else` or the `default`.
#[derive(Serialize, ToSchema)]
struct GraphBranch {
    #[schema(required)]
    condition: Option<String>,
    #[schema(no_recursion)]
    nodes: Vec<GraphNode>,
}

/// Retries and timeout of a step.
#[derive(Serialize, ToSchema)]
struct GraphStepConfig {
    retries: GraphRetries,
    timeout: GraphDuration,
}

/// Retries of a step.
#[derive(Serialize, ToSchema)]
struct GraphRetries {
    limit: f64,
    delay: GraphDuration,
    #[schema(value_type = Backoff)]
    backoff: String,
}

/// Milliseconds, or text such as `3 days`; `unknown` when only a run knows.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum GraphDuration {
    Millis(f64),
    Text(String),
}

/// What a wait waits for.
#[derive(Serialize, ToSchema)]
struct GraphEventOptions {
    event_type: String,
    timeout: GraphDuration,
}

/// How the end of what happens at the same time is waited for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GraphParallel {
    All,
    Any,
    AllSettled,
    Race,
}

/// What ends.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GraphBreak {
    Break,
    Return,
}
