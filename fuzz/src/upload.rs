//! Uploads: the multipart body and the metadata in it.

use crate::{Fault, Verdict, require};
use bytes::Bytes;
use cairn_server::fuzzing::{Refused, upload};

/// What the bodies of the seeds have between their parts.
const BOUNDARY: &str = "----b";

/// The bytes are the body of an upload.
pub(crate) fn check(bytes: &[u8]) -> Result<Verdict, Fault> {
    match upload(BOUNDARY, Bytes::copy_from_slice(bytes)) {
        Ok(modules) => {
            for (name, content) in &modules {
                // An empty one is found everywhere.
                let is_there =
                    content.is_empty() || bytes.windows(content.len()).any(|window| window == content);
                require(is_there, || {
                    format!("the module {name:?} has bytes that were not uploaded")
                })?;
            }
            require(!modules.is_empty(), || {
                "an upload without modules was accepted".into()
            })?;
            Ok(Verdict::Accepted)
        }
        Err(Refused { status, explanation }) => {
            require((400..500).contains(&status), || {
                format!("what a client sent was answered with {status}: {explanation}")
            })?;
            require(!explanation.is_empty(), || {
                format!("a refusal ({status}) without a word")
            })?;
            Ok(Verdict::Refused(explanation))
        }
    }
}
