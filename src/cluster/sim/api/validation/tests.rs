//! Refusals as a real 1.34 server words them (recorded), object by object.

use super::*;
use crate::cluster::sim::api::{defaults, strategy};
use crate::cluster::sim::store::Store;
use crate::object::Json;

/// The refusals of a new object, one a line, without those about its metadata.
fn refusals(kind: Kind, text: &str) -> Vec<String> {
    let object = prepared(kind, text);
    let resource = Store::default().resource(kind).clone();
    let mut errors = FieldErrors::default();
    meta::on_create(kind, &resource, &object, &mut errors);
    check(kind, &resource, &object, &mut errors);
    errors.lines()
}

fn prepared(kind: Kind, text: &str) -> Object {
    let resource = Store::default().resource(kind).clone();
    let mut object = Object(Json::parse(text).expect("json"));
    strategy::normalize(&resource, &mut object);
    defaults::apply(kind, &resource, &mut object);
    object
}

fn updates(kind: Kind, old: &str, new: &str) -> Vec<String> {
    let resource = Store::default().resource(kind).clone();
    let error = on_update(kind, &resource, (&prepared(kind, old), &prepared(kind, new))).err();
    error
        .map(|e| {
            e.details.get("causes").items().iter().map(|c| format!("{}: {}", c.get("field").text(), c.get("message").text())).collect()
        })
        .unwrap_or_default()
}

#[test]
fn a_bad_pod_is_refused_field_by_field() {
    let pod = r#"{"metadata":{"name":"Bad_","labels":{"x y":"1"}},"spec":{"restartPolicy":"Perhaps","nodeSelector":{"a b":"c"},"containers":[
        {"name":"c","image":"","env":[{"name":"A=B"},{"name":"X","valueFrom":{}}],"volumeMounts":[{"name":"v","mountPath":"/a"}],"livenessProbe":{"periodSeconds":-1},"ports":[{"containerPort":70000,"name":"UPPER"}]},
        {"name":"c","image":"x","resources":{"limits":{"cpu":"-1","foo":"1"},"requests":{"memory":"2Gi"}}}],
        "volumes":[{"name":"v","hostPath":{"path":""}},{"name":"v2","configMap":{},"secret":{}}]}}"#;
    let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let expect = [
        "metadata.name: Invalid value: \"Bad_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".to_owned(),
        format!("metadata.labels: Invalid value: \"x y\": {name}"),
        "spec.volumes[0].hostPath.path: Required value".to_owned(),
        "spec.volumes[1].secret.secretName: Required value".to_owned(),
        "spec.volumes[1].configMap: Forbidden: may not specify more than 1 volume type".to_owned(),
        "spec.containers[0].image: Required value".to_owned(),
        "spec.containers[0].ports[0].name: Invalid value: \"UPPER\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        "spec.containers[0].ports[0].name: Invalid value: \"UPPER\": must contain at least one letter (a-z)".to_owned(),
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive".to_owned(),
        "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned(),
        "spec.containers[0].env[1].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`".to_owned(),
        "spec.containers[0].volumeMounts[0].name: Not found: \"v\"".to_owned(),
        "spec.containers[1].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0".to_owned(),
        "spec.containers[1].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified".to_owned(),
        "spec.containers[1].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers".to_owned(),
        "spec.containers[1].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0".to_owned(),
        "spec.containers[1].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified".to_owned(),
        "spec.containers[1].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for containers".to_owned(),
        "spec.containers[1].name: Duplicate value: \"c\"".to_owned(),
        "spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"OnFailure\", \"Never\"".to_owned(),
        format!("spec.nodeSelector: Invalid value: \"a b\": {name}"),
    ];
    let mut expect = expect.to_vec();
    expect.insert(12, "spec.containers[0].livenessProbe: Required value: must specify a handler type".to_owned());
    expect.insert(13, "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0".to_owned());
    assert_eq!(refusals(Kind::POD, pod), expect);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn incomplete_objects_are_refused() {
    let cases: [(Kind, &str, &[&str]); 8] = [
        (
            Kind::DEPLOYMENT,
            r#"{"metadata":{"name":"x"},"spec":{}}"#,
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value",
            ],
        ),
        (
            Kind::STATEFUL_SET,
            r#"{"metadata":{"name":"x"},"spec":{"template":{"spec":{"restartPolicy":"Never"}}}}"#,
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value",
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ],
        ),
        (
            Kind::PVC,
            r#"{"metadata":{"name":"x"},"spec":{}}"#,
            &["spec.accessModes: Required value: at least 1 access mode is required", "spec.resources[storage]: Required value"],
        ),
        (
            Kind::PV,
            r#"{"metadata":{"name":"x"},"spec":{}}"#,
            &[
                "spec.accessModes: Required value",
                "spec.capacity: Required value",
                "spec.capacity: Unsupported value: null: supported values: \"storage\"",
                "spec: Required value: must specify a volume type",
            ],
        ),
        (
            Kind::CRON_JOB,
            r#"{"metadata":{"name":"x"},"spec":{"schedule":"x","jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"b"}]}}}}}}"#,
            &[
                "spec.schedule: Invalid value: \"x\": expected exactly 5 fields, found 1: [x]",
                "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ],
        ),
        (
            Kind::HPA,
            r#"{"metadata":{"name":"i"},"spec":{"minReplicas":3,"maxReplicas":2,"scaleTargetRef":{"kind":"Deployment"}}}"#,
            &[
                "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
                "spec.scaleTargetRef.name: Required value",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
            ],
        ),
        (
            Kind::PDB,
            r#"{"metadata":{"name":"i"},"spec":{"minAvailable":1,"maxUnavailable":1}}"#,
            &[
                "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":1,\"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set",
            ],
        ),
        (
            Kind::SERVICE,
            r#"{"metadata":{"name":"s"},"spec":{"ports":[{"port":80},{"port":80}]}}"#,
            &[
                "spec.ports[0].name: Required value",
                "spec.ports[1].name: Required value",
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
            ],
        ),
    ];
    for (kind, text, expect) in cases {
        assert_eq!(refusals(kind, text), expect, "{text}");
    }
}

