//! Functions: those with a name are read once and stand in the graph by themselves; those without stand where they are called.

use super::{Frame, FunctionDraft, Reader};
use crate::draft::{Draft, FunctionId, may_run};
use crate::text;
use crate::value::{FunctionValue, Scope, Value};
use crate::waves::Waves;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Calls of one function within each other, each with other functions as arguments, at most.
const NESTED: usize = 4;

/// A function, and what its object and arguments lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    address: usize,
    arguments: u64,
}

/// Where the nodes of a function stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a definition of its own.
    Definition,
    /// Where it is called.
    Inline,
}

impl<'a> Reader<'a> {
    /// Calls a function.
    pub(super) fn invoke(
        &mut self,
        function: FunctionValue<'a>,
        values: Vec<Value<'a>>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let knows = self.carries(&Value::Function(function));
        if !knows && !values.iter().any(|value| self.carries(value)) {
            return self.passed_on(&values);
        }
        let key = self.key(&function, &values);
        let with_callback = values.iter().any(
            |value| matches!(value, Value::Function(callback) if self.carries(&Value::Function(*callback))),
        );
        if function.name.is_none() || with_callback {
            return self.inline(function, values, key, frame);
        }
        let id = self.defined(function, values, key);
        let Some(draft) = self.functions.get(id.0) else {
            return Value::Unknown;
        };
        let returned = draft.returned.clone();
        if draft.is_read && !may_run(&draft.nodes) {
            return returned;
        }
        let promise = self.promise();
        let node = Draft::Call {
            function: id,
            promise,
        };
        frame.waves.start(node, promise, &mut self.promises);
        Value::promised(vec![promise], None, returned)
    }

    /// Calls a function whose nodes stand here.
    pub(super) fn inline(
        &mut self,
        function: FunctionValue<'a>,
        values: Vec<Value<'a>>,
        key: CallKey,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let same = self.calls.iter().filter(|call| call.address == key.address);
        if self.calls.contains(&key) || same.count() >= NESTED {
            return Value::Unknown;
        }
        self.calls.push(key);
        let (waves, returned) = self.body_waves(function, values, Place::Inline);
        self.calls.pop();
        self.meanwhile(waves, returned, frame)
    }

    /// Adds what a function does that need not have been waited for.
    pub(super) fn meanwhile(
        &mut self,
        mut waves: Waves,
        returned: Value<'a>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let left = waves.pending().to_vec();
        waves.settle(&left, None, &mut self.promises);
        let mut nodes = waves.end(&mut self.promises);
        if !may_run(&nodes) {
            return returned;
        }
        let promise = self.promise();
        self.promises.belong(&left, promise);
        let node = match nodes.pop() {
            Some(last) if nodes.is_empty() => match last {
                Draft::Step { step, .. } => Draft::Step { step, promise },
                Draft::Call { function, .. } => Draft::Call { function, promise },
                other => other,
            },
            last => Draft::Block(nodes.into_iter().chain(last).collect()),
        };
        frame.waves.start(node, promise, &mut self.promises);
        Value::promised(vec![promise], None, returned)
    }

    /// The definition of a function; it is read at its first call.
    fn defined(&mut self, function: FunctionValue<'a>, values: Vec<Value<'a>>, key: CallKey) -> FunctionId {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let being_read = self.calls.iter().find(|call| call.address == key.address);
        if let Some(known) = being_read.and_then(|call| self.known.get(call)) {
            return *known;
        }
        let id = FunctionId(self.functions.len());
        self.functions.push(FunctionDraft {
            name: function.name.unwrap_or("anonymous"),
            class: function.home.and_then(|home| text::class_name(home.node)),
            address: key.address,
            ..FunctionDraft::default()
        });
        self.known.insert(key, id);
        self.calls.push(key);
        let (nodes, returned) = self.body(function, values, Place::Definition);
        self.calls.pop();
        if let Some(draft) = self.functions.get_mut(id.0) {
            draft.nodes = nodes;
            draft.returned = returned;
            draft.is_read = true;
        }
        id
    }

