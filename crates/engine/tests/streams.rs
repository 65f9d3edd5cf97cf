//! Streams that steps return: kept once whole, read again, dropped with their attempt.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

mod world;

use bytes::Bytes;
use cairn_core::{CallId, ErrorInfo};
use cairn_engine::{EngineError, InstanceNo, Settings, Status, StepKind, StoreError};
use cairn_runtime::{Command, Known, Outcome, ReportKind, RunId, StoredStream};
use cairn_store::{MemoryStore, Store as _, StreamNo};
use tokio::time::Instant;
use world::{ACCOUNT, World, execute, returned};

/// The number of the first stream of the first holding of an instance.
const FIRST: u64 = 1 << 20;

fn chunk(attempt: u32, index: u32, text: &str) -> ReportKind {
    ReportKind::Chunk {
        call: CallId(1),
        attempt,
        index,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn streamed(attempt: u32, chunks: u32, bytes: u64) -> ReportKind {
    ReportKind::Streamed {
        call: CallId(1),
        attempt,
        chunks,
        bytes,
    }
}

/// An engine with the instance `one`, whose run has called step `s-1`; and its store.
async fn started(settings: Settings) -> (World, MemoryStore) {
    let store = MemoryStore::new();
    let mut world = World::on(store.clone(), settings, Instant::now()).await;
    world
        .deploy("flow", cairn_engine::WorkflowSettings::default())
        .await;
    world.create("flow", &["one"]).await;
    world.pass(10).await;
    world.commands.clear();
    world.report("one", vec![execute(1, "s")]);
    (world, store)
}

async fn instance(world: &World) -> InstanceNo {
    world
        .engine
        .instance_row(ACCOUNT, "flow", "one")
        .await
        .unwrap()
        .1
        .no
}

/// What the engine has asked for, but that pieces are kept.
fn asked(world: &mut World) -> (Vec<Command>, u32) {
    let mut kept = 0;
    let mut others = Vec::new();
    for command in world.commands.drain(..) {
        match command {
            Command::Kept { chunks, .. } => kept += chunks,
            other => others.push(other),
        }
    }
    (others, kept)
}

fn settled(run: RunId, stream: &StoredStream) -> Command {
    Command::Settle {
        run,
        call: CallId(1),
        outcome: Outcome::Value(cairn_engine::Value::stream(stream)),
    }
}

async fn read(world: &World) -> Result<Vec<Bytes>, EngineError> {
    let output = world
        .engine
        .step_output(ACCOUNT, "flow", ("one", "s-1", StepKind::Do, None))
        .await
        .unwrap();
    let mut stream = output.stream.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_result_once_it_is_kept() {
    let (mut world, _) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "first "), chunk(1, 1, "second")]);
    world.pass(10).await;
    assert_eq!(asked(&mut world), (vec![], 2));
    world.report("one", vec![chunk(1, 2, "."), streamed(1, 3, 13)]);
    world.pass(10).await;
    let stream = StoredStream::new(FIRST, (3, 13), b"first second.");
    let run = world.run("one");
    assert_eq!(asked(&mut world), (vec![settled(run, &stream)], 1));
    assert_eq!(read(&world).await.unwrap(), ["first ", "second", "."]);
    let details = world.engine.instance(ACCOUNT, "flow", ("one", 5)).await.unwrap();
    let previews: Vec<_> = details.previews.values().collect();
    assert_eq!(
        (previews[0].text.as_str(), previews[0].is_cut),
        ("first second.", false)
    );
    world.finish("one").await;
    assert_eq!(read(&world).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn its_event_shows_the_preview() {
    let (mut world, _) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "say \"hi\""), streamed(1, 1, 8)]);
    world.pass(10).await;
    world.finish("one").await;
    let follow = cairn_engine::Follow {
        cursor: 0,
        filter: Some([cairn_engine::EventType::StepCompleted].into()),
        ..cairn_engine::Follow::default()
    };
    let followed = world.engine.subscribe(ACCOUNT, "flow", ("one", follow));
    let told = followed.await.unwrap().next().await.unwrap().unwrap();
    let text = told.to_json_text("one");
    assert!(
        text.ends_with(r#""stepName":"s-1","output":"say \"hi\""}"#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_nothing_is_a_stream() {
    let (mut world, _) = started(Settings::default()).await;
    world.report("one", vec![streamed(1, 0, 0)]);
    world.pass(10).await;
    let (commands, _) = asked(&mut world);
    let run = world.run("one");
    assert_eq!(commands, [settled(run, &StoredStream::new(FIRST, (0, 0), b""))]);
    assert!(read(&world).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_run_reads_it_again() {
    let (mut world, store) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "a"), chunk(1, 1, "b"), streamed(1, 2, 2)]);
    world.pass(10).await;
    world.report(
        "one",
        vec![ReportKind::Lost {
            reason: "killed".into(),
        }],
    );
    world.pass(10).await;
    let stream = StoredStream::new(FIRST, (2, 2), b"ab");
    let known = Known::Ended(Outcome::Value(cairn_engine::Value::stream(&stream)));
    assert_eq!(world.runs["one"].history[0].known, known);
    world.commands.clear();
    let pull = |pull, index| ReportKind::Pull {
        pull,
        stream: FIRST,
        index,
    };
    world.report("one", vec![pull(1, 0), pull(2, 1), pull(3, 2)]);
    world.pass(10).await;
    let run = world.run("one");
    let piece = |pull, bytes: Option<&'static str>| Command::Piece {
        run,
        pull,
        bytes: bytes.map(Bytes::from),
    };
    let mut pieces = asked(&mut world).0;
    pieces.sort_by_key(|command| matches!(command, Command::Piece { pull, .. } if *pull > 1) as u32);
    assert!(pieces.contains(&piece(1, Some("a"))) && pieces.contains(&piece(2, Some("b"))));
    assert!(pieces.contains(&piece(3, None)) && pieces.len() == 3);
    // Another stream of this run leaves it where it is.
    world.report("one", vec![execute(2, "t")]);
    let other = |kind| match kind {
        ReportKind::Chunk {
            attempt,
            index,
            bytes,
            ..
        } => ReportKind::Chunk {
            call: CallId(2),
            attempt,
            index,
            bytes,
        },
        other => other,
    };
    world.report("one", vec![other(chunk(1, 0, "c"))]);
    world.pass(10).await;
    let no = instance(&world).await;
    assert!(
        store
            .stream_chunk(no, StreamNo(FIRST), 1)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .stream_chunk(no, StreamNo(2 << 20), 0)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_stops_the_reading_and_drops_what_came() {
    let mut settings = Settings::default();
    settings.limits.default_delay_millis = 500;
    let (mut world, store) = started(settings).await;
    world.report("one", vec![chunk(1, 0, "a"), chunk(1, 1, "b")]);
    world.pass(10).await;
    let no = instance(&world).await;
    assert!(
        store
            .stream_chunk(no, StreamNo(FIRST), 1)
            .await
            .unwrap()
            .is_some()
    );
    // Another step keeps the run from resting.
    world.pass(599_000).await;
    world.report("one", vec![execute(2, "busy")]);
    world.pass(995).await;
    let (run, call) = (world.run("one"), CallId(1));
    let halt = Command::Halt {
        run,
        call,
        attempt: 1,
    };
    let (commands, _) = asked(&mut world);
    assert_eq!(commands, std::slice::from_ref(&halt));
    assert_eq!(store.stream_chunk(no, StreamNo(FIRST), 1).await.unwrap(), None);
    // What was on its way is void; its room is given back.
    world.report("one", vec![chunk(1, 2, "c"), streamed(1, 3, 3)]);
    world.pass(10).await;
    assert_eq!(asked(&mut world), (vec![halt], 1));
    world.pass(500).await;
    assert_eq!(
        asked(&mut world).0,
        [Command::Attempt {
            run,
            call,
            attempt: 2
        }]
    );
    world.report("one", vec![chunk(2, 0, "again"), streamed(2, 1, 5)]);
    world.pass(10).await;
    let stream = StoredStream::new(FIRST + 1, (1, 5), b"again");
    assert_eq!(asked(&mut world), (vec![settled(run, &stream)], 1));
    assert_eq!(read(&world).await.unwrap(), ["again"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_holding_left_is_dropped() {
    let (mut world, store) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "kept"), streamed(1, 1, 4)]);
    world.pass(10).await;
    // As a server leaves it that is killed.
    let no = instance(&world).await;
    let left = cairn_store::StreamWrite::Append {
        instance: no,
        lease: cairn_store::Lease {
            node: cairn_store::NodeId(1),
            epoch: 1,
        },
        stream: StreamNo(FIRST + 1),
        index: 0,
        bytes: Bytes::from("left"),
    };
    assert_eq!(store.write_streams(vec![left]).await.unwrap(), [Ok(())]);
    world.report(
        "one",
        vec![ReportKind::Lost {
            reason: "killed".into(),
        }],
    );
    world.pass(10).await;
    world.report(
        "one",
        vec![execute(1, "t"), chunk(1, 0, "anew"), streamed(1, 1, 4)],
    );
    world.pass(10).await;
    let has = |stream| store.stream_chunk(no, StreamNo(stream), 0);
    assert!(has(FIRST).await.unwrap().is_some());
    assert_eq!(has(FIRST + 1).await.unwrap(), None);
    assert!(has(2 << 20).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_storage_limit_ends_the_instance_before_it_is_kept() {
    let mut settings = Settings::default();
    settings.limits.state_bytes = 8;
    let (mut world, store) = started(settings).await;
    world.report(
        "one",
        vec![chunk(1, 0, "1234"), chunk(1, 1, "5678"), chunk(1, 2, "9")],
    );
    world.pass(10).await;
    assert_eq!(world.status("one").await, Status::Errored);
    let details = world.engine.instance(ACCOUNT, "flow", ("one", 5)).await.unwrap();
    let message = "The instance has exceeded the 8 bytes storage limit";
    assert_eq!(
        details.view.error,
        Some(ErrorInfo::new("WorkflowFatalError", message))
    );
    let no = instance(&world).await;
    assert_eq!(store.stream_chunk(no, StreamNo(FIRST), 0).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_a_result_over_the_limit_of_results() {
    let mut settings = Settings::default();
    settings.limits.result_bytes = 3;
    let (mut world, _) = started(settings).await;
    world.report("one", vec![chunk(1, 0, "12345"), streamed(1, 1, 5)]);
    world.pass(10).await;
    assert_eq!(read(&world).await.unwrap(), ["12345"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_takes_its_open_streams_along() {
    let (mut world, store) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "a"), returned("1")]);
    world.pass(10).await;
    assert_eq!(world.status("one").await, Status::Complete);
    let no = instance(&world).await;
    assert_eq!(store.stream_chunk(no, StreamNo(FIRST), 0).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn pieces_out_of_order_cost_the_run() {
    for kinds in [
        vec![chunk(1, 1, "b")],
        vec![chunk(1, 0, "a"), chunk(1, 0, "a")],
        vec![chunk(1, 0, "a"), streamed(1, 2, 1)],
        vec![chunk(1, 0, "a"), streamed(1, 1, 2)],
        vec![streamed(1, 1, 0)],
    ] {
        let (mut world, _) = started(Settings::default()).await;
        let first = world.run("one");
        world.report("one", kinds);
        world.pass(2_000).await;
        assert_ne!(world.run("one"), first);
        assert_eq!(world.status("one").await, Status::Running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_incomplete_is_an_error_to_who_reads_it() {
    let (mut world, store) = started(Settings::default()).await;
    world.report("one", vec![chunk(1, 0, "a"), chunk(1, 1, "b"), streamed(1, 2, 2)]);
    world.pass(10).await;
    let drop = cairn_store::StreamWrite::Drop {
        instance: instance(&world).await,
        from: StreamNo(0),
        until: StreamNo(u64::MAX),
        keep: Vec::new(),
    };
    store.write_streams(vec![drop]).await.unwrap();
    let error = read(&world).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Store(StoreError::Corrupt(text)) if text == "stream: piece 0 is missing"),
        "{error}"
    );
}
