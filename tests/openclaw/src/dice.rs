//! Random moments that can be had again: the seed is printed, and `LANDBRIDGE_SEED` sets it.

/// A small generator (SplitMix64); nothing here needs a good one.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From the environment, or anew.
    #[must_use]
    pub fn new() -> Self {
        let set = std::env::var("LANDBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = set.unwrap_or_else(|| {
            let mut bytes = [0_u8; 4];
            getrandom::fill(&mut bytes).expect("randomness");
            u64::from(u32::from_ne_bytes(bytes))
        });
        println!("seed {seed}: LANDBRIDGE_SEED={seed} repeats it");
        Self(seed)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
