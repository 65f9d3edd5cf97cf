//! The door as a whole, on a store in memory and a runtime that runs nothing by itself.

mod access;
mod audit;
mod concurrency;
mod contract;
mod errors;
mod failures;
mod graphs;
mod instances;
mod isolation;
mod parity;
mod schedules;
mod scripts;
mod server;
mod subscribe;
mod testing;
mod tls;
mod tokens;
mod uploads;
mod workers;
mod workflows;
mod world;
