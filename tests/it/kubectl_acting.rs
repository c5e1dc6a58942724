//! The verbs of kubectl that change things, as transcripts: `$ COMMAND`, its output, `2| ` before lines of standard error and
//! `[exit N]` after a failure. What they print was recorded from kubectl 1.34.4 against a real cluster.

use crate::cluster_fixture::Fixture;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::{ApiRequest, Cluster, Identity};
use aiopslab::object::resource::builtin_kind;
use aiopslab::object::{Json, Object};
use aiopslab::tool::kubectl::{self, Context, Files};
use aiopslab::{array, object};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
    fn list(&mut self, path: &str) -> Option<Vec<String>> {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let found: Vec<String> = self.0.keys().filter(|file| file.starts_with(&folder)).cloned().collect();
        if found.is_empty() { None } else { Some(found) }
    }
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.0.insert(path.to_owned(), content.to_vec());
        Ok(())
    }
}

/// A terminal on a cluster.
struct Terminal {
    cluster: SimCluster,
    files: Memory,
}

const NAMESPACE: &str = "shop";

impl Terminal {
    fn new() -> Self {
        let mut terminal = Terminal { cluster: SimCluster::new(Fixture::new(1).world), files: Memory::default() };
        terminal.put(object! { "apiVersion" => "v1", "kind" => "Namespace", "metadata" => object! { "name" => NAMESPACE } });
        terminal.pass(1);
        terminal
    }

    /// Creates an object through the API server.
    fn put(&mut self, object: Json) {
        let object = Object(object);
        let resource = builtin_kind(object.api_version(), object.kind()).expect("a built-in kind");
        let namespace = if resource.namespaced { Some(NAMESPACE) } else { None };
        self.cluster.api(&Identity::operator(), &ApiRequest::create(resource, namespace, object.0)).expect("created");
    }

    /// Lets seconds pass.
    fn pass(&mut self, seconds: u64) {
        let until = self.cluster.now() + Duration::from_secs(seconds);
        self.cluster.wait(until, &[]);
    }

    fn file(&mut self, path: &str, content: &str) {
        self.files.0.insert(path.to_owned(), content.as_bytes().to_vec());
    }

    fn run(&mut self, line: &str) -> String {
        let (line, stdin) = line.split_once(" <<< ").unwrap_or((line, ""));
        let stdin = stdin.replace("\\n", "\n");
        let words = words(line);
        let started = self.cluster.now() + Duration::from_millis(60);
        self.cluster.wait(started, &[]);
        let deadline = self.cluster.now() + Duration::from_secs(30);
        let mut cx = Context {
            cluster: &mut self.cluster,
            who: &Identity::operator(),
            namespace: NAMESPACE,
            kubeconfig: "/root/.kube/config",
            files: &mut self.files,
            stdin: stdin.as_bytes(),
            deadline,
        };
        let output = kubectl::run(&mut cx, &words[1..]);
        let mut text = output.stdout;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for line in output.stderr.lines() {
            text.push_str(&format!("2| {line}\n"));
        }
        if output.exit_code != 0 {
            text.push_str(&format!("[exit {}]\n", output.exit_code));
        }
        text
    }

    /// Runs the commands of a transcript and compares what they print.
    #[track_caller]
    fn check(&mut self, transcript: &str) {
        let mut got = String::new();
        for line in transcript.lines().filter_map(|line| line.strip_prefix("$ ")) {
            got.push_str(&format!("$ {line}\n{}", self.run(line)));
        }
        let (want, got): (Vec<&str>, Vec<&str>) = (transcript.trim().lines().collect(), got.trim().lines().collect());
        if let Some(at) = (0..want.len().max(got.len())).find(|at| want.get(*at) != got.get(*at)) {
            let from = got[..at.min(got.len())].iter().rposition(|line| line.starts_with("$ ")).unwrap_or(0);
            let shown = |lines: &[&str]| lines.iter().skip(from).take(at + 12 - from).copied().collect::<Vec<_>>().join("\n");
            panic!("differs at line {}\n--- wanted\n{}\n--- got\n{}\n", at + 1, shown(&want), shown(&got));
        }
    }
}

