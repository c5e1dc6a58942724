//! Random streams: one named generator (xoshiro256++), every stream keyed by what it is for.
//!
//! A stream is a function of its key alone, so a new consumer never shifts the draws of another. Keys are hashed with
//! XXH3 (64 bit), which is specified byte by byte and equal on every platform. `libm` stands in for `std`'s
//! transcendental functions, whose last bits differ between platforms.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A key under construction: a seed followed by the parts that name the purpose.
///
/// ```
/// use aiopslab::rng::Key;
/// let a = Key::new(7).part("pod-name").part("geo").number(3).stream().below(1000);
/// let b = Key::new(7).part("pod-name").part("geo").number(3).stream().below(1000);
/// assert_eq!(a, b);
/// ```
#[derive(Clone)]
pub struct Key(Bytes);

/// What a key consists of so far. Nearly all keys are short, and a hash under way is more than half a KiB to move about.
#[derive(Clone)]
enum Bytes {
    Short { length: usize, bytes: [u8; SHORT] },
    Long(Box<Xxh3>),
}

/// The longest key that is kept as it is.
const SHORT: usize = 120;

impl Key {
    /// Starts a key with a seed.
    #[inline]
    pub fn new(seed: u64) -> Self {
        let mut key = Key(Bytes::Short { length: 0, bytes: [0; SHORT] });
        key.append(&seed.to_le_bytes());
        key
    }

    #[inline]
    fn append(&mut self, more: &[u8]) {
        match &mut self.0 {
            Bytes::Short { length, bytes } => match bytes.get_mut(*length..*length + more.len()) {
                Some(place) => {
                    place.copy_from_slice(more);
                    *length += more.len();
                }
                None => {
                    let mut hash = Box::new(Xxh3::new());
                    hash.update(bytes.get(..*length).unwrap_or_default());
                    hash.update(more);
                    self.0 = Bytes::Long(hash);
                }
            },
            Bytes::Long(hash) => hash.update(more),
        }
    }

    /// Appends a text; lengths are hashed too, so `("ab", "c")` and `("a", "bc")` differ.
    #[must_use]
    #[inline]
    pub fn part(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a number.
    #[must_use]
    #[inline]
    pub fn number(mut self, number: u64) -> Self {
        self.append(&number.to_le_bytes());
        self
    }

    /// Appends bytes, with their length.
    #[must_use]
    #[inline]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.append(&(bytes.len() as u64).to_le_bytes());
        self.append(bytes);
        self
    }

    /// The 64-bit value of the key.
    pub fn value(&self) -> u64 {
        match &self.0 {
            Bytes::Short { length, bytes } => xxh3_64(bytes.get(..*length).unwrap_or_default()),
            Bytes::Long(hash) => hash.digest(),
        }
    }

    /// The random stream that belongs to the key.
    pub fn stream(&self) -> Stream {
        Stream(Xoshiro256PlusPlus::seed_from_u64(self.value()))
    }
}

/// A stream of random draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound` (0 when `bound` is 0), by widening multiplication; the bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponential with the given mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log1p(-self.unit())
    }

    /// Standard normal (Box and Muller's polar-free form; one draw of the pair is used).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log1p(-self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// Lognormal with the given mean and coefficient of variation `cv` (standard deviation over mean).
    pub fn lognormal(&mut self, mean: f64, cv: f64) -> f64 {
        let variance = libm::log1p(cv * cv);
        mean * libm::exp(libm::sqrt(variance) * self.normal() - variance / 2.0)
    }

    /// `length` characters of Kubernetes' name alphabet (`bcdfghjklmnpqrstvwxz2456789`).
    pub fn name_suffix(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut suffix = String::with_capacity(length);
        suffix.extend((0..length).map(|_| ALPHABET[self.below(ALPHABET.len() as u64) as usize] as char));
        suffix
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let mut text = String::with_capacity(36);
        hexadecimal(&mut text, high >> 32, 8);
        text.push('-');
        hexadecimal(&mut text, high >> 16, 4);
        text.push_str("-4");
        hexadecimal(&mut text, high, 3);
        text.push('-');
        hexadecimal(&mut text, 0x8000 | ((low >> 48) & 0x3fff), 4);
        text.push('-');
        hexadecimal(&mut text, low, 12);
        text
    }
}

/// Appends the last `digits` hexadecimal digits of a number. (Formatting takes several times as long, and every episode has hundreds.)
pub fn hexadecimal(text: &mut String, number: u64, digits: u32) {
    text.extend((0..digits).rev().map(|place| char::from(b"0123456789abcdef"[(number >> (4 * place)) as usize % 16])));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        // A change here changes every episode: bump the environments' version with it.
        let mut s = Key::new(1).part("pin").number(2).stream();
        assert_eq!(s.name_suffix(5).len(), 5);
        let mut a = Key::new(1).part("ab").part("c").stream();
        let mut b = Key::new(1).part("a").part("bc").stream();
        assert_ne!(a.bits(), b.bits());
    }

    #[test]
    fn uuids_are_their_bits() {
        let (mut stream, mut same) = (Key::new(9).stream(), Key::new(9).stream());
        for _ in 0..100 {
            let (high, low) = (same.bits(), same.bits());
            let variant = 0x8000 | ((low >> 48) & 0x3fff);
            let (time, end) = (((high >> 16) & 0xffff, high & 0xfff), low & 0xffff_ffff_ffff);
            assert_eq!(stream.uuid(), format!("{:08x}-{:04x}-4{:03x}-{variant:04x}-{end:012x}", high >> 32, time.0, time.1));
        }
        let mut id = String::new();
        hexadecimal(&mut id, 0x0123_4567_89ab_cdef, 16);
        assert_eq!(id, "0123456789abcdef");
    }

    #[test]
    fn short_and_long_keys_hash_what_they_consist_of() {
        for length in [0, 1, 80, 95, 96, 97, 120, 121, 300] {
            let text = "x".repeat(length);
            let key = Key::new(5).part(&text).number(9);
            let mut whole = Xxh3::new();
            whole.update(&5_u64.to_le_bytes());
            whole.update(&(length as u64).to_le_bytes());
            whole.update(text.as_bytes());
            whole.update(&9_u64.to_le_bytes());
            assert_eq!(key.value(), whole.digest(), "{length}");
        }
    }

    #[test]
    fn moments_are_those_asked_for() {
        let mut s = Key::new(3).part("moments").stream();
        let n = 200_000;
        let mean = (0..n).map(|_| s.lognormal(2.0, 0.5)).sum::<f64>() / f64::from(n);
        assert!((mean - 2.0).abs() < 0.02, "{mean}");
        let mean = (0..n).map(|_| s.exponential(3.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.05, "{mean}");
    }
}
