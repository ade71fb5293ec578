//! Numbers that are the same every time.

/// Throws that follow from a number (SplitMix64, by Sebastiano Vigna).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    /// One of some texts.
    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    /// Puts one of some texts somewhere into a text, in the place of up to `most` of its characters.
    pub(crate) fn spoil(&mut self, text: &mut String, with: &[&str], most: usize) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = self.roll(chars.len() + 1);
        let end = (at + self.roll(most + 1)).min(chars.len());
        let put = match self.roll(4) {
            0 => "",
            _ => self.one(with),
        };
        chars.splice(at..end, put.chars());
        *text = chars.into_iter().collect();
    }
}
