//! How systemd reads what is rendered, written anew from systemd.syntax(7), systemd.exec(5) and
//! systemd.service(5): not from the code under test.

/// `EnvironmentFile=`: variables in their order. None where systemd would not take the file.
pub fn environment(text: &str) -> Option<Vec<(String, String)>> {
    let mut variables = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let Some(first) = rest.next() else { return Some(variables) };
        if matches!(first, '#' | ';') {
            while rest.next_if(|c| *c != '\n').is_some() {}
            continue;
        }
        let mut key = String::from(first);
        while let Some(c) = rest.next_if(|c| *c != '=') {
            key.push(c);
        }
        rest.next()?;
        let mut value = String::new();
        // Only what is rendered: one word in double quotes.
        rest.next_if_eq(&'"')?;
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => match rest.next()? {
                    c @ ('"' | '\\' | '$' | '`') => value.push(c),
                    '\n' => {}
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
        rest.next_if_eq(&'\n')?;
        // Control characters but tabs and line breaks are dropped with the variable.
        if !is_utf8(&value) || value.chars().any(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n')) {
            return None;
        }
        variables.push((key, value));
    }
}

/// What systemd calls valid: Unicode's noncharacters are not.
fn is_utf8(text: &str) -> bool {
    !text.chars().any(|c| matches!(u32::from(c), 0xfdd0..=0xfdef) || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff))
}

/// The settings of a unit as `SECTION.KEY` and value, specifiers not yet resolved. None where systemd
/// would ignore a line, or not take the file.
pub fn unit(text: &str) -> Option<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut section = None;
    // Each of these ends a line.
    for line in text.split(['\n', '\r', '\0']).map(str::trim_ascii).filter(|line| !line.is_empty()) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        // The next line would belong to this one.
        if line.ends_with('\\') || !is_utf8(line) {
            return None;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = Some(name.strip_suffix(']')?);
            continue;
        }
        let (key, value) = line.split_once('=')?;
        settings.push((format!("{}.{}", section?, key.trim_ascii()), value.trim_ascii().to_owned()));
    }
    Some(settings)
}

/// A value in which only `%` has a meaning.
pub fn plain(value: &str) -> Option<String> {
    String::from_utf8(specifiers(value.as_bytes())?).ok()
}

/// A value that is one or several words, as in `StateDirectory=`.
pub fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = value.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        let (next, after) = word(rest)?;
        words.push(plain(&String::from_utf8(next).ok()?)?);
        rest = after.trim_start_matches([' ', '\t']);
    }
    Some(words)
}

/// Whether a text is the name of one service unit: not of a template.
pub fn is_service(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".service") else { return false };
    let is_valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let has_parts = stem.split_once('@').is_none_or(|(prefix, instance)| !prefix.is_empty() && !instance.is_empty());
    name.len() < 256 && !stem.is_empty() && has_parts && stem.chars().all(is_valid)
}

/// An amount as `MemoryMax=` takes it, in bytes.
pub fn memory(value: &str) -> Option<u64> {
    let unit = ["K", "M", "G", "T"].iter().position(|unit| value.ends_with(unit))?;
    let number: u64 = value[..value.len() - 1].parse().ok()?;
    let bytes = number.checked_mul(1_u64.checked_shl(10 * (unit as u32 + 1))?)?;
    (bytes != 0 && bytes != u64::MAX).then_some(bytes)
}

/// Whether systemd takes the path of a program, once it is read.
pub fn is_program(path: &[u8]) -> bool {
    let Ok(path) = str::from_utf8(path) else { return false };
    let is_safe = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    path.starts_with('/') && !path.ends_with('/') && path.chars().all(is_safe) && is_utf8(path)
}

/// The words of an `ExecStart=` as bytes, `%%` undone. None where systemd would not take the line.
pub fn exec_start(line: &str) -> Option<Vec<Vec<u8>>> {
    // `:` switches the expansion of `$` off.
    let mut rest = line.strip_prefix("ExecStart=:")?;
    if line.contains(['\n', '\r', '\0']) || !is_utf8(line) || line.ends_with('\\') {
        return None;
    }
    let mut words = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Some(words);
        }
        // A lone `;` begins another command.
        if rest == ";" || rest.starts_with("; ") || rest.starts_with("\\;") {
            return None;
        }
        let (word, after) = word(rest)?;
        words.push(specifiers(&word)?);
        rest = after;
    }
}

fn word(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut word = Vec::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\\', _) => {
                let (bytes, after) = escape(rest)?;
                word.extend(bytes);
                rest = after;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ' | '\t', None) => return Some((word, rest)),
            (c, _) => word.extend(c.to_string().bytes()),
        }
    }
    if quote.is_some() { None } else { Some((word, rest)) }
}

fn escape(rest: &str) -> Option<(Vec<u8>, &str)> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let plain = |byte: u8| Some((vec![byte], after));
    match c {
        'n' => plain(b'\n'),
        't' => plain(b'\t'),
        'r' => plain(b'\r'),
        's' => plain(b' '),
        '\\' | '"' | '\'' => plain(c as u8),
        'x' => {
            let byte = u8::from_str_radix(after.get(..2)?, 16).ok().filter(|byte| *byte != 0)?;
            Some((vec![byte], &after[2..]))
        }
        _ => None,
    }
}

fn specifiers(word: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut bytes = word.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' && bytes.next() != Some(&b'%') {
            return None;
        }
        plain.push(*byte);
    }
    Some(plain)
}
