//! `headstart show`.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use headstart_project::{Element, ElementId, ElementKind};
use headstart_session::{Cached, Loaded, Session, Standings};
use headstart_yaml::Scalar;
use rayon::prelude::*;

use crate::arguments::{MainOptions, Order, ShowArguments, ShownElements};
use crate::error::Failure;
use crate::open;
use crate::selection::{Deps, Selection};

/// What is printed of an element unless somebody has said it.
const FORMAT: &str = "%{state: >12} %{key} %{name} %{workspace-dirs}";

/// Elements whose lines are made before the first of them is printed.
const PART: usize = 4096;

/// Elements that are worth a thread: whether their sources are there is asked of the disk.
const LEAST_SHARE: usize = 256;

pub(crate) fn run(main: &MainOptions, arguments: &ShowArguments) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let ShownElements {
        elements,
        deps,
        except,
    } = &arguments.shown;
    let selection = Selection::load(&session, elements, *deps, except)?;
    let Selection {
        loaded,
        mut elements,
    } = selection;
    if arguments.order == Order::Alpha {
        elements.sort_by_key(|id| loaded.graph[*id].full_name.clone());
    }
    let configured = session.logging().element_format.as_deref();
    let format = arguments.format.as_deref().or(configured).unwrap_or(FORMAT);
    let wants = |symbols: &[&str]| {
        let mut symbols = symbols.iter();
        symbols.any(|symbol| format.contains(&format!("%{{{symbol}")))
    };
    // Keys of a strict build are known without a look into the cache.
    let standings = match wants(&["state", "artifact-cas-digest"])
        || !session.is_strict() && wants(&["key", "full-key"])
    {
        true => {
            let closures = *deps != Deps::None;
            Some(session.standings(&loaded, &elements, closures)?)
        }
        false => None,
    };
    let shown = |&id: &ElementId| {
        let shown = Shown::new(&session, &loaded, standings.as_ref(), id);
        shown.formatted(format)
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    'all: for part in elements.chunks(PART) {
        let lines = part.par_iter().with_min_len(LEAST_SHARE).map(&shown);
        for line in lines.collect::<Vec<_>>() {
            // A reader that has seen enough closes the pipe.
            if writeln!(out, "{}", line?).is_err() {
                break 'all;
            }
        }
    }
    let _ = out.flush();
    // The process is about to end: the system takes all memory back faster than it is freed.
    std::mem::forget(loaded);
    Ok(())
}

