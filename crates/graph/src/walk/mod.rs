//! Reads code as it would run, once through every branch, and notes the steps.
//!
//! A value is followed only where it can lead to steps: the step object under any name, functions and objects that hold it, promises.
//! Functions that cannot know the step object are not read at all, so the size of a bundle hardly matters.

mod calls;
mod choices;
mod classes;
mod constants;
mod expressions;
mod functions;
mod promises;
mod statements;
mod steps;

use crate::draft::{Draft, FunctionId, PromiseId};
use crate::modules::{Declared, Exported, Imported, Modules};
use crate::node::{BreakKind, ParallelKind};
use crate::text;
use crate::value::{
    Binding, ClassValue, Code, FunctionValue, Object, ObjectId, Scope, ScopeId, StepMethod, Value,
};
use crate::waves::{Promises, Waves};
use oxc_ast::ast::{Argument, Expression, ObjectExpression, ObjectPropertyKind};
use oxc_span::Span;
use std::cell::Cell;
use std::collections::HashMap;

/// Expressions, statements and values that are looked at, at most; see also [`Reader::spend`].
const FUEL: u32 = 2_000_000;
/// Expressions, statements and functions within each other, at most.
const DEEPEST: u32 = 1_500;
/// Promises, at most; the graph would be far too large.
const MOST_PROMISES: usize = 40_000;
/// Re-exports and super classes that are followed, at most.
pub(crate) const FARTHEST: u32 = 32;

/// A function that was read, or is being read.
#[derive(Default)]
pub(crate) struct FunctionDraft<'a> {
    pub(crate) name: &'a str,
    /// The class whose method it is.
    pub(crate) class: Option<&'a str>,
    /// What tells it from other functions; the same function is read anew when it gets other functions.
    pub(crate) address: usize,
    pub(crate) nodes: Vec<Draft>,
    /// What it returns.
    returned: Value<'a>,
    is_read: bool,
}

/// What was read.
pub(crate) struct Drafts<'a> {
    pub(crate) nodes: Vec<Draft>,
    pub(crate) functions: Vec<FunctionDraft<'a>>,
    pub(crate) promises: Promises,
}

