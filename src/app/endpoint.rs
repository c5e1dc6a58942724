//! What users ask an application for: endpoints, and how the parameters of a request are drawn.

use super::template::Template;
use crate::rng::Stream;
use arcstr::ArcStr;

/// One kind of request that users make.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name, `GET /hotels`.
    pub name: ArcStr,
    /// Method.
    pub method: ArcStr,
    /// Path without query.
    pub path: ArcStr,
    /// Share of it in the application's own mix; weights need not sum to one.
    pub weight: f64,
    /// Query parameters in order; their values may name draws.
    pub query: Vec<(ArcStr, Template)>,
    /// Values that are drawn for each request, in order.
    pub draws: Vec<(ArcStr, Draw)>,
}

/// How a value of a request is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    /// A whole number between two bounds, both included, written with at least so many digits.
    Int {
        /// Lower bound; with `after`, what is added to that value instead.
        low: i64,
        /// Upper bound; with `after` and `relative`, what is added to that value instead.
        high: i64,
        /// An earlier whole number to which the lower bound is added.
        after: Option<ArcStr>,
        /// Whether the upper bound is added to it too.
        relative: bool,
        /// Digits, padded with zeros.
        width: usize,
    },
    /// A decimal number on a grid of `10^-places` between two bounds, both included.
    Decimal {
        /// Lower bound, in units of the grid.
        low: i64,
        /// Upper bound, in units of the grid.
        high: i64,
        /// Decimal places.
        places: u32,
    },
    /// One of several texts, by weight.
    Choice(Vec<(ArcStr, f64)>),
    /// An earlier value, written several times.
    Repeat {
        /// The earlier value.
        of: ArcStr,
        /// How often.
        times: usize,
    },
}

impl Endpoint {
    /// The path with query of one request.
    pub fn draw(&self, stream: &mut Stream) -> String {
        let mut values: Vec<(ArcStr, ArcStr)> = Vec::with_capacity(self.draws.len());
        for (name, draw) in &self.draws {
            let value = draw.value(stream, &values);
            values.push((name.clone(), value));
        }
        let value = |name: &str| values.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let mut path = self.path.to_string();
        for (at, (name, template)) in self.query.iter().enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            path.push_str(name);
            path.push('=');
            path.push_str(&template.fill(&value));
        }
        path
    }
}

impl Draw {
    fn value(&self, stream: &mut Stream, earlier: &[(ArcStr, ArcStr)]) -> ArcStr {
        let named = |name: &ArcStr| earlier.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        match self {
            Draw::Int { low, high, after, relative, width } => {
                let base = after.as_ref().and_then(|name| named(name).parse::<i64>().ok()).unwrap_or(0);
                let (low, high) = (low + base, if *relative { high + base } else { *high });
                format!("{:0width$}", within(stream, low, high)).into()
            }
            Draw::Decimal { low, high, places } => decimal(within(stream, *low, *high), *places).into(),
            Draw::Choice(choices) => choose(stream, choices),
            Draw::Repeat { of, times } => named(of).repeat(*times).into(),
        }
    }
}

fn within(stream: &mut Stream, low: i64, high: i64) -> i64 {
    let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
    low.saturating_add(i64::try_from(stream.below(width)).unwrap_or(0))
}

fn choose(stream: &mut Stream, choices: &[(ArcStr, f64)]) -> ArcStr {
    let mut left = stream.unit() * choices.iter().map(|(_, w)| w).sum::<f64>();
    for (text, weight) in choices {
        left -= weight;
        if left < 0.0 {
            return text.clone();
        }
    }
    choices.last().map(|(text, _)| text.clone()).unwrap_or_default()
}

/// `units / 10^places` without trailing zeros.
fn decimal(units: i64, places: u32) -> String {
    let scale = 10_i64.pow(places.min(18));
    let (whole, part) = (units / scale, (units % scale).unsigned_abs());
    let sign = if units < 0 && whole == 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{part:0width$}", width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Key;

    #[test]
    fn decimals_print_as_lua_prints_them() {
        let check = |units, places, expect: &str| assert_eq!(decimal(units, places), expect);
        check(37_783, 3, "37.783");
        check(-122_250, 3, "-122.25");
        check(-500, 3, "-0.5");
        check(38_000, 3, "38");
    }

    #[test]
    fn draws_stay_in_bounds_and_follow_earlier_ones() {
        let endpoint = Endpoint {
            name: "GET /x".into(),
            method: "GET".into(),
            path: "/x".into(),
            weight: 1.0,
            query: vec![
                ("in".into(), Template::parse("{from}")),
                ("out".into(), Template::parse("{to}")),
                ("u".into(), Template::parse("{twice}")),
            ],
            draws: vec![
                ("from".into(), Draw::Int { low: 9, high: 23, after: None, relative: false, width: 2 }),
                ("to".into(), Draw::Int { low: 1, high: 24, after: Some("from".into()), relative: false, width: 2 }),
                ("twice".into(), Draw::Repeat { of: "from".into(), times: 2 }),
            ],
        };
        for index in 0..200 {
            let path = endpoint.draw(&mut Key::new(1).number(index).stream());
            let (from, to) = (&path[6..8], &path[13..15]);
            assert!(from < to && ("09".."24").contains(&from) && to <= "24", "{path}");
            assert!(path.ends_with(&format!("&u={from}{from}")), "{path}");
        }
    }
}
