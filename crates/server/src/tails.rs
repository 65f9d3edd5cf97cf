//! Who follows what Workers do (`wrangler tail`): sessions in memory, each with filters and a bounded queue.

use axum::http::header::HeaderName;
use cairn_api::{ApiError, Failure, TailFilter};
use cairn_engine::{Clock as _, SystemClock, Timestamp};
use cairn_runtime::{RunTrace, Trace, TraceSink, TracedWorker};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

/// Sessions of one script at a time.
const TAILS_MAX: usize = 10;
/// How long a session lasts, milliseconds.
const TAIL_MILLIS: u64 = 6 * 3_600_000;
/// How long a session may be without a listener, milliseconds.
const UNHEARD_MILLIS: u64 = 60_000;
/// Items that wait for a slow listener; more are left out, which it is told.
const QUEUE: usize = 1_000;
/// A process that was told that nobody follows says nothing for 1 s (`crates/runtime/js/tail.js`); a listener is let in when all know better.
const QUIET: Duration = Duration::from_millis(1_100);

/// The sessions.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<Vec<Session>>);

#[derive(Debug)]
struct Session {
    id: Uuid,
    account: String,
    script: String,
    filters: Vec<TailFilter>,
    created_at: Timestamp,
    begun: Instant,
    queue: mpsc::Sender<String>,
    /// Until somebody listens.
    waiting: Option<mpsc::Receiver<String>>,
    left_out: u64,
}

/// A session as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailRow {
    pub(crate) id: Uuid,
    pub(crate) expires_at: Timestamp,
}

/// The listening end of a session; the session ends with it.
#[derive(Debug)]
pub(crate) struct Listener {
    id: Uuid,
    tails: Arc<Tails>,
    items: mpsc::Receiver<String>,
    heard_from: Instant,
    pub(crate) expires_at: Timestamp,
}

impl Session {
    fn row(&self) -> TailRow {
        TailRow {
            id: self.id,
            expires_at: self.created_at.plus(TAIL_MILLIS),
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let age = now.millis_since(self.created_at);
        age >= TAIL_MILLIS || (self.waiting.is_some() && age >= UNHEARD_MILLIS)
    }

    fn is_of(&self, account: &str, script: &str) -> bool {
        self.account == account && self.script == script
    }

    fn take(&mut self, item: &Json) {
        if !self.filters.iter().all(|filter| passes(filter, item)) {
            return;
        }
        if self.left_out > 0 && self.queue.try_send(overload(self.left_out)).is_ok() {
            self.left_out = 0;
        }
        if self.queue.try_send(item.to_string()).is_err() {
            self.left_out += 1;
        }
    }
}

impl Tails {
    /// Begins a session, which waits for its listener.
    ///
    /// # Errors
    /// When the script has as many as it may.
    pub(crate) fn create(
        &self,
        (account, script): (&str, &str),
        filters: Vec<TailFilter>,
    ) -> Result<TailRow, Failure> {
        let now = SystemClock.now();
        let mut sessions = self.0.lock();
        sessions.retain(|session| !session.is_over(now));
        let count = sessions
            .iter()
            .filter(|session| session.is_of(account, script))
            .count();
        if count >= TAILS_MAX {
            return Err(Failure::new(
                ApiError::Unavailable,
                format!(
                    "{count} tails follow script \"{script}\" already, and there may be no more; end one of them"
                ),
            ));
        }
        let (queue, waiting) = mpsc::channel(QUEUE);
        let session = Session {
            id: Uuid::new_v4(),
            account: account.into(),
            script: script.into(),
            filters,
            created_at: now,
            begun: Instant::now(),
            queue,
            waiting: Some(waiting),
            left_out: 0,
        };
        let row = session.row();
        sessions.push(session);
        Ok(row)
    }

    /// The sessions of a script, oldest first.
    pub(crate) fn list(&self, account: &str, script: &str) -> Vec<TailRow> {
        let now = SystemClock.now();
        let sessions = self.0.lock();
        let live = sessions
            .iter()
            .filter(|session| session.is_of(account, script) && !session.is_over(now));
        live.map(Session::row).collect()
    }

    /// Ends a session; whether there was one.
    pub(crate) fn delete(&self, (account, script): (&str, &str), id: &str) -> bool {
        let Ok(id) = id.parse::<Uuid>() else {
            return false;
        };
        let mut sessions = self.0.lock();
        let count = sessions.len();
        sessions.retain(|session| session.id != id || !session.is_of(account, script));
        sessions.len() < count
    }

    /// Ends all sessions.
    pub(crate) fn close(&self) {
        self.0.lock().clear();
    }

