//! Tokens: made here, kept as SHA-256 alone, and all of them in memory, where a request finds its own.
//!
//! A token is 256 random bits, so its hash can be neither reversed nor guessed, and a slow hash such as argon2 would protect nothing
//! and cost every request its time.

use super::identity::{Accounts, Identity};
use cairn_api::TokenScope;
use cairn_engine::Timestamp;
use cairn_store::{AccessStore, StoreError, TOKEN_HASH_BYTES, TokenRow};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use subtle::ConstantTimeEq;

/// Tokens there may be.
const TOKENS_MAX: usize = 10_000;
/// The last use is kept when it is this much later than the one kept, milliseconds.
const USED_EVERY_MILLIS: u64 = 10 * 60_000;

/// A hash of a token.
pub(crate) type Hash = [u8; TOKEN_HASH_BYTES];

/// A token that is known.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) who: Arc<Identity>,
    hash: Hash,
    pub(crate) created_at: Timestamp,
    /// Milliseconds since the epoch; 0 for never.
    used_at: AtomicI64,
}

/// All tokens but the root token.
pub(crate) struct Tokens {
    store: Arc<dyn AccessStore>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the first bytes of their hashes; the rest is compared in constant time.
    by_hash: HashMap<[u8; 8], Vec<Arc<Token>>>,
    by_id: BTreeMap<String, Arc<Token>>,
}

/// What is kept of a token beside its hash.
#[derive(Serialize, Deserialize)]
struct Details {
    name: String,
    scope: TokenScope,
    /// None for all.
    accounts: Option<Vec<String>>,
    workflows: Option<Vec<String>>,
    expires_at: Option<i64>,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error("there are {TOKENS_MAX} tokens, and no more are kept; revoke some that are not used")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tokens {
    /// Those that are kept.
    pub(crate) async fn load(store: Arc<dyn AccessStore>) -> Result<Self, StoreError> {
        let mut known = Known::default();
        for row in store.tokens().await? {
            known.insert(Arc::new(Token::read(row)?));
        }
        Ok(Self {
            store,
            known: RwLock::new(known),
        })
    }

    /// The token of this hash.
    pub(crate) fn find(&self, hash: &Hash) -> Option<Arc<Token>> {
        let known = self.known.read();
        let candidates = known.by_hash.get(&first_bytes(hash))?;
        let is_it = |token: &&Arc<Token>| bool::from(token.hash.ct_eq(hash));
        candidates.iter().find(is_it).cloned()
    }

    /// The token of this id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Token>> {
        self.known.read().by_id.get(id).cloned()
    }

    /// All tokens, newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Token>> {
        let mut all: Vec<Arc<Token>> = self.known.read().by_id.values().cloned().collect();
        all.sort_by(|a, b| (b.created_at, &b.who.id).cmp(&(a.created_at, &a.who.id)));
        all
    }

    /// The accounts that tokens name.
    pub(crate) fn accounts(&self) -> BTreeSet<String> {
        let known = self.known.read();
        let named = known
            .by_id
            .values()
            .filter_map(|token| match &token.who.accounts {
                Accounts::All => None,
                Accounts::Some(accounts) => Some(accounts),
            });
        named.flatten().cloned().collect()
    }

    /// Keeps a new token that hashes to this.
    pub(crate) async fn add(
        &self,
        who: Identity,
        hash: Hash,
        now: Timestamp,
    ) -> Result<Arc<Token>, AddError> {
        if self.known.read().by_id.len() >= TOKENS_MAX {
            return Err(AddError::Full);
        }
        let token = Arc::new(Token {
            who: Arc::new(who),
            hash,
            created_at: now,
            used_at: AtomicI64::new(0),
        });
        self.store.add_token(token.row()?).await?;
        self.known.write().insert(Arc::clone(&token));
        Ok(token)
    }

    /// Removes a token; whether it existed. From the answer on it is good for nothing.
    pub(crate) async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let existed = self.store.remove_token(id).await?;
        self.known.write().remove(id);
        Ok(existed)
    }

    /// Notes that a token was used; now and then it is written down, which nobody waits for.
    pub(crate) fn used(&self, token: &Token, now: Timestamp) {
        let last = token.used_at.load(Ordering::Relaxed);
        let is_due = now >= Timestamp(last).plus(USED_EVERY_MILLIS);
        if !is_due
            || token
                .used_at
                .compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let (store, id) = (Arc::clone(&self.store), token.who.id.clone());
        tokio::spawn(async move {
            if let Err(error) = store.token_used(&id, now).await {
                tracing::warn!(token = id, %error, "the last use of a token was not kept");
            }
        });
    }
}

