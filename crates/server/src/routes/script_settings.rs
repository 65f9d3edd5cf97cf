//! Settings of a script: bindings and compatibility, which are of a version, and what stands beside versions.

use super::deployments::known;
use super::origin::{annotated, author, deployed_with};
use super::scripts::{deployed_metadata, existing, shown_binding};
use super::secrets::newest_deployed;
use crate::answer::{Answer, bad, done, engine};
use crate::app::{App, Call};
use crate::body;
use crate::upload;
use axum::body::Body;
use axum::http::Method;
use cairn_api::{ApiError, Failure, ScriptSubdomain};
use cairn_engine::{EngineError, ScriptRow, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The subdomain of workers.dev that is offered where none was chosen. wrangler wants one before it deploys workflows.
const SUBDOMAIN: &str = "cairn";
/// Longest name of a subdomain.
const SUBDOMAIN_MAX: usize = 63;
/// What versions and deployments say that a change of settings has made.
const SETTINGS: &str = "settings";

/// What is kept of a script beside its versions. Only `reachable` has an effect here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeptSettings {
    /// Whether it answers by its host name; it does where nothing was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previews_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logpush: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observability: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

impl KeptSettings {
    /// Those of a script.
    ///
    /// # Errors
    /// When the database is damaged.
    pub(crate) fn of(row: &ScriptRow) -> Result<Self, EngineError> {
        serde_json::from_str(&row.settings).map_err(|error| {
            EngineError::Store(StoreError::Corrupt(format!(
                "settings of the script \"{}\": {error}",
                row.name
            )))
        })
    }

    /// Whether the script answers by its host name.
    pub(crate) fn reachable(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    pub(super) fn tags(&self) -> &[String] {
        self.tags.as_deref().unwrap_or_default()
    }

    fn shown(&self) -> Json {
        json!({
            "logpush": self.logpush.unwrap_or(false),
            "tail_consumers": [],
            "observability": self.observability.clone().unwrap_or_else(|| json!({ "enabled": false })),
            "tags": self.tags(),
        })
    }

    async fn keep(&self, call: &Call, (account, script): (&str, &str)) -> Result<(), Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::new(ApiError::Internal, error.to_string()))?;
        let kept = call.engine().put_script_settings(account, script, &text);
        kept.await.map_err(engine)
    }
}

/// Changes of what is kept beside versions.
#[derive(Debug, Default, Deserialize)]
struct Patch {
    logpush: Option<bool>,
    observability: Option<Json>,
    tags: Option<Vec<String>>,
    tail_consumers: Option<Vec<Json>>,
}

impl Patch {
    fn apply(self, settings: &mut KeptSettings) -> Result<(), Failure> {
        if self.tail_consumers.is_some_and(|consumers| !consumers.is_empty()) {
            return Err(Failure::new(
                ApiError::NotSupported,
                "tail consumers are not available; remove tail_consumers",
            ));
        }
        settings.logpush = self.logpush.or(settings.logpush);
        settings.observability = self.observability.or(settings.observability.take());
        settings.tags = self.tags.or(settings.tags.take());
        Ok(())
    }
}

/// `GET …/settings`
pub(super) async fn settings(call: &Call, account: &str, script: &str) -> Answer {
    let row = existing(call, account, script).await?;
    let mut shown = KeptSettings::of(&row).map_err(engine)?.shown();
    let metadata = deployed_metadata(call, &row).await?;
    shown["bindings"] = json!([]);
    if let Some(metadata) = metadata {
        shown["bindings"] = metadata.bindings.iter().map(shown_binding).collect();
        shown["compatibility_date"] = metadata.compatibility_date.into();
        shown["compatibility_flags"] = metadata.compatibility_flags.into();
        shown["usage_model"] = "standard".into();
        shown["last_deployed_from"] = known(metadata.author).source.into();
    }
    done(shown)
}