#[test]
fn what_may_not_change_is_said() {
    let deployment = |label: &str, more: &str| {
        format!(
            r#"{{"metadata":{{"name":"d"}},"spec":{{"selector":{{"matchLabels":{{"a":"{label}"}}}},"template":{{"metadata":{{"labels":{{"a":"b"}}}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}{more}}}}}"#
        )
    };
    assert_eq!(
        updates(Kind::DEPLOYMENT, &deployment("b", ""), &deployment("c", "")),
        [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable",
        ]
    );
    assert_eq!(
        updates(
            Kind::DEPLOYMENT,
            &deployment("b", ""),
            &deployment("b", r#","strategy":{"type":"Fast","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}"#)
        ),
        [
            "spec.strategy: Unsupported value: {\"Type\":\"Fast\",\"RollingUpdate\":{\"MaxUnavailable\":\"25%\",\"MaxSurge\":\"25%\"}}: supported values: \"Recreate\", \"RollingUpdate\""
        ]
    );
    assert!(updates(Kind::DEPLOYMENT, &deployment("b", ""), &deployment("b", r#","replicas":3"#)).is_empty());
    let claim = |class: &str| {
        format!(
            r#"{{"metadata":{{"name":"v"}},"spec":{{"accessModes":["ReadWriteOnce"],"storageClassName":"{class}","resources":{{"requests":{{"storage":"1Gi"}}}}}}}}"#
        )
    };
    assert_eq!(
        updates(Kind::PVC, &claim("x"), &claim("y")),
        [
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ -10,7 +10,7 @@\n   }\n  },\n  \"VolumeName\": \"\",\n- \"StorageClassName\": \"x\",\n+ \"StorageClassName\": \"y\",\n  \"VolumeMode\": \"Filesystem\",\n  \"DataSource\": null,\n  \"DataSourceRef\": null,\n"
        ]
    );
    let pod = |image: &str, node: &str| {
        format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"nodeName":"{node}","containers":[{{"name":"c","image":"{image}"}}]}}}}"#)
    };
    assert!(updates(Kind::POD, &pod("a", "n"), &pod("b", "n")).is_empty());
    let refused = updates(Kind::POD, &pod("a", "n"), &pod("a", "m"));
    assert!(
        refused[0].starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"),
        "{refused:?}"
    );
    assert!(
        refused[0].ends_with(
            "- \"NodeName\": \"n\",\n+ \"NodeName\": \"m\",\n  \"SecurityContext\": {\n   \"HostNetwork\": false,\n   \"HostPID\": false,\n"
        ),
        "{refused:?}"
    );
}