/// Splits a line as a shell would: quotes group, nothing expands.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, open) = (Some(c), true),
            (None, ' ') if !open && word.is_empty() => {}
            (None, ' ') => {
                words.push(std::mem::take(&mut word));
                open = false;
            }
            (None, c) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

fn deployment(name: &str) -> Json {
    let labels = || object! { "app" => name };
    object! {
        "apiVersion" => "apps/v1", "kind" => "Deployment", "metadata" => object! { "name" => name, "labels" => labels() },
        "spec" => object! {
            "replicas" => 2, "selector" => object! { "matchLabels" => labels() },
            "template" => object! {
                "metadata" => object! { "labels" => labels() },
                "spec" => object! { "containers" => array![object! { "name" => name, "image" => "img/app:1" }] },
            },
        },
    }
}

#[test]
fn patches() {
    let mut terminal = Terminal::new();
    terminal.put(deployment("web"));
    terminal.check(
        r#"
$ kubectl patch deploy web -p '{"spec":{"replicas":2}}'
deployment.apps/web patched (no change)
$ kubectl patch deploy web -p '{"spec":{"replicas":3}}'
deployment.apps/web patched
$ kubectl patch deploy web --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
2| The request is invalid: the server rejected our request due to an error in our request
[exit 1]
$ kubectl patch deploy web --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/5/image","value":"x"}]'
2| The request is invalid: the server rejected our request due to an error in our request
[exit 1]
$ kubectl patch deploy web --type=json -p '{"a":1}'
2| Error from server (BadRequest): error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp
[exit 1]
$ kubectl patch deploy web --type=json -p 'nope'
2| Error from server (BadRequest): error decoding patch: json: cannot unmarshal string into Go value of type []handlers.jsonPatchOp
[exit 1]
$ kubectl patch deploy web -p 'nope'
2| Error from server (BadRequest): json: cannot unmarshal string into Go value of type map[string]interface {}
[exit 1]
$ kubectl patch deploy web -p '{"spec":'
2| Error from server (BadRequest): unexpected end of JSON input
[exit 1]
$ kubectl patch deploy web
2| error: must specify --patch or --patch-file containing the contents of the patch
[exit 1]
$ kubectl patch deploy web --type=foo -p '{}'
2| error: --type must be one of [json merge strategic], not "foo"
[exit 1]
$ kubectl patch -p '{}'
2| error: You must provide one or more resources by argument or filename.
2| Example resource specifications include:
2|    '-f rsrc.yaml'
2|    '--filename=rsrc.json'
2|    '<resource> <name>'
2|    '<resource>'
[exit 1]
$ kubectl patch deploy nope -p '{}'
2| Error from server (NotFound): deployments.apps "nope" not found
[exit 1]
$ kubectl patch deploy web -p '{"spec":{"replicas":"x"}}'
2| The request is invalid: patch: Invalid value: "map[spec:map[replicas:x]]": unrecognized type: int32
[exit 1]
$ kubectl patch deploy web -p '{"spec":{"foo":1}}'
deployment.apps/web patched (no change)
2| Warning: unknown field "spec.foo"
$ kubectl patch deploy web --patch-file /nope
2| error: unable to read patch file: open /nope: no such file or directory
[exit 1]
$ kubectl patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'
scale.autoscaling/web patched
$ kubectl patch deploy web --subresource=foo --type=merge -p '{"spec":{"replicas":1}}'
2| Error from server (NotFound): the server could not find the requested resource
[exit 1]
$ kubectl patch deploy web -p '{"metadata":{"labels":{"q":"r"}}}' --dry-run=client
deployment.apps/web patched
$ kubectl patch deploy web -p '{"metadata":{"labels":{"q":"r"}}}' --dry-run=server -o name
deployment.apps/web
$ kubectl patch deploy web web2 -p '{"metadata":{"labels":{"q":"r"}}}'
deployment.apps/web patched
2| Error from server (NotFound): deployments.apps "web2" not found
[exit 1]
$ kubectl patch foo web -p '{}'
2| error: the server doesn't have a resource type "foo"
[exit 1]
$ kubectl patch pod -l app=web -p '{}'
2| error: unknown shorthand flag: 'l' in -l
2| See 'kubectl patch --help' for usage.
[exit 1]
"#,
    );
}

