//! `kubectl describe`: what there is to know about an object, for people.
//!
//! One describer a kind ([`describer_of`]); kinds without one are printed field by field (`generic.rs`).

mod cluster;
mod configuration;
mod generic;
mod network;
mod network_policy;
mod node;
mod pods;
mod policy;
pub mod rights;
mod sheet;
mod storage;
mod volumes;
mod workloads;

use super::builder::{ALL_NAMESPACES, Builder, CHUNK_SIZE, FILENAME, Info, SELECTOR, has_files};
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::get::SUGGEST_API_RESOURCES;
use crate::cluster::{ApiRequest, Options};
use crate::object::{Json, Object, ResourceType};
use crate::time::SimTime;
use sheet::Sheet;

static FLAGS: &[Flag] = &[Flag::switch("show-events", "Show the events of the described object.").default("true")];

/// `kubectl describe`.
pub static COMMAND: Command = Command::leaf(
    "kubectl describe",
    "(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
    "Show details of a specific resource or group of resources",
    &[FLAGS, FILENAME, SELECTOR, ALL_NAMESPACES, CHUNK_SIZE],
    run,
);

/// What a describer works with.
pub(super) struct Scene<'s, 'a, 'c> {
    call: &'s mut Call<'a, 'c>,
    now: SimTime,
    events: bool,
}

/// Writes down an object.
type Describer = fn(&mut Scene<'_, '_, '_>, &Object, &mut Sheet) -> Result<(), Failure>;

fn describer_of(resource: &ResourceType) -> Describer {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => pods::pod,
        ("", "ReplicationController") => workloads::replication_controller,
        ("apps", "ReplicaSet") => workloads::replica_set,
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("batch", "Job") => workloads::job,
        ("batch", "CronJob") => workloads::cron_job,
        ("", "Service") => network::service,
        ("", "Endpoints") => network::endpoints,
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice,
        ("networking.k8s.io", "Ingress") => network::ingress,
        ("networking.k8s.io", "IngressClass") => network::ingress_class,
        ("networking.k8s.io", "ServiceCIDR") => network::service_cidr,
        ("networking.k8s.io", "IPAddress") => network::ip_address,
        ("networking.k8s.io", "NetworkPolicy") => network_policy::network_policy,
        ("", "PersistentVolume") => storage::volume,
        ("", "PersistentVolumeClaim") => storage::claim,
        ("storage.k8s.io", "StorageClass") => storage::storage_class,
        ("storage.k8s.io", "CSINode") => storage::csi_node,
        ("storage.k8s.io", "VolumeAttributesClass") => storage::attributes_class,
        ("", "ConfigMap") => configuration::config_map,
        ("", "Secret") => configuration::secret,
        ("", "ServiceAccount") => configuration::service_account,
        ("", "Namespace") => cluster::namespace,
        ("", "ResourceQuota") => cluster::quota,
        ("", "LimitRange") => cluster::limit_range,
        ("", "Node") => node::node,
        ("autoscaling", "HorizontalPodAutoscaler") => policy::autoscaler,
        ("policy", "PodDisruptionBudget") => policy::disruption_budget,
        ("scheduling.k8s.io", "PriorityClass") => policy::priority_class,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rights::role,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rights::binding,
        _ => generic::any,
    }
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if call.args.is_empty() && !has_files(&call.flags) {
        return Err(format!("You must specify the type of resource to describe. {SUGGEST_API_RESOURCES}\n").into());
    }
    let all = call.flags.on("all-namespaces");
    let (args, enforce) = (call.args.clone(), call.namespace_given && !all);
    let found = Builder::new(call)
        .all_namespaces(all)
        .files(call, enforce)
        .labels(&call.flags.text("selector"))
        .types_or_names(call, true, &args)
        .continue_on_error()
        .fetch(call)?;
    if let ([failure], [kind, prefix]) = (found.failures.as_slice(), args.as_slice())
        && failure.is_not_found()
    {
        return by_prefix(call, failure.clone(), kind, prefix);
    }
    let infos = found.flat();
    let mut failures = found.failures;
    let mut first = true;
    for info in &infos {
        match describe(call, info) {
            Ok(text) => {
                call.print(if first { "" } else { "\n\n" });
                call.print(&text);
                first = false;
            }
            Err(failure) => {
                if !failures.iter().any(|seen| seen.to_string() == failure.to_string()) {
                    failures.push(failure);
                }
            }
        }
    }
    if infos.is_empty() && failures.is_empty() {
        if all {
            call.complain("No resources found");
        } else {
            call.complain(format!("No resources found in {} namespace.", call.namespace));
        }
    }
    Failure::all(failures)
}

