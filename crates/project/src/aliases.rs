//! Aliases of addresses, mirrors for them, and who may say what they stand for.

use std::sync::{Arc, OnceLock};

use headstart_yaml::{Mapping, Provenance, Scalar, Sequence};
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::hosted::AliasAddresses;
use crate::mirror::{MirrorContext, MirroredPlace, Place, SourceMirror};
use crate::variables::Variables;

/// Beginnings of addresses that are not taken for aliases.
const SCHEMES: [&str; 7] = ["http", "https", "ftp", "file", "git", "sftp", "ssh"];

/// Which addresses of an alias may be used (`fetch: source` and `track: source` of the user's
/// configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// All: mirrors first, then the alias' own.
    #[default]
    All,
    /// The alias' own only.
    Aliases,
    /// Mirrors only.
    Mirrors,
    /// Mirrors of the user's configuration only.
    User,
}

/// What the user says about addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicies {
    /// Where sources are fetched from.
    pub fetch: AddressPolicy,
    /// Where newer versions of sources are looked for.
    pub track: AddressPolicy,
}

/// What the beginnings of addresses stand for.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    aliases: IndexMap<Arc<str>, Arc<str>>,
    /// The mirrors, the preferred one first.
    mirrors: Vec<Mirror>,
    /// Whether the mirrors are those of the user's configuration.
    mirrors_are_users: bool,
    policies: AddressPolicies,
    parent: Option<ParentAliases>,
}

/// What a mirror has instead of aliases.
#[derive(Clone, Debug)]
enum Mirror {
    /// For each alias its addresses.
    Addresses(IndexMap<Arc<str>, Vec<Arc<str>>>),
    /// What its plugin says.
    Plugin(Arc<SourceMirror>),
}

/// What an alias may be replaced by.
enum Replacement {
    Address(Arc<str>),
    Mirror(Arc<SourceMirror>),
}

/// The aliases of the project that a project is joined to, which can take over its own.
#[derive(Clone, Debug)]
pub(crate) struct ParentAliases {
    /// Known as soon as the parent is loaded.
    pub(crate) aliases: Arc<OnceLock<Arc<Aliases>>>,
    /// For aliases of the subproject the parent's: `aliases` of the junction.
    pub(crate) mapped: IndexMap<Arc<str>, Arc<str>>,
    /// Whether others are mapped to those of the same name: `map-aliases: identity`.
    pub(crate) identity: bool,
    /// Whether the parent has to know all: `disallow-subproject-uris`.
    pub(crate) all: bool,
}

impl ParentAliases {
    fn mapped<'a>(&'a self, alias: &'a str) -> Option<&'a str> {
        let mapped = self.mapped.get(alias).map(|alias| &**alias);
        mapped.or_else(|| self.identity.then_some(alias))
    }
}

/// What aliases and mirrors of a project are read from.
pub(crate) struct AliasInput<'a> {
    /// Those that they may use.
    pub(crate) variables: &'a Variables,
    /// What the user's configuration says of the project.
    pub(crate) user: &'a Mapping,
    /// The mirror that the command line prefers.
    pub(crate) default_mirror: Option<&'a str>,
    pub(crate) policies: AddressPolicies,
    pub(crate) mirrors: MirrorContext<'a>,
    pub(crate) parent: Option<ParentAliases>,
}

impl Aliases {
    /// Takes `aliases` and `mirrors` out of a project's configuration.
    pub(crate) fn load(config: &mut Mapping, input: AliasInput<'_>) -> Result<Self, LoadError> {
        let mut aliases = IndexMap::new();
        if let Some(mut node) = config.take_mapping("aliases")? {
            input.variables.expand(&mut node)?;
            for (key, _) in node.iter() {
                let address = node.required_scalar(&key.text)?.value.clone();
                aliases.insert(key.text.clone(), address);
            }
        }
        let users = input.user.sequence("mirrors")?;
        let own = config.take_sequence("mirrors")?;
        let preferred = match input.default_mirror {
            Some(name) => Some(name),
            None => input.user.string("default-mirror")?,
        };
        Ok(Self {
            aliases,
            mirrors: load_mirrors(users.or(own.as_ref()), preferred, &input)?,
            mirrors_are_users: users.is_some(),
            policies: input.policies,
            parent: input.parent,
        })
    }

