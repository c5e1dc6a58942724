//! Flags: declared in tables, parsed as the pflag library does, with its error texts.

use super::failure::quote;

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; alone it means `true`.
    Bool,
    /// Any text.
    Text,
    /// A whole number of at most so many bits.
    Int(u8),
    /// A span of time, `1m30s`.
    Duration,
    /// Texts, one a use of the flag.
    List,
    /// Texts, several a use, separated by commas.
    Csv,
}

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Name after the two dashes.
    pub long: &'static str,
    /// Letter after one dash.
    pub short: Option<char>,
    /// What its value is.
    pub kind: Kind,
    /// The value when the flag is not given, as it would be typed.
    pub default: &'static str,
    /// The value when the flag is given without one; `None` where a value is needed.
    pub bare: Option<&'static str>,
    /// What it does, for `--help`.
    pub help: &'static str,
    /// What to say when it is used, after `Flag --x has been deprecated, `.
    pub deprecated: Option<&'static str>,
}

impl Flag {
    const fn of(kind: Kind, long: &'static str, default: &'static str, help: &'static str) -> Flag {
        let bare = if matches!(kind, Kind::Bool) { Some("true") } else { None };
        Flag { long, short: None, kind, default, bare, help, deprecated: None }
    }

    /// A flag that is on or off, off unless given.
    pub const fn switch(long: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Bool, long, "false", help)
    }

    /// A flag with a text.
    pub const fn text(long: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Text, long, "", help)
    }

    /// A flag with a whole number of 64 bits.
    pub const fn int(long: &'static str, default: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Int(64), long, default, help)
    }

    /// A flag with a whole number of 32 bits.
    pub const fn int32(long: &'static str, default: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Int(32), long, default, help)
    }

    /// A flag with a span of time.
    pub const fn duration(long: &'static str, default: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Duration, long, default, help)
    }

    /// A flag that may be repeated (pflag's StringArray).
    pub const fn list(long: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::List, long, "", help)
    }

    /// A flag that may be repeated and takes several values at once (pflag's StringSlice).
    pub const fn csv(long: &'static str, help: &'static str) -> Flag {
        Flag::of(Kind::Csv, long, "", help)
    }

    /// The same flag with a letter.
    pub const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// The same flag with another default.
    pub const fn default(mut self, default: &'static str) -> Flag {
        self.default = default;
        self
    }

    /// The same flag, whose value may be left out and is `value` then (pflag's NoOptDefVal).
    pub const fn bare(mut self, value: &'static str) -> Flag {
        self.bare = Some(value);
        self
    }

    /// The same flag, which is deprecated with these words.
    pub const fn deprecated(mut self, words: &'static str) -> Flag {
        self.deprecated = Some(words);
        self
    }

    /// `-o, --output`, or `--output` without a letter.
    fn shown(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }

    /// Its line in `--help`: names and default.
    pub fn usage(&self) -> String {
        let default = match self.kind {
            Kind::Text => format!("'{}'", self.default),
            Kind::List | Kind::Csv => format!("[{}]", self.default),
            _ => self.default.to_owned(),
        };
        format!("    {}={default}:\n\t{}\n", self.shown(), self.help)
    }
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bool(bool),
    Text(String),
    Int(i64),
    /// Nanoseconds.
    Duration(i64),
    List(Vec<String>),
}

/// The flags of one call: those that were given, and defaults for the others.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    tables: Vec<&'static [Flag]>,
    given: Vec<(&'static str, Value)>,
}

/// What stood on a command line.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The flags.
    pub flags: Flags,
    /// Everything that is no flag.
    pub args: Vec<String>,
    /// How many of `args` stood before `--`, if there was one.
    pub dash_at: Option<usize>,
    /// Lines about deprecated flags, for standard error.
    pub notices: Vec<String>,
}

