//! Messages between Workers, as the switch of service bindings reads them.

use crate::{Fault, Verdict, require};
use cairn_runtime::fuzzing::rpc_message;

/// The bytes are what comes from the socket of a process.
pub(crate) fn check(bytes: &[u8]) -> Result<Verdict, Fault> {
    let read = rpc_message(bytes);
    require(rpc_message(bytes) == read, || {
        "read twice, it is two messages".into()
    })?;
    match read {
        Err(refusal) => Ok(Verdict::Refused(refusal)),
        Ok((kind, is_unchanged)) => {
            require(is_unchanged, || {
                format!("ids put where they stand have changed {kind}")
            })?;
            Ok(Verdict::Accepted)
        }
    }
}
