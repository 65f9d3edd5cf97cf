//! The server that a command was told to talk to: where it is, who asks, and what to say when it refuses.

use crate::args::RemoteArguments;
use crate::client::{ACCOUNT, Api, Place, RequestError, segment};
use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::Terminal;
use cairn_api::{ApiError, InstanceRow, Workflow};
use reqwest::Method;
use std::fs;

const DEFAULT_URL: &str = "http://127.0.0.1:8787";
const URL: &str = "CAIRN_URL";
const TOKEN: &str = "CAIRN_API_TOKEN";
const WRANGLER_URL: &str = "CLOUDFLARE_API_BASE_URL";
const WRANGLER_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
const WRANGLER_ACCOUNT: &str = "CLOUDFLARE_ACCOUNT_ID";
/// Workflows looked through for a name that is like the one asked for.
const NAMES: u32 = 100;

/// A server, what is printed of its answers, and the screen.
pub(crate) struct Remote {
    /// Its API.
    pub(crate) api: Api,
    /// Where results go.
    pub(crate) output: Output,
    /// Where everything else goes.
    pub(crate) terminal: Terminal,
    token_from: Option<String>,
}

/// Where the token comes from, and it.
type Token = Option<(String, String)>;

impl Remote {
    /// The server of the arguments and the environment.
    ///
    /// # Errors
    /// When an argument cannot be used; nothing is sent.
    pub(crate) fn new(arguments: &RemoteArguments, terminal: &Terminal) -> Result<Self, Failure> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self::resolve(arguments, terminal, &environment)
    }

    fn resolve(
        arguments: &RemoteArguments,
        terminal: &Terminal,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let place = place(arguments, environment)?;
        let (place, token_from) = place;
        Ok(Self {
            api: Api::at(place)?,
            output: Output::of(arguments.json),
            terminal: terminal.clone(),
            token_from,
        })
    }

    /// Why a request was not done, and what to do.
    pub(crate) fn failure(&self, error: RequestError, doing: &str) -> Failure {
        let origin = self.api.origin();
        match error {
            RequestError::Unreachable(reason) if reason.contains("certificate") => Failure::new(
                format!("The certificate of {origin} is not trusted: {reason}."),
                "Check the name in the URL. Where the server has a certificate of its own making, name that with --ca-file (or CAIRN_CA_FILE).",
            ),
            RequestError::Unreachable(reason) => Failure::new(
                format!("There is no server at {origin}: {reason}."),
                format!("Start one with `cairn serve`, or say where it is with --url or {URL}."),
            ),
            RequestError::Broken(reason) => Failure::new(
                format!("{doing} failed: {reason}."),
                format!("Is {origin} a cairn server? If it is, its log may say more. Whether it was done is not known."),
            ),
            RequestError::Refused { status: 401, message, .. } => self.not_let_in(&message),
            RequestError::Refused { status: 403, message, .. } => Failure::new(
                format!("{doing} is not allowed: {message}"),
                format!(
                    "The token {} may not do this. `cairn token create` makes others, with a token that may; --account names another account.",
                    self.token_from.as_deref().map_or_else(String::new, |from| format!("of {from}"))
                )
                .replace("token  may", "token may"),
            ),
            RequestError::Refused { code, message, .. } => Failure::new(
                format!("{doing} was refused: {message} (code {code})"),
                next_of(code),
            ),
        }
    }

    fn not_let_in(&self, message: &str) -> Failure {
        let origin = self.api.origin();
        match &self.token_from {
            None => Failure::new(
                format!("{origin} wants a token, and none was given."),
                format!(
                    "Set {TOKEN} to one, or name a file that holds it with --token-file. `cairn serve` prints the root token at its first start."
                ),
            ),
            Some(from) => Failure::new(
                format!("{origin} does not take the token of {from}: {message}"),
                format!(
                    "Set {TOKEN} to a token of this server. It may have expired or been revoked; `cairn token create` makes others."
                ),
            ),
        }
    }

    /// As [`Self::failure`], for requests that name a workflow: one that is not there is told with those that are like it.
    pub(crate) async fn about_workflow(&self, error: RequestError, doing: &str, workflow: &str) -> Failure {
        if error.is(ApiError::InstanceNotFound) {
            return Failure::new(
                self.failure(error, doing).what().to_owned(),
                format!("`cairn instances list {workflow}` shows those that there are."),
            );
        }
        if !error.is(ApiError::WorkflowNotFound) {
            return self.failure(error, doing);
        }
        let account = self.api.account();
        let what = format!("There is no workflow \"{workflow}\" in account \"{account}\".");
        let names = self.names().await;
        Failure::new(what, advice(workflow, &names))
    }

    /// The names of workflows; none when they cannot be had, for this is an aside.
    async fn names(&self) -> Vec<String> {
        let request = self
            .api
            .request(Method::GET, "/workflows")
            .query(&[("per_page", NAMES)]);
        match self.api.send::<Vec<Workflow>>(request).await {
            Ok(workflows) => workflows.into_iter().map(|workflow| workflow.name).collect(),
            Err(error) => {
                tracing::debug!(?error, "the workflows cannot be listed");
                Vec::new()
            }
        }
    }

    /// The id that is meant: "latest" is the instance that was created last.
    ///
    /// # Errors
    /// When there is no workflow, or no instance.
    pub(crate) async fn id(&self, workflow: &str, id: &str) -> Result<String, Failure> {
        if id != "latest" {
            return Ok(id.to_owned());
        }
        let path = format!("/workflows/{}/instances", segment(workflow));
        let request = self.api.request(Method::GET, &path).query(&[("per_page", 1)]);
        let rows: Vec<InstanceRow> = match self.api.send(request).await {
            Ok(rows) => rows,
            Err(error) => {
                return Err(self
                    .about_workflow(error, "Looking for the latest instance", workflow)
                    .await);
            }
        };
        rows.into_iter().next().map(|row| row.id).ok_or_else(|| {
            Failure::new(
                format!("Workflow \"{workflow}\" has no instances."),
                format!("Start one: cairn workflows trigger {workflow}"),
            )
        })
    }
}

