//! What must be true, told by somebody who does not read the engine's code: he watches user code.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What user code was told about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The nonce that the attempt had returned.
    Value(u64),
    /// A sleep was over.
    Slept,
    /// The number of the event that was taken.
    Event(u64),
    /// The step failed.
    Failed,
}

#[derive(Default)]
struct Facts {
    /// By instance and step: what was seen first.
    seen: BTreeMap<(String, String), Seen>,
    /// By instance and step: callbacks begun.
    executions: BTreeMap<(String, String), u32>,
    /// By instance and event number: the step that took it.
    taken: BTreeMap<(String, u64), String>,
    violations: Vec<String>,
}

/// The watcher. Outlives every crash.
#[derive(Clone, Default)]
pub(crate) struct Model(Arc<Mutex<Facts>>);

impl Model {
    fn violation(facts: &mut Facts, text: String) {
        facts.violations.push(text);
    }

    /// A callback begins.
    pub(crate) fn executes(&self, instance: &str, step: &str) {
        let mut facts = self.0.lock();
        let key = (instance.to_owned(), step.to_owned());
        if let Some(seen) = facts.seen.get(&key).cloned() {
            Self::violation(
                &mut facts,
                format!("{instance}: step {step} runs again after its outcome {seen:?} was seen"),
            );
        }
        *facts.executions.entry(key).or_insert(0) += 1;
    }

    /// User code is told how a step ended.
    pub(crate) fn sees(&self, instance: &str, step: &str, outcome: &Seen) {
        let mut facts = self.0.lock();
        let key = (instance.to_owned(), step.to_owned());
        match facts.seen.get(&key).cloned() {
            Some(first) if first != *outcome => {
                let text = format!("{instance}: step {step} was {first:?} and is now {outcome:?}");
                Self::violation(&mut facts, text);
            }
            Some(_) => {}
            None => {
                facts.seen.insert(key, outcome.clone());
            }
        }
    }

    /// User code sees that a wait took an event.
    pub(crate) fn takes(&self, instance: &str, step: &str, number: u64) {
        let mut facts = self.0.lock();
        let taker = facts
            .taken
            .entry((instance.to_owned(), number))
            .or_insert_with(|| step.to_owned())
            .clone();
        if taker != step {
            Self::violation(
                &mut facts,
                format!("{instance}: event {number} was taken by {taker} and by {step}"),
            );
        }
    }

    /// What was seen of a step.
    pub(crate) fn seen(&self, instance: &str, step: &str) -> Option<Seen> {
        self.0
            .lock()
            .seen
            .get(&(instance.to_owned(), step.to_owned()))
            .cloned()
    }

    /// Something else is wrong.
    pub(crate) fn wrong(&self, text: String) {
        Self::violation(&mut self.0.lock(), text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.0.lock().violations.clone()
    }

    pub(crate) fn executions(&self) -> u64 {
        self.0
            .lock()
            .executions
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }
}
