//! What a file holds: public, or sealed.
//!
//! Owns: [`Content`]. Keeps true: only public content can be worded, recorded, digested plainly or put into JSON.
//! [`Content::public`] is the only way to bytes that everybody has; the bytes of sealed content leave this file by
//! [`Sealed::unseal`], which the writer of a phase's payload alone calls (`tests/layering.rs`). Never does: making sealed
//! content, which nothing does yet.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{digest::Digest, seal::Key};

/// What a file holds, or held.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Public(Vec<u8>),
    Sealed(Sealed),
}

/// Content that only the host learns which it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Sealed {
    /// For the host that has this key.
    pub fn new(bytes: impl Into<Arc<[u8]>>, key: &Key) -> Self {
        let bytes = bytes.into();
        Self { digest: key.seal(&Digest::of(&bytes)), bytes }
    }

    /// Keyed: nobody guesses the content by it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// For the payload that is sent to the host, and nothing else.
    pub(crate) fn unseal(&self) -> &[u8] {
        &self.bytes
    }
}

impl Content {
    /// None of what is sealed.
    pub fn public(&self) -> Option<&[u8]> {
        match self {
            Content::Public(bytes) => Some(bytes),
            Content::Sealed(_) => None,
        }
    }

    pub fn is_sealed(&self) -> bool {
        matches!(self, Content::Sealed(_))
    }

    /// Of public content the plain digest, of sealed content the keyed one.
    pub fn digest(&self) -> Digest {
        match self {
            Content::Public(bytes) => Digest::of(bytes),
            Content::Sealed(sealed) => sealed.digest,
        }
    }

    /// What a digest over several files is made of: public content itself, in the place of sealed content its keyed digest.
    pub fn in_digest(&self) -> Cow<'_, [u8]> {
        match self {
            Content::Public(bytes) => Cow::Borrowed(bytes),
            Content::Sealed(sealed) => Cow::Owned(sealed.digest.to_string().into_bytes()),
        }
    }
}

/// By its digest, whatever it is.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_sealed() { "Sealed" } else { "Public" };
        f.debug_tuple(kind).field(&self.digest()).finish()
    }
}

/// Stands for sealed content where a plan is digested or handed to another process.
#[derive(Serialize)]
struct Named {
    sealed: Digest,
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Public(bytes) => bytes.serialize(serializer),
            Content::Sealed(sealed) => Named { sealed: sealed.digest }.serialize(serializer),
        }
    }
}

/// Of public content alone: what is sealed is not in what was written.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Content::Public)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        borrow::Borrow,
        fmt::{Debug, Display},
        ops::Deref,
    };

    use super::*;

    /// Compiles only where the type implements none of the traits: else both implementations fit.
    macro_rules! implements_none_of {
        ($type:ty: $($bound:path),+) => {
            $(const _: fn() = || {
                trait Fits<Which> {
                    fn fits() {}
                }
                impl<T: ?Sized> Fits<()> for T {}
                struct Implements;
                impl<T: ?Sized + $bound> Fits<Implements> for T {}
                let _ = <$type as Fits<_>>::fits;
            };)+
        };
    }

    // Nothing words, digests, records or sends content as if it were bytes, sealed or not.
    implements_none_of!(Content: Display, AsRef<[u8]>, AsRef<str>, Borrow<[u8]>, Deref, Into<Vec<u8>>, IntoIterator);
    implements_none_of!(Sealed: Debug, Display, Serialize, AsRef<[u8]>, AsRef<str>, Borrow<[u8]>, Deref, Into<Vec<u8>>);
    implements_none_of!(Sealed: IntoIterator, schemars::JsonSchema);

    #[test]
    fn sealed_content_is_told_by_its_keyed_digest_alone() {
        let key = Key::from_bytes([7; 32]);
        let content = Content::Sealed(Sealed::new(*b"PASSWORD=1234", &key));
        let keyed = key.seal(&Digest::of("PASSWORD=1234"));
        assert_eq!((content.public(), content.digest()), (None, keyed));
        assert_eq!(serde_json::to_string(&content).expect("JSON"), format!("{{\"sealed\":\"{keyed}\"}}"));
        assert_eq!(format!("{content:?}"), format!("Sealed({keyed:?})"));
        assert_eq!(content.in_digest(), keyed.to_string().as_bytes());
        assert_ne!(content, Content::Sealed(Sealed::new(*b"PASSWORD=1235", &key)));
    }

    #[test]
    fn public_content_is_written_as_bytes_and_sealed_content_is_never_read_back() {
        let content = Content::Public(b"a\n".to_vec());
        assert_eq!(serde_json::to_string(&content).expect("JSON"), "[97,10]");
        assert_eq!(serde_json::from_str::<Content>("[97,10]").expect("content"), content);
        let sealed = serde_json::to_string(&Content::Sealed(Sealed::new(*b"a", &Key::from_bytes([7; 32]))));
        assert!(serde_json::from_str::<Content>(&sealed.expect("JSON")).is_err());
    }
}
