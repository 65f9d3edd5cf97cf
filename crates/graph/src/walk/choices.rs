//! `if`, `else if`, `else`, and what a minifier makes of them: `? :`.

use super::{Frame, Reader};
use crate::draft::{BranchDraft, Draft, may_run};
use crate::value::Value;
use oxc_ast::ast::{ConditionalExpression, Expression, IfStatement, Statement};
use oxc_span::GetSpan;

/// What may be executed.
#[derive(Clone, Copy)]
enum Arm<'a> {
    Statement(&'a Statement<'a>),
    Expression(&'a Expression<'a>),
}

/// A condition with what depends on it.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    test: &'a Expression<'a>,
    then: Arm<'a>,
    otherwise: Option<Arm<'a>>,
}

impl<'a> Choice<'a> {
    pub(super) fn of_if(one: &'a IfStatement<'a>) -> Self {
        Self {
            test: &one.test,
            then: Arm::Statement(&one.consequent),
            otherwise: one.alternate.as_ref().map(Arm::Statement),
        }
    }

    pub(super) fn of_conditional(one: &'a ConditionalExpression<'a>) -> Self {
        Self {
            test: &one.test,
            then: Arm::Expression(&one.consequent),
            otherwise: Some(Arm::Expression(&one.alternate)),
        }
    }

    /// An `else` that is an `if` again.
    fn of_arm(arm: Arm<'a>) -> Option<Self> {
        match arm {
            Arm::Statement(Statement::IfStatement(one)) => Some(Self::of_if(one)),
            Arm::Statement(Statement::ExpressionStatement(one)) => {
                Self::of_arm(Arm::Expression(&one.expression))
            }
            Arm::Expression(Expression::ConditionalExpression(one)) => Some(Self::of_conditional(one)),
            Arm::Statement(_) | Arm::Expression(_) => None,
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads all branches of a choice.
    pub(super) fn choose(&mut self, choice: Choice<'a>, frame: &mut Frame<'a>, is_last: bool) -> Value<'a> {
        self.value(choice.test, frame);
        self.chosen(choice, frame, is_last)
    }

    /// The same, once the condition was read.
    fn chosen(&mut self, first: Choice<'a>, frame: &mut Frame<'a>, is_last: bool) -> Value<'a> {
        let mut branches = Vec::new();
        let mut value = Value::Unknown;
        let mut at = first;
        let begin = frame.waves.place();
        let mut end = begin;
        loop {
            let condition = Some(self.condition(at.test.span(), frame));
            let (nodes, result) = self.branch(frame, |reader, frame| reader.arm(at.then, frame, is_last));
            end = end.max(frame.waves.place());
            frame.waves.go_to(begin);
            value = value.or(result);
            branches.push(BranchDraft { condition, nodes });
            let Some(otherwise) = at.otherwise else {
                break;
            };
            let next = Choice::of_arm(otherwise);
            let mut tested = Vec::new();
            if let Some(next) = next {
                (tested, _) = self.branch(frame, |reader, frame| reader.value(next.test, frame));
                if !may_run(&tested) {
                    at = next;
                    continue;
                }
            }
            // A condition that runs steps is part of the branch.
            let (nodes, result) = self.branch(frame, |reader, frame| {
                for node in tested {
                    frame.waves.attach(node, &mut reader.promises);
                }
                match next {
                    Some(next) => reader.chosen(next, frame, is_last),
                    None => reader.arm(otherwise, frame, is_last),
                }
            });
            end = end.max(frame.waves.place());
            value = value.or(result);
            branches.push(BranchDraft {
                condition: None,
                nodes,
            });
            break;
        }
        frame.waves.go_to(end);
        self.attach_if(branches, frame);
        value
    }

    fn arm(&mut self, arm: Arm<'a>, frame: &mut Frame<'a>, is_last: bool) -> Value<'a> {
        match arm {
            Arm::Statement(statement) => {
                self.statement(statement, frame, is_last);
                Value::Unknown
            }
            Arm::Expression(expression) => self.value(expression, frame),
        }
    }

    /// Adds branches, if anything happens in them.
    pub(super) fn attach_if(&mut self, mut branches: Vec<BranchDraft>, frame: &mut Frame<'a>) {
        let says = |branch: &BranchDraft| may_run(&branch.nodes) || branch.nodes.iter().any(Draft::leaves);
        while branches.last().is_some_and(|branch| !says(branch)) {
            branches.pop();
        }
        if !branches.is_empty() {
            frame.waves.attach(Draft::If(branches), &mut self.promises);
        }
    }
}
