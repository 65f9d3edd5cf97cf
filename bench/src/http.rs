//! A lean HTTP/1.1 client: one socket, one request at a time, requests made once and sent as they are.
//!
//! Two cores carry the load generator and what it measures, so what it costs is taken from every system's figure; this costs about as much as
//! its system calls do. It speaks as much HTTP as the measured servers answer with.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// The bytes of a request.
#[derive(Debug, Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// `headers` are whole lines, each with its line end.
    pub(crate) fn get(host: &str, path: &str, headers: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes())
    }

    /// A request with a JSON body.
    pub(crate) fn post(host: &str, path: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self(
            format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(PIECE),
        })
    }

    /// The body of the answer, which must be a success.
    pub(crate) async fn ask(&mut self, request: &Request) -> anyhow::Result<Vec<u8>> {
        self.stream.write_all(&request.0).await?;
        loop {
            if let Some((answer, length)) = parse(&self.received)? {
                self.received.drain(..length);
                if !(200..300).contains(&answer.status) {
                    bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                }
                return Ok(answer.body);
            }
            self.received.reserve(PIECE);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the server closed the connection before it had answered");
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// An answer and how many bytes it took; nothing while it is incomplete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Answer, usize)>> {
    let Some(head_length) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_length]).context("an answer's head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status
        .and_then(|word| word.parse().ok())
        .context("an answer without a status")?;
    let header = |wanted: &str| {
        let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
        fields
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
    };
    let start = head_length + 4;
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        let chunks = dechunk(&bytes[start..])?;
        return Ok(chunks.map(|(body, length)| (Answer { status, body }, start + length)));
    }
    let length: usize = match header("content-length") {
        Some(value) => value.parse().context("an answer's length is no number")?,
        None if status == 204 => 0,
        None => bail!("an answer without a length: {head}"),
    };
    let body = bytes.get(start..start + length).map(<[u8]>::to_vec);
    Ok(body.map(|body| (Answer { status, body }, start + length)))
}

/// A chunked body and how many bytes it took; nothing while it is incomplete.
fn dechunk(bytes: &[u8]) -> anyhow::Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let size = String::from_utf8_lossy(&bytes[at..at + line]);
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk's size is no number")?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> Option<(u16, String, usize)> {
        parse(text.as_bytes()).unwrap().map(|(answer, length)| {
            let body = String::from_utf8(answer.body).unwrap();
            (answer.status, body, length)
        })
    }

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        ] {
            for end in 0..text.len() {
                assert_eq!(parsed(&text[..end]), None, "{end} bytes of {text:?}");
            }
            let more = format!("{text}HTTP/1.1 404 No\r\n");
            assert_eq!(parsed(&more), Some((200, "hello".to_owned(), text.len())));
        }
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\nfor ever").is_err());
        assert_eq!(
            parsed("HTTP/1.1 204 No Content\r\n\r\n"),
            Some((204, String::new(), 27))
        );
    }
}
