//! TLS: certificate and key from files, taken up again when they change.

use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where certificate and key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and a root that clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why TLS cannot be had. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} (--{flag}) cannot be read: {error}", path.display())]
    Unreadable {
        /// Which flag named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not PEM, or holds something else.
    #[error("{} (--{flag}) holds no {what} in PEM{why}", path.display())]
    Content {
        /// Which flag named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
        /// More about it.
        why: String,
    },
    /// Certificate and key are not of each other.
    #[error(
        "the key in {} is not the key of the first certificate in {}: give the two that were issued together, \
         and the server's own certificate before those of its issuers", files.key.display(), files.certificate.display()
    )]
    Mismatch {
        /// The files.
        files: Box<TlsFiles>,
    },
    /// The library refuses them.
    #[error(
        "the certificate in {} and the key in {} cannot be used: {error}; take an RSA key of at least 2048 bits, or ECDSA P-256 or P-384, or Ed25519",
        files.certificate.display(), files.key.display()
    )]
    Refused {
        /// The files.
        files: Box<TlsFiles>,
        /// Why.
        error: rustls::Error,
    },
}

/// What the files were when they were read.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// What new connections are met with.
pub(crate) struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    stamp: Mutex<Stamp>,
}

impl Tls {
    /// Reads the files. Blocks.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let config = read(&files)?;
        Ok(Self {
            files,
            config: RwLock::new(config),
            stamp: Mutex::new(stamp),
        })
    }

    /// Meets a connection with what the files had last.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read()))
    }

    /// Reads the files again if they have changed; whether it did. With an error, what was there before goes on. Blocks.
    pub(crate) fn look(&self) -> Result<bool, TlsError> {
        let found = stamp(&self.files);
        let mut known = self.stamp.lock();
        if *known == found {
            return Ok(false);
        }
        // Said once, until they change again.
        *known = found;
        drop(known);
        let config = read(&self.files)?;
        *self.config.write() = config;
        Ok(true)
    }

    /// Looks at the files now and then, without end.
    pub(crate) async fn keep_looking(self: Arc<Self>) {
        let mut rounds = tokio::time::interval(LOOK_EVERY);
        loop {
            rounds.tick().await;
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.look()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => {
                    tracing::info!("certificate and key have changed; new connections get the new ones");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "certificate and key have changed and cannot be used; those before are used on");
                }
                Err(error) => tracing::error!(%error, "certificate and key were not looked at"),
            }
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = read_file("tls-cert", &files.certificate)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificates).collect();
    let content = |flag, path: &Path, what, why: String| TlsError::Content {
        flag,
        path: path.into(),
        what,
        why,
    };
    let no_certificate = |why| content("tls-cert", &files.certificate, "certificate", why);
    let certificates = certificates.map_err(|error| no_certificate(format!(": {error}")))?;
    if certificates.is_empty() {
        return Err(no_certificate(
            "; it must have a block -----BEGIN CERTIFICATE-----".into(),
        ));
    }
    let key = read_file("tls-key", &files.key)?;
    let is_locked = key.windows(10).any(|bytes| bytes == b"ENCRYPTED ");
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
        let why = match error {
            pem::Error::NoItemsFound if is_locked => {
                "; the one in it has a passphrase: take it off with openssl pkey -in KEY -out NEW".into()
            }
            pem::Error::NoItemsFound => "; it must have a block -----BEGIN PRIVATE KEY-----".into(),
            error => format!(": {error}"),
        };
        content("tls-key", &files.key, "private key", why)
    })?;
    let refused = |error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            files: Box::new(files.clone()),
        },
        error => TlsError::Refused {
            files: Box::new(files.clone()),
            error,
        },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_file(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable {
        flag,
        path: path.into(),
        error,
    })
}
