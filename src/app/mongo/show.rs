//! How the `mongo` shell prints values: `tojson` over several lines, and on one line.
//!
//! Types that JSON lacks are maps with one key: `$oid`, `$uuid`, `$date`, `$long`.

use crate::object::Json;
use std::fmt::Write;

/// A value over several lines, indented by tabs.
pub fn tojson(value: &Json) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

/// A value on one line, as a cursor prints it.
pub fn one_line(value: &Json) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    out
}

fn write(value: &Json, depth: Option<usize>, out: &mut String) {
    if let Some(special) = special(value) {
        out.push_str(&special);
        return;
    }
    match value {
        Json::Arr(items) => list(items.iter().map(|v| (None, v)), ("[", "]"), depth, out),
        Json::Obj(_) => list(order(value).into_iter().map(|(k, v)| (Some(k), v)), ("{", "}"), depth, out),
        Json::Str(text) => out.push_str(&Json::from(text).to_compact()),
        Json::Float(x) => out.push_str(&number(*x)),
        other => out.push_str(&other.to_compact()),
    }
}

/// A number as JavaScript prints it.
pub fn number(x: f64) -> String {
    if x == libm::trunc(x) && libm::fabs(x) < 1e21 { format!("{x:.0}") } else { format!("{x}") }
}

fn special(value: &Json) -> Option<String> {
    let map = value.as_map().filter(|m| m.len() == 1)?;
    let (key, inner) = map.iter().next()?;
    Some(match key.as_str() {
        "$oid" => format!("ObjectId(\"{}\")", inner.text()),
        "$uuid" => format!("UUID(\"{}\")", inner.text()),
        "$date" => format!("ISODate(\"{}\")", inner.text()),
        "$long" => format!("NumberLong({})", inner.as_i64().unwrap_or(0)),
        _ => return None,
    })
}

/// Fields in the order in which MongoDB keeps them: that of their creation. Maps here are sorted, so the usual order of the
/// shell's own answers is restored by rank, and everything else stays sorted behind `_id`.
fn order(value: &Json) -> Vec<(&str, &Json)> {
    const FIRST: &[&str] = &[
        "_id",
        "userId",
        "user",
        "name",
        "sizeOnDisk",
        "empty",
        "role",
        "db",
        "roles",
        "mechanisms",
        "acknowledged",
        "insertedId",
        "deletedCount",
        "matchedCount",
        "modifiedCount",
        "authenticatedUsers",
        "authenticatedUserRoles",
        "databases",
        "totalSize",
        "users",
        "collections",
        "hotelId",
        "id",
        "username",
        "password",
        "lat",
        "lon",
        "code",
        "customerName",
        "inDate",
        "outDate",
    ];
    const LAST: &[&str] = &["ok", "errmsg", "code", "codeName"];
    let failed = !value.get("errmsg").is_null();
    let rank = |key: &str| match LAST.iter().position(|r| *r == key).filter(|_| failed || key == "ok") {
        Some(at) => 1000 + at,
        None => FIRST.iter().position(|r| *r == key).unwrap_or(500),
    };
    let mut fields: Vec<(&str, &Json)> = value.entries().map(|(k, v)| (k.as_str(), v)).collect();
    fields.sort_by_key(|(key, _)| rank(key));
    fields
}

fn list<'a>(
    entries: impl Iterator<Item = (Option<&'a str>, &'a Json)>,
    (open, close): (&str, &str),
    depth: Option<usize>,
    out: &mut String,
) {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        out.push_str(if open == "[" { "[ ]" } else { "{  }" });
        return;
    }
    let (gap, end, inner) = match depth {
        Some(depth) => (format!("\n{}", "\t".repeat(depth + 1)), format!("\n{}", "\t".repeat(depth)), Some(depth + 1)),
        None => (" ".to_owned(), " ".to_owned(), None),
    };
    out.push_str(open);
    for (at, (key, value)) in entries.into_iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        out.push_str(&gap);
        if let Some(key) = key {
            let _ = write!(out, "{} : ", Json::from(key).to_compact());
        }
        write(value, inner, out);
    }
    out.push_str(&end);
    out.push_str(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_shell_does() {
        let value =
            Json::parse(r#"{"user":"admin","roles":[{"db":"admin","role":"root"}],"_id":{"$oid":"5f"},"x":[],"n":1.5}"#).expect("valid");
        assert_eq!(
            tojson(&value),
            "{\n\t\"_id\" : ObjectId(\"5f\"),\n\t\"user\" : \"admin\",\n\t\"roles\" : [\n\t\t{\n\t\t\t\"role\" : \"root\",\n\t\t\t\"db\" : \"admin\"\n\t\t}\n\t],\n\t\"n\" : 1.5,\n\t\"x\" : [ ]\n}"
        );
        assert_eq!(one_line(&Json::parse(r#"{"b":1,"a":{}}"#).expect("valid")), r#"{ "a" : {  }, "b" : 1 }"#);
    }
}
