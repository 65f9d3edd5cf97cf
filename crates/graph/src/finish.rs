//! Drafts become nodes: functions that run no steps fall away with their calls, names are made unique, promises get their places.

use crate::draft::{BranchDraft, Draft, FunctionId, StepDraft, any_runs};
use crate::node::{Block, Branch, Function, Graph, Node, Payload, Workflow};
use crate::walk::Drafts;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::iter;

/// Nodes of a graph, at most: whoever looks at more sees nothing.
const MOST_NODES: usize = 20_000;

/// Functions, at most.
const MOST_FUNCTIONS: usize = 5_000;

/// The graph of what was read; none when it is too large.
pub(crate) fn graph(drafts: &Drafts<'_>, class_name: &str) -> Option<Graph> {
    if drafts.functions.len() > MOST_FUNCTIONS {
        return None;
    }
    let reaches = reaching(drafts);
    let same = same_functions(drafts, &reaches)?;
    let mut finish = Finish {
        drafts,
        reaches: &reaches,
        same,
        names: HashMap::new(),
        functions: BTreeMap::new(),
        wanted: Vec::new(),
        nodes: 0,
    };
    let nodes = finish.nodes(&drafts.nodes);
    // Functions in the order of their first call, so that names do not depend on anything else.
    let mut next = 0;
    while let Some(id) = finish.wanted.get(next).copied() {
        next += 1;
        let Some(draft) = drafts.functions.get(id.0) else {
            continue;
        };
        let nodes = finish.nodes(&draft.nodes);
        let name = finish.name(id);
        finish.functions.insert(name.clone(), Function { name, nodes });
        if finish.nodes > MOST_NODES {
            return None;
        }
    }
    (finish.nodes <= MOST_NODES).then(|| Graph {
        version: 1,
        workflow: Workflow {
            class_name: class_name.into(),
            functions: finish.functions,
            nodes,
            payload: Payload::Unknown,
        },
    })
}

/// For each function whether it may run a step, itself or through others.
fn reaching(drafts: &Drafts<'_>) -> Vec<bool> {
    let mut reaches = vec![false; drafts.functions.len()];
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); drafts.functions.len()];
    let mut found = Vec::new();
    for (index, function) in drafts.functions.iter().enumerate() {
        let called = RefCell::new(Vec::new());
        let is_step = any_runs(&function.nodes, &|id| {
            called.borrow_mut().push(id);
            false
        });
        if is_step {
            found.push(index);
        }
        for id in called.into_inner() {
            if let Some(callers) = callers.get_mut(id.0) {
                callers.push(index);
            }
        }
    }
    while let Some(index) = found.pop() {
        let Some(known) = reaches.get_mut(index) else {
            continue;
        };
        if !std::mem::replace(known, true) {
            found.extend(callers.get(index).into_iter().flatten());
        }
    }
    reaches
}

/// For each function the first one that is the same: some are read more than once, and with the same result.
fn same_functions(drafts: &Drafts<'_>, reaches: &[bool]) -> Option<Vec<FunctionId>> {
    let mut finish = Finish {
        drafts,
        reaches,
        same: Vec::new(),
        names: HashMap::new(),
        functions: BTreeMap::new(),
        wanted: Vec::new(),
        nodes: 0,
    };
    let mut known: HashMap<usize, Vec<(FunctionId, Vec<Node>)>> = HashMap::new();
    let mut same = Vec::new();
    for (index, function) in drafts.functions.iter().enumerate() {
        let nodes = finish.nodes(&function.nodes);
        let readings = known.entry(function.address).or_default();
        let first = readings.iter().find(|(_, earlier)| *earlier == nodes);
        let id = first.map_or(FunctionId(index), |(first, _)| *first);
        same.push(id);
        readings.push((id, nodes));
        if finish.nodes > MOST_NODES {
            return None;
        }
    }
    Some(same)
}

struct Finish<'d, 'a> {
    drafts: &'d Drafts<'a>,
    reaches: &'d [bool],
    /// For each function the one that stands for it; empty while that is not known, and functions go by the names they have.
    same: Vec<FunctionId>,
    names: HashMap<FunctionId, String>,
    functions: BTreeMap<String, Function>,
    /// Functions that are called, in order.
    wanted: Vec<FunctionId>,
    nodes: usize,
}

