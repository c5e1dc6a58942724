//! What a handler checks and answers.

use super::super::answer::{Body, Condition, Join, Keep, Selection};
use super::super::error::DataError;
use super::super::program::{Check, Reply, Rule};
use super::super::template::Template;
use super::super::written;
use super::program::Scope;
use arcstr::ArcStr;
use std::sync::Arc;

/// Resolves a check of parameters.
pub(super) fn check(scope: &Scope<'_>, written: &written::Check) -> Result<Check, DataError> {
    let texts = |list: &Vec<String>| list.iter().map(ArcStr::from).collect::<Vec<_>>();
    let rule = match (&written.present, &written.parameter, &written.one_of, &written.parameters, &written.like) {
        (Some(names), None, None, None, None) => Rule::Present(texts(names)),
        (None, Some(name), Some(values), None, None) => Rule::OneOf(name.into(), texts(values)),
        (None, None, None, Some(names), Some(pattern)) => Rule::Like(texts(names), pattern.into()),
        _ => {
            let ways = "present; parameter with one_of; parameters with like";
            return Err(scope.source.error(written.body.span(), format!("a check has exactly one of: {ways}")));
        }
    };
    Ok(Check { rule, status: written.status.unwrap_or(400), body: written.body.as_ref().into() })
}

/// Resolves an answer.
pub(super) fn resolve(scope: &Scope<'_>, written: &written::Reply) -> Result<Reply, DataError> {
    let body = if let Some(select) = &written.select {
        Body::Select(Arc::new(selection(scope, select)?))
    } else if let Some(cases) = &written.cases {
        Body::Cases(cases.iter().map(|c| case(scope, c)).collect::<Result<_, _>>()?)
    } else {
        Body::Text(written.text.as_ref().map(ArcStr::from).unwrap_or_default())
    };
    let headers = written.headers.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(Reply { status: written.status.unwrap_or(200), headers, body })
}

fn case(scope: &Scope<'_>, written: &written::Case) -> Result<(Condition, ArcStr), DataError> {
    let fields = || written.fields.iter().map(|(field, text)| (field.into(), Template::parse(text))).collect();
    let condition = match (&written.known, &written.unknown) {
        (Some(name), _) => Condition::Known { documents: scope.documents(name)?, fields: fields() },
        (None, Some(name)) => Condition::Unknown { documents: scope.documents(name)?, fields: fields() },
        (None, None) => Condition::Otherwise,
    };
    Ok((condition, written.text.as_str().into()))
}

fn selection(scope: &Scope<'_>, written: &written::Select) -> Result<Selection, DataError> {
    let join = |join: &written::Join| {
        Ok(Join {
            documents: scope.documents(&join.documents)?,
            left: join.left.as_str().into(),
            right: join.right.as_str().into(),
            order: join.order.as_ref().map(ArcStr::from),
        })
    };
    Ok(Selection {
        from: scope.documents(&written.from)?,
        keep: keep(scope, &written.keep, &written.from)?,
        joins: written.join.iter().map(join).collect::<Result<_, DataError>>()?,
        item: Template::parse(&written.item),
        body: Template::parse(&written.body),
    })
}

fn keep(scope: &Scope<'_>, written: &written::Keep, at: &written::Text) -> Result<Keep, DataError> {
    match (&written.nearest, &written.greatest, &written.least, &written.by) {
        (Some((lat, lon)), None, None, None) => {
            Ok(Keep::Nearest { at: (lat.into(), lon.into()), within_km: written.within_km, limit: written.limit.unwrap_or(usize::MAX) })
        }
        (None, Some(field), None, None) => Ok(Keep::Greatest(field.into())),
        (None, None, Some(field), None) => Ok(Keep::Least(field.into())),
        (None, None, None, Some(parameter)) => {
            let way = |(value, inner): (&String, &written::Keep)| Ok((ArcStr::from(value), keep(scope, inner, at)?));
            let ways = written.ways.iter().map(way).collect::<Result<_, DataError>>()?;
            Ok(Keep::By(parameter.as_ref().into(), ways))
        }
        _ => Err(scope.source.error(at.span(), "keep has exactly one of: nearest, greatest, least, by")),
    }
}
