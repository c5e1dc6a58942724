//! Spans that a program records, and the way to who collects them: Jaeger's agent over UDP, or OTLP over HTTP.
//!
//! A program with a setting `jaeger` sends there; `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment takes precedence. What cannot be
//! sent is lost, as with the real client libraries.

use super::line::open;
use super::names::Names;
use super::place::{Place, now};
use super::role::{Role, locked};
use super::{http, otlp, thrift};
use crate::app::Instance;
use crate::object;
use crate::object::Json;
use crate::telemetry::{Facts, Process, Span, SpanKind};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// How often spans are sent.
const EVERY: Duration = Duration::from_secs(1);

/// Spans in one datagram, at most.
const TOGETHER: usize = 50;

/// A span as others refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: u64,
    span: u64,
}

impl Context {
    /// On the wire.
    pub fn json(self) -> Json {
        object! { "trace" => format!("{:016x}", self.trace), "span" => format!("{:016x}", self.span) }
    }

    /// From the wire.
    pub fn read(json: &Json) -> Option<Context> {
        let number = |key: &str| u64::from_str_radix(json.get(key).text(), 16).ok();
        Some(Context { trace: number("trace")?, span: number("span")? })
    }
}

/// A span that has not ended.
#[derive(Clone, Debug)]
pub struct Open {
    context: Context,
    parent: Option<u64>,
    operation: ArcStr,
    kind: SpanKind,
    start: SimTime,
    began: Instant,
    url: Option<ArcStr>,
    status: Option<u16>,
    more: Vec<(ArcStr, ArcStr)>,
}

impl Open {
    /// As others refer to it.
    pub fn context(&self) -> Context {
        self.context
    }

    /// With the tags of an HTTP request.
    #[must_use]
    pub fn with_request(self, url: &str, status: u16) -> Open {
        Open { url: Some(url.into()), status: Some(status), ..self }
    }

    /// With further tags.
    #[must_use]
    pub fn with_tags(self, more: &[(ArcStr, ArcStr)]) -> Open {
        Open { more: more.to_vec(), ..self }
    }
}

/// Who collects spans.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sink {
    Nobody,
    Agent(String, u16),
    Otlp { host: String, port: u16, path: String },
}

/// Records spans.
pub struct Tracer {
    sink: Sink,
    ratio: f64,
    process: Arc<Process>,
    sender: mpsc::UnboundedSender<(u64, Span)>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<(u64, Span)>>>,
}

impl Tracer {
    /// The tracer of a program on a host; `client` names it among those of other processes.
    pub fn new(place: &Place, instance: &Instance, (host, client): (&ArcStr, u64)) -> Tracer {
        let endpoint = place.env.get("OTEL_EXPORTER_OTLP_ENDPOINT").and_then(|e| endpoint(e));
        let agent = || {
            let (host, port) = instance.address(instance.program.setting("jaeger")?)?;
            Some(Sink::Agent(host.to_owned(), port))
        };
        let ratio = instance.named("sample_ratio").and_then(|r| r.parse().ok()).unwrap_or(1.0);
        let tags = [
            ("client-uuid", format!("{client:x}").into()),
            ("hostname", host.clone()),
            ("ip", place.address.clone()),
            ("jaeger.version", "Go-2.11.2".into()),
        ];
        let tags = tags.map(|(key, value)| (ArcStr::from(key), value)).into();
        let (sender, receiver) = mpsc::unbounded_channel();
        Tracer {
            sink: endpoint.or_else(agent).unwrap_or(Sink::Nobody),
            ratio,
            process: Arc::new(Process { service: instance.program.service.clone(), tags }),
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// The share of requests that are traced.
    pub fn ratio(&self) -> f64 {
        if self.sink == Sink::Nobody { -1.0 } else { self.ratio }
    }

    /// Begins a span; without a parent it begins a trace.
    pub fn open(&self, role: &Role, operation: &ArcStr, kind: SpanKind, parent: Option<Context>) -> Open {
        let span = role.draw(|stream| stream.bits()).max(1);
        let trace = parent.map_or(span, |p| p.trace);
        Open {
            context: Context { trace, span },
            parent: parent.map(|p| p.span),
            operation: operation.clone(),
            kind,
            start: now(),
            began: Instant::now(),
            url: None,
            status: None,
            more: Vec::new(),
        }
    }

    /// Ends a span.
    pub fn close(&self, open: Open, error: Option<ArcStr>) {
        if self.sink == Sink::Nobody {
            return;
        }
        let sampled = open.parent.is_none().then_some(self.ratio);
        let (kind, operation, url, status) = (open.kind, open.operation.as_str(), open.url.clone(), open.status);
        let failed = error.is_some() && kind != SpanKind::Store;
        let tags = Facts { kind, operation, url, status, failed, sampled, more: &open.more }.tags();
        let error = error.filter(|_| kind != SpanKind::Store);
        let (id, parent, start, took) = (open.context.span, open.parent, open.start, open.began.elapsed());
        let span = Span { id, parent, operation: open.operation, start, took, tags, error, process: self.process.clone() };
        // Nobody collects while the process ends.
        let _ = self.sender.send((open.context.trace, span));
    }

    /// Sends what was recorded from now on.
    pub fn start(&self, place: &Place) {
        let Some(mut receiver) = locked(&self.receiver).take() else { return };
        let (sink, names, process) = (self.sink.clone(), place.names.clone(), self.process.clone());
        if sink == Sink::Nobody {
            return;
        }
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while let Some(first) = receiver.recv().await {
                batch.push(first);
                let deadline = Instant::now() + EVERY;
                while batch.len() < TOGETHER {
                    match tokio::time::timeout_at(deadline, receiver.recv()).await {
                        Ok(Some(span)) => batch.push(span),
                        _ => break,
                    }
                }
                // What nobody takes is lost.
                let _ = timeout(EVERY * 5, deliver(&sink, &names, &process, &batch)).await;
                batch.clear();
            }
        });
    }
}

async fn deliver(sink: &Sink, names: &Names, process: &Process, spans: &[(u64, Span)]) -> Option<()> {
    match sink {
        Sink::Nobody => {}
        Sink::Agent(host, port) => {
            let address = *names.lookup(host).await.ok()?.first()?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
            socket.send_to(&thrift::encode(process, spans), SocketAddr::new(address, *port)).await.ok()?;
        }
        Sink::Otlp { host, port, path } => {
            let stream = open(&names.lookup(host).await.ok()?, *port, EVERY).await.ok()?;
            http::send(stream, "POST", (host, *port), path, otlp::encode(process, spans).to_compact().into_bytes()).await.ok()?;
        }
    }
    Some(())
}

/// `http://host:port/base` as where to send traces.
fn endpoint(text: &str) -> Option<Sink> {
    let rest = text.strip_prefix("http://")?;
    let (place, base) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = place.split_once(':').unwrap_or((place, "4318"));
    let path = format!("/{}/v1/traces", base.trim_matches('/')).replace("//", "/");
    Some(Sink::Otlp { host: host.to_owned(), port: port.parse().ok()?, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, expect: Option<(&str, u16, &str)>| {
            let expect = expect.map(|(host, port, path)| Sink::Otlp { host: host.to_owned(), port, path: path.to_owned() });
            assert_eq!(endpoint(text), expect, "{text}");
        };
        check("http://collector:4318", Some(("collector", 4318, "/v1/traces")));
        check("http://collector", Some(("collector", 4318, "/v1/traces")));
        check("http://collector:80/otlp/", Some(("collector", 80, "/otlp/v1/traces")));
        check("https://collector", None);
    }
}
