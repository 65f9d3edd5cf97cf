//! What is known of a value before it runs: constants, names with holes, literals of objects.

use super::Reader;
use crate::text::{self, Constant, HOLE};
use crate::value::ScopeId;
use oxc_ast::ast::{
    Argument, BinaryExpression, CallExpression, Expression, ObjectExpression, ObjectPropertyKind,
    TemplateLiteral,
};
use oxc_span::Span;
use oxc_syntax::operator::{BinaryOperator, UnaryOperator};

/// Names, sums and spreads that are followed from one expression, at most.
const FARTHEST: u32 = 24;
/// Characters of a name, as of those of steps.
const LONGEST: usize = 256;

impl<'a> Reader<'a> {
    /// The value of an expression that is the same in every run.
    pub(super) fn constant(&mut self, expression: &'a Expression<'a>, scope: ScopeId) -> Option<Constant> {
        self.constant_within(expression, scope, 0)
    }

    fn constant_within(
        &mut self,
        expression: &'a Expression<'a>,
        scope: ScopeId,
        far: u32,
    ) -> Option<Constant> {
        if far > FARTHEST || !self.spend(1) {
            return None;
        }
        match expression.get_inner_expression() {
            Expression::StringLiteral(literal) => Some(Constant::Text(literal.value.as_str().into())),
            Expression::NumericLiteral(literal) => Some(Constant::Number(literal.value)),
            Expression::TemplateLiteral(template) => {
                let name = self.template(template, scope, far);
                (!name.contains(HOLE)).then_some(Constant::Text(name))
            }
            Expression::Identifier(id) => {
                let (init, scope) = self.initial(scope, id.name.as_str())?;
                self.constant_within(init, scope, far + 1)
            }
            Expression::UnaryExpression(one) => {
                let Constant::Number(number) = self.constant_within(&one.argument, scope, far + 1)? else {
                    return None;
                };
                match one.operator {
                    UnaryOperator::UnaryNegation => Some(Constant::Number(-number)),
                    UnaryOperator::UnaryPlus => Some(Constant::Number(number)),
                    _ => None,
                }
            }
            Expression::BinaryExpression(one) => self.sum(one, scope, far),
            other => {
                let member = other.as_member_expression()?;
                let name = text::member_name(member)?;
                let (value, scope) = self.property_within(Some((member.object(), scope)), name, far + 1)?;
                self.constant_within(value, scope, far + 1)
            }
        }
    }

    fn sum(&mut self, one: &'a BinaryExpression<'a>, scope: ScopeId, far: u32) -> Option<Constant> {
        let left = self.constant_within(&one.left, scope, far + 1)?;
        let right = self.constant_within(&one.right, scope, far + 1)?;
        let (left, right) = match (left, right) {
            (Constant::Number(left), Constant::Number(right)) => (left, right),
            (left, right) if one.operator == BinaryOperator::Addition => {
                let text = format!("{left}{right}");
                return (text.len() <= 4 * LONGEST).then_some(Constant::Text(text));
            }
            _ => return None,
        };
        Some(Constant::Number(match one.operator {
            BinaryOperator::Addition => left + right,
            BinaryOperator::Subtraction => left - right,
            BinaryOperator::Multiplication => left * right,
            BinaryOperator::Division => left / right,
            BinaryOperator::Remainder => left % right,
            BinaryOperator::Exponential => left.powf(right),
            _ => return None,
        }))
    }

    /// A name: what is known of it, with [`HOLE`] for the rest.
    pub(super) fn name(&mut self, expression: &'a Expression<'a>, scope: ScopeId) -> String {
        let name = self.name_within(expression, scope, 0);
        text::shortened(&name, LONGEST)
    }

    fn name_within(&mut self, expression: &'a Expression<'a>, scope: ScopeId, far: u32) -> String {
        if far > FARTHEST || !self.spend(1) {
            return HOLE.into();
        }
        if let Some(constant) = self.constant_within(expression, scope, far) {
            return constant.to_string();
        }
        match expression.get_inner_expression() {
            Expression::TemplateLiteral(template) => self.template(template, scope, far),
            Expression::BinaryExpression(one) if one.operator == BinaryOperator::Addition => {
                let left = self.name_within(&one.left, scope, far + 1);
                let right = self.name_within(&one.right, scope, far + 1);
                if left == HOLE && right == HOLE {
                    HOLE.into()
                } else {
                    text::shortened(&(left + &right), LONGEST)
                }
            }
            Expression::Identifier(id) => match self.initial(scope, id.name.as_str()) {
                Some((init, scope)) => self.name_within(init, scope, far + 1),
                None => HOLE.into(),
            },
            Expression::CallExpression(call) => self.concatenation(call, scope, far),
            _ => HOLE.into(),
        }
    }

