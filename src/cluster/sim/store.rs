//! The object store: what etcd and the watch cache are to a real API server.
//!
//! Persistent maps, so a fork is a pointer copy. Every write takes the next resourceVersion and is put on the watch log.
//! Not modelled: compaction by time (the log is a bounded ring), storage versions.

use crate::object::resource::{ResourceRef, builtin, builtin_index};
use crate::object::{Json, Object};
use arcstr::ArcStr;
use imbl::{OrdMap, Vector};

/// A kind of object, as an index into the table of kinds that the cluster serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Kind(u16);

#[allow(missing_docs, reason = "each is the kind of its name")]
impl Kind {
    pub const CONFIG_MAP: Kind = Kind(builtin_index("", "configmaps"));
    pub const ENDPOINTS: Kind = Kind(builtin_index("", "endpoints"));
    pub const EVENT: Kind = Kind(builtin_index("", "events"));
    pub const LIMIT_RANGE: Kind = Kind(builtin_index("", "limitranges"));
    pub const NAMESPACE: Kind = Kind(builtin_index("", "namespaces"));
    pub const NODE: Kind = Kind(builtin_index("", "nodes"));
    pub const PVC: Kind = Kind(builtin_index("", "persistentvolumeclaims"));
    pub const PV: Kind = Kind(builtin_index("", "persistentvolumes"));
    pub const POD: Kind = Kind(builtin_index("", "pods"));
    pub const REPLICATION_CONTROLLER: Kind = Kind(builtin_index("", "replicationcontrollers"));
    pub const RESOURCE_QUOTA: Kind = Kind(builtin_index("", "resourcequotas"));
    pub const SECRET: Kind = Kind(builtin_index("", "secrets"));
    pub const SERVICE_ACCOUNT: Kind = Kind(builtin_index("", "serviceaccounts"));
    pub const SERVICE: Kind = Kind(builtin_index("", "services"));
    pub const CRD: Kind = Kind(builtin_index("apiextensions.k8s.io", "customresourcedefinitions"));
    pub const CONTROLLER_REVISION: Kind = Kind(builtin_index("apps", "controllerrevisions"));
    pub const DAEMON_SET: Kind = Kind(builtin_index("apps", "daemonsets"));
    pub const DEPLOYMENT: Kind = Kind(builtin_index("apps", "deployments"));
    pub const REPLICA_SET: Kind = Kind(builtin_index("apps", "replicasets"));
    pub const STATEFUL_SET: Kind = Kind(builtin_index("apps", "statefulsets"));
    pub const HPA: Kind = Kind(builtin_index("autoscaling", "horizontalpodautoscalers"));
    pub const CRON_JOB: Kind = Kind(builtin_index("batch", "cronjobs"));
    pub const JOB: Kind = Kind(builtin_index("batch", "jobs"));
    pub const LEASE: Kind = Kind(builtin_index("coordination.k8s.io", "leases"));
    pub const ENDPOINT_SLICE: Kind = Kind(builtin_index("discovery.k8s.io", "endpointslices"));
    pub const NETWORK_POLICY: Kind = Kind(builtin_index("networking.k8s.io", "networkpolicies"));
    pub const PDB: Kind = Kind(builtin_index("policy", "poddisruptionbudgets"));
    pub const ROLE: Kind = Kind(builtin_index("rbac.authorization.k8s.io", "roles"));
    pub const ROLE_BINDING: Kind = Kind(builtin_index("rbac.authorization.k8s.io", "rolebindings"));
    pub const CLUSTER_ROLE: Kind = Kind(builtin_index("rbac.authorization.k8s.io", "clusterroles"));
    pub const CLUSTER_ROLE_BINDING: Kind = Kind(builtin_index("rbac.authorization.k8s.io", "clusterrolebindings"));
    pub const PRIORITY_CLASS: Kind = Kind(builtin_index("scheduling.k8s.io", "priorityclasses"));
    pub const STORAGE_CLASS: Kind = Kind(builtin_index("storage.k8s.io", "storageclasses"));
}

/// Where an object is stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: ArcStr,
    /// Name.
    pub name: ArcStr,
}

impl Kind {
    /// Whether the kind was added by a CustomResourceDefinition.
    pub fn is_custom(self) -> bool {
        usize::from(self.0) >= builtin().len()
    }
}

