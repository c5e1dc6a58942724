//! What is done to packets in a pod's network namespace: a table of the node's own nftables, or a queue of its `tc`.

use super::held::Refusal;
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
        Deed::Kill { .. } | Deed::Delay { .. } | Deed::StopKubelet => return Ok(None),
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

/// Delays what a pod sends.
pub fn delay(processes: &Processes, pod_uid: &str, (latency_ms, jitter_ms): (u64, u64)) -> Result<(), Refusal> {
    let missing = || Refusal::NoTarget(format!("no process of pod {pod_uid} runs here"));
    let inside = processes.oldest_of(pod_uid).ok_or_else(missing)?;
    for interface in processes.interfaces(inside) {
        let words = delay_words(&interface, latency_ms, jitter_ms);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        tc(processes, inside, &words)?;
    }
    Ok(())
}

fn delay_words(interface: &str, latency_ms: u64, jitter_ms: u64) -> Vec<String> {
    let (latency, jitter) = (format!("{latency_ms}ms"), format!("{jitter_ms}ms"));
    // The queue has to hold what is sent meanwhile.
    let words = ["qdisc", "replace", "dev", interface, "root", "netem", "limit", "100000", "delay", &latency, &jitter];
    words.map(str::to_owned).to_vec()
}

/// Ends a delay; nothing happens when it or the pod is gone.
pub fn end_delay(processes: &Processes, pod_uid: &str) -> Result<(), Refusal> {
    let Some(inside) = processes.oldest_of(pod_uid) else { return Ok(()) };
    for interface in processes.interfaces(inside) {
        let done = tc(processes, inside, &["qdisc", "del", "dev", &interface, "root"]);
        match done {
            Err(Refusal::Failed(why)) if processes.oldest_of(pod_uid).is_some() && !is_gone(&why) => return Err(Refusal::Failed(why)),
            // Who cannot make a queue has none to take away.
            _ => {}
        }
    }
    Ok(())
}

/// Whether `tc` says that there is no such queue.
fn is_gone(why: &str) -> bool {
    ["Cannot delete qdisc with handle of zero", "Cannot find specified qdisc", "No such file or directory"].iter().any(|t| why.contains(t))
}

fn tc(processes: &Processes, inside: u32, words: &[&str]) -> Result<(), Refusal> {
    let program: Vec<&str> = std::iter::once("tc").chain(words.iter().copied()).collect();
    nsenter(processes, inside, &program, "").map_err(|why| {
        let lacks = ["failed to execute tc", "tc: invalid argument", "Specified qdisc kind is unknown", "Specified qdisc not found"];
        if lacks.iter().any(|text| why.contains(text)) {
            return Refusal::Missing(format!("tc with netem, which the node lacks: {why}"));
        }
        Refusal::Failed(why)
    })
}

fn nft(processes: &Processes, inside: u32, script: &str) -> Result<(), String> {
    nsenter(processes, inside, &["nft", "-f", "-"], script)
}

/// Runs a program of the node's own in the network of a process. The node's files are those that its kubelet sees; process 1 is somebody
/// else's where a node is itself a container.
fn nsenter(processes: &Processes, inside: u32, program: &[&str], stdin: &str) -> Result<(), String> {
    let host = processes.kubelets().into_iter().next().unwrap_or(1);
    let failed = |error: std::io::Error| format!("nsenter cannot be run: {error}");
    let mut child = Command::new("nsenter")
        .arg(format!("--mount={}", processes.namespace(host, "mnt").display()))
        .arg(format!("--net={}", processes.namespace(inside, "net").display()))
        .args(program)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        // When it cannot be written, the exit code says so.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(&output.stderr).chars().take(300).collect();
    Err(format!("{} failed on the node ({}): {}", program.first().unwrap_or(&""), output.status, text.trim()))
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
        assert_eq!(delay_words("eth0", 10_000, 5).join(" "), "qdisc replace dev eth0 root netem limit 100000 delay 10000ms 5ms");
        assert!(rules("n", &Deed::Loss { pod_uid: pod(), share: f64::NAN }).is_err());
        assert!(rules("n", &Deed::Partition { pod_uid: pod(), peers: vec!["x } drop".to_owned()] }).is_err());
    }
}
