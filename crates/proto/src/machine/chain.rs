//! The hash chain over a run's frames: what a seal signs, and what a caller computes itself.

use crate::wire::digest::{Digest, tag};

/// A run's chain up to one frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chain {
    seq: u64,
    head: Digest,
}

impl Chain {
    /// The chain before the first frame; it starts from the accept.
    #[must_use]
    pub fn start(accept: Digest) -> Self {
        Self { seq: 0, head: Digest::of(tag::STREAM, &[accept.as_bytes()]) }
    }

    /// A chain that was computed before and stored.
    #[must_use]
    pub const fn stored(seq: u64, head: Digest) -> Self {
        Self { seq, head }
    }

    /// The chain with one more frame.
    #[must_use]
    pub fn push(self, line: &str) -> Self {
        self.push_leaf(leaf(line))
    }

    /// The chain with one more frame, of which only the leaf is known.
    #[must_use]
    pub fn push_leaf(self, leaf: Digest) -> Self {
        let seq = self.seq.saturating_add(1);
        let parts: [&[u8]; 3] = [self.head.as_bytes(), &seq.to_be_bytes(), leaf.as_bytes()];
        Self { seq, head: Digest::of(tag::CHAIN, &parts) }
    }

    /// The chain with these frames, in order.
    #[must_use]
    pub fn extend<'a>(self, lines: impl IntoIterator<Item = &'a String>) -> Self {
        lines.into_iter().fold(self, |chain, line| chain.push(line))
    }

    /// The last frame's number; 0 before the first.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The head after that frame.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }
}

/// What a frame is in the chain.
#[must_use]
pub fn leaf(line: &str) -> Digest {
    Digest::of(tag::LEAF, &[line.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_and_its_place_count() {
        let start = Chain::start(Digest::of(b"", &[b"accept"]));
        let ab = start.push("a").push("b");
        assert_eq!(ab.seq(), 2);
        assert_ne!(ab.head(), start.push("b").push("a").head());
        assert_ne!(ab.head(), start.push("ab").head());
        assert_ne!(Chain::start(Digest::of(b"", &[b"other"])).push("a").push("b"), ab);
    }
}
