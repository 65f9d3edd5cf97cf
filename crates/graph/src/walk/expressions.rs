//! Expressions: what they stand for, and the steps that are run on the way.

use super::choices::Choice;
use super::{Frame, Reader};
use crate::draft::BranchDraft;
use crate::text;
use crate::value::{Binding, Code, FunctionValue, Object, Value};
use oxc_ast::ast::{
    ArrayExpression, ArrayExpressionElement, AssignmentExpression, AssignmentTarget, ChainElement,
    Expression, LogicalExpression, MemberExpression, ObjectExpression, ObjectPropertyKind,
    SimpleAssignmentTarget,
};
use oxc_span::GetSpan;
use oxc_syntax::operator::{AssignmentOperator, LogicalOperator};

impl<'a> Reader<'a> {
    /// Reads an expression.
    pub(super) fn value(&mut self, expression: &'a Expression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let value = if self.enter() {
            self.value_within(expression, frame)
        } else {
            Value::Unknown
        };
        self.leave();
        value
    }

    fn value_within(&mut self, expression: &'a Expression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        match expression {
            Expression::Identifier(id) => self.lookup(frame.scope, id.name.as_str()).unwrap_or_default(),
            Expression::ThisExpression(_) => frame.this.map_or(Value::Unknown, Value::Object),
            Expression::FunctionExpression(function) => Value::Function(FunctionValue {
                code: Code::Function(function),
                scope: frame.scope,
                this: None,
                home: None,
                name: function.id.as_ref().map(|id| id.name.as_str()),
            }),
            Expression::ArrowFunctionExpression(function) => Value::Function(FunctionValue {
                code: Code::Arrow(function),
                scope: frame.scope,
                this: frame.this,
                home: frame.home,
                name: None,
            }),
            Expression::ClassExpression(node) => self.class_expression(node, frame.scope),
            Expression::AwaitExpression(one) => {
                let value = self.value(&one.argument, frame);
                self.awaited(value, frame)
            }
            Expression::CallExpression(call) => self.call(call, frame),
            Expression::NewExpression(new) => self.new_object(new, frame),
            Expression::ChainExpression(chain) => match &chain.expression {
                ChainElement::CallExpression(call) => self.call(call, frame),
                ChainElement::TSNonNullExpression(one) => self.value(&one.expression, frame),
                other => match other.as_member_expression() {
                    Some(member) => self.member(member, frame),
                    None => Value::Unknown,
                },
            },
            Expression::ConditionalExpression(one) => self.choose(Choice::of_conditional(one), frame, false),
            Expression::LogicalExpression(one) => self.logical(one, frame),
            Expression::AssignmentExpression(one) => self.assignment(one, frame),
            Expression::ArrayExpression(array) => self.array(array, frame),
            Expression::ObjectExpression(object) => self.object_literal(object, frame),
            _ => self.other_value(expression, frame),
        }
    }

    /// Expressions that only hold others.
    fn other_value(&mut self, expression: &'a Expression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        match expression {
            Expression::SequenceExpression(sequence) => {
                let mut last = Value::Unknown;
                for expression in &sequence.expressions {
                    last = self.value(expression, frame);
                }
                return last;
            }
            Expression::ParenthesizedExpression(one) => return self.value(&one.expression, frame),
            Expression::TSAsExpression(one) => return self.value(&one.expression, frame),
            Expression::TSSatisfiesExpression(one) => return self.value(&one.expression, frame),
            Expression::TSNonNullExpression(one) => return self.value(&one.expression, frame),
            Expression::TSTypeAssertion(one) => return self.value(&one.expression, frame),
            Expression::TSInstantiationExpression(one) => return self.value(&one.expression, frame),
            Expression::ImportExpression(import) => {
                if let Expression::StringLiteral(source) = &import.source {
                    let module = self.module_of(frame.scope);
                    let module = self.modules.imported(module, source.value.as_str());
                    return module.map_or(Value::Unknown, Value::Module);
                }
            }
            Expression::UnaryExpression(one) => {
                self.value(&one.argument, frame);
            }
            Expression::YieldExpression(one) => {
                if let Some(argument) = &one.argument {
                    return self.value(argument, frame);
                }
            }
            Expression::BinaryExpression(one) => {
                // Long sums are deep on the left.
                let mut rights = vec![&one.right];
                let mut left = &one.left;
                while let Expression::BinaryExpression(next) = left {
                    rights.push(&next.right);
                    left = &next.left;
                }
                self.value(left, frame);
                for right in rights.into_iter().rev() {
                    self.value(right, frame);
                }
            }
            Expression::TemplateLiteral(template) => {
                for expression in &template.expressions {
                    self.value(expression, frame);
                }
            }
            Expression::TaggedTemplateExpression(template) => {
                self.value(&template.tag, frame);
                for expression in &template.quasi.expressions {
                    self.value(expression, frame);
                }
            }
            other => {
                if let Some(member) = other.as_member_expression() {
                    return self.member(member, frame);
                }
            }
        }
        Value::Unknown
    }

    fn member(&mut self, member: &'a MemberExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let object = self.value(member.object(), frame);
        if let MemberExpression::ComputedMemberExpression(computed) = member {
            self.value(&computed.expression, frame);
        }
        match text::member_name(member) {
            Some(name) => self.field(&object, name),
            None => self.element(&object),
        }
    }

    fn logical(&mut self, one: &'a LogicalExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let left = self.value(&one.left, frame);
        let condition = text::negated(one.operator, &self.condition(one.left.span(), frame));
        let (nodes, right) = self.branch(frame, |reader, frame| reader.value(&one.right, frame));
        let condition = Some(condition);
        self.attach_if(vec![BranchDraft { condition, nodes }], frame);
        left.or(right)
    }

    fn assignment(&mut self, one: &'a AssignmentExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let operator = match one.operator {
            AssignmentOperator::LogicalOr => LogicalOperator::Or,
            AssignmentOperator::LogicalAnd => LogicalOperator::And,
            AssignmentOperator::LogicalNullish => LogicalOperator::Coalesce,
            _ => {
                let value = self.value(&one.right, frame);
                self.assign(&one.left, value.clone(), frame);
                return value;
            }
        };
        let condition = text::negated(operator, &self.condition(one.left.span(), frame));
        let (nodes, value) = self.branch(frame, |reader, frame| reader.value(&one.right, frame));
        let condition = Some(condition);
        self.attach_if(vec![BranchDraft { condition, nodes }], frame);
        self.assign(&one.left, value.clone(), frame);
        value
    }

    /// Sets a variable or a property, as far as it is known.
    pub(super) fn assign(
        &mut self,
        target: &'a AssignmentTarget<'a>,
        value: Value<'a>,
        frame: &mut Frame<'a>,
    ) {
        if let AssignmentTarget::AssignmentTargetIdentifier(id) = target {
            let name = id.name.as_str();
            if let Some(scope) = self.declaring(frame.scope, name) {
                let value = value.named(name);
                if let Some(binding) = self.scopes[scope.0].names.get_mut(name) {
                    let earlier = std::mem::take(&mut binding.value);
                    *binding = Binding {
                        value: earlier.or(value),
                        ..Binding::default()
                    };
                }
            }
            return;
        }
        let member = target
            .as_simple_assignment_target()
            .and_then(SimpleAssignmentTarget::as_member_expression);
        let Some(member) = member else {
            return;
        };
        let Value::Object(id) = self.value(member.object(), frame) else {
            return;
        };
        match text::member_name(member) {
            Some(name) => {
                let field = self.object_mut(id).fields.entry(name).or_default();
                let earlier = std::mem::take(field);
                *field = earlier.or(value);
            }
            None => self.object_mut(id).items.push(value),
        }
    }

    fn array(&mut self, array: &'a ArrayExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let mut items = Vec::new();
        for element in &array.elements {
            match element {
                ArrayExpressionElement::SpreadElement(spread) => {
                    let value = self.value(&spread.argument, frame);
                    items.push(self.element(&value));
                }
                ArrayExpressionElement::Elision(_) => items.push(Value::Unknown),
                other => {
                    if let Some(expression) = other.as_expression() {
                        items.push(self.value(expression, frame));
                    }
                }
            }
        }
        let object = Object {
            items,
            ..Object::default()
        };
        Value::Object(self.add_object(object))
    }

    fn object_literal(&mut self, literal: &'a ObjectExpression<'a>, frame: &mut Frame<'a>) -> Value<'a> {
        let id = self.add_object(Object::default());
        for property in &literal.properties {
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    let name = text::key_name(&property.key);
                    let value = self.value(&property.value, frame);
                    let Some(name) = name.filter(|_| !property.computed) else {
                        self.object_mut(id).items.push(value);
                        continue;
                    };
                    let value = match value.named(name) {
                        Value::Function(function) if property.method => Value::Function(FunctionValue {
                            this: Some(id),
                            ..function
                        }),
                        value => value,
                    };
                    self.object_mut(id).fields.insert(name, value);
                }
                ObjectPropertyKind::SpreadProperty(spread) => {
                    if let Value::Object(other) = self.value(&spread.argument, frame) {
                        let fields = self.object(other).fields.clone();
                        self.object_mut(id).fields.extend(fields);
                    }
                }
            }
        }
        Value::Object(id)
    }
}