    /// Who knows the id may listen, once.
    pub(crate) fn listen(self: &Arc<Self>, id: &str) -> Option<Listener> {
        let id = id.parse::<Uuid>().ok()?;
        let now = SystemClock.now();
        let mut sessions = self.0.lock();
        let session = sessions
            .iter_mut()
            .find(|session| session.id == id && !session.is_over(now))?;
        let items = session.waiting.take()?;
        Some(Listener {
            id,
            tails: Arc::clone(self),
            items,
            heard_from: session.begun + QUIET,
            expires_at: session.row().expires_at,
        })
    }
}

impl Listener {
    /// Waits until everything that happens from now on will be heard.
    pub(crate) async fn all_ears(&self) {
        tokio::time::sleep_until(self.heard_from).await;
    }

    /// The next item as JSON text; none when the session was ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.items.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tails.0.lock().retain(|session| session.id != self.id);
    }
}

impl TraceSink for Tails {
    fn is_followed(&self, worker: &TracedWorker) -> bool {
        let sessions = self.0.lock();
        sessions
            .iter()
            .any(|session| session.is_of(&worker.account, &worker.script))
    }

    fn take(&self, worker: &TracedWorker, trace: Trace) {
        let item = item(worker, trace, SystemClock.now());
        let mut sessions = self.0.lock();
        let of_script = |session: &&mut Session| session.is_of(&worker.account, &worker.script);
        for session in sessions.iter_mut().filter(of_script) {
            session.take(&item);
        }
    }
}

/// An item in the form that clients of the protocol `trace-v1` read.
fn item(worker: &TracedWorker, trace: Trace, now: Timestamp) -> Json {
    let mut item = match trace {
        Trace::Handler(item) => item,
        Trace::Run(run) => run_item(run, now),
    };
    if let Some(fields) = item.as_object_mut() {
        fields.insert("scriptName".into(), json!(worker.script));
        fields.insert("scriptVersion".into(), json!({ "id": worker.version }));
        // Clients ask for the length of both.
        for list in ["logs", "exceptions"] {
            fields.entry(list).or_insert_with(|| json!([]));
        }
    }
    item
}

/// What a run did, told as a call of `run()` on its class.
fn run_item(run: RunTrace, now: Timestamp) -> Json {
    let logs: Vec<Json> = run
        .logs
        .into_iter()
        .map(|line| json!({ "level": line.level, "message": [line.text], "timestamp": now.0, "step": line.step }))
        .collect();
    let exceptions: Vec<Json> = run
        .error
        .into_iter()
        .map(|error| json!({ "name": error.name, "message": error.message, "timestamp": now.0 }))
        .collect();
    json!({
        "outcome": if exceptions.is_empty() { "ok" } else { "exception" },
        "entrypoint": run.class_name,
        "event": { "rpcMethod": "run", "workflowName": run.workflow, "instanceId": run.instance },
        "eventTimestamp": now.0,
        "logs": logs,
        "exceptions": exceptions,
        "diagnosticsChannelEvents": [],
        "truncated": false,
    })
}

fn overload(count: u64) -> String {
    let message =
        format!("{count} items were left out: this tail is read more slowly than the Worker is used");
    json!({ "event": { "type": "overload", "message": message }, "logs": [], "exceptions": [], "outcome": "ok" })
        .to_string()
}

fn passes(filter: &TailFilter, item: &Json) -> bool {
    let request = &item["event"]["request"];
    match filter {
        TailFilter::Sampling { sampling_rate } => chance() < *sampling_rate,
        TailFilter::Outcome { outcome } => item["outcome"]
            .as_str()
            .is_some_and(|ended| outcome.iter().any(|wanted| wanted == ended)),
        TailFilter::Method { method } => request["method"]
            .as_str()
            .is_some_and(|sent| method.iter().any(|wanted| wanted.eq_ignore_ascii_case(sent))),
        TailFilter::Header { header } => {
            let sent = header_of(request, &header.key);
            sent.is_some_and(|sent| {
                header
                    .query
                    .as_ref()
                    .is_none_or(|text| sent.contains(text.as_str()))
            })
        }
        TailFilter::ClientIp { client_ip } => header_of(request, "cf-connecting-ip")
            .is_some_and(|address| client_ip.iter().any(|wanted| wanted == address)),
        TailFilter::Query { query } => item["logs"].as_array().is_some_and(|logs| {
            let text = |line: &Json| line["message"].to_string().contains(query.as_str());
            logs.iter().any(text)
        }),
        TailFilter::ScriptVersion { script_version } => {
            item["scriptVersion"]["id"] == script_version.as_str()
        }
    }
}

fn header_of<'i>(request: &'i Json, name: &str) -> Option<&'i str> {
    let name: HeaderName = name.parse().ok()?;
    request["headers"].get(name.as_str())?.as_str()
}