impl Known {
    fn insert(&mut self, token: Arc<Token>) {
        self.by_hash
            .entry(first_bytes(&token.hash))
            .or_default()
            .push(Arc::clone(&token));
        self.by_id.insert(token.who.id.clone(), token);
    }

    fn remove(&mut self, id: &str) {
        let Some(token) = self.by_id.remove(id) else {
            return;
        };
        let key = first_bytes(&token.hash);
        if let Some(same) = self.by_hash.get_mut(&key) {
            same.retain(|token| token.who.id != id);
            if same.is_empty() {
                self.by_hash.remove(&key);
            }
        }
    }
}

fn first_bytes(hash: &Hash) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    [a, b, c, d, e, f, g, h]
}

impl Token {
    pub(crate) fn used_at(&self) -> Option<Timestamp> {
        let at = self.used_at.load(Ordering::Relaxed);
        (at > 0).then_some(Timestamp(at))
    }

    fn row(&self) -> Result<TokenRow, StoreError> {
        let who = &self.who;
        let details = Details {
            name: who.name.clone(),
            scope: who.scope,
            accounts: match &who.accounts {
                Accounts::All => None,
                Accounts::Some(accounts) => Some(accounts.clone()),
            },
            workflows: who.workflows.clone(),
            expires_at: who.expires_at.map(|at| at.0),
        };
        let details = serde_json::to_string(&details)
            .map_err(|error| StoreError::Refused(format!("the token cannot be written: {error}")))?;
        Ok(TokenRow {
            id: who.id.clone(),
            hash: self.hash,
            created_at: self.created_at,
            used_at: self.used_at(),
            details,
        })
    }

    fn read(row: TokenRow) -> Result<Self, StoreError> {
        let details: Details = serde_json::from_str(&row.details)
            .map_err(|error| StoreError::Corrupt(format!("token {} cannot be read: {error}", row.id)))?;
        let who = Identity {
            id: row.id,
            name: details.name,
            scope: details.scope,
            accounts: details.accounts.map_or(Accounts::All, Accounts::Some),
            workflows: details.workflows,
            expires_at: details.expires_at.map(Timestamp),
        };
        Ok(Self {
            who: Arc::new(who),
            hash: row.hash,
            created_at: row.created_at,
            used_at: AtomicI64::new(row.used_at.map_or(0, |at| at.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store::MemoryStore;

    fn who(id: &str) -> Identity {
        Identity {
            id: id.into(),
            scope: TokenScope::Write,
            accounts: Accounts::Some(vec!["a".into()]),
            workflows: Some(vec!["w".into()]),
            expires_at: Some(Timestamp(99)),
            ..Identity::root()
        }
    }

    #[tokio::test]
    async fn they_are_found_until_they_are_removed_also_after_a_restart() {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::load(Arc::clone(&store) as _).await.unwrap();
        // The same first bytes: the rest decides.
        let (mut one, mut other) = ([7; 32], [7; 32]);
        (one[31], other[31]) = (1, 2);
        tokens.add(who("one"), one, Timestamp(5)).await.unwrap();
        tokens.add(who("other"), other, Timestamp(6)).await.unwrap();
        for tokens in [&tokens, &Tokens::load(Arc::clone(&store) as _).await.unwrap()] {
            assert_eq!(*tokens.find(&one).unwrap().who, who("one"));
            assert_eq!(*tokens.find(&other).unwrap().who, who("other"));
            assert!(tokens.find(&[7; 32]).is_none());
            let ids: Vec<String> = tokens.all().iter().map(|token| token.who.id.clone()).collect();
            assert_eq!(ids, ["other", "one"]);
        }
        assert!(tokens.remove("one").await.unwrap());
        assert!(!tokens.remove("one").await.unwrap());
        for tokens in [&tokens, &Tokens::load(store).await.unwrap()] {
            assert!(tokens.find(&one).is_none() && tokens.get("one").is_none());
            assert!(tokens.find(&other).is_some());
        }
    }

    #[tokio::test]
    async fn the_last_use_is_coarse() {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::load(Arc::clone(&store) as _).await.unwrap();
        let token = tokens.add(who("one"), [1; 32], Timestamp(0)).await.unwrap();
        assert_eq!(token.used_at(), None);
        let first = Timestamp(1_000_000_000);
        for (millis, shown) in [
            (0, 0),
            (USED_EVERY_MILLIS - 1, 0),
            (USED_EVERY_MILLIS, USED_EVERY_MILLIS),
        ] {
            tokens.used(&token, first.plus(millis));
            assert_eq!(token.used_at(), Some(first.plus(shown)), "{millis}");
        }
    }
}