    /// `"a".concat(b)`, which older targets get for templates.
    fn concatenation(&mut self, call: &'a CallExpression<'a>, scope: ScopeId, far: u32) -> String {
        let member = call.callee.get_inner_expression().as_member_expression();
        let Some(member) = member.filter(|member| text::member_name(member) == Some("concat")) else {
            return HOLE.into();
        };
        let mut name = self.name_within(member.object(), scope, far + 1);
        if name == HOLE {
            return name;
        }
        for argument in call.arguments.iter().filter_map(Argument::as_expression) {
            name += &self.name_within(argument, scope, far + 1);
            if name.len() > 4 * LONGEST {
                break;
            }
        }
        name
    }

    fn template(&mut self, template: &'a TemplateLiteral<'a>, scope: ScopeId, far: u32) -> String {
        let mut name = String::new();
        let mut expressions = template.expressions.iter();
        for quasi in &template.quasis {
            let text = quasi.value.cooked.as_ref().unwrap_or(&quasi.value.raw);
            name.push_str(text.as_str());
            if let Some(expression) = expressions.next() {
                name.push_str(&self.name_within(expression, scope, far + 1));
            }
            if name.len() > 4 * LONGEST {
                break;
            }
        }
        name
    }

    /// What a variable is declared with, if it is never set again.
    fn initial(&mut self, scope: ScopeId, name: &'a str) -> Option<(&'a Expression<'a>, ScopeId)> {
        if let Some(declaring) = self.declaring(scope, name) {
            let span = self.scope(declaring).span;
            let module = self.module_of(declaring);
            let binding = self.scope(declaring).names.get(name)?;
            let (init, is_const) = (binding.init?, binding.is_const);
            return (is_const || !self.is_set_again(module, name, span)).then_some((init, declaring));
        }
        let module = self.module_of(scope);
        let (module, name, init) = self.expression_at_top(module, name, 0)?;
        let root = self.root(module);
        let span = self.scope(root).span;
        (!self.is_set_again(module, name, span)).then_some((init, root))
    }

    fn is_set_again(&mut self, module: usize, name: &'a str, span: Span) -> bool {
        let key = (module, name, span.start);
        if let Some(known) = self.set_again.get(&key) {
            return *known;
        }
        if !self.spend(span.size() as usize / 256) {
            return true;
        }
        let result = text::is_set_again(self.modules.source(module), name, span);
        self.set_again.insert(key, result);
        result
    }

    /// The literal of an object that an expression stands for.
    pub(super) fn literal(
        &mut self,
        expression: &'a Expression<'a>,
        scope: ScopeId,
    ) -> Option<(&'a ObjectExpression<'a>, ScopeId)> {
        self.literal_within(expression, scope, 0)
    }

    fn literal_within(
        &mut self,
        expression: &'a Expression<'a>,
        scope: ScopeId,
        far: u32,
    ) -> Option<(&'a ObjectExpression<'a>, ScopeId)> {
        if far > FARTHEST || !self.spend(1) {
            return None;
        }
        match expression.get_inner_expression() {
            Expression::ObjectExpression(object) => Some((object, scope)),
            Expression::Identifier(id) => {
                let (init, scope) = self.initial(scope, id.name.as_str())?;
                self.literal_within(init, scope, far + 1)
            }
            // `Object.freeze({…})`
            Expression::CallExpression(call) => {
                let member = call.callee.as_member_expression()?;
                let is_freeze = text::member_name(member) == Some("freeze");
                let argument = call.arguments.first()?.as_expression()?;
                is_freeze.then(|| self.literal_within(argument, scope, far + 1))?
            }
            other => {
                let member = other.as_member_expression()?;
                let name = text::member_name(member)?;
                let (value, scope) = self.property_within(Some((member.object(), scope)), name, far + 1)?;
                self.literal_within(value, scope, far + 1)
            }
        }
    }

    /// A property of the object that an expression stands for.
    pub(super) fn property(
        &mut self,
        object: Option<(&'a Expression<'a>, ScopeId)>,
        name: &str,
    ) -> Option<(&'a Expression<'a>, ScopeId)> {
        self.property_within(object, name, 0)
    }

    fn property_within(
        &mut self,
        object: Option<(&'a Expression<'a>, ScopeId)>,
        name: &str,
        far: u32,
    ) -> Option<(&'a Expression<'a>, ScopeId)> {
        let (expression, scope) = object?;
        let (literal, scope) = self.literal_within(expression, scope, far)?;
        // The last one counts.
        for property in literal.properties.iter().rev() {
            if !self.spend(1) {
                return None;
            }
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    if text::key_name(&property.key) == Some(name) && !property.computed {
                        return Some((&property.value, scope));
                    }
                }
                ObjectPropertyKind::SpreadProperty(spread) => {
                    let inner = Some((&spread.argument, scope));
                    if let Some(found) = self.property_within(inner, name, far + 1) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }
}
