//! The HTTP API as this command uses it: the same routes and bodies as wrangler's.

use crate::failure::Failure;
use cairn_api::{
    ApiError, Envelope, InstanceCreate, InstanceCreated, InstanceDetails, Note, PutResult, ResultInfo,
    StatusChange, StatusChanged,
};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The account that `run` and `dev` work in, and the default of the others.
pub(crate) const ACCOUNT: &str = "local";

/// How long a server may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take for an answer; uploads are started by the server before they are answered.
const ANSWER: Duration = Duration::from_secs(120);

/// The API of one account.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    origin: String,
    account: String,
    token: Option<String>,
}

/// Where the API is and who asks.
#[derive(Clone)]
pub(crate) struct Place {
    /// Scheme, host and port, and a path below which the API is; no slash at the end.
    pub(crate) origin: String,
    /// The account.
    pub(crate) account: String,
    /// The token; none where the server wants none.
    pub(crate) token: Option<String>,
    /// Certificates to trust instead of those of the system.
    pub(crate) ca_file: Option<PathBuf>,
}

/// What the server answered: the result as it was sent, so that it can be passed on whole, and where in a list it stands.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The result; null where there is none.
    pub(crate) result: Box<RawValue>,
    /// Where in a list it stands.
    pub(crate) info: Option<ResultInfo>,
}

impl Reply {
    /// The result, read.
    ///
    /// # Errors
    /// [`RequestError::Broken`]
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, RequestError> {
        read(&self.result)
    }
}

/// Reads a part of an answer.
///
/// # Errors
/// [`RequestError::Broken`]
pub(crate) fn read<T: DeserializeOwned>(result: &RawValue) -> Result<T, RequestError> {
    serde_json::from_str(result.get())
        .map_err(|error| RequestError::Broken(format!("the answer cannot be read: {error}")))
}

/// A request that was not done.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The server said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The number of the error.
        code: u32,
        /// What it said.
        message: String,
    },
    /// There is no server, or none that can be spoken to.
    Unreachable(String),
    /// No answer, or none that can be read.
    Broken(String),
}

impl RequestError {
    /// Whether the server refused for this reason.
    pub(crate) fn is(&self, kind: ApiError) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == kind.code())
    }

    /// As a failure of what was `doing`.
    pub(crate) fn while_doing(self, doing: &str, next: &str) -> Failure {
        match self {
            Self::Refused { code, message, .. } => {
                Failure::new(format!("{doing} was refused: {message} (code {code})"), next)
            }
            Self::Unreachable(reason) | Self::Broken(reason) => Failure::new(
                format!("{doing} failed: {reason}"),
                "Look for the reason in the messages above; CAIRN_LOG=debug shows more of them.",
            ),
        }
    }
}

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> Self {
        let text = chain(&error);
        if error.is_connect() {
            Self::Unreachable(text)
        } else {
            Self::Broken(text)
        }
    }
}

impl Api {
    /// The API of the server of this process, at `address`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn local(address: SocketAddr) -> Result<Self, Failure> {
        Self::at(Place {
            origin: format!("http://{address}"),
            account: ACCOUNT.into(),
            token: None,
            ca_file: None,
        })
    }

    /// The API of a server anywhere.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn at(place: Place) -> Result<Self, Failure> {
        Ok(Self {
            http: http(&place)?,
            origin: place.origin,
            account: place.account,
            token: place.token,
        })
    }

    /// The account.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Where the server is.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether requests carry a token.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Uploads and deploys a script.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn put_script(
        &self,
        name: &str,
        form: reqwest::multipart::Form,
    ) -> Result<cairn_api::ScriptUploaded, RequestError> {
        let path = format!(
            "/workers/scripts/{}?excludeScript=true&bindings_inherit=strict",
            segment(name)
        );
        self.send(self.request(Method::PUT, &path).multipart(form)).await
    }

    /// Says when a script's `scheduled` handler is called, instead of what was said before.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn put_crons(&self, name: &str, crons: &[String]) -> Result<(), RequestError> {
        let path = format!("/workers/scripts/{}/schedules", segment(name));
        let crons: Vec<_> = crons
            .iter()
            .map(|cron| serde_json::json!({ "cron": cron }))
            .collect();
        self.reply(self.request(Method::PUT, &path).json(&crons))
            .await
            .map(|_| ())
    }

    /// Creates or changes a workflow.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn put_workflow(
        &self,
        name: &str,
        body: &serde_json::Value,
    ) -> Result<PutResult, RequestError> {
        let path = format!("/workflows/{}", segment(name));
        self.send(self.request(Method::PUT, &path).json(body)).await
    }

    /// Creates an instance.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn create(
        &self,
        workflow: &str,
        body: &InstanceCreate,
    ) -> Result<InstanceCreated, RequestError> {
        let path = format!("/workflows/{}/instances", segment(workflow));
        self.send(self.request(Method::POST, &path).json(body)).await
    }

    /// An instance with its steps.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn instance(&self, workflow: &str, id: &str) -> Result<InstanceDetails, RequestError> {
        self.send(self.request(Method::GET, &instance_path(workflow, id)))
            .await
    }

    /// Lets a paused instance go on.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn resume(&self, workflow: &str, id: &str) -> Result<StatusChanged, RequestError> {
        let path = format!("{}/status", instance_path(workflow, id));
        self.send(self.request(Method::PATCH, &path).json(&StatusChange::Resume))
            .await
    }

    /// A request to a path of the account.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let account = segment(&self.account);
        self.request_at(method, &format!("/client/v4/accounts/{account}{path}"))
            .timeout(ANSWER)
    }

    /// A request to any path of the server, that may take as long as it takes.
    pub(crate) fn request_at(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.origin));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the result.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RequestError> {
        self.reply(request).await?.read()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn reply(&self, request: RequestBuilder) -> Result<Reply, RequestError> {
        unwrap(request.send().await?).await
    }
}

