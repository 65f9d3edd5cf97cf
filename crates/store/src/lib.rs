//! Where instances, journals, inboxes and scripts are kept.
