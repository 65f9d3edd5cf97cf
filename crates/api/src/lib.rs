//! The words on the wire: Cloudflare's envelope, objects and errors (behaviour §1).
//!
//! Every type, those of `testing` aside, derives both `Serialize` and `Deserialize`, so that the server writes and clients read the same definitions. Nothing
//! here knows HTTP beyond status numbers, and nothing here does I/O.

mod access;
mod concurrency;
mod envelope;
mod error;
mod graph;
mod instance;
mod openapi;
mod page;
mod script;
mod tail;
mod testing;
mod time;
mod trigger;
mod workflow;

pub use access::{
    ALL_ACCOUNTS, AuditActor, AuditEntry, TokenCreate, TokenInfo, TokenRevoked, TokenScope, TokenStatus,
    TokenVerified,
};
pub use concurrency::{ConcurrencyKey, KeyCreate, KeyPatch};
pub use envelope::{Envelope, ErrorMessage, Note, ResultInfo};
pub use error::{ApiError, Failure};
pub use graph::{VersionDag, VersionGraph};
pub use instance::{
    Attempt, BatchDeleteRequest, BatchDeleteResult, BatchTerminateResult, DeleteError, Deleted, EventSent,
    Firing, InstanceCreate, InstanceCreated, InstanceDeleted, InstanceDetails, InstanceRow, InstanceStatus,
    JobBegun, JobState, JobStatus, NamedError, RestartFrom, Retries, RetryDelay, Rollback, RollbackOutcome,
    StatusChange, StatusChanged, Step, StepConfig, StepOutput, StepTimeout, SubscribeToken, TerminateJob,
    TriggerInfo, TriggerSource,
};
pub use openapi::openapi;
pub use page::{OffsetPage, PER_PAGE_MAX};
pub use script::{
    Account, Deployment, DeploymentRequest, DeploymentVersion, Deployments, ScriptSubdomain, ScriptUploaded,
    ScriptVersion, ScriptVersionList, Secret, VersionMetadata, VersionResources, VersionScript, WorkerInfo,
};
pub use tail::{Tail, TailCreate, TailFilter, TailHeader};
pub use testing::{
    AdvanceClock, Modifier, Modify, Span, StepName, TestClock, TestDone, TestError, TestInstance,
    TestInstances, TestSession, TestStatus, TestStep, TestValue,
};
pub use time::{Time, TimeError};
pub use trigger::{EventTrigger, ScriptTriggers, TriggerTarget, TriggersDeleted};
pub use workflow::{
    Concurrency, Cron, DurationValue, InstanceCounts, PutRequest, PutResult, Retention, RetentionMillis,
    RetentionSettings, Schedule, SettingsPatch, StepLimit, Workflow, WorkflowDeleted, WorkflowVersion,
};
