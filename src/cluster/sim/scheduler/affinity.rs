//! Node selectors, node affinity, taints and tolerations.

use crate::cluster::sim::controllers::selector::{holds, is_subset};
use crate::object::{Json, Object};

/// Whether a node fits a pod's `nodeSelector` and required node affinity.
pub fn node_fits(pod: &Object, node: &Object) -> bool {
    let spec = pod.spec();
    if !is_subset(spec.get("nodeSelector"), node.meta().get("labels")) {
        return false;
    }
    let required = spec.at(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    required.is_null() || selects(required, node)
}

/// Whether a NodeSelector (terms joined by or) selects a node.
pub fn selects(selector: &Json, node: &Object) -> bool {
    selector.get("nodeSelectorTerms").items().iter().any(|term| term_holds(term, node))
}

fn term_holds(term: &Json, node: &Object) -> bool {
    let (expressions, fields) = (term.get("matchExpressions").items(), term.get("matchFields").items());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let names = crate::object! { "metadata.name" => node.name() };
    expressions.iter().all(|r| holds(r, node.meta().get("labels"))) && fields.iter().all(|r| holds(r, &names))
}

/// The sum of the weights of preferred terms that a node fits.
pub fn preference(pod: &Object, node: &Object) -> i64 {
    let preferred = pod.spec().at(&["affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"]);
    let fits = preferred.items().iter().filter(|term| term_holds(term.get("preference"), node));
    fits.filter_map(|term| term.get("weight").as_i64()).sum()
}

/// Whether a toleration tolerates a taint.
pub fn tolerates(toleration: &Json, taint: &Json) -> bool {
    let effect = toleration.get("effect").text();
    if !effect.is_empty() && effect != taint.get("effect").text() {
        return false;
    }
    let key = toleration.get("key").text();
    if !key.is_empty() && key != taint.get("key").text() {
        return false;
    }
    match toleration.get("operator").text() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && toleration.get("value").text() == taint.get("value").text(),
        _ => false,
    }
}

/// The taints of a node with one of these effects that a pod does not tolerate.
pub fn untolerated<'a>(pod: &'a Object, node: &'a Object, effects: &'a [&str]) -> impl Iterator<Item = &'a Json> {
    let tolerations = pod.spec().get("tolerations").items();
    let taints = node.spec().get("taints").items().iter().filter(|t| effects.contains(&t.get("effect").text()));
    taints.filter(move |taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_tolerate() {
        let check = |toleration: &str, taint: &str, expect: bool| {
            let (toleration, taint) = (Json::parse(toleration).expect("json"), Json::parse(taint).expect("json"));
            assert_eq!(tolerates(&toleration, &taint), expect, "{toleration:?} {taint:?}");
        };
        let taint = r#"{"key":"a","value":"1","effect":"NoSchedule"}"#;
        check(r#"{"operator":"Exists"}"#, taint, true);
        check(r#"{"key":"a","value":"1"}"#, taint, true);
        check(r#"{"key":"a","value":"2"}"#, taint, false);
        check(r#"{"key":"a","operator":"Exists","effect":"NoExecute"}"#, taint, false);
        check(r#"{"key":"a","operator":"Exists","effect":"NoSchedule"}"#, taint, true);
    }
}
