//! What is done to packets: a table of the node's own nftables in a pod's network namespace.

use super::process::Processes;
use crate::cluster::outpost::nodes::{Deed, short};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

/// Of how many packets the share is lost.
const OUT_OF: f64 = 1_000_000.0;

/// The table of a disturbance.
fn table(name: &str) -> String {
    format!("d_{}", short(name))
}

/// The rules of a deed; `None` for one that has none, an error for one that cannot be.
pub fn rules(name: &str, deed: &Deed) -> Result<Option<String>, String> {
    let (entering, leaving) = match deed {
        Deed::Loss { share, .. } if *share > 0.0 && *share <= 1.0 => {
            let lost = (share * OUT_OF).round().max(1.0);
            // nft refuses a bound that every number is below.
            let rule = if lost < OUT_OF { format!("numgen random mod {OUT_OF} < {lost} drop") } else { "drop".to_owned() };
            (vec![rule.clone()], vec![rule])
        }
        Deed::Loss { share, .. } => return Err(format!("a share of {share} cannot be lost")),
        Deed::Partition { peers, .. } if peers.is_empty() => (vec!["drop".to_owned()], vec!["drop".to_owned()]),
        Deed::Partition { peers, .. } => {
            let mut found = (Vec::new(), Vec::new());
            for peer in peers {
                let address: IpAddr = peer.parse().map_err(|_| format!("{peer:?} is no address"))?;
                let family = if address.is_ipv4() { "ip" } else { "ip6" };
                found.0.push(format!("{family} saddr {address} drop"));
                found.1.push(format!("{family} daddr {address} drop"));
            }
            found
        }
        Deed::Kill { .. } | Deed::StopKubelet => return Ok(None),
    };
    let chain = |hook: &str, interface: &str, rules: &[String]| {
        // Packets within the pod touch no wire.
        format!(
            "  chain {hook} {{\n    type filter hook {hook} priority -300; policy accept;\n    {interface} \"lo\" accept\n    {}\n  }}\n",
            rules.join("\n    ")
        )
    };
    let table = table(name);
    let chains = chain("input", "iifname", &entering) + &chain("output", "oifname", &leaving);
    Ok(Some(format!("table inet {table} {{}}\ndelete table inet {table}\ntable inet {table} {{\n{chains}}}\n")))
}

/// Puts rules in force in a pod's network.
pub fn begin(processes: &Processes, pod_uid: &str, rules: &str) -> Result<(), String> {
    let inside = processes.oldest_of(pod_uid).ok_or_else(|| format!("no process of pod {pod_uid} runs here"))?;
    nft(processes, inside, rules)
}

/// Takes a disturbance's rules out of force; nothing happens when they or the pod are gone.
pub fn end(processes: &Processes, pod_uid: &str, name: &str) -> Result<(), String> {
    let Some(inside) = processes.oldest_of(pod_uid) else { return Ok(()) };
    let table = table(name);
    let done = nft(processes, inside, &format!("table inet {table} {{}}\ndelete table inet {table}\n"));
    // A pod that ended meanwhile took its rules with it.
    if processes.oldest_of(pod_uid).is_none() { Ok(()) } else { done }
}

/// Runs the node's own `nft` in the network of a process. The node's files are those that its kubelet sees; process 1 is somebody else's
/// where a node is itself a container.
fn nft(processes: &Processes, inside: u32, script: &str) -> Result<(), String> {
    let host = processes.kubelets().into_iter().next().unwrap_or(1);
    let failed = |error: std::io::Error| format!("nsenter cannot be run: {error}");
    let mut child = Command::new("nsenter")
        .arg(format!("--mount={}", processes.namespace(host, "mnt").display()))
        .arg(format!("--net={}", processes.namespace(inside, "net").display()))
        .args(["nft", "-f", "-"])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // When it cannot be written, the exit code says so.
        let _ = stdin.write_all(script.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(&output.stderr).chars().take(300).collect();
    Err(format!("nft failed on the node ({}): {}", output.status, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> String {
        "u".to_owned()
    }

    #[test]
    fn rules_drop_both_ways_and_spare_the_pod_itself() {
        let check = |deed: Deed, entering: &str, leaving: &str| {
            let table = table("n");
            let expect = format!(
                "table inet {table} {{}}\ndelete table inet {table}\ntable inet {table} {{\n  chain input {{\n    type filter hook input priority -300; policy accept;\n    iifname \"lo\" accept\n    {entering}\n  }}\n  chain output {{\n    type filter hook output priority -300; policy accept;\n    oifname \"lo\" accept\n    {leaving}\n  }}\n}}\n"
            );
            assert_eq!(rules("n", &deed), Ok(Some(expect)));
        };
        let half = "numgen random mod 1000000 < 500000 drop";
        check(Deed::Loss { pod_uid: pod(), share: 0.5 }, half, half);
        check(Deed::Loss { pod_uid: pod(), share: 1.0 }, "drop", "drop");
        check(Deed::Partition { pod_uid: pod(), peers: Vec::new() }, "drop", "drop");
        check(
            Deed::Partition { pod_uid: pod(), peers: vec!["10.244.1.2".to_owned(), "fd00::1".to_owned()] },
            "ip saddr 10.244.1.2 drop\n    ip6 saddr fd00::1 drop",
            "ip daddr 10.244.1.2 drop\n    ip6 daddr fd00::1 drop",
        );
        assert_eq!(rules("n", &Deed::StopKubelet), Ok(None));
        assert!(rules("n", &Deed::Loss { pod_uid: pod(), share: f64::NAN }).is_err());
        assert!(rules("n", &Deed::Partition { pod_uid: pod(), peers: vec!["x } drop".to_owned()] }).is_err());
    }
}
