//! Label selectors: the text form (`app=geo,tier in (a, b),!x`) and the object form (`matchLabels`, `matchExpressions`).

use super::{Json, names};
use std::collections::BTreeSet;
use std::fmt;

/// How a requirement relates a label to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own operators")]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label.
    pub key: String,
    /// Relation.
    pub operator: Operator,
    /// Values, sorted.
    pub values: Vec<String>,
}

/// A label selector: every requirement must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Selects nothing (an absent object form).
    Nothing,
    /// Selects what meets all of these; everything when there are none.
    All(Vec<Requirement>),
}

impl Requirement {
    /// Whether it holds for a map of labels.
    pub fn matches(&self, labels: &Json) -> bool {
        let value = labels.get(&self.key).as_str();
        let has = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(has),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(has),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let bound = self.values.first().and_then(|v| v.parse::<i64>().ok());
                let (Some(value), Some(bound)) = (value.and_then(|v| v.parse::<i64>().ok()), bound) else { return false };
                if self.operator == Operator::GreaterThan { value > bound } else { value < bound }
            }
        }
    }

    /// Checks key and values, in the words of the server. `path` is where the requirement stands.
    fn check(self) -> Result<Requirement, String> {
        let mut errors = Vec::new();
        let complaints = names::qualified_name(&self.key);
        if !complaints.is_empty() {
            errors.push(format!("key: Invalid value: {:?}: {}", self.key, complaints.join("; ")));
        }
        if matches!(self.operator, Operator::In | Operator::NotIn) && self.values.is_empty() {
            errors.push("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".to_owned());
        }
        for (at, value) in self.values.iter().enumerate() {
            if matches!(self.operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                errors.push(format!("values[{at}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"));
            }
            let complaints = names::label_value(value);
            if !complaints.is_empty() {
                errors.push(format!("values[{at}][{}]: Invalid value: {value:?}: {}", self.key, complaints.join("; ")));
            }
        }
        match errors.len() {
            0 => Ok(self),
            1 => Err(errors.concat()),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selector::All(requirements) = self else { return Ok(()) };
        for (at, requirement) in requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Selector {
        Selector::All(Vec::new())
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// With the words of the server.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut parser = Parser { tokens: scan(text), at: 0 };
        let mut requirements = parser.requirements()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Selector::All(requirements))
    }

    /// Reads the object form (`LabelSelector`); an absent one selects nothing, an empty one everything.
    ///
    /// # Errors
    /// With the words of the server.
    pub fn from_object(selector: &Json) -> Result<Selector, String> {
        if selector.is_null() {
            return Ok(Selector::Nothing);
        }
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").entries() {
            requirements
                .push(Requirement { key: key.to_string(), operator: Operator::Equals, values: vec![value.text().to_owned()] }.check()?);
        }
        for expression in selector.get("matchExpressions").items() {
            let operator = match expression.get("operator").text() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let values: BTreeSet<_> = expression.get("values").items().iter().map(|v| v.text().to_owned()).collect();
            let key = expression.get("key").text().to_owned();
            requirements.push(Requirement { key, operator, values: values.into_iter().collect() }.check()?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Selector::All(requirements))
    }

    /// The selector that a map of labels stands for (`spec.selector` of a Service); an absent map selects nothing.
    pub fn from_map(labels: &Json) -> Selector {
        if labels.is_null() {
            return Selector::Nothing;
        }
        let equals = |(key, value): (&arcstr::ArcStr, &Json)| Requirement {
            key: key.to_string(),
            operator: Operator::Equals,
            values: vec![value.text().to_owned()],
        };
        Selector::All(labels.entries().map(equals).collect())
    }

    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &Json) -> bool {
        match self {
            Selector::Nothing => false,
            Selector::All(requirements) => requirements.iter().all(|r| r.matches(labels)),
        }
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        matches!(self, Selector::All(requirements) if requirements.is_empty())
    }
}

