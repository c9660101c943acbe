//! References in the values of variables and in commands: `${service.NAME.url}`, `${port}` and their kin.
//!
//! Owns their syntax. `$${` stands for a literal `${`; a `$` before anything else is itself.

/// What a reference asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Url,
    Host,
    Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    Service {
        name: &'a str,
        on: Option<&'a str>,
        field: Field,
    },
    Site {
        name: &'a str,
    },
    /// The port that the service itself binds.
    Port,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    /// A reference, and how it is written.
    Reference(Reference<'a>, &'a str),
    /// What begins like a reference and is none.
    Malformed(&'a str),
}

/// The forms there are, for hints.
pub const FORMS: &str = "a reference is ${service.NAME.url}, .host or .port, ${service.NAME.on.INSTANCE.url}, \
                         ${site.NAME.url}, or ${port} for the port to bind; write $${ for a literal ${";

/// What to write instead of something in braces that is no reference.
pub fn instead_of(raw: &str) -> String {
    let inner = raw.trim_start_matches("${");
    let name = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(inner, |end| &inner[..end]);
    // Names of services and sites are in lower case; of variables few are.
    if name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase()) {
        return format!("no shell replaces a variable here: write its value, or have the program read it; {FORMS}");
    }
    FORMS.to_owned()
}

/// Takes `text` apart.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Text(before), Part::Text("${")]);
            rest = &from[2..];
            continue;
        }
        parts.push(Part::Text(before));
        let Some(end) = from.find('}') else {
            parts.push(Part::Malformed(from));
            return parts;
        };
        let (written, after) = from.split_at(end + 1);
        parts.push(match parse(&written[2..end]) {
            Some(reference) => Part::Reference(reference, written),
            None => Part::Malformed(written),
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    parts
}

fn parse(inner: &str) -> Option<Reference<'_>> {
    let words: Vec<&str> = inner.split('.').collect();
    let field = |word| match word {
        "url" => Some(Field::Url),
        "host" => Some(Field::Host),
        "port" => Some(Field::Port),
        _ => None,
    };
    match words.as_slice() {
        ["service", name, last] => Some(Reference::Service { name, on: None, field: field(last)? }),
        ["service", name, "on", instance, last] => {
            Some(Reference::Service { name, on: Some(instance), field: field(last)? })
        }
        ["site", name, "url"] => Some(Reference::Site { name }),
        ["port"] => Some(Reference::Port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_and_nothing_is_lost() {
        let url = |name| Reference::Service { name, on: None, field: Field::Url };
        assert_eq!(
            parts("a ${service.b.url}/x $HOME $${c} ${d}"),
            [
                Part::Text("a "),
                Part::Reference(url("b"), "${service.b.url}"),
                Part::Text("/x $HOME "),
                Part::Text("${"),
                Part::Text("c} "),
                Part::Malformed("${d}"),
                Part::Text(""),
            ]
        );
        assert_eq!(parts("${service.b"), [Part::Text(""), Part::Malformed("${service.b")]);
        let on = Reference::Service { name: "b", on: Some("h1"), field: Field::Port };
        assert_eq!(parse("service.b.on.h1.port"), Some(on));
        assert_eq!(parse("site.app.url"), Some(Reference::Site { name: "app" }));
        assert_eq!(parse("port"), Some(Reference::Port));
        for text in ["service.b", "service.b.uri", "site.app.host", "service.b.on.url", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
