//! The program in the testbed's images: what it does is decided by the name it is run under, or by its first argument.

use aiopslab::testbed::{self, Place, tools};

/// A part gets the arguments after its name and gives an exit code.
type Part = fn(&[String]) -> i32;

/// Parts of the program that are called by name: `testbed NAME …`.
const PARTS: &[(&str, Part)] =
    &[("disturb", testbed::disturb::run), ("outpost", testbed::outpost::run), ("pack", testbed::pack::run), ("play", testbed::alone::run)];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    std::process::exit(run(&arguments));
}

fn run(arguments: &[String]) -> i32 {
    let Some((path, rest)) = arguments.split_first() else { return 2 };
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "testbed" {
        let part = rest.first().and_then(|first| PARTS.iter().find(|(name, _)| name == first));
        return match part {
            Some((_, part)) => part(rest.get(1..).unwrap_or(&[])),
            None => {
                let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
                eprintln!("usage: testbed {}", known.join("|"));
                2
            }
        };
    }
    if let Some(code) = tools::run(name, rest) {
        return code;
    }
    let argv = arguments.iter().map(|a| a.as_str().into()).collect();
    match Place::container(argv).and_then(testbed::play) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            127
        }
    }
}
