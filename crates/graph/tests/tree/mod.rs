//! Graphs as short text, for tests.

use cairn_graph::{Backoff, BreakKind, Config, Duration, Graph, Node, ParallelKind, Times};

/// Whether conditions are part of the text. They are source, so they differ between a bundle and its minified form.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Conditions {
    Shown,
    #[allow(dead_code, reason = "not every test needs both")]
    Hidden,
}

pub(crate) fn tree(graph: &Graph, conditions: Conditions) -> String {
    let mut tree = Tree {
        text: String::new(),
        conditions,
    };
    let workflow = &graph.workflow;
    tree.line(0, &workflow.class_name);
    tree.nodes(1, &workflow.nodes);
    for (name, function) in &workflow.functions {
        assert_eq!(*name, function.name);
        tree.line(0, &format!("function {name}"));
        tree.nodes(1, &function.nodes);
    }
    tree.text
}

struct Tree {
    text: String,
    conditions: Conditions,
}

impl Tree {
    fn line(&mut self, depth: usize, text: &str) {
        self.text += &format!("{}{text}\n", "  ".repeat(depth));
    }

    fn condition<'c>(&self, condition: &'c str) -> &'c str {
        match self.conditions {
            Conditions::Shown => condition,
            Conditions::Hidden => "…",
        }
    }

    fn nodes(&mut self, depth: usize, nodes: &[Node]) {
        for node in nodes {
            self.node(depth, node);
        }
    }

    fn node(&mut self, depth: usize, node: &Node) {
        match node {
            Node::StepDo { nodes, .. } => {
                self.line(depth, &step(node));
                self.nodes(depth + 1, nodes);
            }
            Node::StepSleep { .. }
            | Node::StepSleepUntil { .. }
            | Node::StepWaitForEvent { .. }
            | Node::FunctionCall { .. } => self.line(depth, &step(node)),
            Node::Loop { nodes } => self.block(depth, "loop", nodes),
            Node::Parallel { kind, nodes } => {
                let kind = match kind {
                    ParallelKind::All => "parallel all",
                    ParallelKind::Any => "parallel any",
                    ParallelKind::AllSettled => "parallel all settled",
                    ParallelKind::Race => "parallel race",
                };
                self.block(depth, kind, nodes);
            }
            Node::Block { nodes } => self.block(depth, "block", nodes),
            Node::Try {
                try_block,
                catch_block,
                finally_block,
            } => {
                for (word, block) in [
                    ("try", try_block),
                    ("catch", catch_block),
                    ("finally", finally_block),
                ] {
                    if let Some(block) = block {
                        self.block(depth, word, &block.nodes);
                    }
                }
            }
            Node::If { branches } => {
                for (index, branch) in branches.iter().enumerate() {
                    let line = match (&branch.condition, index) {
                        (Some(condition), 0) => format!("if {}", self.condition(condition)),
                        (Some(condition), _) => format!("else if {}", self.condition(condition)),
                        (None, _) => "else".into(),
                    };
                    self.block(depth, &line, &branch.nodes);
                }
            }
            Node::Switch {
                discriminant,
                branches,
            } => {
                let discriminant = self.condition(discriminant).to_owned();
                self.line(depth, &format!("switch {discriminant}"));
                for branch in branches {
                    let line = match &branch.condition {
                        Some(condition) => format!("case {}", self.condition(condition)),
                        None => "default".into(),
                    };
                    self.block(depth + 1, &line, &branch.nodes);
                }
            }
            Node::Break {
                kind: BreakKind::Break,
            } => self.line(depth, "break"),
            Node::Break {
                kind: BreakKind::Return,
            } => self.line(depth, "return"),
        }
    }

    fn block(&mut self, depth: usize, line: &str, nodes: &[Node]) {
        self.line(depth, line);
        self.nodes(depth + 1, nodes);
    }
}

/// A step or a call on one line; other nodes have none.
fn step(node: &Node) -> String {
    match node {
        Node::StepDo {
            name, config, times, ..
        } => format!("do {name:?}{}{}", changed(config), at(times)),
        Node::StepSleep {
            name,
            duration: length,
            times,
        } => format!("sleep {name:?} {}{}", duration(length), at(times)),
        Node::StepSleepUntil {
            name,
            timestamp,
            times,
        } => format!("sleep {name:?} until {timestamp}{}", at(times)),
        Node::StepWaitForEvent { name, options, times } => {
            let options = match options {
                Some(options) => format!("{:?} for {}", options.event_type, duration(&options.timeout)),
                None => "null".into(),
            };
            format!("event {name:?} {options}{}", at(times))
        }
        Node::FunctionCall { name, times } => format!("call {name}{}", at(times)),
        _ => String::new(),
    }
}

/// What of a configuration is not the default.
fn changed(config: &Config) -> String {
    let mut text = String::new();
    let retries = &config.retries;
    let retried = (retries.limit, duration(&retries.delay), retries.backoff);
    if retried != (5.0, "10000 ms".into(), Backoff::Exponential) {
        text += &format!(", {} retries {} {:?}", retried.0, retried.1, retried.2);
    }
    let timeout = duration(&config.timeout);
    if timeout != "10 minutes" {
        text += &format!(", timeout {timeout}");
    }
    text
}

fn duration(duration: &Duration) -> String {
    match duration {
        Duration::Millis(millis) => format!("{millis} ms"),
        Duration::Text(text) => text.clone(),
    }
}

fn at(times: &Times) -> String {
    match (times.starts, times.resolves) {
        (Some(starts), Some(resolves)) => format!(" @{starts}-{resolves}"),
        (Some(starts), None) => format!(" @{starts}-"),
        (None, _) => String::new(),
    }
}
