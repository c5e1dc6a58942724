//! The testbed's images: which there are, what is in them, and that their bytes are always the same.

use aiopslab::app::digest::sha256;
use aiopslab::app::{Catalog, Reference};
use aiopslab::object::Json;
use aiopslab::testbed::pack::{OWN, Parts, pack};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

fn parts() -> Parts {
    let applets = ["cat", "env", "ls", "sh", "sleep"].map(str::to_owned).into();
    let envs = BTreeMap::from([("apps/x/app.toml".to_owned(), b"title".to_vec())]);
    Parts { program: b"program".to_vec().into(), busybox: b"busybox".to_vec().into(), applets, envs }
}

fn read(path: &Path) -> Json {
    Json::parse(&std::fs::read_to_string(path).expect("readable")).expect("valid")
}

/// The blob of a descriptor, checked against its digest.
fn blob(layout: &Path, descriptor: &Json) -> Vec<u8> {
    let digest = descriptor.get("digest").text().trim_start_matches("sha256:");
    let bytes = std::fs::read(layout.join("blobs/sha256").join(digest)).expect("there");
    assert_eq!((sha256(&bytes).as_str(), Some(bytes.len() as i64)), (digest, descriptor.get("size").as_i64()));
    bytes
}

fn json(bytes: &[u8]) -> Json {
    Json::parse(std::str::from_utf8(bytes).expect("text")).expect("valid")
}

/// The files of an image by path, with what they hold; links lead to what they name.
fn files(layout: &Path, name: &str) -> (BTreeMap<String, String>, Json) {
    let index = read(&layout.join("index.json"));
    let named = |d: &&Json| d.at(&["annotations", "org.opencontainers.image.ref.name"]).text() == name;
    let manifest = json(&blob(layout, index.get("manifests").items().iter().find(named).unwrap_or_else(|| panic!("{name}"))));
    let mut files = BTreeMap::new();
    for layer in manifest.get("layers").items() {
        let bytes = blob(layout, layer);
        let mut of_layer: BTreeMap<String, String> = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            if entry.header().entry_type() == tar::EntryType::Link {
                text = of_layer[&entry.link_name().expect("readable").expect("a link").display().to_string()].clone();
            }
            of_layer.insert(path, text);
        }
        files.extend(of_layer);
    }
    (files, json(&blob(layout, manifest.get("config"))))
}

#[test]
fn every_image_of_the_catalogue_is_packed_and_bytes_follow_from_content() {
    let catalog = Catalog::embedded();
    let folder = std::env::temp_dir().join(format!("testbed-images-{}", std::process::id()));
    let (first, second) = (folder.join("a"), folder.join("b"));
    let names = pack(&catalog, &parts(), &first).expect("written");
    assert_eq!(pack(&catalog, &parts(), &second).expect("written"), names);
    let content = |layout: &Path| {
        let blobs = std::fs::read_dir(layout.join("blobs/sha256")).expect("there").map(|e| e.expect("readable").file_name());
        (std::fs::read(layout.join("index.json")).expect("there"), blobs.collect::<BTreeSet<_>>())
    };
    assert_eq!(content(&first), content(&second));

    let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(known.len(), names.len(), "a name twice");
    for image in &catalog.images {
        for (repository, tag) in image.repositories.iter().flat_map(|r| image.tags.iter().map(move |t| (r, t))) {
            let name = format!("{repository}:{}", if tag == "*" { "latest" } else { tag });
            assert!(known.contains(name.as_str()), "{name}");
            assert_eq!(Reference::parse(&name).expect("valid").to_string(), name);
        }
    }
    assert!(known.contains(OWN));
    what_is_in_images(&first);
    std::fs::remove_dir_all(&folder).expect("removed");
}

fn what_is_in_images(layout: &Path) {
    let check = |name: &str, path: &str, expect: Option<&str>| {
        assert_eq!(files(layout, name).0.get(path).map(String::as_str), expect, "{name} {path}");
    };
    let hotel = "docker.io/yinfangchen/hotelreservation:latest";
    check(hotel, "go/bin/geo", Some("program"));
    check(hotel, "usr/bin/ls", Some("busybox"));
    check(hotel, "usr/bin/bash", Some("program"));
    check(hotel, "usr/bin/mongod", None);
    check(hotel, "usr/lib/testbed/image", Some("docker.io/yinfangchen/hotelreservation:latest\n"));
    check(hotel, "usr/lib/testbed/envs/apps/x/app.toml", Some("title"));
    check("docker.io/library/mongo:4.4.6", "usr/bin/mongo", Some("program"));
    check("docker.io/library/mongo:4.4.6", "usr/local/bin/docker-entrypoint.sh", Some("program"));
    check("docker.io/hashicorp/consul:latest", "bin/sh", Some("busybox"));
    check("docker.io/hashicorp/consul:latest", "usr/bin/env", Some("busybox"));
    check("registry.k8s.io/pause:3.10", "pause", Some("program"));
    check("registry.k8s.io/pause:3.10", "bin/sh", None);
    check(OWN, "usr/local/bin/testbed", Some("program"));
    let config = |name: &str| files(layout, name).1.get("config").clone();
    let wrong = "docker.io/yinfangchen/hotelreservation:1.1.3";
    let path = "go/src/github.com/harlow/go-micro-services/config.json";
    assert!(files(layout, wrong).0[path].contains("mongodb-geo:27777"));
    assert_eq!(config(hotel).get("WorkingDir").text(), "/go/src/github.com/harlow/go-micro-services");
    assert_eq!(config("docker.io/library/memcached:latest").get("User").text(), "11211");
    assert_eq!(config("docker.io/library/mongo:4.4.6").get("Entrypoint").to_compact(), r#"["docker-entrypoint.sh"]"#);
}
