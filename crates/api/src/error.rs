//! The errors of the API: number, name, HTTP status (behaviour §1.4).

use crate::{Envelope, ErrorMessage, Note};

/// After how many seconds there may be room in a full queue: sooner than this it is not worth a request.
const QUEUE_FULL_SECONDS: u32 = 5;

/// A kind of error. Numbers and names are Cloudflare's where a source for them is known; the others are marked as Cairn's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiError {
    /// No such route.
    NoRoute,
    /// The route exists, for other methods.
    MethodNotAllowed,
    /// No token, or a wrong one.
    Authentication,
    /// The token may not do this. Said in the same words whether what is asked for exists or not.
    NotAllowed,
    /// No such token. The number is Cairn's own.
    TokenNotFound,
    /// Too many wrong tokens came from this address. The number is Cairn's own.
    TooManyFailures,
    /// A request that a web page of another origin sent, or that came by a foreign name (open mode only).
    ForeignOrigin,
    /// Cairn's fault, or the store's. The explanation says which.
    Internal,
    /// Cannot be done now, but later.
    Unavailable,
    /// It was accepted, but whether it was carried out is not known. Not to be sent again blindly.
    OutcomeUnknown,
    /// Body, query or a name in the path is not what it must be.
    Body,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// No such Worker.
    ScriptNotFound,
    /// No such Worker, as the services route says it: wrangler takes it for a first deploy.
    ServiceNotFound,
    /// The upload is refused: the explanation is the message.
    ScriptInvalid,
    /// A binding is to be inherited that the newest version does not have.
    InheritInvalid,
    /// Another Worker has a binding to it. The number is Cairn's own.
    ScriptInUse,
    /// No such secret.
    SecretNotFound,
    /// Settings cannot be changed on their own, because the newest version is not the deployed one.
    SettingsNotDeployed,
    /// Secrets cannot be changed on their own, because the newest version is not the deployed one.
    LatestNotDeployed,
    /// An older version has other secrets than the deployed one, and it was not said that this is known.
    SecretsChanged,
    /// The script has no version.
    NoVersions,
    /// No such workflow.
    WorkflowNotFound,
    /// The workflow's script has no deployed version. The number is Cairn's own.
    WorkflowNotDeployed,
    /// The jurisdiction of a workflow cannot be changed.
    JurisdictionImmutable,
    /// No such version.
    VersionNotFound,
    /// No such instance.
    InstanceNotFound,
    /// No such step. The number is Cairn's own.
    StepNotFound,
    /// The instance has ended already.
    CannotTerminate,
    /// The instance is not paused. The number is Cairn's own.
    CannotResume,
    /// Restart from a step that was not reached.
    CannotRestart,
    /// An instance with this id exists.
    InstanceExists,
    /// The id stands twice in one batch.
    DuplicateInBatch,
    /// The inbox of the instance is full. The number is Cairn's own.
    InboxFull,
    /// Too many instances were created or restarted in the last second. The number is Cairn's own.
    CreationRate,
    /// More is asked for at once than the server takes on. The number is Cairn's own.
    Overloaded,
    /// Too many instances of the account are queued. The number is Cairn's own.
    QueueFull,
    /// The instance has no room for more values. The number is Cairn's own.
    StorageLimit,
    /// A test asks for what cannot be, such as a second session of a workflow. The number is Cairn's own.
    TestConflict,
    /// No such concurrency key. The number is Cairn's own.
    KeyNotFound,
    /// A concurrency key with this name exists. The number is Cairn's own.
    KeyExists,
    /// Cairn does not have this (yet). The number is Cairn's own.
    NotSupported,
}

