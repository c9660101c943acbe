//! A frontend's files.
//!
//! Keeps true: a request never fails because the site switches in its midst. A file is opened once, through
//! one link: `try_files` would look first and open later, through a link that may point elsewhere by then.
//! Source: nginx's documentation of `location`, `error_page`, `try_files` and of its gzip module.

use super::{RenderError, headers, shared, unprintable};
use crate::model::{
    fleet::{Fleet, Site},
    paths,
};

/// What is text and compresses well; HTML always is.
const TEXT: &str = "text/css text/plain text/xml text/javascript application/javascript application/json \
                    application/manifest+json application/xml application/wasm image/svg+xml";

/// A hash in a name, as webpack, Vite, esbuild and the like put it before the ending: eight or more letters
/// and digits, both among them. A word with a number behind it and two numbers with a letter between them
/// (`1024x1024`) are no hash, unless they could be one in hexadecimal digits. Where a name leaves a doubt it is
/// none: a file that is asked for again each time is slow, one that is never asked for again is wrong for a year.
const HASHED: &str = r"[.-](?:(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}|(?=[A-Za-z_]*[0-9])(?![A-Z]?[a-z]+[0-9]+\.)(?![A-Z]+[0-9]+\.)(?![0-9_]+\.)(?![0-9]+[A-Za-z][0-9]+\.)[0-9A-Za-z_]{8,})(?:\.[0-9A-Za-z]+){1,3}$";

/// Vite's eight characters of base64url, in its own folder. One in four has no digit, one in eight a hyphen.
const HASHED_BY_VITE: &str = r"/assets/(?:.*/)?[^/]*[.-](?=[^./]*[0-9A-Z])(?![A-Z]?[a-z]+[0-9]*\.)(?![A-Z]+[0-9]*\.)(?![0-9]+\.)(?![a-z0-9_]*-[a-z0-9_-]*\.)[0-9A-Za-z_-]{8}(?:\.[0-9A-Za-z]+){1,2}$";

pub(super) fn locations(fleet: &Fleet, site: &Site) -> Result<String, RenderError> {
    let current = paths::site_current(&fleet.name, &site.name);
    // Debian's list of types has no ending of JavaScript modules, which browsers do not run as anything else.
    let mut text = format!(
        "\n    include mime.types;\n    \
             types {{ text/javascript mjs; application/manifest+json webmanifest; }}\n    \
             index index.html;\n\
         \n    location / {{\n        \
             root {current};\n        \
             try_files {};\n",
        if site.serving.spa { "$uri $uri/index.html /index.html" } else { "$uri $uri/ =404" }
    );
    text += &served(site, "        ", "no-cache")?;
    // Within `/`, so that they are looked at for no route.
    let immutable = immutable(site)?;
    if let Some(immutable) = &immutable {
        text += &format!(
            "\n        location ~ \"{immutable}\" {{\n            \
                 log_not_found off;\n            \
                 recursive_error_pages on;\n            \
                 error_page 404 = @previous-1;\n"
        );
        text += &headers::of_frontend(site, "            ", &kept(fleet))?;
        text += "        }\n";
    }
    if site.serving.spa {
        // What has an ending is a file: when it is missing, a page in its place would only hide that.
        text += "\n        location ~ \\.[^/.]+$ {\n            try_files $uri =404;\n        }\n";
    }
    text += "    }\n";
    if immutable.is_some() {
        for number in 1..=paths::PREVIOUS {
            text += &previous(fleet, site, number)?;
        }
    }
    Ok(text)
}

/// Where a hashed file is looked for that `current` does not have any more: pages that were opened before a
/// switch go on asking for theirs.
fn previous(fleet: &Fleet, site: &Site, number: usize) -> Result<String, RenderError> {
    let root = paths::site_previous(&fleet.name, &site.name, number);
    let mut text = format!("\n    location @previous-{number} {{\n        root {root};\n        log_not_found off;\n");
    if number < paths::PREVIOUS {
        text += &format!("        recursive_error_pages on;\n        error_page 404 = @previous-{};\n", number + 1);
    }
    text += &served(site, "        ", &kept(fleet))?;
    Ok(text + "    }\n")
}

fn kept(fleet: &Fleet) -> String {
    format!("${}", shared::age(fleet))
}

/// How a file travels, and with which headers. With a cache of open files, which a host may have switched
/// on for all of nginx, a switch would be seen late.
fn served(site: &Site, indent: &str, cache: &str) -> Result<String, RenderError> {
    let lines =
        ["open_file_cache off;", "gzip on;", "gzip_vary on;", "gzip_min_length 1024;", &format!("gzip_types {TEXT};")];
    let lines: String = lines.iter().map(|line| format!("{indent}{line}\n")).collect();
    Ok(lines + &headers::of_frontend(site, indent, cache)?)
}

/// The pattern of the paths whose content never changes. None where no file is such.
fn immutable(site: &Site) -> Result<Option<String>, RenderError> {
    match site.serving.immutable.as_deref() {
        None => Ok(Some(format!("{HASHED}|{HASHED_BY_VITE}"))),
        Some([]) => Ok(None),
        Some(globs) => {
            let patterns = globs.iter().map(|glob| pattern(site, glob)).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(format!("^/(?:{})$", patterns.join("|"))))
        }
    }
}

/// A glob, as in a `.gitignore` from the frontend's root: without a `/` it is for names in every folder.
fn pattern(site: &Site, glob: &str) -> Result<String, RenderError> {
    let mut pattern = String::from(if glob.contains('/') { "" } else { "(?:.*/)?" });
    let mut rest = glob;
    while let Some(c) = rest.chars().next() {
        let (taken, meaning) = match c {
            _ if rest.starts_with("**/") => (3, "(?:.*/)?".to_owned()),
            _ if rest.starts_with("**") => (2, ".*".to_owned()),
            '*' => (1, "[^/]*".to_owned()),
            '?' => (1, "[^/]".to_owned()),
            '.' | '+' => (1, format!("\\{c}")),
            c if c.is_ascii_alphanumeric() || "_@~,-/".contains(c) => (1, c.to_string()),
            _ => {
                return Err(unprintable(
                    site,
                    "frontend.immutable",
                    "a character outside letters, digits and _@+~.,*?/-",
                ));
            }
        };
        pattern += &meaning;
        rest = &rest[taken..];
    }
    Ok(pattern)
}
