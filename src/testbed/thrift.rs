//! Jaeger's `emitBatch` in Thrift's compact protocol: what client libraries send to the agent's port 6831.

use crate::telemetry::{Process, Span, Tag};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// How deep structures are nested at most.
const DEPTH: usize = 16;

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// The last field of each structure that is open.
    last: Vec<u8>,
}

impl Writer {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push((n as u8 & 0x7f) | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    fn zigzag(&mut self, n: i64) {
        self.varint(((n << 1) ^ (n >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn field(&mut self, id: u8, kind: u8) {
        let last = self.last.last().copied().unwrap_or(0);
        self.out.push(id.saturating_sub(last) << 4 | kind);
        if let Some(last) = self.last.last_mut() {
            *last = id;
        }
    }

    fn int(&mut self, id: u8, kind: u8, n: i64) {
        self.field(id, kind);
        self.zigzag(n);
    }

    fn string(&mut self, id: u8, text: &str) {
        self.field(id, BINARY);
        self.text(text);
    }

    fn structure(&mut self, body: impl FnOnce(&mut Self)) {
        self.last.push(0);
        body(self);
        self.last.pop();
        self.out.push(0);
    }

    fn list<T>(&mut self, id: u8, items: &[T], mut one: impl FnMut(&mut Self, &T)) {
        self.field(id, LIST);
        match u8::try_from(items.len()) {
            Ok(n) if n < 15 => self.out.push(n << 4 | STRUCT),
            _ => {
                self.out.push(0xf0 | STRUCT);
                self.varint(items.len() as u64);
            }
        }
        for item in items {
            self.structure(|w| one(w, item));
        }
    }

    fn tag(&mut self, key: &str, tag: &Tag) {
        self.string(1, key);
        let kind = match tag {
            Tag::Text(_) => 0,
            Tag::Float(_) => 1,
            Tag::Bool(_) => 2,
            Tag::Int(_) => 3,
        };
        self.int(2, I32, kind);
        match tag {
            Tag::Text(text) => self.string(3, text),
            Tag::Float(x) => {
                self.field(4, DOUBLE);
                self.out.extend_from_slice(&x.to_le_bytes());
            }
            Tag::Bool(value) => self.field(5, if *value { TRUE } else { FALSE }),
            Tag::Int(n) => self.int(6, I64, *n),
        }
    }

    fn span(&mut self, trace: u64, span: &Span) {
        let micros = |nanos: u128| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        self.int(1, I64, trace.cast_signed());
        self.int(2, I64, 0);
        self.int(3, I64, span.id.cast_signed());
        self.int(4, I64, span.parent.unwrap_or(0).cast_signed());
        self.string(5, &span.operation);
        let parents: Vec<u64> = span.parent.into_iter().collect();
        self.list(6, &parents, |w, parent| {
            w.int(1, I32, 0);
            w.int(2, I64, trace.cast_signed());
            w.int(3, I64, 0);
            w.int(4, I64, parent.cast_signed());
        });
        self.int(7, I32, 1);
        self.int(8, I64, micros(u128::from(span.start.as_nanos())));
        self.int(9, I64, micros(span.took.as_nanos()));
        self.list(10, &span.tags, |w, (key, tag)| w.tag(key, tag));
        let errors: Vec<&ArcStr> = span.error.iter().collect();
        self.list(11, &errors, |w, error| {
            w.int(1, I64, micros(u128::from((span.start + span.took).as_nanos())));
            let fields = [("event", Tag::Text("error".into())), ("message", Tag::Text((*error).clone()))];
            w.list(2, &fields, |w, (key, tag)| w.tag(key, tag));
        });
    }
}

/// A datagram with the spans of a process, each with its trace.
pub fn encode(process: &Process, spans: &[(u64, Span)]) -> Vec<u8> {
    let mut writer = Writer::default();
    // Protocol, version 1 and "one way", sequence number, name.
    writer.out.extend_from_slice(&[0x82, 0x81, 0]);
    writer.text("emitBatch");
    writer.structure(|w| {
        w.field(1, STRUCT);
        w.structure(|w| {
            w.field(1, STRUCT);
            w.structure(|w| {
                w.string(1, &process.service);
                w.list(2, &process.tags, |w, (key, value)| w.tag(key, &Tag::Text(value.clone())));
            });
            w.list(2, spans, |w, (trace, span)| w.span(*trace, span));
        });
    });
    writer.out
}

/// A value that was read.
#[derive(Clone, Debug)]
enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Struct(BTreeMap<i64, Value>),
}

impl Value {
    fn get(&self, id: i64) -> Option<&Value> {
        match self {
            Value::Struct(fields) => fields.get(&id),
            _ => None,
        }
    }

    fn int(&self, id: i64) -> i64 {
        match self.get(id) {
            Some(Value::Int(n)) => *n,
            _ => 0,
        }
    }

    fn text(&self, id: i64) -> ArcStr {
        match self.get(id) {
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
            _ => ArcStr::new(),
        }
    }

    fn list(&self, id: i64) -> &[Value] {
        match self.get(id) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let n = self.varint()?;
        Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        Some(match kind {
            TRUE => Value::Bool(true),
            FALSE => Value::Bool(false),
            3 => Value::Int(i64::from(self.byte()?.cast_signed())),
            4 | I32 | I64 => Value::Int(self.zigzag()?),
            DOUBLE => Value::Float(f64::from_le_bytes(self.bytes(8)?.try_into().ok()?)),
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.bytes(length)?.to_vec())
            }
            LIST | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                let mut items = Vec::new();
                for _ in 0..count {
                    let element = head & 0x0f;
                    // A truth value in a list is a byte of its own.
                    items.push(if element <= FALSE { Value::Bool(self.byte()? == TRUE) } else { self.value(element, depth + 1)? });
                }
                Value::List(items)
            }
            STRUCT => self.structure(depth)?,
            _ => return None,
        })
    }

    fn structure(&mut self, depth: usize) -> Option<Value> {
        let (mut fields, mut last) = (BTreeMap::new(), 0_i64);
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(Value::Struct(fields));
            }
            last = if head >> 4 == 0 { self.zigzag()? } else { last + i64::from(head >> 4) };
            fields.insert(last, self.value(head & 0x0f, depth + 1)?);
        }
    }
}