impl Key {
    /// The key of an object.
    pub fn new(kind: Kind, namespace: impl Into<ArcStr>, name: impl Into<ArcStr>) -> Self {
        Key { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The key under which `object` is stored.
    pub fn of(kind: Kind, object: &Object) -> Self {
        let text = |field: &str| object.meta().get(field).as_text().cloned().unwrap_or_default();
        Key { kind, namespace: text("namespace"), name: text("name") }
    }
}

/// One entry of the watch log.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resourceVersion of the write.
    pub revision: u64,
    /// What was written.
    pub key: Key,
    /// The object before; `None` for a creation.
    pub before: Option<Object>,
    /// The object after; `None` for a deletion.
    pub after: Option<Object>,
}

/// Objects by key, with the watch log.
#[derive(Clone)]
pub struct Store {
    objects: OrdMap<Key, Object>,
    custom: Vector<ResourceRef>,
    revision: u64,
    log: Vector<Change>,
    /// How many entries were ever put on the log; the ring holds the last ones.
    logged: u64,
}

/// Entries the watch log keeps; a watcher further behind gets 410 Gone.
const LOG_CAPACITY: usize = 1024;

impl Default for Store {
    fn default() -> Self {
        Store { objects: OrdMap::new(), custom: Vector::new(), revision: 1, log: Vector::new(), logged: 0 }
    }
}

impl Store {
    /// The kind that stores `resource`; `events.k8s.io` events are the core ones.
    pub fn kind_of(&self, resource: &crate::object::ResourceType) -> Option<Kind> {
        if resource.group == "events.k8s.io" {
            return Some(Kind::EVENT);
        }
        let all = || builtin().iter().chain(self.custom.iter());
        if let Some(at) = all().position(|r| std::ptr::eq(&raw const **r, resource)) {
            return u16::try_from(at).ok().map(Kind);
        }
        let all = all();
        let at = all.enumerate().find(|(_, r)| r.plural == resource.plural && r.group == resource.group)?.0;
        u16::try_from(at).ok().map(Kind)
    }

    /// The description of a kind.
    pub fn resource(&self, kind: Kind) -> &ResourceRef {
        let at = usize::from(kind.0);
        builtin().get(at).or_else(|| self.custom.get(at - builtin().len())).unwrap_or(&builtin()[0])
    }

    /// Every kind that is served, custom ones last.
    pub fn resources(&self) -> Vec<ResourceRef> {
        builtin().iter().chain(self.custom.iter()).cloned().collect()
    }

    /// Serves a custom kind from now on.
    pub fn serve(&mut self, resource: ResourceRef) {
        self.custom.push_back(resource);
    }

    /// The latest resourceVersion.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Objects of a kind (in a namespace), in order of (namespace, name).
    pub fn list<'a>(&'a self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.list_keyed(kind, namespace).map(|(_, object)| object)
    }

    /// As [`Store::list`], with keys.
    pub fn list_keyed<'a>(&'a self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = (&'a Key, &'a Object)> + use<'a> {
        let namespace: Option<ArcStr> = namespace.map(ArcStr::from);
        let from = Key { kind, namespace: namespace.clone().unwrap_or_default(), name: ArcStr::new() };
        self.objects.range(from..).take_while(move |(key, _)| key.kind == kind && namespace.as_ref().is_none_or(|ns| key.namespace == *ns))
    }

    /// Every object, in order of its key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }

    /// Writes an object under its key, with the next resourceVersion, and returns it as stored.
    pub fn put(&mut self, key: Key, mut object: Object) -> Object {
        self.revision += 1;
        object.set_at(&["metadata", "resourceVersion"], self.revision.to_string());
        let before = self.objects.insert(key.clone(), object.clone());
        self.record(Change { revision: self.revision, key, before, after: Some(object.clone()) });
        object
    }

    /// Removes an object and returns it.
    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        let before = self.objects.remove(key)?;
        self.revision += 1;
        self.record(Change { revision: self.revision, key: key.clone(), before: Some(before.clone()), after: None });
        Some(before)
    }

    /// Replaces objects without a write: no resourceVersion, no watch event. For giving an episode its own names.
    pub fn rewrite(&mut self, objects: impl IntoIterator<Item = (Key, Object)>) {
        self.objects = objects.into_iter().collect();
        self.log.clear();
    }

    fn record(&mut self, change: Change) {
        if self.log.len() == LOG_CAPACITY {
            self.log.pop_front();
        }
        self.log.push_back(change);
        self.logged += 1;
    }

    /// How many changes were ever logged: the cursor of a reader that has seen them all.
    pub fn cursor(&self) -> u64 {
        self.logged
    }

    /// The change at a cursor; `None` when there is none yet or it has left the ring.
    pub fn change(&self, cursor: u64) -> Option<&Change> {
        let first = self.logged - self.log.len() as u64;
        self.log.get(usize::try_from(cursor.checked_sub(first)?).ok()?)
    }
}

/// The JSON path of the labels.
pub fn labels(object: &Object) -> &Json {
    object.meta().get("labels")
}
