//! The command line of `curl`: the options that clients of HTTP services use.

use std::time::Duration;

/// What the command line asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// URLs in order.
    pub urls: Vec<String>,
    /// `-o FILE` (or `-O`), one for each URL in order.
    pub outputs: Vec<String>,
    /// `-X`.
    pub method: Option<String>,
    /// `-d` and its siblings.
    pub data: Vec<String>,
    /// `--data-binary`: line feeds of files stay.
    pub binary: bool,
    /// `--data-raw`: an at sign is a character.
    pub raw_data: bool,
    /// `--json`.
    pub json: bool,
    /// `-G`: the data go into the query.
    pub get: bool,
    /// `-H`.
    pub headers: Vec<String>,
    /// `-u`.
    pub user: Option<String>,
    /// `-A`.
    pub agent: Option<String>,
    /// `-s`.
    pub silent: bool,
    /// `-S`.
    pub show_error: bool,
    /// `-i`.
    pub include: bool,
    /// `-I`.
    pub head: bool,
    /// `-v`.
    pub verbose: bool,
    /// `-f`.
    pub fail: bool,
    /// `--fail-with-body`.
    pub fail_with_body: bool,
    /// `--fail-early`.
    pub fail_early: bool,
    /// `-L`.
    pub follow: bool,
    /// `-w`.
    pub write_out: Option<String>,
    /// `-m`.
    pub max_time: Option<Duration>,
    /// `--connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// `-V`.
    pub version: bool,
}

/// Long options that take a value, with the short one of the same meaning (or a letter of our own).
const WITH_VALUE: &[(&str, char)] = &[
    ("output", 'o'),
    ("request", 'X'),
    ("data", 'd'),
    ("data-ascii", 'd'),
    ("data-binary", '\u{1}'),
    ("data-raw", '\u{2}'),
    ("data-urlencode", '\u{3}'),
    ("json", '\u{4}'),
    ("header", 'H'),
    ("user", 'u'),
    ("user-agent", 'A'),
    ("write-out", 'w'),
    ("max-time", 'm'),
    ("connect-timeout", '\u{5}'),
    ("url", '\u{6}'),
    ("retry", '\u{7}'),
    ("retry-delay", '\u{7}'),
    ("retry-max-time", '\u{7}'),
    ("cacert", '\u{7}'),
    ("cert", 'E'),
    ("key", '\u{7}'),
    ("cookie", 'b'),
    ("cookie-jar", 'c'),
    ("max-redirs", '\u{7}'),
    ("proxy", 'x'),
    ("noproxy", '\u{7}'),
    ("referer", 'e'),
    ("interface", '\u{7}'),
    ("resolve", '\u{7}'),
    ("limit-rate", '\u{7}'),
];

/// Long options without a value.
const PLAIN: &[(&str, char)] = &[
    ("silent", 's'),
    ("show-error", 'S'),
    ("include", 'i'),
    ("show-headers", 'i'),
    ("head", 'I'),
    ("verbose", 'v'),
    ("fail", 'f'),
    ("fail-with-body", '\u{11}'),
    ("fail-early", '\u{12}'),
    ("location", 'L'),
    ("insecure", 'k'),
    ("get", 'G'),
    ("globoff", 'g'),
    ("remote-name", 'O'),
    ("version", 'V'),
    ("no-buffer", 'N'),
    ("compressed", '\u{13}'),
    ("http1.1", '\u{13}'),
    ("http1.0", '0'),
    ("http2", '\u{13}'),
    ("ipv4", '4'),
    ("ipv6", '6'),
    ("progress-bar", '#'),
    ("no-progress-meter", '\u{14}'),
    ("retry-connrefused", '\u{13}'),
    ("retry-all-errors", '\u{13}'),
    ("no-keepalive", '\u{13}'),
    ("path-as-is", '\u{13}'),
    ("tcp-nodelay", '\u{13}'),
    ("disable", 'q'),
];

const SHORT_WITH_VALUE: &str = "oXdHuAwmEbcxe";
const SHORT_PLAIN: &str = "sSiIvfLkGgOVN0464#q";

