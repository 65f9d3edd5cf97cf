//! The modules of a bundle: parsed when something in them is asked for, with what they declare, import and export.

use crate::nesting;
use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, AssignmentTarget, BindingPattern, Class, Declaration, ExportDefaultDeclarationKind, Expression,
    Function, ImportDeclarationSpecifier, ModuleExportName, ObjectExpression, ObjectPropertyKind, Program,
    Statement, VariableDeclaration,
};
use oxc_parser::{ParseOptions, Parser};
use oxc_span::SourceType;
use std::cell::OnceCell;
use std::collections::HashMap;

/// What is at the top of a module under a name.
#[derive(Clone, Copy)]
pub(crate) enum Declared<'a> {
    Function(&'a Function<'a>),
    Class(&'a Class<'a>),
    Value(&'a Expression<'a>),
    Import { source: &'a str, name: Imported<'a> },
}

/// What an import takes from a module.
#[derive(Clone, Copy)]
pub(crate) enum Imported<'a> {
    Name(&'a str),
    All,
}

/// What a module exports under a name.
#[derive(Clone, Copy)]
pub(crate) enum Exported<'a> {
    Local(&'a str),
    Declared(Declared<'a>),
    From { source: &'a str, name: Imported<'a> },
}

/// What a module says at its top.
#[derive(Default)]
pub(crate) struct Index<'a> {
    pub(crate) declared: HashMap<&'a str, Declared<'a>>,
    pub(crate) exports: HashMap<&'a str, Exported<'a>>,
    /// Modules all of whose exports are exported too.
    pub(crate) stars: Vec<&'a str>,
    /// Names that a bundler keeps for what has another one now, with the function that does it: `__name(a, "charge")`.
    pub(crate) kept_names: HashMap<&'a str, (&'a str, &'a str)>,
    /// What a bundler exports of modules inside the bundle: `__export(charge_exports, { charge: () => charge })`.
    pub(crate) namespaces: HashMap<&'a str, &'a ObjectExpression<'a>>,
}

struct Module<'a> {
    name: &'a str,
    source: &'a str,
    allocator: &'a Allocator,
    index: OnceCell<Option<Index<'a>>>,
}

/// All modules.
pub(crate) struct Modules<'a>(Vec<Module<'a>>);

impl<'a> Modules<'a> {
    pub(crate) fn new(modules: &[(&'a str, &'a str)], allocators: &'a [Allocator]) -> Self {
        let modules = modules.iter().zip(allocators);
        Self(
            modules
                .map(|((name, source), allocator)| Module {
                    name,
                    source,
                    allocator,
                    index: OnceCell::new(),
                })
                .collect(),
        )
    }

