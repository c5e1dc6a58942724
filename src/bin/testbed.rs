//! The program in the testbed's images: what it does is decided by the name it is run under, or by its first argument.

fn main() {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    eprintln!("{name}: this program has no part called {:?}", arguments.next().unwrap_or_default());
    std::process::exit(2);
}
