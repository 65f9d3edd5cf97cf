//! What each route wants of who asks, in one table: a route that is not in it does not compile.

use crate::route::{
    AccessRoute, GraphForm, InWorkflow, InstanceRoute, Route, ScriptRoute, TestRoute, UserRoute,
    WorkflowRoute,
};
use axum::http::Method;
use cairn_api::TokenScope;

/// Who may pass, beside the scope that reading or changing wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Whoever has a token, be it expired.
    Verify,
    /// Whoever has a token; the handler shows what it may see.
    Known,
    /// Tokens of the account, for all of it.
    Account,
    /// The same; those for some workflows may read, and the handler shows them theirs.
    Listing,
    /// Tokens of the account that may see this workflow.
    Workflow,
    /// Tokens of the account that may see this workflow; to change it, which names a script, those for all of the account.
    Definition,
    /// Tokens with the scope `admin`; the handler looks at their accounts.
    Administration,
    /// Tokens of all accounts.
    Installation,
}

/// Whether the audit log tells changes by this route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trail {
    /// It does.
    Kept,
    /// It does not: the traffic of instances, which they tell themselves.
    Untold,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) script: Option<&'a str>,
    pub(crate) workflow: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
    /// A version, a token's id.
    pub(crate) detail: Option<&'a str>,
}

/// What a route wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule<'a> {
    /// Its path, with names for what varies.
    pub(crate) template: &'static str,
    pub(crate) guard: Guard,
    trail: Trail,
    pub(crate) place: Place<'a>,
}

