//! Quantities (`resource.Quantity`): amounts such as `250m` and `16Gi`, exact, with Kubernetes' canonical text.

use super::Json;
use std::cmp::Ordering;
use std::fmt;

/// How an amount is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12Mi`.
    BinarySi,
    /// `12M`.
    DecimalSi,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// The shape is wrong.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is wrong.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;
/// Amounts are capped here (in nanos); far above anything a cluster counts.
const CAP: i128 = i128::MAX / 1024;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An exact amount, to a billionth.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |t: &str| t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let at = digits(unsigned);
    let (whole, rest) = unsigned.split_at(at);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.find(|c: char| !"eEinumkKMGTP".contains(c)).unwrap_or(suffix.len());
    let tail = suffix[letters..].strip_prefix(['+', '-']).unwrap_or(&suffix[letters..]);
    if text.is_empty() || tail.chars().any(|c| !c.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, whole, fraction, suffix })
}

/// The power of ten or of two that a suffix stands for.
enum Scale {
    Ten(i32, Format),
    Two(u32),
}

fn scale_of(suffix: &str) -> Result<Scale, QuantityError> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok(Scale::Ten(*power, Format::DecimalSi));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok(Scale::Two(*power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok());
    exponent.map(|power| Scale::Ten(power, Format::DecimalExponent)).ok_or(QuantityError::Suffix)
}

/// `mantissa * 10^power`, rounded away from zero, capped.
fn scaled(mantissa: i128, power: i32) -> i128 {
    if power >= 0 {
        let factor = 10_i128.checked_pow(power.unsigned_abs());
        return factor.and_then(|f| mantissa.checked_mul(f)).map_or(if mantissa == 0 { 0 } else { CAP }, |v| v.min(CAP));
    }
    match 10_i128.checked_pow(power.unsigned_abs()) {
        Some(divisor) => mantissa / divisor + i128::from(mantissa % divisor != 0),
        None => i128::from(mantissa != 0),
    }
}

impl Quantity {
    /// Zero.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSi };

