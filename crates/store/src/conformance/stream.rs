//! Streams: pieces, fences, and what becomes of them.

use super::*;
use crate::{StreamNo, StreamWrite};

const STREAM: StreamNo = StreamNo(7 << 20);

fn piece(held: &Held, stream: StreamNo, index: u32) -> StreamWrite {
    StreamWrite::Append {
        instance: held.no,
        lease: held.lease,
        stream,
        index,
        bytes: Bytes::from(vec![u8::try_from(index).unwrap(); 100_000]),
    }
}

fn drop_range(held: &Held, from: StreamNo, until: StreamNo, keep: &[StreamNo]) -> StreamWrite {
    StreamWrite::Drop {
        instance: held.no,
        from,
        until,
        keep: keep.to_vec(),
    }
}

async fn write(store: &dyn Store, writes: Vec<StreamWrite>) {
    let outcomes = store.write_streams(writes).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

async fn has(store: &dyn Store, held: &Held, stream: StreamNo, index: u32) -> bool {
    store
        .stream_chunk(held.no, stream, index)
        .await
        .unwrap()
        .is_some()
}

pub async fn pieces_are_read_as_written(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    let other = super::held(store, "other").await;
    write(
        store,
        (0..3)
            .map(|index| piece(&held, STREAM, index))
            .chain([piece(&other, STREAM, 0), piece(&held, StreamNo(8), 1)])
            .collect(),
    )
    .await;
    for index in 0..3 {
        let read = store.stream_chunk(held.no, STREAM, index).await.unwrap().unwrap();
        assert_eq!(read.len(), 100_000);
        assert!(read.iter().all(|byte| u32::from(*byte) == index));
    }
    assert!(!has(store, &held, STREAM, 3).await);
    assert!(!has(store, &held, StreamNo(8), 0).await && has(store, &held, StreamNo(8), 1).await);
    assert!(has(store, &other, STREAM, 0).await && !has(store, &other, STREAM, 1).await);
}

pub async fn only_the_holder_writes_pieces(subject: &Subject) {
    let store = &*subject.store;
    let old = held(store, "one").await;
    let lease = store.claim_one(old.node, old.no).await.unwrap().unwrap().lease;
    let new = Held { lease, ..old };
    let outcomes = store
        .write_streams(vec![piece(&old, STREAM, 0), piece(&new, StreamNo(8), 0)])
        .await
        .unwrap();
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    assert!(!has(store, &new, STREAM, 0).await && has(store, &new, StreamNo(8), 0).await);
    accept(store, vec![new.release(None)]).await;
    let late = store
        .write_streams(vec![piece(&new, StreamNo(8), 1)])
        .await
        .unwrap();
    assert!(late[0].is_err(), "{late:?}");
}

pub async fn dropped_streams_are_gone(subject: &Subject) {
    let store = &*subject.store;
    let (held, other) = (held(store, "one").await, super::held(store, "other").await);
    let streams = [1, 2, 3, 4].map(StreamNo);
    for stream in streams {
        // More pieces than are swept at once.
        write(store, (0..70).map(|index| piece(&held, stream, index)).collect()).await;
    }
    write(store, vec![piece(&other, streams[1], 0)]).await;
    write(store, vec![drop_range(&held, streams[1], StreamNo(3), &[])]).await;
    assert!(!has(store, &held, streams[1], 0).await && !has(store, &held, streams[1], 69).await);
    assert!(has(store, &held, streams[0], 69).await && has(store, &held, streams[2], 0).await);
    write(
        store,
        vec![
            drop_range(&held, StreamNo(0), StreamNo(100), &[streams[2]]),
            piece(&held, StreamNo(100), 0),
        ],
    )
    .await;
    assert!(!has(store, &held, streams[0], 0).await && !has(store, &held, streams[3], 69).await);
    assert!(has(store, &held, streams[2], 69).await && has(store, &held, StreamNo(100), 0).await);
    assert!(has(store, &other, streams[1], 0).await);
}

pub async fn streams_go_with_their_instance(subject: &Subject) {
    let store = &*subject.store;
    let (gone, expired) = (held(store, "gone").await, held(store, "expired").await);
    let kept = held(store, "kept").await;
    for held in [&gone, &expired, &kept] {
        write(store, (0..70).map(|index| piece(held, STREAM, index)).collect()).await;
    }
    assert!(store.delete_instance(gone.no).await.unwrap());
    assert!(!has(store, &gone, STREAM, 0).await && !has(store, &gone, STREAM, 69).await);
    let late = store.write_streams(vec![piece(&gone, STREAM, 70)]).await.unwrap();
    assert!(late[0].is_err(), "{late:?}");
    accept(store, vec![expired.end(Status::Complete, at(0))]).await;
    assert!(has(store, &expired, STREAM, 69).await);
    assert_eq!(store.expire(at(SUCCESS_RETENTION), 10).await.unwrap(), 1);
    assert!(!has(store, &expired, STREAM, 69).await);
    assert!(has(store, &kept, STREAM, 69).await);
}

pub async fn streams_go_with_their_workflow(subject: &Subject) {
    let store = &*subject.store;
    let held = held(store, "one").await;
    write(store, vec![piece(&held, STREAM, 0)]).await;
    store.delete_workflow("a", "w").await.unwrap();
    assert!(!has(store, &held, STREAM, 0).await);
    let late = store.write_streams(vec![piece(&held, STREAM, 1)]).await.unwrap();
    assert!(late[0].is_err(), "{late:?}");
}
