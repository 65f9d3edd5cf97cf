//! One account never sees what another has: every route, with every method, by tokens of all kinds.
//!
//! The routes come from the table of rules, so a new one is tried without a word here, unless its path has a new part.

use super::world::{METADATA, TOKEN, World, form};
use crate::access::rule;
use crate::access::rules::TEMPLATES;
use crate::route::{Route, TestRoute};
use axum::body::Body;
use axum::http::{Request, header};
use std::collections::BTreeMap;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What varies in the paths.
#[derive(Debug, Clone)]
struct Names {
    account: String,
    script: String,
    script_version: String,
    deployment: String,
    secret: String,
    workflow: String,
    workflow_version: String,
    instance: String,
    token: String,
    tail: String,
    session: String,
    key: String,
}

impl Names {
    /// The path of a template with these names.
    fn path(&self, template: &str) -> String {
        let version = if template.contains("/workers/") {
            &self.script_version
        } else {
            &self.workflow_version
        };
        let part = |part: &str| match part {
            ":account" => self.account.clone(),
            ":script" => self.script.clone(),
            ":version" => version.clone(),
            ":deployment" => self.deployment.clone(),
            ":secret" => self.secret.clone(),
            ":workflow" => self.workflow.clone(),
            ":instance" => self.instance.clone(),
            ":token" => self.token.clone(),
            ":tail" => self.tail.clone(),
            ":session" => self.session.clone(),
            ":key" => self.key.clone(),
            ":event" => "an-event".to_owned(),
            varies if varies.starts_with(':') => panic!("say in Names what {varies} is"),
            fixed => fixed.to_owned(),
        };
        let parts: Vec<String> = template.split('/').map(part).collect();
        parts.join("/")
    }

    fn all(&self) -> [&str; 12] {
        [
            &self.account,
            &self.script,
            &self.script_version,
            &self.deployment,
            &self.secret,
            &self.workflow,
            &self.workflow_version,
            &self.instance,
            &self.token,
            &self.tail,
            &self.session,
            &self.key,
        ]
    }

    /// Names of nothing, as long as these.
    fn of_nothing(&self) -> Self {
        let other = |name: &str| -> String {
            let turn = |letter| match letter {
                '0'..='8' => char::from(letter as u8 + 1),
                '9' => '0',
                'b'..='e' => 'f',
                'x' => 'y',
                letter => letter,
            };
            name.chars().map(turn).collect()
        };
        Self {
            account: other(&self.account),
            script: other(&self.script),
            script_version: other(&self.script_version),
            deployment: other(&self.deployment),
            secret: other(&self.secret),
            workflow: other(&self.workflow),
            workflow_version: other(&self.workflow_version),
            instance: other(&self.instance),
            token: other(&self.token),
            tail: other(&self.tail),
            session: other(&self.session),
            key: other(&self.key),
        }
    }
}

/// An account with everything, every name of it unmistakable, and its tokens.
struct Tenant {
    names: Names,
    admin: String,
    reader: String,
    own_workflow: String,
    /// What must be seen nowhere else.
    secrets: Vec<String>,
}

async fn text(world: &World, (method, path): (&str, &str), body: &str) -> serde_json::Value {
    world.ask(TOKEN, (method, path), body).await.result()
}

fn string(json: &serde_json::Value) -> String {
    json.as_str().unwrap().to_owned()
}

/// A deployed script of this name; its version.
async fn script(world: &World, root: &str, named: &dyn Fn(&str) -> String) -> String {
    let metadata = METADATA
        .replace("\"KEY\"", &format!("\"{}\"", named("secret")))
        .replace("\"w\"", &format!("\"{}\"", named("workflow")));
    let upload = Request::builder()
        .method("PUT")
        .uri(format!("{root}/workers/scripts/{}", named("script")))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=----b")
        .body(Body::from(form(
            &metadata,
            &format!("export {{}} // {}", named("code")),
        )))
        .unwrap();
    string(&world.send(upload).await.result()["deployment_id"])
}