pub(crate) struct Reader<'a> {
    modules: &'a Modules<'a>,
    scopes: Vec<Scope<'a>>,
    objects: Vec<Object<'a>>,
    functions: Vec<FunctionDraft<'a>>,
    known: HashMap<functions::CallKey, FunctionId>,
    /// Calls that are being read.
    calls: Vec<functions::CallKey>,
    /// Classes of which objects are being made.
    constructing: Vec<usize>,
    roots: HashMap<usize, ScopeId>,
    /// What the modules declare, once it was looked at.
    declared: HashMap<(usize, &'a str), Value<'a>>,
    /// Variables by module, name and where their scope begins: whether they are set more than once.
    set_again: HashMap<(usize, &'a str, u32), bool>,
    promises: Promises,
    /// What may still be looked at. At 0 there is more than can be read.
    fuel: Cell<u32>,
    depth: u32,
}

/// A function that is being read.
struct Frame<'a> {
    scope: ScopeId,
    this: Option<ObjectId>,
    home: Option<ClassValue<'a>>,
    waves: Waves,
    /// For each statement around that `break` may end: whether it is a loop.
    breakable: Vec<bool>,
    /// Statements around that may not be executed.
    branches: u32,
    /// Whether its nodes stand where it is called, and not in a definition of their own.
    is_inline: bool,
    returned: Value<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(modules: &'a Modules<'a>) -> Self {
        Self {
            modules,
            scopes: Vec::new(),
            objects: Vec::new(),
            functions: Vec::new(),
            known: HashMap::new(),
            calls: Vec::new(),
            constructing: Vec::new(),
            roots: HashMap::new(),
            declared: HashMap::new(),
            set_again: HashMap::new(),
            promises: Promises::default(),
            fuel: Cell::new(FUEL),
            depth: 0,
        }
    }

    /// Reads `run()` of an exported class.
    pub(crate) fn read(mut self, main: usize, class_name: &str) -> Option<Drafts<'a>> {
        let exported = self.exported(main, class_name, 0)?;
        let Value::Class(class) = exported else {
            return None;
        };
        let this = self.instance(class);
        let Value::Function(run) = self.field(&Value::Object(this), "run") else {
            return None;
        };
        let (nodes, _) = self.body(
            run,
            vec![Value::Unknown, Value::Step],
            functions::Place::Definition,
        );
        (self.fuel.get() > 0).then_some(Drafts {
            nodes,
            functions: self.functions,
            promises: self.promises,
        })
    }

    /// Counts what is read. Whoever gets `false` reads nothing more and calls [`Self::leave`] all the same.
    fn enter(&mut self) -> bool {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.fuel.set(0);
        }
        self.spend(1)
    }

    /// Pays for what is looked at; `false` when there is nothing left, and whatever is found then is of no account.
    fn spend(&self, amount: usize) -> bool {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        let left = self.fuel.get().saturating_sub(amount);
        self.fuel.set(left);
        left > 0
    }

    fn promise(&mut self) -> PromiseId {
        let id = self.promises.add();
        if id.0 > MOST_PROMISES {
            self.fuel.set(0);
        }
        id
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    // Scopes and names.

    fn root(&mut self, module: usize) -> ScopeId {
        if let Some(root) = self.roots.get(&module) {
            return *root;
        }
        let length = self.modules.source(module).len();
        let span = Span::new(0, u32::try_from(length).unwrap_or(u32::MAX));
        let root = self.add_scope(Scope {
            parent: None,
            module,
            span,
            is_function: true,
            carries: false,
            names: HashMap::new(),
        });
        self.roots.insert(module, root);
        root
    }

    fn add_scope(&mut self, scope: Scope<'a>) -> ScopeId {
        self.scopes.push(scope);
        ScopeId(self.scopes.len() - 1)
    }

    fn scope(&self, id: ScopeId) -> &Scope<'a> {
        &self.scopes[id.0]
    }

    /// A scope of a block within another.
    fn inner_scope(&mut self, parent: ScopeId) -> ScopeId {
        let outer = self.scope(parent);
        let scope = Scope {
            parent: Some(parent),
            module: outer.module,
            span: outer.span,
            is_function: false,
            carries: outer.carries,
            names: HashMap::new(),
        };
        self.add_scope(scope)
    }

    fn function_scope(&self, mut scope: ScopeId) -> ScopeId {
        while let (false, Some(parent)) = (self.scope(scope).is_function, self.scope(scope).parent) {
            scope = parent;
        }
        scope
    }

    fn module_of(&self, scope: ScopeId) -> usize {
        self.scope(scope).module
    }

    /// The scope that declares a name; none for what modules declare at their top, and for globals.
    fn declaring(&self, scope: ScopeId, name: &str) -> Option<ScopeId> {
        let mut at = Some(scope);
        while let Some(scope) = at {
            if self.scope(scope).names.contains_key(name) {
                return Some(scope);
            }
            at = self.scope(scope).parent;
        }
        None
    }

    /// What a name stands for; `None` for globals and what is not known.
    fn lookup(&mut self, scope: ScopeId, name: &'a str) -> Option<Value<'a>> {
        if let Some(declaring) = self.declaring(scope, name) {
            let binding = self.scope(declaring).names.get(name);
            return binding.map(|binding| binding.value.clone());
        }
        self.at_top(self.module_of(scope), name)
    }

    fn declare(&mut self, scope: ScopeId, name: &'a str, binding: Binding<'a>) {
        self.scopes[scope.0].names.insert(name, binding);
    }

    /// What a module declares at its top.
    fn at_top(&mut self, module: usize, name: &'a str) -> Option<Value<'a>> {
        if let Some(value) = self.declared.get(&(module, name)) {
            return Some(value.clone());
        }
        let declared = *self.modules.index(module)?.declared.get(name)?;
        // What needs itself to be known is not known.
        self.declared.insert((module, name), Value::Unknown);
        let value = self.declared_value(module, declared, name);
        self.declared.insert((module, name), value.clone());
        Some(value)
    }

    fn declared_value(&mut self, module: usize, declared: Declared<'a>, name: &'a str) -> Value<'a> {
        let scope = self.root(module);
        let named = self.kept_name(module, name).unwrap_or(name);
        match declared {
            Declared::Function(function) => Value::Function(FunctionValue {
                code: Code::Function(function),
                scope,
                this: None,
                home: None,
                name: Some(named),
            }),
            Declared::Class(node) => Value::Class(ClassValue { node, scope }),
            Declared::Value(expression) => {
                let namespaces = self.modules.index(module).map(|index| &index.namespaces);
                match namespaces.and_then(|namespaces| namespaces.get(name)) {
                    Some(namespace) => self.namespace(namespace, scope),
                    None => self.apart(scope, expression).named(named),
                }
            }
            Declared::Import { source, name } => match self.imported(module, source, name, 0) {
                Value::Function(function) if function.name == Some("default") => {
                    Value::Function(FunctionValue {
                        name: Some(named),
                        ..function
                    })
                }
                value => value,
            },
        }
    }

    /// The exports of a module inside a bundle.
    fn namespace(&mut self, exports: &'a ObjectExpression<'a>, scope: ScopeId) -> Value<'a> {
        let id = self.add_object(Object::default());
        for property in &exports.properties {
            if let ObjectPropertyKind::ObjectProperty(property) = property
                && let Some(name) = text::key_name(&property.key)
                && let Expression::ArrowFunctionExpression(arrow) = &property.value
                && let Some(expression) = arrow.get_expression()
            {
                let value = self.apart(scope, expression);
                self.object_mut(id).fields.insert(name, value);
            }
        }
        Value::Object(id)
    }

    /// The name that a bundler keeps for something at the top of a module.
    fn kept_name(&self, module: usize, name: &str) -> Option<&'a str> {
        let (keeper, kept) = *self.modules.index(module)?.kept_names.get(name)?;
        self.keeps_names(module, keeper).then_some(kept)
    }

    /// Whether this is the helper by which bundlers keep names: `(target, value) => defineProperty(target, "name", …)`.
    fn keeps_names(&self, module: usize, name: &str) -> bool {
        let Some(index) = self.modules.index(module) else {
            return false;
        };
        let Some(Declared::Value(declared)) = index.declared.get(name) else {
            return false;
        };
        // The helper of an earlier bundler has its own name kept by a later one.
        let helper = match declared {
            Expression::CallExpression(call) => call.arguments.first().and_then(Argument::as_expression),
            other => Some(*other),
        };
        let Some(Expression::ArrowFunctionExpression(arrow)) = helper else {
            return false;
        };
        let Some(Expression::CallExpression(call)) = arrow.get_expression() else {
            return false;
        };
        matches!(call.arguments.get(1), Some(Argument::StringLiteral(name)) if name.value == "name")
    }

    fn imported(&mut self, from: usize, source: &str, name: Imported<'a>, far: u32) -> Value<'a> {
        let Some(module) = self.modules.imported(from, source) else {
            return Value::Unknown;
        };
        match name {
            Imported::All => Value::Module(module),
            Imported::Name(name) => self.exported(module, name, far + 1).unwrap_or_default(),
        }
    }

    /// What a module exports under a name.
    fn exported(&mut self, module: usize, name: &str, far: u32) -> Option<Value<'a>> {
        if far > FARTHEST {
            return None;
        }
        let modules = self.modules;
        let index = modules.index(module)?;
        match index.exports.get_key_value(name) {
            Some((_, Exported::Local(local))) => self.at_top(module, local),
            Some((name, Exported::Declared(declared))) => Some(self.declared_value(module, *declared, name)),
            Some((_, Exported::From { source, name })) => Some(self.imported(module, source, *name, far)),
            None => {
                for source in &index.stars {
                    let from = modules.imported(module, source);
                    let found = from.and_then(|from| self.exported(from, name, far + 1));
                    if found.is_some() {
                        return found;
                    }
                }
                None
            }
        }
    }

    /// The expression that a module exports under a name, and the module that has it.
    fn exported_expression(
        &self,
        module: usize,
        name: &str,
        far: u32,
    ) -> Option<(usize, &'a str, &'a Expression<'a>)> {
        if far > FARTHEST {
            return None;
        }
        let index = self.modules.index(module)?;
        match index.exports.get(name) {
            Some(Exported::Local(local)) => self.expression_at_top(module, local, far),
            Some(Exported::From {
                source,
                name: Imported::Name(name),
            }) => self.exported_expression(self.modules.imported(module, source)?, name, far + 1),
            Some(Exported::From { .. } | Exported::Declared(_)) => None,
            None => index.stars.iter().find_map(|source| {
                let from = self.modules.imported(module, source)?;
                self.exported_expression(from, name, far + 1)
            }),
        }
    }

    /// What a variable at the top of a module, or of the one it is imported from, is declared with.
    fn expression_at_top(
        &self,
        module: usize,
        name: &'a str,
        far: u32,
    ) -> Option<(usize, &'a str, &'a Expression<'a>)> {
        match *self.modules.index(module)?.declared.get(name)? {
            Declared::Value(init) => Some((module, name, init)),
            Declared::Import {
                source,
                name: Imported::Name(name),
            } => self.exported_expression(self.modules.imported(module, source)?, name, far + 1),
            Declared::Import { .. } | Declared::Function(_) | Declared::Class(_) => None,
        }
    }

    /// The value of an expression at the top of a module or class. Steps are not run there.
    fn apart(&mut self, scope: ScopeId, expression: &'a Expression<'a>) -> Value<'a> {
        let mut frame = Frame::new(scope);
        frame.is_inline = true;
        self.value(expression, &mut frame)
    }

    // Values.

    fn add_object(&mut self, object: Object<'a>) -> ObjectId {
        self.objects.push(object);
        ObjectId(self.objects.len() - 1)
    }

    fn object(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id.0]
    }

    fn object_mut(&mut self, id: ObjectId) -> &mut Object<'a> {
        &mut self.objects[id.0]
    }

    /// Whether it may lead to steps.
    fn carries(&self, value: &Value<'a>) -> bool {
        self.carries_within(value, 0)
    }

    fn carries_within(&self, value: &Value<'a>, far: u32) -> bool {
        if far > 4 || !self.spend(1) {
            return false;
        }
        let object_carries = |id: ObjectId| {
            let object = self.object(id);
            let held = object.fields.values().chain(&object.items);
            held.into_iter().any(|value| self.carries_within(value, far + 1))
        };
        match value {
            Value::Step | Value::StepMethod(_) => true,
            Value::Function(function) => {
                self.scope(function.scope).carries || function.this.is_some_and(object_carries)
            }
            Value::Class(class) => self.scope(class.scope).carries,
            Value::Object(id) => {
                let local = self.object(*id).class;
                local.is_some_and(|class| self.scope(class.scope).carries) || object_carries(*id)
            }
            Value::Promised(promised) => promised
                .inner
                .as_ref()
                .is_some_and(|inner| self.carries_within(inner, far + 1)),
            Value::Any(values) => values.iter().any(|value| self.carries_within(value, far + 1)),
            Value::Module(_) | Value::Unknown => false,
        }
    }

    /// What a property of a value stands for.
    fn field(&mut self, value: &Value<'a>, name: &str) -> Value<'a> {
        match value {
            Value::Step => StepMethod::named(name).map_or(Value::Unknown, Value::StepMethod),
            Value::Object(id) => {
                let object = self.object(*id);
                if let Some(value) = object.fields.get(name) {
                    return value.clone();
                }
                match object.class {
                    Some(class) => self.method(class, name, Some(*id)),
                    None => Value::Unknown,
                }
            }
            Value::Class(class) => self.static_method(*class, name),
            Value::Module(module) => self.exported(*module, name, 0).unwrap_or_default(),
            Value::Promised(promised) => match promised.inner.clone() {
                Some(inner) => self.field(&inner, name),
                None => Value::Unknown,
            },
            Value::Any(values) => {
                let fields: Vec<Value<'a>> = values.iter().map(|value| self.field(value, name)).collect();
                Value::any(fields)
            }
            Value::Function(_) | Value::StepMethod(_) | Value::Unknown => Value::Unknown,
        }
    }

    /// What iterating over a value gives.
    fn element(&self, value: &Value<'a>) -> Value<'a> {
        match value {
            Value::Object(id) => Value::any(self.object(*id).items.iter().cloned()),
            Value::Promised(_) => value.clone(),
            Value::Any(values) => Value::any(values.iter().map(|value| self.element(value))),
            Value::Unknown
            | Value::Step
            | Value::StepMethod(_)
            | Value::Function(_)
            | Value::Class(_)
            | Value::Module(_) => Value::Unknown,
        }
    }
}

impl Frame<'_> {
    fn new(scope: ScopeId) -> Self {
        Self {
            scope,
            this: None,
            home: None,
            waves: Waves::default(),
            breakable: Vec::new(),
            branches: 0,
            is_inline: false,
            returned: Value::Unknown,
        }
    }

    /// The kind of `break` that a `return` is here, if it leaves out anything.
    fn return_kind(&self, is_last: bool) -> Option<BreakKind> {
        let leaves_loop = self.breakable.contains(&true);
        let leaves_rest = self.branches > 0 && !is_last;
        (!self.is_inline && (leaves_loop || leaves_rest)).then_some(BreakKind::Return)
    }
}

impl<'a> Value<'a> {
    /// A function that had no name before gets one.
    fn named(self, name: &'a str) -> Self {
        match self {
            Self::Function(function) if function.name.is_none() => Self::Function(FunctionValue {
                name: Some(name),
                ..function
            }),
            other => other,
        }
    }
}

/// The kind of a method of `Promise`.
fn combinator(name: &str) -> Option<ParallelKind> {
    Some(match name {
        "all" => ParallelKind::All,
        "any" => ParallelKind::Any,
        "allSettled" => ParallelKind::AllSettled,
        "race" => ParallelKind::Race,
        _ => return None,
    })
}