    /// Whether an address begins with an alias, which must be one that the project or its parent
    /// knows an address for.
    pub(crate) fn check(&self, url: &Scalar) -> Result<bool, LoadError> {
        let Some((alias, _)) = url
            .value
            .split_once(':')
            .filter(|(alias, _)| !SCHEMES.contains(&&*alias.to_lowercase()))
        else {
            return Ok(false);
        };
        let problem = match self.knows(alias) {
            Ok(true) => match self.without_address(alias) {
                None => return Ok(true),
                Some(purpose) => Problem::NoAddress {
                    alias: alias.to_owned(),
                    purpose,
                },
            },
            Ok(false) => Problem::UnknownAlias(alias.to_owned()),
            Err(problem) => problem,
        };
        Err(LoadError::at(&url.at, problem))
    }

    /// What an alias stands for; none if neither the project nor its parent has it.
    pub fn of_alias(&self, alias: &str) -> Option<AliasAddresses> {
        if !self.knows(alias).ok()? {
            return None;
        }
        let url = format!("{alias}:");
        let own = self.aliases.get(alias);
        Some(AliasAddresses {
            own: own.map(|own| own.to_string()),
            translated: self.translate(&url),
            fetch: self.addresses(&url),
            track: self.tracking_addresses(&url),
        })
    }

    /// Whether the alias is the project's own, or what it is mapped to is the parent's.
    fn knows(&self, alias: &str) -> Result<bool, Problem> {
        if let Some(parent) = &self.parent {
            if let Some(mapped) = parent.mapped(alias) {
                let known = match parent.aliases.get() {
                    Some(aliases) => aliases.knows(mapped)?,
                    None => true,
                };
                return if known {
                    Ok(true)
                } else {
                    Err(Problem::UnknownMappedAlias {
                        alias: alias.to_owned(),
                        mapped: mapped.to_owned(),
                    })
                };
            }
            if parent.all {
                return Err(Problem::UnmappedAlias(alias.to_owned()));
            }
        }
        Ok(self.aliases.contains_key(alias))
    }

    /// What the user's configuration leaves no address of the alias for.
    fn without_address(&self, alias: &str) -> Option<&'static str> {
        let has_none = |choose| match self.replacements(alias, choose) {
            Some((_, replacements)) => replacements.is_empty(),
            None => false,
        };
        if has_none(|policies: AddressPolicies| policies.fetch) {
            return Some("fetch");
        }
        has_none(|policies| policies.track).then_some("track")
    }

    /// The address with its alias, if it has one, replaced.
    pub fn translate(&self, url: &str) -> String {
        let Some((alias, rest)) = self.split(url) else {
            return url.to_owned();
        };
        if let Some((aliases, mapped)) = self.delegate(alias) {
            return aliases.translate(&format!("{mapped}:{rest}"));
        }
        format!("{}{rest}", self.aliases[alias])
    }

    /// Where to look for an address, in order: the mirrors of its alias, then the alias itself.
    pub fn addresses(&self, url: &str) -> Vec<Place> {
        self.addresses_by(url, |policies| policies.fetch)
    }

    /// Where to look for newer versions of what an address has, in order: the alias itself, then
    /// its mirrors, the preferred one last.
    pub fn tracking_addresses(&self, url: &str) -> Vec<Place> {
        let mut addresses = self.addresses_by(url, |policies| policies.track);
        addresses.reverse();
        addresses
    }

    fn addresses_by(&self, url: &str, choose: fn(AddressPolicies) -> AddressPolicy) -> Vec<Place> {
        let found = self.split(url).and_then(|(alias, rest)| {
            let (effective, replacements) = self.replacements(alias, choose)?;
            let place = |replacement| match replacement {
                Replacement::Address(uri) => Place::Address(format!("{uri}{rest}")),
                Replacement::Mirror(mirror) => Place::Mirror(MirroredPlace {
                    mirror,
                    alias: effective.into(),
                    alias_url: self.aliases[alias].clone(),
                    rest: rest.to_owned(),
                }),
            };
            Some(replacements.into_iter().map(place).collect())
        });
        found.unwrap_or_else(|| vec![Place::Address(url.to_owned())])
    }

    /// The alias that an address begins with, and what follows.
    fn split<'a>(&self, url: &'a str) -> Option<(&'a str, &'a str)> {
        url.split_once(':')
            .filter(|(alias, _)| self.aliases.contains_key(*alias))
    }

    /// The parent's aliases and the one of them that stands for this, if the junction says so.
    fn delegate<'a>(&'a self, alias: &'a str) -> Option<(&'a Self, &'a str)> {
        let parent = self.parent.as_ref()?;
        Some((parent.aliases.get()?, parent.mapped(alias)?))
    }

    /// What an alias may be replaced by, in order, and what it is called where that is said; none if
    /// it isn't an alias here.
    fn replacements<'a>(
        &'a self,
        alias: &'a str,
        choose: fn(AddressPolicies) -> AddressPolicy,
    ) -> Option<(&'a str, Vec<Replacement>)> {
        use AddressPolicy::{Aliases, All, Mirrors, User};
        let own = self.aliases.get(alias)?;
        if let Some((aliases, mapped)) = self.delegate(alias) {
            return aliases.replacements(mapped, choose);
        }
        let policy = choose(self.policies);
        let mut replacements = Vec::new();
        if matches!(policy, All | Mirrors) || policy == User && self.mirrors_are_users {
            for mirror in &self.mirrors {
                match mirror {
                    Mirror::Addresses(addresses) => {
                        let uris = addresses.get(alias).into_iter().flatten();
                        replacements.extend(uris.cloned().map(Replacement::Address));
                    }
                    Mirror::Plugin(mirror) => {
                        replacements.push(Replacement::Mirror(mirror.clone()))
                    }
                }
            }
        }
        if matches!(policy, All | Aliases) {
            replacements.push(Replacement::Address(own.clone()));
        }
        Some((alias, replacements))
    }

    /// The mirrors that are plugins.
    pub(crate) fn plugin_mirrors(&self) -> impl Iterator<Item = &Arc<SourceMirror>> {
        self.mirrors.iter().filter_map(|mirror| match mirror {
            Mirror::Plugin(mirror) => Some(mirror),
            Mirror::Addresses(_) => None,
        })
    }
}