    /// The number of a module.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        let name = plain(name);
        self.0.iter().position(|module| plain(module.name) == name)
    }

    pub(crate) fn source(&self, module: usize) -> &'a str {
        self.0.get(module).map_or("", |module| module.source)
    }

    /// What a module says; nothing when it cannot be parsed.
    pub(crate) fn index(&self, module: usize) -> Option<&Index<'a>> {
        let module = self.0.get(module)?;
        let index = module
            .index
            .get_or_init(|| parse(module.allocator, (module.name, module.source)).map(index));
        index.as_ref()
    }

    /// The module that another one means.
    pub(crate) fn imported(&self, from: usize, source: &str) -> Option<usize> {
        let importer = plain(self.0.get(from)?.name);
        if !source.starts_with('.') {
            return self.named(source);
        }
        let mut path: Vec<&str> = importer.split('/').collect();
        path.pop();
        for part in source.split('/') {
            match part {
                "." | "" => {}
                ".." => {
                    path.pop();
                }
                part => path.push(part),
            }
        }
        self.named(&path.join("/"))
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

fn parse<'a>(allocator: &'a Allocator, (name, source): (&str, &'a str)) -> Option<&'a Program<'a>> {
    if !nesting::is_shallow(source) {
        return None;
    }
    let kind = if name.ends_with(".ts") {
        SourceType::ts()
    } else {
        SourceType::mjs()
    };
    let options = ParseOptions {
        preserve_parens: false,
        ..ParseOptions::default()
    };
    let parsed = Parser::new(allocator, source, kind).with_options(options).parse();
    if parsed.panicked {
        return None;
    }
    Some(allocator.alloc(parsed.program))
}

fn index<'a>(program: &'a Program<'a>) -> Index<'a> {
    let mut index = Index::default();
    for statement in &program.body {
        index.statement(statement);
    }
    index
}

impl<'a> Index<'a> {
    fn statement(&mut self, statement: &'a Statement<'a>) {
        match statement {
            Statement::ImportDeclaration(import) => {
                let source = import.source.value.as_str();
                for specifier in import.specifiers.iter().flatten() {
                    let name = match specifier {
                        ImportDeclarationSpecifier::ImportSpecifier(one) => {
                            Imported::Name(export_name(&one.imported))
                        }
                        ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => Imported::Name("default"),
                        ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => Imported::All,
                    };
                    let local = specifier.local().name.as_str();
                    self.declared.insert(local, Declared::Import { source, name });
                }
            }
            Statement::ExportAllDeclaration(export) => {
                let source = export.source.value.as_str();
                match &export.exported {
                    Some(name) => {
                        let from = Exported::From {
                            source,
                            name: Imported::All,
                        };
                        self.exports.insert(export_name(name), from);
                    }
                    None => self.stars.push(source),
                }
            }
            Statement::ExportNamedDeclaration(export) => {
                for specifier in &export.specifiers {
                    let local = export_name(&specifier.local);
                    let exported = match &export.source {
                        Some(source) => Exported::From {
                            source: source.value.as_str(),
                            name: Imported::Name(local),
                        },
                        None => Exported::Local(local),
                    };
                    self.exports.insert(export_name(&specifier.exported), exported);
                }
                if let Some(declaration) = &export.declaration {
                    self.exported_declaration(declaration);
                }
            }
            Statement::ExportDefaultDeclaration(export) => self.default_export(&export.declaration),
            Statement::FunctionDeclaration(function) => self.function(function),
            Statement::ClassDeclaration(class) => self.class(class),
            Statement::VariableDeclaration(variables) => self.variables(variables),
            Statement::ExpressionStatement(statement) => self.expression(&statement.expression),
            _ => {}
        }
    }

    fn function(&mut self, function: &'a Function<'a>) {
        if let Some(id) = &function.id {
            self.declared
                .insert(id.name.as_str(), Declared::Function(function));
        }
    }

    fn class(&mut self, class: &'a Class<'a>) {
        if let Some(id) = &class.id {
            self.declared.insert(id.name.as_str(), Declared::Class(class));
        }
    }

    fn variables(&mut self, variables: &'a VariableDeclaration<'a>) {
        for variable in &variables.declarations {
            let Some(init) = &variable.init else {
                continue;
            };
            if let BindingPattern::BindingIdentifier(id) = &variable.id {
                self.declared.insert(id.name.as_str(), Declared::Value(init));
            }
            self.lazy_module(init);
        }
    }

    /// esbuild puts modules that must not run at once into functions, which then set variables of the bundle.
    fn lazy_module(&mut self, init: &'a Expression<'a>) {
        let Expression::CallExpression(call) = init else {
            return;
        };
        match call.arguments.first() {
            Some(Argument::ObjectExpression(object)) => {
                for property in &object.properties {
                    if let ObjectPropertyKind::ObjectProperty(property) = property {
                        self.lazy_body(&property.value);
                    }
                }
            }
            Some(argument) => {
                if let Some(function) = argument.as_expression() {
                    self.lazy_body(function);
                }
            }
            None => {}
        }
    }

    fn lazy_body(&mut self, function: &'a Expression<'a>) {
        let body = match function {
            Expression::FunctionExpression(function) => function.body.as_deref(),
            Expression::ArrowFunctionExpression(function) => Some(&*function.body),
            _ => None,
        };
        for statement in body.into_iter().flat_map(|body| &body.statements) {
            if let Statement::ExpressionStatement(statement) = statement {
                self.expression(&statement.expression);
            }
        }
    }

    fn expression(&mut self, expression: &'a Expression<'a>) {
        match expression {
            Expression::SequenceExpression(sequence) => {
                for expression in &sequence.expressions {
                    self.expression(expression);
                }
            }
            Expression::AssignmentExpression(assignment) => {
                if let AssignmentTarget::AssignmentTargetIdentifier(id) = &assignment.left {
                    let declared = Declared::Value(&assignment.right);
                    self.declared.entry(id.name.as_str()).or_insert(declared);
                }
            }
            Expression::CallExpression(call) => {
                if let (
                    Expression::Identifier(keeper),
                    [Argument::Identifier(id), Argument::StringLiteral(name)],
                ) = (&call.callee, call.arguments.as_slice())
                {
                    let kept = (keeper.name.as_str(), name.value.as_str());
                    self.kept_names.insert(id.name.as_str(), kept);
                }
                if let [Argument::Identifier(id), Argument::ObjectExpression(object)] =
                    call.arguments.as_slice()
                {
                    self.namespaces.insert(id.name.as_str(), object);
                }
            }
            _ => {}
        }
    }

    fn exported_declaration(&mut self, declaration: &'a Declaration<'a>) {
        match declaration {
            Declaration::FunctionDeclaration(function) => self.function(function),
            Declaration::ClassDeclaration(class) => self.class(class),
            Declaration::VariableDeclaration(variables) => {
                self.variables(variables);
                for variable in &variables.declarations {
                    if let BindingPattern::BindingIdentifier(id) = &variable.id {
                        let name = id.name.as_str();
                        self.exports.insert(name, Exported::Local(name));
                    }
                }
                return;
            }
            _ => return,
        }
        if let Some(id) = declaration.id() {
            let name = id.name.as_str();
            self.exports.insert(name, Exported::Local(name));
        }
    }

    fn default_export(&mut self, declaration: &'a ExportDefaultDeclarationKind<'a>) {
        let declared = match declaration {
            ExportDefaultDeclarationKind::FunctionDeclaration(function) => {
                self.function(function);
                Declared::Function(function)
            }
            ExportDefaultDeclarationKind::ClassDeclaration(class) => {
                self.class(class);
                Declared::Class(class)
            }
            other => match other.as_expression() {
                Some(expression) => Declared::Value(expression),
                None => return,
            },
        };
        self.exports.insert("default", Exported::Declared(declared));
    }
}

fn export_name<'a>(name: &'a ModuleExportName<'a>) -> &'a str {
    match name {
        ModuleExportName::IdentifierName(name) => name.name.as_str(),
        ModuleExportName::IdentifierReference(name) => name.name.as_str(),
        ModuleExportName::StringLiteral(name) => name.value.as_str(),
    }
}
