//! The agent's shell: scripts over a virtual file system and a table of commands. It knows no cluster.
//!
//! [`Shell::run`] runs a script. A plain command (one word list, no shell syntax) is handed to its [`Commands`] at once;
//! anything else goes through the interpreter (feature `bash`), a future that is polled by hand: a command files a request
//! and yields, the request is served with `&mut dyn Commands`, and polling goes on. Files persist over the scripts of a shell;
//! working directory and variables do not.
//!
//! Time, `$RANDOM`, `mktemp`, `shuf`, `date` and file times are the episode's: two shells with the same seed that run the same
//! scripts against the same commands behave alike. Limits are counts (commands, loop rounds, bytes), never a wall clock.

mod files;
mod plain;

#[cfg(feature = "bash")]
mod bash;
#[cfg(feature = "bash")]
mod pinned;

pub use files::{FileError, Files, Metadata, Node};
pub use plain::split_plain;

use crate::time::SimTime;

/// A command that a script runs and that is not the shell's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// Working directory.
    pub cwd: String,
}

/// What a command or script printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}

impl ShellOutput {
    /// A failure with a message on standard error.
    pub fn failure(message: impl Into<String>, exit_code: i32) -> Self {
        ShellOutput { stdout: Vec::new(), stderr: message.into().into_bytes(), exit_code }
    }
}

/// The table of commands behind a shell.
pub trait Commands {
    /// Whether `name` is a command of the table.
    fn has(&self, name: &str) -> bool;
    /// Names of all commands of the table, sorted.
    fn names(&self) -> Vec<String>;
    /// Runs a command.
    fn run(&mut self, files: &mut Files, request: &CommandRequest) -> ShellOutput;
    /// The present instant.
    fn now(&self) -> SimTime;
    /// Lets time pass (`sleep`); returns whether all of it passed before the tool's time was over.
    fn sleep(&mut self, span: std::time::Duration) -> bool;
}

/// Bytes of standard output, and of standard error, that a script may print; what comes after is dropped.
pub const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Bytes of a script; a longer one is refused. Below the size at which the interpreter would hand parsing to a thread.
pub const SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// Where scripts start, and the home of the user.
pub const HOME: &str = "/home/operator";

/// A shell: files, and what pins its randomness.
#[derive(Clone, Debug)]
pub struct Shell {
    files: Files,
    #[cfg_attr(not(feature = "bash"), expect(dead_code, reason = "only the interpreter draws"))]
    seed: u64,
    scripts: u64,
}

impl Shell {
    /// A shell with an empty home directory.
    pub fn new(seed: u64, now: SimTime) -> Self {
        let mut files = Files::new(now);
        for folder in ["/bin", "/usr/bin", "/etc", "/tmp", HOME] {
            files.make_folders(folder);
        }
        Shell { files, seed, scripts: 0 }
    }

    /// Its files.
    pub fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Runs a script to its end.
    pub fn run(&mut self, script: &str, commands: &mut dyn Commands) -> ShellOutput {
        self.scripts += 1;
        self.files.set_now(commands.now());
        if script.len() > SCRIPT_BYTES_MAX {
            let message = format!(
                "bash: the script is {} bytes long; at most {SCRIPT_BYTES_MAX} are run at once, write it to files in parts\n",
                script.len()
            );
            return ShellOutput::failure(message, 126);
        }
        if let Some(argv) = split_plain(script) {
            if argv.first().is_some_and(|name| commands.has(name)) {
                let request = CommandRequest { argv, stdin: Vec::new(), cwd: HOME.to_owned() };
                return commands.run(&mut self.files, &request);
            }
        }
        self.interpret(script, commands)
    }

    #[cfg(feature = "bash")]
    fn interpret(&mut self, script: &str, commands: &mut dyn Commands) -> ShellOutput {
        bash::run(self, script, commands)
    }

    /// Without the interpreter there are only plain commands.
    #[cfg(not(feature = "bash"))]
    fn interpret(&mut self, script: &str, _commands: &mut dyn Commands) -> ShellOutput {
        match split_plain(script).as_deref() {
            Some([]) => ShellOutput::default(),
            Some([name, ..]) => ShellOutput::failure(format!("bash: line 1: {name}: command not found\n"), 127),
            None => ShellOutput::failure("bash: this build has no interpreter (feature `bash`); use one plain command a call\n", 2),
        }
    }

    /// The random stream of the present script for a purpose.
    #[cfg(feature = "bash")]
    fn stream(&self, purpose: &str, number: u64) -> crate::rng::Stream {
        crate::rng::Key::new(self.seed).part("shell").part(purpose).number(self.scripts).number(number).stream()
    }
}

#[cfg(test)]
mod tests;
