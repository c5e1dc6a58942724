//! Images: what they inherit, which tools and programs are in them.

use super::super::error::DataError;
use super::super::image::{Executable, Image, Reference, Shell};
use super::super::program::Program;
use super::super::written;
use super::{Programs, Source};
use arcstr::ArcStr;
use std::sync::Arc;
use toml::Spanned;

/// How deep images may be built on each other.
const DEPTH_MAX: usize = 8;

/// Resolves every image of every file.
pub(super) fn resolve(sources: &[Source<'_>], programs: &Programs<'_>) -> Result<Vec<Arc<Image>>, DataError> {
    let all = All { sources, programs };
    let mut images = Vec::new();
    for source in sources {
        for written in source.file.image.values() {
            images.push(Arc::new(all.image(source, written, 0)?));
        }
    }
    Ok(images)
}

struct All<'a> {
    sources: &'a [Source<'a>],
    programs: &'a Programs<'a>,
}

impl All<'_> {
    fn image(&self, source: &Source<'_>, spanned: &Spanned<written::Image>, depth: usize) -> Result<Image, DataError> {
        let written = spanned.as_ref();
        let mut image = match &written.like {
            Some(name) if depth >= DEPTH_MAX => return Err(source.error(name.span(), "images are built on each other in a circle")),
            Some(name) => {
                let (other, found) = self.named(source, name)?;
                self.image(other, found, depth + 1)?
            }
            None => Image::blank(),
        };
        image.repositories = written.repositories.iter().map(|r| repository(source, r)).collect::<Result<_, _>>()?;
        image.tags = if written.tags.is_empty() { vec!["latest".into()] } else { written.tags.iter().map(ArcStr::from).collect() };
        overwrite(&mut image, written);
        if let Some(shell) = &written.shell {
            let shells = [("bash", Some(Shell::BashAndDash)), ("ash", Some(Shell::Ash)), ("dash", Some(Shell::Dash)), ("none", None)];
            image.shell = source.word("shell", shell, &shells)?;
        }
        self.tools(source, written, &mut image)?;
        for (path, command) in &written.wrappers {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            image.executables.insert(file.into(), (folder.into(), Executable::Wrapper(command.into())));
        }
        for (path, name) in &written.programs {
            let program = self.program(source, name)?;
            let Some((folder, file)) = path.rsplit_once('/') else {
                return Err(source.error(name.span(), format!("the path of program `{path}` is not absolute")));
            };
            image.executables.insert(file.into(), (folder.into(), Executable::Program(program)));
        }
        Ok(image)
    }

    fn tools(&self, source: &Source<'_>, written: &written::Image, image: &mut Image) -> Result<(), DataError> {
        let folder: ArcStr = written.tools_in.as_deref().unwrap_or("/usr/bin").into();
        for set in written.tools.iter().flatten() {
            let sets = || self.sources.iter().flat_map(|s| &s.file.tools);
            let Some((_, tools)) = sets().find(|(name, _)| *name == set.as_ref()) else {
                return Err(source.unknown("set of tools", set, sets().map(|(name, _)| name.as_str())));
            };
            for tool in tools {
                image.executables.entry(tool.into()).or_insert_with(|| (folder.clone(), Executable::Tool));
            }
        }
        Ok(())
    }

    fn named(&self, source: &Source<'_>, name: &written::Text) -> Result<(&Source<'_>, &Spanned<written::Image>), DataError> {
        let all = || self.sources.iter().flat_map(|s| s.file.image.iter().map(move |(n, i)| (s, n, i)));
        let found = all().find(|(_, n, _)| *n == name.as_ref());
        found.map(|(s, _, i)| (s, i)).ok_or_else(|| source.unknown("image", name, all().map(|(_, n, _)| n.as_str())))
    }

    /// A program of the same file, else one that the files of images share.
    fn program(&self, source: &Source<'_>, name: &written::Text) -> Result<Arc<Program>, DataError> {
        let visible = || self.programs.iter().filter(|((path, _), _)| *path == source.path || path.starts_with("images/"));
        let found = self.programs.get(&(source.path, name.as_ref().clone()));
        let found = found.or_else(|| visible().find(|((_, n), _)| n == name.as_ref()).map(|(_, p)| p));
        found.cloned().ok_or_else(|| source.unknown("program", name, visible().map(|((_, n), _)| n.as_str())))
    }
}

fn repository(source: &Source<'_>, text: &written::Text) -> Result<ArcStr, DataError> {
    let reference = Reference::parse(text.as_ref());
    reference.map(|r| r.name().into()).ok_or_else(|| source.error(text.span(), "not the name of an image repository"))
}

fn overwrite(image: &mut Image, written: &written::Image) {
    let texts = |list: &Vec<String>| list.iter().map(ArcStr::from).collect::<Vec<_>>();
    let put = |slot: &mut ArcStr, value: &Option<String>| {
        if let Some(value) = value {
            *slot = value.into();
        }
    };
    put(&mut image.workdir, &written.workdir);
    put(&mut image.user, &written.user);
    put(&mut image.os, &written.os);
    image.uid = written.uid.unwrap_or(image.uid);
    if let Some(entrypoint) = &written.entrypoint {
        image.entrypoint = texts(entrypoint);
    }
    if let Some(cmd) = &written.cmd {
        image.cmd = texts(cmd);
    }
    for (name, value) in written.env.iter().flatten() {
        image.env.retain(|(n, _)| n != name);
        image.env.push((name.into(), value.into()));
    }
    image.files.extend(written.files.iter().map(|(path, text)| (ArcStr::from(path), ArcStr::from(text))));
    if let Some(mb) = written.size_mb {
        image.size_bytes = (mb * 1e6) as u64;
    }
}
