//! The door as a whole, on a store in memory and a runtime that runs nothing by itself.

mod access;
mod failures;
mod instances;
mod schedules;
mod server;
mod subscribe;
mod testing;
mod uploads;
mod workers;
mod workflows;
mod world;
