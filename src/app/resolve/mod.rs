//! From application data as written to what cannot be wrong: every name is looked up, every choice is made once.

mod app;
mod image;
mod program;
mod reply;
mod start;
mod step;

use super::answer::Documents;
use super::catalog::Catalog;
use super::error::DataError;
use super::program::Program;
use super::written;
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A file of data: its path under the folder of environments, and its text.
pub type DataFile<'a> = (&'a str, &'a str);

/// One TOML file with its text, for errors.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    file: written::File,
}

impl Source<'_> {
    fn error(&self, span: Range<usize>, message: impl Into<String>) -> DataError {
        DataError::at(self.path, self.text, span, message)
    }

    /// An error about a text that names nothing, with the nearest name.
    fn unknown<'n>(&self, what: &str, name: &written::Text, known: impl IntoIterator<Item = &'n str>) -> DataError {
        let error = self.error(name.span(), format!("unknown {what} `{}`", name.as_ref()));
        error.suggest(name.as_ref(), known)
    }

    /// One of several words.
    fn word<T: Copy>(&self, what: &str, word: &written::Text, choices: &[(&str, T)]) -> Result<T, DataError> {
        let found = choices.iter().find(|(name, _)| name == word.as_ref());
        found.map(|(_, value)| *value).ok_or_else(|| self.unknown(what, word, choices.iter().map(|(name, _)| *name)))
    }

    /// The folder of an app's file, `apps/NAME`.
    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Programs by the file that defines them and their name.
type Programs<'a> = BTreeMap<(&'a str, String), Arc<Program>>;

/// The catalogue that files of data describe: `apps/NAME/app.toml` with manifests and data beside it, and `images/*.toml`.
///
/// # Errors
/// The first thing that is wrong, with file, line, field and, where one is near, what was probably meant.
pub fn catalog(files: &[DataFile<'_>]) -> Result<Catalog, DataError> {
    let sources = parse(files)?;
    let mut programs = Programs::new();
    let mut catalog = Catalog::default();
    for source in &sources {
        let documents = documents(source, files)?;
        for (name, written) in &source.file.program {
            let resolved = program::resolve(source, name, written, &documents)?;
            programs.insert((source.path, name.clone()), Arc::new(resolved));
        }
        catalog.registries.extend(source.file.registries.iter().map(ArcStr::from));
        if source.file.app.is_some() {
            catalog.apps.push(Arc::new(app::resolve(source, files, &documents)?));
        }
    }
    catalog.images = image::resolve(&sources, &programs)?;
    Ok(catalog)
}

fn parse<'a>(files: &[DataFile<'a>]) -> Result<Vec<Source<'a>>, DataError> {
    let is_data = |path: &str| path.ends_with("/app.toml") || (path.starts_with("images/") && path.ends_with(".toml"));
    let parse = |(path, text): &DataFile<'a>| match toml::from_str(text) {
        Ok(file) => Ok(Source { path, text, file }),
        Err(error) => Err(DataError::toml(path, text, &error)),
    };
    files.iter().filter(|(path, _)| is_data(path)).map(parse).collect()
}

fn documents(source: &Source<'_>, files: &[DataFile<'_>]) -> Result<Arc<Documents>, DataError> {
    let mut all = Documents::new();
    for (name, path) in &source.file.documents {
        let full = format!("{}/{}", source.folder(), path.as_ref());
        let Some((_, text)) = files.iter().find(|(p, _)| *p == full) else {
            let beside = files.iter().filter_map(|(p, _)| p.strip_prefix(source.folder())).map(|p| p.trim_start_matches('/'));
            return Err(source.unknown("file", path, beside));
        };
        let parsed = Json::parse(text).map_err(|error| DataError {
            line: error.line(),
            column: error.column(),
            ..DataError::file(&full, format!("not JSON: {error}"))
        })?;
        all.insert(name.into(), Arc::new(parsed.items().to_vec()));
    }
    Ok(Arc::new(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Resolves an app made of this text and one Service; shows the error.
    fn check(text: &str, expect: Expect) {
        let head = "[app]\ntitle = \"T\"\nnamespace = \"n\"\ndescription = \"d\"\noperations = []\nrate_per_s = 1.0\nentry = { service = \"web\", port = 80 }\n";
        let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n";
        let full = format!("{head}{text}");
        let files =
            [("apps/a/app.toml", full.as_str()), ("apps/a/manifests/web.yaml", service), ("apps/a/data/x.json", "[{\"id\":\"1\"}]")];
        let got = match catalog(&files) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&got);
    }

    const PROGRAM: &str = "[program.web]\nmemory_mib = { start = 1.0, working = 2.0 }\n";

    #[test]
    fn errors_name_file_line_field_and_what_was_meant() {
        check("", expect!["ok"]);
        check("tile = 1", expect!["apps/a/app.toml:8:1: unknown field `tile`; did you mean `title`?"]);
        check(
            "[program.web]\nmemory_mib = { start = 1.0, working = 2.0 }\nstrat = []",
            expect!["apps/a/app.toml:10:1: unknown field `strat`; did you mean `start`?"],
        );
        check("[program.web]", expect!["apps/a/app.toml:8:1: missing field `memory_mib` (at `[program.web]`)"]);
        check(
            &format!("{PROGRAM}start = [{{ lisen = [] }}]"),
            expect!["apps/a/app.toml:10:12: unknown field `lisen`; did you mean `listen`?"],
        );
        check(
            &format!("{PROGRAM}start = [{{ dial = \"mongo\", serve = true }}]"),
            expect![
                "apps/a/app.toml:10:10: a step of start-up has exactly one of: a line, sleep_ms, need, resolve, dial, query, seed, listen, register, follow, serve, exit, exit_with, repeat (at `{ dial = \"mongo\", serve = true }`)"
            ],
        );
        check(
            &format!("{PROGRAM}settings = {{ mongo = {{}} }}\nstart = [{{ dial = \"mogno\" }}]"),
            expect!["apps/a/app.toml:11:19: unknown setting `mogno`; did you mean `mongo`?"],
        );
        check(
            &format!("{PROGRAM}settings = {{ mongo = {{}} }}\nstart = [\"at {{mong}}\"]"),
            expect!["apps/a/app.toml:11:10: unknown value `{mong}` in a line (at `at {mong}`); did you mean `mongo`?"],
        );
        check(&format!("{PROGRAM}log = \"zerlog\""), expect!["apps/a/app.toml:10:7: unknown log format `zerlog`; did you mean `zerolog`?"]);
        check("[documents]\nx = \"data/y.json\"", expect!["apps/a/app.toml:9:5: unknown file `data/y.json`; did you mean `data/x.json`?"]);
        check(
            "[[endpoint]]\nname = \"hotels\"\nweight = 1.0",
            expect!["apps/a/app.toml:9:8: an endpoint is named METHOD /PATH (at `hotels`)"],
        );
        check(
            "[image.x]\nrepositories = [\"x\"]\nprograms = { \"/bin/x\" = \"wbe\" }\n[program.web]\nmemory_mib = { start = 1.0, working = 1.0 }",
            expect!["apps/a/app.toml:10:25: unknown program `wbe`; did you mean `web`?"],
        );
        check(
            "[image.x]\nrepositories = [\"x\"]\nlike = \"y\"\n[image.y]\nrepositories = [\"y\"]\nlike = \"x\"",
            expect!["apps/a/app.toml:10:8: images are built on each other in a circle (at `y`)"],
        );
    }
}