    /// Parses a quantity's text.
    ///
    /// # Errors
    /// With the API server's words.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let parts = split(text)?;
        let scale = scale_of(parts.suffix)?;
        if parts.whole.is_empty() && parts.fraction.is_empty() && !text.contains(|c: char| c.is_ascii_digit()) {
            return Err(QuantityError::Numeric);
        }
        let digits = format!("{}{}", parts.whole, parts.fraction);
        let digits = digits.trim_start_matches('0');
        if digits.len() > 30 {
            return Err(QuantityError::Numeric);
        }
        let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| QuantityError::Numeric)? };
        let places = i32::try_from(parts.fraction.len()).map_err(|_| QuantityError::Numeric)?;
        let (mut nanos, mut format) = match scale {
            Scale::Ten(power, format) => (scaled(mantissa, power.saturating_sub(places).saturating_add(9)), format),
            Scale::Two(power) => {
                let shifted = mantissa.checked_mul(1_i128 << power).unwrap_or(CAP);
                (scaled(shifted, 9 - places).min(i128::from(i64::MAX) * NANO), Format::BinarySi)
            }
        };
        if format == Format::BinarySi && nanos > 0 && nanos < NANO {
            format = Format::DecimalSi;
        }
        if parts.negative {
            nanos = -nanos;
        }
        Ok(Quantity { nanos, format })
    }

    /// The quantity a JSON value stands for: a text or a number.
    pub fn of(value: &Json) -> Option<Quantity> {
        match value {
            Json::Str(text) => Quantity::parse(text).ok(),
            Json::Int(n) => Some(Quantity::from_int(*n)),
            Json::Float(x) => Quantity::parse(&x.to_string()).ok(),
            _ => None,
        }
    }

    /// A whole number in decimal format.
    pub fn from_int(n: i64) -> Quantity {
        Quantity { nanos: i128::from(n) * NANO, format: Format::DecimalSi }
    }

    /// Thousandths, in decimal format: `from_milli(250)` is `250m`.
    pub fn from_milli(n: i64) -> Quantity {
        Quantity { nanos: i128::from(n) * 1_000_000, format: Format::DecimalSi }
    }

    /// Billionths, in decimal format: `from_nanos(1500)` is `1500n`.
    pub fn from_nanos(n: i64) -> Quantity {
        Quantity { nanos: i128::from(n), format: Format::DecimalSi }
    }

    /// Bytes, in binary format: `from_bytes(1 << 30)` is `1Gi`.
    pub fn from_bytes(n: i64) -> Quantity {
        Quantity { nanos: i128::from(n) * NANO, format: Format::BinarySi }
    }

    /// How the amount is written.
    pub fn format(self) -> Format {
        self.format
    }

    /// The same amount, written in another way.
    #[must_use]
    pub fn with_format(self, format: Format) -> Quantity {
        Quantity { format, ..self }
    }

    /// Rounded up to a whole number (`Value`).
    pub fn value(self) -> i64 {
        clamp(ceil_div(self.nanos, NANO))
    }

    /// Rounded up to thousandths (`MilliValue`).
    pub fn milli_value(self) -> i64 {
        clamp(ceil_div(self.nanos, 1_000_000))
    }

    /// As a float.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether the amount has no fraction.
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// The sum; the format is this one's, or the other's when this is zero.
    #[must_use]
    pub fn plus(self, other: Quantity) -> Quantity {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Quantity { nanos: self.nanos.saturating_add(other.nanos).clamp(-CAP, CAP), format }
    }

    /// The difference; formats as in [`Quantity::plus`].
    #[must_use]
    pub fn minus(self, other: Quantity) -> Quantity {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Quantity { nanos: self.nanos.saturating_sub(other.nanos).clamp(-CAP, CAP), format }
    }

    /// The text a server stores for `text`: canonical, unless the text already counts as canonical.
    ///
    /// # Errors
    /// When the text is no quantity.
    pub fn canonical_text(text: &str) -> Result<String, QuantityError> {
        let quantity = Quantity::parse(text)?;
        let parts = split(text)?;
        let shifted = format!("{}{}", parts.whole.trim_start_matches('0'), parts.fraction);
        let keeps = match scale_of(parts.suffix)? {
            _ if quantity.nanos == 0 => return Ok(if text == "0" { text.to_owned() } else { quantity.to_string() }),
            Scale::Two(_) => parts.fraction.is_empty() && shifted.len() <= 9 && shifted.parse::<u64>().is_ok_and(|v| v & 7 != 0),
            Scale::Ten(power, _) => {
                let scale = power - i32::try_from(parts.fraction.len()).unwrap_or(0);
                let short = shifted.len() <= 18 && scale >= -9;
                short && scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0')
            }
        };
        Ok(if keeps { text.to_owned() } else { quantity.to_string() })
    }
}

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let binary = self.format == Format::BinarySi && self.nanos.abs() >= 1024 * NANO && self.is_whole();
        if binary {
            let (mut amount, mut power) = (self.nanos / NANO, 0);
            while amount % 1024 == 0 && power < BINARY.len() {
                amount /= 1024;
                power += 1;
            }
            let suffix = power.checked_sub(1).and_then(|p| BINARY.get(p)).map_or("", |(name, _)| name);
            return write!(f, "{amount}{suffix}");
        }
        let (mut amount, mut exponent) = (self.nanos, -9);
        while amount % 10 == 0 {
            amount /= 10;
            exponent += 1;
        }
        while exponent % 3 != 0 || exponent > 18 && self.format == Format::DecimalSi {
            amount *= 10;
            exponent -= 1;
        }
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{amount}") } else { write!(f, "{amount}e{exponent}") };
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(name, _)| name);
        write!(f, "{amount}{suffix}")
    }
}

impl From<Quantity> for Json {
    fn from(quantity: Quantity) -> Json {
        Json::from(quantity.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_canonical() {
        let cases = [
            ("1", "1"),
            ("0", "0"),
            ("0.5", "500m"),
            ("500m", "500m"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("100Ki", "100Ki"),
            ("1000Mi", "1000Mi"),
            ("64Mi", "64Mi"),
            ("0.5Mi", "512Ki"),
            ("1023", "1023"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("12E6", "12E6"),
            ("1E", "1E"),
            ("1000k", "1M"),
            ("1.500", "1.500"),
            ("0.0000000001", "1n"),
            ("-5", "-5"),
            ("+5", "+5"),
            ("0Mi", "0"),
            ("0.1Ki", "102400m"),
            ("1000000000000000000000", "1000E"),
        ];
        for (text, expect) in cases {
            assert_eq!(Quantity::canonical_text(text).as_deref(), Ok(expect), "{text}");
        }
        for (text, expect) in [("", "must match"), ("abc", "must match"), ("1Gb", "must match"), ("1ii", "suffix"), (".", "numeric")] {
            let error = Quantity::parse(text).expect_err(text).to_string();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }

    #[test]
    fn amounts_compute() {
        let q = |t: &str| Quantity::parse(t).expect(t);
        assert_eq!(q("1Gi").value(), 1 << 30);
        assert_eq!(q("250m").milli_value(), 250);
        assert_eq!(q("1.1").value(), 2);
        assert_eq!(q("100Mi").plus(q("28Mi")).to_string(), "128Mi");
        assert_eq!(q("1").minus(q("250m")).to_string(), "750m");
        assert_eq!(Quantity::ZERO.plus(q("1Gi")).to_string(), "1Gi");
        assert!(q("1000m") == q("1") && q("1Mi") > q("1M"));
        assert_eq!(Quantity::from_bytes(16 << 30).to_string(), "16Gi");
    }
}