/// Describes everything whose name begins so, when nothing is called exactly so.
fn by_prefix(call: &mut Call<'_, '_>, original: Failure, kind: &str, prefix: &str) -> Result<(), Failure> {
    let found = Builder::new(call).types_or_names(call, true, &[kind.to_owned()]).single_type().fetch(call)?;
    let mut described = false;
    for info in found.objects()?.iter().filter(|info| info.name.starts_with(prefix)) {
        let text = describe(call, info)?;
        call.print(&text);
        call.print("\n");
        described = true;
    }
    if described { Ok(()) } else { Err(original) }
}

fn describe(call: &mut Call<'_, '_>, info: &Info) -> Result<String, Failure> {
    let (now, events) = (call.now(), call.flags.on("show-events"));
    let mut scene = Scene { call, now, events };
    let mut sheet = Sheet::default();
    describer_of(&info.resource)(&mut scene, &info.object, &mut sheet)?;
    Ok(sheet.finish())
}

/// A pod template, with tabs between names and values, as `rollout history` prints it.
pub fn pod_template(call: &mut Call<'_, '_>, template: &Json) -> String {
    let now = call.now();
    let mut sheet = Sheet::default();
    pods::template(&mut Scene { call, now, events: false }, template, &mut sheet);
    sheet.unaligned()
}

impl Scene<'_, '_, '_> {
    /// Reads a list; an error counts as an empty one.
    fn list(&mut self, group: &str, plural: &str, namespace: Option<&str>, options: Options) -> Vec<Object> {
        self.try_list(group, plural, namespace, options).unwrap_or_default()
    }

    fn try_list(&mut self, group: &str, plural: &str, namespace: Option<&str>, options: Options) -> Result<Vec<Object>, Failure> {
        let resource = self.call.mapper()?.plural(group, plural).ok_or("the server could not find the requested resource")?;
        Ok(self.call.api(&ApiRequest::list(&resource, namespace).options(options))?.into_items())
    }

    fn read(&mut self, group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Result<Object, Failure> {
        let resource = self.call.mapper()?.plural(group, plural).ok_or("the server could not find the requested resource")?;
        Ok(self.call.api(&ApiRequest::get(&resource, namespace, name))?.into_object())
    }

    /// The events about `object`, by its kind, name, namespace and uid.
    fn events_of(&mut self, object: &Object) -> Vec<Object> {
        self.events_about(object, object.kind(), object.uid())
    }

    fn events_about(&mut self, object: &Object, kind: &str, uid: &str) -> Vec<Object> {
        if !self.events {
            return Vec::new();
        }
        let (name, namespace) = (object.name(), object.namespace());
        let mut terms = vec![format!("involvedObject.name={name}"), format!("involvedObject.namespace={namespace}")];
        if !kind.is_empty() {
            terms.push(format!("involvedObject.kind={kind}"));
        }
        if !uid.is_empty() {
            terms.push(format!("involvedObject.uid={uid}"));
        }
        terms.sort();
        let options = Options { field_selector: terms.join(","), ..Options::default() };
        self.list("", "events", Some(namespace).filter(|n| !n.is_empty()), options)
    }

    /// Writes the events about `object`, unless they are not wanted.
    fn write_events(&mut self, object: &Object, sheet: &mut Sheet) {
        let events = self.events_of(object);
        self.write_these_events(events, sheet);
    }

    fn write_these_events(&mut self, events: Vec<Object>, sheet: &mut Sheet) {
        if self.events {
            sheet.events(events, self.now);
        }
    }
}
