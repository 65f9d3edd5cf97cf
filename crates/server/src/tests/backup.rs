//! What is refused, what is put aside, and what is left behind: nothing.

use super::*;
use cairn_store::Store as _;
use cairn_store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A place with the data directory `data`, whose database has a setting.
async fn place(value: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("data"), value).await;
    place
}

async fn put(data_dir: &Path, value: &str) {
    let store = SqliteStore::open(data_dir).unwrap();
    store.put_setting("k", value).await.unwrap();
    store.close();
}

async fn get(path: &Path) -> Option<String> {
    let store = SqliteStore::open(path).unwrap();
    store.setting("k").await.unwrap()
}

fn take(place: &TempDir) -> Manifest {
    backup(&place.path().join("data"), &place.path().join("backup"), |_| ()).unwrap()
}

fn put_back(place: &TempDir, existing: Existing) -> Result<Restored, BackupError> {
    restore(
        &place.path().join("backup"),
        &place.path().join("new"),
        existing,
        |_| (),
    )
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn change_manifest(place: &TempDir, change: impl FnOnce(&mut Value)) {
    let path = place.path().join("backup").join(MANIFEST);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

#[tokio::test]
async fn what_is_backed_up_comes_back() {
    let place = place("first").await;
    let mut told = Vec::new();
    let (data, folder) = (place.path().join("data"), place.path().join("deep/er/backup"));
    let manifest = backup(&data, &folder, |progress| told.push(progress)).unwrap();
    assert_eq!(names(&folder), ["cairn.db", "manifest.json"]);
    assert_eq!(names(folder.parent().unwrap()), ["backup"]);
    assert_eq!(read_manifest(&folder).unwrap(), manifest);
    let bytes = fs::read(folder.join("cairn.db")).unwrap();
    assert_eq!(
        (manifest.bytes, manifest.sha256.as_str()),
        (bytes.len() as u64, hex(&Sha256::digest(&bytes)).as_str())
    );
    for stage in [Stage::Copy, Stage::Check] {
        let last = told.iter().rfind(|progress| progress.stage == stage).unwrap();
        assert_eq!((last.done, last.total), (manifest.bytes, manifest.bytes));
    }
    put(&data, "second").await;

    let new = place.path().join("new");
    let restored = restore(&folder, &new, Existing::Refuse, |_| ()).unwrap();
    assert_eq!((restored.manifest, restored.aside), (manifest, None));
    assert_eq!(names(&new), ["cairn.db", "cairn.db.lock"]);
    assert_eq!(get(&new).await.as_deref(), Some("first"));
    assert_eq!(get(&data).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let place = place("first").await;
    take(&place);
    let again = backup(&place.path().join("data"), &place.path().join("backup"), |_| ());
    assert!(matches!(again, Err(BackupError::Exists(_))));
    fs::create_dir(place.path().join("empty")).unwrap();
    let onto_empty = backup(&place.path().join("data"), &place.path().join("empty"), |_| ());
    assert!(matches!(onto_empty, Err(BackupError::Exists(_))));
    assert_eq!(names(place.path()), ["backup", "data", "empty"]);

    let new = place.path().join("new");
    put(&new, "in the way").await;
    assert!(matches!(
        put_back(&place, Existing::Refuse),
        Err(BackupError::Occupied(_))
    ));
    assert_eq!(get(&new).await.as_deref(), Some("in the way"));
    fs::write(new.join("secrets.key"), "a key").unwrap();
    let aside = put_back(&place, Existing::PutAside).unwrap().aside.unwrap();
    let name = aside.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("cairn.db.before-20") && name.ends_with('Z') && name.len() == 32,
        "{name}"
    );
    assert_eq!(names(&new), ["cairn.db", name, "cairn.db.lock", "secrets.key"]);
    assert_eq!(get(&new).await.as_deref(), Some("first"));
    assert_eq!(get(&aside).await.as_deref(), Some("in the way"));
}

#[tokio::test]
async fn a_server_in_the_way_is_not_disturbed() {
    let place = place("first").await;
    take(&place);
    let server = SqliteStore::open(&place.path().join("new")).unwrap();
    for existing in [Existing::Refuse, Existing::PutAside] {
        let error = put_back(&place, existing).unwrap_err();
        assert!(error.to_string().contains("in use by another cairn"), "{error}");
    }
    server.put_setting("k", "v").await.unwrap();
}

#[tokio::test]
async fn a_damaged_backup_is_refused() {
    let place = place("first").await;
    take(&place);
    let file = place.path().join("backup").join(DATABASE);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 4_000;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = |text: &str| {
        let error = put_back(&place, Existing::Refuse).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(names(&place.path().join("new")), ["cairn.db.lock"]);
    };
    refused("SHA-256");
    // Damaged before it was copied, as it were: the manifest agrees with the file.
    bytes[4096 * 3..4096 * 4].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let sha256 = hex(&Sha256::digest(&bytes));
    change_manifest(&place, |manifest| manifest["sha256"] = json!(sha256));
    refused("damaged");
}

#[tokio::test]
async fn what_is_no_backup_is_refused() {
    let place = place("first").await;
    let refused = |text: &str| {
        let error = put_back(&place, Existing::Refuse).unwrap_err();
        assert!(matches!(error, BackupError::Manifest { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(!place.path().join("new").exists());
    };
    refused("cannot be read");
    take(&place);
    change_manifest(&place, |manifest| manifest["format_version"] = json!(2));
    refused("its format is 2");
    change_manifest(&place, |manifest| {
        manifest["format_version"] = json!(1);
        manifest["bytes"] = json!("many");
    });
    refused("incomplete");
    change_manifest(&place, |manifest| manifest["format"] = json!("other"));
    refused("does not say");
    fs::write(place.path().join("backup").join(MANIFEST), "{").unwrap();
    refused("no JSON");
}

#[tokio::test]
async fn a_backup_of_nothing_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let none = backup(&place.path().join("data"), &place.path().join("backup"), |_| ());
    assert!(matches!(none, Err(BackupError::Store(StoreError::Refused(_)))));
    assert_eq!(names(place.path()), Vec::<String>::new());
    assert!(matches!(
        require_room(place.path(), u64::MAX / 2),
        Err(BackupError::NoRoom { .. })
    ));
}

#[test]
fn a_time_in_a_name() {
    assert_eq!(label(Time(1_786_001_400_007)), "20260806T073000Z");
}