/// The spans in a datagram, each with its trace; `None` when it is none of `emitBatch`.
pub fn decode(bytes: &[u8]) -> Option<Vec<(u64, Span)>> {
    let mut reader = Reader(bytes);
    if reader.byte()? != 0x82 || reader.byte()? & 0x1f != 1 {
        return None;
    }
    reader.varint()?;
    let length = usize::try_from(reader.varint()?).ok()?;
    if reader.bytes(length)? != b"emitBatch" {
        return None;
    }
    let call = reader.structure(0)?;
    let batch = call.get(1)?;
    let of = batch.get(1)?;
    let text = |(key, tag): (ArcStr, Tag)| (key, ArcStr::from(tag.text()));
    let process = Arc::new(Process { service: of.text(1), tags: of.list(2).iter().map(tag).map(text).collect() });
    Some(batch.list(2).iter().map(|span| (span.int(1).cast_unsigned(), read_span(span, &process))).collect())
}

fn tag(value: &Value) -> (ArcStr, Tag) {
    let tag = match value.int(2) {
        1 => match value.get(4) {
            Some(Value::Float(x)) => Tag::Float(*x),
            _ => Tag::Float(0.0),
        },
        2 => Tag::Bool(matches!(value.get(5), Some(Value::Bool(true)))),
        3 => Tag::Int(value.int(6)),
        _ => Tag::Text(value.text(3)),
    };
    (value.text(1), tag)
}

fn read_span(value: &Value, process: &Arc<Process>) -> Span {
    let referred = value.list(6).first().map(|reference| reference.int(4));
    let parent = referred.or(Some(value.int(4))).filter(|id| *id != 0).map(i64::cast_unsigned);
    let micros = |n: i64| u64::try_from(n).unwrap_or(0);
    let message = |log: &Value| {
        let fields: Vec<_> = log.list(2).iter().map(tag).collect();
        let named = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, tag)| ArcStr::from(tag.text()));
        named("event").filter(|event| event == "error").and_then(|_| named("message"))
    };
    Span {
        id: value.int(3).cast_unsigned(),
        parent,
        operation: value.text(5),
        start: SimTime::from_nanos(micros(value.int(8)).saturating_mul(1000)),
        took: Duration::from_micros(micros(value.int(9))),
        tags: value.list(10).iter().map(tag).collect(),
        error: value.list(11).iter().find_map(message),
        process: process.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(process: &Arc<Process>, id: u64, parent: Option<u64>, tags: usize) -> Span {
        let tag = |n: usize| {
            let tag = match n % 4 {
                0 => Tag::Text("x".into()),
                1 => Tag::Int(-7),
                2 => Tag::Float(0.5),
                _ => Tag::Bool(n % 8 == 3),
            };
            (ArcStr::from(format!("k{n}")), tag)
        };
        Span {
            id,
            parent,
            operation: "/geo.Geo/Nearby".into(),
            start: SimTime::from_nanos(1_768_471_200_123_456_000),
            took: Duration::from_micros(66),
            tags: (0..tags).map(tag).collect(),
            error: (id % 2 == 1).then(|| "rpc error".into()),
            process: process.clone(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let process = Arc::new(Process { service: "geo".into(), tags: vec![("ip".into(), "10.0.0.1".into())] });
        let spans: Vec<(u64, Span)> =
            (1..40_u64).map(|id| (u64::MAX - id, span(&process, id, (id > 1).then_some(u64::MAX), id as usize))).collect();
        let bytes = encode(&process, &spans);
        assert_eq!(decode(&bytes), Some(spans));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_datagram_begins_as_the_agent_expects() {
        let process = Process { service: "a".into(), tags: Vec::new() };
        let bytes = encode(&process, &[]);
        let expect = b"\x82\x81\x00\x09emitBatch\x1c\x1c\x18\x01a\x19\x0c\x00\x19\x0c\x00\x00";
        assert_eq!(bytes, expect);
        assert_eq!(decode(&bytes), Some(Vec::new()));
    }
}
