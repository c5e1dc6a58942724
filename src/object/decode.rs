//! Decoding: an object as it was sent becomes the object as a server would print it.
//!
//! A Go server decodes into structs and encodes those again: unknown fields go (or are refused), nulls and empty optional fields go,
//! fields without `omitempty` come, quantities become canonical. [`decode`] does this from the table of fields, with
//! the decoder's own words for what cannot be read.

use super::schema::{Field, Schema, Struct, Type, TypeId, schema};
use super::{Json, Map, Quantity};
use crate::time::SimTime;

/// An object as the server reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub value: Json,
    /// Paths of fields that the kind does not have: `spec.containers[0].foo`.
    pub unknown: Vec<String>,
}

/// Why a value cannot be read as its type, as two of the server's readers say it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{json}")]
pub struct DecodeError {
    /// The JSON decoder (whole objects, JSON and merge patches): `json: cannot unmarshal string into Go struct field …`.
    pub json: String,
    /// The converter (strategic merge patches): `unrecognized type: int32`.
    pub converter: String,
}

impl From<String> for DecodeError {
    fn from(text: String) -> Self {
        DecodeError { converter: text.clone(), json: text }
    }
}

/// Reads `value` as the struct `ty`.
///
/// # Errors
/// When a value is of another type than its field.
pub fn decode(value: &Json, ty: TypeId) -> Result<Decoded, DecodeError> {
    let mut reader =
        Reader { schema: schema(), owner: schema().get(ty).short_name(), fields: Vec::new(), unknown: Vec::new(), path: String::new() };
    let value = reader.structure(value, ty)?;
    Ok(Decoded { value, unknown: reader.unknown })
}

/// `value` with only what a server would print, whatever is wrong with it left as it is.
pub fn normalize(value: &Json, ty: TypeId) -> Json {
    decode(value, ty).map_or_else(|_| value.clone(), |decoded| decoded.value)
}

struct Reader {
    schema: &'static Schema,
    /// Struct whose field is being read.
    owner: &'static str,
    /// Names of fields from the root, without indices.
    fields: Vec<&'static str>,
    unknown: Vec<String>,
    /// The path with indices.
    path: String,
}

/// How Go's decoder calls a JSON value.
fn word(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Int(_) | Json::Float(_) => "number",
        Json::Str(_) => "string",
        Json::Arr(_) => "array",
        Json::Obj(_) => "object",
    }
}

/// How the server's converter from maps to structs refuses a value.
fn converter_words(value: &Json, ty: &Type, name: &str) -> String {
    let (kind, number) = match value {
        Json::Bool(_) => ("bool", false),
        Json::Int(_) => ("int64", true),
        Json::Float(_) => ("float64", true),
        Json::Str(_) => ("string", false),
        Json::Arr(_) => ("slice", false),
        _ => ("map", false),
    };
    match ty {
        Type::Struct(_) => format!("cannot restore struct from: {kind}"),
        Type::List(_) | Type::Bytes => format!("cannot restore slice from {kind}"),
        Type::Map(_) => format!("cannot restore map from {kind}"),
        Type::Text(_) if number => format!("cannot convert {kind} to {name}"),
        Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float if number => format!("cannot convert {kind} to {name}"),
        Type::Text(_) => "unrecognized type: string".to_owned(),
        _ => format!("unrecognized type: {name}"),
    }
}

impl Reader {
    fn mismatch(&self, value: &Json, ty: &Type) -> DecodeError {
        let name = go_name(self.schema, ty);
        let word = match (value, ty) {
            (Json::Int(_) | Json::Float(_), Type::Int32 | Type::Int64 | Type::Uint8) => format!("number {}", value.to_compact()),
            _ => word(value).to_owned(),
        };
        let json = if self.fields.is_empty() {
            format!("json: cannot unmarshal {word} into Go value of type {name}")
        } else {
            format!("json: cannot unmarshal {word} into Go struct field {}.{} of type {name}", self.owner, self.fields.join("."))
        };
        DecodeError { json, converter: converter_words(value, ty, &name) }
    }

