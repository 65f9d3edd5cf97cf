//! Workflow bindings: what user code asks of `env.MY_WORKFLOW`.

use crate::harness::{World, flow, spec};
use async_trait::async_trait;
use cairn_core::{ErrorInfo, RestartFrom, Status, Undo};
use cairn_runtime::{
    Binding, BindingCall, BindingError, BindingHost, BindingMethod, BindingReply, CreateOptions, EventSource,
    Runtime as _, SubscribeCall, Value,
};
use std::sync::{Arc, Mutex};

/// Notes what is asked; knows the instance `known` and makes any but `taken`.
#[derive(Debug, Default)]
struct Host(Mutex<Vec<BindingCall>>);

fn missing() -> BindingError {
    BindingError {
        message: "instance.not_found".into(),
    }
}

#[async_trait]
impl BindingHost for Host {
    async fn call(&self, call: BindingCall) -> Result<BindingReply, BindingError> {
        self.0.lock().unwrap().push(call.clone());
        let id_of = |options: &CreateOptions| options.id.clone().unwrap_or_else(|| "made-up".into());
        match call.method {
            BindingMethod::Get { id } if id == "known" => Ok(BindingReply::Ids(vec![id])),
            BindingMethod::Get { .. } | BindingMethod::Delete { .. } => Err(missing()),
            BindingMethod::Create(options) if options.id.as_deref() == Some("taken") => {
                let message =
                    "(instance.already_exists) Workflow instance with id \"taken\" already exists".into();
                Err(BindingError { message })
            }
            BindingMethod::Create(options) => Ok(BindingReply::Ids(vec![id_of(&options)])),
            BindingMethod::CreateBatch(all) => Ok(BindingReply::Ids(
                all.iter().map(id_of).filter(|id| id != "taken").collect(),
            )),
            BindingMethod::Status { .. } => Ok(BindingReply::Status {
                status: Status::Errored,
                error: Some(ErrorInfo::new("Error", "it\"s broken")),
                output: Some(Value::from_stored("g[[\"s\",1],7]".into()).unwrap()),
                rollback: None,
            }),
            BindingMethod::Pause { .. }
            | BindingMethod::Resume { .. }
            | BindingMethod::Terminate { .. }
            | BindingMethod::Restart { .. }
            | BindingMethod::SendEvent { .. } => Ok(BindingReply::Done),
        }
    }

