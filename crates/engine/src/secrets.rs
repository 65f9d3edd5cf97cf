//! Secrets of scripts: encrypted wherever they are kept, and opened only for the process that needs them.
//!
//! XChaCha20-Poly1305 with a random nonce. Version and name are authenticated with the text, so that a secret cannot be moved to where
//! it does not belong; the id of the key stands beside it, so that a wrong key is told from damage.

use crate::script::{ScriptBinding, ScriptMetadata};
use crate::{EngineError, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_store::Store;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Setting of the store: the id of the key that secrets are encrypted with.
const KEY_SETTING: &str = "secrets_key_id";
/// Setting of the store: there is no secret in it that is not encrypted.
const SEALED_SETTING: &str = "secrets_sealed";
/// Versions looked at in one write, when secrets of an older release are encrypted.
const BATCH: usize = 100;

/// The text of a secret, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretText {
    /// Readable: just given, or opened. Cannot be stored.
    Plain(String),
    /// Encrypted, as it is stored.
    Sealed(String),
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sealed: String,
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => Err(serde::ser::Error::custom(
                "a secret that is not encrypted is not stored",
            )),
            Self::Sealed(sealed) => Sealed {
                sealed: sealed.clone(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What releases have written: at first the text itself.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Plain(String),
            Sealed(Sealed),
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Plain(text) => Self::Plain(text),
            Stored::Sealed(Sealed { sealed }) => Self::Sealed(sealed),
        })
    }
}

/// A key that secrets are encrypted with.
#[derive(Clone)]
pub(crate) struct SecretsKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Where the key comes from.
#[derive(Clone, Default)]
pub enum KeySource {
    /// It was given: 32 bytes, base64.
    Text(String),
    /// It is in a file, which must be there.
    File(PathBuf),
    /// It is in a file, which is made when the first secret comes.
    Own(PathBuf),
    /// In memory alone, for stores that are too.
    #[default]
    Memory,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Own(path) => f.debug_tuple("Own").field(path).finish(),
            Self::Memory => f.write_str("Memory"),
        }
    }
}

fn refused(reason: impl Into<String>) -> EngineError {
    EngineError::Store(StoreError::Refused(reason.into()))
}

impl SecretsKey {
    /// Reads a key.
    ///
    /// # Errors
    /// What it must be, without saying what it is.
    fn from_base64(text: &str, whence: &str) -> Result<Self, EngineError> {
        let bytes = BASE64.decode(text.trim()).ok();
        let bytes: Option<[u8; KEY_BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| {
            refused(format!(
                "{whence} is no key: it must hold {KEY_BYTES} bytes in base64, such as `head -c {KEY_BYTES} /dev/urandom | base64` prints"
            ))
        })?;
        Ok(Self::new(bytes))
    }

    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"cairn secrets key ");
        hash.update(bytes);
        let id = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            id,
            cipher: XChaCha20Poly1305::new(&Key::from(bytes)),
        }
    }

    fn seal(&self, place: &Place<'_>, text: &str) -> Result<String, EngineError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &place.authenticated(),
        };
        let encrypted = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| refused(format!("{place} cannot be encrypted: it is too long")))?;
        let sealed = [nonce.as_slice(), &encrypted].concat();
        Ok(format!("{}.{}", self.id, BASE64.encode(sealed)))
    }

    fn open(&self, place: &Place<'_>, sealed: &str) -> Result<String, EngineError> {
        let damaged = || {
            EngineError::Store(StoreError::Corrupt(format!(
                "{place} cannot be decrypted: what is stored of it is damaged; set it anew"
            )))
        };
        let (id, text) = sealed.split_once('.').ok_or_else(damaged)?;
        if id != self.id {
            return Err(refused(format!(
                "{place} is encrypted with the key {id}, but this server has the key {}; start it with the former",
                self.id
            )));
        }
        let bytes = BASE64.decode(text).map_err(|_| damaged())?;
        let (nonce, encrypted) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload {
            msg: encrypted,
            aad: &place.authenticated(),
        };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload);
        String::from_utf8(opened.map_err(|_| damaged())?).map_err(|_| damaged())
    }
}

fn random<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| refused(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// Where a secret belongs.
struct Place<'a> {
    version: &'a str,
    name: &'a str,
}

impl Place<'_> {
    /// Version ids hold no line breaks.
    fn authenticated(&self) -> Vec<u8> {
        format!("{}\n{}", self.version, self.name).into_bytes()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret \"{}\" of version {}", self.name, self.version)
    }
}

/// Encrypts and decrypts the secrets of a store.
pub struct Secrets {
    store: Arc<dyn Store>,
    source: KeySource,
    key: Mutex<KeptKey>,
}