    fn structure(&mut self, value: &Json, id: TypeId) -> Result<Json, DecodeError> {
        let schema = self.schema;
        let structure = schema.get(id);
        let given = match value {
            Json::Obj(map) => map,
            Json::Null => return Ok(self.zero_struct(structure)),
            other => return Err(self.mismatch(other, &Type::Struct(id))),
        };
        let owner = std::mem::replace(&mut self.owner, structure.short_name());
        let mut out = Map::new();
        for (key, value) in given.iter() {
            let length = self.path.len();
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(key);
            match structure.field(key) {
                Some(field) => {
                    self.fields.push(field.name);
                    if let Some(value) = self.field(value, field)? {
                        out.push_last(key.clone(), value);
                    }
                    self.fields.pop();
                }
                None if self.unknown.len() < 100 => self.unknown.push(self.path.clone()),
                None => {}
            }
            self.path.truncate(length);
        }
        self.owner = owner;
        for field in structure.fields.iter().filter(|f| !given.contains_key(f.name)) {
            if let Some(zero) = self.zero(field) {
                out.insert(field.name, zero);
            }
        }
        Ok(Json::from(out))
    }

    /// A field as printed; `None` when it is left out.
    fn field(&mut self, value: &Json, field: &Field) -> Result<Option<Json>, DecodeError> {
        if value.is_null() {
            return Ok(self.zero(field));
        }
        let value = self.value(value, &field.ty)?;
        let empty = match &value {
            Json::Int(0) | Json::Bool(false) => !matches!(field.ty, Type::IntOrString | Type::Raw),
            Json::Float(x) => *x == 0.0,
            Json::Obj(map) => map.is_empty() && matches!(field.ty, Type::Map(_)),
            Json::Arr(items) => items.is_empty(),
            Json::Str(text) => text.is_empty() && !matches!(field.ty, Type::IntOrString | Type::Quantity),
            _ => false,
        };
        Ok(if empty && field.omit_empty && !field.pointer { None } else { Some(value) })
    }

    fn value(&mut self, value: &Json, ty: &Type) -> Result<Json, DecodeError> {
        Ok(match (ty, value) {
            (Type::Raw, _) | (Type::Text(_), Json::Str(_)) | (Type::Bool, Json::Bool(_)) | (Type::Float, Json::Float(_) | Json::Int(_)) => {
                value.clone()
            }
            (Type::Struct(id), _) => self.structure(value, *id)?,
            (Type::List(element), Json::Arr(items)) => {
                let length = self.path.len();
                let mut out = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    self.path.push_str(&format!("[{at}]"));
                    out.push(self.value(item, element)?);
                    self.path.truncate(length);
                }
                Json::from(out)
            }
            (Type::Map(element), Json::Obj(map)) => self.map(map, element)?,
            (Type::Int32, Json::Int(n)) if i32::try_from(*n).is_ok() => value.clone(),
            (Type::Uint8, Json::Int(n)) if u8::try_from(*n).is_ok() => value.clone(),
            (Type::Int64, Json::Int(_)) => value.clone(),
            (Type::IntOrString, Json::Int(_) | Json::Str(_)) => value.clone(),
            (Type::IntOrString, other) => return Err(format!("json: cannot unmarshal {} into Go value of type int32", word(other)).into()),
            (Type::Quantity, _) => quantity(value)?,
            (Type::Time, Json::Str(text)) => time(text, SimTime::rfc3339, "2006-01-02T15:04:05Z07:00")?,
            (Type::MicroTime, Json::Str(text)) => time(text, SimTime::rfc3339_micro, "2006-01-02T15:04:05.000000Z07:00")?,
            (Type::Time | Type::MicroTime, other) => {
                return Err(format!("json: cannot unmarshal {} into Go value of type string", word(other)).into());
            }
            (Type::Duration, Json::Str(_)) => value.clone(),
            (Type::Duration, other) => return Err(format!("json: cannot unmarshal {} into Go value of type string", word(other)).into()),
            (Type::Bytes, Json::Str(text)) => {
                let converter = |json: String| DecodeError { converter: format!("error decoding from json: {json}"), json };
                Json::from(base64_text(text).map_err(converter)?)
            }
            (_, Json::Null) => zero_value(ty),
            (ty, other) => return Err(self.mismatch(other, ty)),
        })
    }

    fn map(&mut self, map: &Map, element: &Type) -> Result<Json, DecodeError> {
        let length = self.path.len();
        let mut out = Map::new();
        for (key, item) in map.iter() {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(key);
            out.push_last(key.clone(), self.value(item, element)?);
            self.path.truncate(length);
        }
        Ok(Json::from(out))
    }

    /// What a field that was not given prints as.
    fn zero(&self, field: &Field) -> Option<Json> {
        match &field.ty {
            _ if field.pointer => (!field.omit_empty).then_some(Json::Null),
            Type::Struct(_) | Type::Time | Type::MicroTime if field.omit_zero => None,
            Type::Struct(id) => Some(self.zero_struct(self.schema.get(*id))),
            Type::Time | Type::MicroTime => Some(Json::Null),
            Type::Quantity => Some(Json::from("0")),
            Type::IntOrString => Some(Json::Int(0)),
            _ if field.omit_empty => None,
            ty => Some(zero_value(ty)),
        }
    }

    fn zero_struct(&self, structure: &Struct) -> Json {
        structure.fields.iter().filter_map(|f| Some((f.name, self.zero(f)?))).collect::<Map>().into()
    }
}

