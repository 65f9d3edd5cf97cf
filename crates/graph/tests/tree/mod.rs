//! Graphs as short text, for tests.

use cairn_graph::{Backoff, BreakKind, Duration, Graph, Node, ParallelKind, Times};
use std::fmt::Write;

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
        writeln!(self.text, "{}{text}", "  ".repeat(depth)).unwrap();
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
            Node::StepDo {
                name,
                config,
                nodes,
                times,
            } => {
                let mut line = format!("do {name:?}");
                let retries = &config.retries;
                let retried = (retries.limit, duration(&retries.delay), retries.backoff);
                if retried != (5.0, "10000 ms".into(), Backoff::Exponential) {
                    write!(line, ", {} retries {} {:?}", retried.0, retried.1, retried.2).unwrap();
                }
                let timeout = duration(&config.timeout);
                if timeout != "10 minutes" {
                    write!(line, ", timeout {timeout}").unwrap();
                }
                self.line(depth, &(line + &at(times)));
                self.nodes(depth + 1, nodes);
            }
            Node::StepSleep {
                name,
                duration: length,
                times,
            } => self.line(depth, &format!("sleep {name:?} {}{}", duration(length), at(times))),
            Node::StepSleepUntil {
                name,
                timestamp,
                times,
            } => self.line(depth, &format!("sleep {name:?} until {timestamp}{}", at(times))),
            Node::StepWaitForEvent {
                name,
                options,
                times,
            } => {
                let options = match options {
                    Some(options) => format!("{:?} for {}", options.event_type, duration(&options.timeout)),
                    None => "null".into(),
                };
                self.line(depth, &format!("event {name:?} {options}{}", at(times)));
            }
            Node::FunctionCall { name, times } => self.line(depth, &format!("call {name}{}", at(times))),
            Node::Loop { nodes } => {
                self.line(depth, "loop");
                self.nodes(depth + 1, nodes);
            }
            Node::Parallel { kind, nodes } => {
                let kind = match kind {
                    ParallelKind::All => "all",
                    ParallelKind::Any => "any",
                    ParallelKind::AllSettled => "all settled",
                    ParallelKind::Race => "race",
                };
                self.line(depth, &format!("parallel {kind}"));
                self.nodes(depth + 1, nodes);
            }
            Node::Block { nodes } => {
                self.line(depth, "block");
                self.nodes(depth + 1, nodes);
            }
            Node::Try {
                try_block,
                catch_block,
                finally_block,
            } => {
                for (word, block) in [("try", try_block), ("catch", catch_block), ("finally", finally_block)] {
                    if let Some(block) = block {
                        self.line(depth, word);
                        self.nodes(depth + 1, &block.nodes);
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
                    self.line(depth, &line);
                    self.nodes(depth + 1, &branch.nodes);
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
                    self.line(depth + 1, &line);
                    self.nodes(depth + 2, &branch.nodes);
                }
            }
            Node::Break { kind } => self.line(
                depth,
                match kind {
                    BreakKind::Break => "break",
                    BreakKind::Return => "return",
                },
            ),
        }
    }
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
