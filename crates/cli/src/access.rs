//! `cairn token` and `cairn audit`: Cairn's own routes below `/cairn/v1`.

use crate::Exit;
use crate::args::{
    AuditArguments, ConsentArgument, ScopeArgument, TokenArguments, TokenCommand, TokenCreateArguments,
};
use crate::client::{RequestError, read, segment};
use crate::failure::Failure;
use crate::input::{Consent, consent};
use crate::moment::{Direction, now, parse, relative, short};
use crate::output::{Form, Look, Style, cell, table};
use crate::remote::Remote;
use crate::steps::plain;
use crate::terminal::Terminal;
use cairn_api::{ALL_ACCOUNTS, AuditEntry, Time, TokenCreate, TokenInfo, TokenScope, TokenStatus};
use reqwest::Method;
use serde_json::value::RawValue;

const TOKENS: &str = "/cairn/v1/tokens";
const AUDIT: &str = "/cairn/v1/audit";
/// Entries of a page.
const PAGE: usize = 100;

/// Runs `cairn token`.
///
/// # Errors
/// When it cannot be carried out.
pub(crate) async fn token(arguments: &TokenArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let remote = Remote::new(&arguments.remote, terminal)?;
    match &arguments.command {
        TokenCommand::Create(arguments) => create(&remote, arguments).await,
        TokenCommand::List => list(&remote).await,
        TokenCommand::Revoke { ids, consent } => revoke(&remote, ids, *consent).await,
    }
}

async fn create(remote: &Remote, arguments: &TokenCreateArguments) -> Result<Exit, Failure> {
    let doing = "Making a token";
    let account = remote.api.account();
    let expires = arguments.expires.as_deref();
    let expires_on = expires
        .map(|text| parse(text, ("--expires", Direction::Future), now()))
        .transpose()?;
    let body = TokenCreate {
        name: arguments.name.clone(),
        scope: match arguments.scope {
            ScopeArgument::Read => TokenScope::Read,
            ScopeArgument::Write => TokenScope::Write,
            ScopeArgument::Admin => TokenScope::Admin,
        },
        accounts: vec![if arguments.all_accounts {
            ALL_ACCOUNTS.to_owned()
        } else {
            account.to_owned()
        }],
        workflows: Some(arguments.workflows.clone()).filter(|workflows| !workflows.is_empty()),
        expires_on,
    };
    let request = remote.api.request_at(Method::POST, TOKENS).json(&body);
    let reply = remote.api.reply(request).await;
    let reply = reply.map_err(|error| remote.failure(error, doing))?;
    let made: TokenInfo = reply.read().map_err(|error| remote.failure(error, doing))?;
    if remote.output.form() == Form::Text {
        let until = made
            .expires_on
            .map_or_else(|| "for ever".into(), |time| format!("until {} UTC", short(time)));
        remote.terminal.line(&format!(
            "Made token {} ({}), {} in {}, good {until}. It is shown this once; only its hash is kept.",
            made.id,
            plain(&made.name),
            scope(made.scope),
            place(&made),
        ));
    }
    remote
        .output
        .result(&reply.result, |_| made.value.clone().unwrap_or_default())?;
    Ok(Exit::Complete)
}

fn scope(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Read => "read",
        TokenScope::Write => "write",
        TokenScope::Admin => "admin",
    }
}

/// What a token is for: accounts, and workflows where it is not for all.
fn place(token: &TokenInfo) -> String {
    let accounts = if token.accounts.iter().any(|account| account == ALL_ACCOUNTS) {
        "all accounts".to_owned()
    } else {
        token.accounts.join(", ")
    };
    match &token.workflows {
        Some(workflows) => plain(&format!("{accounts}: {}", workflows.join(", "))),
        None => plain(&accounts),
    }
}