fn zero_value(ty: &Type) -> Json {
    match ty {
        Type::Text(_) => Json::from(""),
        Type::Int32 | Type::Int64 | Type::Uint8 => Json::Int(0),
        Type::Float => Json::Float(0.0),
        Type::Bool => Json::Bool(false),
        Type::Duration => Json::from("0s"),
        _ => Json::Null,
    }
}

/// The name of a type in Go.
fn go_name(schema: &Schema, ty: &Type) -> String {
    let version = |name: &str| {
        let (group, name) = name.split_once('.').unwrap_or(("", name));
        format!("{}.{name}", if group == "autoscaling2" { "v2" } else { "v1" })
    };
    match ty {
        Type::Text(None) | Type::Time | Type::MicroTime | Type::Duration => "string".into(),
        Type::Text(Some(id)) => version(schema.text(*id).name),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Uint8 => "uint8".into(),
        Type::Bool => "bool".into(),
        Type::Float => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Raw => "runtime.RawExtension".into(),
        Type::List(element) => format!("[]{}", go_name(schema, element)),
        Type::Map(value) if **value == Type::Quantity => "v1.ResourceList".into(),
        Type::Map(value) => format!("map[string]{}", go_name(schema, value)),
        Type::Struct(id) => version(schema.get(*id).name),
    }
}

fn quantity(value: &Json) -> Result<Json, String> {
    let text = match value {
        Json::Str(text) => text.to_string(),
        Json::Null => "0".to_owned(),
        other => other.to_compact(),
    };
    if let Json::Str(text) = value
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0')
        && !text.ends_with("000")
        && (1..18).contains(&text.len())
    {
        return Ok(value.clone());
    }
    Quantity::canonical_text(text.trim()).map(Json::from).map_err(|error| error.to_string())
}

fn time(text: &str, print: fn(SimTime) -> String, layout: &str) -> Result<Json, String> {
    match SimTime::parse_rfc3339(text) {
        Some(at) => Ok(Json::from(print(at))),
        None => Err(format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\"")),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as standard base64 text.
pub fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    out
}

