//! Our kubectl against a real one: the recorded object sets of `tests/fidelity/objects`, byte for byte.

use crate::recorded::{Recorded, kubectl};
use aiopslab::object::Json;
use aiopslab::time::SimTime;
use aiopslab::tool::kubectl::Output;
use std::path::Path;

/// The verbs that are compared here; the others change things.
const VERBS: &[&str] = &["get", "describe", "events"];

fn expectations(set: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fidelity/objects/{set}.expect.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Json::parse(&text).expect("expectations are JSON").items().to_vec()
}

fn check(set: &str, floor: usize) {
    let mut cluster = Recorded::load(set);
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in expectations(set) {
        let command = entry.get("command").text();
        if !crate::recorded::words(command).iter().any(|word| VERBS.contains(&word.as_str())) {
            continue;
        }
        seen += 1;
        // Ages of microsecond times may pass a second while the real command runs.
        let mut out = Output::default();
        let mut same = false;
        let moment = |name: &str| entry.get(name).as_i64().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let (before, after) = (moment("now_before_ns"), moment("now_after_ns"));
        for part in 0..=20 {
            cluster.now = SimTime::from_nanos(before + (after - before) / 20 * part);
            out = kubectl(&mut cluster, command);
            same = equal(command, &out.stdout, entry.get("stdout").text())
                && out.stderr == entry.get("stderr").text()
                && i64::from(out.exit_code) == entry.get("exit_code").as_i64().unwrap_or(-1);
            if same {
                break;
            }
        }
        if !same {
            let difference = first_difference(&out.stdout, entry.get("stdout").text())
                .or_else(|| first_difference(&out.stderr, entry.get("stderr").text()))
                .unwrap_or_else(|| format!("exit code {}", out.exit_code));
            wrong.push(format!("{command}\n{difference}"));
        }
    }
    assert!(seen >= floor, "{set}: only {seen} commands");
    assert!(wrong.is_empty(), "{set}: {} of {seen} differ\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// kubectl goes over the resources of a limit range in random order; there the lines count, not their order.
fn equal(command: &str, ours: &str, theirs: &str) -> bool {
    if !command.contains("describe limit") && command != "kubectl describe ns shop" {
        return ours == theirs;
    }
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    sorted(ours) == sorted(theirs)
}

fn first_difference(ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let at = ours.lines().zip(theirs.lines()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.split_inclusive('\n').skip(at).take(3).map(|l| format!("{l:?}")).collect::<Vec<_>>().join("\n         ");
    Some(format!("  line {}\n  ours   {}\n  kubectl {}", at + 1, show(ours), show(theirs)))
}

#[test]
fn prints_the_shop_like_kubectl() {
    check("shop", 350);
}

#[test]
fn prints_what_is_broken_like_kubectl() {
    check("broken", 80);
}

#[test]
fn prints_releases_like_kubectl() {
    check("release", 35);
}
