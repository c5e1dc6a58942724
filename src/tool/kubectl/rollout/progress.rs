//! How far the rollout of a Deployment, DaemonSet or StatefulSet is: the lines of `kubectl rollout status`.

use crate::object::Object;

/// One line, and whether the rollout is done.
pub type Progress = Result<(String, bool), String>;

/// How far the rollout of `object` is. A `revision` other than 0 must be the one that is being rolled out.
///
/// # Errors
/// kubectl's text when the rollout failed or cannot be followed.
pub fn progress(object: &Object, revision: i64) -> Progress {
    match object.kind() {
        "Deployment" => deployment(object, revision),
        "DaemonSet" => daemon_set(object),
        _ => stateful_set(object),
    }
}

fn number(object: &Object, path: &[&str]) -> i64 {
    object.at(path).as_i64().unwrap_or(0)
}

fn deployment(object: &Object, revision: i64) -> Progress {
    let name = object.name();
    if revision > 0 {
        let text = object.annotation("deployment.kubernetes.io/revision").unwrap_or("0");
        let present = text
            .parse::<i64>()
            .map_err(|_| format!("cannot get the revision of deployment {name:?}: strconv.ParseInt: parsing {text:?}: invalid syntax"))?;
        if revision != present {
            return Err(format!("desired revision ({revision}) is different from the running revision ({present})"));
        }
    }
    if object.generation() > number(object, &["status", "observedGeneration"]) {
        return Ok(("Waiting for deployment spec update to be observed...".to_owned(), false));
    }
    if object.condition("Progressing").is_some_and(|c| c.get("reason").text() == "ProgressDeadlineExceeded") {
        return Err(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let status = |field: &str| number(object, &["status", field]);
    let (all, updated, available) = (status("replicas"), status("updatedReplicas"), status("availableReplicas"));
    let waiting = |what: String| Ok((format!("Waiting for deployment {name:?} rollout to finish: {what}..."), false));
    match object.at(&["spec", "replicas"]).as_i64() {
        Some(wanted) if updated < wanted => waiting(format!("{updated} out of {wanted} new replicas have been updated")),
        _ if all > updated => waiting(format!("{} old replicas are pending termination", all - updated)),
        _ if available < updated => waiting(format!("{available} of {updated} updated replicas are available")),
        _ => Ok((format!("deployment {name:?} successfully rolled out"), true)),
    }
}

/// Neither kind but Deployment can be followed with another strategy.
fn require_rolling(object: &Object) -> Result<(), String> {
    if object.at(&["spec", "updateStrategy", "type"]).text() == "RollingUpdate" {
        return Ok(());
    }
    Err("rollout status is only available for RollingUpdate strategy type".to_owned())
}

fn daemon_set(object: &Object) -> Progress {
    require_rolling(object)?;
    let name = object.name();
    if object.generation() > number(object, &["status", "observedGeneration"]) {
        return Ok(("Waiting for daemon set spec update to be observed...".to_owned(), false));
    }
    let status = |field: &str| number(object, &["status", field]);
    let (wanted, updated, available) = (status("desiredNumberScheduled"), status("updatedNumberScheduled"), status("numberAvailable"));
    let waiting = |what: String| Ok((format!("Waiting for daemon set {name:?} rollout to finish: {what}..."), false));
    if updated < wanted {
        waiting(format!("{updated} out of {wanted} new pods have been updated"))
    } else if available < wanted {
        waiting(format!("{available} of {wanted} updated pods are available"))
    } else {
        Ok((format!("daemon set {name:?} successfully rolled out"), true))
    }
}

fn stateful_set(object: &Object) -> Progress {
    require_rolling(object)?;
    let observed = number(object, &["status", "observedGeneration"]);
    if observed == 0 || object.generation() > observed {
        return Ok(("Waiting for statefulset spec update to be observed...".to_owned(), false));
    }
    let status = |field: &str| number(object, &["status", field]);
    let updated = status("updatedReplicas");
    let wanted = object.at(&["spec", "replicas"]).as_i64();
    if let Some(wanted) = wanted.filter(|wanted| status("readyReplicas") < *wanted) {
        return Ok((format!("Waiting for {} pods to be ready...", wanted - status("readyReplicas")), false));
    }
    let rolling = object.at(&["spec", "updateStrategy", "rollingUpdate"]);
    if !rolling.is_null() {
        let partition = rolling.get("partition").as_i64();
        if let (Some(wanted), Some(partition)) = (wanted, partition)
            && updated < wanted - partition
        {
            let part = wanted - partition;
            let line = format!("Waiting for partitioned roll out to finish: {updated} out of {part} new pods have been updated...");
            return Ok((line, false));
        }
        return Ok((format!("partitioned roll out complete: {updated} new pods have been updated..."), true));
    }
    let (update, current) = (object.at(&["status", "updateRevision"]).text(), object.at(&["status", "currentRevision"]).text());
    if update != current {
        let line = format!("waiting for statefulset rolling update to complete {updated} pods at revision {update}...");
        return Ok((line, false));
    }
    let line = format!("statefulset rolling update complete {} pods at revision {current}...", status("currentReplicas"));
    Ok((line, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Json;

    #[track_caller]
    fn check(text: &str, expect: Result<(&str, bool), &str>) {
        let object = Object(Json::parse(text).expect("valid"));
        let got = progress(&object, 0);
        let got = got.as_ref().map(|(line, done)| (line.as_str(), *done)).map_err(String::as_str);
        assert_eq!(got, expect);
    }

    #[test]
    fn follows_deployments() {
        let object = |status: &str| {
            format!(r#"{{"kind":"Deployment","metadata":{{"name":"web","generation":2}},"spec":{{"replicas":3}},"status":{status}}}"#)
        };
        check(&object(r#"{"observedGeneration":1}"#), Ok(("Waiting for deployment spec update to be observed...", false)));
        check(
            &object(r#"{"observedGeneration":2,"updatedReplicas":1,"replicas":4}"#),
            Ok(("Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...", false)),
        );
        check(
            &object(r#"{"observedGeneration":2,"updatedReplicas":3,"replicas":4}"#),
            Ok(("Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending termination...", false)),
        );
        check(
            &object(r#"{"observedGeneration":2,"updatedReplicas":3,"replicas":3,"availableReplicas":2}"#),
            Ok(("Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available...", false)),
        );
        check(
            &object(r#"{"observedGeneration":2,"updatedReplicas":3,"replicas":3,"availableReplicas":3}"#),
            Ok(("deployment \"web\" successfully rolled out", true)),
        );
        check(
            &object(r#"{"observedGeneration":2,"conditions":[{"type":"Progressing","reason":"ProgressDeadlineExceeded"}]}"#),
            Err("deployment \"web\" exceeded its progress deadline"),
        );
    }

    #[test]
    fn follows_the_others() {
        check(
            r#"{"kind":"DaemonSet","metadata":{"name":"d"},"spec":{"updateStrategy":{"type":"OnDelete"}}}"#,
            Err("rollout status is only available for RollingUpdate strategy type"),
        );
        check(
            r#"{"kind":"DaemonSet","metadata":{"name":"d"},"spec":{"updateStrategy":{"type":"RollingUpdate"}},
                "status":{"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":2}}"#,
            Ok(("Waiting for daemon set \"d\" rollout to finish: 2 of 3 updated pods are available...", false)),
        );
        check(
            r#"{"kind":"StatefulSet","metadata":{"name":"s","generation":1},"spec":{"replicas":2,"updateStrategy":{"type":"RollingUpdate",
                "rollingUpdate":{"partition":0}}},"status":{"observedGeneration":1,"readyReplicas":2,"updatedReplicas":2}}"#,
            Ok(("partitioned roll out complete: 2 new pods have been updated...", true)),
        );
    }
}
