//! The shell with a canned table of commands.

use super::*;

/// `say` prints its arguments, `count` its input's bytes, `big` as many bytes as asked for.
struct Canned(SimTime);

impl Commands for Canned {
    fn has(&self, name: &str) -> bool {
        ["say", "count", "big"].contains(&name)
    }
    fn names(&self) -> Vec<String> {
        ["big", "count", "say"].map(str::to_owned).to_vec()
    }
    fn run(&mut self, _files: &mut Files, request: &CommandRequest) -> ShellOutput {
        self.0 += std::time::Duration::from_millis(100);
        let stdout = match request.argv[0].as_str() {
            "say" => format!("{}\n", request.argv[1..].join(" ")).into_bytes(),
            "count" => format!("{}\n", request.stdin.len()).into_bytes(),
            _ => vec![b'x'; request.argv[1].parse().unwrap()],
        };
        ShellOutput { stdout, ..ShellOutput::default() }
    }
    fn now(&self) -> SimTime {
        self.0
    }
    fn sleep(&mut self, span: std::time::Duration) -> bool {
        self.0 += span;
        true
    }
}

fn started() -> (Shell, Canned) {
    let now = SimTime::from_secs(1_768_471_200);
    (Shell::new(1, now), Canned(now))
}

#[track_caller]
fn check(script: &str, stdout: &str, exit_code: i32) {
    let (mut shell, mut commands) = started();
    let output = shell.run(script, &mut commands);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!((text.as_ref(), output.exit_code), (stdout, exit_code), "{script}\nstderr: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn plain_commands_need_no_interpreter() {
    check("say hello 'two words'", "hello two words\n", 0);
    check("nothing here", "", 127);
    check("", "", 0);
}

#[test]
fn a_script_that_is_too_long_is_refused() {
    check(&format!("say {}", "x".repeat(SCRIPT_BYTES_MAX)), "", 126);
}

#[cfg(feature = "bash")]
mod interpreted {
    use super::*;

    #[test]
    fn scripts() {
        check("say a | count", "2\n", 0);
        check("for i in 1 2; do say $i; done", "1\n2\n", 0);
        check("X=$(say y); echo \"<$X>\" && false || echo no", "<y>\nno\n", 0);
        check("say one > f; cat f; ls", "one\nf\n", 0);
        check("sh -c 'say inner | tr a-z A-Z'", "INNER\n", 0);
        check("say a b | xargs -n1 say x", "x a\nx b\n", 0);
        check("cat <<EOF | count\nabc\nEOF", "4\n", 0);
        check("sleep 61; date -u +%M:%S", "01:01\n", 0);
        check("eval 'say x'; echo $?", "x\n0\n", 0);
        check("timeout 5 say t", "t\n", 0);
        check("whoami; hostname; pwd", "operator\nworkstation\n/home/operator\n", 0);
        check("ssh root@node; echo $?", "127\n", 0);
    }

    #[test]
    fn mistakes_are_answered() {
        for script in ["say 'open", "if true", "say $(", "fi", "((", "cat <<", "say \"a", "|", "&& say", "x() {"] {
            let (mut shell, mut commands) = started();
            let output = shell.run(script, &mut commands);
            assert_ne!(output.exit_code, 0, "{script}");
            assert!(!output.stderr.is_empty(), "{script}");
        }
    }

    #[test]
    fn endless_loops_and_floods_are_bounded() {
        for script in ["while true; do :; done", "while true; do say x; done", "f() { f; }; f", "yes | head -c 100 | count", "yes"] {
            let (mut shell, mut commands) = started();
            let output = shell.run(script, &mut commands);
            assert!(output.stdout.len() <= OUTPUT_BYTES_MAX, "{script}");
        }
        let (mut shell, mut commands) = started();
        let flood = shell.run("big 9000000; big 9000000", &mut commands);
        assert!(flood.stdout.len() <= OUTPUT_BYTES_MAX);
    }

    #[test]
    fn files_persist_variables_and_folder_do_not() {
        let (mut shell, mut commands) = started();
        shell.run("cd /tmp; A=1; echo kept > kept", &mut commands);
        let output = shell.run("echo \"$A\"; pwd; cat /tmp/kept", &mut commands);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "\n/home/operator\nkept\n");
    }

    #[test]
    fn two_shells_with_one_seed_behave_alike() {
        let script = "echo $RANDOM $SRANDOM; mktemp; mktemp -d; seq 1 9 | shuf; date; touch f; ls -l --time-style=full-iso f; echo $$ $BASHPID $SECONDS";
        let (mut a, mut on_a) = started();
        let (mut b, mut on_b) = started();
        let first = a.run(script, &mut on_a);
        assert_eq!(first, b.run(script, &mut on_b));
        assert_ne!(first.stdout, a.run(script, &mut on_a).stdout, "another script draws anew");
        let text = String::from_utf8_lossy(&first.stdout).into_owned();
        assert!(text.contains("2026"), "{text}");
    }
}
