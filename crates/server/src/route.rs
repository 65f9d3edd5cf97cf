//! Which route a raw path names.
//!
//! Ids of scheduled instances hold spaces, slashes and stars, and wrangler does not escape them (behaviour §1.5). So paths are split here, in
//! their raw form, and each part is decoded once.

use crate::routes::EnvironmentPart;

/// A route under `/client/v4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Beside accounts.
    User(UserRoute),
    /// Below `/cairn/v1`.
    Access(AccessRoute),
    /// Below `/cairn/v1/test`.
    Test(TestRoute),
    /// `…/accounts/:account/…`, workers and triggers.
    Script { account: String, route: ScriptRoute },
    /// `…/accounts/:account/workflows/…` without instances.
    Workflow { account: String, route: WorkflowRoute },
    /// `…/workflows/:workflow/instances/…`
    Instance {
        account: String,
        workflow: String,
        route: InstanceRoute,
    },
}

/// A route of Cairn's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessRoute {
    Tokens,
    Token(String),
    Audit,
}

/// A route that tests use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TestRoute {
    Clock,
    Sessions(InWorkflow),
    Session(InWorkflow, String),
    SessionModifiers(InWorkflow, String),
    Instance(InWorkflow, String),
    InstanceModifiers(InWorkflow, String),
    InstanceStatus(InWorkflow, String),
    InstanceStep(InWorkflow, String),
}

/// A workflow of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InWorkflow {
    pub(crate) account: String,
    pub(crate) workflow: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserRoute {
    User,
    VerifyToken,
    Accounts,
    Memberships,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScriptRoute {
    Account,
    Subdomain,
    Service(String),
    Worker(String),
    Script(String),
    Secrets(String),
    Settings(String),
    ScriptSettings(String),
    Versions(String),
    Version(String, String),
    Deployments(String),
    ScriptSubdomain(String),
    Schedules(String),
    Triggers(String),
    Tails(String),
    Tail(String, String),
    Scripts,
    ScriptsSearch,
    Content(String),
    Secret(String, String),
    SecretsBulk(String),
    Deployment(String, String),
    References(String),
    TailsByConsumer(String),
    LatestVersion(String),
    Environment(String, EnvironmentPart),
    /// Namespaces of products that are not here.
    KvNamespaces,
    ObjectNamespaces,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkflowRoute {
    List,
    Settings,
    Keys,
    Key(String),
    One(String),
    Versions(String),
    Version(String, String),
    Graph(String, String, GraphForm),
}

/// The name under which a graph is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GraphForm {
    Graph,
    /// The older one.
    Dag,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstanceRoute {
    List,
    Batch,
    BatchDelete,
    BatchTerminate,
    Terminate,
    One(String),
    Status(String),
    Step(String),
    Event(String, String),
    Subscribe(String),
    SubscribeToken(String),
}

impl Route {
    /// The route of a raw path below `/client/v4/` or `/cairn/v1/`; none where there is no such route, or where it is badly escaped.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if let Some(path) = path.strip_prefix("/cairn/v1/") {
            return AccessRoute::parse(path).map(Self::Access);
        }
        let path = path.strip_prefix("/client/v4/")?;
        let (first, rest) = cut(path);
        match (first, rest) {
            ("user", None) => Some(Self::User(UserRoute::User)),
            ("user", Some("tokens/verify")) => Some(Self::User(UserRoute::VerifyToken)),
            ("accounts", None | Some("")) => Some(Self::User(UserRoute::Accounts)),
            ("memberships", None) => Some(Self::User(UserRoute::Memberships)),
            ("accounts", Some(rest)) => {
                let (account, rest) = cut(rest);
                Self::in_account(decode(account).filter(|account| !account.is_empty())?, rest)
            }
            _ => None,
        }
    }

    fn in_account(account: String, rest: Option<&str>) -> Option<Self> {
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return Some(Self::Script {
                account,
                route: ScriptRoute::Account,
            });
        };
        let (area, rest) = cut(rest);
        match area {
            "workers" => Some(Self::Script {
                account,
                route: ScriptRoute::in_workers(rest?)?,
            }),
            "triggers" => {
                let script = name(rest?)?;
                Some(Self::Script {
                    account,
                    route: ScriptRoute::Triggers(script),
                })
            }
            "storage" if rest == Some("kv/namespaces") => Some(Self::Script {
                account,
                route: ScriptRoute::KvNamespaces,
            }),
            "workflows" => Self::in_workflows(account, rest.unwrap_or("")),
            _ => None,
        }
    }

    fn in_workflows(account: String, rest: &str) -> Option<Self> {
        let (first, below) = cut(rest);
        let (second, tail) = match below {
            None => ("", None),
            Some(below) => cut(below),
        };
        if second == "instances" {
            let workflow = name(first)?;
            let route = InstanceRoute::in_tail(tail.unwrap_or(""))?;
            return Some(Self::Instance {
                account,
                workflow,
                route,
            });
        }
        let route = match (first, second, tail) {
            ("", "", None) => WorkflowRoute::List,
            ("settings", "", None) => WorkflowRoute::Settings,
            ("concurrency", "", None) => WorkflowRoute::Keys,
            ("concurrency", key, None | Some("")) => WorkflowRoute::Key(name(key)?),
            (workflow, "", None) => WorkflowRoute::One(name(workflow)?),
            (workflow, "versions", None | Some("")) => WorkflowRoute::Versions(name(workflow)?),
            (workflow, "versions", Some(version)) => match cut(version) {
                (version, None) => WorkflowRoute::Version(name(workflow)?, name(version)?),
                (version, Some("graph")) => {
                    WorkflowRoute::Graph(name(workflow)?, name(version)?, GraphForm::Graph)
                }
                (version, Some("dag")) => {
                    WorkflowRoute::Graph(name(workflow)?, name(version)?, GraphForm::Dag)
                }
                (_, Some(_)) => return None,
            },
            _ => return None,
        };
        Some(Self::Workflow { account, route })
    }
}

