//! Commands without shell syntax, which need no interpreter.

/// Splits a command that holds nothing for a shell to do but quoting; `None` when an interpreter must look at it.
///
/// Single quotes, double quotes without `$`, `` ` `` and `\`, and unquoted words of harmless characters are understood; variables,
/// globs, operators, comments, line breaks, assignments, tildes and unclosed quotes are not.
///
/// ```
/// use aiopslab::shell::split_plain;
/// assert_eq!(split_plain("kubectl get pods -l 'app in (a, b)'").unwrap()[4], "app in (a, b)");
/// assert_eq!(split_plain("kubectl get pods | head"), None);
/// ```
pub fn split_plain(script: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = script.trim_matches([' ', '\t', '\n']).chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => take_quoted(&mut chars, '\'', word.get_or_insert_default(), |_| true)?,
            '"' => take_quoted(&mut chars, '"', word.get_or_insert_default(), |c| !matches!(c, '$' | '`' | '\\' | '!'))?,
            '=' if words.is_empty() => return None,
            '{' | '}' => return None,
            c if c.is_alphanumeric() || "-_./=:,@%+^".contains(c) => word.get_or_insert_default().push(c),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

fn take_quoted(chars: &mut std::str::Chars<'_>, quote: char, word: &mut String, plain: impl Fn(char) -> bool) -> Option<()> {
    for c in chars.by_ref() {
        if c == quote {
            return Some(());
        }
        if !plain(c) {
            return None;
        }
        word.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::split_plain;

    #[track_caller]
    fn check(script: &str, expect: Option<&[&str]>) {
        assert_eq!(
            split_plain(script).as_deref(),
            expect.map(|w| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
            "{script}"
        );
    }

    #[test]
    fn plain_commands() {
        check("", Some(&[]));
        check("  kubectl  get pods -n=x\n", Some(&["kubectl", "get", "pods", "-n=x"]));
        check("kubectl patch x -p '{\"a\":[1]}'", Some(&["kubectl", "patch", "x", "-p", "{\"a\":[1]}"]));
        check("a \"b c\"d ''", Some(&["a", "b cd", ""]));
    }

    #[test]
    fn anything_for_a_shell_to_do() {
        for script in [
            "a | b", "a; b", "a && b", "a &", "a > f", "a < f", "$A", "a `b`", "\"$A\"", "a *", "a ?", "a [b]", "a {b,c}", "~/a", "# a",
            "a #b", "a\nb", "A=1 b", "(a)", "a 'b", "a \"b", "a \\b", "!a", "\"a!\"",
        ] {
            check(script, None);
        }
    }
}