const NO_RESOURCE: &str = "2| error: You must provide one or more resources by argument or filename.
2| Example resource specifications include:
2|    '-f rsrc.yaml'
2|    '--filename=rsrc.json'
2|    '<resource> <name>'
2|    '<resource>'
[exit 1]";

#[test]
fn labels_and_annotates() {
    let mut terminal = Terminal::new();
    terminal.put(deployment("web"));
    terminal.check(
        r#"
$ kubectl label deploy web a=b
deployment.apps/web labeled
$ kubectl label deploy web a=b
deployment.apps/web not labeled
$ kubectl label deploy web a=c
2| error: 'a' already has a value (b), and --overwrite is false
[exit 1]
$ kubectl label deploy web a-
deployment.apps/web unlabeled
$ kubectl label deploy web zz-
label "zz" not found.
deployment.apps/web not labeled
$ kubectl label deploy web a=b c=d
deployment.apps/web labeled
$ kubectl label deploy web --overwrite a=c
deployment.apps/web labeled
$ kubectl label deploy web --overwrite c-
deployment.apps/web labeled
$ kubectl label deploy web --list
a=c
app=web
$ kubectl label deploy web
2| error: at least one label update is required
[exit 1]
$ kubectl label deploy web a
2| error: at least one label update is required
[exit 1]
$ kubectl label deploy nope a=b
2| Error from server (NotFound): deployments.apps "nope" not found
[exit 1]
$ kubectl annotate deploy web a=b
deployment.apps/web annotated
$ kubectl annotate deploy web a=c
2| error: --overwrite is false but found the following declared annotation(s): 'a' already has a value (b)
[exit 1]
$ kubectl annotate deploy web a-
deployment.apps/web annotated
$ kubectl annotate deploy web a-
deployment.apps/web annotated
$ kubectl annotate deploy/web x=1 y=2 --overwrite
deployment.apps/web annotated
$ kubectl annotate deploy web --list
deployment.kubernetes.io/revision=1
x=1
y=2
$ kubectl label deploy --all x=y --dry-run=client
deployment.apps/web labeled (dry run)
$ kubectl label ns,deploy --all --list
Listing labels for Namespace./app:
 kubernetes.io/metadata.name=app
Listing labels for Namespace./default:
 kubernetes.io/metadata.name=default
Listing labels for Namespace./kube-system:
 kubernetes.io/metadata.name=kube-system
Listing labels for Namespace./shop:
 kubernetes.io/metadata.name=shop
Listing labels for Deployment.apps/web:
 a=c
 app=web
"#,
    );
}

#[test]
fn scales() {
    let mut terminal = Terminal::new();
    terminal.put(deployment("web"));
    let transcript = r#"
$ kubectl scale deploy web --replicas=2
deployment.apps/web scaled
$ kubectl scale deploy/web deploy/nope --replicas=2
deployment.apps/web scaled
2| Error from server (NotFound): deployments.apps "nope" not found
[exit 1]
$ kubectl scale deploy web
2| error: required flag(s) "replicas" not set
[exit 1]
$ kubectl scale deploy web --replicas=-1
2| error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0
[exit 1]
$ kubectl scale deploy web --replicas=2 --current-replicas=5
2| error: Expected replicas to be 5, was 2
[exit 1]
$ kubectl scale deploy web --replicas=3 --current-replicas=2
deployment.apps/web scaled
$ kubectl scale --replicas=1
NO_RESOURCE
$ kubectl scale deploy --replicas=1
2| error: resource(s) were provided, but no name was specified
[exit 1]
$ kubectl scale deploy --all --replicas=1
deployment.apps/web scaled
$ kubectl scale deploy -l app=zzz --replicas=1
2| error: no objects passed to scale
[exit 1]
$ kubectl scale pod web --replicas=1
2| error: no objects passed to scale pods "web" not found
[exit 1]
$ kubectl scale deploy web --replicas=2 --dry-run=client
deployment.apps/web scaled (dry run)
$ kubectl scale deploy nope --replicas=3
2| error: no objects passed to scale deployments.apps "nope" not found
[exit 1]
$ kubectl scale deploy web web2 --replicas=2
deployment.apps/web scaled
2| Error from server (NotFound): deployments.apps "web2" not found
[exit 1]
$ kubectl scale ns default --replicas=2
2| Error from server (NotFound): the server could not find the requested resource
[exit 1]
"#;
    terminal.check(&transcript.replace("NO_RESOURCE", NO_RESOURCE));
}

