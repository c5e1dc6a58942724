//! Serving: HTTP requests and operations, and the steps behind them.

use super::http::{Answer, Asked};
use super::line::Line;
use super::role::{Role, locked};
use super::spans::{Context, Open};
use super::stores;
use crate::app::rules::{self, Reaction, parameter, split_path};
use crate::app::{Call, Callee, OnError, Span, Step, Unconnected};
use crate::object;
use crate::object::Json;
use crate::telemetry::SpanKind;
use arcstr::ArcStr;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Why a step ended its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// With this error.
    Error(ArcStr),
    /// The process ends.
    Ending,
}

/// What a step knows of the request that it belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct At {
    /// The span that it is part of.
    pub span: Option<Context>,
    /// The key that is being fetched, below a cache miss.
    pub key: Option<u64>,
}

/// The boxed future of steps within steps.
type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers an HTTP request.
pub async fn request(role: &Arc<Role>, asked: Asked) -> Answer {
    let began = Instant::now();
    let (path, _) = split_path(&asked.path);
    if path == "/metrics" && asked.method == "GET" {
        return role.metrics.answer(&role.instance.program.service);
    }
    let Some(handler) = role.instance.program.handler(&asked.method, path).cloned() else {
        return wrong(role, 404, "404 page not found");
    };
    let name = handler.span.as_ref().map(|name| {
        ArcStr::from(name.fill(&|part| match part {
            "method" => Some(asked.method.as_str().into()),
            "path" => Some(handler.path.clone()),
            _ => None,
        }))
    });
    let count = |answer: Answer| {
        let operation = format!("{} {}", asked.method, handler.path);
        role.metrics.count(&operation, &answer.status.to_string(), began.elapsed());
        answer
    };
    let path = role.instance.asked(&asked.path, &asked.body);
    let find = |name: &str| parameter(&path, name);
    if let Some(check) = handler.checks.iter().find(|check| !check.rule.holds(&find)) {
        return count(wrong(role, check.status, &check.body));
    }
    let span = name.and_then(|name| {
        let sampled = role.draw(|stream| stream.unit()) < role.tracer.ratio();
        sampled.then(|| role.tracer.open(role, &name, SpanKind::HttpServer, None))
    });
    let at = At { span: span.as_ref().map(Open::context), key: None };
    let went = steps(role, &handler.steps, at).await;
    let (status, error) = match &went {
        Ok(()) => (handler.reply.status, None),
        Err(Failed::Error(error)) => (handler.error_status, Some(error.clone())),
        // The process takes the connection with it.
        Err(Failed::Ending) => std::future::pending().await,
    };
    if let Some(span) = span {
        role.tracer.close(span.with_request(&asked.path, status), error.clone());
    }
    count(match error {
        Some(error) => wrong(role, status, &handler.error_text(&error)),
        None => {
            let headers = handler.reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Answer { status, headers, body: role.instance.body(&handler, &asked.path).into_bytes() }
        }
    })
}

/// An answer that says what is wrong, as the program's libraries send it.
fn wrong(role: &Role, status: u16, text: &str) -> Answer {
    let headers = role.instance.error_headers().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { headers, ..Answer::error(status, text) }
}

/// Answers a call; `None` when the process ends over it.
pub async fn operation(role: &Arc<Role>, request: &Json) -> Option<Json> {
    let began = Instant::now();
    let mut answer = object! { "id" => request.get("id") };
    let name = request.get("op").text();
    let Some(operation) = role.instance.program.operation(name).cloned() else {
        // The caller's libraries would word it; both ends use the same ones.
        answer.set("error", role.instance.program.clients.unimplemented(name));
        return Some(answer);
    };
    let span =
        Context::read(request.get("span")).map(|parent| role.tracer.open(role, operation.span_name(), SpanKind::RpcServer, Some(parent)));
    let at = At { span: span.as_ref().map(Open::context), key: None };
    let error = match steps(role, &operation.steps, at).await {
        Ok(()) => None,
        Err(Failed::Error(error)) => Some(error),
        Err(Failed::Ending) => return None,
    };
    if let Some(span) = span {
        role.tracer.close(span, error.clone());
    }
    role.metrics.count(name, rules::status_of(error.as_deref()), began.elapsed());
    if let Some(error) = error {
        answer.set("error", error);
    }
    Some(answer)
}

