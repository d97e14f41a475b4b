//! The proxy over real sockets: routes, failures, protocols, and its life as a process.

mod routes;
mod world;
