//! Sources that lie elsewhere: fetched from repositories and servers on this machine, refused where they
//! are hostile, and the same release wherever the same files came from.

mod archives;
mod download;
mod hostile;
mod repositories;
mod server;
mod sources;
mod world;
