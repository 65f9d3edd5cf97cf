//! The HTTP API as this command uses it: the same routes and bodies as wrangler's.

use crate::failure::Failure;
use cairn_api::{
    ApiError, Envelope, InstanceCreate, InstanceCreated, InstanceDetails, Note, PutResult, StatusChange,
    StatusChanged,
};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

/// The account that this command works in. Any will do, but it must stay the same.
pub(crate) const ACCOUNT: &str = "local";

/// The API of one account.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
}

/// A request that was not done.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The server said no.
    Refused {
        /// The number of the error.
        code: u32,
        /// What it said.
        message: String,
    },
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
            Self::Refused { code, message } => {
                Failure::new(format!("{doing} was refused: {message} (code {code})"), next)
            }
            Self::Broken(reason) => Failure::new(
                format!("{doing} failed: {reason}"),
                "Look for the reason in the messages above; CAIRN_LOG=debug shows more of them.",
            ),
        }
    }
}

impl Api {
    /// The API of the server at `address`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn new(address: SocketAddr) -> Result<Self, Failure> {
        // Fails when it was done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The server is on this machine: a proxy from the environment would only be in the way.
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| {
            Failure::new(
                format!("No HTTP client can be made: {error}."),
                "This is a fault of this machine's settings; CAIRN_LOG=debug may show more.",
            )
        })?;
        Ok(Self {
            http,
            base: format!("http://{address}/client/v4/accounts/{ACCOUNT}"),
        })
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
        let path = format!("/workflows/{}/instances/{}", segment(workflow), segment(id));
        self.send(self.request(Method::GET, &path)).await
    }

    /// Lets a paused instance go on.
    ///
    /// # Errors
    /// [`RequestError`]
    pub(crate) async fn resume(&self, workflow: &str, id: &str) -> Result<StatusChanged, RequestError> {
        let path = format!(
            "/workflows/{}/instances/{}/status",
            segment(workflow),
            segment(id)
        );
        self.send(self.request(Method::PATCH, &path).json(&StatusChange::Resume))
            .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RequestError> {
        let broken = |error: reqwest::Error| RequestError::Broken(chain(&error));
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let body = response.bytes().await.map_err(broken)?;
        let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(|error| {
            RequestError::Broken(format!("the answer ({status}) cannot be read: {error}"))
        })?;
        if !envelope.success {
            return Err(refused(&envelope));
        }
        envelope
            .result
            .ok_or_else(|| RequestError::Broken(format!("the answer ({status}) has no result")))
    }
}

/// The explanations are for the reader; the errors' names only where there are none.
fn refused<T>(envelope: &Envelope<T>) -> RequestError {
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
        code: envelope.errors.first().map_or(0, |error| error.code),
        message: if notes.is_empty() { errors } else { notes }.join("; "),
    }
}

/// An error with its causes: reqwest's own text leaves out the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// One segment of a path.
fn segment(text: &str) -> String {
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
        let error = refused(&envelope);
        assert!(error.is(ApiError::InstanceNotFound));
        let text = error.while_doing("Reading it", "Look.").to_string();
        assert!(text.contains("there is no instance x (code 10400)"), "{text}");
    }
}
