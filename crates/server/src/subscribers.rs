//! Who may follow the events of an instance over a WebSocket, and how many at a time.
//!
//! Web pages cannot send headers with a WebSocket, so an address can carry a token instead: it says until when it is good and is signed, with a
//! key that this process made, for one instance. Nothing is kept, and a restart ends them all.

use crate::access::Identity;
use crate::query::Query;
use crate::route::{InstanceRoute, Route};
use axum::http::{Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_api::{ApiError, Failure};
use cairn_engine::Timestamp;
use cairn_store::StoreError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Subscribers at a time.
const SUBSCRIBERS_MAX: u32 = 4_096;
/// How long a token may be used to connect, milliseconds. A connection that stands is not ended by it.
const TOKEN_MILLIS: u64 = 5 * 60_000;
const KEY_BYTES: usize = 64;

/// An instance as a request names it: account, workflow, id.
pub(crate) type Place<'a> = (&'a str, &'a str, &'a str);

/// The key of the tokens, and the room that is left.
#[derive(Debug)]
pub(crate) struct Subscribers {
    key: [u8; KEY_BYTES],
    room: Arc<Semaphore>,
}

impl Subscribers {
    /// With a new key.
    pub(crate) fn new() -> Result<Self, StoreError> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)
            .map_err(|error| StoreError::Unavailable(format!("the system gives no random bytes: {error}")))?;
        Ok(Self {
            key,
            room: Arc::new(Semaphore::new(SUBSCRIBERS_MAX as usize)),
        })
    }

    /// Waits until nobody is connected.
    pub(crate) async fn gone(&self) {
        // An error is not possible: the semaphore is never closed.
        let _ = self.room.acquire_many(SUBSCRIBERS_MAX).await;
    }

    /// Room for one more, for as long as it is kept.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let text = format!("{SUBSCRIBERS_MAX} subscribers are connected, and this server takes no more");
            Failure::new(ApiError::Unavailable, text)
        })
    }

    /// Who has the token that a request carries in its address; none when it is wrong.
    pub(crate) fn admit(&self, presented: &Presented, now: Timestamp) -> Option<Identity> {
        let Presented {
            token,
            account,
            workflow,
            id,
        } = presented;
        self.is_good(token, (account, workflow, id), now)
            .then(|| Identity::subscriber(account, workflow))
    }

    /// A token for one instance, and until when it is good.
    pub(crate) fn token(&self, place: Place<'_>, now: Timestamp) -> (String, Timestamp) {
        let until = now.plus(TOKEN_MILLIS);
        let mut token = until.0.to_be_bytes().to_vec();
        token.extend(self.signature(place, until).finalize().into_bytes());
        (URL_SAFE_NO_PAD.encode(token), until)
    }

    fn is_good(&self, token: &str, place: Place<'_>, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((until, signature)) = bytes.split_first_chunk() else {
            return false;
        };
        let until = Timestamp(i64::from_be_bytes(*until));
        now < until && self.signature(place, until).verify_slice(signature).is_ok()
    }

    fn signature(&self, (account, workflow, id): Place<'_>, until: Timestamp) -> Hmac<Sha256> {
        let mut signature = Hmac::<Sha256>::new(&self.key.into());
        signature.update(&until.0.to_be_bytes());
        for part in [account, workflow, id] {
            signature.update(&(part.len() as u64).to_be_bytes());
            signature.update(part.as_bytes());
        }
        signature
    }
}

/// The token of a request to subscribe, and the instance.
pub(crate) struct Presented {
    token: String,
    account: String,
    workflow: String,
    id: String,
}

/// The token that a request carries in its address, if it does.
pub(crate) fn presented(method: &Method, uri: &Uri) -> Option<Presented> {
    if method != Method::GET {
        return None;
    }
    let query = Query::parse(uri.query()).ok()?;
    let token = query.text("token").ok()??.to_owned();
    match Route::parse(uri.path())? {
        Route::Instance {
            account,
            workflow,
            route: InstanceRoute::Subscribe(id),
        } => Some(Presented {
            token,
            account,
            workflow,
            id,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const PATH: &str = "/client/v4/accounts/a/workflows/w/instances/i/subscribe";

    fn admits(subscribers: &Subscribers, path: &str, now: Timestamp) -> bool {
        let uri = path.parse().unwrap();
        presented(&Method::GET, &uri)
            .and_then(|presented| subscribers.admit(&presented, now))
            .is_some()
    }

    #[test]
    fn a_token_is_good_for_its_instance_and_its_time() {
        let subscribers = Subscribers::new().unwrap();
        let (token, until) = subscribers.token(("a", "w", "i"), NOW);
        assert_eq!(until, NOW.plus(TOKEN_MILLIS));
        let good = format!("{PATH}?cursor=3&token={token}");
        assert!(admits(&subscribers, &good, NOW));
        assert!(admits(&subscribers, &good, Timestamp(until.0 - 1)));
        assert!(!admits(&subscribers, &good, until));
        for elsewhere in [
            good.replace("/instances/i/", "/instances/j/"),
            good.replace("/accounts/a/", "/accounts/b/"),
            good.replace("/workflows/w/", "/workflows/v/"),
            good.replace("/subscribe?", "/subscribe/token?"),
            good.replace("/subscribe?", "?"),
            good.replace("/subscribe?", "/status?"),
        ] {
            assert!(!admits(&subscribers, &elsewhere, NOW), "{elsewhere}");
        }
        assert!(
            !admits(&Subscribers::new().unwrap(), &good, NOW),
            "another process"
        );
    }

    #[test]
    fn no_change_of_a_token_is_good() {
        let subscribers = Subscribers::new().unwrap();
        let (token, _) = subscribers.token(("a", "w", "i"), NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(
                !admits(&subscribers, &format!("{PATH}?token={changed}"), NOW),
                "bit {bit}"
            );
        }
        for length in 0..bytes.len() {
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
            assert!(
                !admits(&subscribers, &format!("{PATH}?token={cut}"), NOW),
                "{length} bytes"
            );
        }
        for nonsense in ["x", "%20", "====", "ä"] {
            let nonsense: String = nonsense.bytes().map(|byte| format!("%{byte:02x}")).collect();
            assert!(!admits(&subscribers, &format!("{PATH}?token={nonsense}"), NOW));
        }
    }

    #[test]
    fn names_cannot_be_shifted_into_each_other() {
        let subscribers = Subscribers::new().unwrap();
        let (token, _) = subscribers.token(("a", "bc", "d"), NOW);
        assert!(subscribers.is_good(&token, ("a", "bc", "d"), NOW));
        assert!(!subscribers.is_good(&token, ("ab", "c", "d"), NOW));
        assert!(!subscribers.is_good(&token, ("a", "b", "cd"), NOW));
    }
}
