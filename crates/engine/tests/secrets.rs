//! Secrets in a database: encrypted by whoever opens it, those of earlier releases too, and in no byte of its files.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside of #[test] functions

use bytes::Bytes;
use cairn_core::Timestamp;
use cairn_engine::{KeySource, Secrets, StoredWorkers};
use cairn_runtime::{Binding, WorkerId, WorkerSource as _};
use cairn_store::sqlite::SqliteStore;
use cairn_store::{NewScriptVersion, Store};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Metadata as releases wrote it that did not encrypt secrets, long enough to fill pages of its own.
fn older(id: &str) -> NewScriptVersion {
    let filler = "x".repeat(10_000);
    NewScriptVersion {
        id: id.to_owned(),
        account: "a".to_owned(),
        script: "s".to_owned(),
        created_at: Timestamp(1),
        metadata: format!(
            r#"{{"main_module":"m.js","modules":[["m.js","es_module"]],"bindings":[
                {{"type":"plain_text","name":"FILLER","text":"{filler}"}},
                {{"type":"secret_text","name":"KEY","text":"unspeakable {id} {filler}"}}],
                "compatibility_date":"2026-01-01","compatibility_flags":[],"workflow_classes":[],"annotations":null}}"#
        ),
        modules: vec![("m.js".to_owned(), Bytes::from_static(b"export default {}"))],
    }
}

fn has_secret(folder: &Path) -> bool {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap());
    files
        .into_iter()
        .any(|bytes| bytes.windows(11).any(|window| window == b"unspeakable"))
}

async fn opened(folder: &Path) -> (Arc<dyn Store>, Arc<Secrets>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder).unwrap());
    let source = KeySource::Own(folder.join("secrets.key"));
    let secrets = Secrets::open(Arc::clone(&store), source).await.unwrap();
    (store, Arc::new(secrets))
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_an_earlier_release_are_encrypted_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    for id in ["one", "two"] {
        store.add_script_version(older(id)).await.unwrap();
    }
    drop(store);
    assert!(has_secret(folder.path()));
    let (store, secrets) = opened(folder.path()).await;
    let kept = store.script_version("one").await.unwrap().unwrap().metadata;
    assert!(!kept.contains("unspeakable") && kept.contains("\"sealed\""));
    drop((store, secrets));
    assert!(!has_secret(folder.path()), "a page has it still");
    let key = folder.path().join("secrets.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let (store, secrets) = opened(folder.path()).await;
    let workers = StoredWorkers::new(Arc::clone(&store), Arc::clone(&secrets));
    let worker = workers.worker(&WorkerId("two".into())).await.unwrap();
    assert!(!format!("{worker:?}").contains("unspeakable"));
    let Binding::Text { text, .. } = &worker.bindings[1] else {
        panic!("no secret");
    };
    assert!(text.starts_with("unspeakable two"));
    drop((store, secrets, workers));

    fs::rename(&key, folder.path().join("elsewhere")).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
    let source = KeySource::Own(key.clone());
    let refused = Secrets::open(Arc::clone(&store), source)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("secrets.key") && refused.contains("CAIRN_SECRETS_KEY"),
        "{refused}"
    );
    assert!(!key.exists(), "no other key is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_secrets_no_key_is_made() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(folder.path()).await);
    assert!(!folder.path().join("secrets.key").exists());
}
