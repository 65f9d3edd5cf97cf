//! `…/scripts/:script/tails`: following what a Worker does (`wrangler tail`).

use crate::Time;
use serde::{Deserialize, Serialize};

/// What is to be followed; everything without filters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TailCreate {
    /// All of them must let an item pass.
    #[serde(default)]
    pub filters: Vec<TailFilter>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TailFilter {
    /// A part of all items, by chance.
    Sampling {
        /// From 0 to 1.
        sampling_rate: f64,
    },
    /// How the handler ended.
    Outcome {
        /// `ok`, `exception`, `canceled`, …
        outcome: Vec<String>,
    },
    /// The method of a request.
    Method {
        /// `GET`, …
        method: Vec<String>,
    },
    /// A header of a request.
    Header {
        /// Which.
        header: TailHeader,
    },
    /// Where a request came from.
    ClientIp {
        /// Addresses, or `self`.
        client_ip: Vec<String>,
    },
    /// Text of a logged line.
    Query {
        /// The text.
        query: String,
    },
    /// The version.
    ScriptVersion {
        /// Its id.
        #[serde(rename = "scriptVersion")]
        script_version: String,
    },
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailHeader {
    /// Its name.
    pub key: String,
    /// Text of its value; any when absent.
    #[serde(default)]
    pub query: Option<String>,
}

/// A tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Its id.
    pub id: String,
    /// Where to listen, with a WebSocket of the protocol `trace-v1`. Whoever knows it may listen, once.
    pub url: String,
    /// When it ends.
    pub expires_at: Time,
}
