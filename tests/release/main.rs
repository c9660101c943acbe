//! Sources that lie elsewhere: fetched from repositories and servers on this machine, refused where they
//! are hostile, and the same release wherever the same files came from. And what is built of sources, in a real
//! sandbox: this needs bubblewrap, and for the example's frontend npm and its registry.

mod archives;
mod builds;
mod download;
#[path = "../support/git.rs"]
#[allow(dead_code)] // its server is for others
mod git_program;
mod hostile;
#[path = "../support/needs.rs"]
mod needs;
mod network;
mod reach;
mod repositories;
mod server;
mod sources;
mod world;
