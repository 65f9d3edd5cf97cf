//! Classes: their methods, and the objects made of them.

use super::{FARTHEST, Frame, Reader, functions::Place};
use crate::text;
use crate::value::{Binding, ClassValue, Code, FunctionValue, Object, ObjectId, ScopeId, Value};
use oxc_ast::ast::{Class, ClassElement, Expression, MethodDefinitionKind, NewExpression};

/// Objects of a class that are made while another one of it is made, at most.
const NESTED: usize = 3;

impl<'a> Reader<'a> {
    /// A class that knows itself by a name which nobody else sees.
    pub(super) fn class_expression(&mut self, node: &'a Class<'a>, scope: ScopeId) -> Value<'a> {
        let Some(id) = &node.id else {
            return Value::Class(ClassValue { node, scope });
        };
        let scope = self.inner_scope(scope);
        let value = Value::Class(ClassValue { node, scope });
        let binding = Binding {
            value: value.clone(),
            ..Binding::default()
        };
        self.declare(scope, id.name.as_str(), binding);
        value
    }

    /// The class that another one extends, where it is known.
    pub(super) fn super_class(&mut self, class: ClassValue<'a>) -> Option<ClassValue<'a>> {
        let extended = class.node.super_class.as_ref()?;
        match self.apart(class.scope, extended) {
            Value::Class(class) => Some(class),
            _ => None,
        }
    }

    /// The method that objects of a class have under a name.
    pub(super) fn method(&mut self, class: ClassValue<'a>, name: &str, this: Option<ObjectId>) -> Value<'a> {
        let mut at = Some(class);
        for _ in 0..FARTHEST {
            let Some(class) = at else {
                break;
            };
            if let Some((function, name)) = method_of(class, name, MethodKind::OfObjects) {
                return Value::Function(FunctionValue {
                    code: Code::Function(function),
                    scope: class.scope,
                    this,
                    home: Some(class),
                    name: Some(name),
                });
            }
            at = self.super_class(class);
        }
        Value::Unknown
    }

    /// The method that a class itself has under a name.
    pub(super) fn static_method(&mut self, class: ClassValue<'a>, name: &str) -> Value<'a> {
        match method_of(class, name, MethodKind::Static) {
            Some((function, name)) => Value::Function(FunctionValue {
                code: Code::Function(function),
                scope: class.scope,
                this: None,
                home: Some(class),
                name: Some(name),
            }),
            None => Value::Unknown,
        }
    }

    /// An object of a class whose constructor gets nothing that matters.
    pub(super) fn instance(&mut self, class: ClassValue<'a>) -> ObjectId {
        let id = self.add_object(Object {
            class: Some(class),
            ..Object::default()
        });
        self.construct(class, id, Vec::new(), 0);
        id
    }

    /// Sets the fields of an object as its class says, the classes it extends first.
    pub(super) fn construct(
        &mut self,
        class: ClassValue<'a>,
        this: ObjectId,
        values: Vec<Value<'a>>,
        far: u32,
    ) {
        let address = std::ptr::from_ref(class.node) as usize;
        let same = self.constructing.iter().filter(|known| **known == address);
        if far > FARTHEST || same.count() >= NESTED {
            return;
        }
        self.constructing.push(address);
        if self.enter() {
            self.construct_within(class, this, values, far);
        }
        self.leave();
        self.constructing.pop();
    }

    fn construct_within(&mut self, class: ClassValue<'a>, this: ObjectId, values: Vec<Value<'a>>, far: u32) {
        let constructor = class.node.body.body.iter().find_map(|element| match element {
            ClassElement::MethodDefinition(method) if method.kind == MethodDefinitionKind::Constructor => {
                Some(&*method.value)
            }
            _ => None,
        });
        if constructor.is_none()
            && let Some(extended) = self.super_class(class)
        {
            self.construct(extended, this, values.clone(), far + 1);
        }
        self.fields(class, this);
        if let Some(function) = constructor {
            let function = FunctionValue {
                code: Code::Function(function),
                scope: class.scope,
                this: Some(this),
                home: Some(class),
                name: None,
            };
            self.body(function, values, Place::Inline);
        }
    }

    fn fields(&mut self, class: ClassValue<'a>, this: ObjectId) {
        for element in &class.node.body.body {
            let ClassElement::PropertyDefinition(property) = element else {
                continue;
            };
            let (Some(name), Some(value), false) =
                (text::key_name(&property.key), &property.value, property.r#static)
            else {
                continue;
            };
            let mut frame = Frame::new(class.scope);
            frame.this = Some(this);
            frame.home = Some(class);
            frame.is_inline = true;
            let value = self.value(value, &mut frame).named(name);
            self.object_mut(this).fields.insert(name, value);
        }
    }

    pub(super) fn new_object(&mut self, new: &'a NewExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let callee = self.value(&new.callee, frame);
        let values = self.arguments(&new.arguments, frame);
        if let Value::Class(class) = callee {
            let id = self.add_object(Object {
                class: Some(class),
                ..Object::default()
            });
            self.construct(class, id, values, 0);
            return Value::Object(id);
        }
        let is_promise = matches!(&new.callee, Expression::Identifier(id) if id.name == "Promise");
        let escaped = self.escape(&values, frame);
        if is_promise {
            return escaped;
        }
        // A container of some kind.
        let items = values.iter().map(|value| self.element(value)).collect();
        let object = Object {
            items,
            ..Object::default()
        };
        Value::Object(self.add_object(object))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum MethodKind {
    OfObjects,
    Static,
}

fn method_of<'a>(
    class: ClassValue<'a>,
    name: &str,
    kind: MethodKind,
) -> Option<(&'a oxc_ast::ast::Function<'a>, &'a str)> {
    class.node.body.body.iter().find_map(|element| match element {
        ClassElement::MethodDefinition(method)
            if method.kind == MethodDefinitionKind::Method
                && method.r#static == (kind == MethodKind::Static) =>
        {
            let known = text::key_name(&method.key)?;
            (known == name).then_some((&*method.value, known))
        }
        _ => None,
    })
}
