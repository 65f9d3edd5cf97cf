//! The server: there, ready, of the same time, and willing to take the token.

use super::Finding;
use crate::args::RemoteArguments;
use crate::client::{RequestError, unwrap};
use crate::moment::now;
use crate::remote::Remote;
use crate::steps::span;
use reqwest::{Method, header};
use std::time::Duration;

const CHECK: &str = "server";
/// How long it may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The date of an answer is whole seconds, and the answer takes its time.
const CLOCKS_APART_MILLIS: i64 = 3_000;

/// Whether the user said where the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It was said, so there should be one.
    Yes,
    /// It is looked for where it usually is.
    No,
}

impl Named {
    pub(super) fn by(arguments: &RemoteArguments) -> Self {
        if arguments.url.is_some() || std::env::var_os("CLOUDFLARE_API_BASE_URL").is_some() {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// Checks the server.
pub(super) async fn check(remote: &Remote, named: Named) -> Vec<Finding> {
    let api = &remote.api;
    let asked = now();
    let ready = api
        .request_at(Method::GET, "/readyz")
        .timeout(PATIENCE)
        .send()
        .await;
    let response = match ready {
        Ok(response) => response,
        Err(error) => {
            let failure = remote.failure(error.into(), "Asking the server");
            return vec![match named {
                Named::Yes => Finding::failed(CHECK, &failure),
                Named::No => Finding::warning(CHECK, failure.what(), failure.next()),
            }];
        }
    };
    let origin = api.origin();
    let mut findings = Vec::new();
    findings.push(if response.status().is_success() {
        Finding::ok(CHECK, format!("{origin} is ready"))
    } else {
        Finding::problem(
            CHECK,
            format!("{origin} is not ready: it answers {}", response.status()),
            "Its log says why; if this is no cairn server, name yours with --url.",
        )
    });
    let date = response.headers().get(header::DATE);
    findings.extend(
        date.and_then(|date| date.to_str().ok())
            .and_then(http_date)
            .and_then(|date| apart(date, asked.0)),
    );
    findings.push(token(remote).await);
    findings
}

/// The token, as a list of workflows takes it: a server that is open takes anything there.
async fn token(remote: &Remote) -> Finding {
    let request = remote
        .api
        .request(Method::GET, "/workflows")
        .query(&[("per_page", 1)])
        .timeout(PATIENCE);
    let answer = match request.send().await {
        Ok(response) => unwrap(response).await,
        Err(error) => Err(RequestError::from(error)),
    };
    let account = remote.api.account();
    match answer {
        Ok(_) if remote.api.has_token() => Finding::ok("token", format!("good for account \"{account}\"")),
        Ok(_) => Finding::ok("token", "none, and the server wants none"),
        Err(error) => Finding::failed("token", &remote.failure(error, "Using the token")),
    }
}

fn apart(server: i64, own: i64) -> Option<Finding> {
    let apart = server - own;
    (apart.abs() > CLOCKS_APART_MILLIS).then(|| {
        let direction = if apart > 0 { "ahead of" } else { "behind" };
        Finding::warning(
            CHECK,
            format!("its clock is {} {direction} this machine's", span(apart.abs())),
            "Have both kept by NTP. Instances go by the server's; what is shown as ago or left goes by this one.",
        )
    })
}

/// `Sun, 22 Nov 2026 02:48:12 GMT` in milliseconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let mut words = text.split(' ').skip(1);
    let day: u32 = words.next()?.parse().ok()?;
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = words.next()?;
    let month = months.iter().position(|name| *name == month)? + 1;
    let year: u32 = words.next()?.parse().ok()?;
    let time = words.next()?;
    let iso = format!("{year:04}-{month:02}-{day:02}T{time}Z");
    let read: cairn_api::Time = iso.parse().ok()?;
    Some(read.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers_are_read() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60_000));
        for wrong in ["", "Thu, 01 Foo 1970 00:01:00 GMT", "yesterday"] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told_with_the_direction() {
        assert_eq!(apart(1_000, 0), None);
        let what = |server, own| apart(server, own).map(|finding| finding.what);
        assert_eq!(
            what(10_000, 0).as_deref(),
            Some("its clock is 10.0 s ahead of this machine's")
        );
        assert_eq!(
            what(0, 10_000).as_deref(),
            Some("its clock is 10.0 s behind this machine's")
        );
    }
}
