//! What travels to a host with a phase: files, links and folders as a tar archive.
//!
//! Keeps true: it is the only way of sealed content out of this process, and what it makes goes to the host that the
//! content is for, over its connection.

use crate::model::content::Content;

/// As it is to lie in its place: root's, with its mode.
pub(super) enum Load {
    File(Content, u32),
    Link(String),
    Folder,
}

impl Load {
    /// A file of ours that root alone reads.
    pub fn text(text: String) -> Self {
        Load::File(Content::Public(text.into_bytes()), 0o600)
    }
}

/// An archive of these, each at its path, in their order.
pub(super) fn archive(loads: impl Iterator<Item = (String, Load)>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, load) in loads {
        add(&mut archive, &path, &load)?;
    }
    archive.into_inner()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, load: &Load) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match load {
        Load::File(content, mode) => {
            let bytes = match content {
                Content::Public(bytes) => bytes,
                Content::Sealed(sealed) => sealed.unseal(),
            };
            header.set_mode(*mode);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes)
        }
        Load::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, target)
        }
        Load::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o700);
            archive.append_data(&mut header, path, &[][..])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::model::{content::Sealed, seal::Key};

    #[test]
    fn sealed_content_is_in_the_archive_as_it_is_and_nothing_else_tells_it() {
        let sealed = Content::Sealed(Sealed::new(*b"PASSWORD=1234", &Key::from_bytes([7; 32])));
        let bytes = archive([("1/payload/a".to_owned(), Load::File(sealed, 0o600))].into_iter()).expect("an archive");
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entry = archive.entries().expect("entries").next().expect("one").expect("whole");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        assert_eq!((text.as_str(), entry.header().mode().expect("a mode")), ("PASSWORD=1234", 0o600));
    }
}