/// `PATCH …/settings`: what is of a version makes a new one, which is deployed.
pub(super) async fn patch_settings(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    existing(call, account, script).await?;
    let text = upload::settings_part(&call.headers, body, &call.app.limits).await?;
    let patch: Patch = serde_json::from_slice(&text).map_err(|error| bad(body::explain(&error)))?;
    let cairn = call.engine();
    {
        let _changing = cairn.lock_script(account, script).await;
        let of_version = upload::is_of_version(&text)?;
        let row = existing(call, account, script).await?;
        let mut kept = KeptSettings::of(&row).map_err(engine)?;
        patch.apply(&mut kept)?;
        if of_version {
            let base = newest_deployed(call, (account, script), ApiError::SettingsNotDeployed).await?;
            let base = cairn.upload_of(&base).await.map_err(engine)?;
            let mut upload = upload::amended(&text, base)?;
            let annotations = annotated(upload.annotations.as_deref(), SETTINGS)?;
            upload.annotations = Some(annotations.clone());
            let made = cairn.upload_script_by((account, script), upload, author(call));
            let made = made.await.map_err(engine)?;
            let origin = deployed_with(call, Some(&annotations))?;
            let version = (made.version.as_str(), &origin);
            cairn.deploy(account, script, version).await.map_err(engine)?;
            call.remarks.detail(format!("version {}", made.version));
        }
        kept.keep(call, (account, script)).await?;
    }
    settings(call, account, script).await
}

/// `…/script-settings`: nothing of them has an effect here, except consumers that would miss what they wait for.
pub(super) async fn script_settings(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let row = existing(call, account, script).await?;
    let mut kept = KeptSettings::of(&row).map_err(engine)?;
    if call.method == Method::PATCH {
        let patch: Patch = body::json(body, &call.app.limits).await?;
        let _changing = call.engine().lock_script(account, script).await;
        kept = KeptSettings::of(&existing(call, account, script).await?).map_err(engine)?;
        patch.apply(&mut kept)?;
        kept.keep(call, (account, script)).await?;
    }
    done(kept.shown())
}

/// `…/subdomain` of a script: whether it answers by its host name.
pub(super) async fn subdomain(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        enabled: bool,
        previews_enabled: Option<bool>,
    }
    let row = existing(call, account, script).await?;
    let asked: Option<Asked> = match call.method {
        Method::POST => Some(body::json(body, &call.app.limits).await?),
        Method::DELETE => Some(Asked {
            enabled: false,
            previews_enabled: Some(false),
        }),
        _ => None,
    };
    let Some(asked) = asked else {
        return done(subdomain_of(&call.app, &row)?);
    };
    let _changing = call.engine().lock_script(account, script).await;
    let row = existing(call, account, script).await?;
    let mut kept = KeptSettings::of(&row).map_err(engine)?;
    kept.enabled = Some(asked.enabled);
    kept.previews_enabled = asked.previews_enabled.or(kept.previews_enabled);
    kept.keep(call, (account, script)).await?;
    done(subdomain_of(&call.app, &existing(call, account, script).await?)?)
}

/// Whether a script answers by its host name, and which that is.
pub(super) fn subdomain_of(app: &App, row: &ScriptRow) -> Result<ScriptSubdomain, Failure> {
    let kept = KeptSettings::of(row).map_err(engine)?;
    let (script, port) = (&row.name, app.address.port());
    Ok(ScriptSubdomain {
        enabled: kept.reachable(),
        previews_enabled: kept.previews_enabled.unwrap_or(false),
        url: kept
            .reachable()
            .then(|| format!("http://{script}.localhost:{port}/")),
    })
}

/// `…/workers/subdomain`: kept for whoever asks; hosts have no part in it.
pub(super) async fn account_subdomain(call: &Call, body: Body, account: &str) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        subdomain: String,
    }
    if call.method == Method::PUT {
        let Asked { subdomain } = body::json(body, &call.app.limits).await?;
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if subdomain.is_empty() || subdomain.len() > SUBDOMAIN_MAX || !subdomain.bytes().all(allowed) {
            return Err(bad(format!(
                "the subdomain \"{subdomain}\" is invalid: it has 1 to {SUBDOMAIN_MAX} lower-case letters, digits and '-'"
            )));
        }
        let kept = call.engine().put_account_subdomain(account, &subdomain).await;
        kept.map_err(engine)?;
    }
    let kept = call.engine().account_subdomain(account).await.map_err(engine)?;
    done(json!({ "subdomain": kept.as_deref().unwrap_or(SUBDOMAIN) }))
}
