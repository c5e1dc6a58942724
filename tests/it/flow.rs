//! The flow against closed forms and against a discrete-event simulation.

use crate::flow_reference::Simulation;
use aiopslab::cluster::sim::flow::sharing::quantile;
use aiopslab::cluster::sim::flow::{Call, Entry, Moments, Net, Operation, Part, Phase, State, Station, System};

fn call(id: usize, target: usize) -> Call {
    Call {
        id,
        targets: vec![target],
        pool: None,
        reached: 1.0,
        succeeds: 1.0,
        hop: Moments::ZERO,
        timeout: f64::INFINITY,
        retries: 0,
        pause: 0.0,
        needed: true,
    }
}

fn station(node: usize, cores: f64) -> Station {
    Station { node, threads: cores, limit: f64::INFINITY, cancels: false, pool: None }
}

/// One server.
fn single(cores: f64, rate: f64, demand: Moments) -> Net {
    Net {
        nodes: vec![cores],
        stations: vec![station(0, cores)],
        pools: Vec::new(),
        operations: vec![Operation { station: 0, demand, included: false, body: Vec::new() }],
        entries: vec![Entry { rate, call: call(0, 0) }],
        calls: 1,
    }
}

fn settled(net: &Net) -> System {
    let mut system = System::new(net, State::idle(net));
    system.advance(net, 600.0);
    system
}

#[test]
fn closed_forms() {
    let check = |cores: f64, rate: f64, demand: f64, cv: f64, expect: f64| {
        let net = single(cores, rate, Moments::of(demand, cv));
        let system = settled(&net);
        assert_eq!(system.phase(), Phase::Settled);
        let found = system.load.entries[0].mean;
        assert!((found / expect - 1.0).abs() < 0.02, "{cores} cores, {rate}/s of {demand} s, cv {cv}: {found} instead of {expect}");
        let jobs = system.load.stations[0].jobs;
        assert!((jobs / (rate * expect) - 1.0).abs() < 0.02, "Little's law: {jobs}");
    };
    // M/M/1 and, since processor sharing is insensitive, M/G/1-PS: s / (1 − ρ).
    for cv in [0.0, 0.5, 1.0, 3.0] {
        check(1.0, 50.0, 0.01, cv, 0.02);
        check(1.0, 90.0, 0.01, cv, 0.1);
        check(1.0, 95.0, 0.01, cv, 0.2);
    }
    // M/M/c: s + C/(cμ − λ).
    check(2.0, 160.0, 0.01, 1.0, 0.01 / (1.0 - 0.64));
    check(4.0, 320.0, 0.01, 1.0, 0.01 + 0.5964 / 80.0);
    check(10.0, 800.0, 0.01, 1.0, 0.01 + 0.4092 / 200.0);
}

/// A service without work of its own whose calls of a store hold one of so many slots: the caller's connections, or the store's workers.
fn pooled(slots: f64, rate: f64, hold: Moments, of_server: bool) -> Net {
    let mut calls = call(1, 1);
    let operation = |station: usize, body: Vec<Part>| Operation { station, demand: Moments::ZERO, included: false, body };
    let mut operations = vec![operation(0, Vec::new()), operation(1, vec![Part::Wait(hold)])];
    if !of_server {
        calls.pool = Some(0);
    }
    operations[0].body = vec![Part::Call(calls)];
    Net {
        nodes: vec![1.0, 1.0],
        stations: vec![station(0, 1.0), Station { pool: of_server.then_some(0), ..station(1, 1.0) }],
        pools: vec![slots],
        operations,
        entries: vec![Entry { rate, call: call(0, 0) }],
        calls: 2,
    }
}

#[test]
fn pools_are_as_in_closed_forms_and_as_simulated() {
    let check = |slots: f64, rate: f64, hold: f64, expect: f64| {
        for of_server in [true, false] {
            let net = pooled(slots, rate, Moments::of(hold, 1.0), of_server);
            let system = settled(&net);
            let what = format!("{slots} slots, {rate}/s of {hold} s, {of_server}");
            assert_eq!(system.phase(), Phase::Settled, "{what}");
            let found = system.load.entries[0].mean;
            assert!((found / expect - 1.0).abs() < 0.02, "{what}: {found} instead of {expect}");
            compare(&what, &net, 200_000.0 / rate, false);
        }
    };
    // M/M/c: s + C/(cμ − λ).
    check(1.0, 50.0, 0.01, 0.02);
    check(1.0, 80.0, 0.01, 0.05);
    check(2.0, 160.0, 0.01, 0.01 / (1.0 - 0.64));
    check(4.0, 320.0, 0.01, 0.01 + 0.5964 / 80.0);
    check(10.0, 800.0, 0.01, 0.01 + 0.4092 / 200.0);
    check(10.0, 90.0, 0.1, 0.1 + 0.6687 / 10.0);
}

