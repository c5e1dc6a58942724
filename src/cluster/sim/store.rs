//! The object store: what etcd and the watch cache are to a real API server.
//!
//! Persistent maps, so a fork is a pointer copy. Every write takes the next resourceVersion and is put on the watch log.
//! What an episode has from its baseline is given the episode's names when it is first read; most of it never is.
//! Not modelled: watches from an earlier resourceVersion (the log holds what has not been handed out), storage versions.

use super::places::{Places, Words};
use super::rename::{Names, Renaming};
use crate::object::resource::{ResourceRef, builtin, builtin_index};
use crate::object::{Json, Object};
use arcstr::ArcStr;
use imbl::{OrdMap, Vector};
use std::sync::{Arc, OnceLock};

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

/// What stands at a key.
#[derive(Clone)]
enum Entry {
    /// An object.
    Own(Object),
    /// One of the baseline's that holds names, by its number.
    Inherited(usize),
}

/// An object of a baseline that holds names.
struct Old {
    object: Object,
    places: Places,
    /// Its own uid.
    uid: Option<Words>,
    /// The uids of its owners.
    owners: Vec<Words>,
}

/// Objects of a baseline that hold names.
#[derive(Clone, Default)]
struct Inherited {
    old: Arc<Vec<Old>>,
    /// The same under an episode's names; `None` in the baseline itself.
    new: Option<Arc<Named>>,
}

/// Objects under the names of an episode, as far as they were read.
struct Named {
    names: Arc<Renaming>,
    objects: Box<[OnceLock<Object>]>,
}

impl Inherited {
    /// The object of a number.
    ///
    /// # Panics
    /// Never: entries with numbers are made together with what they number.
    fn object(&self, number: usize) -> &Object {
        let old = &self.old[number];
        match &self.new {
            None => &old.object,
            Some(new) => new.objects[number].get_or_init(|| Object(old.places.renamed(&old.object, &new.names))),
        }
    }

    /// The object at an entry, if it is an episode's under the names of its baseline: the same in everything that is no name.
    fn unnamed<'a>(&'a self, entry: &'a Entry) -> &'a Object {
        match entry {
            Entry::Own(object) => object,
            Entry::Inherited(number) => &self.old[*number].object,
        }
    }

    fn uid<'a>(&'a self, entry: &'a Entry) -> &'a str {
        match (entry, &self.new) {
            (Entry::Inherited(number), Some(new)) => {
                let old = &self.old[*number];
                old.uid.as_ref().and_then(|uid| uid.whole(&new.names)).unwrap_or(old.object.uid())
            }
            _ => self.at(entry).uid(),
        }
    }

    /// Whether an owner reference of the object at an entry names this uid.
    fn is_owned(&self, entry: &Entry, uid: &str) -> bool {
        match (entry, &self.new) {
            (Entry::Inherited(number), Some(new)) => self.old[*number].owners.iter().any(|owner| owner.is(uid, &new.names)),
            _ => self.at(entry).owners().iter().any(|owner| owner.get("uid").text() == uid),
        }
    }

    fn at<'a>(&'a self, entry: &'a Entry) -> &'a Object {
        match entry {
            Entry::Own(object) => object,
            Entry::Inherited(number) => self.object(*number),
        }
    }

    fn take(&self, entry: Entry) -> Object {
        match entry {
            Entry::Own(object) => object,
            Entry::Inherited(number) => self.object(number).clone(),
        }
    }
}

/// Objects by key, with the watch log.
#[derive(Clone)]
pub struct Store {
    objects: OrdMap<Kind, OrdMap<Key, Entry>>,
    inherited: Inherited,
    custom: Vector<ResourceRef>,
    revision: u64,
    log: Vector<Change>,
    /// How many entries were ever put on the log; it holds those that nobody has taken yet.
    logged: u64,
}

impl Default for Store {
    fn default() -> Self {
        let (objects, inherited) = (OrdMap::new(), Inherited::default());
        Store { objects, inherited, custom: Vector::new(), revision: 1, log: Vector::new(), logged: 0 }
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

    /// The kind of a group that manifests call by this name.
    pub fn kind_named(&self, group: &str, name: &str) -> Option<Kind> {
        let found = builtin().iter().chain(self.custom.iter()).position(|r| r.kind == name && r.group == group)?;
        u16::try_from(found).ok().map(Kind)
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
        self.objects.get(&key.kind)?.get(key).map(|entry| self.inherited.at(entry))
    }

    /// One object, perhaps under the names of a baseline: for reading what holds none (nodes, labels, settings of a pod's network).
    pub fn peek(&self, key: &Key) -> Option<&Object> {
        self.objects.get(&key.kind)?.get(key).map(|entry| self.inherited.unnamed(entry))
    }

    /// The uid of the object at a key.
    pub fn uid(&self, key: &Key) -> Option<&str> {
        self.objects.get(&key.kind)?.get(key).map(|entry| self.inherited.uid(entry))
    }

    /// Objects of a kind (in a namespace), in order of (namespace, name).
    pub fn list<'a>(&'a self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.list_keyed(kind, namespace).map(|(_, object)| object)
    }