/// The bytes of standard base64 text.
///
/// # Errors
/// `illegal base64 data at input byte N`.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let illegal = |at: usize| format!("illegal base64 data at input byte {at}");
    let digits: Vec<(usize, u8)> = text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')).collect();
    let mut out = Vec::with_capacity(digits.len() / 4 * 3);
    let body = digits.iter().position(|(_, b)| *b == b'=').unwrap_or(digits.len());
    let value = |b: u8| ALPHABET.iter().position(|a| *a == b).map(|v| v as u32);
    for (at, b) in &digits[..body] {
        if value(*b).is_none() {
            return Err(illegal(*at));
        }
    }
    let padding = digits.len() - body;
    if digits[body..].iter().any(|(_, b)| *b != b'=') || padding > 2 || !digits.len().is_multiple_of(4) {
        return Err(illegal(if padding > 0 { digits[body].0 } else { text.len() - text.len() % 4 }));
    }
    for chunk in digits[..body].chunks(4) {
        let word = chunk.iter().fold(0_u32, |w, (_, b)| w << 6 | value(*b).unwrap_or(0)) << (6 * (4 - chunk.len()));
        let bytes = word.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Ok(out)
}

fn base64_text(text: &str) -> Result<String, String> {
    from_base64(text).map(|bytes| to_base64(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    fn read(kind: &str, text: &str) -> Result<Decoded, String> {
        decode(&Json::parse(text).expect("json"), schema().named(kind).expect("kind")).map_err(|e| e.json)
    }

    #[test]
    fn an_object_prints_as_the_server_would() {
        let check = |kind: &str, given: &str, expect: &str| {
            assert_eq!(read(kind, given).expect("readable").value.to_compact(), expect, "{given}");
        };
        check("core.ConfigMap", r#"{"data":{"a":"b"},"binaryData":{},"immutable":null}"#, r#"{"data":{"a":"b"},"metadata":{}}"#);
        check(
            "core.Container",
            r#"{"name":"x","env":[{"name":"A","value":""}],"resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}},"tty":false}"#,
            r#"{"env":[{"name":"A"}],"name":"x","resources":{"limits":{"cpu":"500m","memory":"1Gi"}}}"#,
        );
        check("core.Service", "{}", r#"{"metadata":{},"spec":{},"status":{"loadBalancer":{}}}"#);
        check("rbac.Role", "{}", r#"{"metadata":{},"rules":null}"#);
        check("core.ServicePort", r#"{"port":80}"#, r#"{"port":80,"targetPort":0}"#);
        check(
            "core.PodCondition",
            r#"{"type":"Ready","status":"True"}"#,
            r#"{"lastProbeTime":null,"lastTransitionTime":null,"status":"True","type":"Ready"}"#,
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_in_the_decoders_words() {
        let check = |kind: &str, given: &str, expect: &str| assert_eq!(read(kind, given).expect_err(given), expect);
        check(
            "apps.Deployment",
            r#"{"spec":{"replicas":"x"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            "core.Pod",
            r#"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        );
        check(
            "core.Pod",
            r#"{"spec":{"containers":{}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        );
        check(
            "core.Pod",
            r#"{"spec":{"restartPolicy":5}}"#,
            "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
        );
        check(
            "core.Pod",
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        );
        check("core.Secret", r#"{"data":{"a":"?"}}"#, "illegal base64 data at input byte 0");
        check(
            "core.Container",
            r#"{"resources":{"limits":{"cpu":"a"}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
        let unknown = read("core.Pod", r#"{"spec":{"foo":1,"containers":[{"bar":1}]}}"#).expect("readable").unknown;
        assert_eq!(unknown, ["spec.containers[0].bar", "spec.foo"]);
    }

    #[test]
    fn base64_round_trips() {
        for text in ["", "a", "ab", "abc", "admin:admin"] {
            assert_eq!(from_base64(&to_base64(text.as_bytes())).as_deref(), Ok(text.as_bytes()));
        }
        assert_eq!(to_base64(b"admin"), "YWRtaW4=");
        assert!(from_base64("YWR").is_err() && from_base64("Y=Rt").is_err());
    }

    #[test]
    fn normalizing_twice_changes_nothing() {
        let ty = schema().named("apps.Deployment").expect("kind");
        let once = normalize(
            &object! { "spec" => object! { "template" => object! { "spec" => object! { "containers" => array![object! {}] } } } },
            ty,
        );
        assert_eq!(normalize(&once, ty), once);
    }
}
