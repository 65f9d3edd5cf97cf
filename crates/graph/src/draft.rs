//! Nodes while the code is read: calls by number, promises without their places yet.

use crate::node::{BreakKind, Config, Duration, EventOptions, ParallelKind};

/// A promise of a step, of a call, or of what a function does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PromiseId(pub(crate) usize);

/// A function that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FunctionId(pub(crate) usize);

#[derive(Debug)]
pub(crate) enum Draft {
    Step {
        step: StepDraft,
        promise: PromiseId,
    },
    Call {
        function: FunctionId,
        promise: PromiseId,
    },
    Loop(Vec<Self>),
    Parallel(ParallelKind, Vec<Self>),
    Block(Vec<Self>),
    Try {
        tried: Vec<Self>,
        caught: Option<Vec<Self>>,
        last: Option<Vec<Self>>,
    },
    If(Vec<BranchDraft>),
    Switch(String, Vec<BranchDraft>),
    Break(BreakKind),
}

#[derive(Debug)]
pub(crate) enum StepDraft {
    Do {
        name: String,
        config: Config,
        nodes: Vec<Draft>,
    },
    Sleep {
        name: String,
        duration: Duration,
    },
    SleepUntil {
        name: String,
        timestamp: String,
    },
    WaitForEvent {
        name: String,
        options: Option<EventOptions>,
    },
}

#[derive(Debug)]
pub(crate) struct BranchDraft {
    pub(crate) condition: Option<String>,
    pub(crate) nodes: Vec<Draft>,
}

impl Draft {
    /// Whether it may run a step: it has one, or calls a function that `reaches` one.
    pub(crate) fn runs(&self, reaches: &dyn Fn(FunctionId) -> bool) -> bool {
        match self {
            Self::Step { .. } => true,
            Self::Call { function, .. } => reaches(*function),
            Self::Loop(nodes) | Self::Parallel(_, nodes) | Self::Block(nodes) => any_runs(nodes, reaches),
            Self::Try { tried, caught, last } => {
                let blocks = [Some(tried), caught.as_ref(), last.as_ref()];
                blocks.into_iter().flatten().any(|nodes| any_runs(nodes, reaches))
            }
            Self::If(branches) | Self::Switch(_, branches) => {
                branches.iter().any(|branch| any_runs(&branch.nodes, reaches))
            }
            Self::Break(_) => false,
        }
    }

    /// Whether it changes where the flow goes without a step of its own.
    pub(crate) fn leaves(&self) -> bool {
        match self {
            Self::Break(_) => true,
            Self::Step { .. } | Self::Call { .. } => false,
            // The break of a loop ends that loop; a return ends more.
            Self::Loop(nodes) => nodes.iter().any(Self::returns),
            Self::Parallel(_, nodes) | Self::Block(nodes) => nodes.iter().any(Self::leaves),
            Self::Try { tried, caught, last } => {
                let blocks = [Some(tried), caught.as_ref(), last.as_ref()];
                blocks.into_iter().flatten().flatten().any(Self::leaves)
            }
            Self::If(branches) | Self::Switch(_, branches) => branches
                .iter()
                .any(|branch| branch.nodes.iter().any(Self::leaves)),
        }
    }

    fn returns(&self) -> bool {
        match self {
            Self::Break(kind) => *kind == BreakKind::Return,
            Self::Step { .. } | Self::Call { .. } => false,
            Self::Loop(nodes) | Self::Parallel(_, nodes) | Self::Block(nodes) => {
                nodes.iter().any(Self::returns)
            }
            Self::Try { tried, caught, last } => {
                let blocks = [Some(tried), caught.as_ref(), last.as_ref()];
                blocks.into_iter().flatten().flatten().any(Self::returns)
            }
            Self::If(branches) | Self::Switch(_, branches) => branches
                .iter()
                .any(|branch| branch.nodes.iter().any(Self::returns)),
        }
    }
}

/// Whether any of these may run a step.
pub(crate) fn any_runs(nodes: &[Draft], reaches: &dyn Fn(FunctionId) -> bool) -> bool {
    nodes.iter().any(|node| node.runs(reaches))
}

/// Whether any of these may run a step as far as is known while the code is read: any call may.
pub(crate) fn may_run(nodes: &[Draft]) -> bool {
    any_runs(nodes, &|_| true)
}