/// The mirrors in their order, but the preferred one first: that of the name, else the first.
fn load_mirrors(
    list: Option<&Sequence>,
    preferred: Option<&str>,
    input: &AliasInput<'_>,
) -> Result<Vec<Mirror>, LoadError> {
    let mut mirrors: IndexMap<Arc<str>, Mirror> = IndexMap::new();
    let nodes = list.map_or_else(|| Ok(Vec::new()), Sequence::mappings)?;
    for node in nodes {
        let (name, mirror) = load_mirror(node.clone(), input)?;
        mirrors.insert(name, mirror);
    }
    if let Some(index) = preferred.and_then(|name| mirrors.get_index_of(name)) {
        mirrors.move_index(index, 0);
    }
    Ok(mirrors.into_values().collect())
}

fn load_mirror(mut node: Mapping, input: &AliasInput<'_>) -> Result<(Arc<str>, Mirror), LoadError> {
    input.variables.expand(&mut node)?;
    if let Some(kind) = node.scalar("kind")?.cloned()
        && &*kind.value != "default"
    {
        let mirror = SourceMirror::load(kind, node, &input.mirrors)?;
        return Ok((mirror.name().clone(), Mirror::Plugin(Arc::new(mirror))));
    }
    node.expect_keys(&["kind", "name", "aliases"])?;
    let name = node.required_scalar("name")?.value.clone();
    let mut addresses = IndexMap::new();
    let aliases = node
        .mapping("aliases")?
        .ok_or_else(|| node.missing("aliases"))?;
    for (key, _) in aliases.iter() {
        addresses.insert(key.text.clone(), aliases.strings(&key.text)?);
    }
    Ok((name, Mirror::Addresses(addresses)))
}

/// The project's variables with the four that only aliases and mirrors have: the absolute paths of
/// the project and of the top-level one.
pub(crate) fn variables(
    base: &Mapping,
    directory: &str,
    toplevel: &str,
) -> Result<Variables, LoadError> {
    let mut base = base.clone();
    base.at = Provenance::SYNTHETIC;
    for (name, value) in [
        ("project-root", directory.to_owned()),
        ("toplevel-root", toplevel.to_owned()),
        ("project-root-uri", file_uri(directory)),
        ("toplevel-root-uri", file_uri(toplevel)),
    ] {
        base.insert(name, Scalar::synthetic(value));
    }
    Variables::resolve_possible(&base)
}

