//! The real runtime: one workerd process per deployed Worker version.
//!
//! [`Workerd`] keeps the processes: it starts one when a run or a request needs it, stops it when it has been idle for a
//! while, and starts it again with growing pauses when it fails. Each process is spoken to over one WebSocket
//! (PROTOCOL.md); when that ends, for whatever reason, all runs on it are lost and said to be.

mod binding_events;
mod binding_server;
mod config;
mod connection;
mod keeper;
mod memory;
mod process;
mod rooms;
mod run_dir;
mod scheduled;
mod services;
mod shim;
mod supervisor;
mod tracer;
mod verdict;
mod waiting;

pub use crate::frame::LARGEST_VALUE;
pub use config::Egress;
pub use keeper::PublicSocket;
pub use run_dir::default_run_dir;
pub(crate) use services::examine_message;
pub use supervisor::{Workerd, WorkerdConfig};
