//! Who may do what, in one place: a request is [admitted](Access::admit) by its token, its route has a [rule], the token
//! [may](Identity::may) do that or not, and a change is written to the audit log.

mod attempts;
pub(crate) mod audit;
mod client;
pub(crate) mod identity;
pub(crate) mod rules;
pub(crate) mod tokens;

pub(crate) use audit::{Begun, Remarks};
pub use client::ClientAddress;
pub(crate) use client::{Peer, Scheme};
pub(crate) use identity::Identity;
pub(crate) use rules::rule;

use crate::auth::{self, Gate};
use crate::route::Route;
use crate::subscribers::{Subscribers, presented};
use attempts::Attempts;
use audit::{Audit, Entry, Retention};
use axum::http::Method;
use axum::http::request::Parts;
use cairn_api::{ApiError, Failure};
use cairn_engine::{Clock, Timestamp};
use cairn_store::{AccessStore, StoreError};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokens::Tokens;

/// How often the audit log is trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// What there is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessSettings {
    /// Wrong tokens that an address may send a minute; 0 for any number.
    pub failed_attempts_per_minute: u32,
    /// Entries of the audit log that are kept.
    pub audit_entries: u64,
    /// How long they are kept, milliseconds.
    pub audit_millis: u64,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            failed_attempts_per_minute: 10,
            audit_entries: 1_000_000,
            audit_millis: 400 * 86_400_000,
        }
    }
}

/// Who may do what.
pub(crate) struct Access {
    gate: Gate,
    pub(crate) tokens: Tokens,
    attempts: Attempts,
    audit: Audit,
    pub(crate) store: Arc<dyn AccessStore>,
    client: ClientAddress,
    clock: Arc<dyn Clock>,
    root: Arc<Identity>,
    local: Arc<Identity>,
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) who: Arc<Identity>,
    /// Where he is, as far as it is known.
    pub(crate) address: Option<IpAddr>,
    pub(crate) scheme: Scheme,
    pub(crate) at: Timestamp,
}

impl Access {
    /// With the tokens that are kept.
    pub(crate) async fn set_up(
        gate: Gate,
        store: Arc<dyn AccessStore>,
        (settings, client, clock): (AccessSettings, ClientAddress, Arc<dyn Clock>),
    ) -> Result<Self, StoreError> {
        let retention = Retention {
            entries: settings.audit_entries,
            millis: settings.audit_millis,
        };
        Ok(Self {
            gate,
            tokens: Tokens::load(Arc::clone(&store)).await?,
            attempts: Attempts::new(settings.failed_attempts_per_minute),
            audit: Audit::new(Arc::clone(&store), retention),
            store,
            client,
            clock,
            root: Arc::new(Identity::root()),
            local: Arc::new(Identity::local()),
        })
    }

    /// Whether no token is wanted: everybody who asks is on this machine.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets a request in by its token, or says why not.
    pub(crate) fn admit(&self, subscribers: &Subscribers, parts: &Parts) -> Result<Visitor, Failure> {
        let address = self.client.of(&parts.headers, &parts.extensions);
        let at = self.now();
        let who = match presented(&parts.method, &parts.uri) {
            Some(presented) => match subscribers.admit(&presented, at) {
                Some(who) => Arc::new(who),
                None => {
                    return Err(self.wrong(address, at, "the token of this subscription is wrong or has expired; ask for a new one at …/subscribe/token"));
                }
            },
            None => self.by_token(parts, (address, at))?,
        };
        Ok(Visitor {
            who,
            address,
            scheme: self.client.scheme(&parts.headers, &parts.extensions),
            at,
        })
    }

    fn by_token(
        &self,
        parts: &Parts,
        (address, at): (Option<IpAddr>, Timestamp),
    ) -> Result<Arc<Identity>, Failure> {
        let Gate::Token(root) = &self.gate else {
            auth::refuse_foreign(&parts.uri, &parts.headers)?;
            return Ok(Arc::clone(&self.local));
        };
        let Some(presented) = auth::presented_token(&parts.headers) else {
            return Err(Failure::new(
                ApiError::Authentication,
                "no API token was sent; send the header Authorization: Bearer <token> (wrangler: CLOUDFLARE_API_TOKEN)",
            ));
        };
        let hash = auth::hash(presented);
        if root.is_it(&hash) {
            return match self.attempts.wait_seconds(address, at).filter(|_| root.is_short) {
                Some(seconds) => Err(too_many(seconds)),
                None => Ok(Arc::clone(&self.root)),
            };
        }
        let Some(token) = self.tokens.find(&hash) else {
            return Err(self.wrong(
                address,
                at,
                "the API token is wrong, or was revoked; tokens are made with cairn token create, and the root token is the value of \
                 CAIRN_ROOT_TOKEN or the one that was shown at the first start",
            ));
        };
        self.tokens.used(&token, at);
        Ok(Arc::clone(&token.who))
    }

    fn wrong(&self, address: Option<IpAddr>, at: Timestamp, text: &str) -> Failure {
        match self.attempts.failed(address, at) {
            None => Failure::new(ApiError::Authentication, text),
            Some(seconds) => {
                tracing::warn!(
                    address = address.map(tracing::field::display),
                    "too many wrong tokens"
                );
                too_many(seconds)
            }
        }
    }

    /// Whether a visitor may do this, and the entry that the audit log wants of it.
    pub(crate) fn authorise(
        &self,
        visitor: &Visitor,
        route: &Route,
        method: &Method,
    ) -> Result<Option<Entry>, Failure> {
        let rule = rule(route);
        visitor.who.may(&rule, method, visitor.at).inspect_err(|failure| {
            tracing::info!(token = visitor.who.id, %method, route = rule.template, reason = failure.explanation, "a request was refused");
        })?;
        let told = rule.is_told(method);
        Ok(told.then(|| Entry::new(&visitor.who, (&rule, method), (visitor.address, visitor.at))))
    }

    /// Writes down that a change begins. One that cannot be written down does not begin.
    pub(crate) async fn begin(&self, entry: Entry) -> Result<Begun, Failure> {
        self.audit.begin(entry).await.map_err(|error| {
            tracing::error!(%error, "a change was refused, as the audit log cannot be written");
            Failure::new(
                ApiError::Unavailable,
                format!("nothing was changed, as the audit log cannot be written: {error}"),
            )
        })
    }

    /// Writes down how a change ended.
    pub(crate) async fn end(&self, begun: Begun, outcome: (u16, &Remarks)) {
        self.audit.end(begun, outcome).await;
    }

    /// Trims the audit log now and then, without end.
    pub(crate) async fn tidy(&self) {
        let mut rounds = tokio::time::interval(TRIM_EVERY);
        loop {
            rounds.tick().await;
            self.audit.trim(self.now()).await;
        }
    }
}

fn too_many(seconds: u32) -> Failure {
    let mut failure = Failure::new(
        ApiError::TooManyFailures,
        format!(
            "too many wrong tokens came from this address; try again in {seconds} s (setting limits.failed_attempts_per_minute)"
        ),
    );
    failure.retry_after_seconds = Some(seconds);
    failure
}