async fn list(remote: &Remote) -> Result<Exit, Failure> {
    let doing = "Listing the tokens";
    let mut rows: Vec<Box<RawValue>> = Vec::new();
    for page in 1.. {
        let request = remote
            .api
            .request_at(Method::GET, TOKENS)
            .query(&[("page", page), ("per_page", PAGE)]);
        let found: Vec<Box<RawValue>> = remote
            .api
            .send(request)
            .await
            .map_err(|error| remote.failure(error, doing))?;
        let is_last = found.len() < PAGE;
        rows.extend(found);
        if is_last {
            break;
        }
    }
    if remote.output.form() == Form::Json {
        return print_lines(remote, &rows).map(|()| Exit::Complete);
    }
    let tokens: Result<Vec<TokenInfo>, RequestError> = rows.iter().map(|row| read(row)).collect();
    let tokens = tokens.map_err(|error| remote.failure(error, doing))?;
    if tokens.is_empty() {
        remote
            .terminal
            .line("There are no tokens but the root token. `cairn token create` makes one.");
        return Ok(Exit::Complete);
    }
    remote
        .output
        .text(&shown_tokens(remote.output.style(), &tokens, now()))?;
    Ok(Exit::Complete)
}

fn shown_tokens(style: Style, tokens: &[TokenInfo], now: Time) -> String {
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            let expires = match (token.status, token.expires_on) {
                (TokenStatus::Expired, _) => (Look::Bad, "expired".to_owned()),
                (TokenStatus::Active, Some(time)) => cell(relative(time, now)),
                (TokenStatus::Active, None) => cell("never"),
            };
            let used = token.last_used_on;
            vec![
                cell(&token.id),
                cell(plain(&token.name)),
                cell(scope(token.scope)),
                cell(place(token)),
                cell(short(token.created_on)),
                expires,
                cell(used.map_or_else(|| "-".into(), |time| relative(time, now))),
            ]
        })
        .collect();
    let headings = ["ID", "NAME", "SCOPE", "FOR", "MADE (UTC)", "EXPIRES", "LAST USED"];
    table(style, &headings, &rows)
}

async fn revoke(remote: &Remote, ids: &[String], argument: ConsentArgument) -> Result<Exit, Failure> {
    // One that is named is meant.
    let question = format!("Revoke {} tokens?", ids.len());
    if ids.len() > 1 && consent(argument, &remote.terminal, &question)? == Consent::Refused {
        return Ok(Exit::Complete);
    }
    for id in ids {
        let request = remote
            .api
            .request_at(Method::DELETE, &format!("{TOKENS}/{}", segment(id)));
        let reply = remote.api.reply(request).await;
        let reply = reply.map_err(|error| {
            let what = remote.failure(error, &format!("Revoking token \"{id}\""));
            Failure::new(
                what.what().to_owned(),
                "`cairn token list` shows the ids of the tokens.",
            )
        })?;
        remote
            .output
            .result(&reply.result, |_| format!("Revoked token {id}."))?;
    }
    Ok(Exit::Complete)
}

/// Runs `cairn audit`.
///
/// # Errors
/// When it cannot be carried out.
pub(crate) async fn audit(arguments: &AuditArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let remote = Remote::new(&arguments.remote, terminal)?;
    let doing = "Reading the audit log";
    let mut rows: Vec<Box<RawValue>> = Vec::new();
    let mut before: Option<i64> = None;
    while rows.len() < arguments.limit {
        let limit = PAGE.min(arguments.limit - rows.len());
        let mut query = vec![("limit", limit.to_string())];
        if !arguments.all_accounts {
            query.push(("account", remote.api.account().to_owned()));
        }
        query.extend(before.map(|id| ("before", id.to_string())));
        let request = remote.api.request_at(Method::GET, AUDIT).query(&query);
        let found: Vec<Box<RawValue>> = remote
            .api
            .send(request)
            .await
            .map_err(|error| remote.failure(error, doing))?;
        let Some(last) = found.last() else { break };
        let last: AuditEntry = read(last).map_err(|error| remote.failure(error, doing))?;
        before = Some(last.id);
        let is_last = found.len() < limit;
        rows.extend(found);
        if is_last {
            break;
        }
    }
    if remote.output.form() == Form::Json {
        return print_lines(&remote, &rows).map(|()| Exit::Complete);
    }
    let entries: Result<Vec<AuditEntry>, RequestError> = rows.iter().map(|row| read(row)).collect();
    let entries = entries.map_err(|error| remote.failure(error, doing))?;
    if entries.is_empty() {
        remote.terminal.line("The audit log has no such entries.");
        return Ok(Exit::Complete);
    }
    remote
        .output
        .text(&shown_audit(remote.output.style(), &entries))?;
    Ok(Exit::Complete)
}