/// Everything an account can have, but tokens; with the id of its workflow.
async fn things(world: &World, named: &dyn Fn(&str) -> String) -> (Names, String) {
    let root = format!("/client/v4/accounts/{}", named("account"));
    let script_version = script(world, &root, named).await;
    let define = async |workflow: String, class: String| {
        let body = format!(
            r#"{{"script_name":"{}","class_name":"{class}"}}"#,
            named("script")
        );
        text(world, ("PUT", &format!("{root}/workflows/{workflow}")), &body).await
    };
    let workflow = define(named("workflow"), named("class")).await;
    // Another, that a token for the first does not see.
    define(named("other"), named("other-class")).await;
    let instance = format!(
        r#"{{"instance_id":"{}","params":{{"p":"{}"}}}}"#,
        named("instance"),
        named("params")
    );
    let instances = format!("{root}/workflows/{}/instances", named("workflow"));
    text(world, ("POST", &instances), &instance).await;
    // From here on it stays as it is.
    let running = format!(
        "/cairn/v1/test/accounts/{}/workflows/{}/instances/{}/status?is=running",
        named("account"),
        named("workflow"),
        named("instance")
    );
    assert_eq!(text(world, ("GET", &running), "").await["reached"], true);
    let scripts = format!("{root}/workers/scripts/{}", named("script"));
    let deployments = text(world, ("GET", &format!("{scripts}/deployments")), "").await;
    let tail = text(world, ("POST", &format!("{scripts}/tails")), "").await;
    let key = format!(r#"{{"name":"{}","limit":1}}"#, named("key"));
    let key = text(world, ("POST", &format!("{root}/workflows/concurrency")), &key).await;
    let sessions = format!(
        "/cairn/v1/test/accounts/{}/workflows/{}/sessions",
        named("account"),
        named("workflow")
    );
    let session = text(world, ("POST", &sessions), "").await;
    let names = Names {
        account: named("account"),
        script: named("script"),
        script_version,
        deployment: string(&deployments["deployments"][0]["id"]),
        secret: named("secret"),
        workflow: named("workflow"),
        workflow_version: string(&workflow["version_id"]),
        instance: named("instance"),
        token: String::new(),
        tail: string(&tail["id"]),
        session: string(&session["session"]),
        key: string(&key["id"]),
    };
    (names, string(&workflow["id"]))
}

async fn tenant(world: &World, mark: &str) -> Tenant {
    let named = |what: &str| format!("x{mark}x{what}");
    let (mut names, workflow_id) = things(world, &named).await;
    let account = names.account.clone();
    let token = async |scope: &str, more: &str| {
        let body = format!(
            r#"{{"name":"{}","scope":"{scope}","accounts":["{account}"]{more}}}"#,
            named(scope)
        );
        world.token(&body).await
    };
    let (admin, reader) = (token("admin", "").await, token("read", "").await);
    let own_workflow = token("write", &format!(r#","workflows":["{}"]"#, names.workflow)).await;
    names.token = admin.0;
    // A session is named in the answer that makes it, and never again.
    let secrets = names
        .all()
        .map(str::to_owned)
        .into_iter()
        .filter(|name| *name != names.session);
    let more = ["class", "code", "params", "other", "admin"].map(named);
    Tenant {
        secrets: secrets.chain(more).chain([workflow_id, reader.0]).collect(),
        names,
        admin: admin.1,
        reader: reader.1,
        own_workflow: own_workflow.1,
    }
}

/// Everything a client learns.
async fn learned(world: &World, token: &str, (method, path): (&str, &str)) -> (u16, String) {
    let answered = world.ask(token, (method, path), "{}").await;
    let all = format!("{} {:?} {}", answered.status, answered.headers, answered.text);
    (answered.status.as_u16(), all)
}

#[test]
fn every_template_is_its_routes_own() {
    let name = |name: &str| name.to_owned();
    let names = Names {
        account: name("a"),
        script: name("s"),
        script_version: name("v"),
        deployment: name("d"),
        secret: name("k"),
        workflow: name("w"),
        workflow_version: name("v"),
        instance: name("i"),
        token: name("t"),
        tail: name("l"),
        session: name("n"),
        key: name("k"),
    };
    let mut seen = BTreeMap::new();
    for template in TEMPLATES {
        let path = names.path(template);
        let route = TestRoute::parse(&path)
            .map(Route::Test)
            .or_else(|| Route::parse(&path));
        let route = route.unwrap_or_else(|| panic!("{path} is no route"));
        assert_eq!(rule(&route).template, *template, "{path}");
        assert_eq!(seen.insert(template, ()), None, "{template} stands twice");
    }
}

#[tokio::test]
async fn no_route_tells_one_account_of_another() {
    let world = World::for_tests().await;
    let (a, b) = (tenant(&world, "0alpha").await, tenant(&world, "1beta").await);
    let nothing = a.names.of_nothing();
    for (theirs, none) in a.names.all().iter().zip(nothing.all()) {
        assert!(*theirs != none && theirs.len() == none.len(), "{theirs} {none}");
    }
    let in_b = |names: &Names| Names {
        account: b.names.account.clone(),
        ..names.clone()
    };
    let before = state(&world, &a.names).await;
    // In A's account; with A's names in B's own; and with what A's things consist of in B's own.
    let below = |names: &Names| Names {
        script: b.names.script.clone(),
        workflow: b.names.workflow.clone(),
        ..in_b(names)
    };
    let tries = [
        (a.names.clone(), nothing.clone()),
        (in_b(&a.names), in_b(&nothing)),
        (below(&a.names), below(&nothing)),
    ];
    for token in [&b.admin, &b.reader, &b.own_workflow] {
        for template in TEMPLATES {
            for method in METHODS {
                for (theirs, none) in &tries {
                    let request = (token.as_str(), method, *template);
                    no_trace(&world, request, (&a, theirs, none)).await;
                }
            }
        }
    }
    for (now, before) in state(&world, &a.names).await.into_iter().zip(before) {
        assert_eq!(now, before, "nothing of A is changed");
    }
}

/// All that can be read of an account.
async fn state(world: &World, names: &Names) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    // A token of a subscription is another each time.
    let is_still =
        |template: &&&str| template.contains(":account") && !template.ends_with("/subscribe/token");
    for template in TEMPLATES.iter().filter(is_still) {
        let told = learned(world, TOKEN, ("GET", &names.path(template))).await.1;
        // Each form has a boundary of its own.
        let boundary = told
            .split("boundary=")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let told = told.replace(boundary.unwrap_or("\0"), "…");
        all.push((*template, told));
    }
    all
}

/// Tries a route on somebody else's names, and on names of nothing: what is there and what is not are told apart by nothing.
async fn no_trace(
    world: &World,
    (token, method, template): (&str, &str, &str),
    (owner, theirs, none): (&Tenant, &Names, &Names),
) {
    let (path, path_of_nothing) = (theirs.path(template), none.path(template));
    let is_abroad = path.contains(&owner.names.account);
    if path == path_of_nothing && template.contains(":account") && !is_abroad {
        // It is about things of the asker's own.
        return;
    }
    let (status, mut told) = learned(world, token, (method, &path)).await;
    for secret in owner.secrets.iter().filter(|secret| !path.contains(*secret)) {
        assert!(!told.contains(secret), "{method} {path} tells {secret}: {told}");
    }
    assert!(status < 500, "{method} {path}: {told}");
    if is_abroad {
        assert_eq!(status, 403, "{method} {path}: {told}");
    }
    if path == path_of_nothing {
        return;
    }
    let (_, mut expected) = learned(world, token, (method, &path_of_nothing)).await;
    for (theirs, none) in owner.names.all().iter().zip(owner.names.of_nothing().all()) {
        told = told.replace(theirs, "…");
        expected = expected.replace(none, "…");
    }
    assert_eq!(told, expected, "{method} {path} or {path_of_nothing}");
}

#[tokio::test]
async fn the_owner_is_told_all_of_it() {
    let world = World::for_tests().await;
    let a = tenant(&world, "0alpha").await;
    let mut all = String::new();
    for template in TEMPLATES {
        let (status, told) = learned(&world, &a.admin, ("GET", &a.names.path(template))).await;
        assert!(status < 500, "{template}: {told}");
        // What needs another body or method, or what the test's runtime does not do, is not found or refused, but never for want of a right.
        let is_of_all = *template == "/cairn/v1/test/clock";
        assert!(
            (status != 403 && status != 401) || is_of_all,
            "{template}: {told}"
        );
        all.push_str(&told);
    }
    for secret in &a.secrets {
        assert!(
            all.contains(secret),
            "{secret} is seen nowhere, so the other test proves nothing of it"
        );
    }
}

#[tokio::test]
async fn a_reader_changes_nothing_by_any_route() {
    let world = World::for_tests().await;
    let a = tenant(&world, "0alpha").await;
    for template in TEMPLATES {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            let (status, told) = learned(&world, &a.reader, (method, &a.names.path(template))).await;
            let is_verify = template.ends_with("/verify");
            assert!(
                status == 403 || is_verify && status == 405,
                "{method} {template}: {told}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_of_a_workflow_is_told_of_no_other() {
    let world = World::for_tests().await;
    let a = tenant(&world, "0alpha").await;
    let hidden = ["x0alphaxother", "x0alphaxsecret", "x0alphaxadmin"];
    for template in TEMPLATES {
        for method in METHODS {
            let path = a.names.path(template);
            let (status, told) = learned(&world, &a.own_workflow, (method, &path)).await;
            for secret in hidden {
                assert!(!told.contains(secret), "{method} {path} tells {secret}: {told}");
            }
            if template.contains("/workers/") {
                assert_eq!(status, 403, "{method} {path}: {told}");
            }
        }
    }
    let list = world
        .ask(
            &a.own_workflow,
            ("GET", &a.names.path("/client/v4/accounts/:account/workflows")),
            "",
        )
        .await;
    let list = list.json();
    assert_eq!(list["result"].as_array().unwrap().len(), 1);
    assert_eq!(list["result"][0]["name"], "x0alphaxworkflow");
    assert_eq!(list["result_info"]["total_count"], 1);
}