/// An element, for what is told of it.
pub(crate) struct Shown<'a> {
    session: &'a Session,
    loaded: &'a Loaded,
    /// There if the format wants anything that is found out by looking into the cache.
    standings: Option<&'a Standings>,
    id: ElementId,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(
        session: &'a Session,
        loaded: &'a Loaded,
        standings: Option<&'a Standings>,
        id: ElementId,
    ) -> Self {
        Self {
            session,
            loaded,
            standings,
            id,
        }
    }

    pub(crate) fn id(&self) -> ElementId {
        self.id
    }

    /// The format with each `%{symbol}` or `%{symbol:FORMAT}` replaced.
    fn formatted(&self, format: &str) -> Result<String, Failure> {
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find("%{") {
            let (before, symbol) = rest.split_at(at);
            text.push_str(before);
            let Some(end) = symbol.find('}') else { break };
            let inside = &symbol[2..end];
            let (name, width) = inside.split_once(':').unwrap_or((inside, ""));
            text.push_str(&padded(&self.value(name)?, width)?);
            rest = &symbol[end + 1..];
        }
        text.push_str(rest);
        Ok(text)
    }

    pub(crate) fn element(&self) -> &'a Element {
        &self.loaded.graph[self.id]
    }

    fn value(&self, symbol: &str) -> Result<String, Failure> {
        let element = self.element();
        let graph = &self.loaded.graph;
        let names = |ids: &[ElementId]| {
            let names: Vec<_> = ids
                .iter()
                .map(|id| format!("- {}", graph[*id].full_name))
                .collect();
            if names.is_empty() {
                "[]".to_owned()
            } else {
                names.join("\n")
            }
        };
        Ok(match symbol {
            "name" => element.full_name.to_string(),
            "key" => self.session.logging().brief(&self.key()).to_owned(),
            "full-key" => self.key(),
            "state" => self.state()?.to_owned(),
            "kind" => element.kind.to_string(),
            "description" => self.description(),
            "config" => headstart_yaml::to_text(&element.config_data),
            "vars" => mapping(element.variables.iter()),
            "env" => mapping(element.environment.iter()),
            "public" => element.public_data(None),
            "deps" => {
                let mut all = element.build_dependencies.clone();
                let more = element.runtime_dependencies.iter();
                all.extend(more.filter(|id| !element.build_dependencies.contains(id)));
                names(&all)
            }
            "build-deps" => names(&element.build_dependencies),
            "runtime-deps" => names(&element.runtime_dependencies),
            "artifact-cas-digest" => {
                let files = self.artifact().and_then(|cached| cached.artifact().files());
                files.map(|files| files.to_string()).unwrap_or_default()
            }
            "workspaced" => element
                .workspace()
                .map_or("", |_| "(workspaced)")
                .to_owned(),
            "workspace-dirs" => element
                .workspace()
                .map_or_else(String::new, |it| format!("Workspace: {}", it.path)),
            "source-info" => self.session.source_info(self.loaded, self.id)?,
            other => {
                return Err(Failure::new(format!(
                    "%{{{other}}} is not known: `headstart show --help` lists what can be shown"
                )));
            }
        })
    }

    fn artifact(&self) -> Option<&Cached> {
        self.standings?.artifact(self.id)
    }

    /// What it is, in one line.
    pub(crate) fn description(&self) -> String {
        let lines = self.element().description.lines();
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Its key in hexadecimal digits, or question marks if that is not known.
    pub(crate) fn key(&self) -> String {
        let key = match self.standings {
            Some(standings) => standings.strong(self.id),
            None => self.loaded.keys.get(self.id).map(|keys| keys.strict),
        };
        key.map_or_else(|| "?".repeat(64), |key| key.hex())
    }

    /// BuildStream's word for how far the element is.
    pub(crate) fn state(&self) -> Result<&'static str, Failure> {
        if !self.element().is_resolved() {
            return Ok("no reference");
        }
        if self.element().kind == ElementKind::Junction {
            return Ok("junction");
        }
        if self.loaded.keys.get(self.id).is_none() {
            return Ok("waiting");
        }
        match self.artifact() {
            Some(Cached::Success(_)) => return Ok("cached"),
            Some(Cached::Failure(_)) => return Ok("failed"),
            None => {}
        }
        let mut sources = self.element().sources.iter();
        let fetched = sources.all(|source| !source.is_fetched())
            || self.session.has_sources(self.loaded, self.id)?;
        Ok(match self.standings {
            _ if !fetched => "fetch needed",
            Some(standings) if standings.is_buildable(self.id) => "buildable",
            _ => "waiting",
        })
    }
}

/// Texts by their names, as YAML.
fn mapping<'a>(entries: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>) -> String {
    let entries = entries.into_iter();
    let mapping = entries.map(|(name, value)| (&**name, Scalar::synthetic(value.clone())));
    headstart_yaml::to_text(&mapping.collect())
}

/// Formats a value as Python's format does for text: `[[FILL]ALIGN][WIDTH][.PRECISION]`.
fn padded(value: &str, format: &str) -> Result<String, Failure> {
    let is_align = |char: &char| matches!(char, '<' | '>' | '^');
    let chars: Vec<char> = format.chars().collect();
    let (fill, align, rest) = match &chars[..] {
        [fill, align, rest @ ..] if is_align(align) => (*fill, *align, rest),
        [align, rest @ ..] if is_align(align) => (' ', *align, rest),
        rest => (' ', '<', rest),
    };
    let rest: String = rest.iter().collect();
    let (width, precision) = rest.split_once('.').unwrap_or((&rest, ""));
    let number = |digits: &str, default: usize| match digits.trim() {
        "" => Ok(default),
        digits => digits.parse().map_err(|_| {
            Failure::new(format!(
                "{format:?} is no format of a column, such as ` >12`"
            ))
        }),
    };
    let shown: String = value.chars().take(number(precision, usize::MAX)?).collect();
    // No terminal is wider, and no memory holds what somebody may write here.
    let width = number(width, 0)?.min(4096);
    let missing = width.saturating_sub(shown.chars().count());
    let before = match align {
        '>' => missing,
        '^' => missing / 2,
        _ => 0,
    };
    let fill = |count: usize| fill.to_string().repeat(count);
    Ok(fill(before) + &shown + &fill(missing - before))
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn columns_are_as_python_makes_them() {
        for (format, expected) in [
            ("", "state"),
            (" >8", "   state"),
            ("<8", "state   "),
            ("*^8", "*state**"),
            (".3", "sta"),
            (" ^6.2", "  st  "),
            ("3", "state"),
        ] {
            assert_eq!(padded("state", format).unwrap(), expected, "{format:?}");
        }
        assert!(padded("state", "wide").is_err());
    }
}