/// The path of an instance below its account.
pub(crate) fn instance_path(workflow: &str, id: &str) -> String {
    format!("/workflows/{}/instances/{}", segment(workflow), segment(id))
}

/// The content of an envelope.
///
/// # Errors
/// [`RequestError`]
pub(crate) async fn unwrap(response: Response) -> Result<Reply, RequestError> {
    let status = response.status();
    let body = response.bytes().await?;
    let envelope: Envelope<Box<RawValue>> = serde_json::from_slice(&body).map_err(|_| {
        let text = String::from_utf8_lossy(&body);
        let beginning: String = text.trim().chars().take(200).collect();
        RequestError::Broken(format!(
            "the answer ({status}) is none of Cairn's API: {beginning:?}"
        ))
    })?;
    if !envelope.success {
        return Err(refused(status.as_u16(), &envelope));
    }
    Ok(Reply {
        result: envelope.result.unwrap_or_else(|| RawValue::NULL.to_owned()),
        info: envelope.result_info,
    })
}

/// An HTTP client for a server. Without TLS it does not look for the system's certificates: a machine may have none.
fn http(place: &Place) -> Result<reqwest::Client, Failure> {
    // Fails when it was done before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(&place.origin) {
        // A proxy from the environment would only be in the way.
        builder = builder.no_proxy();
    }
    if let Some(file) = &place.ca_file {
        builder = builder.tls_certs_only(certificates(file)?);
    } else if place.origin.starts_with("http://") {
        let nobody = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
        builder = builder.tls_backend_preconfigured(nobody.with_no_client_auth());
    }
    builder.build().map_err(|error| {
        Failure::new(
            format!("No HTTP client can be made: {}.", chain(&error)),
            "For https:// the system's certificates are needed: install ca-certificates, or name a file of them with SSL_CERT_FILE or --ca-file.",
        )
    })
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, Failure> {
    let wrong = |reason: String| {
        Failure::new(
            format!("{} cannot be used as certificates: {reason}.", file.display()),
            "Give a readable PEM file with --ca-file (or CAIRN_CA_FILE).",
        )
    };
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&bytes).map_err(|error| wrong(chain(&error)))?;
    if found.is_empty() {
        return Err(wrong("it holds none".into()));
    }
    Ok(found)
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(origin: &str) -> bool {
    reqwest::Url::parse(origin).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.ends_with(".localhost")
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// The explanations are for the reader; the errors' names only where there are none.
fn refused<T>(status: u16, envelope: &Envelope<T>) -> RequestError {
    let notes: Vec<&str> = envelope
        .messages
        .iter()
        .map(|note| match note {
            Note::Text(text) => text.as_str(),
            Note::Coded(error) => error.message.as_str(),
        })
        .collect();
    let errors: Vec<&str> = envelope
        .errors
        .iter()
        .map(|error| error.message.as_str())
        .collect();
    RequestError::Refused {
        status,
        code: envelope.errors.first().map_or(0, |error| error.code),
        message: if notes.is_empty() { errors } else { notes }.join("; "),
    }
}

/// An error with its causes: reqwest's own text leaves out the reason.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_any_name() {
        assert_eq!(segment("a-b_c.1"), "a-b_c.1");
        assert_eq!(segment("*/5 ü"), "%2A%2F5%20%C3%BC");
    }

    #[test]
    fn a_refusal_says_the_explanation() {
        let envelope =
            cairn_api::Failure::new(ApiError::InstanceNotFound, "there is no instance x").envelope();
        let error = refused(404, &envelope);
        assert!(error.is(ApiError::InstanceNotFound));
        let text = error.while_doing("Reading it", "Look.").to_string();
        assert!(text.contains("there is no instance x (code 10400)"), "{text}");
    }

    #[test]
    fn this_machine_has_several_names() {
        for own in [
            "http://127.0.0.1:8787",
            "http://[::1]:1",
            "https://localhost",
            "http://a.localhost:80",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["https://cairn.example", "http://10.0.0.1:8787", "nothing"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = certificates(file.path()).unwrap_err().to_string();
        assert!(failure.contains("it holds none"), "{failure}");
    }
}
