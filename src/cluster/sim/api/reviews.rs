//! Reviews: kinds that are asked by creating them and stored nowhere (`kubectl auth can-i`, `whoami`, tokens).

use super::errors;
use super::rbac::Attributes;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity};
use crate::object::decode::from_base64;
use crate::object::{Json, Object, ResourceType};
use crate::time::SimTime;
use crate::{array, object};
use arcstr::ArcStr;

/// Whether the kind is a review.
pub fn is_review(resource: &ResourceType) -> bool {
    resource.plural.ends_with("reviews") && matches!(resource.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

/// Answers a review.
///
/// # Errors
/// 422 for a review that asks nothing.
pub fn answer(world: &World, who: &Identity, resource: &ResourceType, mut review: Object) -> Result<Object, ApiError> {
    match resource.plural.as_str() {
        "selfsubjectaccessreviews" => decide(world, who, resource, &mut review)?,
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let spec = review.spec();
            let groups = spec.get("groups").items().iter().filter_map(|g| g.as_text().cloned()).collect();
            let asked = Identity { user: spec.get("user").text().into(), groups };
            decide(world, &asked, resource, &mut review)?;
        }
        "selfsubjectrulesreviews" => rules(world, who, &mut review)?,
        "selfsubjectreviews" => review.set_at(&["status", "userInfo"], user_info(world, who)),
        _ => token(world, &mut review),
    }
    review.set_at(&["metadata", "creationTimestamp"], Json::Null);
    review.remove_at(&["metadata", "creationTimestamp"]);
    Ok(review)
}

fn decide(world: &World, who: &Identity, resource: &ResourceType, review: &mut Object) -> Result<(), ApiError> {
    let spec = review.spec().clone();
    let (object, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    if object.is_null() == path.is_null() {
        let mut causes = errors::FieldErrors::default();
        let text = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        causes.invalid("spec.resourceAttributes", object.clone(), text);
        return causes.into_result(&resource.group, &resource.kind, "");
    }
    let policy = world.api.policy(&world.store);
    let text = |field: &str| ArcStr::from(object.get(field).text());
    let decision = if object.is_null() {
        let allowed = policy.allows_path(who, path.get("verb").text(), path.get("path").text());
        if allowed { Ok(ArcStr::new()) } else { Err(ArcStr::new()) }
    } else {
        let part = object.get("subresource").text();
        let name = if part.is_empty() { text("resource") } else { format!("{}/{part}", text("resource")).into() };
        let wanted =
            Attributes { verb: text("verb"), group: text("group"), resource: name, namespace: text("namespace"), name: text("name") };
        policy.decide(who, &wanted)
    };
    let mut status = object! { "allowed" => decision.is_ok() };
    let why = decision.unwrap_or_else(|why| why);
    if !why.is_empty() {
        status.set("reason", why);
    }
    review.set("status", status);
    Ok(())
}

fn rules(world: &World, who: &Identity, review: &mut Object) -> Result<(), ApiError> {
    let namespace = review.spec().get("namespace").text().to_owned();
    if namespace.is_empty() {
        return Err(errors::bad_request("no namespace on request"));
    }
    let rules = world.api.policy(&world.store).rules_for(who, &namespace);
    let (paths, resources): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.is_about_paths());
    let json = |rules: Vec<&super::rbac::Rule>| rules.into_iter().map(super::rbac::Rule::to_json).collect::<Json>();
    review.set("status", object! { "incomplete" => false, "nonResourceRules" => json(paths), "resourceRules" => json(resources) });
    Ok(())
}

fn user_info(world: &World, who: &Identity) -> Json {
    let mut info = object! { "username" => &who.user, "groups" => who.groups.iter().map(Json::from).collect::<Json>() };
    let account = who.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let Some((namespace, name)) = account
        && let Some(object) = world.store.get(&Key::new(Kind::SERVICE_ACCOUNT, namespace, name))
    {
        info.set("uid", object.uid());
    }
    info
}

/// A token is good when it names a service account that exists and has not expired.
fn token(world: &World, review: &mut Object) {
    let text = review.spec().get("token").text().to_owned();
    let claims = text.split('.').nth(1).and_then(|part| {
        let mut padded = part.replace('-', "+").replace('_', "/");
        padded.push_str(&"===="[..(4 - padded.len() % 4) % 4]);
        Json::parse(std::str::from_utf8(&from_base64(&padded).ok()?).ok()?).ok()
    });
    let account = claims.as_ref().and_then(|claims| {
        let until = claims.get("exp").as_i64().and_then(|s| u64::try_from(s).ok()).map_or(SimTime::ZERO, SimTime::from_secs);
        let (namespace, name) = claims.get("sub").text().strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let object = world.store.get(&Key::new(Kind::SERVICE_ACCOUNT, namespace, name))?;
        (until > world.now).then(|| (namespace.to_owned(), name.to_owned(), object.uid().to_owned()))
    });
    let status = match account {
        None => object! { "user" => object! {}, "error" => "[invalid bearer token, token lookup failed]" },
        Some((namespace, name, uid)) => object! {
            "authenticated" => true,
            "audiences" => claims.map(|c| c.get("aud").clone()).unwrap_or_default(),
            "user" => object! {
                "username" => format!("system:serviceaccount:{namespace}:{name}"),
                "uid" => uid,
                "groups" => array![
                    "system:serviceaccounts",
                    format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ],
            },
        },
    };
    review.set("status", status);
}