    async fn subscribe(&self, _: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError> {
        Err(missing())
    }
}

const ASK: &str = "const lines = [];
        const ask = async (name, call) => { try { lines.push(`${name}: ${JSON.stringify(await call(), (k, v) => v instanceof Set ? [...v] : v)}`); } catch (e) { lines.push(`${name}: ${e.constructor.name} ${e.message}`); } };
        const { FLOW } = this.env;";

async fn ask(body: &str) -> Option<(String, Arc<Host>)> {
    let mut spec = spec(&flow(&format!("{ASK}\n{body}\nreturn lines.join('\\n');")));
    spec.bindings.push(Binding::Workflow {
        name: "FLOW".into(),
        workflow_name: "other \"flow\"".into(),
    });
    let mut world = World::with_spec(spec, |_| {})?;
    let host = Arc::new(Host::default());
    world.runtime.set_bindings(host.clone());
    let run = world.start("{}");
    let output = world.output(run).await;
    Some((serde_json::from_str(&output).unwrap(), host))
}

#[tokio::test]
async fn calls_reach_the_host() {
    let body = "await ask('create', () => FLOW.create({ id: 'a', params: { big: 5n, map: new Map([[1, 2]]) }, retention: { successRetention: '1 day', errorRetention: 1000 } }));
        await ask('bare', async () => (await FLOW.create()).id);
        await ask('undefined id', async () => (await FLOW.create({ id: undefined })).id);
        await ask('batch', async () => (await FLOW.createBatch([{ id: 'x' }, { id: 'taken' }])).map(({ id }) => id));
        const it = await FLOW.get('known');
        await ask('status', () => it.status());
        await ask('event', () => it.sendEvent({ type: 'go', payload: new Date(5) }));
        for (const method of ['pause', 'resume', 'terminate', 'restart']) await ask(method, () => it[method]());
        await ask('name', () => FLOW.constructor.name);";
    let Some((output, host)) = ask(body).await else {
        return;
    };
    expect_test::expect![[r#"
        create: {"id":"a"}
        bare: "made-up"
        undefined id: "made-up"
        batch: ["x"]
        status: {"status":"errored","error":{"name":"Error","message":"it\"s broken"},"output":[7]}
        event: undefined
        pause: undefined
        resume: undefined
        terminate: undefined
        restart: undefined
        name: "WorkflowImpl""#]]
    .assert_eq(&output);
    let calls = host.0.lock().unwrap();
    assert!(
        calls
            .iter()
            .all(|call| call.account == "acc" && call.workflow == "other \"flow\"")
    );
    let methods: Vec<BindingMethod> = calls.iter().map(|call| call.method.clone()).collect();
    let known = || "known".to_owned();
    let named = |id: &str| CreateOptions {
        id: Some(id.into()),
        ..CreateOptions::default()
    };
    let expected = vec![
        BindingMethod::Create(CreateOptions {
            id: Some("a".into()),
            params: Some(
                Value::from_stored("g[[\"o\",\"big\",1,\"map\",2],[\"i\",\"5\"],[\"m\",3,4],1,2]".into())
                    .unwrap(),
            ),
            success_retention_millis: Some(86_400_000),
            error_retention_millis: Some(1000),
        }),
        BindingMethod::Create(CreateOptions::default()),
        BindingMethod::Create(CreateOptions::default()),
        BindingMethod::CreateBatch(vec![named("x"), named("taken")]),
        BindingMethod::Get { id: known() },
        BindingMethod::Status { id: known() },
        BindingMethod::SendEvent {
            id: known(),
            event_type: "go".into(),
            payload: Value::from_stored("g[[\"d\",5]]".into()).unwrap(),
        },
        BindingMethod::Pause { id: known() },
        BindingMethod::Resume { id: known() },
        BindingMethod::Terminate {
            id: known(),
            undo: Undo::Nothing,
        },
        BindingMethod::Restart {
            id: known(),
            from: RestartFrom::Beginning,
        },
    ];
    assert_eq!(methods, expected);
}

#[tokio::test]
async fn errors_and_batches_in_object_form() {
    let body = "await ask('get', () => FLOW.get('nope'));
        await ask('taken', () => FLOW.create({ id: 'taken' }));
        await ask('bad id', () => FLOW.create({ id: 5 }));
        await ask('bad retention', () => FLOW.create({ retention: { successRetention: 'soon' } }));
        await ask('function', () => FLOW.create({ params: { f() {} } }));
        await ask('empty', () => FLOW.createBatch([]));
        await ask('object', async () => { const { created, errors } = await FLOW.createBatch({ instances: [{ id: 'x' }, { id: 'taken' }, { id: 'x' }] }); return [created.map(({ id }) => id), errors]; });
        await ask('count', async () => (await FLOW.createBatch({ count: 3, params: 1 })).created.length);
        await ask('no count', () => FLOW.createBatch({ count: 1.5 }));
        await ask('deleteBatch', () => FLOW.deleteBatch(['a', 'a']));
        await ask('unsupported', async () => (await FLOW.get('known')).restart({ from: { name: 'x' } }));";
    let Some((output, _)) = ask(body).await else {
        return;
    };
    expect_test::expect![[r#"
        get: Error instance.not_found
        taken: Error WorkflowError: (instance.already_exists) Workflow instance with id "taken" already exists
        bad id: Error WorkflowError: Workflow instance has invalid id
        bad retention: Error WorkflowError: (body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second, minute, hour, day, week, month or year
        function: Error WorkflowError: (body) params cannot be serialized
        empty: Error WorkflowError: batchCreate should have at least 1 instance
        object: [["x"],[{"index":1,"id":"taken","code":10405,"message":"workflows.api.error.instance.already_exists"},{"index":2,"id":"x","code":10415,"message":"workflows.api.error.instance.duplicate_in_batch"}]]
        count: 3
        no count: Error WorkflowError: (body) count must be a positive integer
        deleteBatch: {"deleted":[],"errors":[{"id":"a","code":10400,"message":"workflows.api.error.instance.not_found"},{"id":"a","code":10400,"message":"workflows.api.error.instance.not_found"}]}
        unsupported: Error WorkflowError: (body) restart({ from }) is not supported by this version of Cairn"#]]
    .assert_eq(&output);
}

/// User code has the binding, and not what stands behind it.
#[tokio::test]
async fn the_inner_binding_is_out_of_reach() {
    let body = "const names = (o) => (o === null || o === Object.prototype ? [] : [...Reflect.ownKeys(o).map(String), ...names(Object.getPrototypeOf(o))]);
        lines.push(names(FLOW).filter((name) => !/^(Symbol.*|constructor|get|create|createBatch|deleteBatch)$/.test(name)).join());
        lines.push(Object.keys(this.env).join());";
    let Some((output, _)) = ask(body).await else {
        return;
    };
    assert_eq!(output, "\nGREETING,FLOW");
}

/// Whoever gets hold of the socket can ask for the bound workflow only, in the account of the process.
#[tokio::test]
async fn the_socket_is_worth_no_more_than_the_binding() {
    let mut spec = spec(&flow("return 1;"));
    spec.bindings.push(Binding::Workflow {
        name: "FLOW".into(),
        workflow_name: "mine".into(),
    });
    let Some(world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    world.runtime.check(world.spec.clone()).await.unwrap();
    let folder = std::fs::read_dir(world.run_dir())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let socket = folder.join("cairn");
    let mine = r#"{"workflow":"mine","method":"get","id":"known"}"#;
    assert_eq!(
        post(&socket, mine).await,
        r#"{"failure":"(internal) cairn is still starting; try again"}"#
    );
    let host = Arc::new(Host::default());
    world.runtime.set_bindings(host.clone());
    assert_eq!(post(&socket, mine).await, r#"{"ids":["known"]}"#);
    for (bad, expected) in [
        (
            r#"{"workflow":"theirs","method":"get","id":"known"}"#,
            "no binding to workflow",
        ),
        (
            r#"{"workflow":"mine","account":"other","method":"get","id":"known"}"#,
            "unknown field",
        ),
        (r#"{"workflow":"mine","method":"get"}"#, "the call has no id"),
        (
            r#"{"workflow":"mine","method":"drop","id":"known"}"#,
            "there is no method",
        ),
        (
            r#"{"workflow":"mine","method":"create","options":[]}"#,
            "create makes one instance",
        ),
        (
            r#"{"workflow":"mine","method":"create","options":[{"params":["g",[]]}]}"#,
            "not an encoded value",
        ),
        (
            r#"{"workflow":"mine","method":"create","options":[{"errorRetention":-1}]}"#,
            "Duration must be",
        ),
        ("\u{0}", "the call is malformed"),
    ] {
        let reply = post(&socket, bad).await;
        assert!(
            reply.starts_with("{\"failure\":") && reply.contains(expected),
            "{bad}: {reply}"
        );
    }
    assert_eq!(host.0.lock().unwrap().len(), 1);
}

async fn post(socket: &std::path::Path, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: cairn\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}
