//! Inputs near those of a corpus: the same for the same seed.

use std::{collections::BTreeMap, fs, path::Path};

use crate::dice::Dice;

/// Every input of the corpora, by its target and its own name.
pub fn corpora() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let named = |entry: fs::DirEntry| (entry.file_name().into_string().expect("a plain name"), entry.path());
    let entries = |folder: &Path| fs::read_dir(folder).expect("a folder of the repository").flatten().map(named);
    let inputs = |folder: &Path| entries(folder).map(|(name, path)| (name, fs::read(path).expect("a file"))).collect();
    entries(&root).map(|(target, folder)| (target, inputs(&folder))).collect()
}

/// What bounds are found at.
const STRIKING: [&[u8]; 12] = [
    b"",
    b"\n",
    b"\0",
    b"\xff",
    b"=== a\n",
    b"../",
    b"18446744073709551616",
    b"-1",
    b"${",
    b"\"",
    b"&a *a",
    b"[[[[[[[[",
];

/// One input with a few pieces of it changed, or of two put together.
pub fn mutated(dice: &mut Dice, inputs: &[&Vec<u8>]) -> Vec<u8> {
    let mut input = dice.pick(inputs).to_vec();
    for _ in 0..dice.between(1, 6) {
        let at = dice.below(input.len() as u64 + 1) as usize;
        let end = (at + dice.below(16) as usize).min(input.len());
        match dice.below(5) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, dice.pick(&STRIKING).iter().copied())),
            2 => input[at..end].iter_mut().for_each(|byte| *byte = dice.roll() as u8),
            3 => drop(input.splice(at..at, input[at..end].to_vec().repeat(8))),
            _ => {
                let other = dice.pick(inputs);
                let from = dice.below(other.len() as u64 + 1) as usize;
                let piece = &other[from..(from + dice.below(200) as usize).min(other.len())];
                drop(input.splice(at..end, piece.iter().copied()));
            }
        }
    }
    input
}
