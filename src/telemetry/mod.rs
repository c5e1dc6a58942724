//! Records of what an application did, and questions about them. Nothing here derives records; clusters do.

mod jaeger;
mod trace;

pub use jaeger::{Operations, Traces, answer, api, failure, parse_search, trace_json};
pub use trace::{Facts, Process, Span, SpanKind, Tag, Trace, TraceQuery};