/// What to do about an error of the API.
fn next_of(code: u32) -> &'static str {
    let is = |kind: ApiError| kind.code() == code;
    if is(ApiError::Internal) {
        "Try again; if it stays, the server's log says why."
    } else if is(ApiError::NoRoute) {
        "The server is older than this command, or no cairn server: compare `cairn --version` on both sides."
    } else if is(ApiError::InstanceExists) {
        "Give another --id, or none: one is made up."
    } else if is(ApiError::CannotResume) || is(ApiError::CannotTerminate) {
        "`cairn instances describe` shows the state it is in."
    } else {
        "Correct the command and try again; --help explains its arguments."
    }
}

fn advice(asked: &str, names: &[String]) -> String {
    let mut like: Vec<(usize, &str)> = names
        .iter()
        .map(|name| (distance(asked, name), name.as_str()))
        .filter(|(distance, name)| *distance <= 1 + asked.len().max(name.len()) / 4 || name.contains(asked))
        .collect();
    like.sort_unstable();
    match (like.first(), names) {
        (Some(_), _) => {
            let like: Vec<&str> = like.iter().take(3).map(|(_, name)| *name).collect();
            format!("Did you mean {}?", like.join(", "))
        }
        (None, []) => "Deploy one with `cairn deploy`, or name another account with --account.".into(),
        (None, names) if names.len() <= 5 => format!("There are: {}.", names.join(", ")),
        (None, _) => "`cairn workflows list` shows those that there are.".into(),
    }
}

