//! What every namespace has: the service account `default` and the ConfigMap `kube-root-ca.crt`.

use super::pods::is_namespace_terminating;
use super::{Loop, Outcome, enqueue, identity};
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::Object;
use crate::rng::Key as RandomKey;

const CA: &str = "kube-root-ca.crt";
const CA_DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
                              internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// Puts a namespace on the queue that is new or has lost one of the two.
pub fn on_change(world: &mut World, change: &Change) {
    let namespace = match change.key.kind {
        Kind::NAMESPACE if change.before.is_none() => change.key.name.clone(),
        Kind::SERVICE_ACCOUNT if change.after.is_none() && change.key.name == "default" => change.key.namespace.clone(),
        Kind::CONFIG_MAP if change.before.is_some() && change.key.name == CA => change.key.namespace.clone(),
        _ => return,
    };
    enqueue(world, Loop::Accounts, Key::new(Kind::NAMESPACE, "", namespace));
}

/// The cluster's certificate authority in PEM form: shaped like one, worth nothing.
fn certificate(world: &World) -> String {
    let mut stream = RandomKey::new(world.seed).part("certificate-authority").stream();
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut line = |length: usize| -> String { (0..length).map(|_| char::from(ALPHABET[(stream.bits() & 63) as usize])).collect() };
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for at in 0..16 {
        let length = if at == 15 { 40 } else { 64 };
        text += &line(length);
        text += "\n";
    }
    text + "-----END CERTIFICATE-----\n"
}

/// Gives a namespace what it lacks.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    if world.store.get(key).is_none_or(Object::is_terminating) {
        return Ok(());
    }
    let account = Key::new(Kind::SERVICE_ACCOUNT, key.name.clone(), "default");
    if world.store.get(&account).is_none() {
        let object = object! { "metadata" => object! { "name" => "default" } };
        made(world.create(&identity("service-account-controller"), Kind::SERVICE_ACCOUNT, &key.name, object))?;
    }
    let data = object! { "ca.crt" => certificate(world) };
    let map = Key::new(Kind::CONFIG_MAP, key.name.clone(), CA);
    match world.store.get(&map) {
        Some(found) if *found.get("data") == data => {}
        Some(_) => {
            world.update(&map, |m| m.set("data", data))?;
        }
        None => {
            let annotations = object! { "kubernetes.io/description" => CA_DESCRIPTION };
            let object = object! { "metadata" => object! { "name" => CA, "annotations" => annotations }, "data" => data };
            made(world.create(&identity("root-ca-cert-publisher"), Kind::CONFIG_MAP, &key.name, object))?;
        }
    }
    Ok(())
}

fn made(result: Result<Object, crate::cluster::ApiError>) -> Outcome {
    match result {
        Err(error) if !is_namespace_terminating(&error) && error.reason != "AlreadyExists" => Err(error),
        _ => Ok(()),
    }
}
