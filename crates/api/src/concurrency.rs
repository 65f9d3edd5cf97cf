//! Concurrency keys: caps on how many steps run at once, over all workflows of an account. Kept, and not enforced yet: no public source tells how a step
//! names one.

use crate::Time;
use crate::openapi::words::{KeyName, Uuid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A concurrency key. It is kept and not enforced yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConcurrencyKey {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: String,
    /// Its name, unique in the account.
    #[schema(value_type = KeyName)]
    pub name: String,
    /// Steps that may hold it at once.
    #[schema(minimum = 1)]
    pub limit: u32,
    /// When it was made.
    pub created_on: Time,
    /// Last change.
    pub modified_on: Time,
}

/// Body of `POST /workflows/concurrency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyCreate {
    /// Its name, unique in the account.
    #[schema(value_type = KeyName)]
    pub name: String,
    /// Steps that may hold it at once.
    #[schema(minimum = 1)]
    pub limit: u32,
}

/// Body of `PATCH /workflows/concurrency/:id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyPatch {
    /// Steps that may hold it at once, from now on.
    #[schema(minimum = 1)]
    pub limit: u32,
}