/// Whether the object form `selector` selects `labels`, without building a [`Selector`]; what cannot be read selects nothing.
pub fn object_matches(selector: &Json, labels: &Json) -> bool {
    let Some(map) = selector.as_map() else { return false };
    let equal = map.get("matchLabels").is_none_or(|m| m.entries().all(|(k, v)| labels.get(k).as_str() == v.as_str()));
    equal
        && selector.get("matchExpressions").items().iter().all(|expression| {
            let value = labels.get(expression.get("key").text()).as_str();
            let listed = || value.is_some_and(|v| expression.get("values").items().iter().any(|x| x.text() == v));
            match expression.get("operator").text() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    End,
    Word(String),
    Symbol(&'static str),
    Unknown(String),
}

impl Token {
    fn literal(&self) -> String {
        match self {
            Token::End => String::new(),
            Token::Word(word) => word.clone(),
            Token::Symbol(symbol) => (*symbol).to_owned(),
            Token::Unknown(text) => format!("error expected: keyword found '{text}'"),
        }
    }
}

/// Symbols, longer ones first.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn scan(text: &str) -> Vec<Token> {
    let special = |c: char| "=!(),><".contains(c);
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        let length = if rest.starts_with(special) {
            let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s));
            tokens.push(symbol.map_or_else(|| Token::Unknown(rest.to_owned()), |s| Token::Symbol(s)));
            symbol.map_or(rest.len(), |s| s.len())
        } else {
            let length = rest.find(|c: char| special(c) || blank(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        };
        rest = rest[length..].trim_start_matches(blank);
    }
    tokens.push(Token::End);
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn look(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn take(&mut self) -> Token {
        let token = self.look().clone();
        self.at += 1;
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.look() {
                Token::Word(_) | Token::Symbol("!") => {
                    let requirement = self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
                    requirements.push(requirement);
                }
                Token::End => return Ok(requirements),
                other => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.literal())),
            }
            match self.take() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => {
                    if !matches!(self.look(), Token::Word(_) | Token::Symbol("!")) {
                        return Err(format!("found '{}', expected: identifier after ','", self.look().literal()));
                    }
                }
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.literal())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.take();
        let negated = token == Token::Symbol("!");
        if negated {
            token = self.take();
        }
        let Token::Word(key) = token else { return Err(format!("found '{}', expected: identifier", token.literal())) };
        let complaints = names::qualified_name(&key);
        if !complaints.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", complaints.join("; ")));
        }
        if negated {
            return Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() }.check();
        }
        if matches!(self.look(), Token::End | Token::Symbol(",")) {
            return Requirement { key, operator: Operator::Exists, values: Vec::new() }.check();
        }
        let token = self.take();
        let operator = match &token {
            Token::Symbol("=" | "==") => Operator::Equals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            Token::Word(word) if word == "in" => Operator::In,
            Token::Word(word) if word == "notin" => Operator::NotIn,
            other => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.literal())),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => self.value()?,
        };
        Requirement { key, operator, values: values.into_iter().collect() }.check()
    }

    fn value(&mut self) -> Result<BTreeSet<String>, String> {
        if matches!(self.look(), Token::End | Token::Symbol(",")) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.take() {
            Token::Word(word) => Ok(BTreeSet::from([word])),
            other => Err(format!("found '{}', expected: identifier", other.literal())),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let open = self.take();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.literal()));
        }
        let mut values = BTreeSet::new();
        let mut expecting = true;
        loop {
            match self.take() {
                Token::Symbol(")") => {
                    if expecting {
                        values.insert(String::new());
                    }
                    return Ok(values);
                }
                Token::Symbol(",") => {
                    if expecting {
                        values.insert(String::new());
                    }
                    expecting = true;
                }
                Token::Word(word) if expecting => {
                    values.insert(word);
                    expecting = false;
                }
                other if expecting => return Err(format!("found '{}', expected: ',', or identifier", other.literal())),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.literal())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    #[test]
    fn texts_select() {
        let labels = object! { "app" => "geo", "tier" => "2", "empty" => "" };
        let cases = [
            ("", true),
            ("app=geo", true),
            ("app==geo", true),
            ("app = geo", true),
            ("app!=geo", false),
            ("app in (geo, rate)", true),
            ("app notin (geo,rate)", false),
            ("x notin (y)", true),
            ("app", true),
            ("!app", false),
            ("!x,app=geo", true),
            ("tier>1", true),
            ("tier<1", false),
            ("empty=", true),
            ("empty in ()", true),
            ("x!=y", true),
            ("app in (in,geo)", true),
        ];
        for (text, expect) in cases {
            assert_eq!(Selector::parse(text).expect(text).matches(&labels), expect, "{text}");
        }
    }

    #[test]
    fn bad_texts_are_refused_in_the_servers_words() {
        let cases = [
            ("app=geo,", "found '', expected: identifier after ','"),
            ("app geo", "unable to parse requirement: found 'geo', expected: in, notin, =, ==, !=, gt, lt"),
            ("app in geo", "unable to parse requirement: found 'geo' expected: '('"),
            ("=geo", "found '=', expected: !, identifier, or 'end of string'"),
            ("app=geo=x", "found '=', expected: ',' or 'end of string'"),
            (
                "app>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ];
        for (text, expect) in cases {
            assert_eq!(Selector::parse(text).expect_err(text), expect, "{text}");
        }
        let error = Selector::parse("-app=x").expect_err("bad key");
        assert!(error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-app\": name part must consist of"), "{error}");
        let error = Selector::parse("app=x/y").expect_err("bad value");
        assert!(error.starts_with("unable to parse requirement: values[0][app]: Invalid value: \"x/y\": a valid label must be"), "{error}");
    }

    #[test]
    fn objects_select() {
        let labels = object! { "app" => "geo" };
        let selector = object! {
            "matchLabels" => object! { "app" => "geo" },
            "matchExpressions" => array![object! { "key" => "x", "operator" => "DoesNotExist" }],
        };
        assert!(Selector::from_object(&selector).expect("valid").matches(&labels) && object_matches(&selector, &labels));
        assert!(!Selector::from_object(&Json::Null).expect("valid").matches(&labels));
        assert!(Selector::from_object(&object! {}).expect("valid").is_everything());
        assert_eq!(Selector::from_object(&selector).expect("valid").to_string(), "app=geo,!x");
        assert!(Selector::from_map(&object! { "app" => "geo" }).matches(&labels));
    }
}
