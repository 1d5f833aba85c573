//! Randomness as an argument.

/// Makes ids from a seed. The shells seed it from the kernel; the simulation from its own seed, so that a run can be
/// repeated. The generator is SplitMix64: fast, full period, good enough for names, and **not** for secrets.
#[derive(Debug, Clone)]
pub struct Ids {
    state: u64,
}

impl Ids {
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; `bound` is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// `digits` hexadecimal digits: 32 for a task, 17 behind `eni-`, 16 for a load balancer.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next_u64()));
        }
        text.truncate(digits);
        text
    }

    /// Decimal digits that do not begin with zero: 19 behind `ecs-svc/`.
    pub fn digits(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        for index in 0..digits {
            let digit = if index == 0 { 1 + self.below(9) } else { self.below(10) };
            text.push(char::from(b'0' + digit as u8));
        }
        text
    }

    /// Upper-case letters and digits, as behind `AROA`.
    pub fn base32(&mut self, digits: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        (0..digits).map(|_| char::from(ALPHABET[self.below(32) as usize])).collect()
    }

    /// A version 4 UUID in lower case.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.next_u64(), self.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let (mut a, mut b) = (Ids::from_seed(7), Ids::from_seed(7));
        assert_eq!(a.hex(32), b.hex(32));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.hex(32), a.hex(32));
    }

    #[test]
    fn ids_have_the_length_that_was_asked() {
        let mut ids = Ids::from_seed(1);
        assert_eq!(ids.hex(17).len(), 17);
        assert_eq!(ids.digits(19).len(), 19);
        assert!(!ids.digits(19).starts_with('0'));
        assert_eq!(ids.base32(17).len(), 17);
        let uuid = ids.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    }
}
