//! Records of what an application did, and questions about them. Nothing here derives records; clusters do.

mod jaeger;
mod trace;

pub use jaeger::{answer, failure, parse_search, trace_json};
pub use trace::{Process, Span, Tag, Trace, TraceQuery};