    /// As [`Store::list`], with keys.
    pub fn list_keyed<'a>(&'a self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = (&'a Key, &'a Object)> + use<'a> {
        self.entries(kind, namespace).map(|(key, entry)| (key, self.inherited.at(entry)))
    }

    fn entries<'a>(&'a self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = (&'a Key, &'a Entry)> + use<'a> {
        let namespace: Option<ArcStr> = namespace.map(ArcStr::from);
        let from = Key { kind, namespace: namespace.clone().unwrap_or_default(), name: ArcStr::new() };
        let entries = self.objects.get(&kind).into_iter().flat_map(move |of_kind| of_kind.range(from.clone()..));
        entries.take_while(move |(key, _)| namespace.as_ref().is_none_or(|ns| key.namespace == *ns))
    }

    /// As [`Store::list_keyed`], but only those that `test` passes. It may look at nothing that holds names (labels, the nodes of pods,
    /// phases are free of them; names, uids, addresses and owners are not), so that objects need not be named to be passed over.
    pub fn list_by<'a>(
        &'a self,
        kind: Kind,
        namespace: Option<&str>,
        test: impl Fn(&Object) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        let passing = self.entries(kind, namespace).filter(move |(_, entry)| test(self.inherited.unnamed(entry)));
        passing.map(|(key, entry)| (key, self.inherited.at(entry)))
    }

    /// Objects an owner reference of which names this uid.
    pub fn owned_by<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        let owned = self.objects.values().flatten().filter(|(_, entry)| self.inherited.is_owned(entry, uid));
        owned.map(|(key, entry)| (key, self.inherited.at(entry)))
    }

    /// Objects that the one of this uid may control: its own, and those that nobody controls.
    pub fn list_claimable<'a>(&'a self, kind: Kind, namespace: &str, uid: &'a str) -> impl Iterator<Item = &'a Object> {
        let free = |entry: &Entry| self.inherited.unnamed(entry).controller().is_none();
        let claimable = self.entries(kind, Some(namespace)).filter(move |(_, entry)| self.inherited.is_owned(entry, uid) || free(entry));
        let is_controlled = move |object: &&Object| object.controller().is_none_or(|owner| owner.get("uid").text() == uid);
        claimable.map(|(_, entry)| self.inherited.at(entry)).filter(is_controlled)
    }

    /// Every object, in order of its key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.values().flatten().map(|(key, entry)| (key, self.inherited.at(entry)))
    }

    /// Writes an object under its key, with the next resourceVersion, and returns it as stored.
    pub fn put(&mut self, key: Key, mut object: Object) -> Object {
        self.revision += 1;
        object.set_at(&["metadata", "resourceVersion"], self.revision.to_string());
        let before = self.objects.entry(key.kind).or_default().insert(key.clone(), Entry::Own(object.clone()));
        let before = before.map(|entry| self.inherited.take(entry));
        self.record(Change { revision: self.revision, key, before, after: Some(object.clone()) });
        object
    }

    /// Removes an object and returns it.
    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        let before = self.objects.get_mut(&key.kind)?.remove(key)?;
        let before = self.inherited.take(before);
        self.revision += 1;
        self.record(Change { revision: self.revision, key: key.clone(), before: Some(before.clone()), after: None });
        Some(before)
    }

    /// Makes this the store of a baseline: notes where names stand in its objects, and forgets the watch log.
    pub(super) fn settle(&mut self, names: &Names) {
        let (mut old, inherited) = (Vec::new(), &self.inherited);
        let mut settled = |entry: &Entry| {
            let object = inherited.at(entry);
            match Places::find(names, object) {
                None => Entry::Own(object.clone()),
                Some(places) => {
                    let owners = object.owners().iter().filter_map(|owner| Words::find(names, owner.get("uid").text()));
                    let uid = Words::find(names, object.uid());
                    old.push(Old { object: object.clone(), places, uid, owners: owners.collect() });
                    Entry::Inherited(old.len() - 1)
                }
            }
        };
        let mut of_kind =
            |objects: &OrdMap<Key, Entry>| objects.iter().map(|(key, entry)| (key.clone(), settled(entry))).collect::<OrdMap<_, _>>();
        let objects = self.objects.iter().map(|(kind, objects)| (*kind, of_kind(objects))).collect();
        self.objects = objects;
        self.inherited = Inherited { old: Arc::new(old), new: None };
        self.log.clear();
    }

    /// Gives a fork of a baseline's store the names of an episode. No write: no resourceVersion, no watch event.
    pub(super) fn rename(&mut self, names: &Arc<Renaming>) {
        for kind in [Kind::POD, Kind::ENDPOINT_SLICE, Kind::EVENT] {
            if let Some(objects) = self.objects.get_mut(&kind) {
                *objects = objects.iter().map(|(key, entry)| (names.key(key), entry.clone())).collect();
            }
        }
        let objects = self.inherited.old.iter().map(|_| OnceLock::new()).collect();
        self.inherited.new = Some(Arc::new(Named { names: Arc::clone(names), objects }));
    }

    fn record(&mut self, change: Change) {
        self.log.push_back(change);
        self.logged += 1;
    }

    /// How many changes were ever logged.
    pub fn cursor(&self) -> u64 {
        self.logged
    }

    /// Takes the first change off the log. Everyone who watches is told of it then, so it need not be kept, nor the objects in it.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        self.log.pop_front()
    }
}

/// The JSON path of the labels.
pub fn labels(object: &Object) -> &Json {
    object.meta().get("labels")
}
