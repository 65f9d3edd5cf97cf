//! Promises: what is waited for, and what goes with what is passed around.

use super::{Frame, Reader};
use crate::draft::PromiseId;
use crate::value::Value;

impl<'a> Reader<'a> {
    /// Waits for a value.
    pub(super) fn awaited(&mut self, value: Value<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        match value {
            Value::Promised(promised) => {
                let ids = self.promises.outermost(&promised.ids);
                frame.waves.settle(&ids, promised.combined, &mut self.promises);
                match promised.inner {
                    Some(inner) => self.awaited(*inner, frame),
                    None => Value::Unknown,
                }
            }
            Value::Any(values) => {
                let values: Vec<Value<'a>> = values
                    .into_iter()
                    .map(|value| self.awaited(value, frame))
                    .collect();
                Value::any(values)
            }
            other => other,
        }
    }

    /// All promises in a value.
    pub(super) fn promises_in(&self, value: &Value<'a>) -> Vec<PromiseId> {
        let mut ids = Vec::new();
        self.collect(value, 0, &mut ids);
        ids
    }

    fn collect(&self, value: &Value<'a>, far: u32, ids: &mut Vec<PromiseId>) {
        if far > 4 || !self.spend(1) {
            return;
        }
        match value {
            Value::Promised(promised) => {
                ids.extend(&promised.ids);
                if let Some(inner) = &promised.inner {
                    self.collect(inner, far + 1, ids);
                }
            }
            Value::Object(id) => {
                let object = self.object(*id);
                // Objects with a class keep promises for themselves.
                let fields = object.fields.values().filter(|_| object.class.is_none());
                for value in fields.chain(&object.items) {
                    self.collect(value, far + 1, ids);
                }
            }
            Value::Any(values) => {
                for value in values {
                    self.collect(value, far + 1, ids);
                }
            }
            Value::Unknown
            | Value::Step
            | Value::StepMethod(_)
            | Value::Function(_)
            | Value::Class(_)
            | Value::Module(_) => {}
        }
    }

    /// What an unknown function makes of its arguments: whoever waits for it waits for promises among them; a class that is wrapped is
    /// still that class, and the step object still the step object.
    pub(super) fn passed_on(&self, values: &[Value<'a>]) -> Value<'a> {
        let ids: Vec<PromiseId> = values.iter().flat_map(|value| self.promises_in(value)).collect();
        if !ids.is_empty() {
            return Value::promised(ids, None, Value::Unknown);
        }
        let wrapped = values
            .iter()
            .find(|value| matches!(value, Value::Class(_) | Value::Step));
        wrapped.cloned().unwrap_or_default()
    }

    /// Gives functions and what holds them to code that is not known: it may call them.
    pub(super) fn escape(&mut self, values: &[Value<'a>], frame: &mut Frame<'a>) -> Value<'a> {
        let mut results = values.to_vec();
        for value in values {
            self.escape_within(value, 0, &mut results, frame);
        }
        self.passed_on(&results)
    }

    fn escape_within(
        &mut self,
        value: &Value<'a>,
        far: u32,
        results: &mut Vec<Value<'a>>,
        frame: &mut Frame<'a>,
    ) {
        if far > 2 || !self.spend(1) || !self.carries(value) {
            return;
        }
        match value {
            Value::Function(function) => {
                let result = self.invoke(*function, Vec::new(), frame);
                results.push(result);
            }
            Value::Object(id) if self.object(*id).class.is_none() => {
                let object = self.object(*id);
                let mut fields: Vec<(&str, Value<'a>)> = object
                    .fields
                    .iter()
                    .map(|(name, value)| (*name, value.clone()))
                    .collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                let items = object.items.clone();
                let held = fields.into_iter().map(|(_, value)| value).chain(items);
                for value in held.collect::<Vec<_>>() {
                    self.escape_within(&value, far + 1, results, frame);
                }
            }
            Value::Any(values) => {
                for value in values {
                    self.escape_within(value, far + 1, results, frame);
                }
            }
            _ => {}
        }
    }
}
