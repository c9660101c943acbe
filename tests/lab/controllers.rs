//! Controllers, what they share, and what people ask of them.