/// How many characters have to be changed, added or removed to make one of the other, without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, character) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], done + 1);
        for (at, known) in other.iter().enumerate() {
            let change = diagonal + usize::from(character != *known);
            diagonal = row[at + 1];
            row[at + 1] = change.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn place(
    arguments: &RemoteArguments,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Place, Option<String>), Failure> {
    let url = arguments
        .url
        .clone()
        .filter(|url| !url.trim().is_empty())
        .or_else(|| environment(WRANGLER_URL))
        .unwrap_or_else(|| DEFAULT_URL.into());
    let account = arguments
        .account
        .clone()
        .filter(|account| !account.is_empty())
        .or_else(|| environment(WRANGLER_ACCOUNT))
        .unwrap_or_else(|| ACCOUNT.into());
    let (token_from, token) = token(arguments, environment)?.unzip();
    let place = Place {
        origin: origin(&url)?,
        account,
        token,
        ca_file: arguments.ca_file.clone(),
    };
    Ok((place, token_from))
}

/// The URL without what is the API's own.
fn origin(url: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| {
        Failure::new(
            format!("\"{url}\" is no address of a server: {reason}."),
            format!("Give one such as {DEFAULT_URL} or https://cairn.example with --url or {URL}."),
        )
    };
    let parsed = reqwest::Url::parse(url.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !["http", "https"].contains(&parsed.scheme()) {
        return Err(wrong("it must begin with http:// or https://"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("it has a query or a fragment"));
    }
    let bare = parsed.as_str().trim_end_matches('/');
    Ok(bare
        .trim_end_matches("/client/v4")
        .trim_end_matches('/')
        .to_owned())
}

fn token(
    arguments: &RemoteArguments,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Token, Failure> {
    let (from, text) = match &arguments.token_file {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::new(
                    format!("The token file {} cannot be read: {error}.", file.display()),
                    format!("Give a readable file with --token-file, or the token itself in {TOKEN}."),
                )
            })?;
            (file.display().to_string(), text)
        }
        None => {
            let named = [TOKEN, WRANGLER_TOKEN]
                .into_iter()
                .find_map(|name| environment(name).map(|text| (name.to_owned(), text)));
            match named {
                Some(named) => named,
                None => return Ok(None),
            }
        }
    };
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::new(
            format!("{from} holds no token: it must be one word of ASCII characters."),
            "`cairn token create` makes tokens; `cairn serve` prints the root token at its first start.",
        ));
    }
    Ok(Some((from, text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(arguments: &RemoteArguments, environment: &[(&str, &str)]) -> Result<Place, Failure> {
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        place(arguments, &lookup).map(|(place, _)| place)
    }

    #[test]
    fn own_settings_stand_before_those_of_wrangler() {
        let nothing = placed(&RemoteArguments::default(), &[]).unwrap();
        assert_eq!(
            (nothing.origin.as_str(), nothing.account.as_str(), nothing.token),
            (DEFAULT_URL, "local", None)
        );
        let wrangler = [
            (WRANGLER_URL, "https://cairn.example/client/v4/"),
            (WRANGLER_TOKEN, "theirs"),
            (WRANGLER_ACCOUNT, "acme"),
        ];
        let theirs = placed(&RemoteArguments::default(), &wrangler).unwrap();
        assert_eq!(theirs.origin, "https://cairn.example");
        assert_eq!(
            (theirs.account.as_str(), theirs.token.as_deref()),
            ("acme", Some("theirs"))
        );
        let arguments = RemoteArguments {
            url: Some("http://h:1/below/".into()),
            account: Some("b".into()),
            ..RemoteArguments::default()
        };
        let own = [wrangler.as_slice(), &[(TOKEN, "ours\n")]].concat();
        let ours = placed(&arguments, &own).unwrap();
        assert_eq!(ours.origin, "http://h:1/below");
        assert_eq!(
            (ours.account.as_str(), ours.token.as_deref()),
            ("b", Some("ours"))
        );
    }

    #[test]
    fn what_is_no_server_and_no_token_is_refused_before_anything_is_sent() {
        for url in ["cairn.example", "ftp://x", "http://", "http://h?x=1"] {
            let arguments = RemoteArguments {
                url: Some(url.into()),
                ..RemoteArguments::default()
            };
            let failure = placed(&arguments, &[]).err().map(|failure| failure.to_string());
            assert!(failure.is_some_and(|text| text.contains("--url")), "{url}");
        }
        let failure = placed(&RemoteArguments::default(), &[(TOKEN, "two words")]).err();
        assert!(failure.is_some_and(|failure| failure.to_string().contains(TOKEN)));
    }

    #[test]
    fn names_that_are_like_the_one_asked_for_are_found() {
        let names: Vec<String> = ["order", "refund", "order-mail"].map(str::to_owned).into();
        assert_eq!(advice("ordre", &names), "Did you mean order?");
        assert_eq!(advice("Order", &names), "Did you mean order?");
        assert_eq!(advice("mail", &names), "Did you mean order-mail?");
        assert_eq!(advice("zebra", &names), "There are: order, refund, order-mail.");
        assert!(advice("x", &[]).contains("cairn deploy"));
    }

    #[test]
    fn distances_count_characters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("Grüße", "grüße"), 0);
    }
}