#[test]
fn deletes() {
    let mut terminal = Terminal::new();
    terminal.put(deployment("web"));
    terminal.put(object! { "apiVersion" => "v1", "kind" => "ConfigMap", "metadata" => object! { "name" => "conf" } });
    let transcript = r#"
$ kubectl delete pod
2| error: resource(s) were provided, but no name was specified
[exit 1]
$ kubectl delete
NO_RESOURCE
$ kubectl delete pods,svc
2| error: resource(s) were provided, but no name was specified
[exit 1]
$ kubectl delete foo bar
2| error: the server doesn't have a resource type "foo"
[exit 1]
$ kubectl delete hpa web
2| Error from server (NotFound): horizontalpodautoscalers.autoscaling "web" not found
[exit 1]
$ kubectl delete hpa web --ignore-not-found
$ kubectl delete cm --all
configmap "conf" deleted from shop namespace
configmap "kube-root-ca.crt" deleted from shop namespace
$ kubectl delete cm -l app=nope
No resources found
$ kubectl delete deploy web --dry-run=client
deployment.apps "web" deleted from shop namespace (dry run)
$ kubectl delete deploy web --dry-run=server
deployment.apps "web" deleted from shop namespace (server dry run)
$ kubectl delete deploy/web svc/web
deployment.apps "web" deleted from shop namespace
2| Error from server (NotFound): services "web" not found
[exit 1]
$ kubectl delete rs -l app=nope -o name
No resources found
$ kubectl delete deploy web --cascade=foo
2| error: invalid cascade value (foo). Must be "background", "foreground", or "orphan"
[exit 1]
$ kubectl delete deploy web --now --grace-period=3
2| error: --now and --grace-period cannot be specified together
[exit 1]
$ kubectl delete pod x --force --grace-period=2
2| error: --force and --grace-period greater than 0 cannot be specified together
[exit 1]
$ kubectl delete pod x --force --grace-period=0
2| Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.
2| Error from server (NotFound): pods "x" not found
[exit 1]
$ kubectl delete node/node-9 -n shop
2| Warning: deleting cluster-scoped resources, not scoped to the provided namespace
2| Error from server (NotFound): nodes "node-9" not found
[exit 1]
$ kubectl delete node/node-9
2| Error from server (NotFound): nodes "node-9" not found
[exit 1]
"#;
    terminal.check(&transcript.replace("NO_RESOURCE", NO_RESOURCE));
}

