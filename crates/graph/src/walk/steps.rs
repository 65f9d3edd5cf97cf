//! Calls of the step object: names, configurations, durations.

use super::{Frame, Reader};
use crate::draft::StepDraft;
use crate::node::{Backoff, Config, Duration, EventOptions, Retries};
use crate::text::Constant;
use crate::value::{ScopeId, StepMethod, Value};
use oxc_ast::ast::{Argument, Expression};

/// What stands where only a run knows.
const UNKNOWN: &str = "unknown";
/// A delay that a function computes.
const DYNAMIC: &str = "[dynamic]";

/// An expression, and where its names are looked up.
type Located<'a> = (&'a Expression<'a>, ScopeId);

impl<'a> Reader<'a> {
    pub(super) fn step_draft(
        &mut self,
        method: StepMethod,
        arguments: &'a [Argument<'a>],
        frame: &mut Frame<'a>,
    ) -> StepDraft {
        let expressions: Vec<&'a Expression<'a>> =
            arguments.iter().filter_map(Argument::as_expression).collect();
        let at = |index: usize| {
            expressions
                .get(index)
                .map(|expression| (*expression, frame.scope))
        };
        let name = match at(0) {
            Some((expression, scope)) => self.name(expression, scope),
            None => UNKNOWN.into(),
        };
        let second = at(1);
        match method {
            StepMethod::Do => self.do_draft(name, &expressions, frame),
            StepMethod::Sleep => {
                self.read_all(&expressions, frame);
                StepDraft::Sleep {
                    name,
                    duration: self.duration(second),
                }
            }
            StepMethod::SleepUntil => {
                self.read_all(&expressions, frame);
                StepDraft::SleepUntil {
                    name,
                    timestamp: self.timestamp(second),
                }
            }
            StepMethod::WaitForEvent => {
                self.read_all(&expressions, frame);
                StepDraft::WaitForEvent {
                    name,
                    options: second.and_then(|options| self.event_options(options)),
                }
            }
        }
    }

    /// Reads arguments, for the steps within them.
    fn read_all(&mut self, expressions: &[&'a Expression<'a>], frame: &mut Frame<'a>) {
        for expression in expressions {
            self.value(expression, frame);
        }
    }

    /// `do(name, callback)`, `do(name, config, callback)`, each with what is to be undone as one argument more.
    fn do_draft(
        &mut self,
        name: String,
        expressions: &[&'a Expression<'a>],
        frame: &mut Frame<'a>,
    ) -> StepDraft {
        let mut values = Vec::new();
        for expression in expressions.iter().take(3) {
            values.push(self.value(expression, frame));
        }
        let second_is_callback = match values.get(1) {
            Some(Value::Function(_) | Value::Any(_)) => true,
            Some(_) => expressions.len() == 2,
            None => true,
        };
        let (config, callback) = if second_is_callback {
            (None, values.get(1))
        } else {
            (expressions.get(1), values.get(2))
        };
        let config = config.map(|config| (*config, frame.scope));
        let nodes = callback.cloned().map(|callback| self.callback(&callback));
        StepDraft::Do {
            name,
            config: self.config(config),
            nodes: nodes.unwrap_or_default(),
        }
    }

    fn config(&mut self, config: Option<Located<'a>>) -> Config {
        let retries = self.property(config, "retries");
        let limit = self.property(retries, "limit");
        let limit = match limit.and_then(|(limit, scope)| self.constant(limit, scope)) {
            Some(Constant::Number(limit)) if limit.is_finite() => limit,
            _ => 5.0,
        };
        let backoff = self.property(retries, "backoff");
        let backoff = match backoff.and_then(|(backoff, scope)| self.constant(backoff, scope)) {
            Some(Constant::Text(text)) if text == "constant" => Backoff::Constant,
            Some(Constant::Text(text)) if text == "linear" => Backoff::Linear,
            _ => Backoff::Exponential,
        };
        let delay = match self.property(retries, "delay") {
            Some(delay) => self.duration(Some(delay)),
            None => Duration::Millis(10_000.0),
        };
        let timeout = match self.property(config, "timeout") {
            Some(timeout) => self.duration(Some(timeout)),
            None => Duration::Text("10 minutes".into()),
        };
        Config {
            retries: Retries {
                limit,
                delay,
                backoff,
            },
            timeout,
        }
    }

    fn event_options(&mut self, options: Located<'a>) -> Option<EventOptions> {
        self.literal(options.0, options.1)?;
        let event_type = match self.property(Some(options), "type") {
            Some((expression, scope)) => self.known_name(expression, scope),
            None => UNKNOWN.into(),
        };
        let timeout = match self.property(Some(options), "timeout") {
            Some(timeout) => self.duration(Some(timeout)),
            None => Duration::Text("24 hours".into()),
        };
        Some(EventOptions { event_type, timeout })
    }

    fn duration(&mut self, expression: Option<Located<'a>>) -> Duration {
        let Some((expression, scope)) = expression else {
            return Duration::Text(UNKNOWN.into());
        };
        match self.constant(expression, scope) {
            Some(Constant::Number(millis)) if millis.is_finite() => return Duration::Millis(millis),
            Some(Constant::Text(text)) => return Duration::Text(text),
            _ => {}
        }
        match expression {
            Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_) => {
                Duration::Text(DYNAMIC.into())
            }
            // A function whose name a bundler keeps.
            Expression::CallExpression(call)
                if matches!(
                    call.arguments.as_slice(),
                    [
                        Argument::ArrowFunctionExpression(_) | Argument::FunctionExpression(_),
                        Argument::StringLiteral(_)
                    ]
                ) =>
            {
                Duration::Text(DYNAMIC.into())
            }
            other => Duration::Text(self.known_name(other, scope)),
        }
    }

    fn timestamp(&mut self, expression: Option<Located<'a>>) -> String {
        let Some((expression, scope)) = expression else {
            return UNKNOWN.into();
        };
        if let Expression::NewExpression(new) = expression
            && matches!(&new.callee, Expression::Identifier(id) if id.name == "Date")
            && let [only] = new.arguments.as_slice()
            && let Some(argument) = only.as_expression()
        {
            return self.timestamp(Some((argument, scope)));
        }
        match self.constant(expression, scope) {
            Some(Constant::Number(millis)) => millis.to_string(),
            Some(Constant::Text(text)) => text,
            _ => UNKNOWN.into(),
        }
    }

    /// A text of which at least a part is known.
    fn known_name(&mut self, expression: &'a Expression<'a>, scope: ScopeId) -> String {
        let name = self.name(expression, scope);
        if name.replace(crate::text::HOLE, "").is_empty() {
            UNKNOWN.into()
        } else {
            name
        }
    }
}
