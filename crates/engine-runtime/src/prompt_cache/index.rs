//! Token sequences by their beginnings.
//!
//! An ordered map answers what a radix tree would: of all keys, one with the longest beginning in
//! common with a query is a neighbour of the query in the order of tokens, and the further a key
//! is away, on either side, the less it has in common.

use std::collections::BTreeMap;

use engine_core::TokenId;

/// Values under token sequences, with the order of their last use.
#[derive(Debug)]
pub(crate) struct PrefixIndex<V> {
    entries: BTreeMap<Vec<TokenId>, Entry<V>>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: u64,
}

/// A key of the index, and how many of its tokens a query has in common with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) key: Vec<TokenId>,
    pub(crate) common: usize,
}

impl<V> Default for PrefixIndex<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            uses: 0,
        }
    }
}

impl<V> PrefixIndex<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// The entries, the one that was used longest ago first.
    pub(crate) fn by_last_use(&self) -> Vec<(&[TokenId], &V)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.used);
        entries
            .into_iter()
            .map(|(key, entry)| (key.as_slice(), &entry.value))
            .collect()
    }

    /// The key with the longest beginning in common with `tokens` of those whose value `serves`
    /// that much; none with less than `least` tokens in common. Among equals, the next one in order.
    pub(crate) fn longest_common(
        &self,
        tokens: &[TokenId],
        least: usize,
        serves: impl Fn(&V, usize) -> bool,
    ) -> Option<Match> {
        let common = |key: &Vec<TokenId>| common_len(key, tokens);
        let mut before = self
            .entries_before(tokens)
            .map(|(key, entry)| (common(key), key, entry))
            .peekable();
        let mut from = self
            .entries_from(tokens)
            .map(|(key, entry)| (common(key), key, entry))
            .peekable();
        loop {
            let is_before = match (before.peek(), from.peek()) {
                (Some((before, ..)), Some((from, ..))) => before > from,
                (before, _) => before.is_some(),
            };
            let next = if is_before {
                before.next()
            } else {
                from.next()
            };
            let (common, key, entry) = next.filter(|(common, ..)| *common >= least)?;
            if serves(&entry.value, common) {
                let key = key.clone();
                return Some(Match { key, common });
            }
        }
    }

    /// The longest key that `tokens` begins with.
    pub(crate) fn longest_prefix(&self, tokens: &[TokenId]) -> Option<Match> {
        let mut rest = tokens;
        loop {
            let key = match self.from(rest) {
                Some(key) if key == rest => key,
                _ => self.before(rest)?,
            };
            let common = common_len(key, rest);
            if common == key.len() {
                return Some(Match {
                    key: key.clone(),
                    common,
                });
            }
            // A prefix is no greater than what it has in common with its neighbour.
            rest = &rest[..common];
        }
    }

    /// The value of the first key, in the order of tokens, that begins with all of `tokens`.
    pub(crate) fn extension(&self, tokens: &[TokenId]) -> Option<&V> {
        let key = self.from(tokens).filter(|key| key.starts_with(tokens))?;
        self.get(key)
    }

    /// A value, without counting that as a use.
    pub(crate) fn get(&self, tokens: &[TokenId]) -> Option<&V> {
        self.entries.get(tokens).map(|entry| &entry.value)
    }

    /// Adds a value, or takes the place of the one that was there, which comes back.
    pub(crate) fn insert(&mut self, tokens: Vec<TokenId>, value: V) -> Option<V> {
        self.uses += 1;
        let used = self.uses;
        self.entries
            .insert(tokens, Entry { value, used })
            .map(|entry| entry.value)
    }

    /// A value, which counts as a use of it.
    pub(crate) fn touch(&mut self, tokens: &[TokenId]) -> Option<&V> {
        self.uses += 1;
        let entry = self.entries.get_mut(tokens)?;
        entry.used = self.uses;
        Some(&entry.value)
    }

    pub(crate) fn remove(&mut self, tokens: &[TokenId]) -> Option<V> {
        self.entries.remove(tokens).map(|entry| entry.value)
    }

    /// Takes out the value that was used longest ago.
    pub(crate) fn remove_oldest(&mut self) -> Option<V> {
        let key = self
            .entries
            .iter()
            .min_by_key(|(_, entry)| entry.used)
            .map(|(key, _)| key.clone())?;
        self.remove(&key)
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = V> {
        std::mem::take(&mut self.entries)
            .into_values()
            .map(|entry| entry.value)
    }

    fn before(&self, tokens: &[TokenId]) -> Option<&Vec<TokenId>> {
        self.entries_before(tokens).next().map(|(key, _)| key)
    }

    fn from(&self, tokens: &[TokenId]) -> Option<&Vec<TokenId>> {
        self.entries_from(tokens).next().map(|(key, _)| key)
    }

    /// The entries before `tokens`, from there to the first.
    fn entries_before(
        &self,
        tokens: &[TokenId],
    ) -> impl Iterator<Item = (&Vec<TokenId>, &Entry<V>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries
            .range::<[TokenId], _>((Unbounded, Excluded(tokens)))
            .rev()
    }

    /// The entries from `tokens` on.
    fn entries_from(&self, tokens: &[TokenId]) -> impl Iterator<Item = (&Vec<TokenId>, &Entry<V>)> {
        use std::ops::Bound::{Included, Unbounded};
        self.entries
            .range::<[TokenId], _>((Included(tokens), Unbounded))
    }
}

