//! Finding models.

use std::{fmt, pin::Pin, task};

use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::{
    HubClient, HubError, ModelInfo,
    http::{Call, Subject},
    pages,
};

/// What to look for. All conditions must hold.
///
/// ```
/// use hub_client::{ModelQuery, SortBy};
///
/// let query = ModelQuery::mlx()
///     .search("qwen3")
///     .author("mlx-community")
///     .sort(SortBy::Downloads)
///     .limit(20);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelQuery {
    search: Option<String>,
    author: Option<String>,
    filters: Vec<String>,
    task: Option<String>,
    gated: Option<bool>,
    parameters: (Option<String>, Option<String>),
    sort: Option<SortBy>,
    limit: Option<usize>,
    details: bool,
}

/// By what to sort, the highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortBy {
    /// What is popular these days.
    Trending,
    /// Downloads in the last 30 days.
    Downloads,
    /// Likes.
    Likes,
    /// When it was made.
    Created,
    /// When it was changed.
    Modified,
}

impl SortBy {
    const fn key(self) -> &'static str {
        match self {
            Self::Trending => "trendingScore",
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Created => "createdAt",
            Self::Modified => "lastModified",
        }
    }
}

/// The most entries that the Hub puts on a page.
const PAGE: usize = 1000;

impl ModelQuery {
    /// All models.
    pub fn new() -> Self {
        Self::default()
    }

    /// Models for MLX.
    pub fn mlx() -> Self {
        Self::new().library("mlx")
    }

    /// Whose name holds this text.
    #[must_use]
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Of this user or organisation.
    #[must_use]
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// For this library: `mlx`, `transformers`, `gguf`.
    #[must_use]
    pub fn library(self, library: impl Into<String>) -> Self {
        self.tag(library)
    }

    /// With this tag: a language, a licence as `license:mit`, `4-bit`. Several must all be there.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filters.push(tag.into());
        self
    }

    /// For this task: `text-generation`, `feature-extraction`.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>) -> Self {
        self.task = Some(task.into());
        self
    }

    /// Gated models only, or none of them.
    #[must_use]
    pub fn gated(mut self, gated: bool) -> Self {
        self.gated = Some(gated);
        self
    }

    /// With at least this many parameters, as the Hub writes them: `6B`.
    #[must_use]
    pub fn min_parameters(mut self, least: impl Into<String>) -> Self {
        self.parameters.0 = Some(least.into());
        self
    }

    /// With at most this many parameters.
    #[must_use]
    pub fn max_parameters(mut self, most: impl Into<String>) -> Self {
        self.parameters.1 = Some(most.into());
        self
    }

    /// In this order.
    #[must_use]
    pub fn sort(mut self, by: SortBy) -> Self {
        self.sort = Some(by);
        self
    }

    /// No more than this many in all.
    #[must_use]
    pub fn limit(mut self, most: usize) -> Self {
        self.limit = Some(most);
        self
    }

    /// With file names, commit, card data and configuration of each; longer answers.
    #[must_use]
    pub fn details(mut self) -> Self {
        self.details = true;
        self
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let mut add = |name, value: Option<&String>| {
            pairs.extend(value.map(|value| (name, value.clone())));
        };
        add("search", self.search.as_ref());
        add("author", self.author.as_ref());
        for filter in &self.filters {
            add("filter", Some(filter));
        }
        add("pipeline_tag", self.task.as_ref());
        add("gated", self.gated.map(|gated| gated.to_string()).as_ref());
        let bounds = [("min", &self.parameters.0), ("max", &self.parameters.1)];
        let bounds: Vec<String> = bounds
            .into_iter()
            .filter_map(|(name, bound)| Some(format!("{name}:{}", bound.as_ref()?)))
            .collect();
        if !bounds.is_empty() {
            add("num_parameters", Some(&bounds.join(",")));
        }
        add("sort", self.sort.map(|by| by.key().to_owned()).as_ref());
        if let Some(limit) = self.limit {
            add("limit", Some(&limit.clamp(1, PAGE).to_string()));
        }
        if self.details {
            for name in ["full", "cardData", "config"] {
                add(name, Some(&"true".to_owned()));
            }
        }
        pairs
    }
}

/// The pages of a search, each as the Hub sends it; a page is asked for when it is polled.
///
/// Ends after the last page, after as many models as the query's limit says, or after an error.
pub struct ModelPages(BoxStream<'static, Result<Vec<ModelInfo>, HubError>>);

impl ModelPages {
    /// The models one by one.
    pub fn models(self) -> BoxStream<'static, Result<ModelInfo, HubError>> {
        self.0
            .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    /// All of them.
    ///
    /// # Errors
    /// The first error of any page.
    pub fn collect_all(self) -> BoxFuture<'static, Result<Vec<ModelInfo>, HubError>> {
        Box::pin(self.0.try_concat())
    }
}

impl Stream for ModelPages {
    type Item = Result<Vec<ModelInfo>, HubError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for ModelPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelPages")
    }
}

impl HubClient {
    /// Looks for models.
    ///
    /// # Errors
    /// In the stream: [`HubError::RefusedRedirect`] if a next page does not belong to this Hub,
    /// and what any request may say.
    pub fn search_models(&self, query: &ModelQuery) -> ModelPages {
        let first = self.endpoint().api("models").map(|mut url| {
            url.query_pairs_mut().extend_pairs(query.pairs());
            Call::get(url, Subject::new("search for models"))
        });
        ModelPages(pages::stream(self.clone(), first, query.limit))
    }
}