/// The hotel with as many workers per process, and connections from the frontend to search.
fn pooled_hotel(rate: f64, workers: f64, connections: f64, patience: f64) -> Net {
    let mut net = hotel(rate, patience, 0);
    net.pools = vec![workers, connections];
    net.stations[2].pool = Some(0);
    if let Part::Call(call) = &mut net.operations[0].body[0] {
        call.pool = Some(1);
    }
    net
}

#[test]
fn pools_in_a_network_agree_with_a_simulation() {
    for (utilisation, workers, connections) in [(0.5, 1.0, 4.0), (0.8, 2.0, 6.0), (0.9, 2.0, 8.0)] {
        let rate = utilisation / 0.76e-3;
        compare(
            &format!("utilisation {utilisation}, {workers} workers"),
            &pooled_hotel(rate, workers, connections, f64::INFINITY),
            200.0,
            false,
        );
    }
}

#[test]
fn a_pool_that_is_too_small_fails_its_callers() {
    // 10 connections for 0.1 s each are enough for 100 requests a second; callers wait for a second.
    for rate in [80.0, 130.0, 200.0] {
        let mut net = pooled(10.0, rate, Moments::of(0.1, 1.0), false);
        if let Part::Call(call) = &mut net.operations[0].body[0] {
            call.timeout = 1.0;
        }
        let system = settled(&net);
        let mut simulation = Simulation::new(&net, 7);
        simulation.run(60.0);
        let measured = &simulation.run(660.0)[0];
        let (failed, simulated) = (1.0 - system.load.calls[1].through, measured.error_share());
        assert!((failed - simulated).abs() < 0.1 * simulated + 0.005, "{rate}/s: {failed} instead of {simulated}");
    }
}

/// The hotel application's calls on `/hotels`, with demands that make its frontend the busiest.
fn hotel(rate: f64, patience: f64, retries: u32) -> Net {
    let ms = |mean: f64, cv: f64| Moments::of(mean / 1e3, cv);
    let hop = ms(0.4, 0.5);
    let to = |id: usize, target: usize| Part::Call(Call { hop, ..call(id, target) });
    let store = |mean: f64| Part::Wait(ms(mean, 0.6));
    let operation = |station: usize, mean: f64, body: Vec<Part>| Operation { station, demand: ms(mean, 1.0), included: false, body };
    Net {
        nodes: vec![1.0; 7],
        stations: (0..7).map(|node| station(node, 1.0)).collect(),
        pools: Vec::new(),
        operations: vec![
            operation(0, 1.0, vec![to(1, 1), to(2, 5), to(3, 6)]),
            operation(1, 0.9, vec![to(4, 2), to(5, 3)]),
            operation(2, 0.6, Vec::new()),
            operation(3, 0.6, vec![store(0.2)]),
            operation(4, 0.4, vec![to(7, 6)]),
            operation(5, 0.5, vec![store(0.2), store(0.1)]),
            operation(6, 0.6, vec![store(0.2)]),
        ],
        entries: vec![
            Entry { rate: rate * 0.6, call: Call { timeout: patience, retries, ..call(0, 0) } },
            Entry { rate: rate * 0.4, call: Call { timeout: patience, retries, ..call(6, 4) } },
        ],
        calls: 8,
    }
}

/// Flow and simulation over `seconds`: mean and 95th percentile of the times of the first entry, or share of errors.
fn compare(what: &str, net: &Net, seconds: f64, errors: bool) {
    let system = settled(net);
    let mut simulation = Simulation::new(net, 7);
    simulation.run(seconds / 5.0);
    let measured = &simulation.run(seconds * 1.2)[0];
    let (time, failed) = (system.load.entries[0], 1.0 - system.load.calls[net.entries[0].call.id].through);
    if errors {
        let slack = 0.1 * measured.error_share() + 0.003;
        assert!((failed - measured.error_share()).abs() < slack, "{what}: errors {failed} instead of {}", measured.error_share());
        return;
    }
    let p95 = quantile(time, 0.95);
    assert!((time.mean / measured.mean() - 1.0).abs() < 0.05, "{what}: mean {} instead of {}", time.mean, measured.mean());
    assert!((p95 / measured.quantile(0.95) - 1.0).abs() < 0.1, "{what}: p95 {p95} instead of {}", measured.quantile(0.95));
}

#[test]
fn a_simulation_of_every_request_agrees() {
    for utilisation in [0.1, 0.3, 0.6, 0.8, 0.9] {
        // The frontend works 1.0 ms on 60 % and 0.4 ms on 40 % of the requests.
        let rate = utilisation / 0.76e-3;
        compare(&format!("utilisation {utilisation}"), &hotel(rate, f64::INFINITY, 0), 100.0, false);
    }
}

#[test]
fn time_outs_and_retries_agree_with_a_simulation() {
    for (utilisation, patience, retries) in [
        (0.3, 0.012, 0),
        (0.6, 0.02, 0),
        (0.8, 0.04, 0),
        (0.9, 0.05, 0),
        (0.3, 0.012, 1),
        (0.6, 0.02, 1),
        (0.8, 0.04, 1),
        (0.9, 0.05, 1),
        (0.8, 0.05, 2),
    ] {
        let rate = utilisation / 0.76e-3;
        compare(
            &format!("utilisation {utilisation}, patience {patience}, {retries} retries"),
            &hotel(rate, patience, retries),
            300.0,
            true,
        );
    }
}