/// The flag called `long` in the tables; the first table wins. Underscores count as dashes.
pub fn find_long(tables: &[&'static [Flag]], long: &str) -> Option<&'static Flag> {
    let same = |flag: &&'static Flag| {
        flag.long.len() == long.len() && flag.long.bytes().zip(long.bytes()).all(|(a, b)| a == b || (a == b'-' && b == b'_'))
    };
    tables.iter().flat_map(|table| table.iter()).find(same)
}

/// The flag with this letter.
pub fn find_short(tables: &[&'static [Flag]], letter: char) -> Option<&'static Flag> {
    tables.iter().flat_map(|table| table.iter()).find(|flag| flag.short == Some(letter))
}

/// Parses the arguments of a command.
///
/// # Errors
/// pflag's message.
pub fn parse(tables: &[&'static [Flag]], args: &[String]) -> Result<Parsed, String> {
    let mut parsed = Parsed { flags: Flags { tables: tables.to_vec(), given: Vec::new() }, ..Parsed::default() };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parsed.dash_at = Some(parsed.args.len());
            parsed.args.extend(rest.cloned());
            break;
        }
        match arg.strip_prefix("--") {
            Some(body) => parse_long(&mut parsed, body, &mut rest)?,
            None if arg.len() > 1 && arg.starts_with('-') => parse_shorts(&mut parsed, &arg[1..], &mut rest)?,
            None => parsed.args.push(arg.clone()),
        }
    }
    Ok(parsed)
}

fn parse_long(parsed: &mut Parsed, body: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), String> {
    if body.starts_with(['-', '=']) {
        return Err(format!("bad flag syntax: --{body}"));
    }
    let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
    let Some(flag) = find_long(&parsed.flags.tables, name) else {
        return Err(format!("unknown flag: --{name}"));
    };
    let value = match (value, flag.bare) {
        (Some(value), _) => value.to_owned(),
        (None, Some(bare)) => bare.to_owned(),
        (None, None) => rest.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?.clone(),
    };
    set(parsed, flag, &value)
}

fn parse_shorts(parsed: &mut Parsed, shorts: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), String> {
    let mut left = shorts;
    while let Some(letter) = left.chars().next() {
        let after = &left[letter.len_utf8()..];
        let Some(flag) = find_short(&parsed.flags.tables, letter) else {
            return Err(format!("unknown shorthand flag: '{letter}' in -{left}"));
        };
        if after.len() > 1 && after.starts_with('=') {
            return set(parsed, flag, &after[1..]);
        }
        if let Some(bare) = flag.bare {
            set(parsed, flag, bare)?;
            left = after;
            continue;
        }
        let value = match after {
            "" => rest.next().ok_or_else(|| format!("flag needs an argument: '{letter}' in -{left}"))?.clone(),
            value => value.to_owned(),
        };
        return set(parsed, flag, &value);
    }
    Ok(())
}

fn set(parsed: &mut Parsed, flag: &'static Flag, text: &str) -> Result<(), String> {
    let wrong = |reason: String| format!("invalid argument {} for {} flag: {reason}", quote(text), quote(&flag.shown()));
    let value = read(flag.kind, text).map_err(wrong)?;
    if let Some(words) = flag.deprecated {
        parsed.notices.push(format!("Flag --{} has been deprecated, {words}", flag.long));
    }
    let given = &mut parsed.flags.given;
    match (given.iter_mut().find(|(long, _)| *long == flag.long), value) {
        (Some((_, Value::List(list))), Value::List(more)) => list.extend(more),
        (Some((_, slot)), value) => *slot = value,
        (None, value) => given.push((flag.long, value)),
    }
    Ok(())
}

fn read(kind: Kind, text: &str) -> Result<Value, String> {
    Ok(match kind {
        Kind::Bool => Value::Bool(parse_bool(text).ok_or_else(|| format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text)))?),
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Int(bits) => Value::Int(parse_int(text, bits)?),
        Kind::Duration => Value::Duration(parse_duration(text)?),
        Kind::List => Value::List(vec![text.to_owned()]),
        Kind::Csv if text.is_empty() => Value::List(Vec::new()),
        Kind::Csv => Value::List(text.split(',').map(|word| word.trim_matches('"').to_owned()).collect()),
    })
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number as Go's `strconv.ParseInt(text, 0, bits)` reads it.
fn parse_int(text: &str, bits: u8) -> Result<i64, String> {
    let syntax = || format!("strconv.ParseInt: parsing {}: invalid syntax", quote(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Err(syntax());
    }
    let limit = 1i128 << (bits - 1);
    let value = i128::from_str_radix(body, radix).map(|v| if negative { -v } else { v }).unwrap_or(i128::MAX);
    if value < -limit || value >= limit {
        return Err(format!("strconv.ParseInt: parsing {}: value out of range", quote(text)));
    }
    i64::try_from(value).map_err(|_| syntax())
}

/// A span of time in nanoseconds, as Go's `time.ParseDuration` reads it.
///
/// # Errors
/// Go's message.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration {}", quote(text))),
            unit => return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        nanos += number * unit;
        rest = &rest[end..];
    }
    if nanos > 9.2e18 { Err(invalid()) } else { Ok((sign * nanos) as i64) }
}

impl Flags {
    fn value(&self, long: &'static str) -> Value {
        if let Some((_, value)) = self.given.iter().find(|(given, _)| *given == long) {
            return value.clone();
        }
        let flag = find_long(&self.tables, long);
        debug_assert!(flag.is_some(), "no flag --{long} in this command's tables");
        let default = flag.map(|flag| match flag.kind {
            Kind::List | Kind::Csv if flag.default.is_empty() => Ok(Value::List(Vec::new())),
            kind => read(kind, flag.default),
        });
        default.and_then(Result::ok).unwrap_or(Value::Text(String::new()))
    }

