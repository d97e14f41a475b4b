//! The proxy over real sockets: routes, failures, protocols, and its life as a process.

mod failures;
mod patience;
mod process;
mod protocols;
mod routes;
mod world;
