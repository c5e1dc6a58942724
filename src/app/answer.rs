//! What a handler answers: a text, or documents chosen by the request's parameters.
//!
//! A [`Selection`] is a short pipeline over the app's documents: start from a collection, keep the nearest or the best,
//! join others by key. It stands for what the services compute from the data they loaded.

use super::template::Template;
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// A text.
    Text(ArcStr),
    /// The first text whose condition holds.
    Cases(Vec<(Condition, ArcStr)>),
    /// Documents.
    Select(Arc<Selection>),
}

/// When a case of an answer applies.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Always.
    Otherwise,
    /// A document of the collection has these fields equal to what the templates make of the parameters.
    Known {
        /// The documents.
        documents: ArcStr,
        /// Field and template over the parameters.
        fields: Vec<(ArcStr, Template)>,
    },
    /// No such document.
    Unknown {
        /// The documents.
        documents: ArcStr,
        /// Field and template over the parameters.
        fields: Vec<(ArcStr, Template)>,
    },
}

/// Documents chosen by the request's parameters.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The collection it starts from.
    pub from: ArcStr,
    /// What is kept of it.
    pub keep: Keep,
    /// Collections that are joined, in order.
    pub joins: Vec<Join>,
    /// One document as text; places are paths of its fields.
    pub item: Template,
    /// The whole body; `{items}` stands for the documents, separated by commas.
    pub body: Template,
}

/// What is kept of the first collection.
#[derive(Clone, Debug)]
pub enum Keep {
    /// The documents (fields `lat`, `lon`) nearest to the point in two parameters.
    Nearest {
        /// Parameters with latitude and longitude.
        at: (ArcStr, ArcStr),
        /// Farthest distance in kilometres; `None` for any.
        within_km: Option<f64>,
        /// At most so many; with `ties` set, those equally near to the nearest.
        limit: usize,
    },
    /// By the value of a parameter, one of several ways.
    By(ArcStr, Vec<(ArcStr, Keep)>),
    /// Those with the greatest value of a field.
    Greatest(ArcStr),
    /// Those with the least value of a field.
    Least(ArcStr),
}

/// Joins another collection.
#[derive(Clone, Debug)]
pub struct Join {
    /// The collection.
    pub documents: ArcStr,
    /// The key in the documents so far.
    pub left: ArcStr,
    /// The key in the joined collection.
    pub right: ArcStr,
    /// Field of the joined documents by which they are ordered, greatest first.
    pub order: Option<ArcStr>,
}

/// The documents of an app, by collection.
pub type Documents = BTreeMap<ArcStr, Arc<Vec<Json>>>;

impl Body {
    /// The body for a request with these parameters.
    pub fn render(&self, documents: &Documents, parameter: &dyn Fn(&str) -> Option<String>) -> String {
        match self {
            Body::Text(text) => text.to_string(),
            Body::Cases(cases) => {
                let case = cases.iter().find(|(condition, _)| condition.holds(documents, parameter));
                case.map(|(_, text)| text.to_string()).unwrap_or_default()
            }
            Body::Select(selection) => selection.render(documents, parameter),
        }
    }
}

impl Condition {
    fn holds(&self, all: &Documents, parameter: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Condition::Otherwise => true,
            Condition::Known { documents, fields } => has(all, documents, fields, parameter),
            Condition::Unknown { documents, fields } => !has(all, documents, fields, parameter),
        }
    }
}

fn has(all: &Documents, name: &ArcStr, fields: &[(ArcStr, Template)], parameter: &dyn Fn(&str) -> Option<String>) -> bool {
    let value = |name: &str| match name.strip_prefix("sha256.") {
        Some(name) => parameter(name).map(|v| super::digest::sha256(v.as_bytes()).into()),
        None => parameter(name).map(ArcStr::from),
    };
    let wanted: Vec<_> = fields.iter().map(|(f, t)| (f, t.fill(&value))).collect();
    let fits = |doc: &Json| wanted.iter().all(|(field, value)| plain(doc.get(field)) == *value);
    all.get(name).is_some_and(|docs| docs.iter().any(fits))
}

impl Selection {
    fn render(&self, all: &Documents, parameter: &dyn Fn(&str) -> Option<String>) -> String {
        let none = Arc::new(Vec::new());
        let mut chosen: Vec<&Json> = self.keep.apply(all.get(&self.from).unwrap_or(&none), parameter);
        for join in &self.joins {
            let docs = all.get(&join.documents).unwrap_or(&none);
            let matches =
                |left: &Json| docs.iter().filter(move |right| plain(field(right, &join.right)) == plain(left)).collect::<Vec<_>>();
            chosen = chosen.iter().flat_map(|doc| matches(field(doc, &join.left))).collect();
            if let Some(order) = &join.order {
                chosen.sort_by(|a, b| number(field(b, order)).total_cmp(&number(field(a, order))));
            }
        }
        let items: Vec<_> = chosen.iter().map(|doc| self.item.fill(&|path| Some(plain(field(doc, path)).into()))).collect();
        self.body.fill(&|name| (name == "items").then(|| items.join(",").into()))
    }
}

