//! `printf`, as Go formats values that came from JSON.

use super::super::values::{general, plain, source, type_name};
use crate::object::Json;
use crate::tool::kubectl::failure::quote;

/// Flags, width and precision of one verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats `args` by `format`.
pub fn sprintf(format: &str, args: &[Json]) -> String {
    let (mut out, mut next) = (String::new(), 0);
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        spec.width = digits(&mut chars, args, &mut next);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars, args, &mut next).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.get(next) {
                None => out.push_str(&format!("%!{verb}(BADINDEX)").replace("BADINDEX", "MISSING")),
                Some(value) => {
                    next += 1;
                    out.push_str(&padded(&formatted(verb, value, &spec), &spec, verb));
                }
            },
        }
    }
    if next < args.len() {
        let extra: Vec<String> = args[next..].iter().map(|value| format!("{}={}", type_name(value), plain(value))).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, args: &[Json], next: &mut usize) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let value = args.get(*next).and_then(Json::as_i64);
        *next += 1;
        return value.and_then(|n| usize::try_from(n).ok());
    }
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        number = Some(number.unwrap_or(0usize).saturating_mul(10).saturating_add(digit as usize - '0' as usize).min(10_000));
    }
    number
}

fn padded(text: &str, spec: &Spec, verb: char) -> String {
    let width = spec.width.unwrap_or(0);
    let length = text.chars().count();
    if length >= width {
        return text.to_owned();
    }
    let fill = width - length;
    if spec.minus {
        return format!("{text}{}", " ".repeat(fill));
    }
    if spec.zero && "dxXobfeEgGt".contains(verb) {
        let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
        return format!("{sign}{}{number}", "0".repeat(fill));
    }
    format!("{}{text}", " ".repeat(fill))
}

fn formatted(verb: char, value: &Json, spec: &Spec) -> String {
    let signed = |text: String| match (text.starts_with('-'), spec.plus, spec.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    match (verb, value) {
        ('v', _) if spec.sharp => source(value),
        ('v', Json::Int(_) | Json::Float(_)) => signed(plain(value)),
        ('v', _) => plain(value),
        ('T', _) => type_name(value).to_owned(),
        ('d', Json::Int(n)) => signed(n.to_string()),
        ('b', Json::Int(n)) => format!("{n:b}"),
        ('o', Json::Int(n)) => format!("{n:o}"),
        ('x', Json::Int(n)) => {
            if spec.sharp {
                format!("{n:#x}")
            } else {
                format!("{n:x}")
            }
        }
        ('X', Json::Int(n)) => format!("{n:X}"),
        ('c', Json::Int(n)) => u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('q', Json::Int(n)) => format!("'{}'", u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')),
        ('f' | 'F', Json::Float(x)) => signed(format!("{x:.*}", spec.precision.unwrap_or(6))),
        ('e', Json::Float(x)) => signed(super::super::json::exponential(*x, 2)),
        ('g' | 'G', Json::Float(x)) => signed(general(*x)),
        ('s', Json::Str(text)) => cut(text, spec),
        ('q', Json::Str(text)) => {
            if spec.sharp && !text.contains('`') {
                format!("`{text}`")
            } else {
                quote(&cut(text, spec))
            }
        }
        ('x', Json::Str(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('X', Json::Str(text)) => text.bytes().map(|b| format!("{b:02X}")).collect(),
        ('t', Json::Bool(b)) => b.to_string(),
        (verb, Json::Arr(items)) => format!("[{}]", items.iter().map(|item| formatted(verb, item, spec)).collect::<Vec<_>>().join(" ")),
        (verb, Json::Obj(map)) => {
            let entry = |(key, item): (&arcstr::ArcStr, &Json)| {
                format!("{}:{}", formatted(verb, &Json::from(key), spec), formatted(verb, item, spec))
            };
            format!("map[{}]", map.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        (verb, Json::Null) => format!("%!{verb}(<nil>)"),
        (verb, other) => format!("%!{verb}({}={})", type_name(other), plain(other)),
    }
}

fn cut(text: &str, spec: &Spec) -> String {
    spec.precision.map_or_else(|| text.to_owned(), |precision| text.chars().take(precision).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    #[test]
    fn formats_as_go_does() {
        let check = |format: &str, args: Json, text: &str| assert_eq!(sprintf(format, args.items()), text, "{format}");
        check("%s=%d\n", array!["a", 3], "a=3\n");
        check("%-5s|%5s|%05d|%x", array!["ab", "cd", -42, 255], "ab   |   cd|-0042|ff");
        check("%v %v %v", array!["a", 1, true], "a 1 true");
        check("%q %t 100%%", array!["x\"y", false], "\"x\\\"y\" false 100%");
        check("%d", array!["x"], "%!d(string=x)");
        check("%s", array![], "%!s(MISSING)");
        check("%s", array!["a", 2], "a%!(EXTRA int64=2)");
        check("%.2f", array![1.005], "1.00");
        check("%s", array![array!["a", "b"]], "[a b]");
    }
}
