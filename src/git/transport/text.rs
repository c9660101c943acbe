//! What a server says, made fit to be read: by libgit2's binding, and by people.
//!
//! Keeps true: no secret that a server repeats is shown.
//!
//! A remote's answers are made UTF-8 before libgit2 reads them, packs excepted: git2 panics at a branch's name or a
//! hook's words that are not.

use crate::model::budget::{Budget, Exceeded};

/// As much of an answer is shown.
const SHOWN: usize = 200;
/// What comes before the first byte that is no text, if it is shorter, is chance.
const WORD: usize = 4;
/// Kept of an answer: more than is shown, so that no half of a secret stays at the end of it.
pub(super) const KEPT: usize = 4 * SHOWN;

/// An answer's beginning, on one line, without the secrets that a server might repeat.
pub(super) fn shown(bytes: &[u8], secrets: &[String]) -> String {
    // Before it is cut, or half a secret would stay.
    let text =
        secrets.iter().fold(String::from_utf8_lossy(bytes).into_owned(), |text, secret| text.replace(secret, "…"));
    let text: String = text.chars().take(SHOWN).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "")
}

/// The first bytes of an answer that is still coming.
#[derive(Default)]
pub(super) struct Beginning {
    bytes: Vec<u8>,
    secrets: Vec<String>,
}

impl Beginning {
    /// A new answer is awaited, to a request that held `secrets`.
    pub(super) fn start(&mut self, secrets: Vec<String>) {
        *self = Self { bytes: Vec::new(), secrets };
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What kind of answer it is, in a few words.
    pub(super) fn told(&self) -> String {
        let text = shown(&self.bytes, &self.secrets);
        match text.find(char::REPLACEMENT_CHARACTER) {
            Some(at) if at < WORD => "its answer is not text".to_owned(),
            at if !text.is_empty() => format!("its answer begins `{}`", &text[..at.unwrap_or(text.len())]),
            _ => "it answered nothing".to_owned(),
        }
    }
}

/// Makes a stream of bytes valid UTF-8 of the same length: git2 panics at a name or message that is not.
/// A `?` stands for what cannot be read; as no reference's name may hold one, such a branch is passed over.
/// libgit2 keeps all of it, so there is no more than a limit.
pub(super) struct Readable {
    /// The beginning of a character whose end has not come yet.
    begun: Vec<u8>,
    /// How many bytes may still come.
    left: u64,
}

impl Default for Readable {
    fn default() -> Self {
        Self { begun: Vec::new(), left: Budget::STANDARD.spoken_bytes }
    }
}

impl Readable {
    pub(super) fn next(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Exceeded> {
        let left = self.left.checked_sub(chunk.len() as u64);
        self.left = left.ok_or(Exceeded::SpokenBytes(Budget::STANDARD.spoken_bytes))?;
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(chunk);
        let mut from = 0;
        while let Err(error) = std::str::from_utf8(&bytes[from..]) {
            let at = from + error.valid_up_to();
            let Some(length) = error.error_len() else {
                self.begun = bytes.split_off(at);
                break;
            };
            bytes[at..at + length].fill(b'?');
            from = at + length;
        }
        Ok(bytes)
    }

    /// What is left when nothing more comes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        vec![b'?'; std::mem::take(&mut self.begun).len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> String {
        let mut readable = Readable::default();
        let mut bytes: Vec<u8> = chunks.iter().flat_map(|chunk| readable.next(chunk).expect("little")).collect();
        bytes.extend(readable.rest());
        String::from_utf8(bytes).expect("it is made readable")
    }

    #[test]
    fn what_cannot_be_read_keeps_its_length() {
        assert_eq!(read(&[b"br\xfcn x\xff\xfe"]), "br?n x??");
        assert_eq!(read(&["grün".as_bytes()]), "grün");
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        assert_eq!(read(&[b"gr\xc3", b"\xbcn"]), "grün");
        assert_eq!(read(&[b"\xe2", b"\x82", b"\xac"]), "€");
        assert_eq!(read(&[b"gr\xc3"]), "gr?");
    }

    #[test]
    fn a_server_says_no_more_than_the_budget_allows() {
        let mut readable = Readable { left: 10, ..Readable::default() };
        assert!(readable.next(&[b'x'; 10]).is_ok());
        assert_eq!(readable.next(b"x"), Err(Exceeded::SpokenBytes(64 << 20)));
    }

    #[test]
    fn a_repeated_secret_is_not_shown() {
        let mut beginning = Beginning::default();
        beginning.start(vec!["t0p".to_owned()]);
        beginning.hear(b"you said t");
        beginning.hear(b"0p\0\n!");
        assert_eq!(beginning.told(), "its answer begins `you said … !`");
    }

    #[test]
    fn an_answer_is_told_as_far_as_it_can_be_read() {
        let told = |bytes: &[u8]| {
            let mut beginning = Beginning::default();
            beginning.hear(bytes);
            beginning.told()
        };
        assert_eq!(told(b""), "it answered nothing");
        assert_eq!(told(b"no"), "its answer begins `no`");
        assert_eq!(told(b"0008NAK\nPACK\xff\xfe"), "its answer begins `0008NAK PACK`");
        assert_eq!(told(b"x\xff\xfe"), "its answer is not text");
    }
}
