//! Statements.

use super::choices::Choice;
use super::{Frame, Reader};
use crate::draft::{BranchDraft, Draft, may_run};
use crate::node::BreakKind;
use crate::text;
use crate::value::{Binding, ClassValue, Code, FunctionValue, ScopeId, Value};
use oxc_ast::ast::{
    BindingPattern, Expression, ForStatementInit, ForStatementLeft, Function, Statement, SwitchStatement,
    TryStatement, VariableDeclaration,
};
use oxc_span::{GetSpan, Span};

impl<'a> Reader<'a> {
    /// Statements of one block; `is_last` says whether the function ends with them.
    pub(super) fn statements(
        &mut self,
        statements: &'a [Statement<'a>],
        frame: &mut Frame<'a>,
        is_last: bool,
    ) {
        self.hoist(statements, frame.scope);
        let counts = |statement: &Statement<'a>| {
            !matches!(
                statement,
                Statement::FunctionDeclaration(_) | Statement::EmptyStatement(_)
            )
        };
        let last = statements.iter().rposition(counts);
        for (index, statement) in statements.iter().enumerate() {
            self.statement(statement, frame, is_last && Some(index) >= last);
        }
    }

    /// Declares what a block declares, so that nothing outside is mistaken for it.
    fn hoist(&mut self, statements: &'a [Statement<'a>], scope: ScopeId) {
        for statement in statements {
            match statement {
                Statement::FunctionDeclaration(function) => {
                    if let Some(id) = &function.id {
                        let value = self.function(function, scope);
                        let binding = Binding {
                            value,
                            ..Binding::default()
                        };
                        self.declare(scope, id.name.as_str(), binding);
                    }
                }
                Statement::ClassDeclaration(node) => {
                    if let Some(id) = &node.id {
                        let value = Value::Class(ClassValue { node, scope });
                        let binding = Binding {
                            value,
                            ..Binding::default()
                        };
                        self.declare(scope, id.name.as_str(), binding);
                    }
                }
                Statement::VariableDeclaration(variables) => {
                    let scope = if variables.kind.is_var() {
                        self.function_scope(scope)
                    } else {
                        scope
                    };
                    for id in variables
                        .declarations
                        .iter()
                        .flat_map(|one| one.id.get_binding_identifiers())
                    {
                        let name = id.name.as_str();
                        if !self.scope(scope).names.contains_key(name) {
                            self.declare(scope, name, Binding::default());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn function(&self, function: &'a Function<'a>, scope: ScopeId) -> Value<'a> {
        Value::Function(FunctionValue {
            code: Code::Function(function),
            scope,
            this: None,
            home: None,
            name: function.id.as_ref().map(|id| id.name.as_str()),
        })
    }

    pub(super) fn statement(&mut self, statement: &'a Statement<'a>, frame: &mut Frame<'a>, is_last: bool) {
        if self.enter() {
            self.statement_within(statement, frame, is_last);
        }
        self.leave();
    }

    fn statement_within(&mut self, statement: &'a Statement<'a>, frame: &mut Frame<'a>, is_last: bool) {
        match statement {
            Statement::ExpressionStatement(statement) => {
                self.value(&statement.expression, frame);
            }
            Statement::VariableDeclaration(variables) => self.variables(variables, frame),
            Statement::BlockStatement(block) => self.block(&block.body, frame, is_last),
            Statement::IfStatement(one) => {
                self.choose(Choice::of_if(one), frame, is_last);
            }
            Statement::ReturnStatement(one) => {
                if let Some(argument) = &one.argument {
                    let value = self.value(argument, frame);
                    let value = self.awaited(value, frame);
                    frame.returned = std::mem::take(&mut frame.returned).or(value);
                }
                self.leave_with(frame.return_kind(is_last), frame);
            }
            Statement::BreakStatement(one) => {
                let ends_loop = match one.label {
                    Some(_) => frame.breakable.contains(&true),
                    None => frame.breakable.last() == Some(&true),
                };
                self.leave_with(ends_loop.then_some(BreakKind::Break), frame);
            }
            Statement::TryStatement(one) => self.try_statement(one, frame, is_last),
            Statement::SwitchStatement(one) => self.switch_statement(one, frame, is_last),
            Statement::ThrowStatement(one) => {
                self.value(&one.argument, frame);
            }
            Statement::LabeledStatement(one) => self.statement(&one.body, frame, is_last),
            Statement::WithStatement(one) => self.statement(&one.body, frame, is_last),
            other => self.loop_statement(other, frame),
        }
    }

    fn leave_with(&mut self, kind: Option<BreakKind>, frame: &mut Frame<'a>) {
        if let Some(kind) = kind {
            frame.waves.attach(Draft::Break(kind), &mut self.promises);
        }
    }

    fn loop_statement(&mut self, statement: &'a Statement<'a>, frame: &mut Frame<'a>) {
        let outer = frame.scope;
        frame.scope = self.inner_scope(outer);
        match statement {
            Statement::ForStatement(one) => {
                match &one.init {
                    Some(ForStatementInit::VariableDeclaration(variables)) => {
                        self.variables(variables, frame);
                    }
                    Some(init) => {
                        if let Some(init) = init.as_expression() {
                            self.value(init, frame);
                        }
                    }
                    None => {}
                }
                self.repeated(frame, |reader, frame| {
                    reader.values(one.test.as_ref(), frame);
                    reader.statement(&one.body, frame, false);
                    reader.values(one.update.as_ref(), frame);
                });
            }
            Statement::ForOfStatement(one) => {
                let value = self.value(&one.right, frame);
                let element = self.element(&value);
                let element = if one.r#await {
                    self.awaited(element, frame)
                } else {
                    element
                };
                self.repeated(frame, |reader, frame| {
                    reader.loop_variable(&one.left, element, frame);
                    reader.statement(&one.body, frame, false);
                });
            }
            Statement::ForInStatement(one) => {
                self.value(&one.right, frame);
                self.repeated(frame, |reader, frame| {
                    reader.loop_variable(&one.left, Value::Unknown, frame);
                    reader.statement(&one.body, frame, false);
                });
            }
            Statement::WhileStatement(one) => self.repeated(frame, |reader, frame| {
                reader.value(&one.test, frame);
                reader.statement(&one.body, frame, false);
            }),
            Statement::DoWhileStatement(one) => self.repeated(frame, |reader, frame| {
                reader.statement(&one.body, frame, false);
                reader.value(&one.test, frame);
            }),
            _ => {}
        }
        frame.scope = outer;
    }

    fn values(&mut self, expression: Option<&'a Expression<'a>>, frame: &mut Frame<'a>) {
        if let Some(expression) = expression {
            self.value(expression, frame);
        }
    }

    /// Reads what may happen many times.
    pub(super) fn repeated<R>(
        &mut self,
        frame: &mut Frame<'a>,
        body: impl FnOnce(&mut Self, &mut Frame<'a>) -> R,
    ) -> R {
        frame.waves.open();
        frame.breakable.push(true);
        let result = body(self, frame);
        frame.breakable.pop();
        let nodes = frame.waves.close();
        if may_run(&nodes) {
            frame.waves.attach(Draft::Loop(nodes), &mut self.promises);
        }
        result
    }

    fn loop_variable(&mut self, left: &'a ForStatementLeft<'a>, element: Value<'a>, frame: &mut Frame<'a>) {
        match left {
            ForStatementLeft::VariableDeclaration(variables) => {
                for variable in &variables.declarations {
                    self.bind(&variable.id, element.clone(), None, frame);
                }
            }
            other => {
                if let Some(target) = other.as_assignment_target() {
                    self.assign(target, element, frame);
                }
            }
        }
    }

    fn variables(&mut self, variables: &'a VariableDeclaration<'a>, frame: &mut Frame<'a>) {
        for variable in &variables.declarations {
            let Some(init) = &variable.init else {
                continue;
            };
            let value = self.value(init, frame);
            let block = frame.scope;
            if variables.kind.is_var() {
                frame.scope = self.function_scope(block);
            }
            self.bind(
                &variable.id,
                value,
                Some((init, variables.kind.is_const())),
                frame,
            );
            frame.scope = block;
        }
    }

    /// Gives the names of a pattern their values. `init` is the expression of a plain variable, and whether it stays for good.
    pub(super) fn bind(
        &mut self,
        pattern: &'a BindingPattern<'a>,
        value: Value<'a>,
        init: Option<(&'a Expression<'a>, bool)>,
        frame: &mut Frame<'a>,
    ) {
        match pattern {
            BindingPattern::BindingIdentifier(id) => {
                let name = id.name.as_str();
                // A function that was passed on has no name: it stands where it is called.
                let binding = Binding {
                    value: if init.is_some() { value.named(name) } else { value },
                    init: init.map(|(init, _)| init),
                    is_const: init.is_some_and(|(_, is_const)| is_const),
                };
                self.declare(frame.scope, name, binding);
            }
            BindingPattern::ObjectPattern(object) => {
                for property in &object.properties {
                    let field = text::key_name(&property.key);
                    let field = field.map_or(Value::Unknown, |name| self.field(&value, name));
                    self.bind(&property.value, field, None, frame);
                }
                if let Some(rest) = &object.rest {
                    self.bind(&rest.argument, value, None, frame);
                }
            }
            BindingPattern::ArrayPattern(array) => {
                let items = self.items(&value);
                for (index, element) in array.elements.iter().enumerate() {
                    let item = match &items {
                        Some(items) => items.get(index).cloned().unwrap_or_default(),
                        None => self.element(&value),
                    };
                    if let Some(element) = element {
                        self.bind(element, item, None, frame);
                    }
                }
                if let Some(rest) = &array.rest {
                    self.bind(&rest.argument, value, None, frame);
                }
            }
            BindingPattern::AssignmentPattern(pattern) => {
                let value = value.or(self.value(&pattern.right, frame));
                self.bind(&pattern.left, value, None, frame);
            }
        }
    }

    fn items(&self, value: &Value<'a>) -> Option<Vec<Value<'a>>> {
        match value {
            Value::Object(id) => Some(self.object(*id).items.clone()),
            _ => None,
        }
    }

    pub(super) fn block(&mut self, statements: &'a [Statement<'a>], frame: &mut Frame<'a>, is_last: bool) {
        let outer = frame.scope;
        frame.scope = self.inner_scope(outer);
        self.statements(statements, frame, is_last);
        frame.scope = outer;
    }

    /// Reads what may not be executed.
    pub(super) fn branch<R>(
        &mut self,
        frame: &mut Frame<'a>,
        body: impl FnOnce(&mut Self, &mut Frame<'a>) -> R,
    ) -> (Vec<Draft>, R) {
        frame.waves.open();
        frame.branches += 1;
        let result = body(self, frame);
        frame.branches -= 1;
        (frame.waves.close(), result)
    }

    /// The text of a condition.
    pub(super) fn condition(&self, span: Span, frame: &Frame<'a>) -> String {
        text::condition(self.modules.source(self.module_of(frame.scope)), span)
    }

    fn try_statement(&mut self, one: &'a TryStatement<'a>, frame: &mut Frame<'a>, is_last: bool) {
        let is_last_but = is_last && one.finalizer.is_none();
        let (tried, ()) = self.branch(frame, |reader, frame| {
            reader.block(&one.block.body, frame, is_last_but);
        });
        let caught = one.handler.as_ref().map(|handler| {
            let (nodes, ()) = self.branch(frame, |reader, frame| {
                let outer = frame.scope;
                frame.scope = reader.inner_scope(outer);
                if let Some(param) = &handler.param {
                    reader.bind(&param.pattern, Value::Unknown, None, frame);
                }
                reader.block(&handler.body.body, frame, is_last_but);
                frame.scope = outer;
            });
            nodes
        });
        let last = one.finalizer.as_ref().map(|block| {
            frame.waves.open();
            self.block(&block.body, frame, is_last);
            frame.waves.close()
        });
        let node = Draft::Try { tried, caught, last };
        if may_run(std::slice::from_ref(&node)) || node.leaves() {
            frame.waves.attach(node, &mut self.promises);
        }
    }

    fn switch_statement(&mut self, one: &'a SwitchStatement<'a>, frame: &mut Frame<'a>, is_last: bool) {
        self.value(&one.discriminant, frame);
        let discriminant = self.condition(one.discriminant.span(), frame);
        let outer = frame.scope;
        frame.scope = self.inner_scope(outer);
        for case in &one.cases {
            self.hoist(&case.consequent, frame.scope);
        }
        frame.breakable.push(false);
        let (begin, mut end) = (frame.waves.place(), frame.waves.place());
        let mut branches = Vec::new();
        // Cases without statements go on with the next.
        let mut labels: Vec<String> = Vec::new();
        let mut is_default = false;
        for case in &one.cases {
            match &case.test {
                Some(test) => labels.push(self.condition(test.span(), frame)),
                None => is_default = true,
            }
            if case.consequent.is_empty() {
                continue;
            }
            frame.waves.go_to(begin);
            let (nodes, ()) = self.branch(frame, |reader, frame| {
                reader.statements(&case.consequent, frame, is_last);
            });
            end = end.max(frame.waves.place());
            let condition = (!is_default).then(|| labels.join(" | "));
            branches.push(BranchDraft { condition, nodes });
            labels.clear();
            is_default = false;
        }
        frame.waves.go_to(end);
        frame.breakable.pop();
        frame.scope = outer;
        let node = Draft::Switch(discriminant, branches);
        if may_run(std::slice::from_ref(&node)) || node.leaves() {
            frame.waves.attach(node, &mut self.promises);
        }
    }
}