impl ApiError {
    /// Every kind, in the order of the definition.
    pub const ALL: [Self; 43] = [
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::Authentication,
        Self::NotAllowed,
        Self::TokenNotFound,
        Self::TooManyFailures,
        Self::ForeignOrigin,
        Self::Internal,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::Body,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::ScriptNotFound,
        Self::ServiceNotFound,
        Self::ScriptInvalid,
        Self::InheritInvalid,
        Self::ScriptInUse,
        Self::SecretNotFound,
        Self::SettingsNotDeployed,
        Self::LatestNotDeployed,
        Self::SecretsChanged,
        Self::NoVersions,
        Self::WorkflowNotFound,
        Self::WorkflowNotDeployed,
        Self::JurisdictionImmutable,
        Self::VersionNotFound,
        Self::InstanceNotFound,
        Self::StepNotFound,
        Self::CannotTerminate,
        Self::CannotResume,
        Self::CannotRestart,
        Self::InstanceExists,
        Self::DuplicateInBatch,
        Self::InboxFull,
        Self::CreationRate,
        Self::Overloaded,
        Self::QueueFull,
        Self::StorageLimit,
        Self::TestConflict,
        Self::KeyNotFound,
        Self::KeyExists,
        Self::NotSupported,
    ];

    /// Number, HTTP status and name. Kinds without a name have the explanation as their message.
    const fn row(self) -> (u32, u16, Option<&'static str>) {
        match self {
            Self::NoRoute => (7003, 404, None),
            Self::MethodNotAllowed => (7001, 405, None),
            Self::Authentication => (10000, 401, Some("Authentication error")),
            Self::NotAllowed => (10000, 403, Some("Authentication error")),
            Self::TokenNotFound => (10488, 404, Some("cairn.api.error.token.not_found")),
            Self::TooManyFailures => (10499, 429, Some("Too many authentication failures")),
            Self::ForeignOrigin => (10000, 403, Some("Authentication error")),
            Self::Internal => (10001, 500, Some("workflows.api.error.internal_server")),
            Self::Unavailable => (10001, 503, Some("workflows.api.error.internal_server")),
            Self::OutcomeUnknown => (10001, 504, Some("workflows.api.error.internal_server")),
            Self::Body => (10002, 400, Some("workflows.api.error.body")),
            Self::BodyTooLarge => (10002, 413, Some("workflows.api.error.body")),
            Self::BodyTimeout => (10002, 408, Some("workflows.api.error.body")),
            Self::ScriptNotFound => (10007, 404, Some("This Worker does not exist on your account.")),
            Self::ServiceNotFound => (10090, 404, Some("workers.api.error.service_not_found")),
            Self::ScriptInvalid => (10021, 400, None),
            Self::InheritInvalid => (10057, 400, None),
            Self::ScriptInUse => (10487, 409, None),
            Self::SecretNotFound => (10056, 404, None),
            Self::SettingsNotDeployed => (10214, 400, None),
            Self::LatestNotDeployed => (10215, 400, None),
            Self::SecretsChanged => (10220, 400, None),
            Self::NoVersions => (10222, 404, None),
            Self::WorkflowNotFound => (10200, 404, Some("workflows.api.error.workflow.not_found")),
            Self::WorkflowNotDeployed => (10210, 400, Some("workflows.api.error.workflow.not_deployed")),
            Self::JurisdictionImmutable => (
                10209,
                409,
                Some("workflows.api.error.workflow.jurisdiction_immutable"),
            ),
            Self::VersionNotFound => (10300, 404, Some("workflows.api.error.version.not_found")),
            Self::InstanceNotFound => (10400, 404, Some("workflows.api.error.instance.not_found")),
            Self::StepNotFound => (10490, 404, Some("workflows.api.error.instance.step_not_found")),
            Self::CannotTerminate => (10401, 409, Some("workflows.api.error.instance.cannot_terminate")),
            Self::CannotResume => (10491, 409, Some("workflows.api.error.instance.cannot_resume")),
            Self::CannotRestart => (10495, 409, Some("workflows.api.error.instance.cannot_restart")),
            // 400 is what the one public client test expects (behaviour §1.4).
            Self::InstanceExists => (10405, 400, Some("workflows.api.error.instance.already_exists")),
            Self::DuplicateInBatch => (
                10415,
                400,
                Some("workflows.api.error.instance.duplicate_in_batch"),
            ),
            Self::InboxFull => (10492, 429, Some("workflows.api.error.instance.inbox_full")),
            Self::CreationRate => (10497, 429, Some("workflows.api.error.instance.creation_rate")),
            Self::Overloaded => (10489, 429, Some("workflows.api.error.overloaded")),
            Self::QueueFull => (10496, 429, Some("workflows.api.error.instance.queue_full")),
            Self::StorageLimit => (10493, 400, Some("workflows.api.error.instance.storage_limit")),
            Self::TestConflict => (10498, 409, Some("workflows.api.error.test.conflict")),
            Self::KeyNotFound => (10480, 404, Some("workflows.api.error.concurrency.not_found")),
            Self::KeyExists => (10481, 409, Some("workflows.api.error.concurrency.already_exists")),
            // Not 501: Cloudflare's SDKs send what is answered with 5xx again.
            Self::NotSupported => (10494, 400, Some("workflows.api.error.not_supported")),
        }
    }

