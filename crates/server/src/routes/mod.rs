//! The routes, one subject a file. Each handler reads its request, asks the engine, and writes the answer.

pub(crate) mod access;
mod batch;
mod commands;
mod concurrency;
mod create;
mod deployments;
mod describe;
mod graphs;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod openapi;
mod origin;
mod script_crons;
mod script_list;
pub(crate) mod script_settings;
pub(crate) mod scripts;
mod secrets;
mod subscribe;
pub(crate) mod tails;
pub(crate) mod testing;
mod triggers;
mod upload;
pub(crate) mod user;
mod words;
mod workflow_put;
pub(crate) mod workflows;

pub(crate) use script_list::EnvironmentPart;
pub(crate) use workflow_put::WorkflowExport;
