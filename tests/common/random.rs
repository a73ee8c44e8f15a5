//! Seeded pseudo-random bytes and numbers: the output stream of BLAKE3, which never repeats and is fast even in an
//! unoptimised test.

pub struct Random(blake3::OutputReader);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self::of(&seed.to_le_bytes())
    }

    /// A stream of its own for a name: what one test part draws never moves what another gets.
    pub fn of(name: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(name);
        Self(hasher.finalize_xof())
    }

    pub fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    pub fn next(&mut self) -> u64 {
        let mut word = [0; 8];
        self.fill(&mut word);
        u64::from_le_bytes(word)
    }

    /// Evenly enough in `0..bound`; `bound` is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.index(of.len())]
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Text like what people keep: it compresses, and it repeats here and there.
    pub fn text(&mut self, len: usize) -> Vec<u8> {
        const WORDS: [&str; 16] = [
            "ring",
            "heartwood",
            "year",
            "after",
            "the",
            "kept",
            "tree",
            "for",
            "good",
            "sap",
            "bark",
            "leaf",
            "of",
            "oak",
            "and",
            "root",
        ];
        let mut text = Vec::with_capacity(len + 16);
        while text.len() < len {
            text.extend_from_slice(self.pick(&WORDS).as_bytes());
            text.push(if self.one_in(12) { b'\n' } else { b' ' });
            if self.one_in(8) {
                text.extend_from_slice(self.below(100_000).to_string().as_bytes());
            }
        }
        text.truncate(len);
        text
    }
}
