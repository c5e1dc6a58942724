//! `kubectl cluster-info`.

use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::kubeconfig::Kubeconfig;
use crate::cluster::{ApiRequest, Options};
use crate::object::Object;

/// `kubectl cluster-info`.
pub static COMMAND: Command =
    Command::leaf("kubectl cluster-info", "[flags]", "Display cluster information", &[], run).subcommands(&[&DUMP]);

static FLAGS: &[Flag] = &[
    Flag::csv("namespaces", "Namespaces to dump."),
    Flag::text("output-directory", "Where to write the files; standard output when empty or -."),
    Flag::duration("pod-running-timeout", "20s", "How long to wait for a pod to run."),
];

static DUMP: Command = Command::leaf(
    "kubectl cluster-info dump",
    "[flags]",
    "Dump relevant information for debugging and diagnosis",
    &[super::output::OUTPUT, super::builder::ALL_NAMESPACES, FLAGS],
    dump,
);

fn dump(_: &mut Call<'_, '_>) -> Result<(), Failure> {
    Err("kubectl cluster-info dump is not available here: it prints every object and every log of the cluster; ask for the ones you need"
        .into())
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let host = server(call)?;
    let listed = list(call, &host);
    call.print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    listed
}

fn list(call: &mut Call<'_, '_>, host: &str) -> Result<(), Failure> {
    let resource = call.mapper()?.plural("", "services").ok_or("the server doesn't have a resource type \"services\"")?;
    let namespace = if call.namespace_given { call.namespace.clone() } else { "kube-system".to_owned() };
    let options = Options { label_selector: "kubernetes.io/cluster-service=true".to_owned(), ..Options::default() };
    let services = call.api(&ApiRequest::list(&resource, Some(&namespace)).options(options))?.into_items();
    call.say(format_args!("Kubernetes control plane is running at {host}"));
    for service in services {
        let named = service.meta().get("labels").get("kubernetes.io/name").text();
        let name = if named.is_empty() { service.name() } else { named };
        call.say(format_args!("{name} is running at {}", link(&service, host)));
    }
    Ok(())
}

/// The address of the API server.
fn server(call: &mut Call<'_, '_>) -> Result<String, Failure> {
    let given = call.flags.text("server");
    if !given.is_empty() {
        return Ok(given);
    }
    let config = Kubeconfig::load(call)?;
    let context = call.flags.text("context");
    let server = config.server(if context.is_empty() { &config.current } else { &context });
    Ok(if server.is_empty() { "https://10.96.0.1:443".to_owned() } else { server })
}

/// Where a service is reached from outside: its load balancer, or the API server's proxy.
fn link(service: &Object, host: &str) -> String {
    let ports = service.at(&["spec", "ports"]).items();
    if let Some(ingress) = service.at(&["status", "loadBalancer", "ingress"]).items().first() {
        let ip = ingress.get("ip").text();
        let host = if ip.is_empty() { ingress.get("hostname").text() } else { ip };
        return ports.iter().map(|port| format!("http://{host}:{} ", port.get("port").as_i64().unwrap_or(0))).collect();
    }
    let mut name = service.name().to_owned();
    if let Some(port) = ports.first() {
        let port_name = port.get("name").text();
        let secure = port_name == "https" || port.get("port").as_i64() == Some(443);
        if secure || !port_name.is_empty() {
            name = format!("{}{name}:{port_name}", if secure { "https:" } else { "" });
        }
    }
    format!("{host}/api/v1/namespaces/{}/services/{name}/proxy", service.namespace())
}
