//! The plain values that everything else speaks in.
//!
//! Owns: names and digests (built only by checked parsing), the resolved [`fleet::Fleet`], what was
//! observed, what is planned, how a deployment ended. Keeps true: a value that exists is valid.
//! Never does: I/O, clocks, randomness, wording for people (that is `report`).

pub mod address;
pub mod archive;
pub mod backoff;
pub mod belief;
pub mod budget;
pub mod build;
pub mod calendar;
pub mod change;
pub mod commit;
pub mod confinement;
pub mod content;
pub mod desired;
pub mod digest;
pub mod drift;
pub mod environment_state;
pub mod event;
pub mod exclude;
pub mod failure;
pub mod finding;
pub mod fleet;
pub mod folders;
pub mod generation;
pub mod grants;
pub mod headers;
pub mod manifest;
pub mod name;
pub mod netrc;
pub mod nginx;
pub mod observation;
pub mod outcome;
pub mod pairs;
pub mod paths;
pub mod plan;
pub mod program;
pub mod pull;
pub mod quantity;
pub mod reach;
pub mod release;
pub mod repair;
pub mod requirements;
pub mod rights;
pub mod rollout;
pub mod run;
pub mod seal;
pub mod seen;
pub mod source;
pub mod status;
pub mod text;
pub mod time;
pub mod tree;
pub mod venv;
pub mod writer;
