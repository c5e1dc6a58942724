//! A pod template as Go's spew prints it (`%#v` under the configuration of `k8s.io/apimachinery/pkg/util/dump`): the text that
//! Kubernetes hashes for `pod-template-hash`, so that ReplicaSets get the names that they have on a real cluster.
//!
//! Types are printed where a struct names a field, not for elements of lists and maps; what is absent is Go's zero value, and an
//! empty list or map is absent, since it does not survive the encoding in which controllers get objects.
//!
//! Not modelled: quantities with a fraction or beyond 64 bits, which are not in that form once the API server has read them.

use crate::object::Json;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A field of a struct.
struct Field {
    name: &'static str,
    /// Its name in JSON; `-` when its own fields stand in the outer object.
    json: &'static str,
    go: &'static str,
    /// What a named type is made of.
    base: &'static str,
}

fn types() -> &'static BTreeMap<&'static str, Vec<Field>> {
    static TYPES: OnceLock<BTreeMap<&'static str, Vec<Field>>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let mut types: BTreeMap<&str, Vec<Field>> = BTreeMap::new();
        let mut current = "";
        for line in include_str!("go_types.txt").lines().filter(|l| !l.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            if !line.starts_with(' ') {
                current = name;
                continue;
            }
            let mut word = || words.next().unwrap_or_default();
            types.entry(current).or_default().push(Field { name, json: word(), go: word(), base: word() });
        }
        types
    })
}

/// The text of a pod template.
pub fn pod_template(template: &Json) -> String {
    let mut out = String::with_capacity(8192);
    out.push_str("(v1.PodTemplateSpec)");
    value(&mut out, "v1.PodTemplateSpec", "", template);
    out
}

/// A value without its type.
fn value(out: &mut String, go: &str, base: &str, json: &Json) {
    if let Some(inner) = go.strip_prefix('*') {
        return if json.is_null() { out.push_str("<nil>") } else { value(out, inner, base, json) };
    }
    if let Some(inner) = go.strip_prefix("[]") {
        return list(out, inner, base, json);
    }
    match go {
        "map[string]string" => map(out, "string", json),
        "v1.ResourceList" => map(out, "resource.Quantity", json),
        "v1.Time" => out.push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"),
        "resource.Quantity" => quantity(out, json),
        "intstr.IntOrString" => {
            let (kind, number) = (u8::from(json.as_str().is_some()), json.as_i64().unwrap_or(0));
            out.push_str(&format!("{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){}}}", json.text()));
        }
        _ => match types().get(go) {
            Some(fields) => structure(out, fields, json),
            None => scalar(out, if base.is_empty() { go } else { base }, json),
        },
    }
}

fn scalar(out: &mut String, kind: &str, json: &Json) {
    match kind {
        "bool" => out.push_str(if json.as_bool() == Some(true) { "true" } else { "false" }),
        "int32" | "int64" => out.push_str(&json.as_i64().unwrap_or(0).to_string()),
        _ => out.push_str(json.text()),
    }
}

fn structure(out: &mut String, fields: &[Field], json: &Json) {
    out.push('{');
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(field.name);
        out.push_str(":(");
        out.push_str(field.go);
        out.push(')');
        value(out, field.go, field.base, if field.json == "-" { json } else { json.get(field.json) });
    }
    out.push('}');
}

fn list(out: &mut String, inner: &str, base: &str, json: &Json) {
    if json.items().is_empty() {
        return out.push_str("<nil>");
    }
    out.push('[');
    for (at, item) in json.items().iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        value(out, inner, base, item);
    }
    out.push(']');
}

fn map(out: &mut String, inner: &str, json: &Json) {
    if json.is_empty() {
        return out.push_str("<nil>");
    }
    out.push_str("map[");
    for (at, (key, item)) in json.entries().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(key);
        out.push(':');
        value(out, inner, "", item);
    }
    out.push(']');
}

/// A quantity as parsed from its canonical text: the text itself is kept in some cases only.
fn quantity(out: &mut String, json: &Json) {
    let text = json.as_i64().map_or_else(|| json.text().to_owned(), |n| n.to_string());
    let (amount, scale, kept, format) = parsed(&text);
    let amounts = format!("{{i:(resource.int64Amount){{value:(int64){amount} scale:(resource.Scale){scale}}}");
    let kept = if kept { text.as_str() } else { "" };
    out.push_str(&format!(
        "{amounts} d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){kept} Format:(resource.Format){format}}}"
    ));
}

/// Amount, scale, whether the text is kept, format: what `resource.ParseQuantity` makes of a canonical text.
fn parsed(text: &str) -> (i64, i32, bool, &'static str) {
    const DECIMAL: &str = "DecimalSI";
    if text.is_empty() {
        return (0, 0, false, "");
    }
    if text == "0" {
        return (0, 0, true, DECIMAL);
    }
    let unsigned = text.trim_start_matches('-');
    let (digits, suffix) = unsigned.split_at(unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len()));
    let number: i64 = digits.parse().unwrap_or(0);
    let signed = |n: i64| if text.starts_with('-') { -n } else { n };
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix) {
        let factor = 1_i64 << (10 * (power + 1));
        return (signed(number.saturating_mul(factor)), 0, number & 7 != 0, "BinarySI");
    }
    let decimal = [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    let (scale, format) = match decimal.iter().find(|(s, _)| *s == suffix) {
        Some((_, scale)) => (*scale, DECIMAL),
        None => (suffix.trim_start_matches(['e', 'E']).parse().unwrap_or(0), "DecimalExponent"),
    };
    let kept = scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0');
    (signed(number), scale, kept, format)
}

#[cfg(test)]
mod tests {
    use crate::cluster::sim::controllers::deployment::sets::template_hash;
    use crate::object::Json;

    #[test]
    fn replica_sets_are_named_as_on_a_real_cluster() {
        let recorded = [
            include_str!("../../../../../tests/fidelity/objects/broken.json"),
            include_str!("../../../../../tests/fidelity/objects/release.json"),
            include_str!("../../../../../tests/fidelity/objects/shop.json"),
        ];
        let mut checked = 0;
        for text in recorded {
            let all = Json::parse(text).expect("JSON");
            let lists = all.get("lists").entries().filter(|(path, _)| path.ends_with("/replicasets"));
            for set in lists.flat_map(|(_, list)| list.get("items").items()) {
                let mut template = set.at(&["spec", "template"]).clone();
                let hash = template.at(&["metadata", "labels", "pod-template-hash"]).text().to_owned();
                template.remove_at(&["metadata", "labels", "pod-template-hash"]);
                assert_eq!(template_hash(&template, None), hash, "{}", set.at(&["metadata", "name"]).text());
                checked += 1;
            }
        }
        assert!(checked >= 30, "only {checked} ReplicaSets");
    }
}
