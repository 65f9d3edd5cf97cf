//! Who may ask: the root token, or anybody on this machine when no token is wanted.

use axum::http::{HeaderMap, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_api::{ApiError, Failure};
use cairn_store::{Store, StoreError};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Setting of the store that holds the hash of the root token, in hexadecimal.
const TOKEN_SETTING: &str = "root_token_sha256";
/// Random bytes of a token that is made here.
const TOKEN_BYTES: usize = 32;
/// A root token with fewer characters was chosen by somebody, and may be guessed.
const SHORT: usize = 32;

/// How requests are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A bearer token, good for every account id. Without one given, one is made at first start, kept as a hash, and told once.
    Token(Option<String>),
    /// No token: for one developer's machine. Only loopback addresses may be listened on, and requests of foreign web pages are refused.
    Open,
}

/// How requests are let in, once set up.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    Token(RootToken),
    Open,
}

/// The root token, as its hash.
#[derive(Debug, Clone)]
pub(crate) struct RootToken {
    hash: [u8; 32],
    /// Whether it could be guessed.
    pub(crate) is_short: bool,
}

impl RootToken {
    fn chosen(token: &str) -> Self {
        Self {
            hash: hash(token),
            is_short: token.len() < SHORT,
        }
    }

    fn made(hash: [u8; 32]) -> Self {
        Self {
            hash,
            is_short: false,
        }
    }

    /// Whether a token of this hash is the root token; takes the same time whatever it is.
    pub(crate) fn is_it(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

/// Sets the gate up; with a token that was made just now, if one was.
pub(crate) async fn set_up(auth: Auth, store: &dyn Store) -> Result<(Gate, Option<String>), StoreError> {
    match auth {
        Auth::Open => Ok((Gate::Open, None)),
        Auth::Token(Some(token)) => {
            let root = RootToken::chosen(&token);
            if root.is_short {
                tracing::warn!(
                    "the root token has fewer than {SHORT} characters and may be guessed; openssl rand -base64 32 makes a better one"
                );
            }
            Ok((Gate::Token(root), None))
        }
        Auth::Token(None) => {
            if let Some(stored) = store.setting(TOKEN_SETTING).await? {
                let hash = from_hex(&stored).ok_or_else(|| {
                    StoreError::Corrupt(format!(
                        "the setting {TOKEN_SETTING} is no SHA-256 hash; set CAIRN_ROOT_TOKEN"
                    ))
                })?;
                return Ok((Gate::Token(RootToken::made(hash)), None));
            }
            let token = make_token()?;
            let hash = hash(&token);
            store.put_setting(TOKEN_SETTING, &hex(&hash)).await?;
            Ok((Gate::Token(RootToken::made(hash)), Some(token)))
        }
    }
}

/// A new token.
pub(crate) fn make_token() -> Result<String, StoreError> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Unavailable(format!("the system gives no random bytes: {error}")))?;
    Ok(format!("cairn_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The token of `Authorization: Bearer`, or the key of `X-Auth-Email` and `X-Auth-Key`.
pub(crate) fn presented_token(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(token.trim());
    }
    headers.get("x-auth-email")?;
    headers.get("x-auth-key")?.to_str().ok()
}

/// Without a token, a web page must not be able to reach the API: neither by a name that was bound to a loopback address, nor from a page of
/// another origin.
pub(crate) fn refuse_foreign(uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let host = host_of(uri, headers).unwrap_or_default();
    if !is_loopback(&host) {
        return Err(Failure::new(
            ApiError::ForeignOrigin,
            format!(
                "this server runs without a token and answers only on loopback names; the request was for \"{host}\""
            ),
        ));
    }
    let origin = headers
        .get(header::ORIGIN)
        .map(|value| value.to_str().unwrap_or_default());
    let is_foreign = match origin {
        Some(origin) => !origin
            .parse::<Uri>()
            .is_ok_and(|origin| origin.host().is_some_and(is_loopback)),
        None => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "cross-site"),
    };
    if is_foreign {
        return Err(Failure::new(
            ApiError::ForeignOrigin,
            "this server runs without a token and refuses requests of web pages of other origins",
        ));
    }
    Ok(())
}

/// The host a request is for, without its port, in lower case.
pub(crate) fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(host) = uri.host() {
        return Some(host.to_ascii_lowercase());
    }
    let authority: axum::http::uri::Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store::memory::MemoryStore;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn admits(pairs: &[(&'static str, &str)]) -> bool {
        refuse_foreign(&Uri::from_static("/client/v4/user"), &headers(pairs)).is_ok()
    }

    fn is_root(gate: &Gate, token: &str) -> bool {
        match gate {
            Gate::Token(root) => root.is_it(&hash(token)),
            Gate::Open => false,
        }
    }

    #[test]
    fn tokens_in_both_forms() {
        for good in [
            &[("authorization", "Bearer secret")][..],
            &[("authorization", "bearer secret")],
            &[("x-auth-email", "a@b.c"), ("x-auth-key", "secret")],
        ] {
            assert_eq!(presented_token(&headers(good)), Some("secret"), "{good:?}");
        }
        for wrong in [
            &[("authorization", "Basic secret")][..],
            &[("authorization", "secret")],
            &[("x-auth-key", "secret")],
            &[],
        ] {
            assert_eq!(presented_token(&headers(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn open_mode_answers_this_machine_only() {
        for good in [
            &[("host", "localhost:8787")][..],
            &[("host", "127.0.0.1:8787")],
            &[("host", "[::1]:8787")],
            &[("host", "LOCALHOST")],
            &[("host", "localhost"), ("origin", "http://localhost:3000")],
        ] {
            assert!(admits(good), "{good:?}");
        }
        for bad in [
            &[("host", "evil.example")][..],
            &[("host", "localhost.evil.example")],
            &[],
            &[("host", "localhost"), ("origin", "https://evil.example")],
            &[("host", "localhost"), ("origin", "null")],
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            &[("host", "10.0.0.1")],
        ] {
            assert!(!admits(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_token_is_made_once_and_kept_as_a_hash() {
        let store = MemoryStore::new();
        let (gate, made) = set_up(Auth::Token(None), &store).await.unwrap();
        let token = made.unwrap();
        assert!(is_root(&gate, &token) && !is_root(&gate, "wrong"));
        let stored = store.setting(TOKEN_SETTING).await.unwrap().unwrap();
        assert!(!stored.contains(&token));
        let (gate, made) = set_up(Auth::Token(None), &store).await.unwrap();
        assert_eq!(made, None);
        assert!(is_root(&gate, &token) && !is_root(&gate, "wrong"));
    }
}
