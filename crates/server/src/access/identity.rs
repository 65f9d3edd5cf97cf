//! Somebody who asks, and what he may.

use super::rules::{Guard, Rule};
use axum::http::Method;
use cairn_api::{ApiError, Failure, TokenScope};
use cairn_engine::Timestamp;

/// Longest id of an account, bytes.
const ACCOUNT_MAX: usize = 64;

/// Which accounts a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// Every one, also those to come.
    All,
    /// These.
    Some(Vec<String>),
}

/// Somebody who asks, and what he may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The token's id.
    pub(crate) id: String,
    /// The token's name.
    pub(crate) name: String,
    pub(crate) scope: TokenScope,
    pub(crate) accounts: Accounts,
    /// The only workflows he may see, of his one account.
    pub(crate) workflows: Option<Vec<String>>,
    /// From when on he may nothing.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Identity {
    /// Whoever has the root token.
    pub(crate) fn root() -> Self {
        Self::everything("root", "root token")
    }

    /// Whoever is on this machine, where no token is wanted.
    pub(crate) fn local() -> Self {
        Self::everything("local", "this machine")
    }

    fn everything(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            scope: TokenScope::Admin,
            accounts: Accounts::All,
            workflows: None,
            expires_at: None,
        }
    }

    /// Whoever has the token of a subscription: he may read in one workflow.
    pub(crate) fn subscriber(account: &str, workflow: &str) -> Self {
        Self {
            id: "subscription".into(),
            name: "token of a subscription".into(),
            scope: TokenScope::Read,
            accounts: Accounts::Some(vec![account.into()]),
            workflows: Some(vec![workflow.into()]),
            expires_at: None,
        }
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|until| until <= now)
    }

    /// Whether an account is one of his.
    pub(crate) fn sees_account(&self, account: &str) -> bool {
        match &self.accounts {
            Accounts::All => true,
            Accounts::Some(accounts) => accounts.iter().any(|own| own == account),
        }
    }

    fn sees_workflow(&self, workflow: &str) -> bool {
        self.workflows
            .as_ref()
            .is_none_or(|workflows| workflows.iter().any(|own| own == workflow))
    }

    /// Whether he may make, see and revoke what `other` is: nothing that may more, or longer, than himself.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let accounts = match (&self.accounts, &other.accounts) {
            (Accounts::All, _) => true,
            (Accounts::Some(_), Accounts::All) => false,
            (Accounts::Some(_), Accounts::Some(theirs)) => {
                theirs.iter().all(|account| self.sees_account(account))
            }
        };
        accounts && other.scope <= self.scope && self.workflows.is_none()
    }

    /// Whether he may do this. What is refused is refused in the same words whether it exists or not.
    pub(crate) fn may(&self, rule: &Rule<'_>, method: &Method, now: Timestamp) -> Result<(), Failure> {
        if rule.guard == Guard::Verify {
            return Ok(());
        }
        if self.is_expired(now) {
            return Err(Failure::new(
                ApiError::Authentication,
                "the API token has expired; make a new one with cairn token create",
            ));
        }
        if let Some(account) = rule.place.account {
            check_account(account)?;
            if !self.sees_account(account) {
                return Err(refused(format!(
                    "this token is not for the account \"{account}\""
                )));
            }
        }
        let needed = rule.scope(method);
        if let Some(workflow) = rule.place.workflow
            && !self.sees_workflow(workflow)
        {
            return Err(refused(format!(
                "this token is not for the workflow \"{workflow}\""
            )));
        }
        match rule.guard {
            Guard::Verify | Guard::Known | Guard::Workflow => {}
            Guard::Listing | Guard::Definition if needed == TokenScope::Read => {}
            Guard::Listing | Guard::Definition | Guard::Account | Guard::Administration => {
                if self.workflows.is_some() {
                    return Err(refused(
                        "this token is for some workflows only: it may see them and use their instances, and nothing else of the account".into(),
                    ));
                }
            }
            Guard::Installation => {
                if self.accounts != Accounts::All {
                    return Err(refused(
                        "this concerns all accounts, and this token is for some only".into(),
                    ));
                }
            }
        }
        if needed > self.scope {
            return Err(refused(format!(
                "this token has the scope \"{}\", and this wants \"{}\"",
                word(self.scope),
                word(needed)
            )));
        }
        Ok(())
    }
}

fn refused(explanation: String) -> Failure {
    Failure::new(ApiError::NotAllowed, explanation)
}

/// A scope as it is written.
pub(crate) fn word(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Read => "read",
        TokenScope::Write => "write",
        TokenScope::Admin => "admin",
    }
}