    /// Whether the flag was given.
    pub fn changed(&self, long: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == long)
    }

    /// Whether this command has such a flag at all.
    pub fn knows(&self, long: &str) -> bool {
        find_long(&self.tables, long).is_some()
    }

    /// A switch.
    pub fn on(&self, long: &'static str) -> bool {
        matches!(self.value(long), Value::Bool(true))
    }

    /// A text, as given or by default.
    pub fn text(&self, long: &'static str) -> String {
        match self.value(long) {
            Value::Text(text) => text,
            _ => String::new(),
        }
    }

    /// A whole number.
    pub fn int(&self, long: &'static str) -> i64 {
        match self.value(long) {
            Value::Int(n) => n,
            _ => 0,
        }
    }

    /// A span of time in nanoseconds; it may be negative.
    pub fn nanos(&self, long: &'static str) -> i64 {
        match self.value(long) {
            Value::Duration(n) => n,
            _ => 0,
        }
    }

    /// The texts of a flag that may be repeated.
    pub fn list(&self, long: &'static str) -> Vec<String> {
        match self.value(long) {
            Value::List(list) => list,
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Flag] = &[
        Flag::switch("all-namespaces", "").short('A'),
        Flag::switch("watch", "").short('w'),
        Flag::text("output", "").short('o'),
        Flag::text("dry-run", "").default("none").bare("unchanged"),
        Flag::int("tail", "-1", ""),
        Flag::int32("port", "0", ""),
        Flag::duration("since", "0s", ""),
        Flag::list("filename", "").short('f'),
        Flag::csv("label-columns", "").short('L'),
        Flag::switch("record", "").deprecated("--record will be removed in the future"),
    ];

    fn of(line: &str) -> Result<Parsed, String> {
        parse(&[TABLE], &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn wrong(line: &str, message: &str) {
        assert_eq!(of(line).expect_err(line), message, "{line}");
    }

    #[test]
    fn reads_every_form() {
        let parsed =
            of("pods -Aw -ojson --tail=0x10 x --since 1m30s -f a -f=b -L a,b --label-columns c --all_namespaces -- -o y").expect("fine");
        let flags = &parsed.flags;
        assert!(flags.on("all-namespaces") && flags.on("watch"));
        assert_eq!((flags.text("output"), flags.int("tail"), flags.nanos("since")), ("json".into(), 16, 90_000_000_000));
        assert_eq!(flags.list("filename"), ["a", "b"]);
        assert_eq!(flags.list("label-columns"), ["a", "b", "c"]);
        assert_eq!(parsed.args, ["pods", "x", "-o", "y"]);
        assert_eq!(parsed.dash_at, Some(2));
        assert_eq!((flags.text("dry-run"), flags.changed("dry-run")), ("none".into(), false));
        assert_eq!(of("--dry-run x").expect("fine").flags.text("dry-run"), "unchanged");
        assert_eq!(of("--dry-run=server").expect("fine").flags.text("dry-run"), "server");
        assert!(!of("--watch=false").expect("fine").flags.on("watch"));
        assert_eq!(of("--record").expect("fine").notices, ["Flag --record has been deprecated, --record will be removed in the future"]);
        assert_eq!(of("-").expect("fine").args, ["-"]);
    }

    #[test]
    fn refuses_in_pflags_words() {
        wrong("--foo", "unknown flag: --foo");
        wrong("--foo=3", "unknown flag: --foo");
        wrong("-x", "unknown shorthand flag: 'x' in -x");
        wrong("-Axy", "unknown shorthand flag: 'x' in -xy");
        wrong("--=x", "bad flag syntax: --=x");
        wrong("---x", "bad flag syntax: ---x");
        wrong("--output", "flag needs an argument: --output");
        wrong("-wo", "flag needs an argument: 'o' in -o");
        wrong("--tail=a", "invalid argument \"a\" for \"--tail\" flag: strconv.ParseInt: parsing \"a\": invalid syntax");
        wrong(
            "--port=3000000000",
            "invalid argument \"3000000000\" for \"--port\" flag: strconv.ParseInt: parsing \"3000000000\": value out of range",
        );
        wrong(
            "-A=maybe",
            "invalid argument \"maybe\" for \"-A, --all-namespaces\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        );
        wrong("--since=5x", "invalid argument \"5x\" for \"--since\" flag: time: unknown unit \"x\" in duration \"5x\"");
        wrong("--since=5", "invalid argument \"5\" for \"--since\" flag: time: missing unit in duration \"5\"");
        wrong("--since=x", "invalid argument \"x\" for \"--since\" flag: time: invalid duration \"x\"");
    }
}