fn shown_audit(style: Style, entries: &[AuditEntry]) -> String {
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let status = match entry.status {
                Some(status) if status < 400 => (Look::Good, status.to_string()),
                Some(status) => (Look::Bad, status.to_string()),
                None => (Look::Warning, "?".to_owned()),
            };
            let subject = [&entry.script, &entry.workflow, &entry.instance, &entry.detail];
            let subject: Vec<&str> = subject.into_iter().filter_map(Option::as_deref).collect();
            vec![
                cell(short(entry.at)),
                cell(plain(&entry.actor.name)),
                cell(entry.address.as_deref().map(plain).unwrap_or_else(|| "-".into())),
                status,
                cell(plain(&format!("{} {}", entry.method, entry.route))),
                cell(plain(&subject.join(" / "))),
            ]
        })
        .collect();
    table(
        style,
        &["WHEN (UTC)", "WHO", "FROM", "STATUS", "WHAT", "WHICH"],
        &rows,
    )
}

fn print_lines(remote: &Remote, rows: &[Box<RawValue>]) -> Result<(), Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(row.get());
        text.push('\n');
    }
    remote.output.bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_api::AuditActor;

    #[test]
    fn tokens_are_shown_with_what_they_are_for() {
        let token = TokenInfo {
            id: "t1".into(),
            name: "ci\u{1b}[2J".into(),
            scope: TokenScope::Write,
            accounts: vec!["local".into()],
            workflows: Some(vec!["order".into()]),
            status: TokenStatus::Active,
            created_on: Time(0),
            expires_on: Some(Time(3_600_000)),
            last_used_on: None,
            value: None,
        };
        let everywhere = TokenInfo {
            accounts: vec![ALL_ACCOUNTS.into()],
            workflows: None,
            status: TokenStatus::Expired,
            ..token.clone()
        };
        let text = shown_tokens(Style::PLAIN, &[token, everywhere], Time(60_000));
        let expected = "\
ID  NAME    SCOPE  FOR           MADE (UTC)           EXPIRES        LAST USED
t1  ci [2J  write  local: order  1970-01-01 00:00:00  in 59 min 0 s  -
t1  ci [2J  write  all accounts  1970-01-01 00:00:00  expired        -
";
        assert_eq!(text, expected);
    }

    #[test]
    fn changes_are_shown_with_who_and_which() {
        let entry = AuditEntry {
            id: 1,
            at: Time(0),
            actor: AuditActor {
                id: "root".into(),
                name: "root".into(),
            },
            address: Some("127.0.0.1".into()),
            method: "DELETE".into(),
            route: "/accounts/:account/workflows/:workflow".into(),
            account: Some("local".into()),
            script: None,
            workflow: Some("order".into()),
            instance: None,
            detail: None,
            status: None,
        };
        let expected = "\
WHEN (UTC)           WHO   FROM       STATUS  WHAT                                           WHICH
1970-01-01 00:00:00  root  127.0.0.1  ?       DELETE /accounts/:account/workflows/:workflow  order
";
        assert_eq!(shown_audit(Style::PLAIN, &[entry]), expected);
    }
}
