//! Workflow bindings: what user code asks of `env.MY_WORKFLOW`.

use crate::harness::{World, flow, spec};
use async_trait::async_trait;
use cairn_core::{ErrorInfo, RestartFrom, RollbackView, Status, StepKey, StepKind, Undo};
use cairn_runtime::{
    Binding, BindingCall, BindingError, BindingHost, BindingMethod, BindingReply, CreateOptions, EventSource,
    PieceSource, Runtime as _, ServiceCall, StreamCall, SubscribeCall, Value, WorkerId, WorkflowExport,
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
            BindingMethod::Get { id } if id != "nope" => Ok(BindingReply::Ids(vec![id])),
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
            BindingMethod::Status { id } => Ok(BindingReply::Status {
                rollback: rollback(&id),
                status: Status::Errored,
                error: Some(ErrorInfo::new("Error", "it\"s broken")),
                output: Some(Value::from_stored("g[[\"s\",1],7]".into()).unwrap()),
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

    async fn stream(&self, _: StreamCall) -> Result<Box<dyn PieceSource>, BindingError> {
        Err(missing())
    }

    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError> {
        let message = format!("there is no Worker \"{}\"", call.script);
        Err(BindingError { message })
    }
}

/// The rollback of an instance of this name.
fn rollback(id: &str) -> Option<RollbackView> {
    let outcome = match id {
        "rolled" => Some(Ok(())),
        "stuck" => Some(Err(ErrorInfo::new("Error", "no"))),
        "rolling" => None,
        _ => return None,
    };
    Some(RollbackView {
        outcome,
        steps: Vec::new(),
    })
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

/// What `calls_reach_the_host` has asked.
fn expected_methods() -> Vec<BindingMethod> {
    let known = || "known".to_owned();
    let named = |id: &str| CreateOptions {
        id: Some(id.into()),
        ..CreateOptions::default()
    };
    let restart = |kind, count| BindingMethod::Restart {
        id: known(),
        from: RestartFrom::Step(StepKey {
            kind,
            name: "charge".into(),
            count,
        }),
    };
    vec![
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
        BindingMethod::Create(CreateOptions {
            params: Some(Value::from_json("null").unwrap()),
            ..CreateOptions::default()
        }),
        BindingMethod::CreateBatch(vec![
            CreateOptions {
                params: Some(Value::from_json("1").unwrap()),
                ..CreateOptions::default()
            };
            2
        ]),
        BindingMethod::Terminate {
            id: known(),
            undo: Undo::Steps,
        },
        BindingMethod::Terminate {
            id: known(),
            undo: Undo::Nothing,
        },
        restart(StepKind::WaitForEvent, 2),
        restart(StepKind::Do, 1),
    ]
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
        await ask('null params', async () => (await FLOW.create({ params: null })).id);
        await ask('count', async () => (await FLOW.createBatch({ count: 2, params: 1, locationHint: 'weur' })).created.length);
        await ask('terminate', () => it.terminate({ rollback: true }));
        await ask('terminate', () => it.terminate({ rollback: false }));
        await ask('restart', () => it.restart({ from: { name: 'charge', count: 2, type: 'waitForEvent' } }));
        await ask('restart', () => it.restart({ from: { name: 'charge' } }));
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
        null params: "made-up"
        count: 2
        terminate: undefined
        terminate: undefined
        restart: undefined
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
    assert_eq!(methods, expected_methods());
}

/// Calls that are refused, by name.
const REFUSED: &str = "const big = 'x'.repeat(600_000);
        const cases = {
          'get': () => FLOW.get('nope'),
          'taken': () => FLOW.create({ id: 'taken' }),
          'number id': () => FLOW.create({ id: 5 }),
          'null id': () => FLOW.create({ id: null }),
          'bad id': () => FLOW.create({ id: 'a b' }),
          'reserved id': () => FLOW.create({ id: 'batch' }),
          'id of the engine': () => FLOW.create({ id: `cf_${'0'.repeat(64)}` }),
          'no options': () => FLOW.create(5),
          'retention': () => FLOW.create({ retention: { successRetention: 'soon' } }),
          'negative retention': () => FLOW.create({ retention: { errorRetention: -1 } }),
          'function': () => FLOW.create({ params: { f() {} } }),
          'batch: empty': () => FLOW.createBatch([]),
          'batch: many': () => FLOW.createBatch(Array.from({ length: 101 }, () => ({}))),
          'batch: bad id': () => FLOW.createBatch([{ id: 'ok' }, { id: 'a b' }]),
          'batch: reserved id': () => FLOW.createBatch([{ id: 'terminate' }]),
          'batch: large': () => FLOW.createBatch([{ params: big }, { params: big }]),
          'batch: nothing': () => FLOW.createBatch(),
          'batch: number': () => FLOW.createBatch(5),
          'batch: {}': () => FLOW.createBatch({}),
          'count: 0': () => FLOW.createBatch({ count: 0 }),
          'count: undefined': () => FLOW.createBatch({ count: undefined, instances: [{}] }),
          'count: 1.5': () => FLOW.createBatch({ count: 1.5 }),
          'count: text': () => FLOW.createBatch({ count: '2' }),
          'count: many': () => FLOW.createBatch({ count: 101 }),
          'count: retention': () => FLOW.createBatch({ count: 1, retention: { successRetention: 0 } }),
          'count: location': () => FLOW.createBatch({ count: 1, locationHint: 'moon' }),
          'instances: empty': () => FLOW.createBatch({ instances: [] }),
          'instances: many': () => FLOW.createBatch({ instances: Array.from({ length: 101 }, () => ({})) }),
          'instances: number': () => FLOW.createBatch({ instances: 5 }),
          'instances: [5]': () => FLOW.createBatch({ instances: [5] }),
          'instances: [null]': () => FLOW.createBatch({ instances: [null] }),
          'instances: [[]]': () => FLOW.createBatch({ instances: [[]] }),
          'instances: location': () => FLOW.createBatch({ instances: [{}, { locationHint: 'moon' }] }),
          'instances: retention': () => FLOW.createBatch({ instances: [{ retention: { errorRetention: 1.5 } }] }),
          'instances: bad id': () => FLOW.createBatch({ instances: [{ id: 'ok' }, { id: 'a b' }] }),
          'instances: reserved id': () => FLOW.createBatch({ instances: [{ id: 'terminateAll' }] }),
          'delete: nothing': () => FLOW.deleteBatch(),
          'delete: empty': () => FLOW.deleteBatch([]),
          'delete: many': () => FLOW.deleteBatch(Array.from({ length: 101 }, () => 'x')),
          'delete: number': () => FLOW.deleteBatch(['a', 5]),
          'delete: bad id': () => FLOW.deleteBatch(['a', 'a?b']),
        };
        for (const [name, call] of Object.entries(cases)) await ask(name, call);
        const it = await FLOW.get('known');
        for (const from of [{}, { name: 'a', count: 0 }, { name: 'a', count: 1.5 }, { name: 'a', type: 'x' }, 5]) await ask(JSON.stringify(from), () => it.restart({ from }));
        await ask('event type', () => it.sendEvent({ type: 5 }));";

/// The words are those of the reference engine; what it takes where it should not (reserved ids) is refused.
#[tokio::test]
async fn what_is_refused() {
    let Some((output, host)) = ask(REFUSED).await else {
        return;
    };
    expect_test::expect![[r#"
        get: Error instance.not_found
        taken: Error WorkflowError: (instance.already_exists) Workflow instance with id "taken" already exists
        number id: Error WorkflowError: Workflow instance has invalid id
        null id: Error WorkflowError: Workflow instance has invalid id
        bad id: Error WorkflowError: Workflow instance has invalid id
        reserved id: Error WorkflowError: Workflow instance has invalid id
        id of the engine: Error WorkflowError: Workflow instance has invalid id
        no options: Error WorkflowError: (body) Provided argument is invalid
        retention: Error WorkflowError: (body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second(s), minute(s), etc.
        negative retention: Error WorkflowError: (body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second(s), minute(s), etc.
        function: Error WorkflowError: (body) params cannot be serialized
        batch: empty: Error WorkflowError: batchCreate should have at least 1 instance
        batch: many: Error WorkflowError: batchCreate only supports 100 instances at a time
        batch: bad id: Error WorkflowError: Workflow instance has invalid id
        batch: reserved id: Error WorkflowError: Workflow instance has invalid id
        batch: large: Error WorkflowError: (body) Batch size exceeds maximum allowed
        batch: nothing: Error WorkflowError: (body) Provided argument is invalid
        batch: number: Error WorkflowError: (body) Provided argument is invalid
        batch: {}: Error WorkflowError: (body) Provided argument is invalid
        count: 0: Error WorkflowError: (body) count must be a positive integer
        count: undefined: Error WorkflowError: (body) count must be a positive integer
        count: 1.5: Error WorkflowError: (body) count must be a positive integer
        count: text: Error WorkflowError: (body) count must be a positive integer
        count: many: Error WorkflowError: (body) batchCreate only supports 100 instances at a time
        count: retention: Error WorkflowError: (body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second(s), minute(s), etc.
        count: location: Error WorkflowError: (body) Invalid option: expected one of "wnam"|"weur"|"enam"|"eeur"|"apac"|"apac-ne"|"apac-se"|"oc"|"sam"|"afr"|"me"
        instances: empty: Error WorkflowError: (body) Batch size exceeds maximum allowed
        instances: many: Error WorkflowError: (body) Batch size exceeds maximum allowed
        instances: number: Error WorkflowError: (body) Provided argument is invalid
        instances: [5]: Error WorkflowError: (body) Invalid input: expected object, received number
        instances: [null]: Error WorkflowError: (body) Invalid input: expected object, received null
        instances: [[]]: Error WorkflowError: (body) Invalid input: expected object, received array
        instances: location: Error WorkflowError: (body) Invalid option: expected one of "wnam"|"weur"|"enam"|"eeur"|"apac"|"apac-ne"|"apac-se"|"oc"|"sam"|"afr"|"me"
        instances: retention: Error WorkflowError: (body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second(s), minute(s), etc.
        instances: bad id: Error WorkflowError: (instance.invalid_id) Instance ID is invalid
        instances: reserved id: Error WorkflowError: (instance.invalid_id) Instance ID is invalid
        delete: nothing: Error WorkflowError: (body) Provided argument is invalid
        delete: empty: Error WorkflowError: (body) batchDeleteInstances should have at least 1 instance
        delete: many: Error WorkflowError: (body) batchDeleteInstances only supports 100 instances at a time
        delete: number: Error WorkflowError: (instance.invalid_id) Instance ID is invalid
        delete: bad id: Error WorkflowError: (instance.invalid_id) Instance ID is invalid
        {}: Error WorkflowError: (instance.cannot_restart) Step "undefined" not found in execution history
        {"name":"a","count":0}: Error WorkflowError: (instance.cannot_restart) Step "a" not found in execution history
        {"name":"a","count":1.5}: Error WorkflowError: (instance.cannot_restart) Step "a" not found in execution history
        {"name":"a","type":"x"}: Error WorkflowError: (instance.cannot_restart) Step "a" not found in execution history
        5: Error WorkflowError: (instance.cannot_restart) Step "undefined" not found in execution history
        event type: Error WorkflowError: (workflow.invalid_event_type) The event type must be a string"#]]
    .assert_eq(&output);
    // What cairn was asked at all: nothing was created.
    let calls = host.0.lock().unwrap();
    let creates: Vec<&BindingMethod> = calls
        .iter()
        .map(|call| &call.method)
        .filter(|method| matches!(method, BindingMethod::Create(_) | BindingMethod::CreateBatch(_)))
        .collect();
    assert_eq!(creates.len(), 1, "{creates:?}");
}

#[tokio::test]
async fn batches_tell_of_each_instance() {
    let body = "const ids = (list) => list.map(({ id }) => id);
        await ask('object', async () => { const { created, errors } = await FLOW.createBatch({ instances: [{ id: 'x' }, { id: 'taken' }, { id: 'x' }, { id: 'y', locationHint: 'oc' }] }); return [ids(created), errors]; });
        await ask('array', async () => ids(await FLOW.createBatch([{ id: 'x' }, { id: 'taken' }])));
        await ask('delete', () => FLOW.deleteBatch(['a', '*/30 * * * *-1786001400000', 'a']));";
    let Some((output, _)) = ask(body).await else {
        return;
    };
    expect_test::expect![[r#"
        object: [["x","y"],[{"index":1,"id":"taken","code":10405,"message":"workflows.api.error.instance.already_exists"},{"index":2,"id":"x","code":10415,"message":"workflows.api.error.instance.duplicate_in_batch"}]]
        array: ["x"]
        delete: {"deleted":[],"errors":[{"id":"a","code":10400,"message":"workflows.api.error.instance.not_found"},{"id":"*/30 * * * *-1786001400000","code":10400,"message":"workflows.api.error.instance.not_found"},{"id":"a","code":10400,"message":"workflows.api.error.instance.not_found"}]}"#]]
    .assert_eq(&output);
}

#[tokio::test]
async fn the_status_tells_of_a_rollback() {
    let body = "for (const id of ['known', 'rolling', 'rolled', 'stuck']) await ask(id, async () => (await FLOW.get(id)).status().then(({ output, error, ...rest }) => rest));";
    let Some((output, _)) = ask(body).await else {
        return;
    };
    expect_test::expect![[r#"
        known: {"status":"errored"}
        rolling: {"status":"errored","rollback":null}
        rolled: {"status":"errored","rollback":{"error":null,"outcome":"complete"}}
        stuck: {"status":"errored","rollback":{"error":{"message":"no","name":"Error"},"outcome":"failed"}}"#]]
    .assert_eq(&output);
}

/// Workflows that are declared, or bound in their own script, are found by their class.
#[tokio::test]
async fn exports_are_bindings() {
    let mut spec = spec(&flow(&format!(
        "{ASK}
        await ask('name', () => this.ctx.exports.Flow.constructor.name);
        await ask('create', async () => (await this.ctx.exports.Flow.create({{ id: 'a' }})).id);
        await ask('unknown', () => this.ctx.exports.Other);
        return lines.join('\\n');"
    )));
    spec.compatibility_date = "2026-11-01".into();
    spec.exports.push(WorkflowExport {
        class_name: "Flow".into(),
        workflow_name: "mine".into(),
    });
    let Some(mut world) = World::with_spec(spec, |_| {}) else {
        return;
    };
    let host = Arc::new(Host::default());
    world.runtime.set_bindings(host.clone());
    let run = world.start("{}");
    let output: String = serde_json::from_str(&world.output(run).await).unwrap();
    assert_eq!(
        output,
        "name: \"WorkflowImpl\"\ncreate: \"a\"\nunknown: undefined"
    );
    let calls = host.0.lock().unwrap();
    assert_eq!(
        (calls[0].account.as_str(), calls[0].workflow.as_str()),
        ("acc", "mine")
    );
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
