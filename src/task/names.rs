//! Names of components as agents write them, brought to one form.

/// Kinds that may stand before a name, with every abbreviation.
const KINDS: &[&str] = &[
    "service",
    "services",
    "svc",
    "deployment",
    "deployments",
    "deploy",
    "deployment.apps",
    "deployments.apps",
    "pod",
    "pods",
    "po",
    "statefulset",
    "statefulsets",
    "sts",
    "statefulset.apps",
    "replicaset",
    "replicasets",
    "rs",
    "replicaset.apps",
    "container",
    "endpoints",
    "daemonset",
    "ds",
    "microservice",
    "component",
];

/// The canonical name of a component: lower case, no kind before it (`svc/geo`, `deployment geo`), no domain, namespace or port
/// behind it (`geo.test-hotel-reservation.svc.cluster.local:8083`), no generated suffix of a pod or ReplicaSet.
pub fn canonical(text: &str, namespace: &str) -> String {
    let lower = text.trim().trim_matches(['"', '\'', '`']).trim().to_lowercase();
    let mut name = lower.as_str();
    for separator in ['/', ' ', ':'] {
        if let Some((kind, rest)) = name.split_once(separator)
            && KINDS.contains(&kind.trim())
        {
            name = rest.trim();
        }
    }
    for kind in [" service", " deployment", " pod", " container"] {
        name = name.strip_suffix(kind).unwrap_or(name);
    }
    if let Some((head, port)) = name.rsplit_once(':')
        && port.chars().all(|c| c.is_ascii_digit())
    {
        name = head;
    }
    if let Some((before, after)) = name.split_once('/')
        && before == namespace
    {
        name = after;
    }
    let name = match name.split_once('.') {
        Some((head, domain)) if domain == namespace || domain.starts_with(&format!("{namespace}.")) || domain.starts_with("svc") => head,
        _ => name,
    };
    without_suffix(name).to_owned()
}

/// Removes what a ReplicaSet (`-5f6d8b9c7d`) and its pods (`-5f6d8b9c7d-x2k4p`) have behind the Deployment's name.
fn without_suffix(name: &str) -> &str {
    let generated = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len())
            && part.chars().all(|c| c.is_ascii_digit() || (c.is_ascii_lowercase() && !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')))
            && part.chars().any(|c| c.is_ascii_digit())
    };
    // Pods' suffixes may lack digits; the hash before them tells.
    let pod = |part: &str| part.len() == 5 && part.chars().all(|c| c.is_ascii_alphanumeric() && !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u'));
    if let Some((head, last)) = name.rsplit_once('-') {
        if pod(last)
            && let Some((service, hash)) = head.rsplit_once('-')
            && generated(hash, 6..=10)
        {
            return service;
        }
        if generated(last, 8..=10) {
            return head;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_dress() {
        for text in [
            "geo",
            " Geo ",
            "svc/geo",
            "service/geo",
            "Deployment/geo",
            "deployment.apps/geo",
            "deployment: geo",
            "geo service",
            "pod/geo-5f6d8b9c7d-x2k4p",
            "geo-84fbc958c7-jlzzp",
            "geo-84fbc958c7",
            "geo.test-hotel-reservation",
            "geo.test-hotel-reservation.svc.cluster.local:8083",
            "geo.svc",
            "geo:8083",
            "test-hotel-reservation/geo",
            "'geo'",
        ] {
            assert_eq!(canonical(text, "test-hotel-reservation"), "geo", "{text}");
        }
        for text in ["mongodb-geo", "memcached-reserve", "user-service", "post-storage-service", "wrk2-job"] {
            assert_eq!(canonical(text, "x"), text, "{text}");
        }
        assert_eq!(canonical("", "x"), "");
    }
}
