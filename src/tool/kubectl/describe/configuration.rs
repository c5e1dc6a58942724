//! ConfigMaps, Secrets, ServiceAccounts.

use super::Scene;
use super::sheet::Sheet;
use crate::cluster::Options;
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::Failure;

/// A ConfigMap.
pub fn config_map(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    sheet.raw("\nData\n====\n");
    for (key, value) in object.get("data").entries() {
        sheet.line(0, format_args!("{key}:\n----"));
        sheet.line(0, value.text());
        sheet.line(0, "");
    }
    sheet.raw("\nBinaryData\n====\n");
    for (key, value) in object.get("binaryData").entries() {
        sheet.line(0, format_args!("{key}: {} bytes", decoded_len(value)));
    }
    sheet.line(0, "");
    scene.write_events(object, sheet);
    Ok(())
}

/// How many bytes a base64 text stands for.
fn decoded_len(value: &Json) -> usize {
    let text = value.text();
    text.len() / 4 * 3 - text.bytes().rev().take(2).filter(|b| *b == b'=').count()
}

/// A Secret.
pub fn secret(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.head(object);
    sheet.line(0, format_args!("\nType:\t{}", object.get("type").text()));
    sheet.raw("\nData\n====\n");
    for (key, value) in object.get("data").entries() {
        if key == "token" && object.get("type").text() == "kubernetes.io/service-account-token" {
            let token = crate::object::decode::from_base64(value.text()).unwrap_or_default();
            sheet.field(0, key, String::from_utf8_lossy(&token));
        } else {
            sheet.field(0, key, format_args!("{} bytes", decoded_len(value)));
        }
    }
    Ok(())
}

/// A ServiceAccount.
pub fn service_account(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let secrets = scene.try_list("", "secrets", Some(object.namespace()), Options::default());
    let existing = secrets.as_deref().unwrap_or_default();
    let is_missing = |name: &str| secrets.is_ok() && !existing.iter().any(|secret| secret.name() == name);
    let is_token = |secret: &&Object| {
        secret.get("type").text() == "kubernetes.io/service-account-token"
            && secret.annotation("kubernetes.io/service-account.name") == Some(object.name())
            && secret.annotation("kubernetes.io/service-account.uid") == Some(object.uid())
    };
    sheet.head(object);
    let names = |field: &str| object.get(field).items().iter().map(|r| r.get("name").text().to_owned()).collect::<Vec<_>>();
    let rows = [
        ("Image pull secrets:", names("imagePullSecrets")),
        ("Mountable secrets: ", names("secrets")),
        ("Tokens:            ", existing.iter().filter(is_token).map(|secret| secret.name().to_owned()).collect()),
    ];
    for (title, names) in &rows {
        if names.is_empty() {
            sheet.line(0, format_args!("{title}\t<none>"));
        }
        for (at, name) in names.iter().enumerate() {
            let lead = if at == 0 { title } else { "                   " };
            sheet.line(0, format_args!("{lead}\t{name}{}", if is_missing(name) { " (not found)" } else { "" }));
        }
    }
    scene.write_events(object, sheet);
    Ok(())
}