/// Does steps in order.
pub fn steps<'a>(role: &'a Arc<Role>, steps: &'a [Step], at: At) -> Later<'a, Result<(), Failed>> {
    Box::pin(async move {
        for step in steps {
            match step {
                Step::Compute(span) => compute(role, *span).await,
                Step::Call(call) => call_step(role, call, at).await?,
                Step::Store(call) => stores::ask(role, call, at).await?,
                Step::Parallel(branches) => together(branches.iter().map(|branch| self::steps(role, branch, at)).collect()).await?,
            }
        }
        Ok(())
    })
}

/// Does several things at once and waits for all; the first failure in their order counts.
pub async fn together(mut all: Vec<Later<'_, Result<(), Failed>>>) -> Result<(), Failed> {
    let mut ends: Vec<Option<Result<(), Failed>>> = vec![None; all.len()];
    std::future::poll_fn(|context| {
        for (work, end) in all.iter_mut().zip(ends.iter_mut()).filter(|(_, end)| end.is_none()) {
            if let std::task::Poll::Ready(result) = work.as_mut().poll(context) {
                *end = Some(result);
            }
        }
        if ends.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    ends.into_iter().flatten().collect()
}

/// Works on the CPU, giving way to other requests now and then.
async fn compute(role: &Role, span: Span) {
    let mut left = role.draw(|stream| span.draw(stream));
    while !left.is_zero() {
        let began = Instant::now();
        let turn = left.min(Duration::from_millis(1));
        while began.elapsed() < turn {
            std::hint::spin_loop();
        }
        left = left.saturating_sub(turn);
        if !left.is_zero() {
            tokio::task::yield_now().await;
        }
    }
}

async fn call_step(role: &Arc<Role>, call: &Call, at: At) -> Result<(), Failed> {
    let span = match (&call.span, at.span) {
        (Some(name), Some(parent)) => Some(role.tracer.open(role, name, SpanKind::RpcClient, Some(parent))),
        _ => None,
    };
    let context = span.as_ref().map(Open::context).or(at.span);
    let (mut went, mut lost) = (Ok(()), None);
    for _ in 0..=call.retries {
        went = attempt(role, call, (context, &mut lost)).await;
        if went.is_ok() {
            break;
        }
    }
    if let Some(span) = span {
        role.tracer.close(span, went.clone().err());
    }
    went.or_else(|error| react(role, (&call.on_error, lost.as_ref()), &error, &ArcStr::new()))
}

/// What a failed call does to its caller.
pub fn react(role: &Role, (rule, lost): (&OnError, Option<&Unconnected>), error: &ArcStr, keys: &ArcStr) -> Result<(), Failed> {
    if let Some(text) = role.instance.complaint((rule, lost), role.now(), error, keys) {
        role.write(&text);
    }
    match rules::reaction(rule, false) {
        Reaction::Fail => Err(Failed::Error(error.clone())),
        Reaction::GoOn => Ok(()),
        Reaction::Exit(code) => {
            role.exit(code);
            Err(Failed::Ending)
        }
    }
}

/// One attempt of a call.
async fn attempt(role: &Arc<Role>, call: &Call, (span, lost): (Option<Context>, &mut Option<Unconnected>)) -> Result<(), ArcStr> {
    let clients = role.instance.program.clients;
    let asked = async {
        let line = line_to(role, &call.to, lost).await?;
        let request = object! { "op" => &call.operation, "span" => span.map_or(Json::Null, Context::json) };
        match line.ask(request).await {
            Err(_) => Err(clients.closing()),
            Ok(answer) => answer.get("error").as_text().map_or(Ok(()), |error| Err(clients.across(error))),
        }
    };
    match call.timeout {
        None => asked.await,
        Some(limit) => timeout(limit, asked).await.unwrap_or_else(|_| Err(clients.deadline())),
    }
}

/// The connection on which a call goes out.
async fn line_to(role: &Arc<Role>, to: &Callee, lost: &mut Option<Unconnected>) -> Result<Arc<Line>, ArcStr> {
    match to {
        Callee::Registered { name, .. } => {
            let balancer = locked(&role.balancers).get(name).cloned();
            balancer.map_or(Err(rules::NO_ADDRESS), |balancer| balancer.pick())
        }
        Callee::Address(setting) => stores::line(role, *setting).await.map_err(|why| {
            let error = why.error.clone();
            *lost = Some(why);
            error
        }),
    }
}

/// Waits for what is left of a time that something takes, when that is long enough to be waited for.
pub async fn rest(role: &Role, span: Span, began: Instant) {
    let whole = role.draw(|stream| span.draw(stream));
    let left = whole.saturating_sub(began.elapsed());
    if left >= Duration::from_millis(1) {
        sleep(left).await;
    }
}
