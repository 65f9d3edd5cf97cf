//! What expressions stand for, as far as it matters here: the step object, functions, classes, objects that hold those, promises.

use crate::draft::PromiseId;
use crate::node::ParallelKind;
use oxc_ast::ast::{ArrowFunctionExpression, Class, Expression, FormalParameters, Function, FunctionBody};
use oxc_span::Span;
use std::collections::HashMap;

/// What one name may stand for, at most.
const MOST_VALUES: usize = 64;

/// A scope, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ScopeId(pub(crate) usize);

/// An object, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ObjectId(pub(crate) usize);

#[derive(Clone, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Unknown,
    /// The second argument of `run()`.
    Step,
    /// `step.do` and the like, not called.
    StepMethod(StepMethod),
    Function(FunctionValue<'a>),
    Class(ClassValue<'a>),
    Object(ObjectId),
    /// All exports of a module.
    Module(usize),
    Promised(Promised<'a>),
    /// One of these.
    Any(Vec<Self>),
}

/// Promises that were started, and what waiting for them gives.
#[derive(Clone, Default)]
pub(crate) struct Promised<'a> {
    pub(crate) ids: Vec<PromiseId>,
    pub(crate) combined: Option<ParallelKind>,
    pub(crate) inner: Option<Box<Value<'a>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StepMethod {
    Do,
    Sleep,
    SleepUntil,
    WaitForEvent,
}

impl StepMethod {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "do" => Self::Do,
            "sleep" => Self::Sleep,
            "sleepUntil" => Self::SleepUntil,
            "waitForEvent" => Self::WaitForEvent,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Code<'a> {
    Function(&'a Function<'a>),
    Arrow(&'a ArrowFunctionExpression<'a>),
}

#[derive(Clone, Copy)]
pub(crate) struct FunctionValue<'a> {
    pub(crate) code: Code<'a>,
    pub(crate) scope: ScopeId,
    pub(crate) this: Option<ObjectId>,
    /// The class whose method it is.
    pub(crate) home: Option<ClassValue<'a>>,
    pub(crate) name: Option<&'a str>,
}

impl<'a> FunctionValue<'a> {
    /// What tells it from other functions.
    pub(crate) fn address(&self) -> usize {
        match self.code {
            Code::Function(function) => std::ptr::from_ref(function) as usize,
            Code::Arrow(function) => std::ptr::from_ref(function) as usize,
        }
    }

    pub(crate) fn params(&self) -> &'a FormalParameters<'a> {
        match self.code {
            Code::Function(function) => &function.params,
            Code::Arrow(function) => &function.params,
        }
    }

    pub(crate) fn body(&self) -> Option<&'a FunctionBody<'a>> {
        match self.code {
            Code::Function(function) => function.body.as_deref(),
            Code::Arrow(function) => Some(&function.body),
        }
    }

    /// The expression of an arrow function without braces.
    pub(crate) fn expression(&self) -> Option<&'a Expression<'a>> {
        match self.code {
            Code::Arrow(function) if function.expression => function.get_expression(),
            Code::Arrow(_) | Code::Function(_) => None,
        }
    }

    pub(crate) fn span(&self) -> Span {
        match self.code {
            Code::Function(function) => function.span,
            Code::Arrow(function) => function.span,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct ClassValue<'a> {
    pub(crate) node: &'a Class<'a>,
    pub(crate) scope: ScopeId,
}

#[derive(Default)]
pub(crate) struct Object<'a> {
    pub(crate) class: Option<ClassValue<'a>>,
    pub(crate) fields: HashMap<&'a str, Value<'a>>,
    pub(crate) items: Vec<Value<'a>>,
}

pub(crate) struct Scope<'a> {
    pub(crate) parent: Option<ScopeId>,
    pub(crate) module: usize,
    /// Where its variables can be set.
    pub(crate) span: Span,
    /// Whether `var` declares here.
    pub(crate) is_function: bool,
    /// Whether functions made here may know the step object.
    pub(crate) carries: bool,
    pub(crate) names: HashMap<&'a str, Binding<'a>>,
}

#[derive(Clone, Default)]
pub(crate) struct Binding<'a> {
    pub(crate) value: Value<'a>,
    /// What it was declared with.
    pub(crate) init: Option<&'a Expression<'a>>,
    /// Whether `const` says that it stays.
    pub(crate) is_const: bool,
}

impl<'a> Value<'a> {
    /// One of two.
    pub(crate) fn or(self, other: Self) -> Self {
        let (one, two) = match (self, other) {
            (Self::Unknown, value) | (value, Self::Unknown) => return value,
            both => both,
        };
        let parts = |value| match value {
            Self::Any(values) => values,
            value => vec![value],
        };
        let mut values = parts(one);
        values.extend(parts(two));
        values.truncate(MOST_VALUES);
        Self::Any(values)
    }

    /// Promises, and what waiting for them gives. That this is a promise again makes no difference.
    pub(crate) fn promised(mut ids: Vec<PromiseId>, combined: Option<ParallelKind>, inner: Self) -> Self {
        let inner = match inner {
            Self::Unknown => None,
            Self::Promised(inner) => {
                ids.extend(inner.ids);
                inner.inner
            }
            inner => Some(Box::new(inner)),
        };
        Self::Promised(Promised { ids, combined, inner })
    }

    /// One of many.
    pub(crate) fn any(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::Unknown, Self::or)
    }
}