    /// Reads a function: its nodes, and what it returns.
    pub(super) fn body(
        &mut self,
        function: FunctionValue<'a>,
        values: Vec<Value<'a>>,
        place: Place,
    ) -> (Vec<Draft>, Value<'a>) {
        let (waves, returned) = self.body_waves(function, values, place);
        (waves.end(&mut self.promises), returned)
    }

    fn body_waves(
        &mut self,
        function: FunctionValue<'a>,
        values: Vec<Value<'a>>,
        place: Place,
    ) -> (Waves, Value<'a>) {
        let carries =
            self.carries(&Value::Function(function)) || values.iter().any(|value| self.carries(value));
        let scope = self.add_scope(Scope {
            parent: Some(function.scope),
            module: self.module_of(function.scope),
            span: function.span(),
            is_function: true,
            carries,
            names: HashMap::new(),
        });
        let mut frame = Frame::new(scope);
        frame.this = function.this;
        frame.home = function.home;
        frame.is_inline = place == Place::Inline;
        if self.enter() {
            self.parameters(&function, values, &mut frame);
            if let Some(expression) = function.expression() {
                let value = self.value(expression, &mut frame);
                frame.returned = self.awaited(value, &mut frame);
            } else if let Some(body) = function.body() {
                self.statements(&body.statements, &mut frame, true);
            }
        }
        self.leave();
        (frame.waves, frame.returned)
    }

    fn parameters(&mut self, function: &FunctionValue<'a>, values: Vec<Value<'a>>, frame: &mut Frame<'a>) {
        let params = function.params();
        let mut values = values.into_iter();
        for param in &params.items {
            let mut value = values.next().unwrap_or_default();
            if let (Value::Unknown, Some(init)) = (&value, &param.initializer) {
                value = self.value(init, frame);
            }
            self.bind(&param.pattern, value, None, frame);
        }
        if let Some(rest) = &params.rest {
            let object = crate::value::Object {
                items: values.collect(),
                ..Default::default()
            };
            let value = Value::Object(self.add_object(object));
            self.bind(&rest.rest.argument, value, None, frame);
        }
    }

    pub(super) fn key(&self, function: &FunctionValue<'a>, values: &[Value<'a>]) -> CallKey {
        let mut hasher = DefaultHasher::new();
        if let Some(this) = function.this {
            self.shape(&Value::Object(this), 0, &mut hasher);
        }
        for value in values {
            self.shape(value, 0, &mut hasher);
        }
        CallKey {
            address: function.address(),
            arguments: hasher.finish(),
        }
    }

    /// What of a value makes a difference to the steps of a function that gets it.
    fn shape(&self, value: &Value<'a>, far: u32, hasher: &mut DefaultHasher) {
        if far > 3 || !self.spend(1) || !self.carries(value) {
            0_u8.hash(hasher);
            return;
        }
        match value {
            Value::Step => 1_u8.hash(hasher),
            Value::StepMethod(method) => (2_u8, method).hash(hasher),
            Value::Function(function) => (3_u8, function.address()).hash(hasher),
            Value::Class(class) => (4_u8, std::ptr::from_ref(class.node) as usize).hash(hasher),
            Value::Object(id) => {
                let object = self.object(*id);
                let class = object.class.map(|class| std::ptr::from_ref(class.node) as usize);
                (5_u8, class).hash(hasher);
                let mut fields: Vec<_> = object.fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| **name);
                for (name, value) in fields {
                    name.hash(hasher);
                    self.shape(value, far + 1, hasher);
                }
                for value in &object.items {
                    self.shape(value, far + 1, hasher);
                }
            }
            Value::Promised(promised) => {
                if let Some(inner) = &promised.inner {
                    self.shape(inner, far + 1, hasher);
                }
            }
            Value::Any(values) => {
                for value in values {
                    self.shape(value, far + 1, hasher);
                }
            }
            Value::Module(_) | Value::Unknown => {}
        }
    }
}
