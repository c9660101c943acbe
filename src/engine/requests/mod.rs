//! What people ask of an environment: controls, going back, and the question why.

pub mod control;
pub mod rollback;
pub mod why;
