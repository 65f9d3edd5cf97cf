//! `subscribe()`: the events of an instance, as user code reads them.

use crate::harness::{World, flow, spec};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_runtime::{
    Binding, BindingCall, BindingError, BindingEvent, BindingHost, BindingReply, EventSource, PieceSource,
    ServiceCall, StreamCall, SubscribeCall, Value, WorkerId,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

type Script = VecDeque<Result<Option<BindingEvent>, BindingError>>;

/// Knows the instance `known`, whose events are those of the script; then nothing happens any more.
struct Host {
    calls: Mutex<Vec<SubscribeCall>>,
    script: Script,
    ended: mpsc::UnboundedSender<()>,
}

struct Source {
    script: Script,
    ended: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl EventSource for Source {
    async fn next(&mut self) -> Result<Option<BindingEvent>, BindingError> {
        match self.script.pop_front() {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.ended.send(());
    }
}

#[async_trait]
impl BindingHost for Host {
    async fn call(&self, _: BindingCall) -> Result<BindingReply, BindingError> {
        Ok(BindingReply::Ids(vec!["known".into()]))
    }

    async fn subscribe(&self, call: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError> {
        let unknown = |filter: &Vec<String>| filter.iter().any(|word| word == "nope");
        if call.filter.as_ref().is_some_and(unknown) {
            let message = BindingError::INVALID_SUBSCRIPTION.into();
            return Err(BindingError { message });
        }
        self.calls.lock().unwrap().push(call);
        Ok(Box::new(Source {
            script: self.script.clone(),
            ended: self.ended.clone(),
        }))
    }

    async fn stream(&self, call: StreamCall) -> Result<Box<dyn PieceSource>, BindingError> {
        assert_eq!((call.workflow.as_str(), call.id.as_str()), ("other", "known"));
        match call.entry {
            7 => Ok(Box::new(Pieces(["one ", "two"].into()))),
            8 => Ok(Box::new(Pieces(["one ", "broken"].into()))),
            _ => Err(BindingError {
                message: "(body) no stream".into(),
            }),
        }
    }

    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError> {
        let message = format!("there is no Worker \"{}\"", call.script);
        Err(BindingError { message })
    }
}

struct Pieces(VecDeque<&'static str>);

#[async_trait]
impl PieceSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BindingError> {
        match self.0.pop_front() {
            Some("broken") => Err(BindingError {
                message: "(internal) broken".into(),
            }),
            piece => Ok(piece.map(Bytes::from)),
        }
    }
}

fn event(fields: &str, value: Option<&str>) -> Result<Option<BindingEvent>, BindingError> {
    let stored = |text: &str| Value::from_stored(text.to_owned().into()).unwrap();
    Ok(Some(BindingEvent {
        fields: fields.into(),
        value: value.map(|text| ("output", stored(text))),
        stream: None,
    }))
}

fn event_of_stream(entry: u64) -> Result<Option<BindingEvent>, BindingError> {
    Ok(Some(BindingEvent {
        fields: "{\"output\":\"one …\"}".into(),
        value: None,
        stream: Some(entry),
    }))
}

struct Asked {
    output: String,
    host: Arc<Host>,
    ended: mpsc::UnboundedReceiver<()>,
}

/// What user code says, whose binding has this script.
async fn ask(script: Script, body: &str) -> Option<Asked> {
    let body = format!(
        "const lines = [];
        const text = (value) => JSON.stringify(value, (k, v) => (v instanceof Map ? [...v] : v));
        const read = async (sub) => {{ try {{ const {{ done, value }} = await sub.next(); lines.push(done ? `done ${{value}}` : text(value)); return !done; }} catch (e) {{ lines.push(`${{e.constructor.name}} ${{e.message}}`); }} }};
        const it = await this.env.FLOW.get('known');
        {body}
        return lines.join('\\n');"
    );
    let mut spec = spec(&flow(&body));
    spec.bindings.push(Binding::Workflow {
        name: "FLOW".into(),
        workflow_name: "other".into(),
    });
    let mut world = World::with_spec(spec, |_| {})?;
    let (sender, ended) = mpsc::unbounded_channel();
    let host = Arc::new(Host {
        calls: Mutex::default(),
        script,
        ended: sender,
    });
    world.runtime.set_bindings(host.clone());
    let run = world.start("{}");
    let output = serde_json::from_str(&world.output(run).await).unwrap();
    Some(Asked { output, host, ended })
}

#[tokio::test]
async fn events_are_read_one_after_the_other() {
    let large = format!("j\"{}\"", "ä\u{1f600}".repeat(100_000));
    let script = [
        event("{\"type\":\"workflow_queued\",\"eventId\":4}", None),
        event(
            "{\"eventId\":5}",
            Some("g[[\"o\",\"map\",1],[\"m\",2,3],1,[\"d\",5]]"),
        ),
        event(
            "{\"eventId\":6,\"stepName\":\"a\\u001e-1\"}",
            Some("j{\n  \"pretty\": [1]\n}"),
        ),
        event("{\"eventId\":7}", Some(&large)),
        Ok(None),
    ];
    let body = "const sub = await it.subscribe({ cursor: 3, filter: ['workflow_queued', 'step_completed'] });
        await read(sub); await read(sub); await read(sub);
        lines.push((await sub.next()).value.output === 'ä\u{1f600}'.repeat(100000));
        await read(sub); await read(sub);
        await it.subscribe();";
    let Some(asked) = ask(script.into(), body).await else {
        return;
    };
    expect_test::expect![[r#"
        {"type":"workflow_queued","eventId":4}
        {"eventId":5,"output":{"map":[[1,"1970-01-01T00:00:00.005Z"]]}}
        {"eventId":6,"stepName":"a\u001e-1","output":{"pretty":[1]}}
        true
        done undefined
        done undefined"#]]
    .assert_eq(&asked.output);
    let call = |cursor, filter: Option<[&str; 2]>| SubscribeCall {
        account: "acc".into(),
        workflow: "other".into(),
        id: "known".into(),
        cursor,
        filter: filter.map(|words| words.map(str::to_owned).to_vec()),
    };
    assert_eq!(
        *asked.host.calls.lock().unwrap(),
        [
            call(3, Some(["workflow_queued", "step_completed"])),
            call(0, None)
        ]
    );
}

#[tokio::test]
async fn a_stream_comes_as_a_stream() {
    let script = [event_of_stream(7), event_of_stream(8), event_of_stream(9)];
    let body = "const sub = await it.subscribe();
        const { output } = (await sub.next()).value;
        lines.push(output instanceof ReadableStream, await new Response(output).text());
        const broken = sub.next().then(({ value }) => new Response(value.output).text());
        await broken.then((text) => lines.push(`whole: ${text}`), () => lines.push('broken'));
        await read(sub);";
    let Some(asked) = ask(script.into(), body).await else {
        return;
    };
    expect_test::expect![[r#"
        true
        one two
        broken
        Error WorkflowError: (body) no stream"#]]
    .assert_eq(&asked.output);
}

#[tokio::test]
async fn reads_that_overlap_are_answered_in_order() {
    let script = (1..=3).map(|id| event(&format!("{{\"eventId\":{id}}}"), None));
    let body = "const sub = await it.subscribe();
        const all = await Promise.all([sub.next(), sub.next(), sub.next()]);
        lines.push(all.map(({ value }) => value.eventId).join());";
    let Some(asked) = ask(script.collect(), body).await else {
        return;
    };
    assert_eq!(asked.output, "1,2,3");
}

#[tokio::test]
async fn a_failure_is_thrown_and_ends_it() {
    let gone = BindingError {
        message: "(instance.not_found) Instance does not exist".into(),
    };
    let script = [event("{\"eventId\":1}", None), Err(gone)];
    let body = "const sub = await it.subscribe({}); await read(sub); await read(sub); await read(sub);";
    let Some(asked) = ask(script.into(), body).await else {
        return;
    };
    expect_test::expect![[r#"
        {"eventId":1}
        Error WorkflowError: (instance.not_found) Instance does not exist
        done undefined"#]]
    .assert_eq(&asked.output);
}

/// The form of each was measured on the reference (behaviour §7).
#[tokio::test]
async fn options_are_strict() {
    let body = "for (const options of [null, 5, [], { cursor: -1 }, { cursor: 1.5 }, { cursor: '1' }, { filter: 'x' }, { filter: [1] }, { filter: ['nope'] }, { other: 1 }]) {
          try { await it.subscribe(options); lines.push(`taken: ${text(options)}`); } catch (e) { lines.push(`${e.constructor.name} ${e.message}`); }
        }
        await it.subscribe({ cursor: undefined, filter: undefined });";
    let Some(asked) = ask(Script::new(), body).await else {
        return;
    };
    let refused = ["Error Invalid Workflow subscription options"; 10].join("\n");
    assert_eq!(asked.output, refused);
    assert_eq!(asked.host.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn who_disposes_of_it_is_heard() {
    let script = Script::from([event("{\"eventId\":1}", None)]);
    let body = "const sub = await it.subscribe(); await read(sub); sub[Symbol.dispose]();";
    let Some(mut asked) = ask(script, body).await else {
        return;
    };
    assert_eq!(asked.output, "{\"eventId\":1}");
    let ended = tokio::time::timeout(Duration::from_secs(30), asked.ended.recv()).await;
    assert_eq!(ended, Ok(Some(())), "the subscription goes on");
}