impl Finish<'_, '_> {
    /// The name of a function in the graph.
    fn name(&mut self, id: FunctionId) -> String {
        let Some(draft) = self.drafts.functions.get(id.0) else {
            return String::new();
        };
        let Some(id) = self.same.get(id.0).copied() else {
            return draft.name.into();
        };
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let is_free = |name: &String| self.names.values().all(|taken| taken != name);
        let of_class = draft.class.map(|class| format!("{class}.{}", draft.name));
        let numbered = (2..).map(|number| format!("{} ({number})", draft.name));
        let mut names = iter::once(draft.name.to_owned()).chain(of_class).chain(numbered);
        let name = names.find(is_free).unwrap_or_default();
        self.names.insert(id, name.clone());
        self.wanted.push(id);
        name
    }

    fn runs(&self, nodes: &[Draft]) -> bool {
        any_runs(nodes, &|id| self.reaches.get(id.0).copied().unwrap_or(false))
    }

    fn nodes(&mut self, drafts: &[Draft]) -> Vec<Node> {
        // Where no step is run nothing is to be seen, not even how it ends.
        if !self.runs(drafts) {
            return Vec::new();
        }
        self.kept(drafts)
    }

    fn kept(&mut self, drafts: &[Draft]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for draft in drafts {
            if self.nodes > MOST_NODES {
                break;
            }
            if let Some(node) = self.node(draft) {
                self.nodes += 1;
                nodes.push(node);
            }
        }
        nodes
    }

    fn node(&mut self, draft: &Draft) -> Option<Node> {
        let runs = self.runs(std::slice::from_ref(draft));
        Some(match draft {
            Draft::Step { step, promise } => self.step(step, self.drafts.promises.times(*promise)),
            Draft::Call { function, promise } => {
                if !runs {
                    return None;
                }
                Node::FunctionCall {
                    name: self.name(*function),
                    times: self.drafts.promises.times(*promise),
                }
            }
            Draft::Break(kind) => Node::Break { kind: *kind },
            _ if !runs && !draft.leaves() => return None,
            Draft::Loop(_) if !runs => return None,
            Draft::Loop(nodes) => Node::Loop {
                nodes: self.kept(nodes),
            },
            Draft::Parallel(kind, nodes) => Node::Parallel {
                kind: *kind,
                nodes: self.kept(nodes),
            },
            Draft::Block(nodes) => {
                let mut nodes = self.kept(nodes);
                if nodes.len() == 1 {
                    return nodes.pop();
                }
                Node::Block { nodes }
            }
            Draft::Try { tried, caught, last } => Node::Try {
                try_block: Some(self.block(tried)),
                catch_block: caught.as_ref().map(|nodes| self.block(nodes)),
                finally_block: last.as_ref().map(|nodes| self.block(nodes)),
            },
            Draft::If(branches) => Node::If {
                branches: self.branches(branches),
            },
            Draft::Switch(discriminant, branches) => Node::Switch {
                discriminant: discriminant.clone(),
                branches: self.branches(branches),
            },
        })
    }

    fn block(&mut self, drafts: &[Draft]) -> Block {
        Block {
            nodes: self.kept(drafts),
        }
    }

    fn branches(&mut self, branches: &[BranchDraft]) -> Vec<Branch> {
        branches
            .iter()
            .map(|branch| Branch {
                condition: branch.condition.clone(),
                nodes: self.kept(&branch.nodes),
            })
            .collect()
    }

    fn step(&mut self, step: &StepDraft, times: crate::node::Times) -> Node {
        match step {
            StepDraft::Do { name, config, nodes } => Node::StepDo {
                name: name.clone(),
                config: config.clone(),
                nodes: self.nodes(nodes),
                times,
            },
            StepDraft::Sleep { name, duration } => Node::StepSleep {
                name: name.clone(),
                duration: duration.clone(),
                times,
            },
            StepDraft::SleepUntil { name, timestamp } => Node::StepSleepUntil {
                name: name.clone(),
                timestamp: timestamp.clone(),
                times,
            },
            StepDraft::WaitForEvent { name, options } => Node::StepWaitForEvent {
                name: name.clone(),
                options: options.clone(),
                times,
            },
        }
    }
}
