//! Chance that can be repeated.

/// A source of numbers (SplitMix64) from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// From `LANDBRIDGE_SEED`, else from the system; printed, so that a failure can be repeated.
    pub(crate) fn from_environment() -> Self {
        let told = std::env::var("LANDBRIDGE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = told.unwrap_or_else(|| {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).unwrap();
            u64::from(u32::from_be_bytes(bytes))
        });
        println!("LANDBRIDGE_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
