//! Images: whether they are there, pulls, their back-off and their texts.

use super::actions::{find, name_of};
use super::backoff::{Backoff, go_duration};
use super::pod::{Reason, Step};
use super::start::{creation_time, fail, report};
use super::sync::Flow;
use super::{drawn, edit, nodes};
use crate::app::{Pull, Reference};
use crate::cluster::sim::controllers::events::Severity;
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use crate::rng::Key as Hash;
use arcstr::ArcStr;
use std::time::Duration;

/// Time until a registry says that it lacks an image, and until a name server says that there is no such registry, in seconds.
const REFUSAL_S: f64 = 0.6;
const NO_HOST_S: f64 = 0.05;
/// Time that a pull takes besides its bytes, in seconds, and bytes a second.
const PULL_S: f64 = 0.9;
const BYTES_PER_S: f64 = 60.0e6;

/// An image's name and id as containerd reports them.
pub fn runtime_names(image: &str) -> (ArcStr, ArcStr) {
    let Some(reference) = Reference::parse(image) else { return (image.into(), ArcStr::new()) };
    let name: ArcStr = reference.to_string().into();
    let digest = reference.digest.clone().unwrap_or_else(|| digest_of(&name));
    let id = format!("{}@{digest}", reference.name()).into();
    (name, id)
}

/// The digest of an image, a function of its name.
pub fn digest_of(name: &str) -> ArcStr {
    let mut stream = Hash::new(0).part("image-digest").part(name).stream();
    let hex: String = (0..4).map(|_| format!("{:016x}", stream.bits())).collect();
    format!("sha256:{hex}").into()
}

/// Makes sure that a container's image is on the node; goes on to create the container, or to wait for a pull.
pub fn ensure(world: &mut World, uid: &str, object: &Object, spec: &Json) -> Flow {
    let name = name_of(spec);
    let image = spec.get("image").text();
    let Some(node) = world.kubelet.pods.get(uid).map(|p| p.node.clone()) else { return Flow::Next };
    let Some(reference) = Reference::parse(image) else {
        let message = format!("Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {}", malformed(image));
        report(world, object, &name, Severity::Warning, ("InspectFailed", &message));
        return give_up(world, uid, object, &name, Reason::new("InvalidImageName", message));
    };
    let policy = spec.get("imagePullPolicy").text();
    let present = nodes::has_image(world, &node, &reference);
    if present && policy != "Always" {
        let message = format!("Container image {image:?} already present on machine");
        report(world, object, &name, Severity::Normal, ("Pulled", &message));
        edit(world, uid, |pod| pod.plan.push_front(Step::Create(name)));
        return Flow::After(creation_time(world, uid));
    }
    if policy == "Never" {
        let message = format!("Container image {image:?} is not present with pull policy of Never");
        report(world, object, &name, Severity::Warning, ("ErrImageNeverPull", &message));
        return give_up(world, uid, object, &name, Reason::new("ErrImageNeverPull", message));
    }
    pull(world, uid, object, &name, image, present)
}

/// Reports that a container cannot be started for want of its image.
fn give_up(world: &mut World, uid: &str, object: &Object, name: &ArcStr, reason: Reason) -> Flow {
    report(world, object, name, Severity::Warning, ("Failed", &format!("Error: {}", reason.reason)));
    fail(world, uid, object, name, reason)
}

fn pull(world: &mut World, uid: &str, object: &Object, name: &ArcStr, image: &str, present: bool) -> Flow {
    let now = world.now;
    let held = world.kubelet.pods.get(uid).and_then(|p| p.pull_backoff.iter().find(|(i, b, _)| i == image && b.holds(now)).cloned());
    if let Some((_, _, error)) = held {
        let message = format!("Back-off pulling image {image:?}");
        report(world, object, name, Severity::Normal, ("BackOff", &message));
        return give_up(world, uid, object, name, Reason::new("ImagePullBackOff", format!("{message}: {error}")));
    }
    report(world, object, name, Severity::Normal, ("Pulling", &format!("Pulling image {image:?}")));
    edit(world, uid, |pod| pod.plan.push_front(Step::Pulled(name.clone())));
    let span = match world.catalog.pull(image) {
        Pull::Found(_) if present => drawn(world, uid, "pull", REFUSAL_S, 0.3),
        Pull::Found(found) => drawn(world, uid, "pull", PULL_S, 0.3) + Duration::from_secs_f64(found.size_bytes as f64 / BYTES_PER_S),
        Pull::NoRegistry(_) => drawn(world, uid, "pull", NO_HOST_S, 0.3),
        _ => drawn(world, uid, "pull", REFUSAL_S, 0.3),
    };
    // The event tells how long the pull took, and the world has no other memory of it.
    edit(world, uid, |pod| pod.pulling_since = Some(now));
    Flow::After(span)
}

/// Ends a pull.
pub fn pulled(world: &mut World, uid: &str, object: &Object, name: &ArcStr) -> Flow {
    let Some(spec) = find(object, name) else { return Flow::Next };
    let image = spec.get("image").text().to_owned();
    let Some((node, since)) = edit(world, uid, |pod| (pod.node.clone(), pod.pulling_since.take())) else { return Flow::Next };
    match world.catalog.pull(&image) {
        Pull::Found(found) => {
            let took = go_duration(world.now - since.unwrap_or(world.now));
            let message = format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                found.size_bytes
            );
            report(world, object, name, Severity::Normal, ("Pulled", &message));
            if let Some(reference) = Reference::parse(&image) {
                nodes::add_image(world, &node, &reference);
            }
            edit(world, uid, |pod| pod.plan.push_front(Step::Create(name.clone())));
            Flow::After(creation_time(world, uid))
        }
        refusal => refused(world, uid, object, name, (&image, &refusal)),
    }
}

fn refused(world: &mut World, uid: &str, object: &Object, name: &ArcStr, (image, refusal): (&str, &Pull)) -> Flow {
    let error = pull_error(refusal);
    report(world, object, name, Severity::Warning, ("Failed", &format!("Failed to pull image {image:?}: {error}")));
    let now = world.now;
    let previous: ArcStr = format!("ErrImagePull: {error}").into();
    edit(world, uid, |pod| {
        let old = pod.pull_backoff.iter().find(|(i, ..)| i == image).map(|(_, b, _)| *b);
        pod.pull_backoff.retain(|(i, ..)| i != image);
        pod.pull_backoff.push((image.into(), Backoff::raised(old, now, now), previous));
    });
    give_up(world, uid, object, name, Reason::new("ErrImagePull", error))
}

/// containerd's words for a refused pull, as the kubelet passes them on.
fn pull_error(refusal: &Pull) -> String {
    match refusal {
        Pull::NoTag(reference) => {
            let error = format!(
                "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": {reference}: not found"
            );
            format!("rpc error: code = NotFound desc = {error}")
        }
        Pull::NoRepository(reference) => format!(
            "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": pull access denied, repository does not \
             exist or may require authorization: server message: insufficient_scope: authorization failed"
        ),
        Pull::NoRegistry(reference) => format!(
            "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": failed to do request: \
             Head \"https://{}/v2/{}/manifests/{}\": dial tcp: lookup {} on 10.96.0.10:53: no such host",
            reference.registry, reference.repository, reference.tag, reference.registry
        ),
        _ => "invalid reference format".to_owned(),
    }
}

fn malformed(image: &str) -> String {
    if image.chars().any(|c| c.is_ascii_uppercase()) {
        let repository = image.split([':', '@']).next().unwrap_or_default();
        return format!("invalid reference format: repository name ({repository}) must be lowercase");
    }
    "invalid reference format".to_owned()
}