impl Rule<'_> {
    /// The scope that this method wants.
    pub(crate) fn scope(&self, method: &Method) -> TokenScope {
        match self.guard {
            Guard::Administration => TokenScope::Admin,
            Guard::Verify
            | Guard::Known
            | Guard::Account
            | Guard::Listing
            | Guard::Workflow
            | Guard::Definition
            | Guard::Installation => {
                if is_safe(method) {
                    TokenScope::Read
                } else {
                    TokenScope::Write
                }
            }
        }
    }

    /// Whether the audit log tells this request.
    pub(crate) fn is_told(&self, method: &Method) -> bool {
        self.trail == Trail::Kept && !is_safe(method)
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl<'a> Place<'a> {
    const NONE: Self = Self {
        account: None,
        script: None,
        workflow: None,
        instance: None,
        detail: None,
    };

    fn account(account: &'a str) -> Self {
        Self {
            account: Some(account),
            ..Self::NONE
        }
    }

    fn script(account: &'a str, script: &'a str) -> Self {
        Self {
            script: Some(script),
            ..Self::account(account)
        }
    }

    fn workflow(account: &'a str, workflow: &'a str) -> Self {
        Self {
            workflow: Some(workflow),
            ..Self::account(account)
        }
    }

    fn instance(account: &'a str, workflow: &'a str, instance: &'a str) -> Self {
        Self {
            instance: Some(instance),
            ..Self::workflow(account, workflow)
        }
    }

    fn of(workflow: &'a InWorkflow) -> Self {
        Self::workflow(&workflow.account, &workflow.workflow)
    }

    fn detail(self, detail: &'a str) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }
}

/// One row for each route: pattern, path, who may pass, whether changes are told, and what it is about.
macro_rules! rules {
    ($($pattern:pat => $template:literal, $guard:ident, $trail:ident, $place:expr;)+) => {
        /// What a route wants.
        pub(crate) fn rule(route: &Route) -> Rule<'_> {
            match route {
                $($pattern => Rule {
                    template: $template,
                    guard: Guard::$guard,
                    trail: Trail::$trail,
                    place: $place,
                },)+
            }
        }

        /// The paths of all routes, in the order of the table.
        #[cfg(test)]
        pub(crate) const TEMPLATES: &[&str] = &[$($template),+];
    };
}

use InstanceRoute as I;
use Route::{Access, Instance, Script, Test, User, Workflow};
use ScriptRoute as S;
use WorkflowRoute as W;

#[rustfmt::skip]
rules! {
    User(UserRoute::User) => "/client/v4/user", Known, Kept, Place::NONE;
    User(UserRoute::VerifyToken) => "/client/v4/user/tokens/verify", Verify, Kept, Place::NONE;
    User(UserRoute::Accounts) => "/client/v4/accounts", Known, Kept, Place::NONE;
    User(UserRoute::Memberships) => "/client/v4/memberships", Known, Kept, Place::NONE;

    Access(AccessRoute::Tokens) => "/cairn/v1/tokens", Administration, Kept, Place::NONE;
    Access(AccessRoute::Token(id)) => "/cairn/v1/tokens/:token", Administration, Kept, Place::NONE.detail(id);
    Access(AccessRoute::Audit) => "/cairn/v1/audit", Administration, Kept, Place::NONE;

    Script { account, route: S::Account } => "/client/v4/accounts/:account", Listing, Kept, Place::account(account);
    Script { account, route: S::Subdomain } => "/client/v4/accounts/:account/workers/subdomain", Account, Kept, Place::account(account);
    Script { account, route: S::Service(script) } => "/client/v4/accounts/:account/workers/services/:script", Account, Kept, Place::script(account, script);
    Script { account, route: S::Worker(script) } => "/client/v4/accounts/:account/workers/workers/:script", Account, Kept, Place::script(account, script);
    Script { account, route: S::Script(script) } => "/client/v4/accounts/:account/workers/scripts/:script", Account, Kept, Place::script(account, script);
    Script { account, route: S::Secrets(script) } => "/client/v4/accounts/:account/workers/scripts/:script/secrets", Account, Kept, Place::script(account, script);
    Script { account, route: S::Settings(script) } => "/client/v4/accounts/:account/workers/scripts/:script/settings", Account, Kept, Place::script(account, script);
    Script { account, route: S::ScriptSettings(script) } => "/client/v4/accounts/:account/workers/scripts/:script/script-settings", Account, Kept, Place::script(account, script);
    Script { account, route: S::Versions(script) } => "/client/v4/accounts/:account/workers/scripts/:script/versions", Account, Kept, Place::script(account, script);
    Script { account, route: S::Version(script, version) } => "/client/v4/accounts/:account/workers/scripts/:script/versions/:version", Account, Kept, Place::script(account, script).detail(version);
    Script { account, route: S::Deployments(script) } => "/client/v4/accounts/:account/workers/scripts/:script/deployments", Account, Kept, Place::script(account, script);
    Script { account, route: S::ScriptSubdomain(script) } => "/client/v4/accounts/:account/workers/scripts/:script/subdomain", Account, Kept, Place::script(account, script);
    Script { account, route: S::Schedules(script) } => "/client/v4/accounts/:account/workers/scripts/:script/schedules", Account, Kept, Place::script(account, script);
    Script { account, route: S::Triggers(script) } => "/client/v4/accounts/:account/triggers/:script", Account, Kept, Place::script(account, script);
    Script { account, route: S::Tails(script) } => "/client/v4/accounts/:account/workers/scripts/:script/tails", Account, Kept, Place::script(account, script);
    Script { account, route: S::Scripts } => "/client/v4/accounts/:account/workers/scripts", Account, Kept, Place::account(account);
    Script { account, route: S::ScriptsSearch } => "/client/v4/accounts/:account/workers/scripts-search", Account, Kept, Place::account(account);
    Script { account, route: S::Content(script) } => "/client/v4/accounts/:account/workers/scripts/:script/content", Account, Kept, Place::script(account, script);
    Script { account, route: S::Secret(script, secret) } => "/client/v4/accounts/:account/workers/scripts/:script/secrets/:secret", Account, Kept, Place::script(account, script).detail(secret);
    Script { account, route: S::SecretsBulk(script) } => "/client/v4/accounts/:account/workers/scripts/:script/secrets-bulk", Account, Kept, Place::script(account, script);
    Script { account, route: S::Deployment(script, deployment) } => "/client/v4/accounts/:account/workers/scripts/:script/deployments/:deployment", Account, Kept, Place::script(account, script).detail(deployment);
    Script { account, route: S::References(script) } => "/client/v4/accounts/:account/workers/scripts/:script/references", Account, Kept, Place::script(account, script);
    Script { account, route: S::TailsByConsumer(script) } => "/client/v4/accounts/:account/workers/tails/by-consumer/:script", Account, Kept, Place::script(account, script);
    Script { account, route: S::LatestVersion(script) } => "/client/v4/accounts/:account/workers/workers/:script/versions/latest", Account, Kept, Place::script(account, script);
    Script { account, route: S::Environment(script, _) } => "/client/v4/accounts/:account/workers/services/:script/environments/production", Account, Kept, Place::script(account, script);
    Script { account, route: S::KvNamespaces } => "/client/v4/accounts/:account/storage/kv/namespaces", Account, Kept, Place::account(account);
    Script { account, route: S::ObjectNamespaces } => "/client/v4/accounts/:account/workers/durable_objects/namespaces", Account, Kept, Place::account(account);
    Script { account, route: S::Tail(script, tail) } => "/client/v4/accounts/:account/workers/scripts/:script/tails/:tail", Account, Kept, Place::script(account, script).detail(tail);

    Workflow { account, route: W::List } => "/client/v4/accounts/:account/workflows", Listing, Kept, Place::account(account);
    Workflow { account, route: W::Settings } => "/client/v4/accounts/:account/workflows/settings", Account, Kept, Place::account(account);
    Workflow { account, route: W::Keys } => "/client/v4/accounts/:account/workflows/concurrency", Account, Kept, Place::account(account);
    Workflow { account, route: W::Key(key) } => "/client/v4/accounts/:account/workflows/concurrency/:key", Account, Kept, Place::account(account).detail(key);
    Workflow { account, route: W::One(workflow) } => "/client/v4/accounts/:account/workflows/:workflow", Definition, Kept, Place::workflow(account, workflow);
    Workflow { account, route: W::Versions(workflow) } => "/client/v4/accounts/:account/workflows/:workflow/versions", Workflow, Kept, Place::workflow(account, workflow);
    Workflow { account, route: W::Version(workflow, version) } => "/client/v4/accounts/:account/workflows/:workflow/versions/:version", Workflow, Kept, Place::workflow(account, workflow).detail(version);
    Workflow { account, route: W::Graph(workflow, version, GraphForm::Graph) } => "/client/v4/accounts/:account/workflows/:workflow/versions/:version/graph", Workflow, Kept, Place::workflow(account, workflow).detail(version);
    Workflow { account, route: W::Graph(workflow, version, GraphForm::Dag) } => "/client/v4/accounts/:account/workflows/:workflow/versions/:version/dag", Workflow, Kept, Place::workflow(account, workflow).detail(version);

    Instance { account, workflow, route: I::List } => "/client/v4/accounts/:account/workflows/:workflow/instances", Workflow, Untold, Place::workflow(account, workflow);
    Instance { account, workflow, route: I::Batch } => "/client/v4/accounts/:account/workflows/:workflow/instances/batch", Workflow, Untold, Place::workflow(account, workflow);
    Instance { account, workflow, route: I::BatchDelete } => "/client/v4/accounts/:account/workflows/:workflow/instances/batch/delete", Workflow, Kept, Place::workflow(account, workflow);
    Instance { account, workflow, route: I::BatchTerminate } => "/client/v4/accounts/:account/workflows/:workflow/instances/batch/terminate", Workflow, Kept, Place::workflow(account, workflow);
    Instance { account, workflow, route: I::Terminate } => "/client/v4/accounts/:account/workflows/:workflow/instances/terminate", Workflow, Kept, Place::workflow(account, workflow);
    Instance { account, workflow, route: I::One(instance) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance", Workflow, Kept, Place::instance(account, workflow, instance);
    Instance { account, workflow, route: I::Status(instance) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance/status", Workflow, Kept, Place::instance(account, workflow, instance);
    Instance { account, workflow, route: I::Step(instance) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance/step", Workflow, Kept, Place::instance(account, workflow, instance);
    Instance { account, workflow, route: I::Event(instance, _) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance/events/:event", Workflow, Untold, Place::instance(account, workflow, instance);
    Instance { account, workflow, route: I::Subscribe(instance) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance/subscribe", Workflow, Kept, Place::instance(account, workflow, instance);
    Instance { account, workflow, route: I::SubscribeToken(instance) } => "/client/v4/accounts/:account/workflows/:workflow/instances/:instance/subscribe/token", Workflow, Kept, Place::instance(account, workflow, instance);

    Test(TestRoute::Clock) => "/cairn/v1/test/clock", Installation, Untold, Place::NONE;
    Test(TestRoute::Sessions(workflow)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/sessions", Workflow, Untold, Place::of(workflow);
    Test(TestRoute::Session(workflow, _)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/sessions/:session", Workflow, Untold, Place::of(workflow);
    Test(TestRoute::SessionModifiers(workflow, _)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/sessions/:session/modifiers", Workflow, Untold, Place::of(workflow);
    Test(TestRoute::Instance(workflow, instance)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/instances/:instance", Workflow, Untold, Place::of(workflow).detail(instance);
    Test(TestRoute::InstanceModifiers(workflow, instance)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/instances/:instance/modifiers", Workflow, Untold, Place::of(workflow).detail(instance);
    Test(TestRoute::InstanceStatus(workflow, instance)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/instances/:instance/status", Workflow, Untold, Place::of(workflow).detail(instance);
    Test(TestRoute::InstanceStep(workflow, instance)) => "/cairn/v1/test/accounts/:account/workflows/:workflow/instances/:instance/step", Workflow, Untold, Place::of(workflow).detail(instance);
}
