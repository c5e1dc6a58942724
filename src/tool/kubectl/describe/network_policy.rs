//! Network policies.

use super::Scene;
use super::sheet::{Sheet, joined, or_none, shown};
use crate::object::{Json, Object};
use crate::time::SimTime;
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::table::selector_text;

/// Words of one direction.
struct Direction {
    kind: &'static str,
    rules: &'static str,
    verb: &'static str,
    peers: &'static str,
    title: &'static str,
    anyone: &'static str,
}

const DIRECTIONS: [Direction; 2] = [
    Direction { kind: "Ingress", rules: "ingress", verb: "ingress", peers: "from", title: "From", anyone: "source" },
    Direction { kind: "Egress", rules: "egress", verb: "egress", peers: "to", title: "To", anyone: "destination" },
];

/// A NetworkPolicy.
pub fn network_policy(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let spec = object.spec();
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    let created = object.meta().get("creationTimestamp").as_str().and_then(SimTime::parse_rfc3339).unwrap_or_default();
    sheet.field(0, "Created on", created.timestamp().strftime("%Y-%m-%d %H:%M:%S +0000 UTC"));
    sheet.metadata(object);
    sheet.line(0, "Spec:");
    sheet.part(1, "PodSelector: ");
    let selector = spec.get("podSelector");
    if selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty() {
        sheet.line(2, "<none> (Allowing the specific traffic to all pods in this namespace)");
    } else {
        sheet.line(2, selector_text(selector));
    }
    for direction in &DIRECTIONS {
        if spec.get("policyTypes").items().iter().any(|kind| kind.text() == direction.kind) {
            sheet.line(1, format_args!("Allowing {} traffic:", direction.verb));
            rules(spec.get(direction.rules), direction, sheet);
        } else {
            sheet.line(1, format_args!("Not affecting {} traffic", direction.verb));
        }
    }
    sheet.line(1, format_args!("Policy Types: {}", or_none(&joined(spec.get("policyTypes"), ", "))));
    Ok(())
}

fn rules(rules: &Json, direction: &Direction, sheet: &mut Sheet) {
    if rules.is_empty() {
        return sheet.line(2, format_args!("<none> (Selected pods are isolated for {} connectivity)", direction.verb));
    }
    for (at, rule) in rules.items().iter().enumerate() {
        if at > 0 {
            sheet.line(2, "----------");
        }
        if rule.get("ports").is_empty() {
            sheet.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in rule.get("ports").items() {
            let (number, protocol) = (shown(port.get("port"), "<nil>"), shown(port.get("protocol"), "TCP"));
            match port.get("endPort").as_i64() {
                Some(end) => sheet.line(2, format_args!("To Port Range: {number}-{end}/{protocol}")),
                None => sheet.line(2, format_args!("To Port: {number}/{protocol}")),
            }
        }
        if rule.get(direction.peers).is_empty() {
            sheet.line(2, format_args!("{}: <any> (traffic not restricted by {})", direction.title, direction.anyone));
        }
        for peer in rule.get(direction.peers).items() {
            sheet.line(2, format_args!("{}:", direction.title));
            peer_lines(peer, sheet);
        }
    }
}

fn peer_lines(peer: &Json, sheet: &mut Sheet) {
    let block = peer.get("ipBlock");
    let mut selectors = 0;
    for (title, field) in [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")] {
        if !peer.get(field).is_null() {
            sheet.line(3, format_args!("{title}: {}", selector_text(peer.get(field))));
            selectors += 1;
        }
    }
    if selectors == 0 && !block.is_null() {
        sheet.line(3, "IPBlock:");
        sheet.line(4, format_args!("CIDR: {}", block.get("cidr").text()));
        sheet.line(4, format_args!("Except: {}", joined(block.get("except"), ", ")));
    }
}
