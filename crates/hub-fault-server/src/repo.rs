//! What the server has: repositories and their files.

use crate::Content;

/// A model repository with one commit.
#[derive(Debug, Clone)]
pub struct Repo {
    pub(crate) id: String,
    pub(crate) commit: String,
    pub(crate) branches: Vec<String>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) old_ids: Vec<String>,
    pub(crate) gated: bool,
    pub(crate) masked: bool,
    pub(crate) xet: bool,
    pub(crate) page_size: usize,
    pub(crate) next_link: Option<String>,
    pub(crate) tags: Vec<String>,
}

/// A file of a repository.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) lfs: bool,
    pub(crate) etag: Option<String>,
    pub(crate) sized: bool,
}

impl Repo {
    /// A repository whose only branch is `main`.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            commit: Content::bytes(id).git_sha1(),
            branches: vec!["main".to_owned()],
            entries: Vec::new(),
            old_ids: Vec::new(),
            gated: false,
            masked: false,
            xet: false,
            page_size: 1000,
            next_link: None,
            tags: vec!["mlx".to_owned(), "safetensors".to_owned()],
        }
    }

    /// Its id: `org/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Sets the commit.
    #[must_use]
    pub fn at_commit(mut self, commit: &str) -> Self {
        commit.clone_into(&mut self.commit);
        self
    }

    /// Adds a branch or another reference, such as `refs/pr/1`.
    #[must_use]
    pub fn branch(mut self, name: &str) -> Self {
        self.branches.push(name.to_owned());
        self
    }

    /// Adds a small file, which the Hub sends itself and names by its git SHA-1.
    #[must_use]
    pub fn file(self, path: &str, content: Content) -> Self {
        self.entry(Entry::new(path, content, false))
    }

    /// Adds a large file, which a second host sends and whose name is its SHA-256.
    #[must_use]
    pub fn lfs(self, path: &str, content: Content) -> Self {
        self.entry(Entry::new(path, content, true))
    }

    /// Adds a file with all its oddities.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Answers requests for another id with a redirect to this one.
    #[must_use]
    pub fn renamed_from(mut self, id: &str) -> Self {
        self.old_ids.push(id.to_owned());
        self
    }

    /// Gives its files only to those with a token.
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// Shows asterisks in place of hashes in listings.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        self
    }

    /// Says of its large files that they lie in Xet storage too, as the Hub does today.
    #[must_use]
    pub fn in_xet_storage(mut self) -> Self {
        self.xet = true;
        self
    }

    /// How many entries one page of the listing has.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = entries;
        self
    }

    /// The target of the listing's `Link: rel="next"`, in place of the true one.
    #[must_use]
    pub fn next_link(mut self, target: &str) -> Self {
        self.next_link = Some(target.to_owned());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    pub(crate) fn has_revision(&self, revision: &str) -> bool {
        revision == self.commit || self.branches.iter().any(|b| b == revision)
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }
}

impl Entry {
    /// A name for its content in Xet storage; what it is there does not matter to those who ask for
    /// the bytes themselves.
    pub(crate) fn xet_hash(&self) -> String {
        let mut hash = self.content.sha256();
        hash.replace_range(..8, "0e70e7e7");
        hash
    }

    /// A file; `lfs` says whether it is a large one.
    pub fn new(path: &str, content: Content, lfs: bool) -> Self {
        Self {
            path: path.to_owned(),
            content,
            lfs,
            etag: None,
            sized: true,
        }
    }

    /// Sends this as the ETag, whatever it is.
    #[must_use]
    pub fn with_etag(mut self, etag: &str) -> Self {
        self.etag = Some(etag.to_owned());
        self
    }

    /// Says its size nowhere, and sends it without a length.
    #[must_use]
    pub fn without_size(mut self) -> Self {
        self.sized = false;
        self
    }

    /// The ETag's value, without quotes.
    pub(crate) fn etag(&self) -> String {
        match &self.etag {
            Some(etag) => etag.clone(),
            None if self.lfs => self.content.sha256(),
            None => self.content.git_sha1(),
        }
    }
}
