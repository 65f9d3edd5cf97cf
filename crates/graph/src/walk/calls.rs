//! Calls: of steps, of functions, of the methods of promises and arrays, and of what is not known.

use super::{Frame, Reader, combinator, functions::Place};
use crate::draft::{Draft, PromiseId, may_run};
use crate::node::ParallelKind;
use crate::text;
use crate::value::{FunctionValue, Object, StepMethod, Value};
use crate::waves::Waves;
use oxc_ast::ast::{Argument, CallExpression, Expression, MemberExpression};

/// Methods that call a function for each element.
const ITERATING: [&str; 12] = [
    "map",
    "forEach",
    "flatMap",
    "filter",
    "reduce",
    "reduceRight",
    "some",
    "every",
    "find",
    "findIndex",
    "findLast",
    "each",
];

/// Methods that keep what they get.
const KEEPING: [&str; 6] = ["push", "unshift", "add", "set", "append", "enqueue"];

impl<'a> Reader<'a> {
    pub(super) fn call(&mut self, call: &'a CallExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let callee = call.callee.get_inner_expression();
        if let Some(member) = callee.as_member_expression() {
            return self.method_call(call, member, frame);
        }
        if let Expression::Super(_) = callee {
            let values = self.arguments(&call.arguments, frame);
            let extended = frame.home.and_then(|home| self.super_class(home));
            if let (Some(class), Some(this)) = (extended, frame.this) {
                self.construct(class, this, values, 0);
            }
            return Value::Unknown;
        }
        if let Some(named) = self.name_kept(call, callee, frame) {
            return named;
        }
        let value = self.value(callee, frame);
        if let Value::StepMethod(method) = value {
            return self.step(method, &call.arguments, frame);
        }
        let values = self.arguments(&call.arguments, frame);
        // A function that is called where it is written is read even where no steps are known.
        if let (
            Value::Function(function),
            Expression::FunctionExpression(_) | Expression::ArrowFunctionExpression(_),
        ) = (&value, callee)
        {
            let key = self.key(function, &values);
            return self.inline(*function, values, key, frame);
        }
        self.apply(&value, values, frame)
    }