impl Keep {
    fn apply<'a>(&self, docs: &'a [Json], parameter: &dyn Fn(&str) -> Option<String>) -> Vec<&'a Json> {
        match self {
            Keep::Nearest { at, within_km, limit } => {
                let coordinate = |name: &ArcStr| parameter(name).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
                let point = (coordinate(&at.0), coordinate(&at.1));
                let mut near: Vec<_> = docs.iter().map(|doc| (distance_km(point, doc), doc)).collect();
                near.retain(|(km, _)| within_km.is_none_or(|most| *km <= most));
                near.sort_by(|a, b| a.0.total_cmp(&b.0));
                near.into_iter().take(*limit).map(|(_, doc)| doc).collect()
            }
            Keep::By(name, ways) => {
                let value = parameter(name).unwrap_or_default();
                ways.iter().find(|(v, _)| *v == value).map(|(_, keep)| keep.apply(docs, parameter)).unwrap_or_default()
            }
            Keep::Greatest(name) => extreme(docs, name, 1.0),
            Keep::Least(name) => extreme(docs, name, -1.0),
        }
    }
}

fn extreme<'a>(docs: &'a [Json], name: &str, sign: f64) -> Vec<&'a Json> {
    let best = docs.iter().map(|d| sign * number(field(d, name))).fold(f64::NEG_INFINITY, f64::max);
    docs.iter().filter(|d| sign * number(field(d, name)) == best).collect()
}

/// Great-circle distance on a sphere of the earth's mean radius.
fn distance_km(from: (f64, f64), doc: &Json) -> f64 {
    let radians = |degrees: f64| degrees * std::f64::consts::PI / 180.0;
    let (lat1, lat2) = (radians(from.0), radians(number(field(doc, "lat"))));
    let (dlat, dlon) = (lat2 - lat1, radians(number(field(doc, "lon")) - from.1));
    let (s, t) = (libm::sin(dlat / 2.0), libm::sin(dlon / 2.0));
    let a = s * s + libm::cos(lat1) * libm::cos(lat2) * t * t;
    6371.0 * 2.0 * libm::atan2(libm::sqrt(a), libm::sqrt(1.0 - a))
}

fn field<'a>(doc: &'a Json, path: &str) -> &'a Json {
    path.split('.').fold(doc, |value, key| value.get(key))
}

fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// A value as it stands in a text.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_compact(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Documents {
        let parse = |text: &str| Arc::new(Json::parse(text).expect("valid").items().to_vec());
        BTreeMap::from([
            (
                "geo".into(),
                parse(r#"[{"id":"1","lat":37.78,"lon":-122.41},{"id":"2","lat":37.79,"lon":-122.41},{"id":"3","lat":39,"lon":-122}]"#),
            ),
            ("rates".into(), parse(r#"[{"hotel":"1","rate":100},{"hotel":"2","rate":120.5},{"hotel":"3","rate":120.5}]"#)),
        ])
    }

    #[test]
    fn a_selection_is_a_short_pipeline() {
        let mut selection = Selection {
            from: "geo".into(),
            keep: Keep::Nearest { at: ("lat".into(), "lon".into()), within_km: Some(10.0), limit: 5 },
            joins: vec![Join { documents: "rates".into(), left: "id".into(), right: "hotel".into(), order: Some("rate".into()) }],
            item: Template::parse(r#"{"id":"{hotel}","rate":{rate}}"#),
            body: Template::parse(r#"{"features":[{items}]}"#),
        };
        let at = |name: &str| Some(if name == "lat" { "37.78" } else { "-122.41" }.to_owned());
        assert_eq!(selection.render(&documents(), &at), r#"{"features":[{"id":"2","rate":120.5},{"id":"1","rate":100}]}"#);
        selection.from = "rates".into();
        selection.joins.clear();
        selection.keep = Keep::Greatest("rate".into());
        assert_eq!(selection.render(&documents(), &at), r#"{"features":[{"id":"2","rate":120.5},{"id":"3","rate":120.5}]}"#);
    }

    #[test]
    fn cases_are_tried_in_order() {
        let known = |yes: bool| {
            let (documents, fields) = ("rates".into(), vec![("hotel".into(), Template::parse("{user}"))]);
            if yes { Condition::Known { documents, fields } } else { Condition::Unknown { documents, fields } }
        };
        let body = Body::Cases(vec![(known(true), "yes".into()), (known(false), "no".into())]);
        assert_eq!(body.render(&documents(), &|_| Some("2".into())), "yes");
        assert_eq!(body.render(&documents(), &|_| Some("9".into())), "no");
    }
}