    /// Its number.
    pub const fn code(self) -> u32 {
        self.row().0
    }

    /// The HTTP status it goes out with.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// Its fixed name, such as `workflows.api.error.instance.not_found`; none where the explanation is the message.
    pub const fn name(self) -> Option<&'static str> {
        self.row().2
    }
}

/// A request that was not done.
///
/// On the wire the first error has exactly Cloudflare's number and message, and `messages` holds the explanation, which wrangler and the
/// SDKs print below it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{explanation}")]
pub struct Failure {
    /// Its kind.
    pub error: ApiError,
    /// What happened, what was expected, what to do.
    pub explanation: String,
    /// After how many seconds trying again may help.
    pub retry_after_seconds: Option<u32>,
    /// The methods that the route has, where the one that was used is none of them.
    pub allowed: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(error: ApiError, explanation: impl Into<String>) -> Self {
        let retry_after_seconds = match error {
            ApiError::InboxFull | ApiError::Unavailable | ApiError::Overloaded => Some(1),
            ApiError::QueueFull => Some(QUEUE_FULL_SECONDS),
            _ => None,
        };
        Self {
            error,
            explanation: explanation.into(),
            retry_after_seconds,
            allowed: None,
        }
    }

    /// Its message on the wire.
    pub fn message(&self) -> &str {
        self.error.name().unwrap_or(&self.explanation)
    }

    /// Its envelope.
    pub fn envelope(&self) -> Envelope<()> {
        let mut messages = Vec::new();
        if self.error.name().is_some() && !self.explanation.is_empty() {
            messages.push(Note::Text(self.explanation.clone()));
        }
        let error = ErrorMessage {
            code: self.error.code(),
            message: self.message().into(),
        };
        Envelope {
            success: false,
            errors: vec![error],
            messages,
            result: None,
            result_info: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cloudflares_and_explanations_follow() {
        let failure = Failure::new(ApiError::InstanceExists, "instance \"a\" already exists");
        let text = serde_json::to_string(&failure.envelope()).unwrap();
        assert_eq!(
            text,
            r#"{"success":false,"errors":[{"code":10405,"message":"workflows.api.error.instance.already_exists"}],"messages":["instance \"a\" already exists"],"result":null}"#
        );
    }

    #[test]
    fn kinds_without_a_name_say_it_in_the_message() {
        let envelope = Failure::new(ApiError::ScriptInvalid, "No such module").envelope();
        assert_eq!(envelope.errors[0].message, "No such module");
        assert!(envelope.messages.is_empty());
    }

    #[test]
    fn numbers_are_shared_only_by_one_name() {
        for a in ApiError::ALL {
            assert!((400..600).contains(&a.status()), "{a:?}");
            for b in ApiError::ALL {
                assert!(a.code() != b.code() || a.name() == b.name(), "{a:?} {b:?}");
            }
        }
    }
}