    /// `__name(function, "name")`
    fn name_kept(
        &mut self,
        call: &'a CallExpression<'a>,
        callee: &'a Expression<'a>,
        frame: &mut Frame<'a>,
    ) -> Option<Value<'a>> {
        let (Expression::Identifier(keeper), [target, Argument::StringLiteral(name)]) =
            (callee, call.arguments.as_slice())
        else {
            return None;
        };
        let keeper = keeper.name.as_str();
        if self.declaring(frame.scope, keeper).is_some()
            || !self.keeps_names(self.module_of(frame.scope), keeper)
        {
            return None;
        }
        let name = name.value.as_str();
        let renamed = |value: Value<'a>| match value {
            Value::Function(function) => Value::Function(FunctionValue {
                name: Some(name),
                ..function
            }),
            other => other,
        };
        let value = renamed(self.value(target.as_expression()?, frame));
        if let Argument::Identifier(id) = target
            && let Some(scope) = self.declaring(frame.scope, id.name.as_str())
            && let Some(binding) = self.scopes[scope.0].names.get_mut(id.name.as_str())
        {
            binding.value = value.clone();
        }
        Some(value)
    }

    /// Calls what a value stands for.
    pub(super) fn apply(
        &mut self,
        callee: &Value<'a>,
        values: Vec<Value<'a>>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        match callee {
            Value::Function(function) => self.invoke(*function, values, frame),
            Value::Any(functions) => {
                // One of these is called, or one after the other: never two at a time.
                let mut last = Value::Unknown;
                for function in functions {
                    let earlier = std::mem::take(&mut last);
                    let earlier = self.awaited(earlier, frame);
                    last = self.apply(function, values.clone(), frame).or(earlier);
                }
                last
            }
            Value::Unknown
            | Value::Step
            | Value::StepMethod(_)
            | Value::Class(_)
            | Value::Object(_)
            | Value::Module(_)
            | Value::Promised(_) => self.escape(&values, frame),
        }
    }

    pub(super) fn arguments(
        &mut self,
        arguments: &'a [Argument<'a>],
        frame: &mut Frame<'a>,
    ) -> Vec<Value<'a>> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                Argument::SpreadElement(spread) => match self.value(&spread.argument, frame) {
                    Value::Object(id) => values.extend(self.object(id).items.clone()),
                    other => values.push(other),
                },
                other => {
                    if let Some(expression) = other.as_expression() {
                        values.push(self.value(expression, frame));
                    }
                }
            }
        }
        values
    }

    fn method_call(
        &mut self,
        call: &'a CallExpression<'a>,
        member: &'a MemberExpression<'a>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let Some(name) = text::member_name(member) else {
            let object = self.value(member.object(), frame);
            let callee = self.element(&object);
            let values = self.arguments(&call.arguments, frame);
            return self.apply(&callee, values, frame);
        };
        match member.object() {
            Expression::Super(_) => {
                let values = self.arguments(&call.arguments, frame);
                let extended = frame.home.and_then(|home| self.super_class(home));
                let method = extended.map(|class| self.method(class, name, frame.this));
                return self.apply(&method.unwrap_or_default(), values, frame);
            }
            Expression::Identifier(id) if self.lookup(frame.scope, id.name.as_str()).is_none() => {
                if let Some(value) = self.global_call(id.name.as_str(), name, call, frame) {
                    return value;
                }
            }
            _ => {}
        }
        if matches!(name, "then" | "catch" | "finally") {
            return self.chained(call, member, name, frame);
        }
        let object = self.value(member.object(), frame);
        self.call_on(&object, member, name, call, frame)
    }

    fn call_on(
        &mut self,
        object: &Value<'a>,
        member: &'a MemberExpression<'a>,
        name: &'a str,
        call: &'a CallExpression<'a>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let field = self.field(object, name);
        if let Value::StepMethod(method) = field {
            return self.step(method, &call.arguments, frame);
        }
        let mut values = self.arguments(&call.arguments, frame);
        if !matches!(field, Value::Unknown) {
            return self.apply(&field, values, frame);
        }
        match (object, name) {
            (Value::Function(_) | Value::StepMethod(_), "bind") => {
                return self.bound(object.clone(), values.first());
            }
            (Value::Function(_), "call") => {
                let this = (!values.is_empty()).then(|| values.remove(0));
                let function = self.bound(object.clone(), this.as_ref());
                return self.apply(&function, values, frame);
            }
            (Value::Function(_), "apply") => {
                let passed = values.get(1).cloned().unwrap_or_default();
                let items = match passed {
                    Value::Object(id) => self.object(id).items.clone(),
                    _ => Vec::new(),
                };
                let function = self.bound(object.clone(), values.first());
                return self.apply(&function, items, frame);
            }
            _ => {}
        }
        if KEEPING.contains(&name) {
            return self.kept(object, member, values, frame);
        }
        if ITERATING.contains(&name)
            && let Some(function @ (Value::Function(_) | Value::Any(_))) = values.first()
        {
            let element = self.element(object);
            let function = function.clone();
            return self.each(&function, name, element, frame);
        }
        let result = self.escape(&values, frame);
        if self.carries(object) || !self.promises_in(object).is_empty() {
            return object.clone().or(result);
        }
        result
    }

    fn bound(&self, function: Value<'a>, this: Option<&Value<'a>>) -> Value<'a> {
        match (function, this) {
            (Value::Function(function), Some(Value::Object(id))) if function.this.is_none() => {
                Value::Function(FunctionValue {
                    this: Some(*id),
                    ..function
                })
            }
            (function, _) => function,
        }
    }

    /// A collection gets values.
    fn kept(
        &mut self,
        object: &Value<'a>,
        member: &'a MemberExpression<'a>,
        values: Vec<Value<'a>>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let matters =
            |reader: &Self, value: &Value<'a>| reader.carries(value) || !reader.promises_in(value).is_empty();
        let values: Vec<Value<'a>> = values.into_iter().filter(|value| matters(self, value)).collect();
        if values.is_empty() {
            return Value::Unknown;
        }
        if let Value::Object(id) = object {
            self.object_mut(*id).items.extend(values);
            return Value::Unknown;
        }
        if let (Value::Unknown, Expression::Identifier(id)) = (object, member.object())
            && let Some(scope) = self.declaring(frame.scope, id.name.as_str())
        {
            let collection = self.add_object(Object {
                items: values,
                ..Object::default()
            });
            if let Some(binding) = self.scopes[scope.0].names.get_mut(id.name.as_str()) {
                binding.value = Value::Object(collection);
            }
            return Value::Unknown;
        }
        self.escape(&values, frame)
    }

    /// Calls a function for each element.
    fn each(
        &mut self,
        function: &Value<'a>,
        name: &str,
        element: Value<'a>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        // The functions of `reduce` get what the last call gave first.
        let values = if name.starts_with("reduce") {
            vec![Value::Unknown, element]
        } else {
            vec![element]
        };
        frame.waves.open();
        let result = self.apply(function, values, frame);
        let nodes = frame.waves.close();
        if may_run(&nodes) {
            frame.waves.attach(Draft::Loop(nodes), &mut self.promises);
        }
        let items = vec![result.clone()];
        let is_promised = matches!(result, Value::Promised(_));
        if is_promised {
            return result;
        }
        Value::Object(self.add_object(Object {
            items,
            ..Object::default()
        }))
    }

    /// Methods of global objects.
    fn global_call(
        &mut self,
        object: &str,
        name: &str,
        call: &'a CallExpression<'a>,
        frame: &mut Frame<'a>,
    ) -> Option<Value<'a>> {
        match (object, name) {
            ("Promise", "resolve") => Some(
                self.arguments(&call.arguments, frame)
                    .into_iter()
                    .next()
                    .unwrap_or_default(),
            ),
            ("Promise", name) => combinator(name).map(|kind| self.together(kind, call, frame)),
            ("Array", "from" | "fromAsync") => {
                let values = self.arguments(&call.arguments, frame);
                let element = values
                    .first()
                    .map(|value| self.element(value))
                    .unwrap_or_default();
                match values.get(1) {
                    Some(function) => Some(self.each(&function.clone(), name, element, frame)),
                    None => values.into_iter().next(),
                }
            }
            ("Object", "values" | "freeze" | "seal" | "fromEntries") => {
                let values = self.arguments(&call.arguments, frame);
                values.into_iter().next()
            }
            _ => None,
        }
    }

    /// `Promise.all(…)` and the like. What is started in it stands in a node of its own, unless other promises are under way.
    fn together(
        &mut self,
        kind: ParallelKind,
        call: &'a CallExpression<'a>,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let is_alone = frame.waves.is_idle();
        if is_alone {
            frame.waves.open();
        }
        let values = self.arguments(&call.arguments, frame);
        if is_alone {
            let nodes = frame.waves.close();
            if may_run(&nodes) {
                frame
                    .waves
                    .attach(Draft::Parallel(kind, nodes), &mut self.promises);
            }
        }
        let ids = values.iter().flat_map(|value| self.promises_in(value)).collect();
        let inner = values.into_iter().next().map(|value| self.unwrapped(&value, 0));
        Value::promised(ids, Some(kind), inner.unwrap_or_default())
    }

    /// What promises in a value give.
    fn unwrapped(&mut self, value: &Value<'a>, far: u32) -> Value<'a> {
        match value {
            Value::Promised(promised) => promised.inner.as_deref().cloned().unwrap_or_default(),
            Value::Object(id) if far == 0 && self.object(*id).class.is_none() => {
                let items = self.object(*id).items.clone();
                let items = items.iter().map(|item| self.unwrapped(item, 1)).collect();
                Value::Object(self.add_object(Object {
                    items,
                    ..Object::default()
                }))
            }
            other => other.clone(),
        }
    }

    /// `promise.then(…)` and the like: one after the other, apart from everything else.
    fn chained(
        &mut self,
        call: &'a CallExpression<'a>,
        member: &'a MemberExpression<'a>,
        name: &str,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let outer = std::mem::take(&mut frame.waves);
        let object = self.value(member.object(), frame);
        if may_run(frame.waves.nodes()) {
            return self.chain_apart(call, (object, name), outer, frame);
        }
        // The promise was started before, or it is none: what follows it stands here.
        frame.waves = outer;
        let ids = self.promises_in(&object);
        let mut values = self.arguments(&call.arguments, frame);
        let given = self.unwrapped(&object, 1);
        let first = (name == "then" && !values.is_empty()).then(|| values.remove(0));
        let result = match first {
            Some(function) => self.apply(&function, vec![given], frame),
            None => given,
        };
        let others = self.escape(&values, frame);
        let parts = [&result, &others];
        let found = parts.iter().flat_map(|value| self.promises_in(value));
        let all: Vec<PromiseId> = ids.into_iter().chain(found).collect();
        if all.is_empty() {
            return result;
        }
        Value::promised(all, None, result)
    }

    fn chain_apart(
        &mut self,
        call: &'a CallExpression<'a>,
        (object, name): (Value<'a>, &str),
        outer: Waves,
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let given = self.awaited(object, frame);
        let follow = |reader: &mut Self, frame: &mut Frame<'a>, value: Option<Value<'a>>| {
            let result = match value {
                Some(function) => reader.apply(&function, vec![given.clone()], frame),
                None => Value::Unknown,
            };
            reader.awaited(result, frame)
        };
        let mut values = Vec::new();
        if name == "then" {
            values = self.arguments(&call.arguments, frame);
            let first = (!values.is_empty()).then(|| values.remove(0));
            follow(self, frame, first);
        } else if name == "finally" {
            let tried = frame.waves.take_nodes();
            frame.waves.open();
            let first = self.arguments(&call.arguments, frame).into_iter().next();
            follow(self, frame, first);
            let last = frame.waves.close();
            self.attach_chain(tried, None, Some(last), frame);
        } else {
            values = self.arguments(&call.arguments, frame);
        }
        // The function for errors.
        if let Some(function) = values.into_iter().next() {
            let tried = frame.waves.take_nodes();
            frame.waves.open();
            follow(self, frame, Some(function));
            let caught = frame.waves.close();
            self.attach_chain(tried, Some(caught), None, frame);
        }
        let inner = std::mem::replace(&mut frame.waves, outer);
        self.meanwhile(inner, given, frame)
    }

    fn attach_chain(
        &mut self,
        tried: Vec<Draft>,
        caught: Option<Vec<Draft>>,
        last: Option<Vec<Draft>>,
        frame: &mut Frame<'a>,
    ) {
        let says = |nodes: &Option<Vec<Draft>>| nodes.as_ref().is_some_and(|nodes| may_run(nodes));
        if says(&caught) || says(&last) {
            frame
                .waves
                .attach(Draft::Try { tried, caught, last }, &mut self.promises);
            return;
        }
        for node in tried {
            frame.waves.attach(node, &mut self.promises);
        }
    }

    fn step(
        &mut self,
        method: StepMethod,
        arguments: &'a [Argument<'a>],
        frame: &mut Frame<'a>,
    ) -> Value<'a> {
        let step = self.step_draft(method, arguments, frame);
        let promise = self.promise();
        let node = Draft::Step { step, promise };
        frame.waves.start(node, promise, &mut self.promises);
        Value::promised(vec![promise], None, Value::Unknown)
    }

    /// The steps within a callback.
    pub(super) fn callback(&mut self, value: &Value<'a>) -> Vec<Draft> {
        match value {
            Value::Function(function) if function.name.is_none() => {
                let (nodes, _) = self.body(*function, Vec::new(), Place::Inline);
                nodes
            }
            Value::Function(_) => {
                let mut frame = Frame::new(crate::value::ScopeId(0));
                let result = self.apply(value, Vec::new(), &mut frame);
                self.awaited(result, &mut frame);
                frame.waves.end(&mut self.promises)
            }
            _ => Vec::new(),
        }
    }
}
