//! Host names: a stub resolver over `/etc/hosts` and `/etc/resolv.conf`, since a static glibc cannot resolve any.
//!
//! Search list, `ndots`, time-outs and attempts are followed as glibc and Go follow them. Only IPv4 addresses are asked for;
//! truncated answers are taken as they are.

use crate::app::rules::NotOpen;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How names are resolved.
#[derive(Clone, Debug)]
pub enum Names {
    /// As the machine is set up.
    System,
    /// From a table.
    Table(Arc<BTreeMap<String, Ipv4Addr>>),
}

/// `/etc/resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: usize,
}

impl Settings {
    fn parse(text: &str) -> Settings {
        let mut settings = Settings { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => settings.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok())),
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| settings.option(option)),
                _ => {}
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        settings
    }

    fn option(&mut self, option: &str) {
        match option.split_once(':').and_then(|(name, value)| Some((name, value.parse::<u32>().ok()?))) {
            Some(("ndots", n)) => self.ndots = n as usize,
            Some(("timeout", n)) => self.timeout = Duration::from_secs(u64::from(n.clamp(1, 30))),
            Some(("attempts", n)) => self.attempts = n.clamp(1, 5) as usize,
            _ => {}
        }
    }

    /// The full names that are tried for a name, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{}", domain.trim_end_matches('.')));
        let plain = std::iter::once(name.to_owned());
        if name.matches('.').count() >= self.ndots { plain.chain(searched).collect() } else { searched.chain(plain).collect() }
    }
}

impl Names {
    /// The addresses of a host.
    ///
    /// # Errors
    /// When it has none, or nobody answers.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, NotOpen> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        match self {
            Names::Table(table) => match table.get(host) {
                Some(address) => Ok(vec![IpAddr::V4(*address)]),
                None => Err(NotOpen::NoName(arcstr::literal!("127.0.0.53"))),
            },
            Names::System => {
                let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
                let listed = in_hosts(&hosts, host);
                if !listed.is_empty() {
                    return Ok(listed);
                }
                let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
                ask(&Settings::parse(&text), host).await
            }
        }
    }
}

/// The IPv4 addresses that `/etc/hosts` has for a host.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() && words.any(|w| w.eq_ignore_ascii_case(host))).then_some(address)
    };
    text.lines().filter_map(of_line).collect()
}

async fn ask(settings: &Settings, host: &str) -> Result<Vec<IpAddr>, NotOpen> {
    let first: ArcStr = settings.servers.first().map(IpAddr::to_string).unwrap_or_default().into();
    let mut answered = false;
    for name in settings.candidates(host) {
        match query_all(settings, &name).await {
            Some(addresses) if !addresses.is_empty() => return Ok(addresses),
            Some(_) => answered = true,
            None => {}
        }
    }
    Err(if answered { NotOpen::NoName(first) } else { NotOpen::NoResolver })
}

/// What the first server that answers says; `None` when none does.
async fn query_all(settings: &Settings, name: &str) -> Option<Vec<IpAddr>> {
    for _ in 0..settings.attempts {
        for server in &settings.servers {
            let asked = timeout(settings.timeout, query(SocketAddr::new(*server, 53), name)).await;
            if let Ok(Some(addresses)) = asked {
                return Some(addresses);
            }
        }
    }
    None
}

async fn query(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = u16::try_from(super::place::randomness().below(0x1_0000)).unwrap_or(0);
    socket.send(&question(id, name)?).await.ok()?;
    let mut buffer = [0_u8; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        if let Some(answer) = buffer.get(..length).filter(|b| b.starts_with(&id.to_be_bytes())) {
            return addresses(answer);
        }
    }
}

/// A question for A records.
fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..64).contains(n))?;
        packet.push(length);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    Some(packet)
}

/// The addresses in an answer; none when the name does not exist, `None` when the server failed.
fn addresses(packet: &[u8]) -> Option<Vec<IpAddr>> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    match packet.get(3)? & 0x0f {
        0 | 3 => {}
        _ => return None,
    }
    let (questions, answers) = (word(4)?, word(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(packet, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = skip_name(packet, at)?;
        let (kind, length) = (word(at)?, usize::from(word(at + 8)?));
        if let (1, Some([a, b, c, d])) = (kind, packet.get(at + 10..at + 10 + length)) {
            found.push(IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)));
        }
        at += 10 + length;
    }
    Some(found)
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_lists_and_dots() {
        let text = "search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        let settings = Settings::parse(text);
        assert_eq!(settings.servers, [IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10))]);
        let check = |name: &str, expect: &[&str]| assert_eq!(settings.candidates(name), expect, "{name}");
        check("consul", &["consul.ns.svc.cluster.local", "consul.svc.cluster.local", "consul.cluster.local", "consul"]);
        check(
            "a.b.c.d.e.f",
            &["a.b.c.d.e.f", "a.b.c.d.e.f.ns.svc.cluster.local", "a.b.c.d.e.f.svc.cluster.local", "a.b.c.d.e.f.cluster.local"],
        );
        check("consul.", &["consul"]);
        assert_eq!(Settings::parse("").servers, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn hosts_files() {
        let check = |host: &str, expect: &[[u8; 4]]| {
            let found = in_hosts("127.0.0.1 localhost\n::1 localhost\n10.1.2.3\tgeo-1 geo # x y\n", host);
            assert_eq!(found, expect.iter().map(|a| IpAddr::from(*a)).collect::<Vec<_>>(), "{host}");
        };
        check("localhost", &[[127, 0, 0, 1]]);
        check("geo", &[[10, 1, 2, 3]]);
        check("x", &[]);
    }

    #[test]
    fn answers_are_read() {
        let mut packet = question(7, "consul").expect("valid");
        packet[3] = 0x80;
        packet[7] = 2;
        packet.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 2, 0xc0, 12]);
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 9]);
        assert_eq!(addresses(&packet), Some(vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9))]));
        packet[3] = 0x82;
        assert_eq!(addresses(&packet), None);
        assert_eq!(addresses(&packet[..5]), None);
        assert_eq!(question(1, "a..b"), None);
    }
}
