//! What elements of a kind begin with: the project's configuration, the kind's defaults, and the
//! project's changes to those. Made once for each project and kind.
//!
//! Most elements say nothing of their environment and public data, and differ in few of the
//! variables that those refer to. So what is made of them is kept by the values of these.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use headstart_yaml::{Mapping, Provenance};
use indexmap::{IndexMap, IndexSet};

use crate::element::{Public, texts};
use crate::error::LoadError;
use crate::in_order::lock;
use crate::kinds::ElementKind;
use crate::project::Project;
use crate::variables::{Layer, Variables, names_in};

/// The environment of commands, in the order in which it is declared.
pub(crate) type Environment = IndexMap<Arc<str>, Arc<str>>;

/// A kind's defaults with the project's changes to them laid over.
pub(crate) struct Defaults {
    /// The project's variables with the kind's.
    pub(crate) variables: Layer,
    environment: Template<Environment>,
    pub(crate) nocache: Arc<BTreeSet<Arc<str>>>,
    pub(crate) sandbox: Mapping,
    pub(crate) config: Mapping,
    split_rules: Mapping,
    /// Public data that is nothing but the split rules.
    public: Template<Public>,
}

impl Defaults {
    /// Those of a kind whose plugin has the defaults `kind_node`.
    pub(crate) fn new(
        project: &Project,
        kind: &ElementKind,
        mut kind_node: Mapping,
    ) -> Result<Self, LoadError> {
        let public = kind_node.mapping_or_insert("public")?;
        let bst = public.mapping_or_insert("bst")?;
        let mut split_rules = project.split_rules().clone();
        if let Some(own) = bst.mapping("split-rules")? {
            own.compose(&mut split_rules)?;
        }
        bst.insert("split-rules", split_rules);
        if let Some(changes) = project.element_changes().mapping(kind.name())? {
            changes.compose(&mut kind_node)?;
        }
        let over = |key: &str, base: &Mapping| {
            let mut result = base.clone();
            if let Some(node) = kind_node.mapping(key)? {
                node.compose(&mut result)?;
            }
            Ok::<_, LoadError>(result)
        };
        let mut nocache: BTreeSet<Arc<str>> =
            project.environment_nocache().iter().cloned().collect();
        nocache.extend(kind_node.strings("environment-nocache")?);
        let bst = kind_node
            .mapping("public")?
            .map(|public| public.mapping("bst"));
        let bst = bst.transpose()?.flatten();
        let split_rules = bst.map(|bst| bst.mapping("split-rules")).transpose()?;
        let split_rules = split_rules.flatten().cloned().unwrap_or_default();
        Ok(Self {
            variables: Layer::new(over("variables", project.variables())?),
            environment: Template::new(over("environment", project.environment())?),
            nocache: Arc::new(nocache),
            sandbox: over("sandbox", project.sandbox())?,
            config: over("config", &Mapping::default())?,
            public: Template::new(public_data(None, &split_rules)?),
            split_rules,
        })
    }

    /// The environment of an element.
    pub(crate) fn environment(
        &self,
        node: &Mapping,
        variables: &Variables,
    ) -> Result<Arc<Environment>, LoadError> {
        let environment = &self.environment;
        if node.contains("environment") {
            let mut own = over(node, "environment", &environment.node)?;
            variables.expand(&mut own)?;
            return Ok(Arc::new(texts(&own)?));
        }
        environment.expanded(variables, |node| texts(&node))
    }

    /// The names in an element's environment that don't enter keys.
    pub(crate) fn nocache(&self, node: &Mapping) -> Result<Arc<BTreeSet<Arc<str>>>, LoadError> {
        let own = node.strings("environment-nocache")?;
        if own.is_empty() {
            return Ok(self.nocache.clone());
        }
        let mut nocache = (*self.nocache).clone();
        nocache.extend(own);
        Ok(Arc::new(nocache))
    }

    /// The element's own public data; only split rules are inherited.
    pub(crate) fn public(
        &self,
        node: &Mapping,
        variables: &Variables,
    ) -> Result<Arc<Public>, LoadError> {
        let Some(own) = node.mapping("public")? else {
            return self.public.expanded(variables, Public::load);
        };
        let mut public = public_data(Some(own), &self.split_rules)?;
        public.expect_composed()?;
        variables.expand(&mut public)?;
        Ok(Arc::new(Public::load(public)?))
    }
}

/// Public data with the split rules that are inherited.
fn public_data(own: Option<&Mapping>, split_rules: &Mapping) -> Result<Mapping, LoadError> {
    let mut public = match own {
        Some(own) => own.clone(),
        None => Mapping::new(Provenance::SYNTHETIC),
    };
    let bst = public.mapping_or_insert("bst")?;
    let mut split_rules = split_rules.clone();
    if let Some(own) = bst.mapping("split-rules")? {
        own.compose(&mut split_rules)?;
    }
    bst.insert("split-rules", split_rules);
    Ok(public)
}

/// The value of a key of the element laid over what is below it.
pub(crate) fn over(node: &Mapping, key: &str, base: &Mapping) -> Result<Mapping, LoadError> {
    let mut result = base.clone();
    if let Some(own) = node.mapping(key)? {
        own.compose(&mut result)?;
    }
    result.expect_composed()?;
    Ok(result)
}

/// A mapping in which variables are to be replaced, and what was made of it so far.
struct Template<T> {
    node: Mapping,
    /// The variables that it refers to.
    names: IndexSet<Arc<str>>,
    made: Mutex<Made<T>>,
}

/// What was made of a template, by the values of the variables that it refers to: by none at all for elements
/// that change none of those.
type Made<T> = HashMap<Vec<Option<Arc<str>>>, Arc<T>>;

impl<T> Template<T> {
    fn new(node: Mapping) -> Self {
        Self {
            names: names_in(&node),
            node,
            made: Mutex::default(),
        }
    }

    fn expanded(
        &self,
        variables: &Variables,
        make: impl FnOnce(Mapping) -> Result<T, LoadError>,
    ) -> Result<Arc<T>, LoadError> {
        let mut values = Vec::new();
        if variables.change_any(&self.names) {
            values.extend(self.names.iter().map(|name| variables.get(name).cloned()));
        }
        if let Some(made) = lock(&self.made).get(&values) {
            return Ok(made.clone());
        }
        self.node.expect_composed()?;
        let mut node = self.node.clone();
        variables.expand(&mut node)?;
        let made = Arc::new(make(node)?);
        // Of what two threads make at the same time the first is kept.
        Ok(lock(&self.made).entry(values).or_insert(made).clone())
    }
}
