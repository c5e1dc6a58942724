//! One plain command, recognised without the interpreter: words and quotes, no shell syntax.

/// What a script is at first sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One command with these words.
    Plain(Vec<String>),
    /// Nothing but white space and comments.
    Empty,
    /// A quote is left open: which, and on which line the script ends.
    OpenQuote(char, usize),
    /// Something that only a shell can read.
    Script,
}

/// Looks at a script.
pub fn shape(script: &str) -> Shape {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut plain = true;
    let mut chars = script.trim_end_matches(['\n', ' ', '\t']).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => match until(&mut chars, '\'') {
                Some(text) => word.get_or_insert_default().push_str(&text),
                None => return Shape::OpenQuote('\'', script.trim_end_matches('\n').matches('\n').count() + 1),
            },
            '"' => match double_quoted(&mut chars) {
                Some((text, literal)) => {
                    plain &= literal;
                    word.get_or_insert_default().push_str(&text);
                }
                None => return Shape::OpenQuote('"', script.trim_end_matches('\n').matches('\n').count() + 1),
            },
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => plain = false,
            },
            '#' if word.is_none() => {
                let rest: String = chars.by_ref().take_while(|c| *c != '\n').collect();
                plain &= chars.peek().is_none() && !rest.is_empty();
                break;
            }
            c if c.is_ascii_alphanumeric()
                || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '%' | '+' | '^')
                || !c.is_ascii() =>
            {
                word.get_or_insert_default().push(c);
            }
            // Whatever these begin, an open quote behind them still is one: the interpreter says so.
            _ => {
                plain = false;
                if matches!(c, '<' | '`' | '$' | '#') {
                    return Shape::Script;
                }
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    match words.first() {
        None if plain => Shape::Empty,
        Some(first) if plain && !first.contains('=') => Shape::Plain(words),
        _ => Shape::Script,
    }
}

fn until(chars: &mut impl Iterator<Item = char>, quote: char) -> Option<String> {
    let mut text = String::new();
    for c in chars {
        if c == quote {
            return Some(text);
        }
        text.push(c);
    }
    None
}

/// The text up to the closing double quote, and whether it has no expansion in it.
fn double_quoted(chars: &mut impl Iterator<Item = char>) -> Option<(String, bool)> {
    let (mut text, mut literal) = (String::new(), true);
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some((text, literal)),
            '\\' => match chars.next()? {
                '\n' => {}
                next @ ('"' | '\\' | '$' | '`') => text.push(next),
                next => text.extend(['\\', next]),
            },
            '$' | '`' => {
                literal = false;
                text.push(c);
            }
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_commands_and_everything_else() {
        let plain = |script: &str, words: &[&str]| {
            assert_eq!(shape(script), Shape::Plain(words.iter().map(|w| (*w).to_owned()).collect()), "{script}");
        };
        plain("kubectl get pods -n x\n", &["kubectl", "get", "pods", "-n", "x"]);
        plain(r#"kubectl patch svc a -p '{"spec":{}}'"#, &["kubectl", "patch", "svc", "a", "-p", "{\"spec\":{}}"]);
        plain(r#"a "b c"d\ e "x\"y\n" ''"#, &["a", "b cd e", "x\"y\\n", ""]);
        plain("ls \\\n -l # all", &["ls", "-l"]);
        for script in [
            "a | b", "a; b", "a && b", "a &", "a > f", "a < f", "a $X", "a \"$X\"", "a `b`", "a *", "a ?", "a [x]", "a {1,2}", "~/x",
            "(a)", "A=b c", "a\nb", "a # x\nb", "! a",
        ] {
            assert_eq!(shape(script), Shape::Script, "{script}");
        }
        assert_eq!(shape(" \n"), Shape::Empty);
        assert_eq!(shape("# nothing"), Shape::Empty);
        assert_eq!(shape("echo \"a"), Shape::OpenQuote('"', 1));
        assert_eq!(shape("echo 'a\nb"), Shape::OpenQuote('\'', 2));
    }
}
