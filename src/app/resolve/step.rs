//! A step of an operation: one verb and what belongs to it.

use super::super::error::DataError;
use super::super::program::{Call, Callee, Miss, OnError, Protocol, Span, Step, StoreCall, Then};
use super::super::written;
use super::program::{Scope, cpu_ms};
use super::start::{access, credentials};
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// Resolves one step.
pub(super) fn resolve(scope: &Scope<'_>, written: &Spanned<written::Step>) -> Result<Step, DataError> {
    let span = written.span();
    let step = written.as_ref();
    let verbs = [step.compute_ms.is_some(), step.call.is_some(), step.address.is_some(), step.store.is_some(), step.parallel.is_some()];
    if verbs.iter().filter(|v| **v).count() != 1 {
        return Err(scope.source.error(span, "a step has exactly one of: compute_ms, call, address, store, parallel"));
    }
    if let Some(name) = &step.call {
        let registry = scope.needed(step.registry.as_ref(), "in", span.clone())?;
        call(scope, step, Callee::Registered { registry, name: name.as_ref().into() }, span)
    } else if let Some(address) = &step.address {
        call(scope, step, Callee::Address(scope.setting(address)?), span)
    } else if let Some(store) = &step.store {
        ask(scope, step, store)
    } else if let Some(branches) = &step.parallel {
        let branch = |steps: &Vec<Spanned<written::Step>>| steps.iter().map(|s| resolve(scope, s)).collect::<Result<Vec<_>, _>>();
        branches.iter().map(branch).collect::<Result<_, _>>().map(Step::Parallel)
    } else {
        Ok(Step::Compute(Span { mean_ms: step.compute_ms.unwrap_or(0.0), cv: step.cv.unwrap_or(0.0) }))
    }
}

fn call(scope: &Scope<'_>, step: &written::Step, to: Callee, span: Range<usize>) -> Result<Step, DataError> {
    let Some(operation) = &step.op else { return Err(scope.source.error(span, "`op` is missing")) };
    let named = step.span.as_ref().unwrap_or(operation).as_ref();
    Ok(Step::Call(Call {
        to,
        operation: operation.as_ref().into(),
        span: (!named.is_empty()).then(|| named.into()),
        timeout: step.timeout_s.map(|s| Duration::from_nanos((s.max(0.0) * 1e9) as u64)),
        retries: step.retries.unwrap_or(0),
        pool: step.pool.map(|slots| slots.max(1)),
        on_error: on_error(scope, step.failed.as_ref())?,
    }))
}

fn ask(scope: &Scope<'_>, step: &written::Step, store: &written::Text) -> Result<Step, DataError> {
    let collection = step.database.as_ref().zip(step.collection.as_ref());
    Ok(Step::Store(StoreCall {
        target: scope.setting(store)?,
        protocol: step.protocol.as_ref().map_or(Ok(Protocol::Raw), |word| scope.protocol(word))?,
        collection: collection.map(|(d, c)| (d.into(), c.into())),
        needs: access(scope, step.needs.as_ref())?,
        credentials: credentials(step.user.as_ref(), step.password.as_ref(), None),
        span: step.span.as_ref().map(|s| s.as_ref().into()),
        tags: step.tags.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        time: Span { mean_ms: step.time_ms.unwrap_or(0.0), cv: step.cv.unwrap_or(0.0) },
        cpu_ms: cpu_ms(scope.source, step.cpu_ms.as_ref())?,
        pool: step.pool.map(|slots| slots.max(1)),
        miss: step.miss.as_ref().map(|m| miss(scope, m)).transpose()?,
        on_error: on_error(scope, step.failed.as_ref())?,
    }))
}

fn miss(scope: &Scope<'_>, written: &written::Miss) -> Result<Miss, DataError> {
    Ok(Miss {
        keys: written.keys,
        per_request: written.per_request,
        ttl: written.ttl_s.map(|s| Duration::from_nanos((s.max(0.0) * 1e9) as u64)),
        steps: written.steps.iter().map(|s| resolve(scope, s)).collect::<Result<_, _>>()?,
    })
}

fn on_error(scope: &Scope<'_>, written: Option<&written::Failed>) -> Result<OnError, DataError> {
    let Some(written) = written else { return Ok(OnError::fail()) };
    let then = match (written.ignore, written.exit) {
        (true, _) => Then::Ignore,
        (false, Some(code)) => Then::Exit(code),
        (false, None) => Then::Fail,
    };
    let line = |written: &Option<_>| written.as_ref().map(|line| scope.any_line(line)).transpose();
    Ok(OnError { log: line(&written.log)?, unconnected: line(&written.unconnected)?, then })
}
