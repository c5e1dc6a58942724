//! What a container is started with: program and arguments, environment, files, storage.

use super::pod::Pod;
use super::{nodes, volumes};
use crate::cluster::sim::history::{Launch, Resources};
use crate::cluster::sim::lazy::Lazy;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::quantity::Quantity;
use crate::object::{Json, Object};
use arcstr::ArcStr;
use std::collections::BTreeMap;

/// An environment.
type Env = BTreeMap<ArcStr, ArcStr>;

/// Resolves a container's launch.
///
/// # Errors
/// The kubelet's message (`CreateContainerConfigError`) when a reference leads nowhere.
pub fn resolve(world: &mut World, pod: &Pod, object: &Object, spec: &Json) -> Result<Launch, String> {
    let image = spec.get("image").text();
    let env = environment(world, pod, object, spec)?;
    let words = |field: &str| -> Vec<ArcStr> {
        spec.get(field).items().iter().map(|w| expand(w.text(), &|name| env.get(name).cloned()).into()).collect()
    };
    let (command, args) = (words("command"), words("args"));
    let argv = match world.catalog.image(image) {
        Some(image) => image.argv(&command, &args),
        None => command.into_iter().chain(args).collect(),
    };
    let (files, data) = mounts(world, object, spec, &env);
    Ok(Launch {
        namespace: pod.key.namespace.clone(),
        pod: pod.key.name.clone(),
        pod_uid: pod.uid.clone(),
        pod_ip: pod.sandbox.as_ref().map(|s| s.ip.clone()).unwrap_or_default(),
        node: pod.node.clone(),
        container: super::actions::name_of(spec),
        image: image.into(),
        argv: argv.into(),
        env: env.into(),
        files: files.into(),
        data: data.into(),
        memory_limit: Quantity::of(spec.at(&["resources", "limits", "memory"])).and_then(|q| u64::try_from(q.value()).ok()),
        resources: resources(spec),
    })
}

fn resources(spec: &Json) -> Resources {
    let milli = |part: &str| Quantity::of(spec.at(&["resources", part, "cpu"])).and_then(|q| u64::try_from(q.milli_value()).ok());
    let memory = Quantity::of(spec.at(&["resources", "requests", "memory"])).and_then(|q| u64::try_from(q.value()).ok());
    Resources { cpu_request_m: milli("requests"), cpu_limit_m: milli("limits"), memory_request: memory }
}

fn environment(world: &mut World, pod: &Pod, object: &Object, spec: &Json) -> Result<Env, String> {
    let links = object.spec().get("enableServiceLinks").as_bool().unwrap_or(true);
    let mut env = (*service_environment(world, &pod.key.namespace, links)).clone();
    if let Some(image) = world.catalog.image(spec.get("image").text()) {
        env.extend(image.env.iter().cloned());
    }
    env.insert(arcstr::literal!("HOSTNAME"), host_name(object));
    for source in spec.get("envFrom").items() {
        add_all(world, object, source, &mut env)?;
    }
    for entry in spec.get("env").items() {
        let from = entry.get("valueFrom");
        let value = if from.is_null() {
            Some(expand(entry.get("value").text(), &|name| env.get(name).cloned()).into())
        } else {
            referenced(world, pod, object, spec, from)?
        };
        if let Some(value) = value {
            env.insert(entry.get("name").text().into(), value);
        }
    }
    Ok(env)
}

fn host_name(object: &Object) -> ArcStr {
    let spec = object.spec();
    let own = spec.get("hostname").as_text().filter(|h| !h.is_empty()).cloned();
    let on_host = spec.get("hostNetwork").is_true().then(|| ArcStr::from(spec.get("nodeName").text()));
    on_host.or(own).unwrap_or_else(|| object.name().chars().take(63).collect::<String>().into())
}

fn add_all(world: &World, object: &Object, source: &Json, env: &mut Env) -> Result<(), String> {
    let kinds = [("configMapRef", Kind::CONFIG_MAP, "configmap"), ("secretRef", Kind::SECRET, "secret")];
    for (field, kind, word) in kinds {
        let reference = source.get(field);
        if reference.is_null() {
            continue;
        }
        let name = reference.get("name").text();
        match world.store.get(&Key::new(kind, object.namespace(), name)) {
            Some(found) => {
                let prefix = source.get("prefix").text();
                env.extend(found.get("data").entries().map(|(k, v)| (format!("{prefix}{k}").into(), volumes::value_of(kind, v))));
            }
            None if reference.get("optional").is_true() => {}
            None => return Err(format!("{word} {name:?} not found")),
        }
    }
    Ok(())
}

