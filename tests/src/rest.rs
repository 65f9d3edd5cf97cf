//! The REST API, as any client speaks it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A client of one account.
#[derive(Debug, Clone)]
pub struct Rest {
    http: reqwest::Client,
    address: SocketAddr,
    token: String,
    account: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The envelope.
    pub body: Value,
}

/// An answer that is no envelope.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The HTTP status.
    pub status: u16,
    /// The type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The result of a request that was done.
    pub fn result(&self) -> &Value {
        assert_eq!(self.body["success"], true, "{} {}", self.status, self.body);
        &self.body["result"]
    }

    /// The code of the error; 0 when there is none.
    pub fn code(&self) -> u64 {
        self.body["errors"][0]["code"].as_u64().unwrap_or(0)
    }
}

impl Rest {
    /// Talks to the server at `address` with a token, in the account `local`.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        crate::tls_provider();
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            address,
            token: token.to_owned(),
            account: "local".to_owned(),
        }
    }

    /// The same client in another account.
    #[must_use]
    pub fn in_account(&self, account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..self.clone()
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!(
            "http://{}/client/v4/accounts/{}{path}",
            self.address, self.account
        );
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Sends a request; none when the server is gone, which a test may have brought about.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
            .await
            .expect("the server answers")
    }

    /// `GET` of what is no envelope.
    pub async fn raw(&self, path: &str) -> Raw {
        self.try_raw(path).await.expect("the server answers")
    }

    /// The same; none when the server is gone.
    pub async fn try_raw(&self, path: &str) -> Option<Raw> {
        let response = self.request(Method::GET, path).send().await.ok()?;
        let content_type = response.headers().get("content-type");
        Some(Raw {
            status: response.status().as_u16(),
            content_type: content_type.map(|value| value.to_str().unwrap().to_owned()),
            body: response.bytes().await.ok()?.to_vec(),
        })
    }

    /// `POST`
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
            .await
            .expect("the server answers")
    }

    /// Deploys a script of one module with a workflow of the same name.
    pub async fn deploy(&self, name: &str, class: &str, source: &str) {
        self.deploy_bound(name, class, (source, &json!([]))).await;
    }

    /// The same, with bindings.
    pub async fn deploy_bound(&self, name: &str, class: &str, (source, bindings): (&str, &Value)) {
        self.deploy_script(name, (source, bindings)).await;
        let put = json!({ "script_name": name, "class_name": class });
        let put = self
            .send(Method::PUT, &format!("/workflows/{name}"), Some(&put))
            .await;
        put.expect("the server answers").result();
    }

    /// Deploys a script of one module with bindings.
    pub async fn deploy_script(&self, name: &str, (source, bindings): (&str, &Value)) {
        let metadata =
            json!({ "main_module": "index.js", "compatibility_date": "2026-11-01", "bindings": bindings });
        let module = reqwest::multipart::Part::text(source.to_owned())
            .file_name("index.js")
            .mime_str("application/javascript+module")
            .unwrap();
        let form = reqwest::multipart::Form::new()
            .text("metadata", metadata.to_string())
            .part("index.js", module);
        let upload = self
            .request(Method::PUT, &format!("/workers/scripts/{name}"))
            .multipart(form);
        answer(upload).await.expect("the server answers").result();
    }

    /// Asks a deployed Worker by its host name; status and body.
    pub async fn worker(&self, script: &str, path: &str) -> (u16, String) {
        let host = format!("{script}.localhost:{}", self.address.port());
        let request = self
            .http
            .get(format!("http://{}{path}", self.address))
            .header("host", host);
        let response = request.send().await.expect("the server answers");
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

async fn answer(request: RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.ok()?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{status}: {error}: {}", String::from_utf8_lossy(&bytes)));
    Some(Answer { status, body })
}
