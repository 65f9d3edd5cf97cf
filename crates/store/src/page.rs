//! Which rows a list shows.

use crate::{InstanceNo, InstanceRow};
use cairn_core::{Status, Timestamp};

/// Order of a list by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// The default of the API.
    #[default]
    NewestFirst,
    /// Asked for.
    OldestFirst,
}

/// Which instances of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceFilter {
    /// In this status.
    pub status: Option<Status>,
    /// Created at or after.
    pub created_from: Option<Timestamp>,
    /// Created at or before.
    pub created_until: Option<Timestamp>,
    /// In this order.
    pub order: SortOrder,
    /// Beyond this one, in that order (a cursor).
    pub after: Option<InstanceNo>,
    /// Leave out so many first (an offset).
    pub offset: u64,
    /// At most so many.
    pub limit: usize,
}

/// A page of instances.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstancePage {
    /// The rows.
    pub rows: Vec<InstanceRow>,
    /// Rows that the filter matches, over all pages.
    pub total: u64,
    /// Whether there are rows beyond these.
    pub more: bool,
}

/// Offset paging of short lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowPage {
    /// Leave out so many first.
    pub offset: u64,
    /// At most so many.
    pub limit: usize,
}