fn referenced(world: &World, pod: &Pod, object: &Object, spec: &Json, from: &Json) -> Result<Option<ArcStr>, String> {
    let kinds = [("configMapKeyRef", Kind::CONFIG_MAP, "configmap", "ConfigMap"), ("secretKeyRef", Kind::SECRET, "secret", "Secret")];
    for (field, kind, word, title) in kinds {
        let reference = from.get(field);
        if reference.is_null() {
            continue;
        }
        let (name, key) = (reference.get("name").text(), reference.get("key").text());
        let optional = reference.get("optional").is_true();
        let Some(found) = world.store.get(&Key::new(kind, object.namespace(), name)) else {
            return if optional { Ok(None) } else { Err(format!("{word} {name:?} not found")) };
        };
        let value = found.get("data").get(key);
        if value.is_null() {
            let missing = format!("couldn't find key {key} in {title} {}/{name}", object.namespace());
            return if optional { Ok(None) } else { Err(missing) };
        }
        return Ok(Some(volumes::value_of(kind, value)));
    }
    if let Some(path) = from.at(&["fieldRef", "fieldPath"]).as_str() {
        let host = nodes::address(world, &pod.node);
        let ip = pod.sandbox.as_ref().map(|s| s.ip.clone()).unwrap_or_default();
        return Ok(match path {
            "status.podIP" | "status.podIPs" => Some(ip),
            "status.hostIP" | "status.hostIPs" => Some(host),
            _ => field(object, path),
        });
    }
    let resource = from.get("resourceFieldRef");
    if resource.is_null() {
        return Ok(None);
    }
    let other = object.spec().get("containers").find("name", resource.get("containerName").text());
    Ok(Some(amount(world, pod, other.unwrap_or(spec), resource)))
}

/// A field of a pod, as the downward API names it.
pub fn field(object: &Object, path: &str) -> Option<ArcStr> {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let keys: Vec<&str> = map.split('.').collect();
        return Some(object.at(&keys).get(key).as_text().cloned().unwrap_or_default());
    }
    let keys: Vec<&str> = path.split('.').collect();
    object.at(&keys).as_text().cloned()
}

/// A container's limit or request in units of the reference's divisor; a limit that is not set is the node's capacity.
fn amount(world: &World, pod: &Pod, spec: &Json, resource: &Json) -> ArcStr {
    let path: Vec<&str> = resource.get("resource").text().splitn(2, '.').collect();
    let set = spec.get("resources").at(&path);
    let name = path.last().copied().unwrap_or_default();
    let node = world.store.get(&Key::new(Kind::NODE, "", pod.node.clone()));
    let fallback = node.map(|n| n.status().at(&["allocatable", name]).clone()).unwrap_or_default();
    let is_limit = path.first() == Some(&"limits");
    let value = if set.is_null() && is_limit { &fallback } else { set };
    let amount = Quantity::of(value).unwrap_or(Quantity::ZERO);
    let divisor = Quantity::of(resource.get("divisor")).filter(|d| !d.is_zero()).unwrap_or(Quantity::from_int(1));
    let (a, d) = (i128::from(amount.milli_value()), i128::from(divisor.milli_value().max(1)));
    (a.div_euclid(d) + i128::from(a.rem_euclid(d) != 0)).to_string().into()
}