/// Account ids are parts of paths and host names.
pub(crate) fn check_account(account: &str) -> Result<(), Failure> {
    let is_fine = (1..=ACCOUNT_MAX).contains(&account.len())
        && account
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_fine {
        return Ok(());
    }
    let shown: String = account.chars().take(ACCOUNT_MAX).collect();
    Err(Failure::new(
        ApiError::Body,
        format!(
            "\"{shown}\" is no account id: it has 1 to {ACCOUNT_MAX} letters, digits, hyphens and underscores"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::rules::rule;
    use super::*;
    use crate::route::Route;

    const NOW: Timestamp = Timestamp(1_000);

    fn token(scope: TokenScope, workflows: Option<&[&str]>) -> Identity {
        Identity {
            scope,
            accounts: Accounts::Some(vec!["a".into()]),
            workflows: workflows.map(|names| names.iter().map(|name| (*name).into()).collect()),
            ..Identity::root()
        }
    }

    /// Status of what a token gets for a request below `/client/v4`; 200 when it may.
    fn asked(who: &Identity, method: &str, path: &str) -> u16 {
        let route = Route::parse(&format!("/client/v4/{path}")).unwrap();
        let may = who.may(&rule(&route), &method.parse().unwrap(), NOW);
        may.map_or_else(|failure| failure.error.status(), |()| 200)
    }

    #[test]
    fn a_reader_changes_nothing() {
        let reader = token(TokenScope::Read, None);
        assert_eq!(asked(&reader, "GET", "accounts/a/workflows/w"), 200);
        for method in ["PUT", "POST", "PATCH", "DELETE", "PROPFIND"] {
            assert_eq!(asked(&reader, method, "accounts/a/workflows/w"), 403, "{method}");
            assert_eq!(
                asked(&reader, method, "accounts/a/workers/scripts/s"),
                403,
                "{method}"
            );
        }
    }

    #[test]
    fn a_token_stays_in_its_accounts() {
        let writer = token(TokenScope::Write, None);
        assert_eq!(asked(&writer, "PUT", "accounts/a/workflows/w"), 200);
        for method in ["GET", "PUT"] {
            assert_eq!(asked(&writer, method, "accounts/b/workflows/w"), 403);
        }
        assert_eq!(
            asked(&writer, "GET", "accounts/A/workflows"),
            403,
            "ids have a case"
        );
        assert_eq!(asked(&Identity::root(), "PUT", "accounts/b/workflows/w"), 200);
    }

    #[test]
    fn a_token_of_a_workflow_sees_nothing_else() {
        let own = token(TokenScope::Write, Some(&["w", "v"]));
        for (method, path) in [
            ("GET", "accounts/a/workflows"),
            ("GET", "accounts/a/workflows/w"),
            ("POST", "accounts/a/workflows/v/instances"),
            ("DELETE", "accounts/a/workflows/w/instances/i"),
            ("GET", "accounts/a"),
            ("GET", "user"),
        ] {
            assert_eq!(asked(&own, method, path), 200, "{method} {path}");
        }
        for (method, path) in [
            ("GET", "accounts/a/workflows/x"),
            ("POST", "accounts/a/workflows/x/instances"),
            ("PUT", "accounts/a/workflows/w"),
            ("DELETE", "accounts/a/workflows/w"),
            ("GET", "accounts/a/workers/scripts/s/versions"),
            ("PUT", "accounts/a/workers/scripts/s"),
            ("GET", "accounts/a/workflows/settings"),
        ] {
            assert_eq!(asked(&own, method, path), 403, "{method} {path}");
        }
    }

    #[test]
    fn an_expired_token_learns_only_that() {
        let late = Identity {
            expires_at: Some(NOW),
            ..token(TokenScope::Write, None)
        };
        assert_eq!(asked(&late, "GET", "accounts/a/workflows"), 401);
        assert_eq!(asked(&late, "GET", "user"), 401);
        assert_eq!(asked(&late, "GET", "user/tokens/verify"), 200);
    }

    #[test]
    fn account_ids_have_a_form() {
        for good in ["a", "0123456789abcdef0123456789abcdef", "my-team_2"] {
            assert_eq!(check_account(good), Ok(()));
        }
        for bad in ["", "a b", "a.b", "ä", "a/b", &"a".repeat(65)] {
            assert!(check_account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_covers_more_than_himself() {
        let admin = token(TokenScope::Admin, None);
        assert!(admin.covers(&token(TokenScope::Admin, None)));
        assert!(admin.covers(&token(TokenScope::Write, Some(&["w"]))));
        assert!(!admin.covers(&Identity::root()));
        let elsewhere = Identity {
            accounts: Accounts::Some(vec!["a".into(), "b".into()]),
            ..admin.clone()
        };
        assert!(!admin.covers(&elsewhere));
        assert!(Identity::root().covers(&elsewhere));
        assert!(!token(TokenScope::Write, None).covers(&admin));
    }
}
