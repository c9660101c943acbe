//! Logins by host, as a `.netrc` holds them.
//!
//! Keeps true: a login is found for the very host that is named; `default` is for every other host and comes last.

/// User and password for `host`.
pub fn login(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = text.lines().take_while(|line| !line.trim_start().starts_with("macdef")).flat_map(words);
    let (mut entries, mut at) = (Vec::new(), None);
    while let Some(word) = words.next() {
        match word {
            "machine" => {
                at = Some(entries.len());
                entries.push((words.next()?, None, None));
            }
            "default" => {
                at = Some(entries.len());
                entries.push(("", None, None));
            }
            "login" | "password" | "account" => {
                let value = words.next()?;
                let entry = at.and_then(|at: usize| entries.get_mut(at))?;
                match word {
                    "login" => entry.1 = Some(value),
                    "password" => entry.2 = Some(value),
                    _ => {}
                }
            }
            // What is none of it is taken for nothing at all rather than read past.
            _ => return None,
        }
    }
    let named = entries.iter().find(|(machine, ..)| machine.eq_ignore_ascii_case(host));
    let (_, login, password) = named.or_else(|| entries.iter().find(|(machine, ..)| machine.is_empty()))?;
    Some(((*login)?.to_owned(), (*password)?.to_owned()))
}

/// A `#` at the beginning of a word begins a comment, but for a password's.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut before = "";
    line.split_whitespace().take_while(move |word| {
        let is_comment = word.starts_with('#') && !matches!(before, "password" | "login" | "account");
        before = *word;
        !is_comment
    })
}

#[cfg(test)]
mod tests {
    use super::login;

    #[test]
    fn a_login_is_that_of_its_host() {
        let text = "# ours\nmachine a.example.org\n  login me\n  password #s3cret\nmachine b.example.org login you password x\n";
        let found = |host: &str| login(text, host);
        assert_eq!(found("A.example.org"), Some(("me".to_owned(), "#s3cret".to_owned())));
        assert_eq!(found("b.example.org"), Some(("you".to_owned(), "x".to_owned())));
        assert_eq!(found("a.example.org.evil"), None);
        let all = format!("{text}default login any password y\nmacdef init\nbin\n");
        assert_eq!(login(&all, "c.example.org"), Some(("any".to_owned(), "y".to_owned())));
        assert_eq!(login("machine a.example.org login me", "a.example.org"), None);
        assert_eq!(login("-----BEGIN KEY-----", "a.example.org"), None);
    }
}
