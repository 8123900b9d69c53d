//! The list of models.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use crate::{ModelEntry, Origin, Query, RegistryError, file};

/// How alike two names must be, from 0 to 1, for one to be suggested for the other.
const ALIKE: f64 = 0.8;
/// The most names that are suggested.
const SUGGESTIONS: usize = 3;

/// Models by name: the curated list, and those that the user added.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Entries are shared, since copies of a registry are.
    models: BTreeMap<String, Arc<ModelEntry>>,
}

impl Registry {
    /// The curated list.
    ///
    /// # Errors
    /// None in a release: the list is part of the program, and tested.
    pub fn built_in() -> Result<Self, RegistryError> {
        let entries = file::parse(file::CURATED, "built in", &Origin::BuiltIn)?;
        let mut registry = Self::default();
        registry.extend(entries);
        Ok(registry)
    }

    /// Adds the models of a TOML file; one whose name is there already takes its place.
    ///
    /// # Errors
    /// [`RegistryError::Io`], [`RegistryError::Malformed`], [`RegistryError::InvalidEntry`]; then
    /// nothing is added.
    pub fn overlay(&mut self, path: &Path) -> Result<(), RegistryError> {
        let text = fs::read_to_string(path).map_err(|source| RegistryError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let origin = Origin::File {
            path: path.to_path_buf(),
        };
        let entries = file::parse(&text, &path.display().to_string(), &origin)?;
        self.extend(entries);
        Ok(())
    }

    fn extend(&mut self, entries: Vec<ModelEntry>) {
        for entry in entries {
            self.models.insert(entry.name.clone(), Arc::new(entry));
        }
    }

    /// All models, by name.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &ModelEntry> {
        self.models.values().map(Arc::as_ref)
    }

    /// The models that meet all conditions, the smallest first.
    pub fn search(&self, query: &Query) -> Vec<&ModelEntry> {
        let mut found: Vec<_> = self.models().filter(|entry| query.matches(entry)).collect();
        found.sort_by_key(|entry| entry.parameters.unwrap_or(u64::MAX));
        found
    }

    /// The model of this name or repository, letter case aside.
    ///
    /// # Errors
    /// [`RegistryError::UnknownModel`] with the names that are spelt alike.
    pub fn get(&self, name: &str) -> Result<&ModelEntry, RegistryError> {
        let name = name.trim();
        if let Some(entry) = self.models.get(&name.to_lowercase()) {
            return Ok(entry);
        }
        let same_repo = |entry: &&ModelEntry| {
            entry
                .repo()
                .is_some_and(|repo| repo.eq_ignore_ascii_case(name))
        };
        self.models()
            .find(same_repo)
            .ok_or_else(|| RegistryError::UnknownModel {
                name: name.to_owned(),
                closest: self.closest(name),
            })
    }

    /// Names that are spelt like `name`, the closest first.
    pub fn closest(&self, name: &str) -> Vec<String> {
        let wanted = name.trim().to_lowercase();
        let mut alike: Vec<(f64, &str)> = self
            .models()
            .filter_map(|entry| {
                // People leave the organisation out, or type the whole repository.
                let names = [Some(entry.name.as_str()), entry.repo()];
                let best = names
                    .into_iter()
                    .flatten()
                    .map(|name| strsim::jaro_winkler(&wanted, &name.to_lowercase()))
                    .fold(0.0, f64::max);
                (best >= ALIKE).then_some((best, entry.name.as_str()))
            })
            .collect();
        alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        alike
            .into_iter()
            .take(SUGGESTIONS)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}
