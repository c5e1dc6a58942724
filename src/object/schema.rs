//! The fields of the built-in kinds: names, types, and how patches merge them.
//!
//! `schema.txt` holds the facts, one field a line: name, type, flags. `type G.T` begins a struct, `text G.T A B` a text type with
//! its allowed values. Types: `s` text, `i32`, `i64`, `u8`, `b`, `f64`, `bytes`, `quantity`, `intorstring`, `time`,
//! `microtime`, `duration`, `raw`, `[]T`, `{}T` (map from text), `*T` (pointer: absent differs from zero). Flags: `?` left out when empty,
//! `!` left out when zero, `r` required, `m` / `m=KEY` strategic merge of a list, `P` a strategic merge patch replaces it, `R` retain keys, `l=set|map:K,K|atomic` and
//! `x=atomic|granular` server-side apply, `d=V` default of a merge key.

use super::ResourceType;
use std::sync::OnceLock;

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Text; `Some` names a text type.
    Text(Option<TextId>),
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// 8-bit unsigned integer.
    Uint8,
    /// Truth value.
    Bool,
    /// Float.
    Float,
    /// Base64 text.
    Bytes,
    /// `resource.Quantity`.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// `metav1.Time`.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    /// `metav1.Duration`.
    Duration,
    /// Any JSON.
    Raw,
    /// List.
    List(Box<Type>),
    /// Map from text.
    Map(Box<Type>),
    /// Struct.
    Struct(TypeId),
}

/// Names a struct of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(u16);

/// Names a text type of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextId(u16);

/// How server-side apply treats a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// One value.
    Atomic,
    /// Elements are owned one by one.
    Set,
    /// Elements are found by these keys.
    Map(Vec<&'static str>),
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// JSON name.
    pub name: &'static str,
    /// Type.
    pub ty: Type,
    /// Absent differs from zero.
    pub pointer: bool,
    /// Left out when empty.
    pub omit_empty: bool,
    /// Left out when a zero struct.
    pub omit_zero: bool,
    /// Must be given.
    pub required: bool,
    /// A strategic merge patch merges this list.
    pub merge: bool,
    /// By this key of its elements; `None` for lists of plain values.
    pub merge_key: Option<&'static str>,
    /// A strategic merge patch replaces this struct as a whole.
    pub replace: bool,
    /// A strategic merge patch may say which keys to retain.
    pub retain_keys: bool,
    /// Server-side apply treats the list so.
    pub list: ListKind,
    /// Server-side apply takes the map or struct as one value.
    pub atomic: bool,
    /// Default of a merge key.
    pub default: Option<&'static str>,
}

/// A struct.
#[derive(Clone, Debug)]
pub struct Struct {
    /// `core.PodSpec`.
    pub name: &'static str,
    /// Fields in order of their names.
    pub fields: Vec<Field>,
    /// Server-side apply takes it as one value.
    pub atomic: bool,
}

impl Struct {
    /// The field of a JSON name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.cmp(name)).ok().and_then(|at| self.fields.get(at))
    }

    /// `PodSpec`.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }
}

/// A text type with a name.
#[derive(Clone, Debug)]
pub struct Text {
    /// `core.RestartPolicy`.
    pub name: &'static str,
    /// Allowed values, sorted; empty when any text will do.
    pub values: Vec<&'static str>,
}

/// All structs and text types.
pub struct Schema {
    structs: Vec<Struct>,
    texts: Vec<Text>,
}

/// The schema of the built-in kinds.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(include_str!("schema.txt")))
}

impl Schema {
    fn read(text: &'static str) -> Schema {
        let names = |word: &str| text.lines().filter_map(|l| l.strip_prefix(word)?.split(' ').next()).collect::<Vec<_>>();
        let (structs, texts) = (names("type "), names("text "));
        let mut schema = Schema { structs: Vec::with_capacity(structs.len()), texts: Vec::with_capacity(texts.len()) };
        for line in text.lines() {
            let mut words = line.trim_start().split(' ');
            if let Some(head) = line.strip_prefix("type ") {
                let name = head.split(' ').next().unwrap_or(head);
                schema.structs.push(Struct { name, fields: Vec::new(), atomic: head.ends_with(" x=atomic") });
            } else if let Some(head) = line.strip_prefix("text ") {
                let mut words = head.split(' ');
                schema.texts.push(Text { name: words.next().unwrap_or(head), values: words.collect() });
            } else if line.starts_with(' ')
                && let (Some(name), Some(ty), Some(last)) = (words.next(), words.next(), schema.structs.last_mut())
            {
                last.fields.push(read_field(name, ty, words, (&structs, &texts)));
            }
        }
        schema.structs.iter_mut().for_each(|s| s.fields.sort_by_key(|f| f.name));
        schema
    }

