//! Tests: scripts in the interpreter, with a host of a few commands.

use super::tests::TestHost;
use super::*;

fn run(scripts: &[&str]) -> Vec<Outcome> {
    super::tests::run_all(scripts).0
}

#[track_caller]
fn check(script: &str, stdout: &str, exit_code: i32) {
    let outcome = run(&[script]).remove(0);
    assert_eq!((outcome.stdout.as_str(), outcome.exit_code), (stdout, exit_code), "{script}\nstderr: {}", outcome.stderr);
}

#[test]
fn scripts() {
    check("args a | input", "[\"a\"]\n", 0);
    check("for i in 1 2; do args $i; done", "[\"1\"]\n[\"2\"]\n", 0);
    check("X=$(echo y); echo \"<$X>\" && false || echo no", "<y>\nno\n", 0);
    check("echo one > f; cat f; ls", "one\nf\n", 0);
    check("echo one > f; show f", "one\n", 0);
    check("sh -c 'echo inner | tr a-z A-Z'", "INNER\n", 0);
    check("echo a b | xargs -n1 args x", "[\"x\", \"a\"]\n[\"x\", \"b\"]\n", 0);
    check("cat <<EOF | input\nabc\nEOF", "abc\n", 0);
    check("eval 'args x'; echo $?", "[\"x\"]\n0\n", 0);
    check("whoami; hostname; pwd", "root\nworkstation\n/root\n", 0);
    check("git status; echo $?", "127\n", 0);
}

#[test]
fn time_is_the_hosts() {
    check("sleep 25; date -u +%M:%S", "00:25\n", 0);
    check("timeout 5 sleep 10; echo $?; date +%S", "124\n05\n", 0);
    check("timeout 5 bash -c 'while true; do echo x; sleep 2; done'; echo $?; date +%S", "x\nx\nx\n124\n05\n", 0);
    check("timeout 9 bash -c 'echo done'; echo $?", "done\n0\n", 0);
    let late = run(&["echo early; sleep 29; echo late; sleep 5; echo never"]).remove(0);
    assert_eq!((late.stdout.as_str(), late.stopped), ("early\nlate\n", Some(Stopped::TimedOut)));
}

#[test]
fn mistakes_are_answered() {
    for script in ["args 'open", "if true", "args $(", "fi", "((", "cat <<", "args \"a", "|", "&& args", "x() {"] {
        let outcome = run(&[script]).remove(0);
        assert_ne!(outcome.exit_code, 0, "{script}");
        assert!(!outcome.stderr.is_empty(), "{script}");
    }
}

#[test]
fn endless_loops_and_floods_are_bounded() {
    for script in ["while true; do :; done", "while true; do args x; done", "f() { f; }; f", "yes", "x=a; while true; do x=$x$x; done"] {
        let outcome = run(&[script]).remove(0);
        assert!(outcome.stdout.len() <= 11 * 1024 * 1024, "{script}");
        assert!(outcome.exit_code != 0, "{script}: {outcome:?}");
    }
    let long = format!("echo {}", "x".repeat(17_000));
    assert!(matches!(run(&[&format!("{long};")]).remove(0).stopped, Some(Stopped::Limit(_))));
}

#[test]
fn files_persist_variables_and_folder_do_not() {
    let outcomes = run(&["cd /tmp; A=1; echo kept > kept", "echo \"$A\"; pwd; cat /tmp/kept"]);
    assert_eq!(outcomes[1].stdout, "\n/root\nkept\n");
}

#[test]
fn two_shells_with_one_seed_behave_alike() {
    let script = "echo $RANDOM $SRANDOM; mktemp; mktemp -d; seq 1 9 | shuf; date; touch f; ls -l f; echo $$ $BASHPID $SECONDS";
    let first = run(&[script, script]);
    assert_eq!(first, run(&[script, script]));
    assert_ne!(first[0].stdout, first[1].stdout, "another script draws anew");
    assert!(first[0].stdout.contains("2026"), "{}", first[0].stdout);
}

#[test]
fn a_host_sees_what_the_script_wrote() {
    let mut host = TestHost { clock: SimTime::from_secs(1_767_225_600) };
    let mut shell = Shell::new(host.clock, 7, &[]);
    let deadline = host.clock + Duration::from_secs(30);
    let outcome = shell.run("cat > /tmp/x <<'E'\na: 1\nE\nshow /tmp/x", &mut host, deadline);
    assert_eq!(outcome.stdout, "a: 1\n");
}

#[test]
fn nothing_depends_on_the_real_clock_or_chance() {
    let script = "echo $RANDOM $SRANDOM $SECONDS $EPOCHSECONDS; date +%s; sleep 3; date -u; echo $SECONDS; mktemp; seq 5 | shuf; \
                  head -c 4 /dev/urandom | od -An -tx1; seq 9 | sort -R; jq -n now; touch /tmp/a; stat -c %y /tmp/a; ls -l /usr/bin /etc /";
    let first = run(&[script]).remove(0);
    assert_eq!(first, run(&[script]).remove(0));
    assert_eq!(first.stderr, "");
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert!(lines[0].ends_with(" 0 1767225600"), "{}", lines[0]);
    assert_eq!(lines[1..4], ["1767225600", "Thu Jan  1 00:00:03 UTC 2026", "3"]);
    let long = lines.iter().filter(|line| line.starts_with("-rw") || line.starts_with("drw"));
    assert!(long.clone().count() > 10 && long.clone().all(|line| line.contains(" Jan  1 00:0")), "{}", first.stdout);
    assert_eq!(run(&["time sleep 2"]).remove(0).stderr, "\nreal\t0m2.000s\nuser\t0m0.000s\nsys\t0m0.000s\n");
    check("SECONDS=10; sleep 5; echo $SECONDS; sleep 1; echo $((SECONDS + 1))", "15\n17\n", 0);
    check("echo x > /dev/null && cat /dev/null && [ -e /dev/null ] && echo null", "null\n", 0);
    check("cd /tmp; echo x > a; ls -l | tail -n 1; ls nope 2>/dev/null || echo $?", "-rw-r--r-- 1 root root 2 Jan  1 00:00 a\n2\n", 0);
    check("which args; /usr/bin/args b; /bin/echo c; command -v kubectl || echo none", "/usr/bin/args\n[\"b\"]\nc\nnone\n", 0);
}

#[test]
fn floods_are_cut_and_said() {
    let doubled = "printf x > f; for i in $(seq 23); do cat f f > g; mv g f; done";
    let eight = run(&[&format!("{doubled}; cat f")]).remove(0);
    assert_eq!((eight.stdout.len(), eight.exit_code, &eight.stopped), (8 << 20, 0, &None), "{}", eight.stderr);
    let sixteen = run(&[&format!("{doubled}; cat f f; echo end >&2")]).remove(0);
    assert_eq!(sixteen.stdout.len(), 10 << 20);
    assert_eq!(sixteen.stopped, Some(Stopped::Limit("only the first 10485760 bytes of its output are kept".into())));
    // Programs of the interpreter that would never end say so themselves.
    assert_eq!(run(&["yes | wc -l"]).remove(0).stderr, "yes: output limit (10000 lines) exceeded; output truncated\n");
}