impl AccessRoute {
    fn parse(path: &str) -> Option<Self> {
        match cut(path) {
            ("tokens", None | Some("")) => Some(Self::Tokens),
            ("tokens", Some(id)) if !id.contains('/') => Some(Self::Token(name(id)?)),
            ("audit", None) => Some(Self::Audit),
            _ => None,
        }
    }
}

impl TestRoute {
    /// The route of a raw path below `/cairn/v1/test/`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/cairn/v1/test/")?;
        let parts: Vec<&str> = path.split('/').collect();
        let (account, workflow, rest) = match parts.as_slice() {
            ["clock"] => return Some(Self::Clock),
            ["accounts", account, "workflows", workflow, rest @ ..] => (account, workflow, rest),
            _ => return None,
        };
        let workflow = InWorkflow {
            account: name(account)?,
            workflow: name(workflow)?,
        };
        Some(match rest {
            ["sessions"] => Self::Sessions(workflow),
            ["sessions", session] => Self::Session(workflow, name(session)?),
            ["sessions", session, "modifiers"] => Self::SessionModifiers(workflow, name(session)?),
            ["instances", id] => Self::Instance(workflow, name(id)?),
            ["instances", id, "modifiers"] => Self::InstanceModifiers(workflow, name(id)?),
            ["instances", id, "status"] => Self::InstanceStatus(workflow, name(id)?),
            ["instances", id, "step"] => Self::InstanceStep(workflow, name(id)?),
            _ => return None,
        })
    }
}