fn common_len(one: &[TokenId], other: &[TokenId]) -> usize {
    one.iter()
        .zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(keys: &[Vec<TokenId>]) -> PrefixIndex<usize> {
        let mut index = PrefixIndex::default();
        for (value, key) in keys.iter().enumerate() {
            index.insert(key.clone(), value);
        }
        index
    }

    fn tokens() -> impl Strategy<Value = Vec<TokenId>> {
        prop::collection::vec(0..3u32, 0..7)
    }

    proptest! {
        #[test]
        fn the_longest_beginning_in_common_is_found_that_serves(
            keys in prop::collection::btree_map(tokens(), 0..7usize, 0..20),
            query in tokens(),
            least in 0..4usize,
        ) {
            let mut index = PrefixIndex::default();
            for (key, needs) in &keys {
                index.insert(key.clone(), *needs);
            }
            let common = |(key, needs): (&Vec<TokenId>, &usize)| {
                let common = common_len(key, &query);
                (common >= least && *needs <= common).then_some(common)
            };
            let best = keys.iter().filter_map(common).max();
            let found = index.longest_common(&query, least, |needs, common| *needs <= common);
            prop_assert_eq!(found.as_ref().map(|found| found.common), best);
            if let Some(found) = found {
                prop_assert_eq!(common(keys.get_key_value(&found.key).unwrap()), best);
            }
        }

        #[test]
        fn the_longest_prefix_is_found(
            keys in prop::collection::vec(tokens(), 0..20),
            query in tokens(),
        ) {
            let index = index(&keys);
            let best = keys.iter().filter(|key| query.starts_with(key)).map(Vec::len).max();
            prop_assert_eq!(index.longest_prefix(&query).map(|found| found.key.len()), best);
        }

        #[test]
        fn extensions_are_found(
            keys in prop::collection::vec(tokens(), 0..20),
            query in tokens(),
        ) {
            let extensions = keys.iter().filter(|key| key.starts_with(&query));
            let index = index(&keys);
            let found = index.extension(&query).map(|value| &keys[*value]);
            prop_assert_eq!(found, extensions.min());
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut index = index(&[vec![1], vec![2], vec![3]]);
        assert_eq!(index.touch(&[1]), Some(&0));
        assert_eq!(index.remove_oldest(), Some(1));
        assert_eq!(index.by_last_use(), [(&[3][..], &2), (&[1][..], &0)]);
    }
}