/// One server of 100 requests per second whose clients wait half a second and try up to five times.
fn storm(rate: f64, cancels: bool) -> Net {
    let mut net = single(1.0, rate, Moments::of(0.01, 1.0));
    net.stations[0].cancels = cancels;
    net.entries[0].call = Call { timeout: 0.5, retries: 4, pause: 0.1, ..call(0, 0) };
    net
}

/// Requests that are answered per second: before a spike, in it, at its end, and three minutes after the load is back.
fn through_a_spike(net: &Net, spike: f64) -> [f64; 3] {
    let mut net = net.clone();
    let base = net.entries[0].rate;
    let mut system = settled(&net);
    let goodput = |system: &System, rate: f64| rate * system.state.seen[0].through;
    let before = goodput(&system, base);
    net.entries[0].rate = spike;
    system.load.update(&net, &system.state.clone());
    system.advance(&net, 30.0);
    let during = goodput(&system, spike);
    net.entries[0].rate = base;
    system.load.update(&net, &system.state.clone());
    system.advance(&net, 180.0);
    [before, during, goodput(&system, base)]
}

fn simulated_through_a_spike(net: &Net, spike: f64) -> [f64; 3] {
    let base = net.entries[0].rate;
    let mut simulation = Simulation::new(net, 3);
    let mut goodput = |until: f64, last: f64, rate: f64| {
        simulation.set_rate(0, rate);
        simulation.run(until - last);
        simulation.run(until)[0].times.len() as f64 / last
    };
    [goodput(60.0, 30.0, base), goodput(90.0, 10.0, spike), goodput(270.0, 30.0, base)]
}

#[test]
fn a_retry_storm_outlasts_its_cause() {
    let near = |found: f64, expect: f64, share: f64| (found - expect).abs() <= share * expect + 1.0;
    for base in [30.0, 50.0, 70.0] {
        // Servers that go on with abandoned work never recover.
        let net = storm(base, false);
        let (flow, simulated) = (through_a_spike(&net, 140.0), simulated_through_a_spike(&net, 140.0));
        assert!(flow.iter().zip(simulated).all(|(f, s)| near(*f, s, 0.1)), "{base}/s: {flow:.1?} instead of {simulated:.1?}");
        assert!(flow[0] > base * 0.99 && flow[2] < 1.0, "{base}/s: {flow:.1?}");
        // Those that cancel it work on what is in time, and recover at once.
        let net = storm(base, true);
        let (flow, simulated) = (through_a_spike(&net, 140.0), simulated_through_a_spike(&net, 140.0));
        assert!(flow.iter().zip(simulated).all(|(f, s)| near(*f, s, 0.3)), "cancelling, {base}/s: {flow:.1?} instead of {simulated:.1?}");
        assert!(flow[2] > base * 0.99, "{base}/s: {flow:.1?}");
    }
}

#[test]
fn a_storm_ends_when_load_is_shed() {
    let mut net = storm(50.0, false);
    let mut system = settled(&net);
    for (rate, seconds, collapsed) in [(140.0, 30.0, true), (50.0, 120.0, true), (2.0, 600.0, false), (50.0, 300.0, false)] {
        net.entries[0].rate = rate;
        let state = system.state.clone();
        system.load.update(&net, &state);
        system.advance(&net, seconds);
        let goodput = rate * system.state.seen[0].through;
        assert_eq!(goodput < 0.1 * rate, collapsed, "at {rate}/s: {goodput}");
    }
}

#[test]
fn neighbours_share_a_node() {
    // Two processes on a node of two cores, and one with a limit.
    let two = |limit: f64| Net {
        nodes: vec![2.0],
        stations: vec![Station { limit, ..station(0, 2.0) }, station(0, 2.0)],
        pools: Vec::new(),
        operations: vec![0, 1]
            .into_iter()
            .map(|station| Operation { station, demand: Moments::of(0.01, 1.0), included: false, body: Vec::new() })
            .collect(),
        entries: vec![Entry { rate: 80.0, call: call(0, 0) }, Entry { rate: 80.0, call: call(1, 1) }],
        calls: 2,
    };
    let net = two(f64::INFINITY);
    compare("neighbours", &net, 200.0, false);
    let system = settled(&net);
    assert!((system.load.nodes[0] - 1.6).abs() < 1e-9 && system.load.stations[0].throttled == 0.0);
    let limited = settled(&two(0.5));
    let (held, free) = (limited.load.stations[0], limited.load.stations[1]);
    assert!(held.growth > 0.0 && held.throttled == 1.0 && (held.used - 0.5).abs() < 1e-9, "{held:?}");
    assert!(free.growth == 0.0 && free.slowdown < system.load.stations[1].slowdown, "the neighbour gains: {free:?}");
}
