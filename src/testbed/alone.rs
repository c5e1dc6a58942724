//! `testbed play`: one container's process on this machine, without an image.

use super::names::Names;
use super::place::{Output, Place};
use super::role::play;
use crate::app::Catalog;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const USAGE: &str =
    "usage: testbed play --image IMAGE [--envs DIR] [--root DIR] [--listen IP] [--host NAME=IP]... [--env NAME=VALUE]... [-- COMMAND...]";

/// Runs `testbed play`.
pub fn run(arguments: &[String]) -> i32 {
    match place(arguments).and_then(play) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            127
        }
    }
}

/// The place that a command line describes.
fn place(arguments: &[String]) -> Result<Place, String> {
    let (mut env, mut hosts) = (BTreeMap::<ArcStr, ArcStr>::new(), BTreeMap::new());
    let (mut image, mut envs, mut root, mut listen) = (None, None, PathBuf::from("/nonexistent"), Ipv4Addr::LOCALHOST);
    let mut words = arguments.iter();
    let mut command: Vec<ArcStr> = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            command = words.map(ArcStr::from).collect();
            break;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
        let pair = || value.split_once('=').ok_or_else(|| format!("{word} {value}: NAME=VALUE is expected"));
        let address = |text: &str| text.parse::<Ipv4Addr>().map_err(|e| format!("{word} {text}: {e}"));
        match word.as_str() {
            "--image" => image = Some(value.clone()),
            "--envs" => envs = Some(value.clone()),
            "--root" => root = PathBuf::from(value),
            "--listen" => listen = address(value)?,
            "--env" => drop(env.insert(pair()?.0.into(), pair()?.1.into())),
            "--host" => drop(hosts.insert(pair()?.0.to_owned(), address(pair()?.1)?)),
            _ => return Err(format!("unknown option {word:?}\n{USAGE}")),
        }
    }
    let catalog = match envs {
        Some(folder) => Arc::new(Catalog::with_folder(Path::new(&folder)).map_err(|e| e.to_string())?),
        None => Catalog::embedded(),
    };
    let image = image.ok_or(USAGE)?;
    let found = catalog.image(&image).ok_or_else(|| format!("{image}: no such image"))?;
    let argv = if command.is_empty() { found.argv(&[], &[]) } else { command };
    let mut all: BTreeMap<ArcStr, ArcStr> = found.env.iter().cloned().collect();
    all.extend(env);
    Ok(Place {
        catalog,
        image,
        argv,
        env: all,
        root,
        listen,
        address: listen.to_string().into(),
        names: if hosts.is_empty() { Names::System } else { Names::Table(Arc::new(hosts)) },
        output: Output::Stdout,
        signals: true,
        kill: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let read = |line: &str| place(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let memcached = read("--image memcached --listen 127.0.0.9 --host a=127.0.0.2").expect("valid");
        assert_eq!(memcached.argv, ["docker-entrypoint.sh", "memcached"]);
        assert_eq!(memcached.address, "127.0.0.9");
        let geo = read("--image yinfangchen/hotelreservation --env A=b -- geo x").expect("valid");
        assert_eq!((geo.argv.len(), geo.env.get("A").map(ArcStr::as_str)), (2, Some("b")));
        for wrong in ["--what x", "--image", "--image nothing/here", "--listen here --image memcached", "--env x --image memcached"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
