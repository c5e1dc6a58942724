//! From arguments, selectors and files to the objects that a command works on.

use super::command::Call;
use super::failure::{Failure, quote};
use super::flags::{Flag, Flags};
use super::manifest;
use super::resources::{split_name, split_types};
use crate::cluster::{ApiError, ApiReply, ApiRequest, Options, ReplyBody, Subresource};
use crate::object::{Json, Object, ResourceRef};
use arcstr::ArcStr;

/// `-f`, `-k` and `-R`.
pub static FILENAME: &[Flag] = &[
    Flag::list("filename", "Files, directories or URLs with the objects.").short('f'),
    Flag::text("kustomize", "Directory with a kustomization; not together with -f or -R.").short('k'),
    Flag::switch("recursive", "Read directories of -f with everything below them.").short('R'),
];

/// `-l`.
pub static SELECTOR: &[Flag] = &[Flag::text("selector", "Label query: =, ==, !=, in, notin, and several with commas.").short('l')];

/// `-A`.
pub static ALL_NAMESPACES: &[Flag] =
    &[Flag::switch("all-namespaces", "Take the objects of all namespaces, whatever --namespace says.").short('A')];

/// `--chunk-size`, which has no effect here.
pub static CHUNK_SIZE: &[Flag] = &[Flag::int("chunk-size", "500", "Read large lists in parts of so many; 0 for all at once.")];

/// One object, or one list of objects, that a command works on.
#[derive(Debug, Clone)]
pub struct Info {
    /// Its kind.
    pub resource: ResourceRef,
    /// Its namespace; empty for cluster-scoped kinds and lists over all namespaces.
    pub namespace: String,
    /// Its name; empty for a list.
    pub name: String,
    /// The object; null when it was not asked for, and for a list.
    pub object: Object,
    /// The objects of a list.
    pub items: Option<Vec<Object>>,
    /// The file it comes from; empty when from the server.
    pub source: String,
}

impl Info {
    /// `deployment.apps/web`.
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.resource.qualified_singular(), self.name)
    }

    /// The namespace for requests.
    pub fn scope(&self) -> Option<&str> {
        if self.namespace.is_empty() { None } else { Some(&self.namespace) }
    }

    /// Reads the object from the server.
    ///
    /// # Errors
    /// The API server's refusal.
    pub fn read(&mut self, call: &mut Call<'_, '_>) -> Result<(), Failure> {
        let request = ApiRequest::get(&self.resource, self.scope(), &self.name);
        self.ask(call, &request)
    }

    /// Reads the object by a request; where its whole namespace is missing, that is what is told.
    fn ask(&mut self, call: &mut Call<'_, '_>, request: &ApiRequest) -> Result<(), Failure> {
        let failure = match call.api(request) {
            Ok(reply) => {
                self.object = reply.into_object();
                return Ok(());
            }
            Err(failure) => failure,
        };
        if failure.is_not_found()
            && !matches!(self.namespace.as_str(), "" | "default")
            && let Some(namespaces) = call.mapper()?.plural("", "namespaces")
            && let Err(missing) = call.api(&ApiRequest::get(&namespaces, None, &self.namespace))
            && missing.is_not_found()
        {
            return Err(missing);
        }
        Err(failure)
    }
}

/// What a [`Builder`] found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Objects and lists, in the order they were asked for.
    pub infos: Vec<Info>,
    /// What went wrong on the way.
    pub failures: Vec<Failure>,
    /// Whether the arguments mean one object.
    pub single_item_implied: bool,
    /// Whether the arguments name objects, rather than select them.
    pub targets_single_items: bool,
}

impl Found {
    /// Every object by itself, those of lists too.
    pub fn flat(&self) -> Vec<Info> {
        let mut flat = Vec::new();
        for info in &self.infos {
            let Some(items) = &info.items else {
                flat.push(info.clone());
                continue;
            };
            flat.extend(items.iter().map(|object| Info {
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
                object: object.clone(),
                items: None,
                ..info.clone()
            }));
        }
        flat
    }

    /// Every object, or what went wrong, as Go's `Infos()` has it.
    ///
    /// # Errors
    /// All failures as one.
    pub fn objects(self) -> Result<Vec<Info>, Failure> {
        let flat = self.flat();
        Failure::all(self.failures).map(|()| flat)
    }
}