impl ScriptRoute {
    fn in_workers(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts.as_slice() {
            ["subdomain"] => Self::Subdomain,
            ["services", script] => Self::Service(name(script)?),
            ["workers", script] => Self::Worker(name(script)?),
            ["scripts", script] => Self::Script(name(script)?),
            ["scripts", script, "versions", version] => Self::Version(name(script)?, name(version)?),
            ["scripts"] => Self::Scripts,
            ["scripts-search"] => Self::ScriptsSearch,
            ["tails", "by-consumer", script] => Self::TailsByConsumer(name(script)?),
            ["workers", script, "versions", "latest"] => Self::LatestVersion(name(script)?),
            ["durable_objects", "namespaces"] => Self::ObjectNamespaces,
            ["services", script, "environments", "production", rest @ ..] => {
                let part = match rest {
                    [] => EnvironmentPart::Whole,
                    ["bindings"] => EnvironmentPart::Bindings,
                    ["routes"] => EnvironmentPart::Routes,
                    ["subdomain"] => EnvironmentPart::Subdomain,
                    ["content"] | ["content", "v2"] => EnvironmentPart::Content,
                    _ => return None,
                };
                Self::Environment(name(script)?, part)
            }
            ["scripts", script, "content", "v2"] => Self::Content(name(script)?),
            ["scripts", script, "secrets", secret] => Self::Secret(name(script)?, name(secret)?),
            ["scripts", script, "deployments", id] => Self::Deployment(name(script)?, name(id)?),
            ["scripts", script, "tails", tail] => Self::Tail(name(script)?, name(tail)?),
            ["scripts", script, part] => {
                let script = name(script)?;
                match *part {
                    "secrets" => Self::Secrets(script),
                    "settings" => Self::Settings(script),
                    "script-settings" => Self::ScriptSettings(script),
                    "versions" => Self::Versions(script),
                    "deployments" => Self::Deployments(script),
                    "subdomain" => Self::ScriptSubdomain(script),
                    "schedules" => Self::Schedules(script),
                    "tails" => Self::Tails(script),
                    "content" => Self::Content(script),
                    "secrets-bulk" => Self::SecretsBulk(script),
                    "references" => Self::References(script),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

impl InstanceRoute {
    fn in_tail(tail: &str) -> Option<Self> {
        match tail {
            "" => return Some(Self::List),
            "batch" => return Some(Self::Batch),
            "batch/delete" => return Some(Self::BatchDelete),
            "batch/terminate" => return Some(Self::BatchTerminate),
            "terminate" => return Some(Self::Terminate),
            _ => {}
        }
        if let Some(id) = tail.strip_suffix("/status") {
            return Some(Self::Status(name(id)?));
        }
        if let Some(id) = tail.strip_suffix("/step") {
            return Some(Self::Step(name(id)?));
        }
        if let Some(id) = tail.strip_suffix("/subscribe") {
            return Some(Self::Subscribe(name(id)?));
        }
        if let Some(id) = tail.strip_suffix("/subscribe/token") {
            return Some(Self::SubscribeToken(name(id)?));
        }
        if let Some((head, event_type)) = tail.rsplit_once('/')
            && let Some(id) = head.strip_suffix("/events")
        {
            return Some(Self::Event(name(id)?, decode(event_type)?));
        }
        Some(Self::One(name(tail)?))
    }
}

/// The part before the first slash, and what follows it.
fn cut(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    }
}

/// A part that must not be empty.
fn name(raw: &str) -> Option<String> {
    decode(raw).filter(|name| !name.is_empty())
}

/// Undoes percent-escapes, once. None where they are broken or do not give UTF-8.
pub(crate) fn decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(tail: &str) -> Option<InstanceRoute> {
        match Route::parse(&format!("/client/v4/accounts/a/workflows/w/instances{tail}"))? {
            Route::Instance {
                account,
                workflow,
                route,
            } => {
                assert_eq!((account.as_str(), workflow.as_str()), ("a", "w"));
                Some(route)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_of_schedules_escaped_or_not() {
        let id = "*/30 * * * *-1786001400000";
        for raw in [
            "*/30%20*%20*%20*%20*-1786001400000",
            "%2A%2F30%20%2A%20%2A%20%2A%20%2A-1786001400000",
        ] {
            assert_eq!(instance(&format!("/{raw}")), Some(InstanceRoute::One(id.into())));
            assert_eq!(
                instance(&format!("/{raw}/status")),
                Some(InstanceRoute::Status(id.into()))
            );
            assert_eq!(
                instance(&format!("/{raw}/step")),
                Some(InstanceRoute::Step(id.into()))
            );
            assert_eq!(
                instance(&format!("/{raw}/events/go")),
                Some(InstanceRoute::Event(id.into(), "go".into()))
            );
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(instance("/a%2520b"), Some(InstanceRoute::One("a%20b".into())));
        for broken in ["/%", "/%2", "/%zz", "/%ff"] {
            assert_eq!(instance(broken), None, "{broken}");
        }
    }

    #[test]
    fn reserved_words_are_routes() {
        assert_eq!(instance(""), Some(InstanceRoute::List));
        assert_eq!(instance("/"), Some(InstanceRoute::List));
        assert_eq!(instance("/batch"), Some(InstanceRoute::Batch));
        assert_eq!(instance("/batch/delete"), Some(InstanceRoute::BatchDelete));
        assert_eq!(instance("/batch/terminate"), Some(InstanceRoute::BatchTerminate));
        assert_eq!(instance("/terminate"), Some(InstanceRoute::Terminate));
        assert_eq!(
            instance("/x/subscribe/token"),
            Some(InstanceRoute::SubscribeToken("x".into()))
        );
        assert_eq!(
            instance("/*/5 * * * *-1/subscribe"),
            Some(InstanceRoute::Subscribe("*/5 * * * *-1".into()))
        );
    }

    #[test]
    fn workers_and_workflows() {
        let script = |route| {
            Some(Route::Script {
                account: "a".into(),
                route,
            })
        };
        let workflow = |route| {
            Some(Route::Workflow {
                account: "a".into(),
                route,
            })
        };
        let parse = |path: &str| Route::parse(&format!("/client/v4/accounts/a/{path}"));
        assert_eq!(
            parse("workers/scripts/s"),
            script(ScriptRoute::Script("s".into()))
        );
        assert_eq!(
            parse("workers/scripts/s/versions/v"),
            script(ScriptRoute::Version("s".into(), "v".into()))
        );
        assert_eq!(parse("triggers/s"), script(ScriptRoute::Triggers("s".into())));
        assert_eq!(parse("workflows"), workflow(WorkflowRoute::List));
        assert_eq!(parse("workflows/w"), workflow(WorkflowRoute::One("w".into())));
        assert_eq!(parse("workflows/settings"), workflow(WorkflowRoute::Settings));
        assert_eq!(parse("workflows/concurrency"), workflow(WorkflowRoute::Keys));
        assert_eq!(
            parse("workflows/concurrency/k"),
            workflow(WorkflowRoute::Key("k".into()))
        );
        assert_eq!(
            parse("workflows/w/versions/v/graph"),
            workflow(WorkflowRoute::Graph("w".into(), "v".into(), GraphForm::Graph))
        );
        for nothing in [
            "workers",
            "workers/scripts/s/nope",
            "workflows/w/nope",
            "workflows/w/versions/v/x",
            "d1",
        ] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn only_below_the_prefix() {
        assert_eq!(
            Route::parse("/client/v4/user"),
            Some(Route::User(UserRoute::User))
        );
        for nothing in [
            "/",
            "/client/v4",
            "/client/v4/",
            "/client/v4/accounts//workflows",
            "/client/v5/user",
            "/CLIENT/v4/user",
        ] {
            assert_eq!(Route::parse(nothing), None, "{nothing}");
        }
    }
}