/// Replaces `$(NAME)` by what `value` knows; `$$` stands for a dollar sign and unknown names stay.
fn expand(text: &str, value: &dyn Fn(&str) -> Option<ArcStr>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = tail.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix("$(").and_then(|t| t.split_once(')')) {
            match value(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
            rest = tail.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// The files and the storage that a container sees.
fn mounts(world: &World, object: &Object, spec: &Json, env: &Env) -> (Env, Env) {
    let (mut files, mut data) = (Env::new(), Env::new());
    for mount in spec.get("volumeMounts").items() {
        let Some(volume) = object.spec().get("volumes").find("name", mount.get("name").text()) else { continue };
        let at = mount.get("mountPath").text().trim_end_matches('/');
        let sub = match mount.get("subPathExpr").as_str() {
            Some(text) => expand(text, &|name| env.get(name).cloned()),
            None => mount.get("subPath").text().to_owned(),
        };
        if let Ok(Some(content)) = volumes::content(world, object, volume) {
            files.extend(content.into_iter().filter_map(|(path, text)| Some((mounted_path(at, &sub, &path)?, text))));
        } else if let Some(storage) = volumes::storage(world, object, volume) {
            let storage = if sub.is_empty() { storage } else { format!("{storage}/{sub}").into() };
            data.insert(at.into(), storage);
        }
    }
    (files, data)
}

/// Where a file of a volume appears in the container; `None` outside of the sub-path that is mounted.
fn mounted_path(at: &str, sub: &str, path: &str) -> Option<ArcStr> {
    if sub.is_empty() {
        return Some(format!("{at}/{path}").into());
    }
    let rest = path.strip_prefix(sub)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{at}{rest}").into())
}

/// Forgets environments that a change of Services makes out of date.
pub fn on_service(world: &mut World, change: &Change) {
    if change.key.namespace == "default" {
        world.kubelet.service_env.clear();
    } else {
        world.kubelet.service_env.remove(&(change.key.namespace.clone(), true));
    }
}

/// The variables that name Services: those of the namespace if `links`, and always the API server's.
fn service_environment(world: &mut World, namespace: &ArcStr, links: bool) -> Lazy<Env> {
    let slot = (namespace.clone(), links);
    if let Some(known) = world.kubelet.service_env.get(&slot) {
        return known.clone();
    }
    let mut env = Env::new();
    if let Some(master) = world.store.get(&Key::new(Kind::SERVICE, "default", "kubernetes")) {
        add_service(master, &mut env);
    }
    if links {
        for service in world.store.list(Kind::SERVICE, Some(namespace)) {
            add_service(service, &mut env);
        }
    }
    let env = Lazy::new(env);
    world.kubelet.service_env.insert(slot, env.clone());
    env
}

fn add_service(service: &Object, env: &mut Env) {
    let ip = service.spec().get("clusterIP").text();
    let ports = service.spec().get("ports").items();
    let Some(first) = ports.first().filter(|_| !ip.is_empty() && ip != "None") else { return };
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let name = upper(service.name());
    let mut put = |key: String, value: String| {
        env.insert(key.into(), value.into());
    };
    put(format!("{name}_SERVICE_HOST"), ip.to_owned());
    put(format!("{name}_SERVICE_PORT"), first.get("port").as_i64().unwrap_or(0).to_string());
    for (at, port) in ports.iter().enumerate() {
        let number = port.get("port").as_i64().unwrap_or(0).to_string();
        let protocol = port.get("protocol").as_str().unwrap_or("TCP");
        if let Some(label) = port.get("name").as_str().filter(|l| !l.is_empty()) {
            put(format!("{name}_SERVICE_PORT_{}", upper(label)), number.clone());
        }
        let url = format!("{}://{ip}:{number}", protocol.to_lowercase());
        let prefix = format!("{name}_PORT_{number}_{protocol}");
        if at == 0 {
            put(format!("{name}_PORT"), url.clone());
        }
        put(prefix.clone(), url);
        put(format!("{prefix}_PROTO"), protocol.to_lowercase());
        put(format!("{prefix}_PORT"), number);
        put(format!("{prefix}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded() {
        let env = |name: &str| (name == "A").then(|| ArcStr::from("x"));
        let check = |text: &str, expect: &str| assert_eq!(expand(text, &env), expect, "{text}");
        check("$(A)-$(B)", "x-$(B)");
        check("$$(A)", "$(A)");
        check("100$", "100$");
        check("$A", "$A");
    }

    #[test]
    fn sub_paths_select_files() {
        let check = |at: &str, sub: &str, path: &str, expect: Option<&str>| assert_eq!(mounted_path(at, sub, path).as_deref(), expect);
        check("/etc/app", "", "a.json", Some("/etc/app/a.json"));
        check("/etc/app/a.json", "a.json", "a.json", Some("/etc/app/a.json"));
        check("/etc/app/a.json", "a.json", "b.json", None);
    }
}