fn unknown(option: &str, what: &str) -> String {
    format!("curl: option {option}: {what}\ncurl: try 'curl --help' or 'curl --manual' for more information\n")
}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    /// What curl prints about it.
    pub fn read(args: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if let Some(long) = arg.strip_prefix("--").filter(|long| !long.is_empty()) {
                options.long(long, arg, &mut rest)?;
            } else if let Some(flags) = arg.strip_prefix('-').filter(|flags| !flags.is_empty()) {
                options.short(flags, arg, &mut rest)?;
            } else if arg != "--" {
                options.urls.push(arg.clone());
            }
        }
        if options.get && !options.data.is_empty() {
            let query = options.data.join("&");
            options.data.clear();
            for url in &mut options.urls {
                let joint = if url.contains('?') { '&' } else { '?' };
                url.push(joint);
                url.push_str(&query);
            }
        }
        Ok(options)
    }

    fn long<'a>(&mut self, long: &str, arg: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        if let Some((_, letter)) = WITH_VALUE.iter().find(|(known, _)| *known == name) {
            let value = attached.or_else(|| rest.next().cloned()).ok_or_else(|| unknown(arg, "requires parameter"))?;
            return self.value(*letter, &value, arg);
        }
        match PLAIN.iter().find(|(known, _)| *known == name.trim_start_matches("no-").trim_end_matches('=') || *known == name) {
            Some((known, letter)) => {
                if *known == name {
                    self.flag(*letter);
                }
                Ok(())
            }
            None => Err(unknown(arg, "is unknown")),
        }
    }

    fn short<'a>(&mut self, flags: &str, arg: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        for (at, flag) in flags.char_indices() {
            if SHORT_WITH_VALUE.contains(flag) {
                let attached = &flags[at + flag.len_utf8()..];
                let value = if attached.is_empty() { rest.next().cloned() } else { Some(attached.to_owned()) };
                let value = value.ok_or_else(|| unknown(arg, "requires parameter"))?;
                return self.value(flag, &value, arg);
            }
            if !SHORT_PLAIN.contains(flag) {
                return Err(unknown(arg, "is unknown"));
            }
            self.flag(flag);
        }
        Ok(())
    }

    fn value(&mut self, letter: char, value: &str, arg: &str) -> Result<(), String> {
        let seconds = || {
            let number = value.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e9);
            number.map(Duration::from_secs_f64).ok_or_else(|| unknown(arg, "expected a proper numerical parameter"))
        };
        match letter {
            'o' => self.outputs.push(value.to_owned()),
            'X' => self.method = Some(value.to_owned()),
            'd' => self.data.push(value.to_owned()),
            '\u{1}' => {
                self.binary = true;
                self.data.push(value.to_owned());
            }
            '\u{2}' => {
                self.raw_data = true;
                self.data.push(value.to_owned());
            }
            '\u{3}' => self.data.push(encoded(value)),
            '\u{4}' => {
                self.json = true;
                self.data.push(value.to_owned());
            }
            'H' => self.headers.push(value.to_owned()),
            'u' => self.user = Some(value.to_owned()),
            'A' => self.agent = Some(value.to_owned()),
            'w' => self.write_out = Some(value.to_owned()),
            'm' => self.max_time = Some(seconds()?).filter(|span| !span.is_zero()),
            '\u{5}' => self.connect_timeout = Some(seconds()?).filter(|span| !span.is_zero()),
            '\u{6}' => self.urls.push(value.to_owned()),
            'b' if value.contains('=') => self.headers.push(format!("Cookie: {value}")),
            'e' => self.headers.push(format!("Referer: {value}")),
            _ => {}
        }
        Ok(())
    }

    fn flag(&mut self, letter: char) {
        match letter {
            's' | '\u{14}' | '#' => {
                self.show_error |= letter != 's';
                self.silent = true;
            }
            'S' => self.show_error = true,
            'i' => self.include = true,
            'I' => self.head = true,
            'v' => self.verbose = true,
            'f' => self.fail = true,
            '\u{11}' => self.fail_with_body = true,
            '\u{12}' => self.fail_early = true,
            'L' => self.follow = true,
            'G' => self.get = true,
            'V' => self.version = true,
            'O' => {
                let name = self.urls.last().and_then(|url| url.split('?').next()?.rsplit('/').next().map(str::to_owned));
                self.outputs.push(name.filter(|name| !name.is_empty()).unwrap_or_else(|| "curl_response".to_owned()));
            }
            _ => {}
        }
    }
}

/// `--data-urlencode`: `name=value` or `value`, the value in percent signs.
fn encoded(text: &str) -> String {
    let (name, value) = text.split_once('=').map_or(("", text), |(name, value)| (name, value));
    let mut out = if name.is_empty() { String::new() } else { format!("{name}=") };
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_in_every_form() {
        let options = read("-sSm5 -o /dev/null -w %{http_code} --connect-timeout=2 -H A:b -XPOST --data x=1 u v").expect("read");
        assert!(options.silent && options.show_error);
        assert_eq!(options.max_time, Some(Duration::from_secs(5)));
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(2)));
        assert_eq!((options.method.as_deref(), options.outputs.as_slice()), (Some("POST"), &["/dev/null".to_owned()][..]));
        assert_eq!((options.urls.len(), options.data.len()), (2, 1));
        assert_eq!(read("-G --data-urlencode q=a\u{20ac}&b x/y").expect("read").urls, ["x/y?q=a%E2%82%AC%26b"]);
    }

    #[test]
    fn wrong_options() {
        let advice = "curl: try 'curl --help' or 'curl --manual' for more information\n";
        assert_eq!(read("--nope x"), Err(format!("curl: option --nope: is unknown\n{advice}")));
        assert_eq!(read("x -m"), Err(format!("curl: option -m: requires parameter\n{advice}")));
        assert_eq!(read("-m soon x"), Err(format!("curl: option -m: expected a proper numerical parameter\n{advice}")));
    }
}