/// The key, once there is one.
#[derive(Default)]
struct KeptKey {
    key: Option<Arc<SecretsKey>>,
    /// Whether the store knows its id.
    is_noted: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// With a key in memory, for a store that is there too.
    pub fn in_memory(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            source: KeySource::Memory,
            key: Mutex::default(),
        }
    }

    /// Reads the key, sees whether it is the one the store's secrets are encrypted with, and encrypts those of an older release.
    ///
    /// # Errors
    /// When there is no key, or a wrong one: what to do.
    pub async fn open(store: Arc<dyn Store>, source: KeySource) -> Result<Self, EngineError> {
        let key = match &source {
            KeySource::Text(text) => Some(SecretsKey::from_base64(text, "CAIRN_SECRETS_KEY")?),
            KeySource::File(path) => Some(read(path)?),
            KeySource::Own(path) if path.exists() => Some(read(path)?),
            KeySource::Own(_) | KeySource::Memory => None,
        };
        let expected = store.setting(KEY_SETTING).await?;
        match (&expected, &key) {
            (Some(expected), None) => {
                let own = match &source {
                    KeySource::Own(path) => format!("; the file {} is not there", path.display()),
                    KeySource::Text(_) | KeySource::File(_) | KeySource::Memory => String::new(),
                };
                return Err(refused(format!(
                    "the secrets in this database are encrypted with the key {expected}, and no key was given{own}. \
                     Put the file back, or give the key with CAIRN_SECRETS_KEY or --secrets-key-file"
                )));
            }
            (Some(expected), Some(key)) if *expected != key.id => {
                return Err(refused(format!(
                    "the secrets in this database are encrypted with the key {expected}, but the key that was given is {}. \
                     Give the former with CAIRN_SECRETS_KEY or --secrets-key-file",
                    key.id
                )));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        let secrets = Self {
            store,
            source,
            key: Mutex::new(KeptKey {
                key: key.map(Arc::new),
                is_noted: expected.is_some(),
            }),
        };
        secrets.seal_older().await?;
        Ok(secrets)
    }

    /// The key; it is made when there is none yet. The store knows its id before anything is encrypted with it.
    async fn key(&self) -> Result<Arc<SecretsKey>, EngineError> {
        let mut kept = self.key.lock().await;
        let key = match &kept.key {
            Some(key) => Arc::clone(key),
            None => Arc::new(self.made()?),
        };
        kept.key = Some(Arc::clone(&key));
        if !kept.is_noted {
            self.store.put_setting(KEY_SETTING, &key.id).await?;
            kept.is_noted = true;
        }
        Ok(key)
    }

    /// A new key, kept where it is to be.
    fn made(&self) -> Result<SecretsKey, EngineError> {
        let bytes: [u8; KEY_BYTES] = random()?;
        if let KeySource::Own(path) = &self.source {
            make(path, &bytes)?;
            tracing::info!(file = %path.display(), "a key for secrets was made; keep a copy of it apart from the database");
        }
        Ok(SecretsKey::new(bytes))
    }

    /// Encrypts the secrets among the bindings of a version.
    pub(crate) async fn seal(
        &self,
        version: &str,
        mut bindings: Vec<ScriptBinding>,
    ) -> Result<Vec<ScriptBinding>, EngineError> {
        for binding in &mut bindings {
            if let ScriptBinding::SecretText { name, text } = binding
                && let SecretText::Plain(plain) = text
            {
                let sealed = self.key().await?.seal(&Place { version, name }, plain)?;
                *text = SecretText::Sealed(sealed);
            }
        }
        Ok(bindings)
    }

    /// Makes the secrets among the bindings of a version readable.
    pub(crate) async fn unseal(
        &self,
        version: &str,
        mut bindings: Vec<ScriptBinding>,
    ) -> Result<Vec<ScriptBinding>, EngineError> {
        for binding in &mut bindings {
            if let ScriptBinding::SecretText { name, text } = binding
                && let SecretText::Sealed(sealed) = text
            {
                let plain = self.key().await?.open(&Place { version, name }, sealed)?;
                *text = SecretText::Plain(plain);
            }
        }
        Ok(bindings)
    }

    /// Encrypts what an older release has stored as it was, once.
    async fn seal_older(&self) -> Result<(), EngineError> {
        if self.store.setting(SEALED_SETTING).await?.is_some() {
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let rows = self.store.versions_after(after.as_deref(), BATCH).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            let mut sealed = Vec::new();
            for (id, text) in rows {
                match ScriptMetadata::from_stored(&text) {
                    Ok(metadata) if metadata.has_plain_secrets() => {
                        let metadata = ScriptMetadata {
                            bindings: self.seal(&id, metadata.bindings).await?,
                            ..metadata
                        };
                        sealed.push((id, metadata.to_stored()?));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(version = id, %error, "a version is damaged; its secrets, if it has any, were left as they are");
                    }
                }
            }
            if !sealed.is_empty() {
                self.store.replace_metadata(sealed).await?;
            }
        }
        Ok(self.store.put_setting(SEALED_SETTING, "1").await?)
    }
}

fn read(path: &Path) -> Result<SecretsKey, EngineError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        refused(format!(
            "the key of the secrets cannot be read from {}: {error}; make one with `head -c {KEY_BYTES} /dev/urandom | base64`, \
             readable by the server alone",
            path.display()
        ))
    })?;
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others may read the key of the secrets; chmod 600 it");
    }
    SecretsKey::from_base64(&text, &path.display().to_string())
}

