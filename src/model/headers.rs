//! Headers of a site's answers that are sent without being declared.

/// Browsers that have seen the site ask for it by TLS alone, for a year. For its own name only: what lies
/// below it may be somebody else's.
pub const OF_TLS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// What a browser is told with every file of a frontend.
pub const OF_FRONTENDS: [(&str, &str); 3] = [
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
];

/// What nginx or evenkeel works out for each answer. Another one beside it would contradict it.
pub const WORKED_OUT: [&str; 13] = [
    "Accept-Ranges",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Last-Modified",
    "Server",
    "Transfer-Encoding",
    "Vary",
];

/// The names of all that are sent without being declared.
pub fn given() -> impl Iterator<Item = &'static str> {
    OF_FRONTENDS.iter().chain([&OF_TLS]).map(|(name, _)| *name)
}