#[test]
fn creates() {
    let mut terminal = Terminal::new();
    terminal.file(
        "/tmp/two.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y1\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y1\n",
    );
    terminal.file("/tmp/env", "# a comment\nA=b\n");
    terminal.check(
        r#"
$ kubectl create ns x --dry-run=client -o name
namespace/x
$ kubectl create ns x --dry-run=foo
2| error: Invalid dry-run value (foo). Must be "none", "server", or "client".
[exit 1]
$ kubectl create ns
2| error: exactly one NAME is required, got 0
2| See 'kubectl create namespace -h' for help and examples
[exit 1]
$ kubectl create ns x -o foo
2| error: unable to match a printer suitable for the output format "foo", allowed formats are: go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,yaml
[exit 1]
$ kubectl create ns x y
2| error: exactly one NAME is required, got 2
2| See 'kubectl create namespace -h' for help and examples
[exit 1]
$ kubectl create networkpolicy x
2| error: Unexpected args: [networkpolicy x]
2| See 'kubectl create -h' for help and examples
[exit 1]
$ kubectl create
2| error: must specify one of -f and -k
[exit 1]
$ kubectl create service clusterip x
2| error: at least one tcp port specifier must be provided
[exit 1]
$ kubectl create svc clusterip --selector=a=b x --tcp=1
2| error: unknown flag: --selector
2| See 'kubectl create service clusterip --help' for usage.
[exit 1]
$ kubectl create deployment x
2| error: required flag(s) "image" not set
[exit 1]
$ kubectl create cm conf --from-literal=a.b=c --from-env-file=/tmp/env --from-literal=D=e
2| error: from-env-file cannot be combined with from-file or from-literal
[exit 1]
$ kubectl create cm conf --from-literal=a.b=c --from-literal=D=e
configmap/conf created
$ kubectl create cm conf --from-env-file=/tmp/env
2| error: failed to create configmap: configmaps "conf" already exists
[exit 1]
$ kubectl create secret generic
2| error: exactly one NAME is required, got 0
2| See 'kubectl create secret generic -h' for help and examples
[exit 1]
$ kubectl create -f /nope
2| error: the path "/nope" does not exist
[exit 1]
$ kubectl create -f -
2| error: no objects passed to create
[exit 1]
$ kubectl create -f /tmp/two.yaml
configmap/y1 created
2| Error from server (AlreadyExists): error when creating "/tmp/two.yaml": configmaps "y1" already exists
[exit 1]
$ kubectl create -f - <<< {"apiVersion":"v1","kind":"Foo","metadata":{"name":"y3"}}
2| error: resource mapping not found for name: "y3" namespace: "" from "STDIN": no matches for kind "Foo" in version "v1"
2| ensure CRDs are installed first
[exit 1]
$ kubectl create -f - -n shop <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y3","namespace":"other"}}
2| error: the namespace from the provided object "other" does not match the namespace "shop". You must pass '--namespace=other' to perform this operation.
[exit 1]
$ kubectl create job j
2| error: either --image or --from must be specified
[exit 1]
$ kubectl create job j --from=cronjob/x
2| Error from server (NotFound): cronjobs.batch "x" not found
[exit 1]
$ kubectl create quota q --hard=cpu=x
2| error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
[exit 1]
$ kubectl create role r --verb=get
2| error: at least one resource must be specified
[exit 1]
$ kubectl create role r --verb=foo --resource=pods
role.rbac.authorization.k8s.io/r created
2| Warning: 'foo' is not a standard resource verb
$ kubectl create role r2 --verb=get --resource=foos
2| the server doesn't have a resource type "foos"
[exit 1]
$ kubectl create ingress i
2| error: not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)
[exit 1]
$ kubectl create ingress i --rule=foo
2| error: rule foo is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]
[exit 1]
$ kubectl create pdb p
2| error: a selector must be specified
[exit 1]
$ kubectl create secret tls t --cert=a --key=b
2| error: Cannot read file a, open a: no such file or directory
[exit 1]
$ kubectl create clusterrole r --verb=get,list --resource=pods --non-resource-url=/x --dry-run=client -o yaml
2| error: invalid verb: 'list' for nonResourceURL
[exit 1]
"#,
    );
}

#[test]
fn generators_make_the_objects_that_kubectl_makes() {
    Terminal::new().check(include_str!("kubectl_generators.txt"));
}

#[test]
fn rolls_out() {
    let mut terminal = Terminal::new();
    terminal.put(deployment("web"));
    terminal.check(
        r#"
$ kubectl rollout status deploy/web --timeout=60s
Waiting for deployment "web" rollout to finish: 0 of 2 updated replicas are available...
Waiting for deployment "web" rollout to finish: 1 of 2 updated replicas are available...
deployment "web" successfully rolled out
$ kubectl rollout status deploy web
deployment "web" successfully rolled out
$ kubectl rollout restart deploy web
deployment.apps/web restarted
"#,
    );
}