    /// A struct.
    pub fn get(&self, id: TypeId) -> &Struct {
        &self.structs[usize::from(id.0)]
    }

    /// A text type.
    pub fn text(&self, id: TextId) -> &Text {
        &self.texts[usize::from(id.0)]
    }

    /// The struct called `core.PodSpec` and the like.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        let at = self.structs.binary_search_by(|s| s.name.cmp(name)).ok()?;
        u16::try_from(at).ok().map(TypeId)
    }

    /// The struct of a kind; `None` for kinds that are not built in.
    pub fn of_kind(&self, resource: &ResourceType) -> Option<TypeId> {
        let group = match (resource.group.as_str(), resource.version.as_str()) {
            ("", _) => "core",
            ("autoscaling", "v2") => "autoscaling2",
            (group, _) => group.split('.').next().unwrap_or(group),
        };
        self.named(&format!("{group}.{}", resource.kind))
    }

    /// Every struct.
    pub fn structs(&self) -> &[Struct] {
        &self.structs
    }
}

fn read_field(name: &'static str, ty: &'static str, flags: std::str::Split<'static, char>, names: (&[&str], &[&str])) -> Field {
    let (pointer, ty) = ty.strip_prefix('*').map_or((false, ty), |rest| (true, rest));
    let mut field = Field {
        name,
        ty: read_type(ty, names),
        pointer,
        omit_empty: false,
        omit_zero: false,
        required: false,
        merge: false,
        merge_key: None,
        replace: false,
        retain_keys: false,
        list: ListKind::Atomic,
        atomic: false,
        default: None,
    };
    for flag in flags {
        match flag.split_once('=') {
            None if flag == "?" => field.omit_empty = true,
            None if flag == "!" => field.omit_zero = true,
            None if flag == "r" => field.required = true,
            None if flag == "R" => field.retain_keys = true,
            None if flag == "P" => field.replace = true,
            None if flag == "m" => field.merge = true,
            Some(("m", key)) => (field.merge, field.merge_key) = (true, Some(key)),
            Some(("l", "set")) => field.list = ListKind::Set,
            Some(("l", kind)) => {
                if let Some(keys) = kind.strip_prefix("map:") {
                    field.list = ListKind::Map(keys.split(',').collect());
                }
            }
            Some(("x", kind)) => field.atomic = kind == "atomic",
            Some(("d", value)) => field.default = Some(value.trim_matches('"')),
            _ => {}
        }
    }
    field
}

fn read_type(text: &str, names: (&[&str], &[&str])) -> Type {
    if let Some(element) = text.strip_prefix("[]") {
        return Type::List(Box::new(read_type(element.trim_start_matches('*'), names)));
    }
    if let Some(value) = text.strip_prefix("{}") {
        return Type::Map(Box::new(read_type(value.trim_start_matches('*'), names)));
    }
    match text {
        "s" => Type::Text(None),
        "i32" => Type::Int32,
        "i64" => Type::Int64,
        "u8" => Type::Uint8,
        "b" => Type::Bool,
        "f64" => Type::Float,
        "bytes" => Type::Bytes,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "duration" => Type::Duration,
        name => {
            let place = |list: &[&str]| list.iter().position(|n| *n == name).and_then(|at| u16::try_from(at).ok());
            let text = || Some(Type::Text(Some(TextId(place(names.1)?))));
            place(names.0).map(|at| Type::Struct(TypeId(at))).or_else(text).unwrap_or(match name {
                name if name.starts_with("types.") => Type::Text(None),
                _ => Type::Raw,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::resource::builtin;

    #[test]
    fn every_builtin_kind_has_its_fields() {
        let schema = schema();
        assert!(schema.structs().len() > 450);
        let missing: Vec<_> = builtin().iter().filter(|r| schema.of_kind(r).is_none()).map(|r| r.qualified_plural()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(schema.structs().windows(2).all(|w| w[0].name < w[1].name), "sorted by name");
    }

    #[test]
    fn fields_know_how_they_merge() {
        let schema = schema();
        let pod = schema.get(schema.named("core.PodSpec").expect("there"));
        let containers = pod.field("containers").expect("there");
        assert_eq!(containers.merge_key, Some("name"));
        assert!(containers.required && !containers.pointer);
        let container = schema.get(schema.named("core.Container").expect("there"));
        let ports = container.field("ports").expect("there");
        assert_eq!(ports.list, ListKind::Map(vec!["containerPort", "protocol"]));
        assert!(pod.field("nodeSelector").expect("there").atomic);
        assert!(pod.field("dnsPolicy").is_some_and(|f| matches!(f.ty, Type::Text(Some(id)) if schema.text(id).values.len() == 4)));
        assert!(schema.structs().iter().flat_map(|s| &s.fields).all(|f| !f.merge || matches!(f.ty, Type::List(_) | Type::Struct(_))));
    }
}