/// Writes a new key where nobody else can read it, so that it is there after a crash.
fn make(path: &Path, bytes: &[u8; KEY_BYTES]) -> Result<(), EngineError> {
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{}", BASE64.encode(bytes))?;
        file.sync_all()?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    written().map_err(|error: std::io::Error| {
        refused(format!(
            "a key for secrets cannot be kept in {}: {error}; give one with CAIRN_SECRETS_KEY or --secrets-key-file",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store::MemoryStore;

    fn place(version: &'static str) -> Place<'static> {
        Place { version, name: "KEY" }
    }

    fn binding(text: SecretText) -> Vec<ScriptBinding> {
        vec![ScriptBinding::SecretText {
            name: "KEY".into(),
            text,
        }]
    }

    #[test]
    fn a_secret_opens_where_it_belongs_and_with_its_key() {
        let key = SecretsKey::new([7; KEY_BYTES]);
        let sealed = key.seal(&place("v1"), "hidden").unwrap();
        assert!(!sealed.contains("hidden"));
        assert_ne!(
            sealed,
            key.seal(&place("v1"), "hidden").unwrap(),
            "the nonce is random"
        );
        assert_eq!(key.open(&place("v1"), &sealed).unwrap(), "hidden");
        let moved = key.open(&place("v2"), &sealed).unwrap_err();
        assert!(
            matches!(moved, EngineError::Store(StoreError::Corrupt(_))),
            "{moved}"
        );
        let other = SecretsKey::new([8; KEY_BYTES])
            .open(&place("v1"), &sealed)
            .unwrap_err();
        assert!(
            matches!(other, EngineError::Store(StoreError::Refused(ref text)) if text.contains(&key.id)),
            "{other}"
        );
    }

    #[test]
    fn any_changed_or_missing_byte_is_damage() {
        let key = SecretsKey::new([7; KEY_BYTES]);
        let sealed = key.seal(&place("v1"), "hidden").unwrap();
        let (id, text) = sealed.split_once('.').unwrap();
        let bytes = BASE64.decode(text).unwrap();
        let damaged = |bytes: &[u8]| {
            let opened = key.open(&place("v1"), &format!("{id}.{}", BASE64.encode(bytes)));
            assert!(matches!(opened, Err(EngineError::Store(StoreError::Corrupt(_)))));
        };
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1;
            damaged(&flipped);
            damaged(&bytes[..index]);
        }
    }

    #[test]
    fn a_readable_secret_is_neither_stored_nor_shown() {
        let text = SecretText::Plain("hidden".into());
        assert!(!format!("{:?}", binding(text.clone())).contains("hidden"));
        assert!(serde_json::to_string(&binding(text)).is_err());
        assert!(!format!("{:?}", KeySource::Text("hidden".into())).contains("hidden"));
    }

    #[test]
    fn both_stored_forms_are_read() {
        let read = |text: &str| serde_json::from_str::<SecretText>(text).unwrap();
        assert_eq!(read("\"old\""), SecretText::Plain("old".into()));
        let sealed = SecretText::Sealed("id.x".into());
        assert_eq!(read(&serde_json::to_string(&sealed).unwrap()), sealed);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in ["", "c2hvcnQ=", "not base64!"] {
            let error = SecretsKey::from_base64(text, "CAIRN_SECRETS_KEY")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("CAIRN_SECRETS_KEY") && error.contains("32 bytes"),
                "{error}"
            );
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[tokio::test]
    async fn a_store_is_opened_with_its_own_key_alone() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let key = |byte: u8| KeySource::Text(BASE64.encode([byte; KEY_BYTES]));
        let first = Secrets::open(Arc::clone(&store), key(1)).await.unwrap();
        let sealed = first
            .seal("v", binding(SecretText::Plain("hidden".into())))
            .await
            .unwrap();
        let again = Secrets::open(Arc::clone(&store), key(1)).await.unwrap();
        assert_eq!(
            again.unseal("v", sealed).await.unwrap(),
            binding(SecretText::Plain("hidden".into()))
        );
        let wrong = Secrets::open(Arc::clone(&store), key(2))
            .await
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("CAIRN_SECRETS_KEY"), "{wrong}");
        let none = Secrets::open(store, KeySource::Own("/nonexistent/key".into())).await;
        let none = none.unwrap_err().to_string();
        assert!(none.contains("/nonexistent/key"), "{none}");
    }
}