/// Collects what the command line says about objects, then reads them.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    namespace: String,
    all_namespaces: bool,
    require_namespace: bool,
    labels: Option<String>,
    fields: Option<String>,
    select_all: bool,
    subresource: String,
    latest: bool,
    names_only: bool,
    single_type: bool,
    continue_on_error: bool,
    local: bool,
    failures: Vec<Failure>,
    documents: Vec<Result<manifest::Document, Failure>>,
    by_file: bool,
    types: Vec<String>,
    names: Vec<String>,
    tuples: Vec<(String, String)>,
    single_item_implied: bool,
    many_files: bool,
}

impl Builder {
    /// A builder for the namespace of `call`.
    pub fn new(call: &Call<'_, '_>) -> Self {
        Builder { namespace: call.namespace.clone(), ..Builder::default() }
    }

    /// Whether to look in all namespaces.
    #[must_use]
    pub fn all_namespaces(mut self, all: bool) -> Self {
        self.all_namespaces = all;
        if all {
            self.namespace.clear();
        }
        self
    }

    /// Selects by labels; an empty text selects nothing in particular.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> Self {
        let trimmed = selector.trim();
        if trimmed.is_empty() {
            return self;
        }
        if self.select_all {
            self.failures.push(format!("found non-empty label selector {} with previously set 'all' parameter. ", quote(selector)).into());
        }
        self.labels = Some(trimmed.to_owned());
        self
    }

    /// Selects by fields.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        let trimmed = selector.trim();
        if trimmed.is_empty() {
            return self;
        }
        if self.select_all {
            self.failures.push(format!("found non-empty field selector {} with previously set 'all' parameter. ", quote(selector)).into());
        }
        self.fields = Some(trimmed.to_owned());
        self
    }

    /// `--all`.
    #[must_use]
    pub fn select_all(mut self, all: bool) -> Self {
        if all && (self.labels.is_some() || self.fields.is_some()) {
            self.failures.push("setting 'all' parameter but found a non empty selector. ".into());
            return self;
        }
        self.select_all = all;
        self
    }

    /// Reads this subresource instead of the object.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    /// Reads the objects of files from the server.
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.latest = true;
        self
    }

    /// Does not read objects that are given by name.
    #[must_use]
    pub fn names_only(mut self) -> Self {
        self.names_only = true;
        self
    }

    /// Accepts one type only.
    #[must_use]
    pub fn single_type(mut self) -> Self {
        self.single_type = true;
        self
    }

    /// Goes on after a failure.
    #[must_use]
    pub fn continue_on_error(mut self) -> Self {
        self.continue_on_error = true;
        self
    }

    /// Asks the server nothing.
    #[must_use]
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Reads `-f` and `-R`; `enforce` refuses objects of another namespace than the one given by a flag.
    #[must_use]
    pub fn files(mut self, call: &mut Call<'_, '_>, enforce: bool) -> Self {
        let (paths, recursive) = (call.flags.list("filename"), call.flags.on("recursive"));
        if !call.flags.text("kustomize").is_empty() {
            if !paths.is_empty() || recursive {
                self.failures.push("only one of -f or -k can be specified".into());
            }
            self.by_file = true;
            self.documents.push(Err("kustomizations are not available here; use -f".into()));
            return self;
        }
        self.require_namespace |= enforce;
        for path in &paths {
            self.by_file = true;
            match manifest::read(call, path, recursive) {
                Ok(files) => {
                    self.single_item_implied = paths.len() == 1 && files.files == 1 && path != "-";
                    self.many_files |= files.files > 1 || path == "-";
                    self.documents.extend(files.documents);
                }
                Err(failure) => self.failures.push(failure),
            }
        }
        self
    }

    /// `TYPE[,TYPE…] [NAME…]` or `TYPE/NAME…`. With `everything`, a type alone selects all of it.
    #[must_use]
    pub fn types_or_names(mut self, call: &mut Call<'_, '_>, everything: bool, args: &[String]) -> Self {
        let args = multiplied(args);
        let slashes = args.iter().filter(|arg| arg.contains('/')).count();
        if slashes > 0 && slashes != args.len() {
            self.failures.push(MIXED_FORMS.into());
            return self;
        }
        if slashes > 0 {
            for arg in &args {
                match split_name(arg) {
                    Ok(tuple) => self.tuples.extend(tuple),
                    Err(failure) => {
                        self.failures.push(failure);
                        return self;
                    }
                }
            }
            return self;
        }
        let Some((types, names)) = args.split_first() else { return self };
        match call.mapper() {
            Ok(mapper) => self.types.extend(split_types(&mapper.expand(types))),
            Err(failure) => self.failures.push(failure),
        }
        self.names.extend_from_slice(names);
        if names.is_empty() && self.labels.is_none() && everything {
            self.labels = Some(String::new());
        }
        self
    }

    /// Types only, for commands whose other arguments are no names.
    #[must_use]
    pub fn types(mut self, types: &[String]) -> Self {
        self.types.extend_from_slice(types);
        self
    }

    /// Names that stand for `kind` unless they say `TYPE/NAME`.
    #[must_use]
    pub fn names_of(mut self, kind: &str, names: &[String]) -> Self {
        for name in names {
            match split_name(name) {
                Ok(Some(tuple)) => self.tuples.push(tuple),
                Ok(None) if kind.is_empty() => {
                    self.failures.push(format!("the argument {} must be RESOURCE/NAME", quote(name)).into());
                }
                Ok(None) => self.tuples.push((kind.to_owned(), name.clone())),
                Err(failure) => {
                    self.failures.push(failure);
                    return self;
                }
            }
        }
        self
    }

    /// Reads everything that was asked for.
    ///
    /// # Errors
    /// When the arguments make no sense together or name an unknown type; failures of single objects are in [`Found::failures`].
    pub fn fetch(mut self, call: &mut Call<'_, '_>) -> Result<Found, Failure> {
        Failure::all(std::mem::take(&mut self.failures))?;
        if self.select_all {
            self.labels = Some(String::new());
        }
        if self.by_file {
            return self.by_file(call);
        }
        if self.labels.is_some() || self.fields.is_some() {
            return self.by_selector(call);
        }
        if !self.tuples.is_empty() {
            return self.by_tuple(call);
        }
        if !self.names.is_empty() {
            return self.by_name(call);
        }
        if let Some(first) = self.types.first() {
            call.resolve(first)?;
            return Err("resource(s) were provided, but no name was specified".into());
        }
        Err(MISSING_RESOURCE.into())
    }

    fn resolved(&self, call: &mut Call<'_, '_>) -> Result<Vec<ResourceRef>, Failure> {
        if self.types.len() > 1 && self.single_type {
            return Err("you may only specify a single resource type".into());
        }
        let mut resources: Vec<ResourceRef> = Vec::new();
        for word in &self.types {
            let resource = call.resolve(word)?;
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        Ok(resources)
    }

    fn by_selector(self, call: &mut Call<'_, '_>) -> Result<Found, Failure> {
        if !self.names.is_empty() {
            return Err("name cannot be provided when a selector is specified".into());
        }
        if !self.tuples.is_empty() {
            return Err("selectors and the all flag cannot be used when passing resource/name arguments".into());
        }
        if self.types.is_empty() {
            return Err("at least one resource must be specified to use a selector".into());
        }
        if !self.subresource.is_empty() {
            return Err("subresource cannot be used when bulk resources are specified".into());
        }
        let resources = self.resolved(call)?;
        let options = Options {
            label_selector: self.labels.clone().unwrap_or_default(),
            field_selector: self.fields.clone().unwrap_or_default(),
            ..Options::default()
        };
        let namespace = if self.namespace.is_empty() { None } else { Some(self.namespace.as_str()) };
        let of = |resource: &ResourceRef| ApiRequest::list(resource, namespace.filter(|_| resource.namespaced)).options(options.clone());
        let requests: Vec<ApiRequest> = resources.iter().map(of).collect();
        let mut found = Found::default();
        for (resource, reply) in resources.into_iter().zip(call.api_many(&requests)) {
            match reply {
                Ok(reply) => found.infos.push(list_info(resource, namespace, reply)),
                Err(failure) => {
                    found.failures.push(about_selection(failure, &resource, &options));
                    if !self.continue_on_error {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn by_tuple(self, call: &mut Call<'_, '_>) -> Result<Found, Failure> {
        if !self.types.is_empty() {
            return Err("you may not specify individual resources and bulk resources in the same call".into());
        }
        let mut targets: Vec<(ResourceRef, String)> = Vec::with_capacity(self.tuples.len());
        let mut known: Vec<(&str, ResourceRef)> = Vec::new();
        for (kind, name) in &self.tuples {
            let resource = match known.iter().find(|(word, _)| word == kind) {
                Some((_, resource)) => resource.clone(),
                None => call.resolve(kind)?,
            };
            known.push((kind, resource.clone()));
            targets.push((resource, name.clone()));
        }
        if self.single_type && targets.windows(2).any(|pair| pair[0].0 != pair[1].0) {
            return Err("you may only specify a single resource type".into());
        }
        self.read_all(call, targets)
    }

    fn by_name(self, call: &mut Call<'_, '_>) -> Result<Found, Failure> {
        if self.types.is_empty() {
            return Err("you must provide a resource and a resource name together".into());
        }
        if self.types.len() > 1 {
            return Err("you must specify only one resource".into());
        }
        let resource = self.resolved(call)?.remove(0);
        let targets = self.names.iter().map(|name| (resource.clone(), name.clone())).collect();
        self.read_all(call, targets)
    }

    fn read_all(self, call: &mut Call<'_, '_>, targets: Vec<(ResourceRef, String)>) -> Result<Found, Failure> {
        if self.namespace.is_empty() && targets.iter().any(|(resource, _)| resource.namespaced) {
            let all = "a resource cannot be retrieved by name across all namespaces";
            let none = "namespace may not be empty when retrieving a resource by name";
            return Err(if self.all_namespaces { all } else { none }.into());
        }
        let mut found = Found { single_item_implied: targets.len() == 1, targets_single_items: true, ..Found::default() };
        for (resource, name) in targets {
            let namespace = if resource.namespaced { self.namespace.clone() } else { String::new() };
            let mut info = Info { resource, namespace, name, object: Object::default(), items: None, source: String::new() };
            let read = if self.names_only { Ok(()) } else { self.read_one(call, &mut info) };
            match read {
                Ok(()) => found.infos.push(info),
                Err(failure) => {
                    found.failures.push(failure);
                    if !self.continue_on_error {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn read_one(&self, call: &mut Call<'_, '_>, info: &mut Info) -> Result<(), Failure> {
        let mut request = ApiRequest::get(&info.resource, info.scope(), &info.name);
        if !self.subresource.is_empty() {
            let known = [Subresource::Status, Subresource::Scale, Subresource::EphemeralContainers];
            let subresource = known.into_iter().find(|s| s.as_str() == self.subresource);
            if let Some(subresource) = subresource {
                request = request.subresource(subresource);
            } else {
                let logs = self.subresource == "log" && info.resource.plural == "pods";
                if logs {
                    info.ask(call, &request)?;
                }
                return Err(ApiError::new(404, "NotFound", NO_SUCH_PATH).into());
            }
        }
        info.ask(call, &request)
    }

    fn by_file(mut self, call: &mut Call<'_, '_>) -> Result<Found, Failure> {
        if !self.types.is_empty() {
            return Err("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well".into());
        }
        if !self.names.is_empty() {
            return Err("name cannot be provided when a path is specified".into());
        }
        if !self.tuples.is_empty() {
            return Err("resource/name arguments cannot be provided when a path is specified".into());
        }
        let mut found =
            Found { single_item_implied: self.single_item_implied && !self.many_files, targets_single_items: true, ..Found::default() };
        for document in std::mem::take(&mut self.documents) {
            match document.and_then(|document| self.of_document(call, document)) {
                Ok(infos) => found.infos.extend(infos),
                Err(failure) => {
                    found.failures.push(failure);
                    if !self.continue_on_error {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The objects of a document: itself, or the items of a list.
    fn of_document(&self, call: &mut Call<'_, '_>, document: manifest::Document) -> Result<Vec<Info>, Failure> {
        let object = Object(document.object);
        if object.kind().ends_with("List") && matches!(object.get("items"), Json::Arr(_)) {
            let items = object.get("items").items().to_vec();
            let nested =
                items.into_iter().map(|item| self.of_document(call, manifest::Document { object: item, source: document.source.clone() }));
            return Ok(nested.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
        }
        let mapper = call.mapper()?;
        let (api_version, kind) = (object.api_version().to_owned(), object.kind().to_owned());
        let resource = mapper.kind(&api_version, &kind).ok_or_else(|| unmapped(&object, &document.source))?;
        let name = object.name().to_owned();
        let mut info = Info { resource, namespace: object.namespace().to_owned(), name, object, items: None, source: document.source };
        self.place(&mut info)?;
        if self.latest && !info.name.is_empty() && !self.local {
            info.read(call)?;
        }
        Ok(vec![info])
    }

    /// Puts an object of a file into a namespace.
    fn place(&self, info: &mut Info) -> Result<(), Failure> {
        if !info.resource.namespaced {
            info.namespace.clear();
            info.object.remove_at(&["metadata", "namespace"]);
            return Ok(());
        }
        if info.namespace.is_empty() {
            info.namespace.clone_from(&self.namespace);
            info.object.set_at(&["metadata", "namespace"], ArcStr::from(self.namespace.as_str()));
        }
        if self.require_namespace && info.namespace != self.namespace {
            return Err(format!(
                "the namespace from the provided object {} does not match the namespace {}. You must pass '--namespace={}' to perform this operation.",
                quote(&info.namespace),
                quote(&self.namespace),
                info.namespace
            )
            .into());
        }
        Ok(())
    }
}

const MIXED_FORMS: &str = "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'";
const MISSING_RESOURCE: &str = "You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'";
const NO_SUCH_PATH: &str = "the server could not find the requested resource";

/// `a,b x y` means `a/x a/y b/x b/y`.
fn multiplied(args: &[String]) -> Vec<String> {
    let Some((types, names)) = args.split_first() else { return Vec::new() };
    let types = split_types(types);
    if names.is_empty() || types.len() < 2 {
        return args.to_vec();
    }
    types.iter().flat_map(|kind| names.iter().map(move |name| format!("{kind}/{name}"))).collect()
}

/// Whether arguments name objects, rather than types only.
///
/// # Errors
/// When both forms are mixed.
pub fn has_names(args: &[String]) -> Result<bool, Failure> {
    let args = multiplied(args);
    let slashes = args.iter().filter(|arg| arg.contains('/')).count();
    if slashes > 0 && slashes != args.len() {
        return Err(MIXED_FORMS.into());
    }
    Ok(slashes > 0 || args.len() > 1)
}

/// Whether `-f` or `-k` was given.
pub fn has_files(flags: &Flags) -> bool {
    !flags.list("filename").is_empty() || !flags.text("kustomize").is_empty()
}

fn list_info(resource: ResourceRef, namespace: Option<&str>, reply: ApiReply) -> Info {
    let namespace = namespace.filter(|_| resource.namespaced).unwrap_or_default().to_owned();
    let items = match reply.body {
        ReplyBody::List { items, .. } => items,
        ReplyBody::Object(object) => vec![object],
    };
    Info { resource, namespace, name: String::new(), object: Object::default(), items: Some(items), source: String::new() }
}

fn about_selection(failure: Failure, resource: &ResourceRef, options: &Options) -> Failure {
    let Failure::Api(mut error) = failure else { return failure };
    if error.code == 400 || error.code == 404 {
        let gvr = quote(&format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural));
        let (labels, fields) = (&options.label_selector, &options.field_selector);
        error.message = if labels.is_empty() && fields.is_empty() {
            format!("Unable to list {gvr}: {}", error.message)
        } else {
            format!("Unable to find {gvr} that match label selector {}, field selector {}: {}", quote(labels), quote(fields), error.message)
        };
    }
    Failure::Api(error)
}

fn unmapped(object: &Object, source: &str) -> Failure {
    let what = format!("no matches for kind {} in version {}", quote(object.kind()), quote(object.api_version()));
    format!(
        "resource mapping not found for name: {} namespace: {} from {}: {what}\nensure CRDs are installed first",
        quote(object.name()),
        quote(object.namespace()),
        quote(source)
    )
    .into()
}