/// A path as a `file:` address, escaped as Python's `urllib.parse.quote` does.
fn file_uri(path: &str) -> String {
    let mut uri = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::{Nothing, Outside};

    const CONF: &str = "
aliases: {up: 'https://up/', own: 'https://own/'}
mirrors:
- {name: one, aliases: {up: ['https://one/']}}
- {name: two, aliases: {up: ['https://two/', 'https://zwei/']}}
";

    fn aliases(
        conf: &str,
        user: &str,
        policy: AddressPolicy,
        parent: Option<ParentAliases>,
    ) -> Aliases {
        let mut conf = headstart_yaml::parse("project.conf", conf).unwrap();
        let user = headstart_yaml::parse("user", user).unwrap();
        let policies = AddressPolicies {
            fetch: policy,
            track: policy,
        };
        let input = AliasInput {
            variables: &Variables::default(),
            user: &user,
            default_mirror: None,
            policies,
            mirrors: MirrorContext {
                project: &"test".into(),
                directory: "",
                outside: &(Arc::new(Nothing) as Arc<dyn Outside>),
            },
            parent,
        };
        Aliases::load(&mut conf, input).unwrap()
    }

    fn urls(places: &[Place]) -> String {
        let locations = places.iter().flat_map(|place| place.locations().unwrap());
        let urls: Vec<String> = locations.map(|location| location.url).collect();
        urls.join(" ")
    }

    #[track_caller]
    fn check(user: &str, policy: AddressPolicy, expected: &str) {
        let aliases = aliases(CONF, user, policy, None);
        assert_eq!(urls(&aliases.addresses("up:x")), expected);
        let mut tracking = aliases.tracking_addresses("up:x");
        tracking.reverse();
        assert_eq!(urls(&tracking), expected);
    }

    #[test]
    fn mirrors_come_before_the_alias_itself_as_the_user_wants() {
        use AddressPolicy as P;
        check(
            "",
            P::All,
            "https://one/x https://two/x https://zwei/x https://up/x",
        );
        check(
            "default-mirror: two",
            P::All,
            "https://two/x https://zwei/x https://one/x https://up/x",
        );
        check("", P::Aliases, "https://up/x");
        check("", P::Mirrors, "https://one/x https://two/x https://zwei/x");
        check("", P::User, "");
        let mine = "mirrors: [{name: mine, aliases: {up: ['file:///m/']}}]";
        check(mine, P::User, "file:///m/x");
        check(mine, P::All, "file:///m/x https://up/x");
        check("mirrors: []", P::All, "https://up/x");
    }

    #[test]
    fn a_parent_takes_over_what_its_junction_maps() {
        let cell = Arc::new(OnceLock::new());
        let parent = |all, identity| ParentAliases {
            aliases: Arc::clone(&cell),
            mapped: [("theirs".into(), "up".into()), ("bad".into(), "no".into())].into(),
            identity,
            all,
        };
        let _ = cell.set(Arc::new(aliases(CONF, "", AddressPolicy::Aliases, None)));
        let conf = "aliases: {theirs: 'https://theirs/', own: 'https://sub/', bad: 'https://bad/'}";
        let load =
            |all, identity| aliases(conf, "", AddressPolicy::All, Some(parent(all, identity)));
        let check = |aliases: &Aliases, url: &str| {
            let known = aliases.check(&Scalar::synthetic(url));
            known.map_err(|error| error.to_string())
        };
        let plain = load(false, false);
        assert_eq!(plain.translate("theirs:x"), "https://up/x");
        assert_eq!(urls(&plain.addresses("theirs:x")), "https://up/x");
        assert_eq!(plain.translate("own:x"), "https://sub/x");
        assert_eq!(check(&plain, "own:x"), Ok(true));
        assert_eq!(check(&plain, "https://x"), Ok(false));
        assert!(
            check(&plain, "bad:x")
                .unwrap_err()
                .contains("'bad' stands for 'no'")
        );
        assert_eq!(load(false, true).translate("own:x"), "https://own/x");
        let strict = check(&load(true, false), "own:x").unwrap_err();
        assert!(strict.contains("'own' is not mapped"), "{strict}");
    }
}