/// From 0 to 1.
fn chance() -> f64 {
    // Without random bytes all items pass.
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_runtime::TracedLine;

    fn worker(account: &str) -> TracedWorker {
        TracedWorker {
            account: account.into(),
            script: "s".into(),
            version: "v1".into(),
        }
    }

    fn fetched(method: &str, text: &str) -> Trace {
        Trace::Handler(json!({
            "outcome": "ok",
            "event": { "request": { "method": method, "url": "http://s/", "headers": { "x-a": "one two" } } },
            "logs": [{ "level": "log", "message": [text], "timestamp": 1 }],
            "exceptions": [],
        }))
    }

    fn filters(text: &str) -> Vec<TailFilter> {
        serde_json::from_str(text).unwrap()
    }

    fn heard(listener: &mut Listener) -> Vec<Json> {
        let mut all = Vec::new();
        while let Ok(text) = listener.items.try_recv() {
            all.push(serde_json::from_str(&text).unwrap());
        }
        all
    }

    fn listen(tails: &Arc<Tails>, wanted: &str) -> Listener {
        let row = tails.create(("a", "s"), filters(wanted)).unwrap();
        tails.listen(&row.id.to_string()).unwrap()
    }

    #[tokio::test]
    async fn each_hears_what_it_asked_for() {
        let tails = Arc::new(Tails::default());
        assert!(!tails.is_followed(&worker("a")));
        let wanted = [
            ("[]", 3),
            (r#"[{"method":["post"]}]"#, 1),
            (r#"[{"query":"needle"}]"#, 1),
            (r#"[{"header":{"key":"X-A"}}]"#, 2),
            (r#"[{"header":{"key":"X-A","query":"three"}}]"#, 0),
            (r#"[{"outcome":["exception"]}]"#, 1),
            (r#"[{"scriptVersion":"v1"},{"method":["GET"]}]"#, 1),
            (r#"[{"scriptVersion":"v2"}]"#, 0),
            (r#"[{"sampling_rate":0.0}]"#, 0),
            (r#"[{"client_ip":["10.0.0.1"]}]"#, 0),
        ];
        let mut listeners: Vec<Listener> = wanted.iter().map(|(text, _)| listen(&tails, text)).collect();
        assert!(tails.create(("a", "s"), Vec::new()).is_err(), "an eleventh");
        tails.take(&worker("a"), fetched("GET", "hay"));
        tails.take(&worker("a"), fetched("POST", "a needle"));
        tails.take(&worker("b"), fetched("GET", "another account's"));
        let run = RunTrace {
            class_name: "Flow".into(),
            workflow: "f".into(),
            instance: "i".into(),
            logs: vec![TracedLine {
                level: "info",
                step: "a-1".into(),
                text: "hello".into(),
            }],
            error: Some(cairn_engine::ErrorInfo::new("TypeError", "no")),
        };
        tails.take(&worker("a"), Trace::Run(run));
        for (listener, (text, count)) in listeners.iter_mut().zip(wanted) {
            assert_eq!(heard(listener).len(), count, "{text}");
        }
    }

    #[tokio::test]
    async fn a_run_is_told_as_a_call_of_its_class() {
        let tails = Arc::new(Tails::default());
        let mut listener = listen(&tails, "[]");
        let run = RunTrace {
            class_name: "Flow".into(),
            workflow: "f".into(),
            instance: "i".into(),
            logs: vec![],
            error: None,
        };
        tails.take(&worker("a"), Trace::Run(run));
        let told = &heard(&mut listener)[0];
        assert_eq!(
            (&told["entrypoint"], &told["event"]["rpcMethod"]),
            (&json!("Flow"), &json!("run"))
        );
        assert_eq!(
            (&told["scriptName"], &told["scriptVersion"]["id"]),
            (&json!("s"), &json!("v1"))
        );
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_missed() {
        let tails = Arc::new(Tails::default());
        let mut listener = listen(&tails, "[]");
        for _ in 0..QUEUE + 7 {
            tails.take(&worker("a"), fetched("GET", "x"));
        }
        assert_eq!(heard(&mut listener).len(), QUEUE);
        tails.take(&worker("a"), fetched("GET", "x"));
        let told = heard(&mut listener);
        assert_eq!(told.len(), 2);
        let message = told[0]["event"]["message"].as_str().unwrap();
        assert!(message.starts_with("7 items were left out"), "{message}");
    }

    #[tokio::test]
    async fn a_session_is_heard_once_and_ends_with_its_listener() {
        let tails = Arc::new(Tails::default());
        let row = tails.create(("a", "s"), Vec::new()).unwrap();
        let id = row.id.to_string();
        assert_eq!(tails.list("a", "s"), std::slice::from_ref(&row));
        assert_eq!(tails.list("b", "s"), []);
        let listener = tails.listen(&id).unwrap();
        assert!(tails.listen(&id).is_none());
        drop(listener);
        assert!(!tails.is_followed(&worker("a")));
        let row = tails.create(("a", "s"), Vec::new()).unwrap();
        let id = row.id.to_string();
        let mut listener = tails.listen(&id).unwrap();
        assert!(!tails.delete(("b", "s"), &id));
        assert!(tails.delete(("a", "s"), &id));
        assert_eq!(listener.next().await, None);
    }
}
