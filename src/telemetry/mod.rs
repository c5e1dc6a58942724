//! Records of what an application did, and questions about them. Nothing here derives records; clusters do.

mod exposition;
mod jaeger;
mod metric;
mod trace;

pub use exposition::parse_exposition;
pub use jaeger::{Operations, Traces, answer, api, failure, merged, parse_search, parse_trace, trace_json};
pub use metric::{APPLICATION_METRICS, BOUNDS, CONTAINER_METRICS, POD_METRICS, Series};
pub use trace::{Facts, Process, Span, SpanKind, Tag, Trace, TraceQuery};
