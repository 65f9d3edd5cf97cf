//! A client of the REST API that costs next to nothing: one connection, one thread, requests one after the other.

use cairn_tests::TOKEN;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer may take longer, whatever the server is doing.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    server: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Its envelope.
    pub(crate) fn envelope(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{} {error}: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The result of a request that was done.
    pub(crate) fn result(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.envelope()["result"].take()
    }

    /// Whether the server has done it (true) or told in due form that it is too busy (false). Anything else is a failure of the test.
    pub(crate) fn was_done(&self) -> bool {
        if self.status == 200 {
            return true;
        }
        let envelope = self.envelope();
        assert_eq!(self.status, 429, "{envelope}");
        assert!(self.retry_after.is_some_and(|seconds| seconds > 0), "{envelope}");
        assert_eq!(envelope["success"], false);
        assert!(envelope["errors"][0]["code"].is_u64(), "{envelope}");
        assert!(
            envelope["messages"][0]
                .as_str()
                .is_some_and(|text| text.contains("limits.")),
            "it should say which setting bounds it: {envelope}"
        );
        false
    }
}

impl Client {
    /// Connects.
    pub(crate) fn new(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            server,
            stream: BufReader::new(stream),
        }
    }

    /// `GET`
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    /// Sends a request and goes away without waiting for the answer.
    pub(crate) fn send_and_leave(mut self, path: &str, body: &str) {
        let request = self.request("POST", path, body);
        self.stream.get_mut().write_all(&request).unwrap();
    }

    /// `POST`
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.request(method, path, body);
        self.stream.get_mut().write_all(&request).unwrap();
        self.answer()
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let head = format!(
            "{method} /client/v4/accounts/local{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.server,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body.as_bytes());
        request
    }

    fn answer(&mut self) -> Answer {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {first:?}"));
        let (mut length, mut retry_after) = (0, None);
        loop {
            let line = self.line().to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                Some(("retry-after", value)) => retry_after = value.trim().parse().ok(),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Answer {
            status,
            retry_after,
            body,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
